-- Python's multiprocessing, in an interpreter of its own that runs bench/peers/python.py.
local place = require "bench.place"
local program = require "bench.program"

local M = {}

local running, why

local function start()
  if not running and not why then
    if program.there "python3" then
      running, why = program.start(("env TMPDIR=%s python3 bench/peers/python.py %s")
                                   :format(place.folder, place.name "python"))
    else
      why = "python3 is not there"
    end
  end
  return running, why
end

--- An entry of that name, for a command that the number of times is added to.
function M.entry(name, command, kind)
  return {
    name = "Python's " .. name, kind = kind or "peer", start = start,
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
