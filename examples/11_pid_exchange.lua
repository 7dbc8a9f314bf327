-- Two programs that know nothing of each other but a path: they exchange their pids through
-- shared memory, then messages of up to 124 bytes, each announced by a signal. You will see
-- both sides. In two terminals, with the path of any file that exists:
--
--   lua5.4 examples/11_pid_exchange.lua server /tmp
--   lua5.4 examples/11_pid_exchange.lua client /tmp
local peer = require "shm.peer"
local process = require "shm.process"

local roles = {}

function roles.server(path)
  local link <close> = assert(peer.serve(path))
  local pid = assert(link:accept(60))
  print(("server: I am %d, and the client is %d"):format(process.pid(), pid))
  assert(link:send("what is your name?", 5))
  print("server: it says: " .. assert(link:receive(5)))
end

function roles.client(path)
  local link <close> = assert(peer.connect(path, {timeout = 60}))
  local question = assert(link:receive(5))
  print(("client: I am %d, and the server, %d, asks: %s")
        :format(process.pid(), link.peer, question))
  assert(link:send("a Lua script", 5))
end

local role, path = ...
io.stdout:setvbuf "line"
if role then
  assert(path and roles[role], "usage: 11_pid_exchange.lua [server PATH | client PATH]")(path)
  return
end

path = os.tmpname()
local command = "lua5.4 '%s' server '%s' & lua5.4 '%s' client '%s' && wait $!"
local done = os.execute(command:format(arg[0], path, arg[0], path))
os.remove(path)
os.exit(done)
--> server: I am 4711, and the client is 4712
--> client: I am 4712, and the server, 4711, asks: what is your name?
--> server: it says: a Lua script
