--- Dialling: a slot at the door, two segments, and a server that takes them.
--
-- What is killed on the way leaves a claimed slot and no segment, or one of them for some
-- 10 us: see shm.peer.door. A server that dies meanwhile is as good as none: the next is
-- waited for.
-- @module shm.peer.dial
local bell = require "shm.peer.bell"
local door = require "shm.peer.door"
local process = require "shm.process"
local segment = require "shm.peer.segment"
local shm = require "shm"
local talks = require "shm.peer.talk"

local M = {}

local ENOENT, EAGAIN, EBUSY, EPROTO, ETIMEDOUT = 2, 11, 16, 71, 110

local function close_all(parts)
  for _, name in ipairs {"outbox", "inbox", "bell", "rung", "outward", "inward", "handle",
                         "door"} do
    if parts[name] then
      parts[name]:close()
      parts[name] = nil
    end
  end
end

-- The two segments and what is in them. Nothing stays behind where it fails.
local function furnish(parts, length, mode)
  local up, down, message, errno
  parts.outward, up, errno = door.make(length, mode)
  if not parts.outward then
    return nil, up, errno
  end
  parts.inward, down, errno = door.make(length, mode)
  if not parts.inward then
    return nil, down, errno
  end
  local given = {capacity = talks.capacity(length), mode = "spsc"}
  parts.outbox, message, errno = shm.queue.create(parts.outward, talks.QUEUE, given)
  if parts.outbox then
    parts.inbox, message, errno = shm.queue.create(parts.inward, talks.QUEUE, given)
  end
  if parts.inbox then
    parts.bell, message, errno = bell.own(parts.wake, parts.inward, talks.BELL, "client")
  end
  if not parts.bell then
    return nil, message, errno
  end
  parts.chunk = talks.chunk(length)
  parts.inward:store32(talks.MAGIC, talks.MAGIC_VALUE)
  parts.outward:store32(talks.MAGIC, talks.MAGIC_VALUE)
  return up, down
end

-- Puts what there is into a slot: its offset and word, or nil, message, errno.
local function present(parts, length, mode)
  -- What ends a process waits until nothing of it would stay behind.
  local shield <close>, words, code = process.signals("TERM", "INT", "HUP")
  if not shield then
    return nil, words, code
  end
  local at = door.claim(parts.door)
  if not at then
    return nil, ("pid %d has too many at its door"):format(parts.handle.pid), EAGAIN
  end
  local claimed = door.word(door.CLAIMED, process.pid())
  local up, down, errno = furnish(parts, length, mode)
  if not up or errno then
    parts.door:cas(at, claimed, door.FREE)
    return nil, down, errno
  end
  parts.door:set_i32(at + door.UP, up)
  parts.door:set_i32(at + door.DOWN, down)
  local ready = door.word(door.READY, process.pid())
  parts.door:store(at, ready)
  parts.door:add32(door.ARRIVALS, 1)
  parts.ring()
  return at, ready
end

-- Waits until the server has taken it: true, or nil, message, errno.
local function await(parts, deadline)
  local pid, gone, stopped = parts.handle.pid, false, false
  local done, message, errno = parts.bell:await(function()
    if parts.outward:load32(talks.STATE) == 1 then
      return true
    elseif gone or parts.door:load32(door.CLOSED) ~= 0 then
      return nil, "nobody listens there", ENOENT
    end
  end, deadline, function()
    local before = stopped
    gone, stopped = not parts.handle:alive(), segment.stopped(pid)
    if stopped and before then
      return nil, "pid " .. pid .. " is stopped", EBUSY
    end
    return gone
  end)
  if errno == ETIMEDOUT then
    message = stopped and "pid " .. pid .. " is stopped" or "pid " .. pid .. " does not accept"
  end
  return done, message, errno
end

--- One attempt to get into a talk with who listens at a key.
-- @int key
-- @number deadline
-- @treturn shm.peer.talk
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOENT when nobody listens there, EAGAIN when too many wait already,
-- ETIMEDOUT when the server does not accept, EBUSY when it is stopped, EINTR …
function M.attempt(key, deadline)
  local region, handle, number, mode = door.find(key)
  if not region and number then
    return nil, handle, number
  elseif not region then
    door.sweep_key(key)
    return nil, "nobody listens there", ENOENT
  end
  local parts = {role = "client", door = region, handle = handle}
  parts.wake = bell.WAKES[region:load32(door.WAKE)]
  local length = region:load(door.LENGTH)
  if not parts.wake or length < door.length(M.LEAST) or length > door.length(M.MOST) then
    close_all(parts)
    return nil, "what is there is no door", EPROTO
  end
  local at, ready, errno, message
  parts.ring, parts.rung, errno = bell.ringer(parts.wake, region, door.BELL, "server", handle)
  if not parts.ring then
    message, parts.rung = parts.rung, nil
    close_all(parts)
    return nil, message, errno
  end
  at, ready, errno = present(parts, length, mode)
  if not at then
    close_all(parts)
    return nil, ready, errno
  end
  local taken
  taken, message, errno = await(parts, deadline)
  if not taken then
    -- One that is being taken just now is told in the segment.
    if not region:cas(at, ready, door.FREE) then
      parts.outward:store32(talks.CLOSED, 1)
    end
    close_all(parts)
    return nil, message, errno
  end
  return talks.new(parts)
end

--- The least and the most that a talk's segment may have, in bytes.
M.LEAST, M.MOST = 16384, 1 << 30

--- Whether it may be otherwise a moment later.
-- @int errno
-- @treturn boolean
function M.passes(errno)
  return errno == ENOENT or errno == EAGAIN
end

return M
