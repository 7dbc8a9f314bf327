--- The real topic: shm.topic. Its capacity is messages here, as in the model. A role's subscribers
-- are closed when it has come to its end.
-- @module shm.lab.run.topic
local padded = require "shm.lab.run.padded"
local patiently = require("shm.lab.run.words").patiently
local shm = require "shm"
local simple = require "shm.lab.run.simple"

local M = {name = "topic"}

local EXTRA <const> = 26 -- bytes

local function options_of(given)
  return {capacity = padded.TOPIC, overflow = given and given.overflow or nil}
end

function M.size(given) return shm.topic.size(options_of(given)) end

function M.create(place, object)
  simple.create(place, object, shm.topic, options_of(object.given))
end

local function handle_of(subscriber)
  return setmetatable({
    next = function(_, timeout)
      return padded.received(patiently(function(left) return subscriber:next(left) end, timeout))
    end,
    try = function() return padded.received(subscriber:try()) end,
    lost = function() return subscriber:lost() end,
    close = function() return subscriber:close() end,
  }, {__len = function() return #subscriber end})
end

function M.open(seat, object)
  local given = object.given
  local real = simple.open(seat, object, shm.topic, M.size(given))
  local topic, what = real.object, ("topic '%s'"):format(object.name)
  local length = padded.length(given and given.capacity or 16, 2, EXTRA, what)
  local subscribers = {}
  real.methods = setmetatable({
    publish = function(_, message, timeout)
      local bytes = padded.encode(message, length, what)
      return patiently(function(left) return topic:publish(bytes, left) end, timeout)
    end,
    subscribe = function(_, options)
      local subscriber = assert(topic:subscribe(options))
      subscribers[#subscribers + 1] = subscriber
      return handle_of(subscriber)
    end,
    subscribers = function() return (topic:subscribers()) end,
  }, {__len = function() return #topic end})

  function real.finish()
    for i = #subscribers, 1, -1 do
      subscribers[i]:close()
      subscribers[i] = nil
    end
  end

  function real.show() return {length = #topic, subscribers = (topic:subscribers())} end
  return real
end

return M
