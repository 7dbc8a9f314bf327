-- Taking turns: a lock that nobody else wants, and handing over to another process and back,
-- against the same in C. Pinned to one cpu the sleeping paths are measured, to two the spinning
-- ones; a hand-over counts there and back.
local baseline = require "baseline"
local process = require "shm.process"
local shm = require "shm"

local region = assert(shm.anonymous(1 << 16, {prefault = true}))
debug.getmetatable(region).__index.empty = baseline.empty
local mutex = assert(shm.mutex.create(region, 0))
local ping = assert(shm.semaphore.create(region, 1024))
local pong = assert(shm.semaphore.create(region, 2048))
local go = assert(shm.semaphore.create(region, 3072))
local PING, PONG, WORK, TIMES = 4096, 4160, 4224, 4232
local child

local function pin(pid, cpus)
  os.execute(("taskset -p -c %s %d >/dev/null"):format(cpus, pid))
end

-- The first cpus that this process may run on.
local function cpus()
  local list = io.open("/proc/self/status"):read "a":match "Cpus_allowed_list:%s*(%S+)"
  local all = {}
  for first, last in list:gmatch "(%d+)%-?(%d*)" do
    for cpu = tonumber(first), tonumber(last) or tonumber(first) do
      all[#all + 1] = cpu
    end
  end
  return all
end

local PARTNERS = {
  [0] = function(n)
    for _ = 1, n do
      ping:wait()
      pong:post()
    end
  end,
  function(n) baseline.spin(region, PONG, PING, n, false) end,
  function(n) baseline.sleep(region, PONG, PING, n, false) end,
}

-- A process that does the other side of whatever is measured.
local function partner(n_cpus)
  local usable = cpus()
  return function()
    child = assert(process.fork(function()
      while true do
        go:wait()
        PARTNERS[region:load(WORK)](region:load(TIMES))
      end
    end))
    pin(process.pid(), usable[1])
    pin(child.pid, usable[n_cpus] or usable[1])
  end, function()
    child:kill "KILL"
    child:wait()
    pin(process.pid(), table.concat(usable, ","))
  end
end

local function with_partner(which, f)
  return function(n)
    region:store(WORK, which)
    region:store(TIMES, n)
    go:post()
    f(n)
  end
end

local ours = with_partner(0, function(n)
  for _ = 1, n do
    ping:post()
    pong:wait()
  end
end)
local before_two, after_two = partner(2)
local before_one, after_one = partner(1)

local list = {
  {
    name = "mutex lock, unlock", against = "two empty methods and a bare lock in C", goal = 1.2,
    times = 1000000,
    work = function(n)
      for _ = 1, n do
        mutex:lock()
        mutex:unlock()
      end
    end,
    baseline = function(n)
      for _ = 1, n do
        region:empty()
        region:empty()
      end
      baseline.locks(n)
    end,
  },
  {
    name = "hand-over, one cpu", against = "futexes in C", goal = 1.2, times = 20000,
    clock = process.monotonic, before = before_one, after = after_one,
    work = ours,
    baseline = with_partner(2, function(n) baseline.sleep(region, PING, PONG, n, true) end),
  },
}
if #cpus() > 1 then
  list[#list + 1] = {
    name = "hand-over, two cpus", against = "spinning C", goal = 2.5, times = 200000,
    clock = process.monotonic, before = before_two, after = after_two,
    work = ours,
    baseline = with_partner(1, function(n) baseline.spin(region, PING, PONG, n, true) end),
  }
end
return list
