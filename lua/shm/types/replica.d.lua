---@meta

---The module shm.replica.
---@class shm.replica.module
local replica = {}

---@class shm.replica.options
---@field id string the node's name, 1 to 64 bytes
---@field size? integer bytes of a new copy, absent for 1 MiB
---@field max? integer bytes that it may grow to, absent for its size
---@field journal? integer bytes, 2048 at least; absent for a sixteenth of the size
---@field mode? integer permission bits, absent for 0600
---@field log? integer bytes for the last changes, 4096 at least, absent for 1 MiB
---@field patience? number seconds until a stopped primary is taken over from, absent for never
---@field readonly? boolean to look at the copy that another process has

---@param name string
---@param options shm.replica.options
---@return shm.replica|nil
---@return string? message
---@return integer? errno
function replica.open(name, options) end

---@param name string
---@return true|nil
---@return string? message
---@return integer? errno
function replica.unlink(name) end

---@class shm.replica.view
local view = {}
---What the key holds, or nil: with the changes that were made in this view.
---@param key shm.map.key
---@return any value
function view:get(key) end
---Gives the key a value, once the transaction is done.
---@param key shm.map.key
---@param value any
function view:set(key, value) end
---Takes the key away, once the transaction is done.
---@param key shm.map.key
function view:delete(key) end
---Adds to a number, once the transaction is done.
---@param key shm.map.key
---@param n? number absent for 1
---@param init? number what an absent key begins with
---@return number sum
function view:incr(key, n, init) end

---@class shm.replica.node
---@field id string
---@field pid? integer absent when no process has it
---@field role "primary"|"replica"
---@field seq? integer the last change of its copy
---@field whole? boolean whether that can be read

---A node of a group, each of which has a copy of one map.
---@class shm.replica
---@field id string
---@field name string the group's
---@operator len: integer
local node = {}
---@param key shm.map.key
---@param value any
---@return integer|nil seq the change's number
---@return string? message
---@return integer? errno ESTALE when it is fenced, EROFS when it is a replica
function node:set(key, value) end
---@param key shm.map.key
---@return integer|false|nil seq false for an absent key
---@return string? message
---@return integer? errno
function node:delete(key) end
---@param key shm.map.key
---@param n? number absent for 1
---@param init? number what an absent key begins with
---@return number|nil sum
---@return integer|string seq or the message
---@return integer? errno
function node:incr(key, n, init) end
---@param f fun(view: shm.replica.view, ...): ...
---@param ... any
---@return any ... what f returns, or nil, message, errno
function node:transaction(f, ...) end
---@param key shm.map.key
---@return any value, or nil
---@return string? message
---@return integer? errno
function node:get(key) end
---@param key shm.map.key
---@param staleness? number seconds, absent for 0
---@param timeout? number
---@return any value, or nil
---@return string? message
---@return integer? errno
function node:read(key, staleness, timeout) end
---@return fun(node: shm.replica, key: shm.map.key?): shm.map.key, any
---@return shm.replica
function node:pairs() end
---@return "primary"|"replica"
function node:role() end
---@return integer term
---@return string|nil id the primary's
function node:term() end
---@return integer
function node:seq() end
---@return integer|nil changes
---@return number|string seconds or the message
---@return integer? errno
function node:lag() end
---@return shm.replica.node[]
function node:nodes() end
---@param timeout? number
---@return integer|nil changes that were made here
---@return string? message
---@return integer? errno
function node:step(timeout) end
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function node:run(timeout) end
---@param seq integer
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function node:wait_for(seq, timeout) end
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function node:takeover(timeout) end
---@return integer|nil descriptor
---@return string? message
---@return integer? errno
function node:fileno() end
---@return integer|nil descriptor
function node:getfd() end
---@return integer|nil descriptor
function node:pollfd() end
---@return "r"
function node:events() end
---@return number|nil seconds
function node:timeout() end
---@return true
function node:close() end
