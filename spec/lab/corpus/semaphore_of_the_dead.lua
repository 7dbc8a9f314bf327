-- A semaphore as a lock: who dies with it has it for ever. With undo the kernel gives back what
-- the dead had taken.
local lab = require "shm.lab"

local function guarding(undo)
  local function role(w)
    w.s:wait()
    w.enter "critical"
    w.leave "critical"
    w.s:post()
  end
  return lab.protocol {
    name = "guarding", semaphores = {s = {value = 1, undo = undo}}, roles = {role, role},
    never = {at_most_one = function(s) return s.inside.critical > 1 end},
  }
end

return {
  options = {memory = "sc", crashes = 1},
  faulty = guarding(false), mended = guarding(true),
  verdict = {kind = "deadlock"},
}
