-- What the specs of maps share: an arena of their own, and processes that do something to it.
local assert = require "luassert"
local locks = require "spec.lock_support"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local M = {LONG = locks.LONG, refused = locks.refused, child = locks.child, parked = locks.parked,
           bury = locks.bury}

--- An arena without a name, with a map in it; both close with the scope of the first.
function M.arena(size, options, arena_options)
  local region <close> = assert(shm.anonymous(size, {max = (arena_options or {}).max}))
  local a = assert(shm.arena(region, arena_options))
  return a, assert(a:map("m", options))
end

--- How many keys pairs finds, each of which can be read if it does not expire just now.
function M.count(m, expiring)
  local n = 0
  for key, value in m:pairs() do
    n = n + 1
    local found = m:get(key)
    assert(expiring and found == nil or type(value) == "table" or found == value)
  end
  return n
end

--- The map is whole: as many keys as are counted, and the arena's blocks lie side by side.
function M.whole(a, m)
  assert.is_true(a:check())
  assert.equal(#m, M.count(m))
end

--- Children that do f(i), all of which end well.
function M.together(n, f)
  local children = {}
  for i = 1, n do
    children[i] = assert(process.fork(f, i))
  end
  for i, child in ipairs(children) do
    local how, code = child:wait(6 * M.LONG)
    if not how then
      child:kill "KILL"
      child:wait()
    end
    child:close()
    assert.same({i, "exit", 0}, {i, how, code})
  end
end

--- What a test leaves as it found it: children, and descriptors.
function M.outside()
  return {support.children(), support.descriptors()}
end

return M
