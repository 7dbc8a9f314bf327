---@meta

---A POSIX message queue.
---@class shm.posix.queue: shm.process.pollable
local queue = {}
---@param data string
---@param priority? integer
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function queue:send(data, priority, timeout) end

---@param timeout? number
---@return string|nil data
---@return integer|string priority or the message
---@return integer? errno
function queue:receive(timeout) end

---@return {maxmsg: integer, msgsize: integer, curmsgs: integer, flags: integer}|nil
---@return string? message
---@return integer? errno
function queue:getattr() end

---@param flags integer
---@return true|nil
---@return string? message
---@return integer? errno
function queue:setattr(flags) end

---@return shm.posix.notification|nil
---@return string? message
---@return integer? errno
function queue:notify() end

---@return true
function queue:close() end

---@class shm.posix.notification: shm.process.pollable
local notification = {}
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function notification:wait(timeout) end

---@return true
function notification:close() end
