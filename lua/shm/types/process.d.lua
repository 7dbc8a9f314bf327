---@meta

---The module shm.process.
---@class shm.process
---@field SOL_SOCKET integer
---@field SO_SNDBUF integer
---@field SO_RCVBUF integer
local process = {}

---Has a descriptor for event loops.
---@class shm.process.pollable
local pollable = {}
---@return integer
function pollable:fileno() end
---@return integer
function pollable:getfd() end
---@return integer
function pollable:pollfd() end
---@return string
function pollable:events() end
---@return nil
function pollable:timeout() end

---@class shm.process.handle: shm.process.pollable
---@field pid integer
local handle = {}
---@param timeout? number
---@return "exit"|"signal"|nil
---@return integer|string code_or_signal
---@return integer? errno
function handle:wait(timeout) end
---@param signal string|integer
---@return true|nil
---@return string? message
---@return integer? errno
function handle:kill(signal) end
---@return boolean
function handle:alive() end
---@return true
function handle:close() end

---@class shm.process.signals: shm.process.pollable
local signals = {}
---@param timeout? number
---@return string|nil name
---@return integer|string sender_or_message
---@return integer? errno
function signals:wait(timeout) end
---@return true
function signals:close() end

---@class shm.process.channel: shm.process.pollable
local channel = {}
---@param data string
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
---@return integer? sent
function channel:send(data, timeout) end
---@param n integer
---@param timeout? number
---@return string|nil
---@return string? message
---@return integer? errno
function channel:recv(n, timeout) end
---@return true|nil
---@return string? message
---@return integer? errno
function channel:shutdown() end

---@param fd shm.posix.fd|shm.region
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function channel:sendfd(fd, timeout) end

---@param timeout? number
---@return shm.posix.descriptor|nil
---@return string? message
---@return integer? errno
function channel:recvfd(timeout) end
---@return true
function channel:close() end

---@return integer
function process.pid() end

---@param f function
---@param ... any
---@return shm.process.handle|nil
---@return string? message
---@return integer? errno
function process.fork(f, ...) end

---@param pid integer
---@return shm.process.handle|nil
---@return string? message
---@return integer? errno
function process.open(pid) end

---@param pid integer
---@return boolean
function process.alive(pid) end

---@param pid integer
---@param signal string|integer
---@return true|nil
---@return string? message
---@return integer? errno
function process.kill(pid, signal) end

---@param code? integer
function process.exit(code) end

---@param seconds number
---@return true|nil
---@return string? message
---@return integer? errno
function process.sleep(seconds) end

---@return number seconds
function process.monotonic() end

function process.yield() end

---@param ... string|integer
---@return shm.process.signals|nil
---@return string? message
---@return integer? errno
function process.signals(...) end

---@param signal string|integer
---@param action "ignore"|"default"|"count"
---@return true
function process.signal(signal, action) end

---@param signal string|integer
---@return integer
function process.handled(signal) end

---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function process.pause(timeout) end

---@param kind? "stream"|"seqpacket"
---@return shm.process.channel|nil
---@return shm.process.channel|string
---@return integer? errno
function process.socketpair(kind) end

---@param fd integer
---@return shm.process.channel|nil
---@return string? message
---@return integer? errno
function process.channel(fd) end

---@param first integer
---@param last? integer
---@return true|nil
---@return string? message
---@return integer? errno
function process.close_range(first, last) end

---@param fd integer
---@param level integer
---@param option integer
---@param value integer
---@return true|nil
---@return string? message
---@return integer? errno
function process.setsockopt(fd, level, option, value) end
