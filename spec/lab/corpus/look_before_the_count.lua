-- An eventcount whose sleeper looks whether there is work first, and reads the count that it
-- sleeps on afterwards: what came in between is in the count already, and it sleeps over it.
local lab = require "shm.lab"

local function eventcount(count_first)
  return lab.protocol {
    name = "eventcount", words = {"work", "count"},
    roles = {
      sleeper = function(w)
        while true do
          local seen = count_first and w.count
          if w.work == 1 then
            return
          end
          w.wait("count", seen or w.count)
        end
      end,
      worker = function(w)
        w.work = 1
        w.add("count", 1)
        w.wake "count"
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = eventcount(false), mended = eventcount(true),
  verdict = {kind = "lost wake-up", roles = {1}},
}
