-- Maps against themselves: the hot keys of a large one and of a small one, keys that another
-- process rewrites and the same at rest, and many more keys.
local cpus = require "bench.cpus"
local keys = require "bench.keys"
local place = require "bench.place"
local process = require "shm.process"
local scale = require "bench.scale"
local shm = require "shm"

local MANY <const>, SOME <const>, HOT <const> = scale.of(1000000, 2000), 10000, 10
local MOST <const> = scale.of(10000000, 10000)

-- A map of n keys in an arena of its own, which has no name any more once it is there.
local function open(n, max)
  local name = place.name "changing"
  local arena = assert(shm.arena(name, {size = 1 << 20, max = max or 1 << 30}))
  shm.unlink(name)
  local map = assert(arena:map "map")
  for i, key in ipairs(keys.strings(n)) do
    assert(map:set(key, i))
  end
  return map, arena
end

local list = {}

-- The hot keys.
do
  local maps, arenas, order

  local function begin()
    if maps then
      return
    end
    maps, arenas = {}, {}
    maps.large, arenas.large = open(MANY)
    order = keys.hot(MANY, HOT)
    maps.small, arenas.small = open(HOT)
    for _, key in ipairs(order) do
      maps.small:set(key, 0)
    end
    keys.forget() -- there are enough of them to be slow to collect
  end

  local function on(which, word)
    return function(n)
      local m = maps[which]
      for first = 1, n, #order do
        for i = 1, math.min(#order, n - first + 1) do
          if word == "get" then m:get(order[i]) else m:set(order[i], i) end
        end
      end
    end
  end

  for _, word in ipairs {"get", "set"} do
    list[#list + 1] = {
      name = ("map:%s, 10 of them"):format(word), keys = MANY, clock = os.clock, before = begin,
      {name = "map", kind = "ours", run = on("large", word)},
      {name = "the same of 20 keys", kind = "ours", goal = 1.5, run = on("small", word)},
    }
  end

  function list.finish()
    for which, map in pairs(maps or {}) do
      map:close()
      arenas[which]:close()
    end
  end
end

-- Read while another process rewrites what is read, and while it rests.
do
  local GO <const>, SEEN <const> = 0, 64
  local control, child, map, arena

  local function rewrite()
    local order = keys.strings(SOME)
    while true do
      local now = control:load32(GO)
      control:store32(SEEN, now)
      if now == 0 then
        control:wait(GO, 0)
      else
        for i = 1, SOME do
          map:set(order[i], i)
          if control:load32(GO) == 0 then
            break
          end
        end
      end
    end
  end

  local function tell(what)
    control:store32(GO, what)
    control:wake(GO)
    while control:load32(SEEN) ~= what do
      process.sleep(0.0001)
    end
  end

  local function read(n)
    local order = keys.strings(SOME)
    local start = os.clock()
    for first = 1, n, SOME do
      for i = 1, math.min(SOME, n - first + 1) do
        map:get(order[i])
      end
    end
    return (os.clock() - start) / n * 1e9
  end

  list[#list + 1] = {
    name = "map:get, being rewritten", keys = SOME, how = "beside",
    before = function()
      map, arena = open(SOME)
      control = assert(shm.anonymous(4096, {prefault = true}))
      child = assert(process.fork(rewrite))
      cpus.pin(child.pid, cpus.of(1, "beside"))
    end,
    after = function()
      child:kill "KILL"
      child:wait()
      control:close()
      map:close()
      arena:close()
      keys.forget()
    end,
    {name = "map", kind = "ours", run = function(n)
      tell(1)
      local ns = read(n)
      tell(0)
      return ns
    end},
    {name = "the same at rest", kind = "ours", goal = 2, run = read},
  }
end

-- Many more: what it takes to set them, and then to get them at random.
do
  local STEP <const> = 7654321 -- which has no divisor in common with it
  local map, arena, note
  list[#list + 1] = {
    name = "map:set of new keys", keys = MOST, rounds = 1, passes = 1, clock = os.clock,
    before = function() map, arena = open(0, 2 << 30) end,
    after = function()
      map:close()
      arena:close()
    end,
    {name = "map", kind = "ours", times = MOST, note = function() return note end,
     run = function(n)
       local start, at, wrong = os.clock(), 0, 0
       for i = 1, n do
         assert(map:set(i, i))
       end
       local set = os.clock()
       for _ = 1, n do
         at = (at + STEP) % n
         wrong = map:get(at + 1) == at + 1 and wrong or wrong + 1
       end
       note = ("then map:get at random %.0f ns, %d wrong; %.1f bytes a key"):format(
         (os.clock() - set) / n * 1e9, wrong, arena:stat().used / n)
       return (set - start) / n * 1e9
     end},
  }
end

return list
