-- Who changes two words under a robust lock may die after the first. The next holder is told so;
-- here it does not listen.
local lab = require "shm.lab"

local function accounts(recovers)
  local function role(w)
    local _, how = w.m:lock()
    if how == "recovered" and recovers and w.a + w.b ~= 10 then
      w.b = 10 - w.a -- a is changed first
    end
    assert(w.a + w.b == 10, "half an update")
    w.a = w.a + 1
    w.b = w.b - 1
    w.m:unlock()
  end
  return lab.protocol {
    name = "accounts", words = {a = 5, b = 5}, locks = {"m"}, roles = {role, role},
  }
end

return {
  options = {memory = "tso", crashes = 1},
  faulty = accounts(false), mended = accounts(true),
  verdict = {kind = "error", message = "half an update"},
}
