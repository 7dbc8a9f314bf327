--- The segment in which two peers meet: its layout, whose it is, and whether they live.
-- @module shm.peer.segment
local process = require "shm.process"
local sysv = require "shm.sysv"

local M = {}

--- The longest message, in bytes.
M.LONGEST = 124

-- Offsets. PID and BUF are the textbook's; the rest exists where MAGIC is in place.
M.PID, M.BUF = 0, 4
M.MAGIC = 128       -- whose layout this is
M.CLIENT = 132      -- pid of a client that knows these words
M.STATE = 136       -- who may touch BUF and LENGTH: see shm.peer.link
M.LENGTH = 140      -- bytes of the message in BUF
M.CLOSED = {server = 144, client = 148} -- 1 once that side has closed the link
M.TEXTBOOK_SIZE, M.SIZE = 128, 192
M.MAGIC_VALUE = 0x316b6c70 -- "plk1"

--- Bytes of the segment of who listens: see shm.peer.door.
M.DOOR_SIZE = 1536

local NEWBORN = 2    -- seconds that a server has from shmget to shmat
local ENOENT, ESRCH, EACCES, EEXIST, EINVAL, EIDRM, EADDRINUSE = 2, 3, 13, 17, 22, 43, 98

local function refuse(errno, format, ...)
  return nil, format:format(...), errno
end

-- Whether the process has the segment attached; nil where we may not know. A segment's
-- mapping has the segment's id for its inode.
local function attached(pid, id)
  local maps <close> = io.open("/proc/" .. pid .. "/maps")
  if not maps then
    return nil
  end
  local text, _, errno = maps:read "a"
  if not text then
    return errno == ESRCH and false or nil -- it ended after the open
  end
  for line in text:gmatch "[^\n]+" do
    local inode = line:match "^%x+%-%x+ %S+ %x+ %x+:%x+ (%d+) +/SYSV%x+"
    if tonumber(inode) == id then
      return true
    end
  end
  return false
end

--- Holds the living process that a pid in the segment stands for.
-- A pid alone proves nothing: its process may be dead, and another have it by now.
-- @int pid the pid
-- @int id the segment
-- @treturn shm.process.handle the process
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ESRCH when that process is dead, EMFILE
function M.holder(pid, id)
  if pid <= 0 then
    return refuse(ESRCH, "%d is no pid", pid)
  end
  local handle, message, errno = process.open(pid)
  if not handle then
    if errno == ESRCH then
      message = "pid " .. pid .. " is stale: that process is dead"
    end
    return nil, message, errno
  end
  if attached(pid, id) == false then
    handle:close()
    return refuse(ESRCH, "pid %d is stale: another process has it now", pid)
  end
  return handle
end

--- Whether a process handles, keeps or ignores a signal, so that it does not die of it.
-- A textbook server waits for SIGUSR2; its client, whose pid looks the same, does not.
-- @int pid the process
-- @int signo the signal's number
-- @treturn boolean
function M.takes(pid, signo)
  local file <close> = io.open("/proc/" .. pid .. "/status")
  local text = file and file:read "a" or ""
  for mask in text:gmatch "Sig[BIC][lg][ktn]:%s*(%x+)" do
    if tonumber(mask, 16) >> signo - 1 & 1 == 1 then
      return true
    end
  end
  return false
end

--- Whether a process has been stopped, as SIGSTOP does. Where we may not know it has not.
-- @int pid the process
-- @treturn boolean
function M.stopped(pid)
  local file <close> = io.open("/proc/" .. pid .. "/stat")
  local text = file and file:read "a" or "" -- nothing if it ended after the open
  return text:match "%) (%a) [^)]*$" == "T"
end

-- The pid that a segment shows, if we may look; or nil, message, errno.
local function pid_in(id)
  local region <close>, message, errno = sysv.shmat(id, nil, sysv.SHM_RDONLY)
  if not region and errno ~= EACCES then
    return nil, message, errno
  end
  return region and region:load32(M.PID)
end

-- Whether a segment found at our key may be replaced: true, false to look again soon, or
-- nil and why not. A server of ours is always its segment's creator, whom the kernel knows.
local function abandoned(id)
  local function unknown(message, errno)
    if errno == EINVAL or errno == EIDRM then
      return false -- gone meanwhile
    end
    return nil, message, errno
  end
  local stat, message, errno = id:stat()
  if not stat then
    return unknown(message, errno)
  end
  if stat.segsz ~= M.SIZE and stat.segsz ~= M.TEXTBOOK_SIZE and stat.segsz ~= M.DOOR_SIZE then
    return refuse(EEXIST, "another program's segment of %d bytes is there"
                  .. " (ipcrm -m %d removes it)", stat.segsz, id.id)
  end
  if stat.cpid == 0 then
    return refuse(EADDRINUSE, "its server lives in another pid namespace")
  end
  local pids = {stat.cpid}
  if stat.segsz == M.TEXTBOOK_SIZE then -- whose server may have found it at its key
    pids[2], message, errno = pid_in(id)
    if errno then
      return unknown(message, errno)
    end
  end
  for _, pid in ipairs(pids) do
    local handle
    handle, message, errno = M.holder(pid, id.id)
    if handle then
      handle:close()
      return refuse(EADDRINUSE, "pid %d serves there already", pid)
    elseif errno ~= ESRCH then
      return nil, message, errno
    end
  end
  local age = os.time() - stat.ctime -- negative if the clock has been set
  local newborn = stat.nattch == 0 and age >= 0 and age < NEWBORN
  return not (newborn and process.alive(stat.cpid))
end

--- Makes a new segment at a key, in the place of one that a dead server has left.
-- @int key the key
-- @int mode permissions
-- @int[opt] size bytes, absent for those of a link
-- @treturn shm.sysv.segment the segment
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EADDRINUSE when a living server is there, EEXIST when it is another
-- program's segment, EACCES …
function M.create(key, mode, size)
  local flags = sysv.IPC_CREAT | sysv.IPC_EXCL | mode
  while true do
    local id, message, errno = sysv.shmget(key, size or M.SIZE, flags)
    if id or errno ~= EEXIST then
      return id, message, errno
    end
    local old, free
    old, message, errno = sysv.shmget(key, 0)
    if old then
      free, message, errno = abandoned(old)
    elseif errno == ENOENT then
      free = false
    end
    if free == nil then
      return nil, message, errno
    elseif free then
      free, message, errno = old:remove()
      if not free and errno ~= EINVAL and errno ~= EIDRM then
        return nil, message, errno
      end
    else
      process.sleep(0.01)
    end
  end
end

return M
