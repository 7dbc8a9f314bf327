-- Lamport's bakery without the words that say who is choosing a number: who has chosen but not
-- yet put its number down is not seen, and comes first nevertheless.
local lab = require "shm.lab"

local function bakery(says_so)
  local function role(me)
    local other = 3 - me
    return function(w)
      if says_so then
        w["choosing" .. me] = 1
        w.fence()
      end
      local mine = w["number" .. other] + 1
      w["number" .. me] = mine
      w.fence()
      if says_so then
        w["choosing" .. me] = 0
        w.fence()
        w.await(function() return w["choosing" .. other] == 0 end)
      end
      w.await(function()
        local theirs = w["number" .. other]
        return theirs == 0 or theirs > mine or theirs == mine and other > me
      end)
      w.enter "critical"
      w.leave "critical"
      w["number" .. me] = 0
    end
  end
  return lab.protocol {
    name = "bakery", words = {"choosing1", "choosing2", "number1", "number2"},
    roles = {role(1), role(2)},
    never = {at_most_one = function(s) return s.inside.critical > 1 end},
  }
end

return {
  options = {memory = "tso"},
  faulty = bakery(false), mended = bakery(true),
  verdict = {kind = "never", name = "at_most_one"},
}
