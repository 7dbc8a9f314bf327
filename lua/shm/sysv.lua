--- System V shared memory and semaphores under the kernel's own names.
-- The functions are C; their documentation stands in src/bind/sysv*.c.
-- @module shm.sysv
return require("shm.core").sysv
