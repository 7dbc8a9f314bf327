-- Two processes that know nothing of each other but a path: they exchange their pids through
-- shared memory, then messages of up to 124 bytes, each announced by a signal. You will see
-- both sides. Alone, `lua5.4 examples/04_pid_exchange.lua server PATH` and `… client PATH`
-- are two programs for two terminals; without arguments this runs both.
local peer = require "shm.peer"
local process = require "shm.process"

local roles = {}

function roles.server(path)
  local link <close> = assert(peer.serve(path))
  local pid = assert(link:accept(10))
  print("server: the client's pid came through the segment", pid ~= process.pid())
  assert(link:send("what is your name?", 5))
  print("server: received", assert(link:receive(5)))
end

function roles.client(path)
  local link <close> = assert(peer.connect(path, {timeout = 10}))
  print("client: received", assert(link:receive(5)))
  assert(link:send("process " .. (link.peer ~= process.pid() and "B" or "?"), 5))
end

local role, path = ...
io.stdout:setvbuf "line"
if role then
  roles[role](path)
  return
end

path = os.tmpname()
local command = "lua5.4 %s server %s & lua5.4 %s client %s; wait"
os.execute(command:format(arg[0], path, arg[0], path))
os.remove(path)
--> server: the client's pid came through the segment	true
--> client: received	what is your name?
--> server: received	process B
