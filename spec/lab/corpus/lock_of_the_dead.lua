-- A lock that is a word: who dies inside takes it to the grave. The robust one is passed on.
local lab = require "shm.lab"

local function locking(robust)
  local function role(w)
    if robust then
      w.m:lock()
    else
      repeat
        w.await(function() return w.word == 0 end)
      until w.cas("word", 0, w.role)
    end
    w.enter "critical"
    w.leave "critical"
    if robust then
      w.m:unlock()
    else
      w.word = 0
    end
  end
  return lab.protocol {
    name = "locking", words = {"word"}, locks = {"m"}, roles = {role, role},
    never = {at_most_one = function(s) return s.inside.critical > 1 end},
  }
end

return {
  options = {memory = "tso", crashes = 1},
  faulty = locking(false), mended = locking(true),
  verdict = {kind = "no progress"},
}
