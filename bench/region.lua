-- Regions against what a call costs with nothing in it, and against the copies that no binding
-- can do without. Each gives work and baseline as functions of n, to be done n times.
local shm = require "shm"
local baseline = require "baseline" -- which looks for the metatable of regions

local SIZE = 1 << 20
local LARGE = 16384
local region = assert(shm.anonymous(SIZE, {prefault = true}))
local methods = debug.getmetatable(region).__index
for _, name in ipairs {"empty", "text", "copy"} do
  methods[name] = baseline[name]
end
local empty = baseline.closure(region)
local text = ("x"):rep(LARGE)

return {
  {
    name = "region:get_i64", against = "a method with the same handle check", goal = 1.1,
    times = 1000000,
    work = function(n) for _ = 1, n do region:get_i64(8) end end,
    baseline = function(n) for _ = 1, n do region:empty(8) end end,
  },
  {
    name = "region:set_i64", against = "a method with the same handle check", times = 1000000,
    work = function(n) for i = 1, n do region:set_i64(8, i) end end,
    baseline = function(n) for i = 1, n do region:empty(8, i) end end,
  },
  {
    name = "getter_i64", against = "a closure that holds a region", times = 1000000,
    work = function(n)
      local get = region:getter_i64(8)
      for _ = 1, n do get() end
    end,
    baseline = function(n) for _ = 1, n do empty() end end,
  },
  {
    name = "adder(offset, 1)", against = "a closure that holds a region", goal = 1.2,
    times = 1000000,
    work = function(n)
      local add = region:adder(64, 1)
      for _ = 1, n do add() end
    end,
    baseline = function(n) for _ = 1, n do empty() end end,
  },
  {
    name = "adder(offset), told what", against = "the closure, with a number", times = 1000000,
    work = function(n)
      local add = region:adder(64)
      for _ = 1, n do add(1) end
    end,
    baseline = function(n) for _ = 1, n do empty(1) end end,
  },
  {
    name = "region:read, 16 KiB", against = "lua_pushlstring of as much", goal = 1.1,
    times = 40000,
    work = function(n) for _ = 1, n do region:read(0, LARGE) end end,
    baseline = function(n) for _ = 1, n do region:text(0, LARGE) end end,
  },
  {
    name = "region:write, 16 KiB", against = "memcpy of as much", goal = 1.1, times = 100000,
    work = function(n) for _ = 1, n do region:write(0, text) end end,
    baseline = function(n) for _ = 1, n do region:copy(0, text) end end,
  },
}
