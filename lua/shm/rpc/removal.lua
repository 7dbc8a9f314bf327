--- Taking a service out of its arena, while others may open it. What keeps them apart stands in
-- shm.rpc.register.
-- @module shm.rpc.removal
local registers = require "shm.rpc.register"

local M = {}

local ENOENT <const>, EBUSY <const> = 2, 16

-- Mutexes, which are let go of whatever ends it, as Ctrl-C.
local Held = {__close = function(held)
  for _, lock in ipairs(held) do
    lock:unlock()
  end
end}

local function remove(register)
  for _, kind in ipairs {"server", "client"} do
    local pid = register:pids(kind)[1]
    if pid then
      return nil, ("pid %d is its %s"):format(pid, kind), EBUSY
    end
  end
  local held <close> = setmetatable({}, Held)
  for place = 0, registers.PLACES - 1 do
    local lock, message, errno = register:close_off(place)
    if not lock then
      return nil, message, errno
    end
    held[#held + 1] = lock
  end
  return register:drop()
end

--- Takes a service out of its arena.
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EBUSY (somebody serves or calls), ENOENT, EINTR
function M.remove(arena, name)
  local removed, message, errno
  repeat
    removed, message, errno = registers.exists(arena, name)
    if not removed then
      return nil, errno == ENOENT and "there is no such service" or message, errno
    end
    local register
    register, message, errno = registers.open(arena, name, {capacity = 64})
    if not register then
      return nil, message, errno
    end
    removed, message, errno = remove(register)
    register:close()
  until errno ~= registers.ESTALE -- else somebody was faster, and it may be there anew
  return removed, message, errno
end

return M
