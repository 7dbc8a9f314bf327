--- The real readers-writer lock: shm.rwlock.
-- @module shm.lab.run.rwlock
local simple = require "shm.lab.run.simple"
local shm = require "shm"

local M = {name = "rwlock"}

function M.size() return shm.rwlock.size() end

function M.create(place, object) simple.create(place, object, shm.rwlock) end

function M.open(seat, object)
  local real = simple.open(seat, object, shm.rwlock, M.size())
  local rwlock = real.object
  local write = simple.locking(seat, rwlock, "lock")
  local read = simple.locking(seat, rwlock, "lock_shared")
  real.methods = {
    lock = write, lock_shared = read,
    try = function() return write(nil, 0) end,
    try_shared = function() return read(nil, 0) end,
    unlock = function() rwlock:unlock() end,
  }

  function real.show()
    local pid, readers = rwlock:holder(), {}
    for i, reader in ipairs(rwlock:readers()) do
      readers[i] = seat.role_of(reader)
    end
    table.sort(readers)
    return {writer = pid and seat.role_of(pid) or nil, readers = readers}
  end
  return real
end

return M
