--- Where a state lies, and who serves it.
--
-- A state has a live part, an arena, and files beside it:
--
--     in memory                        with a file
--     /dev/shm/NAME                    FILE.live       the arena, which everybody maps
--     /dev/shm/NAME.durable-new        FILE.live.new   one that is not whole yet
--     /dev/shm/NAME.durable-lock       FILE.lock       locked by who serves
--                                      FILE            the last checkpoint
--                                      FILE.new        one that is not whole yet
--
-- Whoever serves has a lock on the lock file. The kernel lets go of it when that ends, however,
-- and children do not have it. The file's own name is removed under the lock, and who then gets
-- a lock on a file without a name takes the next one. The pid in it only says whom to name in
-- an error.
--
-- What a live file contains can be trusted as long as the kernel that it was written under
-- runs. So FILE.lock says of which boot it is, in a word that is written between two steps:
--
--     "building HOW"   what is in FILE.live is not to be looked at; HOW it is built
--     "boot ID"        it is whole as long as the machine's boot has this id
--
-- Each is on the disk before what it allows is begun. Whoever dies between two steps leaves
-- the word of the first, and that one can be taken again.
-- @module shm.durable.place
local core = require "shm.core"
local disk = require "shm.durable.disk"
local posix = require "shm.posix"
local process = require "shm.process"
local object = core.object

local M = {}
M.__index = M

local MEMORY <const> = "/dev/shm/"
local OWNER_ONLY <const> = tonumber("600", 8)
local BOARD <const> = 4096 -- bytes of a lock file
local WORD <const>, PID <const>, HOME <const> = 0, 128, 136 -- what it says, and of whom
local PATIENCE <const> = 0.2 -- seconds for a new holder to say who it is
local EPERM <const>, ENOENT <const>, EACCES <const> = 1, 2, 13
local ELOOP <const>, EADDRINUSE <const>, ETIMEDOUT <const> = 40, 98, 110

-- This process's user, and its pid namespace; or nil, message, errno.
local function mine()
  local fd <close>, message, errno = posix.memfd_create "durable"
  if not fd then
    return nil, message, errno
  end
  return assert(posix.fstat(fd)).uid
end

local function namespace()
  local fd <close>, message, errno = posix.open("/proc/self/ns/pid", posix.O_RDONLY)
  if not fd then
    return nil, message, errno
  end
  return assert(posix.fstat(fd)).ino
end

--- The names of a state's files.
-- @string name
-- @string[opt] file
-- @treturn table the place
function M.new(name, file)
  if file then
    return setmetatable({name = name, file = file, live = file .. ".live",
                         fresh = file .. ".live.new", lock_path = file .. ".lock"}, M)
  end
  return setmetatable({name = name, live = MEMORY .. name, fresh_name = name .. ".durable-new",
                       fresh = MEMORY .. name .. ".durable-new",
                       lock_path = MEMORY .. name .. ".durable-lock"}, M)
end

-- A checkpoint would take the link's place, and leave what it leads to as it was; and who has that
-- path has other locks.
local function check_link(self)
  if not self.file then
    return true
  end
  local flags = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK
  local fd <close>, _, errno = posix.open(self.file, flags)
  if not fd and errno == ELOOP then
    return nil, ("'%s' is a symbolic link: give the path that it leads to"):format(self.file), errno
  end
  return true
end

local function open_lock(self)
  local flags = posix.O_RDWR | posix.O_CREAT | posix.O_NOFOLLOW
  local fd, message, errno = posix.open(self.lock_path, flags, OWNER_ONLY)
  if not fd then
    local advice = errno == EACCES and " (another user's? run as that one, or remove it)" or ""
    return nil, message .. advice, errno
  end
  local stat = assert(posix.fstat(fd))
  local user
  user, message, errno = mine()
  if not user then
    fd:close()
    return nil, message, errno
  elseif stat.uid ~= user then
    fd:close()
    return nil, ("'%s' belongs to user %d: run as that one, or remove it")
      :format(self.lock_path, stat.uid), EPERM
  end
  return fd
end

-- Which process has the lock, as the lock file says: nil while it has said nothing yet, or where
-- nobody has it any more.
local function holder(self)
  local board <close> = object.map(self.lock_path)
  if not board or #board < BOARD then
    return nil
  end
  local pid, home, here = board:get_i64(PID), board:get_i64(HOME), namespace()
  if not here then
    return nil
  elseif home ~= here then
    return home ~= 0 and 0 or nil
  end
  return pid > 0 and pid < 1 << 31 and process.alive(pid) and pid or nil
end

local function refused(pid)
  local who = pid == process.pid() and "this process serves it already"
    or pid == 0 and "a process in another pid namespace serves it"
    or pid and ("pid %d serves it"):format(pid) or "another process serves it"
  return nil, who, EADDRINUSE, pid or 0
end

-- Whether it is ours: nil, message, errno, pid when not; false to look again.
local function try_lock(self, deadline)
  local fd, message, errno = open_lock(self)
  if not fd then
    return nil, message, errno
  end
  local done
  done, message, errno = fd:clofork()
  if done then
    done, message, errno = posix.lock(fd, "write", 0, BOARD, math.max(0, deadline
                                                                 - process.monotonic()))
  end
  if not done then
    fd:close()
    return nil, message, errno
  elseif assert(posix.fstat(fd)).nlink == 0 then
    fd:close() -- its last holder has removed its name
    return false
  end
  self.locked = fd
  return true
end

-- What the lock file says is read, and written, by another descriptor: children keep what they
-- have mapped, and must not keep the lock.
local function read_board(self)
  local home, message, errno = namespace()
  local board
  if home then
    board, message, errno = object.map(self.lock_path, {mode = "rw", create = true, size = BOARD})
  end
  if not board then
    self:unlock()
    return nil, ("'%s': %s"):format(self.lock_path, message), errno
  end
  self.board = board
  self.word = board:unpack(WORD, "z")
  board:set_i64(HOME, 0) -- so that nobody takes one of the two for the other's
  board:set_i64(PID, process.pid())
  board:set_i64(HOME, home)
  return true
end

--- Takes the lock, as long as which nobody else serves the state.
-- @number timeout in seconds
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EADDRINUSE, EINTR after a signal, EPERM, EACCES, EROFS, ENOENT …
-- @treturn[2] ?int after EADDRINUSE the pid of who serves it
function M:lock(timeout)
  local plain, why, code = check_link(self)
  if not plain then
    return nil, why, code
  end
  local deadline = process.monotonic() + timeout
  local patience = deadline + PATIENCE
  while true do
    local done, message, errno = try_lock(self, deadline)
    if done then
      return read_board(self)
    elseif errno == ETIMEDOUT then
      local pid = holder(self)
      if pid or process.monotonic() > patience then
        return refused(pid)
      end
      process.sleep(0.001) -- it has not said so yet, or is gone by now
    elseif done == nil then
      return nil, message, errno
    end
  end
end

--- Takes the lock under which checkpoints are written, by the server and its children: as the
-- other, it is the kernel's, and goes with its holder. It is not in the arena, as that is what
-- is written.
-- @number[opt] timeout in seconds, absent for ever
-- @treturn shm.posix.descriptor which has the lock until it is closed
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOENT (the server has stopped), ETIMEDOUT, EINTR
function M:lock_sync(timeout)
  local fd, message, errno = posix.open(self.lock_path, posix.O_RDWR | posix.O_NOFOLLOW)
  if not fd then
    return nil, message, errno
  end
  local done
  done, message, errno = fd:clofork()
  if done then
    done, message, errno = posix.lock(fd, "write", BOARD, 1, timeout)
  end
  if not done then
    fd:close()
    return nil, message, errno
  end
  return fd
end

--- Says it, and waits until that is on the disk, with the name of the lock file.
function M:say(word)
  if not self.file then
    return true
  end
  self.board:write(0, word .. ("\0"):rep(128 - #word))
  local done, message, errno = self.board:sync()
  if done then
    done, message, errno = disk.sync_directory(self.lock_path)
  end
  self.word = done and word
  return done, message, errno
end

--- Whether what is in the live file can be trusted; and else how a state was to be built when
-- its builder died, if one did.
-- @treturn boolean whether
-- @treturn ?string how
-- @treturn[2] nil that is not to be known
-- @treturn[2] string message
-- @treturn[2] int EMFILE, ENFILE, ENOMEM
function M:trusted()
  if not self.file then
    return true
  end
  local boot, message, errno = disk.boot()
  if not boot then
    return nil, message, errno
  end
  return self.word == "boot " .. boot, self.word:match "^building (%l+)"
end

--- Whether nothing is said of a live file: its lock file was removed by somebody.
function M:silent()
  return self.file and self.word == ""
end

--- Whether nothing is lost with the lock file.
function M:is_void()
  if not self.file or self.word == "" then
    return true
  end
  local file <close>, _, errno = io.open(self.file)
  return self.word == "building new" and not file and errno == ENOENT
end

--- Lets go of the lock.
-- @tparam[opt] boolean remove also the lock file
function M:unlock(remove)
  if remove then
    disk.remove(self.lock_path)
  end
  for _, handle in ipairs {self.board or false, self.locked or false} do
    if handle then
      handle:close()
    end
  end
  self.board, self.locked = nil, nil
end

local function map_file(path, max)
  local user, message, errno = mine()
  local region
  if user then
    region, message, errno = object.map(path, {mode = "rw", max = max})
  end
  if region and posix.fstat(region).uid ~= user then
    region:close()
    return nil, ("'%s' belongs to another user: run as that one"):format(path), EPERM
  end
  return region, message, errno
end

--- The live part as far as it may grow; nil and ENOENT where there is none.
-- @treturn shm.region
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M:attach()
  local plain, why, code = check_link(self)
  if not plain then
    return nil, why, code
  end
  local function map(max)
    if self.file then
      return map_file(self.live, max)
    end
    return object.attach(self.name, {max = max})
  end
  local region, message, errno = map()
  local reach = region and core.arena.reach(region) or 0
  if reach > 0 and reach > #region then
    region:close()
    region, message, errno = map(reach)
  end
  return region, message, errno
end

--- Whether there is a live file, whatever is in it; nil, message, errno where that is not to be
-- known.
function M:is_there()
  local fd <close>, message, errno = posix.open(self.live, posix.O_RDONLY)
  if not fd and errno ~= ENOENT then
    return nil, message, errno
  end
  return fd ~= nil
end

--- Whether the live part is the one that a region shows, or another has taken its place, or none;
-- nil, message, errno where that is not to be known.
function M:shows(region)
  local fd <close>, message, errno = posix.open(self.live, posix.O_RDONLY)
  if not fd and errno ~= ENOENT then
    return nil, message, errno
  end
  return fd ~= nil and posix.fstat(fd).ino == assert(posix.fstat(region)).ino
end

--- A new live part, which has another name until `settle`.
-- @int size
-- @int max
-- @treturn shm.region
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOSPC …
function M:create(size, max)
  self:sweep()
  if self.file then
    return object.map(self.fresh, {mode = "rw", create = true, size = size, max = max})
  end
  return object.create(self.fresh_name, size, {max = max})
end

--- The new live part takes its name, in one step.
function M:settle()
  return disk.rename(self.fresh, self.live)
end

--- Removes what somebody who died had not made whole.
function M:sweep()
  disk.remove(self.fresh)
  if self.file then
    disk.remove(self.file .. ".new")
  end
end

--- Removes the live part's name, of which its memory goes with the last who has it. There is no
-- way back from there: a disk that does not take that is no reason to go on, as what comes back
-- with the name after a power cut is what the file has.
function M:remove()
  local done, message, errno = disk.remove(self.live)
  if done and self.file then
    disk.sync_directory(self.live)
  end
  return done, message, errno
end

return M
