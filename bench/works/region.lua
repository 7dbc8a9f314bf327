-- Scalars: what a call on a region costs against a call with nothing in it.
local limits = require "limits"
local python = require "bench.peers.python"
local shm = require "shm"

local region = assert(shm.anonymous(4096, {prefault = true}))
local empty = limits.closure(region)

local METHOD <const>, CLOSURE <const> = "a method that checks the handle", "a closure of a region"

-- ours and what is compared with it are functions of n.
local function work(name, against, goal, ours, other, load, what)
  return {
    name = name, clock = os.clock,
    {name = name, kind = "ours", run = ours},
    {name = against, kind = "limit", goal = goal, run = other},
    {name = what == "adds" and "an atomic add in C" or "the access in C", kind = "limit",
     run = load},
    what ~= "adds" and python.entry("shared_memory", "scalar " .. what) or nil,
  }
end

local function loads(n) limits.loads(region, 8, n) end
local function adds(n) limits.adds(region, 64, n) end

return {
  work("region:get_i64", METHOD, 1.1,
       function(n) for _ = 1, n do region:get_i64(8) end end,
       function(n) for _ = 1, n do region:empty(8) end end, loads, "get"),
  work("region:set_i64", METHOD, nil,
       function(n) for i = 1, n do region:set_i64(8, i) end end,
       function(n) for i = 1, n do region:empty(8, i) end end, loads, "set"),
  work("getter_i64", CLOSURE, nil,
       function(n) local get = region:getter_i64(8) for _ = 1, n do get() end end,
       function(n) for _ = 1, n do empty() end end, loads, "get"),
  work("adder(offset, 1)", CLOSURE, 1.2,
       function(n) local add = region:adder(64, 1) for _ = 1, n do add() end end,
       function(n) for _ = 1, n do empty() end end, adds, "adds"),
  work("adder(offset), told what", CLOSURE, nil,
       function(n) local add = region:adder(64) for _ = 1, n do add(1) end end,
       function(n) for _ = 1, n do empty(1) end end, adds, "adds"),
}
