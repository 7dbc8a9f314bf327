-- The filter lock for three with one level: each level keeps one back, so two come through.
local lab = require "shm.lab"

local N <const> = 3

local function filter(levels)
  local function role(me)
    return function(w)
      for level = 1, levels do
        w["level" .. me] = level
        w["victim" .. level] = me
        w.fence()
        w.await(function()
          if w["victim" .. level] ~= me then
            return true
          end
          for i = 1, N do
            if i ~= me and w["level" .. i] >= level then
              return false
            end
          end
          return true
        end)
      end
      w.enter "critical"
      w.leave "critical"
      w["level" .. me] = 0
    end
  end
  return lab.protocol {
    name = "filter", words = {"level1", "level2", "level3", "victim1", "victim2"},
    roles = {role(1), role(2), role(3)},
    never = {at_most_one = function(s) return s.inside.critical > 1 end},
  }
end

return {
  options = {memory = "sc"},
  faulty = filter(N - 2), mended = filter(N - 1),
  verdict = {kind = "never", name = "at_most_one"},
}
