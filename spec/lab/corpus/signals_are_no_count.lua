-- Two clients each leave a line and signal the server, which takes a line for each signal. Of a
-- signal that is pending another one makes no second: one line stays. Mended, it takes all that
-- are there.
local lab = require "shm.lab"

local function serving(takes_all)
  local function client(w)
    w.await(function() return w.ready == 1 end)
    w.add("lines", 1)
    w.kill("server", "USR1")
  end
  return lab.protocol {
    name = "serving", words = {"lines", "ready"},
    roles = {
      ann = client, bob = client,
      server = function(w)
        w.block "USR1"
        w.ready = 1
        local taken = 0
        repeat
          w.sigwait "USR1"
          local there = w.lines
          taken = takes_all and there or taken + 1
        until taken == 2
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = serving(false), mended = serving(true),
  verdict = {kind = "lost wake-up", roles = {3}},
}
