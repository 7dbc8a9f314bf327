-- Who was woken takes for granted what it was woken for: between the signal and its having the
-- lock again another one may have taken it. Mended, it looks in a loop.
local lab = require "shm.lab"

local function taking(in_a_loop)
  local function consumer(w)
    w.m:lock()
    if in_a_loop then
      while w.items == 0 do
        w.c:wait(w.m)
      end
    elseif w.items == 0 then
      w.c:wait(w.m)
    end
    assert(w.items > 0, "nothing there")
    w.items = w.items - 1
    w.m:unlock()
  end
  return lab.protocol {
    name = "taking", words = {"items"}, locks = {"m"}, conditions = {"c"},
    roles = {
      consumer, consumer,
      producer = function(w)
        for _ = 1, 2 do
          w.m:lock()
          w.items = w.items + 1
          w.c:signal()
          w.m:unlock()
        end
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = taking(false), mended = taking(true),
  verdict = {kind = "error", message = "nothing there"},
}
