--- Real children: processes that a role forks, which are roles of their own from there on. Those
-- that are still there when a round is over have come to their end as roles, and end.
-- @module shm.lab.run.fork
local patiently = require("shm.lab.run.words").patiently

local M = {name = "fork"}

function M.open(seat)
  local children = {}

  local function handle_of(child, index, name)
    return {
      wait = function(_, timeout)
        return patiently(function(left) return child:wait(left) end, timeout)
      end,
      kill = function(_, signal) return seat.kill(index, (signal:gsub("^SIG", ""))) end,
      alive = function() return child:alive() end,
      role = index, name = name,
    }
  end

  return {
    methods = {},
    world = {
      fork = function(f, name)
        if type(f) ~= "function" then
          error(("w.fork: function expected, got %s"):format(type(f)), 0)
        elseif name ~= nil and type(name) ~= "string" then
          error(("w.fork: name: string expected, got %s"):format(type(name)), 0)
        end
        local child, index, known_as = seat.spawn(f, name)
        children[#children + 1] = child
        return handle_of(child, index, known_as)
      end,
    },
    begin = function() -- the round before is over, and they have ended or are about to
      for i = #children, 1, -1 do
        children[i]:wait()
        children[i]:close()
        children[i] = nil
      end
      seat.children = 0
    end,
    reset = function() end,
  }
end

return M
