-- Two processes take turns by nothing but reads and writes, as Dekker, Peterson and others found
-- out. You will see that none of their entries is lost; and then what a processor may do to an
-- algorithm that lacks its fence: the same source runs on words of which each process writes to
-- a store buffer of its own, that reaches memory at a fence or not at all. Two are inside.
-- On several processors this also happens by itself, if rarely: see spec/exclusion_soak.lua.
local exclusion = require "shm.exclusion"
local process = require "shm.process"
local shm = require "shm"

local ENTRIES <const>, COUNTER <const>, LOCK <const> = 20000, 0, 64
local region <close> = assert(shm.anonymous(4096))

local function count(lock, me)
  for _ = 1, ENTRIES do
    assert(lock:enter(me, 60))
    region:set_i64(COUNTER, region:get_i64(COUNTER) + 1) -- not in one step
    assert(lock:leave(me, 60))
  end
end

local lock <close> = exclusion.peterson(region, LOCK)
local child <close> = assert(process.fork(count, lock, 2))
count(lock, 1)
child:wait(60)
print(("%d of %d entries"):format(region:get_i64(COUNTER), 2 * ENTRIES))

-- What an algorithm knows of its words: see lua/shm/exclusion/words.lua.
local function words(memory, has_fence)
  local buffer = {}
  return {
    reader = function(name) return function() return buffer[name] or memory[name] or 0 end end,
    writer = function(name) return function(value) buffer[name] = value end end,
    fence = function()
      for name, value in pairs(has_fence and buffer or {}) do
        memory[name], buffer[name] = value, nil
      end
    end,
    await = function(condition) return condition() end,
  }
end

for _, name in ipairs {"dekker", "peterson", "filter", "szymanski", "bakery"} do
  local algorithm = require("shm.exclusion." .. name)
  local function inside(has_fence)
    local memory, n = {}, 0
    for me = 1, 2 do
      local enter = algorithm.bind(words(memory, has_fence), me, 2)
      n = n + (enter() and 1 or 0)
    end
    return n
  end
  print(("%-9s  with its fences %d inside, without %d"):format(name, inside(true), inside(false)))
end
--> 40000 of 40000 entries
--> dekker     with its fences 1 inside, without 2
--> peterson   with its fences 1 inside, without 2
--> filter     with its fences 1 inside, without 2
--> szymanski  with its fences 1 inside, without 2
--> bakery     with its fences 1 inside, without 2
