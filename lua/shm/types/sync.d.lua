---@meta

---What hold gives: it unlocks when it is closed.
---@class shm.held

---@class shm.object
local object = {}
---@return true
function object:close() end
---@return true
function object:remove() end
---@return integer sleepers
---@return integer[] pids of 31 of them at most
function object:waiters() end

---The same with a descriptor that is readable when the object may be had.
---@class shm.waitable
local waitable = {}
---@return true
function waitable:close() end
---@return true
function waitable:remove() end
---@return integer sleepers
---@return integer[] pids of 31 of them at most
function waitable:waiters() end
---@return integer|nil descriptor
---@return string? message
---@return integer? errno
function waitable:fileno() end
---@return integer|nil descriptor
function waitable:getfd() end
---@return integer|nil descriptor
function waitable:pollfd() end
---@return "r"
function waitable:events() end
---@return nil
function waitable:timeout() end

---One at a time.
---@class shm.mutex: shm.waitable
local mutex_object = {}
---@param timeout? number
---@return true|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function mutex_object:lock(timeout) end
---@return true|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function mutex_object:try() end
function mutex_object:unlock() end
---@param f function
---@param ... any
---@return any ... what f returns, or nil, message, errno
function mutex_object:with(f, ...) end
---@param timeout? number
---@return shm.held|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function mutex_object:hold(timeout) end
---@return integer? pid
---@return number? since on the clock of process.monotonic
function mutex_object:holder() end

---The module shm.mutex.
---@class shm.mutex.module
local mutex = {}
---@param region shm.region
---@param offset integer a multiple of 8
---@param options? {recursive: boolean?, journal: integer?}
---@return shm.mutex|nil
---@return string? message
---@return integer? errno
function mutex.create(region, offset, options) end
---@param region shm.region
---@param offset integer
---@return shm.mutex|nil
---@return string? message
---@return integer? errno
function mutex.attach(region, offset) end
---@param region shm.region
---@param offset integer
---@param options? {recursive: boolean?, journal: integer?}
---@return shm.mutex|nil
---@return boolean|string made or the message
---@return integer? errno
function mutex.open(region, offset, options) end
---@param options? {recursive: boolean?, journal: integer?}
---@return integer bytes
function mutex.size(options) end

---One that writes, or 31 that read.
---@class shm.rwlock: shm.waitable
local rwlock_object = {}
---@param timeout? number
---@return true|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function rwlock_object:lock(timeout) end
---@return true|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function rwlock_object:try() end
function rwlock_object:unlock() end
---@param f function
---@param ... any
---@return any ... what f returns, or nil, message, errno
function rwlock_object:with(f, ...) end
---@param timeout? number
---@return shm.held|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function rwlock_object:hold(timeout) end
---@return integer? pid
---@return number? since on the clock of process.monotonic
function rwlock_object:holder() end
---@param timeout? number
---@return true|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function rwlock_object:lock_shared(timeout) end
---@return true|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function rwlock_object:try_shared() end
---@param f function
---@param ... any
---@return any ... what f returns, or nil, message, errno
function rwlock_object:with_shared(f, ...) end
---@param timeout? number
---@return shm.held|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function rwlock_object:hold_shared(timeout) end
---@return integer[] pids
function rwlock_object:readers() end

---The module shm.rwlock.
---@class shm.rwlock.module
local rwlock = {}
---@param region shm.region
---@param offset integer a multiple of 8
---@param options? {journal: integer?}
---@return shm.rwlock|nil
---@return string? message
---@return integer? errno
function rwlock.create(region, offset, options) end
---@param region shm.region
---@param offset integer
---@return shm.rwlock|nil
---@return string? message
---@return integer? errno
function rwlock.attach(region, offset) end
---@param region shm.region
---@param offset integer
---@param options? {journal: integer?}
---@return shm.rwlock|nil
---@return boolean|string made or the message
---@return integer? errno
function rwlock.open(region, offset, options) end
---@param options? {journal: integer?}
---@return integer bytes
function rwlock.size(options) end

---A count that is taken from.
---@class shm.semaphore: shm.waitable
local semaphore_object = {}
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function semaphore_object:wait(timeout) end
---@return true|nil
---@return string? message
---@return integer? errno
function semaphore_object:try() end
---@param n? integer absent for 1
---@return true|nil
---@return string? message
---@return integer? errno
function semaphore_object:post(n) end
---@return integer
function semaphore_object:value() end

---The module shm.semaphore.
---@class shm.semaphore.module
local semaphore_module = {}
---@param region shm.region
---@param offset integer a multiple of 8
---@param value? integer absent for 0
---@return shm.semaphore|nil
---@return string? message
---@return integer? errno
function semaphore_module.create(region, offset, value) end
---@param region shm.region
---@param offset integer
---@return shm.semaphore|nil
---@return string? message
---@return integer? errno
function semaphore_module.attach(region, offset) end
---@param region shm.region
---@param offset integer
---@param value? integer absent for 0
---@return shm.semaphore|nil
---@return boolean|string made or the message
---@return integer? errno
function semaphore_module.open(region, offset, value) end
---@param value? integer absent for 0
---@return integer bytes
function semaphore_module.size(value) end

---Set or not.
---@class shm.event: shm.waitable
local event_object = {}
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function event_object:wait(timeout) end
---@return true|nil
---@return string? message
---@return integer? errno
function event_object:try() end
function event_object:set() end
function event_object:reset() end
---@return boolean
function event_object:is_set() end

---The module shm.event.
---@class shm.event.module
local event = {}
---@param region shm.region
---@param offset integer a multiple of 8
---@param options? {manual: boolean?}
---@return shm.event|nil
---@return string? message
---@return integer? errno
function event.create(region, offset, options) end
---@param region shm.region
---@param offset integer
---@return shm.event|nil
---@return string? message
---@return integer? errno
function event.attach(region, offset) end
---@param region shm.region
---@param offset integer
---@param options? {manual: boolean?}
---@return shm.event|nil
---@return boolean|string made or the message
---@return integer? errno
function event.open(region, offset, options) end
---@param options? {manual: boolean?}
---@return integer bytes
function event.size(options) end

---Waiting until somebody says that something changed.
---@class shm.condition: shm.object
local condition_object = {}
---@param mutex shm.mutex held
---@param timeout? number
---@return true|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function condition_object:wait(mutex, timeout) end
---@return boolean woken
function condition_object:signal() end
---@return integer woken
function condition_object:broadcast() end

---The module shm.condition.
---@class shm.condition.module
local condition = {}
---@param region shm.region
---@param offset integer a multiple of 8
---@return shm.condition|nil
---@return string? message
---@return integer? errno
function condition.create(region, offset) end
---@param region shm.region
---@param offset integer
---@return shm.condition|nil
---@return string? message
---@return integer? errno
function condition.attach(region, offset) end
---@param region shm.region
---@param offset integer
---@return shm.condition|nil
---@return boolean|string made or the message
---@return integer? errno
function condition.open(region, offset) end
---@return integer bytes
function condition.size() end

---So many wait for each other.
---@class shm.barrier: shm.object
local barrier_object = {}
---@param timeout? number
---@return true|nil
---@return "last"|string? last or the message
---@return integer? errno
function barrier_object:wait(timeout) end
---@return integer
function barrier_object:arrived() end
---@return integer
function barrier_object:parties() end

---The module shm.barrier.
---@class shm.barrier.module
local barrier = {}
---@param region shm.region
---@param offset integer a multiple of 8
---@param parties integer 1 to 64
---@return shm.barrier|nil
---@return string? message
---@return integer? errno
function barrier.create(region, offset, parties) end
---@param region shm.region
---@param offset integer
---@return shm.barrier|nil
---@return string? message
---@return integer? errno
function barrier.attach(region, offset) end
---@param region shm.region
---@param offset integer
---@param parties integer 1 to 64
---@return shm.barrier|nil
---@return boolean|string made or the message
---@return integer? errno
function barrier.open(region, offset, parties) end
---@param parties integer 1 to 64
---@return integer bytes
function barrier.size(parties) end

---A number that can be waited for.
---@class shm.counter: shm.waitable
local counter_object = {}
---@param n? integer absent for 1
---@return integer before
function counter_object:add(n) end
---@return integer
function counter_object:get() end
---@param value integer
function counter_object:set(value) end
---@param least integer
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function counter_object:wait(least, timeout) end

---The module shm.counter.
---@class shm.counter.module
local counter = {}
---@param region shm.region
---@param offset integer a multiple of 8
---@param value? integer absent for 0
---@return shm.counter|nil
---@return string? message
---@return integer? errno
function counter.create(region, offset, value) end
---@param region shm.region
---@param offset integer
---@return shm.counter|nil
---@return string? message
---@return integer? errno
function counter.attach(region, offset) end
---@param region shm.region
---@param offset integer
---@param value? integer absent for 0
---@return shm.counter|nil
---@return boolean|string made or the message
---@return integer? errno
function counter.open(region, offset, value) end
---@param value? integer absent for 0
---@return integer bytes
function counter.size(value) end
