-- Peterson's algorithm with its two stores in the wrong order: the turn is given away before the
-- flag says that anybody wants to enter. This fails on any machine, fence or not.
local lab = require "shm.lab"

local function peterson(flag_first)
  local function role(me)
    local mine, theirs, other = "flag" .. me, "flag" .. 3 - me, 3 - me
    return function(w)
      if flag_first then
        w[mine] = 1
        w.turn = other
      else
        w.turn = other
        w[mine] = 1
      end
      w.fence()
      w.await(function() return w[theirs] == 0 or w.turn == me end)
      w.enter "critical"
      w.leave "critical"
      w[mine] = 0
    end
  end
  return lab.protocol {
    name = "peterson", words = {"flag1", "flag2", "turn"}, roles = {role(1), role(2)},
    never = {at_most_one = function(s) return s.inside.critical > 1 end},
  }
end

return {
  options = {memory = "sc"},
  faulty = peterson(false), mended = peterson(true),
  verdict = {kind = "never", name = "at_most_one"},
}
