--- Writes a file whole or not at all.
--
-- The bytes go into a new file beside it, `.shm-draw-PID-N`, which takes its name in one step
-- once they are on the disk. Who reads the name finds the old file or the new one, whenever the
-- writer dies; if it dies before the step, the other file stays behind.
-- @module shm.lab.draw.file
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"

local M = {}

local MODE <const> = tonumber("666", 8) -- and the umask takes from it, as for any document
local EEXIST <const> = 17

local function put(fd, text)
  local memory <close>, problem, number = shm.anonymous(#text)
  if not memory then
    return nil, problem, number
  end
  memory:write(0, text)
  local done, message, errno = memory:send(fd, 0, #text)
  if not done then
    return nil, message, errno
  end
  return posix.fsync(fd)
end

-- A new file that no other writer has.
local function beside(path)
  local directory, n = path:match "^(.*/)[^/]*$" or "", 0
  local flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW
  local name, fd, message, errno
  repeat
    n = n + 1
    name = ("%s.shm-draw-%d-%d"):format(directory, process.pid(), n)
    fd, message, errno = posix.open(name, flags, MODE)
  until fd or errno ~= EEXIST
  return name, fd, message, errno
end

--- Writes.
-- @string path
-- @string text
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message, what the system said
-- @treturn[2] int ENOENT, EACCES, ENOSPC, EISDIR …
function M.write(path, text)
  local name, fd, message, errno = beside(path)
  if not fd then
    return nil, message, errno
  end
  local done
  done, message, errno = put(fd, text)
  fd:close()
  if done then
    done, message, errno = os.rename(name, path)
  end
  if not done then
    os.remove(name)
    return nil, message, errno
  end
  return true
end

return M
