-- Handing over to another process and back, which counts as one: by our semaphores, and by what
-- else there is. With a cpu each nobody sleeps, if that costs more; on one cpu somebody must.
local boost = require "bench.peers.boost"
local cpus = require "bench.cpus"
local limits = require "limits"
local links = require "bench.peers.links"
local place = require "bench.place"
local posix = require "shm.posix"
local python = require "bench.peers.python"
local rounds = require "bench.rounds"
local shm = require "shm"
local sysv = require "shm.sysv"
local trips = require "bench.trips"

local PAUSE <const> = 0.0002 -- seconds, after which the other side sleeps

local region = assert(shm.anonymous(1 << 16, {prefault = true}))
local ping = assert(shm.semaphore.create(region, 1024))
local pong = assert(shm.semaphore.create(region, 2048))
local PING <const>, PONG <const> = 4096, 4160

-- Both sides of what one function gives away and another waits for.
local function sides(give, wait, pause)
  local busy = limits.busy
  return function(n)
    return rounds.batches(n, function(size)
      for _ = 1, size do
        if pause then busy(pause) end
        give(1)
        wait(2)
      end
    end) - 2e9 * (pause or 0)
  end, function(n)
    for _ = 1, n do
      wait(1)
      if pause then busy(pause) end
      give(2)
    end
  end
end

local function ours(pause)
  local entry = {name = "semaphores", kind = "ours"}
  entry.run, entry.partner = sides(
    function(way) if way == 1 then ping:post() else pong:post() end end,
    function(way) if way == 1 then ping:wait() else pong:wait() end end, pause)
  return entry
end

-- Words of a region that C hands over by.
local function words(name, f, goal, pause)
  return {
    name = name, kind = "limit", goal = goal,
    run = function(n)
      return rounds.batches(n, function(size) f(region, PING, PONG, size, true, pause) end)
             - 2e9 * (pause or 0)
    end,
    partner = function(n) f(region, PONG, PING, n, false, pause) end,
  }
end

local function posix_semaphores(pause)
  local entry, both = {name = "POSIX semaphores", kind = "peer"}, nil
  function entry.start()
    both = {assert(posix.sem_init(region, 16384, 0)), assert(posix.sem_init(region, 16448, 0))}
    return true
  end
  entry.run, entry.partner = sides(function(way) posix.sem_post(both[way]) end,
                                   function(way) posix.sem_wait(both[way]) end, pause)
  return entry
end

local function sysv_semaphores()
  local entry, set = {name = "System V semaphores", kind = "peer"}, nil
  local up = {{{num = 0, op = 1}}, {{num = 1, op = 1}}}
  local down = {{{num = 0, op = -1}}, {{num = 1, op = -1}}}
  function entry.start()
    set = assert(sysv.semget(place.key(1), 2, sysv.IPC_CREAT | sysv.IPC_EXCL
                                              | tonumber("600", 8)))
    return true
  end
  entry.run, entry.partner = sides(function(way) sysv.semop(set, up[way]) end,
                                   function(way) sysv.semop(set, down[way]) end)
  function entry.stop()
    set:remove()
  end
  return entry
end

local function row(how, name, ...)
  local command = ("handover %d %d"):format(cpus.first(), cpus.of(1, how))
  local work = {name = name, team = 1, how = how, ours(), ...}
  for _, entry in ipairs {
    posix_semaphores(), sysv_semaphores(), trips.through(links.pipe, 1, "x"),
    trips.through(links.socketpair, 1, "x"),
    boost.entry("interprocess_semaphore", command), python.entry("Semaphore", command),
  } do
    work[#work + 1] = entry
  end
  return work
end

local list = {
  row("same", "hand-over, one cpu", words("futexes in C", limits.sleep, 1.2),
      words("sched_yield in C", limits.yield)),
}
if cpus.count > 1 then
  list[2] = row("beside", "hand-over, two cpus", words("spinning in C", limits.spin, 2.5),
                words("futexes in C", limits.sleep))
  list[3] = {
    name = "hand-over, two cpus, asleep", team = 1, how = "beside",
    ours(PAUSE), words("futexes in C", limits.sleep, nil, PAUSE), posix_semaphores(PAUSE),
  }
end
return list
