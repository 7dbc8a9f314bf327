-- One server and two clients, each with a talk of its own: both sides say several things in a
-- row, and something that is longer than the memory between them. One client is stopped and then
-- killed. You will see what the server hears, and that it always knows who is meant.
local peer = require "shm.peer"
local process = require "shm.process"

local KEY <const> = 0x18000000 | process.pid() -- or the path of any file that exists
local listener <close> = assert(peer.listen(KEY, {wake = "semaphore"})) -- or "signal", "futex"

local ann = assert(process.fork(function()
  local talk <close> = assert(peer.dial(KEY))
  for _, word in ipairs {"one", "two", "three"} do -- without waiting for an answer
    assert(talk:send(word, 5))
  end
  local long = assert(talk:receive(5))
  assert(talk:send(("that were %d MiB"):format(#long >> 20), 5))
end))

local talk = assert(listener:accept(5))
print("ann is", talk.peer)
for _ = 1, 3 do
  print("ann says", talk:receive(5))
end
assert(talk:send(("x"):rep(10 << 20), 5)) -- in parts, through 64 KiB
print("ann says", talk:receive(5))
print("ann:", (select(2, talk:receive(5))))
print("ann ended with", ann:wait(5))
talk:close()

local bob = assert(process.fork(function()
  local mine = assert(peer.dial(KEY))
  mine:send "I am here"
  mine:receive()
end))
local with, what
repeat -- this waits for everybody: who is new, who has said something, who has gone
  with, what = listener:wait(5)
until what == "message"
print("bob is", with.peer, with:receive(0))
bob:kill "STOP"
print("bob:", (select(2, with:receive(5)))) -- after a moment, not after 5 s
bob:kill "KILL"
print("bob:", (select(2, with:receive(5))))
print("bob ended with", bob:wait(5))
with:close()
--> ann is	4711
--> ann says	one
--> ann says	two
--> ann says	three
--> ann says	that were 10 MiB
--> ann:	peer.receive: pid 4711 has closed the talk
--> ann ended with	exit	0
--> bob is	4712	I am here
--> bob:	peer.receive: pid 4712 is stopped
--> bob:	peer.receive: pid 4712 has ended
--> bob ended with	signal	KILL
