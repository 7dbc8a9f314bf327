-- Each computes its own value and then uses its neighbour's, which may not be there yet. Mended,
-- they meet in between.
local lab = require "shm.lab"

local function computing(meet)
  local function role(w)
    w["value" .. w.role] = 7
    if meet then
      w.all:wait()
    end
    assert(w["value" .. w.role % 2 + 1] == 7, "not computed yet")
  end
  return lab.protocol {
    name = "computing", words = {"value1", "value2"}, barriers = {all = 2}, roles = {role, role},
  }
end

return {
  options = {memory = "tso"},
  faulty = computing(false), mended = computing(true),
  verdict = {kind = "error", message = "not computed yet"},
}
