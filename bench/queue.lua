-- Queues: in one process against what strings cost that come and go, and between two against
-- a pipe and a hand-over in C. What goes on between two is timed in batches, whose median does
-- not show what else the machine did; a round trip counts there and back.
local baseline = require "baseline"
local partner = require "bench.partner"
local process = require "shm.process"
local shm = require "shm"

-- A ring larger than what one cpu caches keeps the two sides off each other's lines.
local CAPACITY <const> = 4 << 20
local SIZE <const> = (shm.queue.size {capacity = CAPACITY} + 4095) // 4096 * 4096
local region = assert(shm.anonymous(8 * SIZE + 4096, {prefault = true}))
local methods = debug.getmetatable(region).__index
methods.text, methods.copy = baseline.text, baseline.copy
local PING <const>, PONG <const> = 8 * SIZE, 8 * SIZE + 64

local function queue(index, mode, capacity)
  return assert(shm.queue.create(region, index * SIZE, {capacity = capacity, mode = mode}))
end

local MESSAGE <const> = ("m"):rep(64)
local list = {}

local function strings(n)
  for _ = 1, n do
    region:copy(0, MESSAGE)
    region:text(0, #MESSAGE)
  end
end

local function in_one_process(name, goal, work)
  list[#list + 1] = {
    name = name, against = "string in and out through empty methods", goal = goal,
    times = 300000, work = work, baseline = strings,
  }
end

for index, it in ipairs {{"mpmc", 1.6}, {"spsc", 1.25}} do
  local q = queue(index - 1, it[1])
  local push, pop = q:pusher(), q:popper()
  in_one_process("queue push + pop, " .. it[1], it[2], function(n)
    for _ = 1, n do
      q:push(MESSAGE)
      q:pop()
    end
  end)
  in_one_process("queue pusher + popper, " .. it[1], nil, function(n)
    for _ = 1, n do
      push(MESSAGE)
      pop()
    end
  end)
end

-- Nanoseconds each, of the median batch.
local function batches(n, size, f)
  local times = {}
  for i = 1, n // size do
    local start = process.monotonic()
    f(size)
    times[i] = process.monotonic() - start
  end
  table.sort(times)
  return times[(#times + 1) // 2] / size * 1e9
end

-- One way. The partner sends, and this process takes.
local function one_way(index, mode, goals)
  local reading, writing
  local there = queue(index, mode, CAPACITY)
  for i, it in ipairs {{"64 B", 64, 400000}, {"1 KiB", 1024, 200000}, {"16 KiB", 16384, 30000}} do
    local text = ("m"):rep(it[2])
    local before, after = partner.of({
      function(n)
        local push = there:pusher()
        for _ = 1, n do
          push(text)
        end
      end,
      function(n) baseline.give(writing, it[2], n) end,
    }, 2)
    list[#list + 1] = {
      name = ("queue %s, one way, %s"):format(mode, it[1]), against = "a pipe in C",
      goal = goals[i] and 1 / goals[i], times = it[3], clock = process.monotonic,
      before = function()
        reading, writing = baseline.pipe()
        before()
      end,
      after = function()
        after()
        baseline.pipe_end(reading, writing)
      end,
      work = partner.with(1, function(n)
        local pop = there:popper()
        for _ = 1, n do
          pop()
        end
      end),
      baseline = partner.with(2, function(n) baseline.take(reading, it[2], n) end),
    }
  end
end

one_way(2, "spsc", {5, 2.5, 3.5})
one_way(3, "mpmc", {})

-- There and back, from this process and from the partner: a number, as the same in C is one.
local function round_trips(index, mode)
  local there, back = queue(index, mode), queue(index + 1, mode)
  local partners = {
    function(n)
      local push, pop = back:pusher(), there:popper()
      for _ = 1, n do
        push(pop())
      end
    end,
    function(n) baseline.spin(region, PONG, PING, n, false) end,
    function(n) baseline.sleep(region, PONG, PING, n, false) end,
  }
  local push, pop = there:pusher(), back:popper()
  local work = partner.with(1, function(n)
    return batches(n, 10, function(size)
      for _ = 1, size do
        push(7)
        pop()
      end
    end)
  end)
  local function row(cpus, which, against, f, goal, times)
    local before, after = partner.of(partners, cpus)
    list[#list + 1] = {
      name = ("queue %s, there, back, %d"):format(mode, cpus), against = against, goal = goal,
      times = times, clock = process.monotonic, before = before, after = after, work = work,
      baseline = partner.with(which, function(n)
        return batches(n, 10, function(size) f(region, PING, PONG, size, true) end)
      end),
    }
  end
  if #partner.cpus() > 1 then
    row(2, 2, "spinning C", baseline.spin, mode == "spsc" and 2.5 or nil, 50000)
  end
  row(1, 3, "futexes in C", baseline.sleep, 1.2, 10000)
end

round_trips(4, "spsc")
round_trips(6, "mpmc")

return list
