-- Signals that are read instead of interrupting. You will see one that came before anyone
-- waited for it, the end of a child, and a word in shared memory that somebody sleeps on.
local process = require "shm.process"
local sysv = require "shm.sysv"

local signals <close> = assert(process.signals("USR1", "CHLD"))
process.kill(process.pid(), "USR1")
print((signals:wait(5)))                        --> USR1

local id = assert(sysv.shmget(sysv.IPC_PRIVATE, 4, sysv.IPC_CREAT))
local region <close> = assert(sysv.shmat(id))
assert(id:remove())

local sleeper = assert(process.fork(function()
  assert(region:wait(0, 0, 5)) -- as long as the word holds 0
  process.exit(region:load32(0))
end))
region:store32(0, 7)           -- change it first, then wake: no wake-up can be lost
region:wake(0)
local name, pid = signals:wait(5)
print(name, pid == sleeper.pid)                 --> CHLD	true
print(sleeper:wait(5))                          --> exit	7
