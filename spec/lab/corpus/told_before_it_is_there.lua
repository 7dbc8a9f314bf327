-- A parent forks a worker and then writes down its work; the worker reads it at once. Memory that
-- is shared from the beginning is shared at once, too. Mended, the work is written first.
local lab = require "shm.lab"

local function working(work_first)
  return lab.protocol {
    name = "working", words = {"work"},
    roles = {
      parent = function(w)
        local function worker(own)
          assert(own.work == 7, "no work")
        end
        local child
        if work_first then
          w.work = 7
          child = w.fork(worker, "worker")
        else
          child = w.fork(worker, "worker")
          w.work = 7
        end
        child:wait()
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = working(false), mended = working(true),
  verdict = {kind = "error", roles = {2}, message = "no work"},
}
