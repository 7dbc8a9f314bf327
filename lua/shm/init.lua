--- Memory that processes share.
-- What creates and attaches is C; its documentation stands in src/bind/object.c.
-- @module shm
local object = require("shm.core").object

local M = {}

--- The version of the module.
M._VERSION = "shm dev"

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

--- System V objects under the kernel's names.
M.sysv = require "shm.sysv"

--- POSIX objects and mappings under their names.
M.posix = require "shm.posix"

--- Processes, signals and channels.
M.process = require "shm.process"

return M
