-- Boost.Interprocess, in the program that bench/peers/boost.cpp is.
local place = require "bench.place"
local program = require "bench.program"

local M = {}

local PROGRAM <const> = "build/bench/boost"

local running, why

local function start()
  if not running and not why then
    if program.there(PROGRAM) then
      running, why = program.start(PROGRAM .. " " .. place.name "boost-")
    else
      why = "Boost.Interprocess was not there to build with"
    end
  end
  return running, why
end

--- An entry of that name, for a command that the number of times is added to.
function M.entry(name, command)
  return {
    name = "Boost's " .. name, kind = "peer", start = start,
    run = function(n) return running:ask(command, n) end,
  }
end

--- Tells it something that is not measured; nil and why where it is not there.
function M.tell(...)
  local ok, message = start()
  if not ok then
    return nil, message
  end
  return running:ask(...)
end

return M
