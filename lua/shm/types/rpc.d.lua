---@meta

---The module shm.rpc.
---@class shm.rpc
local rpc = {}

---@class shm.rpc.server.options
---@field capacity? integer bytes of the requests that wait, and of the longest; absent for 65536
---@field overflow? "block"|"reject" absent for block

---@class shm.rpc.client.options: shm.rpc.server.options
---@field timeout? number seconds that a call may take, absent for ever
---@field retry? integer how often a call whose server died is begun anew, absent for 0
---@field answers? integer bytes of answers that wait, and of the longest; absent for 16384

---@param arena shm.arena
---@param name string 1 to 200 bytes
---@param methods table<string, fun(request: shm.rpc.request, ...: any): ...>
---@param options? shm.rpc.server.options
---@return shm.rpc.server|nil
---@return string? message
---@return integer? errno
function rpc.server(arena, name, methods, options) end

---@param arena shm.arena
---@param name string 1 to 200 bytes
---@param options? shm.rpc.client.options
---@return shm.rpc.client|nil
---@return string? message
---@return integer? errno
function rpc.client(arena, name, options) end

---@param arena shm.arena
---@param name string
---@return true|nil
---@return string? message
---@return integer? errno
function rpc.remove(arena, name) end

---What a method gets first.
---@class shm.rpc.request
---@field method string
---@field client integer? the caller's pid, absent for a cast
---@field server shm.rpc.server
local request = {}
---@return boolean whether nobody waits for the answer any more
function request:cancelled() end

---Who serves; its process's alone.
---@class shm.rpc.server
local server = {}
---@return true|nil
---@return "TERM"|"INT"|"stop"|string how or the message
---@return integer? errno
function server:serve() end
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function server:step(timeout) end
function server:stop() end
---@return integer[] pids
function server:callers() end
---@return true
function server:close() end
---@return integer|nil descriptor
---@return string? message
---@return integer? errno
function server:fileno() end
---@return integer|nil descriptor
function server:getfd() end
---@return integer|nil descriptor
function server:pollfd() end
---@return "r"
function server:events() end
---@return number seconds
function server:timeout() end

---Who calls; its process's alone.
---@class shm.rpc.client
local client = {}
---@param method string
---@param ... any nil, boolean, integer, float, string or a table of these
---@return any ... what the method returns, or nil, message, errno
function client:call(method, ...) end
---@param method string
---@param ... any
---@return shm.rpc.call|nil
---@return string? message
---@return integer? errno
function client:start(method, ...) end
---@param method string
---@param ... any
---@return true|nil
---@return string? message
---@return integer? errno
function client:cast(method, ...) end
---@param options {timeout: number?, retry: integer?}
---@return shm.rpc.client
function client:with(options) end
---@return integer[] pids
function client:servers() end
---@return true
function client:close() end
---@return integer|nil descriptor
---@return string? message
---@return integer? errno
function client:fileno() end
---@return integer|nil descriptor
function client:getfd() end
---@return integer|nil descriptor
function client:pollfd() end
---@return "r"
function client:events() end
---@return number? seconds
function client:timeout() end

---A call whose answer is waited for later.
---@class shm.rpc.call
local call = {}
---@param timeout? number
---@return any ... what the method returns, or nil, message, errno
function call:wait(timeout) end
---@return boolean was_in_flight
function call:cancel() end
---@return integer|nil descriptor
---@return string? message
---@return integer? errno
function call:fileno() end
---@return integer|nil descriptor
function call:getfd() end
---@return integer|nil descriptor
function call:pollfd() end
---@return "r"
function call:events() end
---@return number seconds
function call:timeout() end
