-- Who reads two words that belong together without the lock may find one of before and one of
-- after. Mended, it locks them for reading.
local lab = require "shm.lab"

local function table_of_two(locks)
  local function reader(w)
    if locks then
      w.rw:lock_shared()
    end
    assert(w.x == w.y, "torn")
    if locks then
      w.rw:unlock()
    end
  end
  return lab.protocol {
    name = "table of two", words = {"x", "y"}, rwlocks = {"rw"},
    roles = {
      reader, reader,
      writer = function(w)
        w.rw:lock()
        w.x = 1
        w.y = 1
        w.rw:unlock()
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = table_of_two(false), mended = table_of_two(true),
  verdict = {kind = "error", message = "torn"},
}
