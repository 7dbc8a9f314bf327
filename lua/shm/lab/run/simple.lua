--- What the real objects have in common that lie in the segment as bytes alone: they are made
-- once, and are as at first when these bytes are.
-- @module shm.lab.run.simple
local patiently = require("shm.lab.run.words").patiently

local M = {}

--- Makes one.
function M.create(place, object, kind, ...)
  assert(kind.create(place.region, place.objects[object.name], ...))
end

--- One as a process has it.
-- @tparam table seat
-- @tparam table object
-- @tparam table kind shm.mutex or another
-- @int size bytes
-- @treturn table real: object, reset
function M.open(seat, object, kind, size)
  local region, at = seat.place.region, seat.place.objects[object.name]
  local real = {object = assert(kind.attach(region, at))}
  -- The parent opens it first, when it is new.
  object.image = object.image or region:read(at, size)

  function real.reset()
    if region:compare(at, object.image, 0, size) ~= 0 then
      region:write(at, object.image)
    end
  end
  return real
end

--- A method that waits, up to a timeout.
function M.waiting(object, method)
  return function(_, timeout)
    return patiently(function(left) return object[method](object, left) end, timeout)
  end
end

--- The same of what is locked: who died with it is named as a role.
function M.locking(seat, object, method)
  local wait = M.waiting(object, method)
  return function(_, timeout)
    local ok, what, pid = wait(nil, timeout)
    if ok and what == "recovered" then
      return ok, what, seat.role_of(pid)
    end
    return ok, what, pid
  end
end

return M
