-- A semaphore set is there before it is initialised, and the setting forgets what others have
-- posted meanwhile. Mended, who makes it marks it as ready by a first semop, as otime tells, and
-- who finds it younger than that comes back later.
local lab = require "shm.lab"

local function counting(careful)
  return lab.protocol {
    name = "counting", words = {"sent", "done"}, sets = {"lines"},
    roles = {
      client = function(w)
        if w.lines:open() and (not careful or w.lines:otime() ~= 0) then
          w.lines:op(0, 1)
          w.sent = 1
        end
        w.done = 1
      end,
      server = function(w)
        w.lines:create(1)
        w.lines:setval(0, 0)
        if careful then
          w.lines:op(0, 1)
          w.lines:op(0, -1)
        end
        w.await(function() return w.done == 1 end)
        if w.sent == 1 then
          w.lines:op(0, -1)
        end
        w.lines:remove()
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = counting(false), mended = counting(true),
  verdict = {kind = "deadlock", roles = {2}, message = "lines:op(0, -1)"},
}
