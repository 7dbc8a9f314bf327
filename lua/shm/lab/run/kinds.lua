--- The real objects of each kind, beside the models of shm.lab.kinds; which ones, the names say.
--
--   name                  the kind's
--   size(given)           bytes that it takes of the segment; absent for none
--   create(place, object) makes it, in the parent, before the first round
--   open(seat, object)    as one process has it, a table:
--     methods   by name, functions(self, ...): what a role calls
--     world     functions that the world itself has
--     begin()   before the role's part in a round; absent for nothing
--     finish()  after it; absent for nothing
--     reset()   as it was at first, between two rounds
--     show()    what rules see of it, as the model's kind shows it
--     left()    what is still there when a round is over, in words, or nil
--     close()   when the run is over: nothing is left behind
-- @module shm.lab.run.kinds
local M = {list = {}}

local function add(kind)
  M.list[kind.name] = kind
end

add(require "shm.lab.run.barrier")
add(require "shm.lab.run.clock")
add(require "shm.lab.run.condition")
add(require "shm.lab.run.event")
add(require "shm.lab.run.fork")
add(require "shm.lab.run.lock")
add(require "shm.lab.run.queue")
add(require "shm.lab.run.rwlock")
add(require "shm.lab.run.segment")
add(require "shm.lab.run.semaphore")
add(require "shm.lab.run.set")
add(require "shm.lab.run.signals")
add(require "shm.lab.run.topic")

--- The real kind for an object of a protocol.
function M.of(object)
  local kind = M.list[object.kind.name]
  if not kind then
    error(("lab.run: there is no real %s"):format(object.kind.name), 0)
  end
  return kind
end

--- The objects of a protocol with their real kinds.
function M.objects(protocol)
  local objects = {}
  for i, object in ipairs(protocol.objects) do
    objects[i] = {name = object.name, given = object.given, real = M.of(object)}
  end
  return objects
end

return M
