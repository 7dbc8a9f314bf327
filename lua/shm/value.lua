--- Lua values as MessagePack, which is what they are in shared memory.
-- The functions are C; their documentation stands in src/bind/value.c.
-- @module shm.value
return require("shm.core").value
