-- What the specs of locks share: other processes that hold, wait, and die.
local assert = require "luassert"
local process = require "shm.process"
local support = require "spec.support"

local M = {
  EPERM = 1, ENOENT = 2, EINTR = 4, EBUSY = 16, EEXIST = 17, EXDEV = 18, EDEADLK = 35,
  ENOTEMPTY = 39, EPROTO = 71, EOVERFLOW = 75, EUSERS = 87, ETIMEDOUT = 110,
}

--- Seconds that bound what should take none.
M.LONG = support.LONG

M.refused = support.refused

--- A child that ends with the scope: its pid, and `ended()`, which is true when all went well.
function M.child(f, ...)
  local child = assert(process.fork(f, ...))
  local self = {pid = child.pid}
  function self.kill(_, signal)
    return child:kill(signal)
  end
  function self.ended()
    local how, code = child:wait(M.LONG)
    assert(how, "it hangs")
    return how == "exit" and code == 0
  end
  return setmetatable(self, {__close = function()
    child:kill "KILL"
    child:wait(M.LONG)
    child:close()
  end})
end

--- A child that has called f and then sleeps until it is killed.
function M.parked(f, ...)
  local ours <close>, other = assert(process.socketpair())
  local theirs <close> = other
  local child = M.child(function(...)
    f(...)
    theirs:send "."
    support.forever()
  end, ...)
  assert.equal(".", ours:recv(1, M.LONG))
  return child
end

--- Kills a child of ours, and waits until it is dead.
function M.bury(child)
  child:kill "KILL"
  child.ended()
end

--- The pid of a process that called f and was killed with -9.
function M.dead(f, ...)
  local child <close> = M.parked(f, ...)
  M.bury(child)
  return child.pid
end

--- Waits until so many sleep at the object.
function M.sleepers(object, n)
  support.eventually(function() return object:waiters() == n end)
end

--- Runs Lua in a process that was not forked from this one, and returns what it prints.
function M.stranger(code, ...)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(code:format(...))
  file:close()
  local said = support.shell(("timeout -k 5 %d lua5.4 %s 2>&1"):format(M.LONG, path))
  os.remove(path)
  return said
end

return M
