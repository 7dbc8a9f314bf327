-- A segment of System V shared memory, as the kernel has it: create, attach, write, read from
-- another process, remove. You will see what the child wrote, and what the kernel counts.
local process = require "shm.process"
local sysv = require "shm.sysv"

local id = assert(sysv.shmget(sysv.IPC_PRIVATE, 4096, sysv.IPC_CREAT | sysv.IPC_EXCL))
local region <close> = assert(sysv.shmat(id))
assert(id:remove()) -- marked: it goes when the last process detaches, however that ends

local child = assert(process.fork(function()
  region:write(0, "written by the child")
  region:set_i32(32, -42)
  region:add(40, 1)
end))
print(child:wait(5))                        --> exit	0

print(region:read(0, 20))                   --> written by the child
print(region:get_i32(32), region:load(40))  --> -42	1
print(#region, id:stat().nattch)            --> 4096	1

-- What reaches outside is an error, and names the argument.
local ok, message = pcall(function()
  region:get_i64(4090)
end)
print(ok, message:match "offset: %d+")      --> false	offset: 4090
