-- A System V semaphore as a lock that the kernel gives back when its holder is killed. You
-- will see four processes count to 4000 together, and a lock outlive a kill -9.
local process = require "shm.process"
local sysv = require "shm.sysv"

local id = assert(sysv.shmget(sysv.IPC_PRIVATE, 8, sysv.IPC_CREAT))
local region <close> = assert(sysv.shmat(id))
assert(id:remove())
local sem = assert(sysv.semget(sysv.IPC_PRIVATE, 1, sysv.IPC_CREAT))
assert(sysv.semctl(sem, 0, sysv.SETVAL, 1))

local function locked(f)
  assert(sysv.semop(sem, {{num = 0, op = -1, flg = sysv.SEM_UNDO}}, 5))
  f()
  assert(sysv.semop(sem, {{num = 0, op = 1, flg = sysv.SEM_UNDO}}))
end

local children = {}
for i = 1, 4 do
  children[i] = assert(process.fork(function()
    for _ = 1, 1000 do
      locked(function()
        region:set_i64(0, region:get_i64(0) + 1) -- two steps, which nobody else may split
      end)
    end
  end))
end
for _, child in ipairs(children) do
  assert(child:wait(10) == "exit")
end
print(region:get_i64(0))            --> 4000

local holder = assert(process.fork(function()
  locked(function()
    region:set_i64(0, -1)
    process.sleep(60)
  end)
end))
while region:get_i64(0) ~= -1 do
  process.sleep(0.001)
end
holder:kill "KILL"
print(holder:wait(5))               --> signal	KILL
locked(function()
  print "the lock came back"        --> the lock came back
end)
assert(sem:remove())
