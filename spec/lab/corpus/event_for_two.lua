-- Two wait for one event with automatic reset, which lets through one. Mended, it stays set.
local lab = require "shm.lab"

local function starting(manual)
  local function runner(w) w.start:wait() end
  return lab.protocol {
    name = "starting", events = {start = {manual = manual}},
    roles = {runner, runner, starter = function(w) w.start:set() end},
  }
end

return {
  options = {memory = "sc"},
  faulty = starting(false), mended = starting(true),
  verdict = {kind = "deadlock", roles = {2}},
}
