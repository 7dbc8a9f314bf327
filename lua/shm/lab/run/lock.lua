--- The real lock: shm.mutex. Who takes it after its holder has died hears which role that was.
-- @module shm.lab.run.lock
local process = require "shm.process"
local simple = require "shm.lab.run.simple"
local shm = require "shm"

local M = {name = "lock"}

function M.size() return shm.mutex.size() end

function M.create(place, object) simple.create(place, object, shm.mutex) end

function M.open(seat, object)
  local real = simple.open(seat, object, shm.mutex, M.size())
  local mutex = real.object
  local try = simple.locking(seat, mutex, "lock")
  real.methods = {
    lock = try,
    try = function() return try(nil, 0) end,
    unlock = function() mutex:unlock() end,
  }

  -- The role that holds it; or the one that died with it.
  local function owner()
    local pid = mutex:holder()
    if not pid then
      return nil
    end
    local role = seat.role_of(pid)
    if process.alive(pid) then
      return role
    end
    return nil, role
  end

  function real.show()
    local living, dead = owner()
    return {owner = living, dead = dead}
  end

  function real.left()
    local role = owner()
    return role and ("held by role %d"):format(role)
  end

  return real
end

return M
