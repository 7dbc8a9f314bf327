--- The real barrier: shm.barrier.
-- @module shm.lab.run.barrier
local simple = require "shm.lab.run.simple"
local shm = require "shm"

local M = {name = "barrier"}

local function parties_of(given)
  return type(given) == "table" and given.parties or given
end

function M.size(given) return shm.barrier.size(parties_of(given)) end

function M.create(place, object)
  simple.create(place, object, shm.barrier, parties_of(object.given))
end

function M.open(seat, object)
  local real = simple.open(seat, object, shm.barrier, M.size(object.given))
  local barrier = real.object
  real.methods = {
    wait = simple.waiting(barrier, "wait"),
    arrived = function() return barrier:arrived() end,
    parties = function() return barrier:parties() end,
  }
  function real.show() return {arrived = barrier:arrived(), parties = barrier:parties()} end
  return real
end

return M
