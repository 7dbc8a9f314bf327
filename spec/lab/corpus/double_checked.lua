-- What is to be made once is made by whoever finds that it is not: under a lock, and looked at
-- before that, to be fast. Who has waited for the lock has to look again.
local lab = require "shm.lab"

local function making(looks_again)
  local function role(w)
    if w.ready == 0 then
      w.m:lock()
      if not looks_again or w.ready == 0 then
        w.value = w.value + 7
        w.ready = 1
      end
      w.m:unlock()
    end
    assert(w.value == 7, "made twice, or not at all")
  end
  return lab.protocol {
    name = "making", words = {"ready", "value"}, locks = {"m"}, roles = {role, role},
  }
end

return {
  options = {memory = "tso"},
  faulty = making(false), mended = making(true),
  verdict = {kind = "error", message = "made twice, or not at all"},
}
