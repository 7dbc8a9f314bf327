-- Maps among scribble: whatever others wrote there, nothing crashes, and every call ends.
local map = require "spec.map_support"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local SIZE <const> = 1 << 16
local JOURNAL <const> = 2048
local MAP <const> = 8192           -- behind the arena's own words
local ROUNDS <const> = 200         -- in one child

local function random_word(r)
  local kind = math.random(6)
  if kind == 1 then
    return math.random(0) -- any
  elseif kind == 2 then
    return 0
  elseif kind == 3 then
    return math.random(SIZE // 16) | math.random(4) << 32
  elseif kind == 4 then
    return r:load(math.random(0, SIZE // 8 - 1) * 8)
  elseif kind == 5 then
    return -1 << math.random(0, 63)
  end
  return 1 << math.random(0, 63)
end

local OPERATIONS = {
  function(m, key) m:get(key) m:lookup(key) m:version(key) end,
  function(m, key) m:set(key, ("v"):rep(math.random(600))) end,
  function(m, key) m:set(key, ("v"):rep(math.random(6000))) end,
  function(m, key) m:set(key, 1, 0.0001) end,
  function(m, key) m:add(key, 1) m:replace(key, 2) end,
  function(m, key) m:delete(key) end,
  function(m, key) m:incr(key, 1, 1) m:cas(key, 2, 3) m:cas(key, nil, 3) end,
  function(m, key) m:set_if(key, m:version(key), {key}) end,
  function(m, key) m:ttl(key, 100) m:ttl(key) end,
  function(m, key) m:claim(key, 0) m:abandon(key) end,
  function(m, key) m:get_or(key, function() return 1 end, nil, 0) end,
  function(m, key) m:wait(key, 1, 0) m:changes() m:stat() end,
  function(m, key)
    m:apply({key, 1, "x"}, {}, {1, ("y"):rep(300)}, {[3] = true})
  end,
  function(m, key) m:update(key, function(v) return v and 1 or {} end) end,
  function(m) assert(#m) end,
  function(m)
    local key, n = m:next(), 0
    while key ~= nil and n < 10000 do -- in order, so that it ends
      key, n = m:next(key), n + 1
    end
    assert(n < 10000, "it goes round")
  end,
}

local function scribble(r, from)
  for _ = 1, math.random(8) do
    local at = math.random(from // 8, SIZE // 8 - 1) * 8
    if math.random(4) == 1 then
      r:fill(at, math.min(SIZE - at, math.random(200)), math.random(0, 255))
    else
      r:store(at, random_word(r))
    end
  end
end

local function life(seed, evict)
  math.randomseed(seed)
  local r <close> = assert(shm.anonymous(SIZE))
  local a <close> = assert(shm.arena(r, {journal = JOURNAL}))
  local m <close> = assert(a:map("m", {evict = evict}))
  for i = 1, 100 do
    m:set(i, ("x"):rep(i))
  end
  for i = 1, ROUNDS do
    if i % 4 == 0 then
      scribble(r, MAP)
    end
    local ok, message = pcall(OPERATIONS[math.random(#OPERATIONS)], m, math.random(120))
    assert(ok or not message:match "goes round", message)
  end
  a:drop "m"
  pcall(m.close, m)
end

describe("a map among scribble", function()
  it("neither crashes nor hangs, nor goes round", function()
    for _ = 1, support.rounds(60) do
      local seed = math.random(1 << 40)
      local child = assert(process.fork(life, seed, seed % 2 == 0))
      local how, code = child:wait(6 * map.LONG)
      if not how then
        child:kill "KILL"
        child:wait()
      end
      child:close()
      assert.same({seed, "exit", 0}, {seed, how, code})
    end
  end)
end)
