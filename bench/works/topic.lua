-- Messages for all who listen: what listeners cost who publishes, in one process, where they read
-- what has come to them outside of the clock; and to other processes.
local cpus = require "bench.cpus"
local limits = require "limits"
local redis = require "bench.peers.redis"
local shm = require "shm"

local MESSAGE <const>, BATCH <const> = ("m"):rep(64), 500
local list = {}

-- In one process.
do
  local SIZE <const> = shm.topic.size()
  local region = assert(shm.anonymous(8 * SIZE + 4096, {prefault = true}))
  local outside, place = 0, 0

  local function drain(subscribers)
    local began = os.clock()
    for _, subscriber in ipairs(subscribers) do
      repeat until not subscriber:try()
    end
    outside = outside + os.clock() - began
  end

  local function publish(listeners)
    local to, subscribers = assert(shm.topic.create(region, place)), {}
    place = place + SIZE
    for i = 1, listeners do
      subscribers[i] = assert(to:subscribe())
    end
    return function(n)
      for i = 1, n do
        to:publish(MESSAGE)
        if i % BATCH == 0 then
          drain(subscribers)
        end
      end
      drain(subscribers)
    end, to, subscribers
  end

  local apart = assert(shm.anonymous(4096, {prefault = true})) -- from the topics
  local nobody = publish(0)
  for _, listeners in ipairs {1, 4, 8, 16} do
    list[#list + 1] = {
      name = "topic publish", size = 64, processes = listeners, counted = "listener",
      clock = function() return os.clock() - outside end,
      {name = "publish", kind = "ours", run = publish(listeners)},
      {name = "the same where nobody listens", kind = "ours", run = nobody,
       goal = listeners == 8 and 1.15 or nil},
    }
  end

  local _, one, first = publish(1)
  local subscriber = first[1]
  list[#list + 1] = {
    name = "topic publish + next", size = 64, clock = os.clock,
    {name = "publish, next", kind = "ours", run = function(n)
      for _ = 1, n do
        one:publish(MESSAGE)
        subscriber:next()
      end
    end},
    {name = "strings through empty methods", kind = "limit", run = function(n)
      for _ = 1, n do
        apart:bare_copy(0, MESSAGE)
        apart:bare_text(0, #MESSAGE)
      end
    end},
  }
end

-- Between processes, whose number is how many listen. A worker says when it does.
local ready = assert(shm.semaphore.create(assert(shm.anonymous(4096, {prefault = true})), 0))

local function all_listen(listeners)
  for _ = 1, listeners do
    assert(ready:wait())
  end
end

local function topic(listeners)
  local entry, region, to, subscriber = {name = "topic", kind = "ours"}, nil, nil, nil
  local options <const> = {capacity = 1 << 20}
  function entry.start()
    region = assert(shm.anonymous(shm.topic.size(options), {prefault = true}))
    to = assert(shm.topic.create(region, 0, options))
    return true
  end
  function entry.partner(n)
    subscriber = subscriber or assert(to:subscribe())
    ready:post()
    for _ = 1, n do
      subscriber:next()
    end
  end
  function entry.run(n)
    all_listen(listeners)
    for _ = 1, n do
      to:publish(MESSAGE)
    end
  end
  function entry.stop()
    to:close()
    region:close()
  end
  return entry
end

local function ring(listeners)
  local entry, region = {name = "a ring for all in C", kind = "limit"}, nil
  function entry.start()
    region = assert(shm.anonymous(2 << 20, {prefault = true}))
    limits.air_make(region, 0, #MESSAGE, 1 << 14, listeners)
    return true
  end
  function entry.partner(n, me)
    ready:post()
    limits.air_listen(region, 0, #MESSAGE, n, me)
  end
  function entry.run(n)
    all_listen(listeners)
    limits.air_publish(region, 0, #MESSAGE, n)
  end
  function entry.stop()
    region:close()
  end
  return entry
end

local function pipes(listeners)
  local entry, ends = {name = "a pipe to each in C", kind = "peer"}, nil
  function entry.start()
    ends = {}
    for i = 1, listeners do
      ends[i] = {limits.pipe()}
    end
    return true
  end
  function entry.partner(n, me)
    ready:post()
    limits.pipe_pop(ends[me][1], #MESSAGE, n)
  end
  function entry.run(n)
    all_listen(listeners)
    for _ = 1, n do
      for i = 1, listeners do
        limits.pipe_push(ends[i][2], #MESSAGE, 1)
      end
    end
  end
  function entry.stop()
    for _, both in ipairs(ends) do
      limits.pipe_end(both[1], both[2])
    end
  end
  return entry
end

local function published(listeners)
  local entry, client = {name = "Redis, PUBLISH", kind = "peer", start = redis.start}, nil
  function entry.partner(n)
    if not client then
      client = assert(redis.connect())
      client:call("SUBSCRIBE", "topic")
    end
    ready:post()
    for _ = 1, n do
      client:receive()
    end
  end
  function entry.run(n)
    all_listen(listeners)
    for _ = 1, n do
      redis.client():call("PUBLISH", "topic", MESSAGE)
    end
  end
  return entry
end

for _, listeners in ipairs {1, 4, 16} do
  list[#list + 1] = {
    name = "topic, to processes", size = 64, processes = listeners, counted = "subscriber",
    team = listeners, how = cpus.count > 1 and "beside" or "same", longer = 5,
    topic(listeners), ring(listeners), pipes(listeners), published(listeners),
  }
end

return list
