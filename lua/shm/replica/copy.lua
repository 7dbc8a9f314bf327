--- A node's copy of what is replicated: a map in an arena, and the log of its changes.
--
-- The arena is the node's own, and only the node's process changes the map. One key more than
-- the user's says up to which change the map is. Each change is one step of the map, and of
-- the log's HEAD within it (map:apply): HEAD is what counts. Who was killed in the middle has a
-- map that is one change behind its log, and makes it again when the copy is opened; never one
-- that is ahead.
-- @module shm.replica.copy
local shm = require "shm"
local logs = require "shm.replica.log"
local value = require "shm.value"

local M = {}

--- The key that says up to which change the map is.
M.MARK = "\0shm.replica"
local MARK, HEAD = M.MARK, logs.HEAD
local MOST_KEYS <const> = 255 -- and the mark: they fit in any map, each in a bucket of its own
local E2BIG, EAGAIN, EBADMSG, EOVERFLOW, ESTALE = 7, 11, 74, 75, 116

local Copy = {}
Copy.__index = Copy


-- The same as the lists that map.apply takes.
local function decode(bytes)
  local change = value.decode(bytes)
  local n = type(change) == "table" and change[1]
  if math.type(n) ~= "integer" or n < 0 or 2 * n + 1 > #change then
    return nil
  end
  local keys, values, deleted = {}, {}, {}
  for i = 1, n do
    keys[i], values[i] = change[2 * i], change[2 * i + 1]
  end
  for i = 2 * n + 2, #change do
    keys[#keys + 1] = change[i]
    deleted[#keys] = true
  end
  return keys, values, deleted
end

-- Makes the changes that the log has and the map has not.
local function catch_up(copy)
  local log, map = copy.log, copy.map
  local term, seq = log:head()
  copy.seq = seq
  local applied, message, errno = map:get(MARK)
  if errno then
    return nil, message, errno
  end
  for n = (applied or 0) + 1, log:is_whole() and seq or 0 do
    local keys, values, deleted = decode(log:entry(n) or "")
    if not keys then
      log:set_whole(false)
      break
    end
    keys[#keys + 1] = MARK
    values[#keys] = n
    local done
    done, message, errno = map:apply(keys, {}, values, deleted)
    if not done then
      return nil, message, errno
    end
  end
  while log:is_whole() and applied and applied > seq do -- the log was lost, and is a new one
    if log.region:cas(HEAD, logs.word(term, seq), logs.word(term, applied)) then
      copy.seq = applied
      break
    end
    term = log:head() -- raised by another just now
  end
  return true
end

--- Opens a node's copy, or makes it. Who calls is the node's only process.
-- @string name of the arena; the log's has ".log" behind it
-- @tparam table given log, and the arena's size, max, mode, journal
function M.open(name, given)
  local arena, made, errno = shm.arena(name, {
    size = given.size, max = given.max, mode = given.mode, journal = given.journal,
  })
  if not arena then
    return nil, made, errno
  end
  local self = setmetatable({name = name, arena = arena, term = 0, seq = 0}, Copy)
  local map, message
  map, message, errno = arena:map "replica"
  self.map = map
  if map then
    self.log, message, errno = logs.open(name .. ".log", given.log, given.mode)
  end
  local done
  if self.log then
    done, message, errno = catch_up(self)
  end
  if not done then
    M.close(self)
    if made then -- it has nothing yet, and nobody would look for it
      shm.unlink(name)
    end
    return nil, message, errno
  end
  self.term = self.log:head()
  return self
end

--- Another node's map, or that of a copy that is only looked at.
-- @treturn shm.map
-- @treturn shm.arena to be closed with it
function M.look(name)
  local region, message, errno = shm.attach(name) -- as shm.arena would make one
  if not region then
    return nil, message, errno
  end
  region:close()
  local arena
  arena, message, errno = shm.arena(name)
  if not arena then
    return nil, message, errno
  end
  local map
  map, message, errno = arena:map "replica"
  if not map then
    arena:close()
    return nil, message, errno
  end
  return map, arena
end

--- Makes a change, in one step of log and map.
-- @int term in which it was made
-- @number time when
-- @string bytes the change, encoded
-- @tparam[opt] table keys the same as the lists that map.apply takes
-- @treturn int its number
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ESTALE (the term was raised), EMSGSIZE, E2BIG, ENOSPC, EBADMSG …
function Copy:append(term, time, bytes, keys, values, deleted)
  if not keys then
    keys, values, deleted = decode(bytes)
    if not keys then
      return nil, "a change that makes no sense", EBADMSG
    end
  end
  local n, seq = #keys, self.seq + 1
  if n > MOST_KEYS then
    return nil, ("%d keys, where %d can change in one step"):format(n, MOST_KEYS), E2BIG
  elseif seq > logs.LAST_SEQ then
    return nil, "there were too many changes", EOVERFLOW
  end
  -- Looked at first, as the log's next place is this change's only while it is the next one.
  local log, before = self.log, logs.word(self.term, self.seq)
  if log.region:load(HEAD) ~= before then
    return nil, "the term was raised", ESTALE
  end
  local done, message, errno = log:prepare(seq, term, time, bytes)
  if not done then
    return nil, message, errno
  end
  keys[n + 1], values[n + 1] = MARK, seq
  done, message, errno = self.map:apply(keys, {}, values, deleted, log.region, HEAD, before,
                                        logs.word(self.term, seq))
  if not done then
    return nil, message, errno
  end
  self.seq = seq
  log.bell:add(1)
  return seq
end

--- Looks whether its last change was made although an error was thrown through append, as by
-- Ctrl-C: nobody but this process counts changes.
-- @treturn boolean whether one was
function Copy:recount()
  local term, seq = self.log:head()
  if term ~= self.term or seq ~= self.seq + 1 then
    return false
  end
  self.seq = seq
  self.log.bell:add(1)
  return true
end

-- Takes away what the other map does not have, and takes over what it has.
local function fill(map, from)
  local key, message, errno
  repeat
    key, message, errno = map:next(key)
    if errno then
      return nil, message, errno
    elseif key ~= nil then
      local version, why, code = from:version(key)
      if version == 0 then
        version, why, code = map:delete(key)
      end
      if version == nil then
        return nil, why, code
      end
    end
  until key == nil
  repeat
    local entry
    key, entry, errno = from:next(key)
    if errno then
      return nil, entry, errno
    elseif key ~= nil and key ~= MARK then
      local done, why, code = map:set(key, entry)
      if not done then
        return nil, why, code
      end
    end
  until key == nil
  return true
end

--- Becomes what another copy is: its map, up to some change, with which the log begins. Others
-- go on changing the map meanwhile: the copy is whole once it has followed up to `need`.
-- @string name of the other's arena
-- @tparam table log the other's
-- @treturn int need the number of a change
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ESTALE, ENOSPC, EAGAIN (the other's log is too short: try again) …
function Copy:refill(name, log)
  local map, arena, errno = M.look(name)
  if not map then
    return nil, arena, errno
  end
  local need, message
  need, message, errno = self:refill_from(map, log)
  map:close()
  arena:close()
  return need, message, errno
end

function Copy:refill_from(map, log)
  local from, message, errno = map:get(MARK)
  if errno then
    return nil, message, errno
  end
  from = from or 0
  local bytes, term, time = log:entry(from)
  if from > 0 and not bytes then
    return nil, "the other log is too short", EAGAIN
  end
  local own = self.log
  own:set_whole(false)
  local _, seq = own:head() -- which only this process counts
  if not own.region:cas(HEAD, logs.word(self.term, seq), logs.word(self.term, 0)) then
    return nil, "the term was raised", ESTALE
  end
  self.seq = 0
  local done
  done, message, errno = self.map:set(MARK, 0)
  if done then
    done, message, errno = fill(self.map, map)
  end
  if not done then
    return nil, message, errno
  end
  local _, need = log:head()
  if from > 0 then
    done, message, errno = own:prepare(from, term, time, bytes)
    if done then
      done, message, errno = self.map:apply({MARK}, {}, {from}, {}, own.region, HEAD,
                                            logs.word(self.term, 0), logs.word(self.term, from))
    end
    if not done then
      return nil, message, errno
    end
    self.seq = from
  end
  own.bell:add(1)
  return need
end

--- Lets go of whatever of a copy is open.
function M.close(copy)
  for _, part in ipairs {"log", "map", "arena"} do
    if copy[part] then
      copy[part]:close()
      copy[part] = nil
    end
  end
end

return M
