-- Messages for all who listen, in one process: what subscribers cost who publishes, and what it
-- costs to get a message. Subscribers read what has come to them outside of the clock.
local baseline = require "baseline"
local shm = require "shm"

local region = assert(shm.anonymous(1 << 20, {prefault = true}))
local methods = debug.getmetatable(region).__index
methods.text, methods.copy = baseline.text, baseline.copy
local MESSAGE, BATCH = ("m"):rep(64), 500
local SIZE = shm.topic.size()

local outside = 0

local function clock()
  return os.clock() - outside
end

local function drain(subscribers)
  local began = os.clock()
  for _, subscriber in ipairs(subscribers) do
    repeat until not subscriber:try()
  end
  outside = outside + os.clock() - began
end

local place = 0

local function topic(listeners, overflow)
  local made, subscribers = assert(shm.topic.create(region, place, {overflow = overflow})), {}
  place = place + SIZE
  for i = 1, listeners do
    subscribers[i] = assert(made:subscribe())
  end
  return made, subscribers
end

local function publish(listeners)
  local to, subscribers = topic(listeners)
  return function(n)
    for i = 1, n do
      to:publish(MESSAGE)
      if i % BATCH == 0 then
        drain(subscribers)
      end
    end
  end
end

local one, first = topic(1)
local subscriber = first[1]

return {
  {
    name = "topic publish, 8 listen", against = "the same where nobody does", goal = 1.15,
    times = 200000, clock = clock, work = publish(8), baseline = publish(0),
  },
  {
    name = "topic publish + next, 64 B", against = "string in and out through empty methods",
    times = 200000,
    work = function(n)
      for _ = 1, n do
        one:publish(MESSAGE)
        subscriber:next()
      end
    end,
    baseline = function(n)
      for _ = 1, n do
        region:copy(0, MESSAGE)
        region:text(0, 64)
      end
    end,
  },
}
