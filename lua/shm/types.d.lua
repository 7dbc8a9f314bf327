---@meta

---What blocks takes a final timeout in seconds: absent for ever, 0 to try.
---What the world refuses is `nil, message, errno`; misuse throws.

---@class shm
---@field _VERSION string
---@field sysv shm.sysv
---@field posix shm.posix
---@field process shm.process
---@field mutex shm.mutex.module
---@field rwlock shm.rwlock.module
---@field semaphore shm.semaphore.module
---@field event shm.event.module
---@field condition shm.condition.module
---@field barrier shm.barrier.module
---@field counter shm.counter.module
---@field topic shm.topic.module
---@field queue shm.queue.module
---@field value shm.value
local shm = {}

---@class shm.anonymous.options
---@field max? integer bytes that it may grow to in place
---@field prefault? boolean all pages at once

---@class shm.create.options: shm.anonymous.options
---@field mode? integer permission bits, exactly; absent for 0600

---@class shm.attach.options: shm.anonymous.options
---@field readonly? boolean only look at it
---@field owner? integer whose it must be; absent for this process's user, -1 for anybody's

---@class shm.open.options: shm.create.options
---@field owner? integer whose it must be; absent for this process's user, -1 for anybody's

---@class shm.map.options
---@field mode? "r"|"rw"|"private" absent for "r"
---@field offset? integer bytes from 0
---@field size? integer bytes, absent for up to the file's end
---@field create? boolean make and reserve it (mode "rw", with size)
---@field max? integer bytes that it may grow to in place
---@field prefault? boolean all pages at once

---@param name string
---@param size integer
---@param options? shm.create.options
---@return shm.region|nil
---@return string? message
---@return integer? errno
function shm.create(name, size, options) end

---@param name string
---@param options? shm.attach.options
---@return shm.region|nil
---@return string? message
---@return integer? errno
function shm.attach(name, options) end

---@param name string
---@param size integer
---@param options? shm.open.options
---@return shm.region|nil
---@return boolean|string created or the message
---@return integer? errno
function shm.open(name, size, options) end

---@param name string
---@return true|nil
---@return string? message
---@return integer? errno
function shm.unlink(name) end

---@param size integer
---@param options? shm.anonymous.options
---@return shm.region|nil
---@return string? message
---@return integer? errno
function shm.anonymous(size, options) end

---@param path string|integer|file*|shm.posix.descriptor
---@param options? shm.map.options
---@return shm.region|nil
---@return string? message
---@return integer? errno
function shm.map(path, options) end

---@param where string|shm.region a name, or memory of any kind that is shared
---@param options? shm.arena.options
---@return shm.arena|nil
---@return boolean|string made or the message
---@return integer? errno
function shm.arena(where, options) end

---@param objects (shm.mutex|shm.semaphore|shm.event|shm.queue|shm.subscriber|shm.map)[] 64 at most
---@param timeout? number
---@return integer|nil index
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function shm.wait_any(objects, timeout) end

function shm.fence() end

---@param fields table a list of {name, type[, n][, align = n]}; name, packed, align
---@return shm.record
function shm.record(fields) end

---A C struct's layout.
---@class shm.record
local record = {}

---@return integer bytes
function record:size() end

---@return integer bytes
function record:alignment() end

---@param path string "age", "position.x", "scores[2]"
---@return integer bytes
function record:offset(path) end

---@param region shm.region
---@param offset? integer absent for 0
---@return table fields by name
function record:at(region, offset) end

---@param region shm.region
---@param offset integer
---@param n integer
---@return table records by index, from 1
function record:array(region, offset, n) end

---@param name? string
---@return string C
function record:c_header(name) end
