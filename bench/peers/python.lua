-- Python's multiprocessing, in an interpreter of its own that runs bench/peers/python.py.
local place = require "bench.place"
local program = require "bench.program"

return program.peer("Python's ", function()
  if program.there "python3" then
    return program.start(("env TMPDIR=%s PYTHONHASHSEED=0 python3 bench/peers/python.py %s")
                         :format(place.folder, place.name "python"))
  end
  return nil, "python3 is not there"
end)
