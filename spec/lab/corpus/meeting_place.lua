-- Two wait until both have come, each counting itself by reading and writing.
local lab = require "shm.lab"

local function meeting(atomic)
  local function role(w)
    if atomic then
      w.add("here", 1)
    else
      w.here = w.here + 1
    end
    w.await(function() return w.here == 2 end)
  end
  return lab.protocol {name = "meeting", words = {"here"}, roles = {role, role}}
end

return {
  options = {memory = "tso"},
  faulty = meeting(false), mended = meeting(true),
  verdict = {kind = "no progress", roles = {1}},
}
