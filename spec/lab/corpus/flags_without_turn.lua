-- Two that each say that they want to enter and wait until the other does not: nobody is ever
-- inside with the other, as nobody may ever be inside.
local lab = require "shm.lab"

local function flags(polite)
  local function role(me)
    local mine, theirs = "flag" .. me, "flag" .. 3 - me
    return function(w)
      w[mine] = 1
      w.fence()
      if polite then
        w.turn = 3 - me
        w.fence()
      end
      w.await(function() return w[theirs] == 0 or polite and w.turn == me end)
      w.enter "critical"
      w.leave "critical"
      w[mine] = 0
    end
  end
  return lab.protocol {
    name = "flags", words = {"flag1", "flag2", "turn"}, roles = {role(1), role(2)},
    never = {at_most_one = function(s) return s.inside.critical > 1 end},
  }
end

return {
  options = {memory = "tso"},
  faulty = flags(false), mended = flags(true),
  verdict = {kind = "no progress", roles = {1}},
}
