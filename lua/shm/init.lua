--- Memory that processes share.
-- What creates and attaches is C; its documentation stands in src/bind/object.c.
-- @module shm
local core = require "shm.core"
local object, sync = core.object, core.sync

local M = {}

--- The version of the module.
M._VERSION = "shm 0.1.0"

--- Creates a POSIX shared memory object, which must be new: `create(name, size, options)`.
M.create = object.create

--- Attaches a POSIX shared memory object, which must exist: `attach(name, options)`.
M.attach = object.attach

--- Attaches a POSIX shared memory object, or else creates it: `open(name, size, options)`.
M.open = object.open

--- Removes the name of a POSIX shared memory object: `unlink(name)`.
M.unlink = object.unlink

--- Memory without a name, for children: `anonymous(size, options)`.
M.anonymous = object.anonymous

--- Maps a file: `map(path, options)`.
M.map = object.map

--- Describes a C struct, whose fields are then read and written in place: `record(fields)`.
M.record = require "shm.record"

--- Mutexes in regions, which outlive their holders: `create`, `attach`, `open`, `size`.
M.mutex = sync.mutex

--- Readers-writer locks.
M.rwlock = sync.rwlock

--- Semaphores.
M.semaphore = sync.semaphore

--- Events, with automatic or manual reset.
M.event = sync.event

--- Conditions, to be waited for with a mutex.
M.condition = sync.condition

--- Barriers.
M.barrier = sync.barrier

--- Counters that can be waited for.
M.counter = sync.counter

--- Memory that holds named objects: `arena(name or region, options)`.
M.arena = require("shm.arena").open

--- Topics in regions: each subscriber gets every message. `create`, `attach`, `open`, `size`.
M.topic = sync.topic

--- Queues of messages in regions: `create`, `attach`, `open`, `size`.
M.queue = sync.queue

--- Waits for any of several mutexes, semaphores, events, queues, subscribers and maps:
-- `wait_any(objects, timeout)`.
M.wait_any = sync.wait_any

--- Orders plain accesses to shared memory, also a write before a read: `fence()`.
M.fence = core.fence

--- System V objects under the kernel's names.
M.sysv = require "shm.sysv"

--- POSIX objects and mappings under their names.
M.posix = require "shm.posix"

--- Processes, signals and channels.
M.process = require "shm.process"

--- Lua values as the bytes that they are in shared memory: `encode`, `decode`.
M.value = require "shm.value"

return M
