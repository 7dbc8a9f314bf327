--- One side of a two-way talk: messages of any length, both ways, as many in a row as one likes.
--
-- Two segments of System V, each with a queue of one producer and one consumer in it, one for
-- each direction. The dialling side makes both with IPC_PRIVATE, attaches them, and marks them
-- for removal before anybody else knows of them. Each:
--
--     0    u32  MAGIC
--     4    u32  STATE: 1 once the server has taken the talk (in the one to the server)
--     8    u32  CLOSED: 1 once the side that writes here has closed the talk
--     64   the bell of the side that reads here (in the one to the client; the server has one
--          for all its clients, where it listens)
--     512  the queue
--
-- In a queue a string is a message. A longer one comes as its length, then strings until that
-- is reached; false says that it will not be. So a message is whole or not there: what its
-- sender has not brought to its end, as it died or its time was up, is thrown away.
--
-- Who dies takes what it had not sent; what it had is still to be received. The other side
-- sees its end at the next look, a tenth of a second later at most. Both segments go with the
-- last of the two that is attached.
-- @module shm.peer.talk
local options = require "shm.options"
local process = require "shm.process"
local segment = require "shm.peer.segment"
local shm = require "shm"
local waiting = require "shm.peer.waiting"

local M = {}

-- Offsets in each segment.
M.MAGIC, M.STATE, M.CLOSED, M.BELL, M.QUEUE = 0, 4, 8, 64, 512
M.MAGIC_VALUE = 0x316b6c74 -- "tlk1"

local LOOK = 0.1 -- seconds for which one that lived counts as living
local EBUSY, EPIPE, EBADMSG, ECONNRESET, ETIMEDOUT = 16, 32, 74, 104, 110
local fail = waiting.fail

local Talk = {__name = "shm.peer.talk"}
Talk.__index = Talk

--- The largest capacity of a queue that lies in a segment of so many bytes.
-- @int size bytes of the segment
-- @treturn int bytes
function M.capacity(size)
  local least, most = 64, size
  while least + 64 <= most do
    local middle = (least + most) // 2
    if M.QUEUE + shm.queue.size {capacity = middle, mode = "spsc"} <= size then
      least = middle
    else
      most = middle - 1
    end
  end
  return least
end

--- The length of a part of a longer message, and of the longest message in one part: two fit,
-- so that one side may write while the other reads.
-- @int size bytes of the segment
-- @treturn int bytes
function M.chunk(size)
  return M.capacity(size) // 2 - 64
end

local function check(talk, action)
  if getmetatable(talk) ~= Talk then
    error(("peer.%s: talk expected, got %s"):format(action, type(talk)), 3)
  end
  if not talk.inward then
    error(("peer.%s: talk is closed"):format(action), 3)
  end
  if talk.owner ~= process.pid() then
    error(("peer.%s: the talk belongs to process %d"):format(action, talk.owner), 3)
  end
end

--- Makes one side of what is in place. It owns all that it is given but the server's bell.
-- @tparam table parts `role`, `wake`, `handle` (the other process), `inward` and `outward`
-- (regions), `inbox` and `outbox` (queues), `bell` (this side's own), `ring` (what rings the
-- other side's) and `rung` (what to close for that)
-- @tparam[opt] function leave what a server does when it is closed; the bell is not the talk's
-- @treturn shm.peer.talk
function M.new(parts, leave)
  local talk = parts
  talk.peer, talk.owner, talk.leave = talk.handle.pid, process.pid(), leave
  talk.alive_at = process.monotonic()
  return setmetatable(talk, Talk)
end

-- Why nothing more can come or go, if so: message, errno.
local function over(talk)
  if talk.inward:load32(M.CLOSED) ~= 0 then
    return "pid " .. talk.peer .. " has closed the talk", EPIPE
  elseif talk.dead then
    return "pid " .. talk.peer .. " has ended", ECONNRESET
  end
end

-- Looks whether the other side lives. True if it has just been found dead.
local function look_after(talk)
  if not talk.dead and not talk.handle:alive() then
    talk.dead = true
    return true
  end
  talk.alive_at = process.monotonic()
end

-- Waits for look, as a bell does, and for what may happen to the other side meanwhile.
local function await(talk, action, deadline, look)
  local stopped = false
  local function watch()
    if look_after(talk) then
      return true
    end
    local before = stopped
    stopped = segment.stopped(talk.peer)
    if stopped and before then
      return nil, "pid " .. talk.peer .. " is stopped", EBUSY
    end
  end
  local part = talk.leave ~= nil
  local found, message, errno
  if part and deadline <= process.monotonic() then -- the bell is left to who waits for all
    repeat
      local again
      found, message, errno = look()
      if found == nil and not errno then
        again, message, errno = watch()
        errno = errno or not again and ETIMEDOUT or nil
      end
    until found ~= nil or errno
  else
    found, message, errno = talk.bell:await(look, deadline, watch, part)
  end
  if found ~= nil or not errno then
    return found
  elseif errno == ETIMEDOUT then
    message = "Connection timed out" .. (stopped and ": pid " .. talk.peer .. " is stopped" or "")
  end
  return fail(action, errno, message)
end

-- One attempt to put a value into the queue: true, nil while it is full, or nil and why not.
local function put(talk, value)
  local why, number = over(talk)
  if why then
    return nil, why, number
  end
  local pushed, words, code = talk.outbox:push(value, 0)
  if pushed or code ~= ETIMEDOUT then
    return pushed, words, code
  end
end

local function push(talk, value, deadline)
  if process.monotonic() > talk.alive_at + LOOK then
    look_after(talk)
  end
  local done, message, errno = put(talk, value)
  if not done then
    done, message, errno = await(talk, "send", deadline, function() return put(talk, value) end)
  end
  if not done then
    return nil, message, errno
  end
  talk.ring()
  return true
end

--- Sends a message. Several may be on their way; what is longer than a segment goes through it
-- in parts while the other side receives.
-- @string data any bytes
-- @number[opt] timeout in seconds, absent for ever
-- @treturn boolean true once all of it is in the segment, where it stays for the other side
-- even if this one ends
-- @treturn[2] nil nothing of it arrives
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT, EINTR after a signal, EPIPE when the other side has closed the
-- talk, ECONNRESET when it has ended without that, a tenth of a second ago or more, EBUSY when it
-- has no room and is stopped
function Talk:send(data, timeout)
  check(self, "send")
  if type(data) ~= "string" then
    error("peer.send: data: string expected, got " .. type(data), 2)
  end
  local deadline = options.deadline(timeout, "peer.send")
  local done, message, errno = true, nil, nil
  if self.begun then -- the last one was not brought to its end
    done, message, errno = push(self, false, deadline)
    self.begun = not done
  end
  local n, chunk = #data, self.chunk
  if done and n <= chunk then
    return push(self, data, deadline)
  elseif done then
    done, message, errno = push(self, n, deadline)
    self.begun = done
    for first = 1, n, chunk do
      if done then
        done, message, errno = push(self, data:sub(first, first + chunk - 1), deadline)
      end
    end
    self.begun = self.begun and not done
  end
  if not done then
    return nil, message, errno
  end
  return true
end

-- One attempt to take a value out of the queue: the value, nil while there is none, or nil and
-- why there will be none.
local function take(talk)
  local inbox = talk.inbox
  if inbox:used() == 0 then
    local why, number = over(talk)
    if inbox:used() == 0 then -- its last one may have come after the first look
      return nil, why, number
    end
  end
  local value, words, code = inbox:pop(0)
  if value ~= nil or code ~= ETIMEDOUT then
    return value, words, code
  end
end

local function pop(talk, deadline)
  local value, message, errno = take(talk)
  if value == nil then
    value, message, errno = await(talk, "receive", deadline, function() return take(talk) end)
  end
  if value ~= nil then
    talk.ring() -- there is room
  end
  return value, message, errno
end

-- Adds a part to a message that comes in parts; gives it when it is whole.
local function join(coming, part)
  coming[#coming + 1] = part
  coming.n = coming.n + #part
  return coming.n >= coming.length and table.concat(coming):sub(1, coming.length)
end

--- Receives a message.
-- @number[opt] timeout in seconds, absent for ever
-- @treturn string the message
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT, EINTR after a signal, EPIPE when the other side has closed the
-- talk, ECONNRESET when it has ended without that, EBUSY when it is stopped: all these when
-- everything that it had sent is received; EBADMSG when it sends what is no message
function Talk:receive(timeout)
  check(self, "receive")
  local deadline = options.deadline(timeout, "peer.receive")
  while true do
    local value, message, errno = pop(self, deadline)
    if value == nil then
      return nil, message, errno
    elseif type(value) == "string" then
      local whole = not self.coming and value or join(self.coming, value)
      if whole then
        self.coming = nil
        return whole
      end
    elseif value == false then
      self.coming = nil
    elseif math.type(value) == "integer" and value > 0 then
      self.coming = {n = 0, length = value}
    else
      return fail("receive", EBADMSG, "pid " .. self.peer .. " sends what is no message")
    end
  end
end

--- How the other side is, as far as can be seen now.
-- @treturn string "open", "stopped" (SIGSTOP, Ctrl-Z), "closed" (it has closed the talk) or
-- "ended" (it has ended without that); of the last two there may still be messages
function Talk:state()
  check(self, "state")
  if self.inward:load32(M.CLOSED) ~= 0 then
    return "closed"
  end
  look_after(self)
  return self.dead and "ended" or segment.stopped(self.peer) and "stopped" or "open"
end

-- What there is for the listener to tell of.
function M.news(talk)
  if talk.inbox:used() > 0 then
    return "message"
  end
  return over(talk) and (talk.inbox:used() > 0 and "message" or "ended") or nil
end

M.look_after = look_after

--- The descriptor that is readable when there may be something: then `receive(0)`, until it
-- finds nothing. A server has one for all its talks: ask the listener. Where signals wake, look
-- at all talks that this process has dialled when any of their descriptors is readable: one
-- signal stands for all of them.
-- @treturn int the descriptor
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EOPNOTSUPP on a server's side and when woken by semaphores, EMFILE, EAGAIN
function Talk:fileno()
  check(self, "fileno")
  if self.leave then
    return fail("fileno", 95, "a server's talks are waited for where it listens")
  end
  local fd, message, errno = self.bell:fileno()
  if not fd then
    return fail("fileno", errno, message)
  end
  return fd
end

--- The same, under the name that LuaSocket's select asks for.
Talk.getfd = Talk.fileno

--- The same, under the name that cqueues asks for.
Talk.pollfd = Talk.fileno

--- What to poll the descriptor for, for cqueues.
-- @treturn string "r"
function Talk:events()
  check(self, "events")
  return "r"
end

--- After how long to look without an event, for cqueues: no bell tells of a death.
-- @treturn number seconds
function Talk:timeout()
  check(self, "timeout")
  return self.bell.slice
end

--- Closes the talk. What the other side has not received yet stays for it.
-- @treturn boolean true
function Talk:close()
  if getmetatable(self) ~= Talk then
    error("peer.close: talk expected, got " .. type(self), 2)
  end
  local inward, outward = self.inward, self.outward
  if not inward then
    return true
  end
  self.inward, self.outward = nil, nil
  if self.owner == process.pid() then -- a child has a copy, and must not hang up for its parent
    pcall(function() -- a collector may have closed some of it already
      outward:store32(M.CLOSED, 1)
      self.ring()
    end)
  end
  for _, name in ipairs {"inbox", "outbox", "rung", "handle", "door"} do
    if self[name] then
      self[name]:close()
    end
  end
  inward:close()
  outward:close()
  if self.leave then
    self.leave(self)
  else
    self.bell:close()
  end
  return true
end

Talk.__close = Talk.close
Talk.__gc = Talk.close

function Talk:__tostring()
  if not self.inward then
    return "shm.peer.talk (closed)"
  end
  return ("shm.peer.talk (%s, pid %d)"):format(self.role, self.peer)
end

return M
