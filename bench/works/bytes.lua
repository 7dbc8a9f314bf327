-- Reading and writing bytes, against the copies that no binding can do without: a Lua string
-- made, and a Lua string copied.
local limits = require "limits"
local python = require "bench.peers.python"
local shm = require "shm"

local region = assert(shm.anonymous(1 << 20, {prefault = true}))
local list = {}

for _, size in ipairs {8, 64, 1024, 16384, 65536, 1 << 20} do
  local text = ("x"):rep(size)
  local memcpy = {
    name = "memcpy in C", kind = "limit",
    run = function(n) limits.copies(region, 0, size, n) end,
  }
  list[#list + 1] = {
    name = "region:read", size = size, clock = os.clock,
    {name = "region:read", kind = "ours",
     run = function(n) for _ = 1, n do region:read(0, size) end end},
    {name = "lua_pushlstring of as much", kind = "limit", goal = size == 16384 and 1.1 or nil,
     run = function(n) for _ = 1, n do region:bare_text(0, size) end end},
    memcpy, python.entry("shared_memory", "read " .. size),
  }
  list[#list + 1] = {
    name = "region:write", size = size, clock = os.clock,
    {name = "region:write", kind = "ours",
     run = function(n) for _ = 1, n do region:write(0, text) end end},
    {name = "memcpy in an empty method", kind = "limit", goal = size == 16384 and 1.1 or nil,
     run = function(n) for _ = 1, n do region:bare_copy(0, text) end end},
    memcpy, python.entry("shared_memory", "write " .. size),
  }
end

return list
