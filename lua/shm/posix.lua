--- POSIX shared memory, semaphores, message queues and mappings under their own names.
-- The functions are C; their documentation stands in src/bind/posix*.c, map.c and lock.c.
-- @module shm.posix
return require("shm.core").posix
