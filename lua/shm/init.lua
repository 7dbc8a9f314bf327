--- Memory that processes share.
-- @module shm
local M = {}

--- The version of the module.
M._VERSION = "shm dev"

--- System V objects under the kernel's names.
M.sysv = require "shm.sysv"

--- Processes, signals and channels.
M.process = require "shm.process"

return M
