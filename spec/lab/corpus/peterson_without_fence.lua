-- Peterson's algorithm as it is printed, on a machine with store buffers: each looks at the
-- other's flag while its own is still in its buffer.
local lab = require "shm.lab"

local function peterson(fenced)
  local function role(me)
    local mine, theirs, other = "flag" .. me, "flag" .. 3 - me, 3 - me
    return function(w)
      w[mine] = 1
      w.turn = other
      if fenced then
        w.fence()
      end
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
  options = {memory = "tso"},
  faulty = peterson(false), mended = peterson(true),
  verdict = {kind = "never", name = "at_most_one"},
}
