-- Two wait until a gate is open, which it then stays; who opens it signals, which wakes one.
-- Mended, it tells all.
local lab = require "shm.lab"

local function gate(all)
  local function guest(w)
    w.m:lock()
    while w.open == 0 do
      w.c:wait(w.m)
    end
    w.m:unlock()
  end
  return lab.protocol {
    name = "gate", words = {"open"}, locks = {"m"}, conditions = {"c"},
    roles = {
      guest, guest,
      keeper = function(w)
        w.m:lock()
        w.open = 1
        if all then
          w.c:broadcast()
        else
          w.c:signal()
        end
        w.m:unlock()
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = gate(false), mended = gate(true),
  verdict = {kind = "lost wake-up"},
}
