--- What wakes one process: a word that says that it sleeps, and what its partners do then.
--
-- In memory that both sides have, 384 bytes:
--
--     0   u32  1 while the process is about to sleep, or sleeps
--     64       the event (futex) or the sem_t (semaphore); nothing for signals
--
-- Only its owner waits; any of its partners rings. Who waits sets the word, looks once more,
-- and only then sleeps. Who has something for it publishes that first, and then swaps the word
-- with 0: if it was 1 it rings. Both are atomic and in one order, so one of the two sees the
-- other: either the second look finds it, or the bell rings. That a bell can be rung before
-- anyone sleeps at it, and is heard then, is what an event, a semaphore and a blocked signal
-- have in common, and what pause(2) and a condition without a mutex have not.
--
-- Who dies or is stopped between the swap and the ring leaves a sleeper who is not woken: a
-- sleeper looks for itself every slice, as it does for whether its partner lives.
--
-- The semaphore is a POSIX one in the segment, and not a set of System V: a set knows no
-- attachments, can not be marked for removal while it is used, and so stays behind when both
-- sides are killed. SEM_UNDO would not remove it, and adds up between two processes.
-- @module shm.peer.bell
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"

local M = {}

--- The ways, by their number in shared memory.
M.WAKES = {"futex", "semaphore", "signal"}

--- Bytes of a bell.
M.SIZE = 384

--- The number of a way.
-- @string wake
-- @treturn int the number
-- @treturn[2] nil it is none
function M.number(wake)
  for number, known in ipairs(M.WAKES) do
    if known == wake then
      return number
    end
  end
end

local OBJECT = 64
local SLICE = 0.1 -- seconds between looks at what no bell tells of
local SIGNAL = {server = "USR2", client = "USR1"} -- what this side hears: as shm.peer's links
local ETIMEDOUT = 110

-- Each: make and attach the object, wait at it, ring it. A signal has no object: who hears has
-- a handle that keeps it, who rings the handle of the process.
local KINDS = {
  futex = {
    make = function(region, at) return shm.event.create(region, at) end,
    attach = function(region, at) return shm.event.attach(region, at) end,
    ring = function(object) object:set() end,
  },
  semaphore = {
    make = function(region, at) return posix.sem_init(region, at, 0) end,
    attach = function(region, at) return posix.sem_attach(region, at) end,
    ring = function(object) object:post() end,
  },
}

-- Signals that are kept to be read. They stay ignored after that: one that comes late must not
-- end the process.
local function keep(name)
  local signals, message, errno = process.signals(name)
  if signals then
    process.signal(name, "ignore")
  end
  return signals, message, errno
end

local Bell = {}
Bell.__index = Bell

--- A bell of this process, in new memory.
-- @string wake one of WAKES
-- @tparam shm.region region where it lies
-- @int at offset in it
-- @string role whose it is, "server" or "client"
-- @treturn table the bell
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.own(wake, region, at, role)
  local object, message, errno
  local signal = wake == "signal" and SIGNAL[role] or nil
  if signal then
    object, message, errno = keep(signal)
  else
    object, message, errno = KINDS[wake].make(region, at + OBJECT)
  end
  if not object then
    return nil, message, errno
  end
  return setmetatable({
    wake = wake, object = object, signal = signal, region = region, at = at, slice = SLICE,
  }, Bell)
end

--- What rings a partner's bell, if it waits.
-- @string wake one of WAKES
-- @tparam shm.region region where it lies
-- @int at offset in it
-- @string role whose it is, "server" or "client"
-- @tparam shm.process.handle handle the partner
-- @treturn function to call after something was published for it
-- @treturn shm.event|shm.posix.semaphore what to close in the end; absent for signals
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.ringer(wake, region, at, role, handle)
  if wake == "signal" then
    local signal = SIGNAL[role]
    return function()
      if region:swap32(at, 0) ~= 0 then
        handle:kill(signal)
      end
    end
  end
  local object, message, errno = KINDS[wake].attach(region, at + OBJECT)
  if not object then
    return nil, message, errno
  end
  local ring = KINDS[wake].ring
  return function()
    if region:swap32(at, 0) ~= 0 then
      ring(object)
    end
  end, object
end

-- Rings this process's own.
function Bell:ring()
  if self.signal then
    process.kill(process.pid(), self.signal)
  else
    KINDS[self.wake].ring(self.object)
  end
end

--- Says that who has something shall ring, as before a sleep.
function Bell:arm()
  self.region:swap32(self.at, 1)
end

--- Waits until look() finds something.
-- @tparam function look gives anything but nil when there is something; nil while there is
-- not; nil, message, errno when there never will be
-- @number deadline
-- @tparam function watch is called after each slice; gives true when there is reason to look
-- again, or nil, message, errno that end the wait
-- @tparam boolean part whether what is looked at is not all that the bell is rung for
-- @treturn any what look gave, three values at most
-- @treturn[2] nil
-- @treturn[2] string message; absent with ETIMEDOUT
-- @treturn[2] int ETIMEDOUT, EINTR, or what look or watch gave
function Bell:await(look, deadline, watch, part)
  local heard = false
  local function done(...)
    if heard and part and self.polled then -- it may have been for the rest, which is polled for
      self:ring()
    end
    return ...
  end
  while true do
    local found, second, third = look()
    if found == nil and not third then
      self:arm()
      found, second, third = look()
    end
    if found ~= nil or third then
      return done(found, second, third)
    end
    local left = deadline - process.monotonic()
    local rung, message, errno = self.object:wait(math.max(0, math.min(left, self.slice)))
    if rung then
      heard = true
    elseif errno ~= ETIMEDOUT then
      return done(nil, message, errno)
    else
      local again
      again, message, errno = watch()
      if errno then
        return done(nil, message, errno)
      elseif not again and left <= self.slice then
        return done(nil, nil, ETIMEDOUT)
      end
    end
  end
end

--- The descriptor that is readable when the bell has been rung.
-- @treturn int the descriptor
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EOPNOTSUPP for a semaphore, EMFILE, EAGAIN
function Bell:fileno()
  if self.wake == "semaphore" then
    return nil, "a semaphore has no descriptor; futex and signal do", 95
  end
  local fd, message, errno = self.object:fileno()
  if fd and not self.polled then
    self.polled = true
    self:arm()
    self:ring() -- what came before is looked for
  end
  return fd, message, errno
end

--- Lets go of it.
function Bell:close()
  self.object:close()
end

return M
