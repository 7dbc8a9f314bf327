--- Taking a service out of its arena, while others may open it. What keeps them apart stands in
-- shm.rpc.register.
-- @module shm.rpc.removal
local registers = require "shm.rpc.register"

local M = {}

local ENOENT <const> = 2

local function remove(arena, name)
  local register, message, errno = registers.find(arena, name)
  if not register then
    return nil, errno == ENOENT and "there is no such service" or message, errno
  end
  local _ <close> = register -- twice, as an error may end the closing, too
  local _ <close> = register
  local closed
  closed, message, errno = register:close_off()
  if not closed then
    return nil, message, errno
  end
  return register:drop()
end

--- Takes a service out of its arena.
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EBUSY (somebody serves or calls), ENOENT
function M.remove(arena, name)
  local removed, message, errno
  repeat
    removed, message, errno = remove(arena, name)
  until errno ~= registers.ESTALE -- else somebody was faster, and it may be there anew
  return removed, message, errno
end

return M
