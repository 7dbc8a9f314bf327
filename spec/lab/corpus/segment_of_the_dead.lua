-- A server that is killed before it has removed its segment leaves it behind; the one that comes
-- in its place finds the name taken, and gives up: the name stays for ever. Mended, it removes
-- what the last one left.
local lab = require "shm.lab"

local function serving(removes)
  return lab.protocol {
    name = "serving", segments = {state = {"value"}},
    roles = {
      server = {restart = true, run = function(w)
        if not w.state:create() then
          if not removes then
            return
          end
          w.state:unlink()
          w.state:create()
        end
        w.state:truncate()
        w.state:attach().value = 1
        w.state:unlink()
      end},
    },
  }
end

return {
  options = {memory = "tso", crashes = 2},
  faulty = serving(false), mended = serving(true),
  verdict = {kind = "left behind", name = "state"},
}
