-- A barrier for three, where one of the three leaves early: the others wait for it for ever.
local lab = require "shm.lab"

local function meeting(parties)
  local function role(w)
    if w.role == 3 then
      return
    end
    w.all:wait()
  end
  return lab.protocol {
    name = "meeting", barriers = {all = parties}, roles = {role, role, role},
  }
end

return {
  options = {memory = "sc"},
  faulty = meeting(3), mended = meeting(2),
  verdict = {kind = "deadlock", roles = {1, 2}},
}
