-- Messages there and back between two processes, which count as one: with a cpu each, and of one
-- size on one cpu.
local boost = require "bench.peers.boost"
local cpus = require "bench.cpus"
local limits = require "limits"
local links = require "bench.peers.links"
local python = require "bench.peers.python"
local rounds = require "bench.rounds"
local shm = require "shm"
local trips = require "bench.trips"

local RING <const> = 1 << 20

local function rings(size)
  local entry, region = {name = "two rings in C", kind = "limit"}, nil
  local there, back = 0, RING + 4096
  function entry.start()
    region = assert(shm.anonymous(2 * (RING + 4096), {prefault = true}))
    limits.ring_make(region, there, RING)
    limits.ring_make(region, back, RING)
    return true
  end
  function entry.partner(n)
    limits.ring_trip(region, back, there, size, n, false)
  end
  function entry.run(n)
    return rounds.batches(n, function(times)
      limits.ring_trip(region, there, back, size, times, true)
    end)
  end
  function entry.stop()
    region:close()
  end
  return entry
end

local function pipes(size)
  local entry, ends = {name = "pipes in C", kind = "peer"}, nil
  function entry.start()
    ends = {{limits.pipe()}, {limits.pipe()}}
    return true
  end
  function entry.partner(n)
    limits.pipe_trip(ends[2][2], ends[1][1], size, n, false)
  end
  function entry.run(n)
    return rounds.batches(n, function(times)
      limits.pipe_trip(ends[1][2], ends[2][1], size, times, true)
    end)
  end
  function entry.stop()
    limits.pipe_end(table.unpack(ends[1]))
    limits.pipe_end(table.unpack(ends[2]))
  end
  return entry
end

local function row(name, size, how)
  local command = ("trip %d %d %d"):format(size, cpus.first(), cpus.of(1, how))
  local text = ("m"):rep(size)
  local work = {name = name, size = size, team = 1, how = how,
                trips.through(links.spsc, size, text)}
  work[#work + 1] = how ~= "same" and rings(size) or nil
  work[#work + 1] = pipes(size)
  for _, other in ipairs {"mpmc", "pipe", "socketpair", "luasocket", "channel", "sysv", "posix",
                          "redis"} do
    work[#work + 1] = trips.through(links[other], size, text)
  end
  work[#work + 1] = boost.entry("message_queue", command)
  work[#work + 1] = python.entry("Queue", command)
  return work
end

local list = {}
if cpus.count > 1 then
  for _, size in ipairs {8, 64, 256, 1024, 4096, 16384, 65536} do
    list[#list + 1] = row("queue, there and back", size, "beside")
  end
end
list[#list + 1] = row("queue, there and back, one cpu", 64, "same")
return list
