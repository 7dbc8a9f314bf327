-- The group chat: a server, and clients over TCP that join, talk, leave and come. You will see
-- what each client reads, what was said before among it, up to the server's end by a signal.
local chat = require "shm.chat"
local process = require "shm.process"
local socket = require "cqueues.socket"

local ours, theirs = assert(process.socketpair())
local server = assert(process.fork(function()
  ours:close()
  chat.serve {port = 0, limit = 3, ready = function(_, port)
    theirs:send(tostring(port))
  end}
end))
theirs:close()
local port = assert(ours:recv(10, 5))

local function join()
  local client = assert(socket.connect("127.0.0.1", port))
  client:setmode("bn", "bn")
  client:settimeout(5)
  return client
end

local function hear(name, client)
  print(name .. " reads   " .. assert(client:read "*l"))
end

local ann = join()
hear("ann", ann)             --> ann reads   * welcome, guest1; 1 here. /help
local bob = join()
hear("bob", bob)             --> bob reads   * welcome, guest2; 2 here. /help
hear("ann", ann)             --> ann reads   * guest2 joined
ann:write "hello, whoever you are\n"
hear("bob", bob)             --> bob reads   guest1: hello, whoever you are
bob:write "/nick bob\n"
hear("ann", ann)             --> ann reads   * guest2 is now bob
hear("bob", bob)             --> bob reads   * guest2 is now bob
ann:close()
hear("bob", bob)             --> bob reads   * guest1 left
local eve = join()
hear("eve", eve)             --> eve reads   * welcome, guest3; 2 here. /help
hear("eve", eve)             --> eve reads   * said before, 1 line:
hear("eve", eve)             --> eve reads   guest1: hello, whoever you are
hear("bob", bob)             --> bob reads   * guest3 joined
eve:write "/who\n"
hear("eve", eve)             --> eve reads   * 2 here: bob, guest3
eve:write "/msg bob just you\n"
hear("bob", bob)             --> bob reads   guest3 to you: just you

server:kill "TERM"
hear("bob", bob)             --> bob reads   * the server is closing
print(server:wait(5))        --> exit	0
