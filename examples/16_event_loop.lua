-- What you will see: one cqueues loop serves a TCP client and takes jobs from a queue in shared
-- memory that another process fills. Neither waits for the other, and where nothing happens the
-- loop sleeps: a queue is polled as a socket is.
local cqueues = require "cqueues"
local process = require "shm.process"
local shm = require "shm"
local socket = require "cqueues.socket"

local memory <close> = assert(shm.anonymous(1 << 16))
local jobs <close> = assert(shm.queue.create(memory, 0, {capacity = 1024}))

local server = assert(socket.listen("127.0.0.1", 0))
assert(server:listen(10))
local _, _, port = server:localname()

-- It pushes jobs before it asks by TCP, and after it has got the answer.
local client = assert(process.fork(function()
  local connection = assert(socket.connect("127.0.0.1", port))
  jobs:push {kind = "paint", n = 1}
  jobs:push {kind = "paint", n = 2}
  connection:write "how are you?\n"
  print("the server says:", connection:read())  --> the server says:	you asked: how are you?
  jobs:push {kind = "dry", n = 3}
  jobs:shutdown()
end))

local loop, log = cqueues.new(), {}

loop:wrap(function()
  local connection = server:accept()
  connection:write("you asked: ", connection:read(), "\n")
  connection:flush()
end)

loop:wrap(function()
  while true do
    local job, _, errno = jobs:pop(0)
    if job then
      log[#log + 1] = job.kind .. " " .. job.n
    elseif errno == 32 then  -- EPIPE: it was shut down, and nothing is left
      break
    else
      cqueues.poll(jobs)  -- until there is one; meanwhile others have their turn
    end
  end
  cqueues.cancel(jobs:fileno())
end)

assert(loop:loop())
server:close()
print("the client:", client:wait(10))  --> the client:	exit	0
print(table.concat(log, ", "))         --> paint 1, paint 2, dry 3
