--- What of a state reaches the disk, and in which order: all of it goes through here.
--
-- A file is written under another name, waited for, and renamed; then the directory is waited
-- for. So whenever the power goes, the name stands for the whole old file or for the whole new
-- one. Each function either did it, or says why not; nothing else is assumed of the disk than
-- that fsync(2) tells the truth, and that a rename is one step.
-- @module shm.durable.disk
local posix = require "shm.posix"
local process = require "shm.process"

local M = {}

local CHUNK <const> = 1 << 22 -- bytes, between two looks at the clock
local OWNER_ONLY <const> = tonumber("600", 8)
local ENOENT <const>, ETIMEDOUT <const> = 2, 110

--- What differs from one boot of the machine to the next.
-- @treturn string
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EMFILE, ENFILE, ENOMEM
function M.boot()
  local file <close>, message, errno = io.open "/proc/sys/kernel/random/boot_id"
  if not file then
    return nil, message, errno
  end
  return file:read "l"
end

--- Removes a file; that there is none is all right.
-- @string path
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.remove(path)
  local done, message, errno = os.remove(path)
  if not done and errno ~= ENOENT then
    return nil, message, errno
  end
  return true
end

local function late(path)
  return nil, ("writing '%s': Connection timed out"):format(path), ETIMEDOUT
end

local function put(fd, path, region, n, deadline)
  for at = 0, n - 1, CHUNK do
    if process.monotonic() > deadline then
      return late(path)
    end
    local done, message, errno = region:send(fd, at, math.min(CHUNK, n - at))
    if not done then
      return nil, ("writing '%s': %s"):format(path, message), errno
    end
  end
  if process.monotonic() > deadline then
    return late(path)
  end
  return posix.fsync(fd)
end

--- Writes a new file, and waits until it is on the disk. What of it there is after an error is
-- removed.
-- @string path
-- @tparam shm.region region
-- @int n how many bytes, from the region's first
-- @number deadline by process.monotonic: nothing is begun after it
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOSPC, EDQUOT, EROFS, EACCES, EIO, ETIMEDOUT …
function M.write(path, region, n, deadline)
  local flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_NOFOLLOW
  local fd, message, errno = posix.open(path, flags, OWNER_ONLY)
  if not fd then
    return nil, message, errno
  end
  local done
  done, message, errno = put(fd, path, region, n, deadline)
  fd:close()
  if not done then
    os.remove(path)
  end
  return done, message, errno
end

--- Puts one file in another's place, in one step.
-- @string from
-- @string to
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.rename(from, to)
  return os.rename(from, to)
end

--- Waits until the names in a file's directory are on the disk.
-- @string path the file's
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.sync_directory(path)
  local directory = path:match "^(.*/)[^/]*$" or "."
  local fd, message, errno = posix.open(directory, posix.O_RDONLY)
  if not fd then
    return nil, message, errno
  end
  local done
  done, message, errno = posix.fsync(fd)
  fd:close()
  return done, message, errno
end

return M
