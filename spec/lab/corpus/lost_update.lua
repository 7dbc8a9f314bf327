-- Two add to a counter by reading and writing it: one of the two additions may be lost.
local lab = require "shm.lab"

local function counting(atomic)
  local function role(w)
    for _ = 1, 2 do
      if atomic then
        w.add("counter", 1)
      else
        w.counter = w.counter + 1
      end
    end
  end
  return lab.protocol {
    name = "counting", words = {"counter"}, roles = {role, role},
    finally = {all_counted = function(s) return s.counter == 4 end},
  }
end

return {
  options = {memory = "tso"},
  faulty = counting(false), mended = counting(true),
  verdict = {kind = "finally", name = "all_counted"},
}
