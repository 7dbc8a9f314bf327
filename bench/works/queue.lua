-- Queues in one process, against what strings cost that come and go; and a number there and
-- back between two, against the same hand-over in C.
local cpus = require "bench.cpus"
local limits = require "limits"
local links = require "bench.peers.links"
local rounds = require "bench.rounds"
local shm = require "shm"
local trips = require "bench.trips"

local region = assert(shm.anonymous(1 << 20, {prefault = true}))
local apart = assert(shm.anonymous(4096, {prefault = true})) -- from the queues
local MESSAGE <const> = ("m"):rep(64)
local PING <const>, PONG <const> = (1 << 20) - 4096, (1 << 20) - 4032
local list = {}

local function strings(n)
  for _ = 1, n do
    apart:bare_copy(0, MESSAGE)
    apart:bare_text(0, #MESSAGE)
  end
end

for index, it in ipairs {{"mpmc", 1.6}, {"spsc", 1.25}} do
  local mode = it[1]
  local q = assert(shm.queue.create(region, (index - 1) * (1 << 18), {mode = mode}))
  local push, pop = q:pusher(), q:popper()
  list[#list + 1] = {
    name = "queue push + pop, " .. mode, size = 64, clock = os.clock,
    {name = "push, pop", kind = "ours", run = function(n)
      for _ = 1, n do
        q:push(MESSAGE)
        q:pop()
      end
    end},
    {name = "strings through empty methods", kind = "limit", goal = it[2], run = strings},
    {name = "pusher, popper", kind = "ours", run = function(n)
      for _ = 1, n do
        push(MESSAGE)
        pop()
      end
    end},
  }
end

-- There and back, from this process and from the partner: a number, as the same in C is one.
local function words(name, f, goal)
  return {
    name = name, kind = "limit", goal = goal,
    run = function(n)
      return rounds.batches(n, function(size) f(region, PING, PONG, size, true) end)
    end,
    partner = function(n) f(region, PONG, PING, n, false) end,
  }
end

for _, mode in ipairs {"spsc", "mpmc"} do
  if cpus.count > 1 then
    list[#list + 1] = {
      name = ("queue %s, a number there and back, two cpus"):format(mode), team = 1,
      how = "beside", trips.through(links[mode], 8, 7),
      words("spinning in C", limits.spin, mode == "spsc" and 2.5 or nil),
    }
  end
  list[#list + 1] = {
    name = ("queue %s, a number there and back, one cpu"):format(mode), team = 1, how = "same",
    trips.through(links[mode], 8, 7), words("futexes in C", limits.sleep, 1.2),
  }
end

return list
