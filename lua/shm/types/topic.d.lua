---@meta

---Messages that each subscriber gets once, all in the same order.
---@class shm.topic
local topic_object = {}
---@param value any nil, boolean, integer, float, string or a table of these
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function topic_object:publish(value, timeout) end
---@param options? {from: "newest"|"oldest"?}
---@return shm.subscriber|nil
---@return string? message
---@return integer? errno
function topic_object:subscribe(options) end
---@return integer subscribers
---@return integer[] pids of 64 of them at most
function topic_object:subscribers() end
---@param spare? integer bytes: the dead who are further behind are let go; absent for nobody
---@return integer|nil bytes that the slowest subscriber has not read
---@return string? message
---@return integer? errno
function topic_object:behind(spare) end
---@return true
function topic_object:close() end
---@return true
function topic_object:remove() end

---Who listens: one thread's.
---@class shm.subscriber
local subscriber = {}
---@param timeout? number
---@return any message, or nil
---@return string? message
---@return integer? errno
function subscriber:next(timeout) end
---@return any message, or nil
---@return string? message
---@return integer? errno
function subscriber:try() end
---@return integer messages that it has missed
function subscriber:lost() end
---@return true
function subscriber:close() end
---@return integer|nil descriptor
---@return string? message
---@return integer? errno
function subscriber:fileno() end
---@return integer|nil descriptor
function subscriber:getfd() end
---@return integer|nil descriptor
function subscriber:pollfd() end
---@return "r"
function subscriber:events() end
---@return nil
function subscriber:timeout() end

---@class shm.topic.options
---@field capacity? integer bytes of the longest message, 64 to 1 GiB; absent for 65536
---@field overflow? "block"|"drop" absent for block
---@field subscribers? integer at once, 1 to 4096, absent for 64

---The module shm.topic.
---@class shm.topic.module
local topic = {}
---@param region shm.region
---@param offset integer a multiple of 64
---@param options? shm.topic.options
---@return shm.topic|nil
---@return string? message
---@return integer? errno
function topic.create(region, offset, options) end
---@param region shm.region
---@param offset integer
---@return shm.topic|nil
---@return string? message
---@return integer? errno
function topic.attach(region, offset) end
---@param region shm.region
---@param offset integer
---@param options? shm.topic.options
---@return shm.topic|nil
---@return boolean|string made or the message
---@return integer? errno
function topic.open(region, offset, options) end
---@param options? shm.topic.options
---@return integer bytes
function topic.size(options) end
