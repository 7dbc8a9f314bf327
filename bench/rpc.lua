-- Calls: a round trip against two hand-overs of plain queues, and against a request and its
-- response over a socketpair, all in Lua and between the same two processes.
local partner = require "bench.partner"
local process = require "shm.process"
local rpc = require "shm.rpc"
local shm = require "shm"

local arena = assert(shm.arena(assert(shm.anonymous(1 << 21))))
local there, back = assert(arena:queue "there"), assert(arena:queue "back")
local near, far = assert(process.socketpair "seqpacket")
local client = assert(rpc.client(arena, "bench"))
local list = {}

local function batches(n, f)
  local times = {}
  for i = 1, n // 10 do
    local start = process.monotonic()
    f(10)
    times[i] = process.monotonic() - start
  end
  table.sort(times)
  return times[(#times + 1) // 2] / 10 * 1e9
end

local partners = {
  function(n)
    local server <close> = assert(rpc.server(arena, "bench", {
      add = function(_, x, y) return x + y end,
    }))
    for _ = 1, n do
      server:step()
    end
  end,
  function(n)
    local push, pop = back:pusher(), there:popper()
    for _ = 1, n do
      local x, y = string.unpack("i8i8", (pop()))
      push(string.pack("i8", x + y))
    end
  end,
  function(n)
    for _ = 1, n do
      local x, y = string.unpack("i8i8", far:recv(64))
      far:send(string.pack("i8", x + y))
    end
  end,
  function(n)
    local push, pop = back:pusher(), there:popper()
    for _ = 1, n do
      local message = pop()
      push {message[1], message[2], message[4] + message[5]}
    end
  end,
}

local function calls(n)
  return batches(n, function(size)
    for i = 1, size do
      client:call("add", i, 1)
    end
  end)
end

local push, pop = there:pusher(), back:popper()
local AGAINST <const> = {
  {2, "queues there and back, strings", function(n)
    return batches(n, function(size)
      for i = 1, size do
        push(string.pack("i8i8", i, 1))
        string.unpack("i8", (pop()))
      end
    end)
  end},
  {4, "queues there and back, tables", function(n)
    return batches(n, function(size)
      for i = 1, size do
        push {i, "add", 2, i, 1}
        pop()
      end
    end)
  end},
  {3, "a socketpair, strings", function(n)
    return batches(n, function(size)
      for i = 1, size do
        near:send(string.pack("i8i8", i, 1))
        string.unpack("i8", near:recv(64))
      end
    end)
  end},
}

for cpus = math.min(2, #partner.cpus()), 1, -1 do
  for _, it in ipairs(AGAINST) do
    local before, after = partner.of(partners, cpus)
    list[#list + 1] = {
      name = ("rpc call, %d cpu%s"):format(cpus, cpus > 1 and "s" or ""), against = it[2],
      times = cpus > 1 and 20000 or 10000, clock = process.monotonic, before = before,
      after = after, work = partner.with(1, calls), baseline = partner.with(it[1], it[3]),
    }
  end
end

return list
