-- A writer counts before and after it changes two words; a reader that finds the count even has
-- to look at it once more after it has read them.
local lab = require "shm.lab"

local function seqlock(looks_again)
  return lab.protocol {
    name = "seqlock", words = {"count", "x", "y"},
    roles = {
      writer = function(w)
        w.count = 1
        w.x = 1
        w.y = 1
        w.count = 2
      end,
      reader = function(w)
        local before, x, y
        repeat
          w.await(function() return w.count % 2 == 0 end)
          before = w.count
          x, y = w.x, w.y
        until before % 2 == 0 and (not looks_again or w.count == before)
        assert(x == y, "torn")
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = seqlock(false), mended = seqlock(true),
  verdict = {kind = "error", roles = {1}, message = "torn"},
}
