-- Waits on a word while it is 1, and is woken without the word being changed: the wake-up may
-- come before anybody sleeps, and then the word still says that there is to be slept.
local lab = require "shm.lab"

local function waking(changes)
  return lab.protocol {
    name = "waking", words = {flag = 1},
    roles = {
      sleeper = function(w)
        while w.flag == 1 do
          w.wait("flag", 1)
          if not changes then
            break
          end
        end
      end,
      waker = function(w)
        if changes then
          w.flag = 0
        end
        w.wake "flag"
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = waking(false), mended = waking(true),
  verdict = {kind = "lost wake-up", roles = {1}},
}
