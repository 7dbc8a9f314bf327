--- Processes, signals and channels, as things that can be waited for.
-- The functions are C; their documentation stands in src/bind/process.c and beside it.
-- @module shm.process
return require("shm.core").process
