--- A group of nodes: who there is, and which of them is the primary, in memory of its own.
--
--       0  u64  MAGIC
--       8  u64  TERM      term << 8 | place of the primary, 0 for none
--      64  shm.mutex      for who comes: to one place for one name
--    1024  16 places of 128 bytes:
--            0  u64  OWNER   pid << 32 | low half of the process's start time; 0 when closed
--            8  u64  LOGGED  1 once the node's log has its name
--           16  u8 length, and the name of the node
--
-- A compare-and-swap on TERM gives each term to one node at most. Nobody waits for anybody to
-- take over; only a node that comes takes the mutex, and who dies with it leaves a place
-- without a name, or one that is whole.
-- @module shm.replica.group
local process = require "shm.process"
local shm = require "shm"

local M = {}

M.PLACES = 16
M.NAME_MOST = 64
local SIZE <const> = 4096
local MAGIC, TERM, MUTEX, PLACE, PLACE_SIZE = 0, 8, 64, 1024, 128
local OWNER, LOGGED, NAME = 0, 8, 16
local MAGIC_VALUE <const> = 0x3167726e65762d73
local PATIENCE <const> = 5 -- seconds for who else comes at the same time
local ENOENT, ESRCH, EBUSY, EPROTO, EUSERS = 2, 3, 16, 71, 87

local Group = {}
Group.__index = Group

local function stat_of(pid)
  local file = io.open(("/proc/%d/stat"):format(pid), "rb")
  if not file then
    return nil
  end
  local _ <close> = file
  return (file:read "a" or ""):match "^.*%) (.*)$"
end

-- The low half of when a process was started, in ticks since boot: with the pid it names one
-- process. 0 where it can not be read.
local function start_of(pid)
  local words, n = stat_of(pid), 0
  for word in (words or ""):gmatch "%S+" do
    n = n + 1
    if n == 20 then
      return math.tointeger(word) & 0xffffffff
    end
  end
  return 0
end

-- Whether the pid is still that process's.
local function is_same(pid, start)
  local now = start_of(pid)
  return now == start or now == 0 or start == 0
end

-- A process for which there is no descriptor left: who has none must not take it for dead.
local function without_descriptor(pid, start)
  local handle = {pid = pid, close = function() end}
  function handle.alive()
    return process.alive(pid) and is_same(pid, start)
  end
  return handle
end

--- Whether a process was stopped, by SIGSTOP or a debugger.
function M.is_stopped(pid)
  return (stat_of(pid) or ""):match "^[Tt]" ~= nil
end

--- Opens a group, or makes it.
-- @string name of its memory
-- @bool[opt] must whether it must exist
-- @int[opt] mode
function M.open(name, must, mode)
  local region, message, errno
  if must then
    region, message, errno = shm.attach(name)
  else
    region, message, errno = shm.open(name, SIZE, {mode = mode})
  end
  if not region then
    return nil, message, errno
  end
  local mutex
  if #region < SIZE or not region:cas(MAGIC, 0, MAGIC_VALUE)
    and region:load(MAGIC) ~= MAGIC_VALUE then
    message, errno = ("replica '%s': something else is there"):format(name), EPROTO
  else
    mutex, message, errno = shm.mutex.open(region, MUTEX)
  end
  if not mutex then
    region:close()
    return nil, message, errno
  end
  return setmetatable({name = name, region = region, mutex = mutex, known = {}}, Group)
end

local function at(place)
  return PLACE + (place - 1) * PLACE_SIZE
end

--- The name of the node at a place, or nil.
function Group:id(place)
  local n = self.region:get_u8(at(place) + NAME)
  return n > 0 and n <= M.NAME_MOST and self.region:read(at(place) + NAME + 1, n) or nil
end

--- The place of a node, or nil.
function Group:find(id)
  for place = 1, M.PLACES do
    if self:id(place) == id then
      return place
    end
  end
end

--- Where the node's process is, as a handle, if it lives.
-- @treturn shm.process.handle handle that is the group's
function Group:process(place)
  local word = self.region:load(at(place) + OWNER)
  local known = self.known[place]
  if known and known.word ~= word then
    known.handle:close()
    known, self.known[place] = nil, nil
  end
  if not known and word ~= 0 then
    local pid, start, handle, _, errno = word >> 32, word & 0xffffffff, nil, nil, ESRCH
    if pid > 0 and pid < 1 << 31 then
      handle, _, errno = process.open(pid)
    end
    if not handle and errno ~= ESRCH then
      handle = without_descriptor(pid, start)
      return handle.alive() and handle or nil
    elseif handle and not is_same(pid, start) then -- the pid is another's now
      handle:close()
    elseif handle then
      known = {word = word, handle = handle}
      self.known[place] = known
    end
  end
  return known and known.handle:alive() and known.handle or nil
end

--- Takes the place of a node, which is made if there is none.
-- @treturn int place
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EBUSY (another process has it), EUSERS (there are as many as there can be)
function Group:claim(id)
  local held <close>, message, errno = self.mutex:hold(PATIENCE)
  if not held then
    return nil, message, errno
  end
  local place, region = self:find(id), self.region
  local new = not place
  if new then
    for free = 1, M.PLACES do
      if not self:id(free) then
        place = free
        break
      end
    end
  end
  if not place then
    return nil, ("replica '%s': it has %d nodes"):format(self.name, M.PLACES), EUSERS
  end
  local other = self:process(place)
  if other then
    return nil, ("replica '%s': process %d is %s"):format(self.name, other.pid, id), EBUSY
  end
  local pid = process.pid()
  self.place, self.word, self.new = place, pid << 32 | start_of(pid), new
  region:store(at(place) + OWNER, self.word)
  region:write(at(place) + NAME + 1, id)
  region:set_u8(at(place) + NAME, #id) -- last: who finds a name finds all of it
  return place
end

--- Says that the node's log can be found from here on.
function Group:logged()
  self.region:store(at(self.place) + LOGGED, 1)
end

function Group:has_log(place)
  return self.region:load(at(place) + LOGGED) == 1
end

--- The present term, and the primary's place or 0; and both as one word.
function Group:term()
  local word = self.region:load(TERM)
  local place = word & 0xff
  return word >> 8, place <= M.PLACES and place or 0, word
end

--- Begins the next term, if the present one is still what it was.
-- @int word what `term` gave
-- @int place of the primary, 0 for none
-- @int[opt] term absent for the next one
-- @treturn boolean whether it is so now
function Group:elect(word, place, term)
  return (self.region:cas(TERM, word, (term or (word >> 8) + 1) << 8 | place))
end

-- Takes a node's name away that was new, and never had a log: nobody knows it.
local function forget(self)
  local held <close> = self.mutex:hold(PATIENCE)
  if held then
    self.region:set_u8(at(self.place) + NAME, 0)
  end
end

--- Lets go of it; of its place only in the process that took it.
function Group:close()
  if self.word and self.word >> 32 == process.pid() then
    if self.new and not self:has_log(self.place) then
      forget(self)
    end
    self.region:cas(at(self.place) + OWNER, self.word, 0)
  end
  self.word = nil
  for _, known in pairs(self.known) do
    known.handle:close()
  end
  self.known = {}
  self.mutex:close()
  self.region:close()
end

--- Removes the names of a group's memory and of its nodes'.
function M.unlink(name)
  local group, message, errno = M.open(name, true)
  if not group then
    return nil, message, errno
  end
  local result, why, code = true, nil, nil
  for place = 1, M.PLACES do
    local id = group:id(place)
    for _, suffix in ipairs(id and {"", ".log"} or {}) do
      local done, said, number = shm.unlink(("%s.%s%s"):format(name, id, suffix))
      if not done and number ~= ENOENT then
        result, why, code = nil, said, number
      end
    end
  end
  group:close()
  if not result then
    return nil, why, code
  end
  return shm.unlink(name)
end

return M
