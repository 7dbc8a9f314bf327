--- The real condition: shm.condition, which is waited for with a real lock.
-- @module shm.lab.run.condition
local patiently = require("shm.lab.run.words").patiently
local simple = require "shm.lab.run.simple"
local shm = require "shm"

local M = {name = "condition"}

function M.size() return shm.condition.size() end

function M.create(place, object) simple.create(place, object, shm.condition) end

function M.open(seat, object)
  local real = simple.open(seat, object, shm.condition, M.size())
  local condition = real.object
  real.methods = {
    wait = function(_, lock, timeout)
      local other = type(lock) == "table" and seat.real[lock.name]
      if not other or not other.object then
        error(("condition.wait '%s': mutex: a lock expected"):format(object.name), 0)
      end
      local ok, what, pid = patiently(function(left)
        return condition:wait(other.object, left)
      end, timeout)
      if ok and what == "recovered" then
        return ok, what, seat.role_of(pid)
      end
      return ok, what, pid
    end,
    signal = function() return condition:signal() end,
    broadcast = function() return condition:broadcast() end,
  }
  function real.show() return {waiting = condition:waiters()} end
  return real
end

return M
