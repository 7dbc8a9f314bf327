-- Looking from outside: what ipcs and ls /dev/shm show, and ipcrm. You will see this process's
-- own objects, among all that there are, and then that they are gone.
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local sysv = require "shm.sysv"

local segment = assert(sysv.shmget(sysv.IPC_PRIVATE, 5000, sysv.IPC_CREAT))
local set = assert(sysv.seminit(sysv.IPC_PRIVATE, {1, 2, 3}))
local queue = assert(sysv.msgget(sysv.IPC_PRIVATE, sysv.IPC_CREAT))
assert(sysv.msgsnd(queue, 1, "unread"))
local region <close> = assert(sysv.shmat(segment))
local name = "shm-example-" .. process.pid()
local object <close> = assert(shm.create(name, 100))

local function look()
  local all = sysv.list()
  for _, it in ipairs(all.segments) do
    if it.id == segment.id then
      print("segment", it.segsz, ("%o"):format(it.mode), it.nattch)
    end
  end
  for _, it in ipairs(all.semaphores) do
    if it.id == set.id then
      print("semaphores", it.nsems, table.concat(sysv.semctl(set, 0, sysv.GETALL), ","))
    end
  end
  for _, it in ipairs(all.queues) do
    if it.id == queue.id then
      print("queue", it.qnum, it.cbytes)
    end
  end
  for _, it in ipairs(posix.list()) do
    if it.name == "/" .. name then
      print("object", it.size, ("%o"):format(it.mode))
    end
  end
end

look()
region:close()
-- What ipcrm does takes no more than the number.
for _, remove in ipairs {function() return sysv.shmctl(segment.id, sysv.IPC_RMID) end,
                         function() return sysv.semctl(set.id, 0, sysv.IPC_RMID) end,
                         function() return sysv.msgctl(queue.id, sysv.IPC_RMID) end} do
  assert(remove())
end
assert(shm.unlink(name))
look()
print("a segment may have", sysv.limits().shmmax >= 1 << 20, #object)

--> segment	5000	600	1
--> semaphores	3	1,2,3
--> queue	1	6
--> object	100	600
--> a segment may have	true	100
