---@meta

---@alias shm.map.key string|integer|boolean

---Keys and values in an arena, which are found without a lock: `arena:map(name, options)`.
---@class shm.map
local map_object = {}
---@param key shm.map.key
---@return any value, or nil
---@return string? message
---@return integer? errno
function map_object:get(key) end
---@param key shm.map.key
---@param timeout? number
---@return any value, or nil
---@return integer|string version 0 when the key is absent; or the message
---@return integer? errno
function map_object:lookup(key, timeout) end
---@param key shm.map.key
---@return integer|nil version 0 when the key is absent
---@return string? message
---@return integer? errno
function map_object:version(key) end
---@param key shm.map.key
---@param value any boolean, integer, float, string or a table of these
---@param ttl? number seconds after which it goes
---@return true|nil
---@return string? message
---@return integer? errno
function map_object:set(key, value, ttl) end
---@param key shm.map.key
---@param value any
---@param ttl? number
---@return true|nil
---@return string? message
---@return integer? errno EEXIST when the key is there
function map_object:add(key, value, ttl) end
---@param key shm.map.key
---@param value any
---@param ttl? number
---@return true|nil
---@return string? message
---@return integer? errno ENOENT when it is not
function map_object:replace(key, value, ttl) end
---@param key shm.map.key
---@return boolean|nil was_there
---@return string? message
---@return integer? errno
function map_object:delete(key) end
---@param key shm.map.key
---@param n? number absent for 1
---@param init? integer what an absent key begins with
---@param ttl? number of a key that begins
---@return number|nil sum
---@return string? message
---@return integer? errno
function map_object:incr(key, n, init, ttl) end
---@param key shm.map.key
---@param old any nil for an absent key
---@param new any nil to take the key away
---@param ttl? number absent for the one that it has
---@return boolean|nil done
---@return string? message
---@return integer? errno
function map_object:cas(key, old, new, ttl) end
---@param key shm.map.key
---@param version integer as of lookup
---@param value any nil to take the key away
---@param ttl? number absent for the one that it has
---@return boolean|nil done
---@return string? message
---@return integer? errno
function map_object:set_if(key, version, value, ttl) end
---@param key shm.map.key
---@param version integer the one that is known
---@param timeout? number
---@return integer|nil version
---@return string? message
---@return integer? errno
function map_object:wait(key, version, timeout) end
---@param key shm.map.key
---@param seconds? number from now on, math.huge for no end; absent to ask
---@return number|nil seconds
---@return string? message
---@return integer? errno
function map_object:ttl(key, seconds) end
---@param key shm.map.key
---@param f fun(value: any): any nil takes the key away
---@param ttl? number absent for the one that it has
---@return any value, or nil
---@return string? message
---@return integer? errno
function map_object:update(key, f, ttl) end
---@param key shm.map.key
---@param f fun(key: shm.map.key): any nil for none
---@param ttl? number
---@param timeout? number
---@return any value, or nil
---@return string? message
---@return integer? errno
function map_object:get_or(key, f, ttl, timeout) end
---@param key shm.map.key
---@param timeout? number
---@return boolean|nil claimed
---@return string? message
---@return integer? errno
function map_object:claim(key, timeout) end
---@param key shm.map.key
---@param value any
---@param ttl? number
---@return boolean|nil was_claimed
---@return string? message
---@return integer? errno
function map_object:fulfil(key, value, ttl) end
---@param key shm.map.key
---@return boolean|nil was_claimed
---@return string? message
---@return integer? errno
function map_object:abandon(key) end
---@param f fun(view: shm.map.view, ...): ...
---@param ... any
---@return any ... what f returns, or nil, message, errno
function map_object:transaction(f, ...) end
---@param keys shm.map.key[]
---@param versions (integer|false)[] those that are known, false for any
---@param values table new ones
---@param deleted table true for keys that go
---@param region? shm.region where a word lies that decides as well
---@param offset? integer a multiple of 8
---@param expected? integer what it must hold
---@param value? integer what it shall hold
---@return boolean|nil done
---@return string? message
---@return integer? errno ESTALE when the word holds something else
function map_object:apply(keys, versions, values, deleted, region, offset, expected, value) end
---@param key? shm.map.key absent for the first
---@return shm.map.key|nil
---@return any value, or the message
---@return integer? errno
function map_object:next(key) end
---@return fun(map: shm.map, key: shm.map.key?): shm.map.key, any
---@return shm.map
function map_object:pairs() end
---@return {count: integer, used: integer, capacity: integer, buckets: integer}
function map_object:stat() end
---@return integer|nil changes since they were asked for
---@return string? message
---@return integer? errno
function map_object:changes() end
---@return true
function map_object:close() end
---@return integer|nil descriptor
---@return string? message
---@return integer? errno
function map_object:fileno() end
---@return integer|nil descriptor
function map_object:getfd() end
---@return integer|nil descriptor
function map_object:pollfd() end
---@return "r"
function map_object:events() end
---@return nil
function map_object:timeout() end

---What a transaction's function sees: the map, and its own changes.
---@class shm.map.view
local map_view = {}
---What the key holds, or nil: with the changes that were made in this view.
---@param key shm.map.key
---@return any value
function map_view:get(key) end
---Gives the key a value, once the transaction is done.
---@param key shm.map.key
---@param value any
function map_view:set(key, value) end
---Takes the key away, once the transaction is done.
---@param key shm.map.key
function map_view:delete(key) end
---Adds to a number, once the transaction is done.
---@param key shm.map.key
---@param n? number absent for 1
---@param init? number what an absent key begins with
---@return number sum
function map_view:incr(key, n, init) end
