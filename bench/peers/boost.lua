-- Boost.Interprocess, in the program that bench/peers/boost.cpp is.
local place = require "bench.place"
local program = require "bench.program"

local PROGRAM <const> = "build/bench/boost"

return program.peer("Boost's ", function()
  if program.there(PROGRAM) then
    return program.start(PROGRAM .. " " .. place.name "boost-")
  end
  return nil, "Boost.Interprocess was not there to build with"
end)
