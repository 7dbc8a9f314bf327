-- A waker that saves itself the call when nobody says that it sleeps. Without a fence it may look
-- for sleepers while its own store is still in its buffer: then neither sees the other.
local lab = require "shm.lab"

local function sparing(fenced)
  return lab.protocol {
    name = "sparing", words = {"ready", "sleeping"},
    roles = {
      sleeper = function(w)
        w.sleeping = 1
        w.fence()
        while w.ready == 0 do
          w.wait("ready", 0)
        end
        w.sleeping = 0
      end,
      waker = function(w)
        w.ready = 1
        if fenced then
          w.fence()
        end
        if w.sleeping == 1 then
          w.wake "ready"
        end
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = sparing(false), mended = sparing(true),
  verdict = {kind = "lost wake-up", roles = {1}},
}
