-- A role that returns early, with the lock: where it is the last, nobody even notices.
local lab = require "shm.lab"

local function taking(releases)
  local function role(w)
    w.m:lock()
    if w.stock == 0 then
      if releases then
        w.m:unlock()
      end
      return
    end
    w.stock = w.stock - 1
    w.m:unlock()
  end
  return lab.protocol {
    name = "taking", words = {stock = 1}, locks = {"m"}, roles = {role, role},
    finally = {taken = function(s) return s.stock == 0 end},
  }
end

return {
  options = {memory = "sc"},
  faulty = taking(false), mended = taking(true),
  verdict = {kind = "left behind", name = "m"},
}
