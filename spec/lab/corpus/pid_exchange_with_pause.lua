-- The textbook's pid exchange: the server leaves its pid in the segment and pauses until a client
-- has come, who leaves its own and sends a signal. One that comes between the look and the pause
-- is lost. Mended, it is blocked from the beginning, and taken.
local lab = require "shm.lab"

local function exchange(blocks)
  return lab.protocol {
    name = "pid exchange", words = {"server_pid", "client_pid"},
    roles = {
      client = function(w)
        w.await(function() return w.server_pid ~= 0 end)
        w.client_pid = w.role
        w.kill(w.server_pid, "USR1")
      end,
      server = function(w)
        if blocks then
          w.block "USR1"
        end
        w.server_pid = w.role
        while w.client_pid == 0 do
          if blocks then
            w.sigwait "USR1"
          else
            w.pause()
          end
        end
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = exchange(false), mended = exchange(true),
  verdict = {kind = "lost wake-up", roles = {2}, message = "server sleeps in pause()"},
}
