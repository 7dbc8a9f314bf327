--- The real queue: shm.queue. Its capacity is messages here, as in the model.
-- @module shm.lab.run.queue
local padded = require "shm.lab.run.padded"
local patiently = require("shm.lab.run.words").patiently
local shm = require "shm"
local simple = require "shm.lab.run.simple"

local M = {name = "queue"}

local EXTRA <const> = 11 -- bytes

local function options_of(given)
  return {capacity = padded.QUEUE, overflow = given and given.overflow or nil}
end

function M.size(given) return shm.queue.size(options_of(given)) end

function M.create(place, object)
  simple.create(place, object, shm.queue, options_of(object.given))
end

function M.open(seat, object)
  local given = object.given
  local real = simple.open(seat, object, shm.queue, M.size(given))
  local queue, what = real.object, ("queue '%s'"):format(object.name)
  local length = padded.length(given and given.capacity or 16, 1, EXTRA, what)
  real.methods = setmetatable({
    push = function(_, message, timeout)
      local bytes = padded.encode(message, length, what)
      return patiently(function(left) return queue:push(bytes, left) end, timeout)
    end,
    pop = function(_, timeout)
      return padded.received(patiently(function(left) return queue:pop(left) end, timeout))
    end,
    peek = function() return padded.received(queue:peek()) end,
    shutdown = function() return queue:shutdown() end,
  }, {__len = function() return #queue end})
  function real.show() return {length = #queue} end
  return real
end

return M
