---@meta

---@class shm.queue.options
---@field capacity? integer bytes of the longest message, from 64 to 1 GiB; absent for 65536
---@field overflow? "block"|"reject" absent for block
---@field mode? "mpmc"|"spsc" absent for mpmc

---The module shm.queue.
---@class shm.queue.module
local queue_module = {}
---@param region shm.region
---@param offset integer a multiple of 64
---@param options? shm.queue.options
---@return shm.queue|nil
---@return string? message
---@return integer? errno
function queue_module.create(region, offset, options) end
---@param region shm.region
---@param offset integer
---@return shm.queue|nil
---@return string? message
---@return integer? errno
function queue_module.attach(region, offset) end
---@param region shm.region
---@param offset integer
---@param options? shm.queue.options
---@return shm.queue|nil
---@return boolean|string made or the message
---@return integer? errno
function queue_module.open(region, offset, options) end
---@param options? shm.queue.options
---@return integer bytes
function queue_module.size(options) end

---Messages that each come out once, in the order in which they went in.
---@class shm.queue
---@operator len: integer
local message_queue = {}
---@param value any nil, boolean, integer, float, string or a table of these
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function message_queue:push(value, timeout) end
---@param timeout? number
---@return any message
---@return string? message
---@return integer? errno
function message_queue:pop(timeout) end
---@return any message
---@return string? message
---@return integer? errno
function message_queue:peek() end
---@param list table
---@param timeout? number
---@return integer|nil n how many were pushed
---@return string? message
---@return integer? errno
function message_queue:push_many(list, timeout) end
---@param most integer
---@param timeout? number
---@return table|nil list
---@return integer|string n how many, or the message
---@return integer? errno
function message_queue:pop_many(most, timeout) end
---@param n integer bytes
---@param timeout? number
---@return shm.loan|nil
---@return string? message
---@return integer? errno
function message_queue:loan(n, timeout) end
---@param timeout? number
---@return shm.view|nil
---@return string? message
---@return integer? errno
function message_queue:view(timeout) end
---@return fun(value: any, timeout?: number): true|nil, string?, integer?
function message_queue:pusher() end
---@return fun(timeout?: number): any, string?, integer?
function message_queue:popper() end
---@return integer bytes
function message_queue:used() end
---@return true|nil
---@return string? message
---@return integer? errno
function message_queue:shutdown() end
---@return integer|nil fd
---@return string? message
---@return integer? errno
function message_queue:fileno() end
---@return integer|nil fd
---@return string? message
---@return integer? errno
function message_queue:getfd() end
---@return integer|nil fd
---@return string? message
---@return integer? errno
function message_queue:pollfd() end
---@return "r"
function message_queue:events() end
---@return nil
function message_queue:timeout() end
---@return true
function message_queue:close() end

---@class shm.loan
local loan = {}
---@return shm.region
function loan:region() end
---@param n? integer bytes
---@return true|nil
---@return string? message
---@return integer? errno
function loan:commit(n) end
---@return true
function loan:close() end

---@class shm.view
local view = {}
---@return shm.region
---@return boolean raw whether a loan was committed, rather than a value pushed
function view:region() end
---@return true
function view:close() end
