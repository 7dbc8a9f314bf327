--- The real event: shm.event.
-- @module shm.lab.run.event
local simple = require "shm.lab.run.simple"
local shm = require "shm"

local M = {name = "event"}

function M.size(given) return shm.event.size(given) end

function M.create(place, object) simple.create(place, object, shm.event, object.given) end

function M.open(seat, object)
  local real = simple.open(seat, object, shm.event, M.size(object.given))
  local event = real.object
  real.methods = {
    wait = simple.waiting(event, "wait"),
    try = function() return event:try() end,
    set = function() event:set() end,
    reset = function() event:reset() end,
    is_set = function() return event:is_set() end,
  }
  function real.show() return {set = event:is_set()} end
  return real
end

return M
