-- Who signals without having held the lock may do so after the other has looked, and before it
-- sleeps.
local lab = require "shm.lab"

local function telling(locks)
  return lab.protocol {
    name = "telling", words = {"ready"}, locks = {"m"}, conditions = {"c"},
    roles = {
      sleeper = function(w)
        w.m:lock()
        while w.ready == 0 do
          w.c:wait(w.m)
        end
        w.m:unlock()
      end,
      teller = function(w)
        if locks then
          w.m:lock()
        end
        w.ready = 1
        if locks then
          w.m:unlock()
        end
        w.c:signal()
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = telling(false), mended = telling(true),
  verdict = {kind = "lost wake-up", roles = {1}},
}
