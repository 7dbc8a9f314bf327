-- What the specs of rpc share: an arena of their own, and processes that serve in it.
local assert = require "luassert"
local locks = require "spec.lock_support"
local process = require "shm.process"
local rpc = require "shm.rpc"
local shm = require "shm"
local support = require "spec.support"

local M = {LONG = locks.LONG, refused = locks.refused, child = locks.child, bury = locks.bury}

--- An arena without a name.
function M.arena(size)
  local region <close> = assert(shm.anonymous(size or 1 << 21))
  return assert(shm.arena(region))
end

--- A child that serves until it is told to end; it is there when this returns, and reads the
-- signal that tells it, however early that comes.
function M.serve(arena, name, methods, opts)
  local ours <close>, other = assert(process.socketpair())
  local theirs <close> = other
  local child = M.child(function()
    local _ <close> = assert(process.signals "TERM")
    local server <close> = assert(rpc.server(arena, name, methods, opts))
    theirs:send "."
    assert(server:serve())
  end)
  assert.equal(".", ours:recv(1, M.LONG))
  return child
end

--- Ends a child that serves, by a signal that it reads; all it did went well.
function M.finish(child)
  child:kill "TERM"
  assert.is_true(child.ended())
end

--- Runs f in a child, which then dies by kill -9; its pid.
function M.killed(f)
  local child = assert(process.fork(function()
    f()
    process.kill(process.pid(), "KILL")
  end))
  assert.same({"signal", "KILL"}, {child:wait(M.LONG)})
  child:close()
  return child.pid
end

--- Nothing of the service is left in the arena but other names, and no memory that was used
-- before is missing.
function M.nothing_left(arena, name, used, names)
  assert(rpc.remove(arena, name))
  collectgarbage()
  collectgarbage()
  assert(arena:attached()) -- the dead have nothing then
  assert.same(names or {}, (assert(arena:names())))
  assert.equal(used, arena:stat().used)
  assert.is_true(arena:check())
end

--- What a test leaves as it found it.
function M.outside()
  return support.belongings()
end

return M
