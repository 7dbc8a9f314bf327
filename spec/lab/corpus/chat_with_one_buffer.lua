-- The textbook's chat: each client has one buffer in the segment, which its child fills and then
-- tells the others of. The next line is written over it before they have read it. Mended, lines
-- go through a queue.
local lab = require "shm.lab"

local LINES <const> = 2

local function chat(queued)
  return lab.protocol {
    name = "chat", words = {"buffer", "ready"}, queues = {lines = {capacity = 1}},
    roles = {
      listener = function(w)
        w.block "USR1"
        w.ready = 1
        for i = 1, LINES do
          local line
          if queued then
            line = w.lines:pop()
          else
            w.sigwait "USR1"
            line = w.buffer
          end
          assert(line == i, "heard line " .. line .. " in place of " .. i)
        end
      end,
      speaker = function(w)
        w.await(function() return w.ready == 1 end)
        for i = 1, LINES do
          if queued then
            w.lines:push(i)
          else
            w.buffer = i
            w.kill("listener", "USR1")
          end
        end
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = chat(false), mended = chat(true),
  verdict = {kind = "error", roles = {1}, message = "heard line 2 in place of 1"},
}
