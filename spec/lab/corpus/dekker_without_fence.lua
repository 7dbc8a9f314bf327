-- Dekker's algorithm, on a machine with store buffers, without a fence between saying that one
-- wants to enter and looking whether the other does.
local lab = require "shm.lab"

local function dekker(fenced)
  local function role(me)
    local mine, theirs, other = "flag" .. me, "flag" .. 3 - me, 3 - me
    return function(w)
      local function want()
        w[mine] = 1
        if fenced then
          w.fence()
        end
      end
      want()
      while w[theirs] == 1 do
        if w.turn == other then
          w[mine] = 0
          w.await(function() return w.turn == me or w[theirs] == 0 end)
          want()
        end
      end
      w.enter "critical"
      w.leave "critical"
      w.turn = other
      w[mine] = 0
    end
  end
  return lab.protocol {
    name = "dekker", words = {"flag1", "flag2", turn = 1}, roles = {role(1), role(2)},
    never = {at_most_one = function(s) return s.inside.critical > 1 end},
  }
end

return {
  options = {memory = "tso"},
  faulty = dekker(false), mended = dekker(true),
  verdict = {kind = "never", name = "at_most_one"},
}
