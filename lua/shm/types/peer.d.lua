---@meta

---The module shm.peer.
---@class shm.peer.module
---@field LONGEST integer
local peer = {}

---@class shm.peer
---@field id integer the segment
---@field role "server"|"client"
---@field peer integer? the other side's pid
local link = {}
---@param timeout? number
---@return integer|nil pid
---@return string? message
---@return integer? errno
function link:accept(timeout) end
---@param data string
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function link:send(data, timeout) end
---@param timeout? number
---@return string|nil
---@return string? message
---@return integer? errno
function link:receive(timeout) end
---@return true
function link:close() end

---@class shm.peer.talk
---@field role "server"|"client"
---@field wake "futex"|"semaphore"|"signal"
---@field peer integer the other side's pid
local talk = {}
---@param data string
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function talk:send(data, timeout) end
---@param timeout? number
---@return string|nil
---@return string? message
---@return integer? errno
function talk:receive(timeout) end
---@return "open"|"stopped"|"closed"|"ended"
function talk:state() end
---@return integer|nil
---@return string? message
---@return integer? errno
function talk:fileno() end
---@return integer|nil
---@return string? message
---@return integer? errno
function talk:getfd() end
---@return integer|nil
---@return string? message
---@return integer? errno
function talk:pollfd() end
---@return string
function talk:events() end
---@return number seconds
function talk:timeout() end
---@return true
function talk:close() end

---@class shm.peer.listener
---@field id integer the segment where it is found
---@field wake "futex"|"semaphore"|"signal"
local listener = {}
---@param timeout? number
---@return shm.peer.talk|nil
---@return string? message
---@return integer? errno
function listener:accept(timeout) end
---@param timeout? number
---@return shm.peer.talk|nil
---@return "new"|"message"|"ended"|string what or the message
---@return integer? errno
function listener:wait(timeout) end
---@return integer|nil
---@return string? message
---@return integer? errno
function listener:fileno() end
---@return integer|nil
---@return string? message
---@return integer? errno
function listener:getfd() end
---@return integer|nil
---@return string? message
---@return integer? errno
function listener:pollfd() end
---@return string
function listener:events() end
---@return number seconds
function listener:timeout() end
---@return true
function listener:close() end

---@param where integer|string
---@param opts? {project: integer?, mode: integer?}
---@return shm.peer|nil
---@return string? message
---@return integer? errno
function peer.serve(where, opts) end

---@param where integer|string
---@param opts? {project: integer?, timeout: number?}
---@return shm.peer|nil
---@return string? message
---@return integer? errno
function peer.connect(where, opts) end

---@param where integer|string
---@param opts? {project: integer?, mode: integer?, wake: string?, size: integer?}
---@return shm.peer.listener|nil
---@return string? message
---@return integer? errno
function peer.listen(where, opts) end

---@param where integer|string
---@param opts? {project: integer?, timeout: number?}
---@return shm.peer.talk|nil
---@return string? message
---@return integer? errno
function peer.dial(where, opts) end
