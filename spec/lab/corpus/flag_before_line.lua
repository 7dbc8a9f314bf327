-- The textbook's flag hand-over: one writes a line and sets a flag, the other waits for the flag,
-- takes the line and clears it. Here the flag is set before the line is there.
local lab = require "shm.lab"

local function hand_over(line_first)
  return lab.protocol {
    name = "hand-over", words = {"flag", "line"},
    roles = {
      client = function(w)
        for i = 1, 2 do
          w.await(function() return w.flag == 0 end)
          if line_first then
            w.line = i
            w.flag = 1
          else
            w.flag = 1
            w.line = i
          end
        end
      end,
      server = function(w)
        for i = 1, 2 do
          while w.flag == 0 do end -- busy, as the textbook does
          local line = w.line
          assert(line == i, "read line " .. line .. " in place of " .. i)
          w.flag = 0
        end
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = hand_over(false), mended = hand_over(true),
  verdict = {kind = "error", roles = {2}, message = "read line 0 in place of 1"},
}
