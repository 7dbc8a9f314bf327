-- A parent and its child take turns over one segment without a name, by signals. You will see
-- three lines go from the one to the other, and each be acknowledged.
local process = require "shm.process"
local sysv = require "shm.sysv"

-- Made, attached and marked for removal before fork: nobody else can find it, and it goes with
-- the two, however they end.
local id = assert(sysv.shmget(sysv.IPC_PRIVATE, 128, sysv.IPC_CREAT))
local region <close> = assert(sysv.shmat(id))
assert(id:remove())

-- Opened before fork, too: from here on no signal can come too early and be lost, as it can
-- where a handler and pause are used.
local signals <close> = assert(process.signals("USR1", "USR2"))
local parent = process.pid()

local child = assert(process.fork(function()
  repeat
    assert(signals:wait(5) == "USR1") -- the parent has written
    local line = region:unpack(0, "z")
    print("child reads", line)
    process.kill(parent, "USR2")
  until line == "end"
end))

for _, line in ipairs {"hello", "child", "end"} do
  region:pack(0, "z", line)
  child:kill "USR1"
  assert(signals:wait(5) == "USR2")   -- the child has read
  print("parent goes on", line)
end
print("the child ended with", child:wait(5))

--> child reads	hello
--> parent goes on	hello
--> child reads	child
--> parent goes on	child
--> child reads	end
--> parent goes on	end
--> the child ended with	exit	0
