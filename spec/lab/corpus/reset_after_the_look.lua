-- Who waits for an event looks for work, resets the event and waits: the work that came in
-- between is not seen, and the reset has taken back what told of it. Mended, it resets first.
local lab = require "shm.lab"

local function working(resets_first)
  return lab.protocol {
    name = "working", words = {"work"}, events = {came = {manual = true}},
    roles = {
      sleeper = function(w)
        while true do
          if resets_first then
            w.came:reset()
          end
          if w.work == 1 then
            return
          end
          if not resets_first then
            w.came:reset()
          end
          w.came:wait()
        end
      end,
      worker = function(w)
        w.work = 1
        w.came:set()
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = working(false), mended = working(true),
  verdict = {kind = "lost wake-up", roles = {1}},
}
