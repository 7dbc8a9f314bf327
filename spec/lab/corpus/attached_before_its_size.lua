-- The textbook's POSIX writer and reader: a name that is there may have no size yet, and who
-- attaches then and reads gets SIGBUS. Mended, a lock is held until it has.
local lab = require "shm.lab"

local function writing(locked)
  local function lock(w)
    if locked then
      w.creating:lock()
    end
  end
  local function unlock(w)
    if locked then
      w.creating:unlock()
    end
  end
  return lab.protocol {
    name = "writing", locks = {"creating"}, segments = {demo = {"line"}},
    roles = {
      reader = function(w)
        lock(w)
        local there = w.demo:open()
        unlock(w)
        if there then
          w.observe("line", w.demo:attach().line)
        end
      end,
      writer = function(w)
        lock(w)
        w.demo:create()
        w.demo:truncate()
        unlock(w)
        w.demo:attach().line = 7
        w.demo:unlink()
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = writing(false), mended = writing(true),
  verdict = {kind = "error", roles = {1}, message = "SIGBUS"},
}
