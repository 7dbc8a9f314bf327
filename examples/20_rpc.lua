-- What you will see: three worker processes serve the same methods, and each call goes to one of
-- them. A hundred calls are in flight together; one takes too long; and a worker is killed in the
-- middle of one: its caller is told so, and where it asks for that, another worker does it.
local process = require "shm.process"
local rpc = require "shm.rpc"
local shm = require "shm"

local NAME <const> = "shm-example-" .. process.pid()
local arena <close> = assert(shm.arena(NAME, {size = 1 << 20}))
local tries = arena:counter "tries"

local function work()
  local mine <close> = assert(shm.arena(NAME))  -- attached anew, as an unrelated process would
  local server <close> = assert(rpc.server(mine, "office", {
    add = function(_, x, y) return x + y end,
    doze = function(request)
      while not request:cancelled() do
        process.sleep(0.01)
      end
    end,
    risky = function()
      if tries:add(1) < 2 then
        process.kill(process.pid(), "KILL")
      end
      return "done at last"
    end,
  }))
  server:serve()  -- until SIGTERM
end

local workers = {}
for i = 1, 3 do
  workers[i] = assert(process.fork(work))
end
local client <close> = assert(rpc.client(arena, "office", {timeout = 10}))

local calls, sum = {}, 0
for i = 1, 100 do
  calls[i] = assert(client:start("add", i, i))
end
for i = 100, 1, -1 do
  sum = sum + calls[i]:wait()
end
print(sum)  --> 10100
local function why(_, message)
  print((message:gsub("%d+", "N")))
end
why(client:with({timeout = 0.05}):call "doze")  --> rpc.call 'office.doze': Connection timed out
why(client:call "risky")  --> rpc.call 'office.risky': its server died, pid N
print(client:with({retry = 1}):call "risky", tries:get())  --> done at last	3
for _, worker in ipairs(workers) do
  worker:kill "TERM"
  worker:wait(10)
end
client:close()
assert(rpc.remove(arena, "office") and shm.unlink(NAME))
