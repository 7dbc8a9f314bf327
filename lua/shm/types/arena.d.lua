---@meta

---Memory that is its maker's until it is kept.
---@class shm.block
local block = {}
---@return integer bytes from the arena's begin
function block:offset() end
---@return integer|nil offset
---@return string? message
---@return integer? errno
function block:keep() end
---@return true
function block:close() end

---A region takes no `size`, `mode`, `owner` and `prefault`: it has its own.
---@class shm.arena.options
---@field size? integer bytes of a new one, absent for 1 MiB
---@field max? integer bytes that it may grow to, absent for its size
---@field mode? integer permission bits of a new one, absent for 0600
---@field owner? integer whose it must be; absent for this process's user, -1 for anybody's
---@field prefault? boolean all pages at once
---@field journal? integer bytes, 2048 at least; absent for a sixteenth of the size
---@field processes? integer how many can be attached at once, up to 8192; absent for 128

---@class shm.arena.stat
---@field size integer bytes it has
---@field max integer bytes it may grow to
---@field used integer bytes in blocks that are taken
---@field free integer bytes in others
---@field objects integer how many have names

---Memory with objects that have names.
---@class shm.arena
local arena = {}
---@param name string 1 to 255 bytes
---@param options? table recursive, journal: as for shm.mutex.create
---@return shm.mutex|nil
---@return boolean|string made or the message
---@return integer? errno
function arena:mutex(name, options) end
---@param name string 1 to 255 bytes
---@param options? table journal: as for shm.rwlock.create
---@return shm.rwlock|nil
---@return boolean|string made or the message
---@return integer? errno
function arena:rwlock(name, options) end
---@param name string 1 to 255 bytes
---@param value? integer absent for 0
---@return shm.semaphore|nil
---@return boolean|string made or the message
---@return integer? errno
function arena:semaphore(name, value) end
---@param name string 1 to 255 bytes
---@param options? table manual
---@return shm.event|nil
---@return boolean|string made or the message
---@return integer? errno
function arena:event(name, options) end
---@param name string 1 to 255 bytes
---@return shm.condition|nil
---@return boolean|string made or the message
---@return integer? errno
function arena:condition(name) end
---@param name string 1 to 255 bytes
---@param parties integer 1 to 64
---@return shm.barrier|nil
---@return boolean|string made or the message
---@return integer? errno
function arena:barrier(name, parties) end
---@param name string 1 to 255 bytes
---@param value? integer absent for 0
---@return shm.counter|nil
---@return boolean|string made or the message
---@return integer? errno
function arena:counter(name, value) end

---@param name string
---@param options? shm.queue.options
---@return shm.queue|nil
---@return boolean|string made or the message
---@return integer? errno
function arena:queue(name, options) end

---@param name string
---@param options? shm.topic.options
---@return shm.topic|nil
---@return boolean|string made or the message
---@return integer? errno
function arena:topic(name, options) end

---@class shm.arena.map.options
---@field evict? boolean keys that were not used for longest go when it is full
---@field capacity? integer bytes that its entries may take

---@param name string
---@param options? shm.arena.map.options
---@return shm.map|nil
---@return boolean|string made or the message
---@return integer? errno
function arena:map(name, options) end
---@param name string 1 to 255 bytes
---@param size? integer bytes, absent where they must exist
---@param layout? integer what they mean, absent for 0
---@return shm.region|nil
---@return boolean|string made or the message
---@return integer? errno
function arena:bytes(name, size, layout) end
---@param name string 1 to 255 bytes
---@param record shm.record
---@param count integer
---@return table|nil records by index, from 1
---@return boolean|string made or the message
---@return integer? errno
function arena:array(name, record, count) end
---@return table<string, string>|nil kinds by name
---@return string? message
---@return integer? errno
function arena:names() end
---@param name string
---@return true|nil
---@return string? message
---@return integer? errno
function arena:drop(name) end
---@return shm.arena.stat
function arena:stat() end
---@return true|nil
---@return string? message
---@return integer? errno
function arena:check() end
---@return {pid: integer, since: number}[]|nil
---@return string? message
---@return integer? errno
function arena:attached() end
---@param size integer bytes
---@return shm.block|nil
---@return string? message
---@return integer? errno
function arena:allocate(size) end
---@param offset integer what keep gave
---@return true|nil
---@return string? message
---@return integer? errno
function arena:free(offset) end
---@param offset integer a block's
---@return shm.region|nil
---@return string? message
---@return integer? errno
function arena:view(offset) end
---@return true
function arena:close() end
