-- Two wait for a start, and the starter posts once: a semaphore lets through as many as were
-- posted. Mended, it posts for each.
local lab = require "shm.lab"

local function starting(n)
  local function runner(w) w.start:wait() end
  return lab.protocol {
    name = "starting", semaphores = {"start"},
    roles = {runner, runner, starter = function(w) w.start:post(n) end},
  }
end

return {
  options = {memory = "sc"},
  faulty = starting(1), mended = starting(2),
  verdict = {kind = "deadlock"},
}
