--- The real clock: seconds since the role began, which go on by themselves.
-- @module shm.lab.run.clock
local patiently = require("shm.lab.run.words").patiently
local process = require "shm.process"

local M = {name = "clock"}

function M.open()
  local began = process.monotonic()
  return {
    methods = {},
    world = {
      now = function() return process.monotonic() - began end,
      sleep = function(seconds)
        if type(seconds) ~= "number" or seconds < 0 or seconds ~= seconds then
          error(("w.sleep: seconds from 0 expected, got %s"):format(tostring(seconds)), 0)
        end
        return patiently(process.sleep, seconds)
      end,
    },
    begin = function() began = process.monotonic() end,
    reset = function() end,
  }
end

return M
