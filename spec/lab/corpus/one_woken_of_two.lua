-- Two wait for a gate that stays open, and who opens it wakes one of them.
local lab = require "shm.lab"

local function gate(all)
  local function guest(w)
    while w.open == 0 do
      w.wait("open", 0)
    end
  end
  return lab.protocol {
    name = "gate", words = {"open"},
    roles = {
      guest, guest,
      keeper = function(w)
        w.open = 1
        w.wake("open", not all and 1 or nil)
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = gate(false), mended = gate(true),
  verdict = {kind = "lost wake-up"},
}
