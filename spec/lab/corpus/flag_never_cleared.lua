-- The same hand-over, in which the server does not clear the flag once it has the line: the
-- client waits for that for ever.
local lab = require "shm.lab"

local function hand_over(clears)
  return lab.protocol {
    name = "hand-over", words = {"flag", "line"}, observe = {"flag"},
    roles = {
      client = function(w)
        for i = 1, 2 do
          while w.flag == 1 do end
          w.line = i
          w.flag = 1
        end
      end,
      server = function(w)
        for i = 1, 2 do
          w.await(function() return w.flag == 1 end)
          w.observe("line" .. i, w.line)
          if clears then
            w.flag = 0
          end
        end
      end,
    },
    finally = {all_came = function(s) return s.observed.line1 == 1 and s.observed.line2 == 2 end},
  }
end

return {
  options = {memory = "tso"},
  faulty = hand_over(false), mended = hand_over(true),
  verdict = {kind = "no progress", roles = {1}},
}
