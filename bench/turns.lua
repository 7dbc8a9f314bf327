-- Taking turns: a lock that nobody else wants, and handing over to another process and back,
-- against the same in C. Pinned to one cpu the sleeping paths are measured, to two the spinning
-- ones; a hand-over counts there and back.
local baseline = require "baseline"
local partner = require "bench.partner"
local process = require "shm.process"
local shm = require "shm"

local region = assert(shm.anonymous(1 << 16, {prefault = true}))
debug.getmetatable(region).__index.empty = baseline.empty
local mutex = assert(shm.mutex.create(region, 0))
local ping = assert(shm.semaphore.create(region, 1024))
local pong = assert(shm.semaphore.create(region, 2048))
local PING, PONG = 4096, 4160

local PARTNERS = {
  function(n)
    for _ = 1, n do
      ping:wait()
      pong:post()
    end
  end,
  function(n) baseline.spin(region, PONG, PING, n, false) end,
  function(n) baseline.sleep(region, PONG, PING, n, false) end,
}

local ours = partner.with(1, function(n)
  for _ = 1, n do
    ping:post()
    pong:wait()
  end
end)
local before_two, after_two = partner.of(PARTNERS, 2)
local before_one, after_one = partner.of(PARTNERS, 1)

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
    baseline = partner.with(3, function(n) baseline.sleep(region, PING, PONG, n, true) end),
  },
}
if #partner.cpus() > 1 then
  list[#list + 1] = {
    name = "hand-over, two cpus", against = "spinning C", goal = 2.5, times = 200000,
    clock = process.monotonic, before = before_two, after = after_two,
    work = ours,
    baseline = partner.with(2, function(n) baseline.spin(region, PING, PONG, n, true) end),
  }
end
return list
