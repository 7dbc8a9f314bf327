-- Two move money between accounts, each takes the lock of where it comes from first.
local lab = require "shm.lab"

local function bank(ordered)
  local function transfer(from, to)
    return function(w)
      local first, second = from, to
      if ordered and second < first then
        first, second = second, first
      end
      w["lock_" .. first]:lock()
      w["lock_" .. second]:lock()
      w[from] = w[from] - 1
      w[to] = w[to] + 1
      w["lock_" .. second]:unlock()
      w["lock_" .. first]:unlock()
    end
  end
  return lab.protocol {
    name = "bank", words = {a = 10, b = 10}, locks = {"lock_a", "lock_b"},
    roles = {transfer("a", "b"), transfer("b", "a")},
    finally = {nothing_lost = function(s) return s.a == 10 and s.b == 10 end},
  }
end

return {
  options = {memory = "tso"},
  faulty = bank(false), mended = bank(true),
  verdict = {kind = "deadlock", roles = {1, 2}},
}
