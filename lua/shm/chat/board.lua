--- The memory that the chat's server and its children share: one log, and a slot per client.
--
-- The server alone writes the log, so all clients read the same lines in the same order.
-- Each child alone writes the inbox of its slot, with what its client typed. Every word has
-- one writer (the flags by which two sides wake each other aside), which is why no lock is
-- needed and why a child that is killed at any instruction leaves nothing half done: what it
-- had not published does not exist.
--
-- Flags are used one way throughout: who is about to sleep sets its flag and then looks once
-- more; who has changed something looks at the flag after that, and wakes if it was set.
-- Both orders are those of sequentially consistent atomics, so one of the two always sees
-- the other.
-- @module shm.chat.board
local ring = require "shm.chat.ring"
local sysv = require "shm.sysv"

local M = {}

--- The longest line, in bytes, without its end.
M.LONGEST = 1000

-- Offsets of the words that there are once, each in a cache line of its own.
local HEAD = 0          -- 64 bits: the log's writer
local ROOM_WANTED = 64  -- the server waits for readers to go on
local ASLEEP = 128      -- the server sleeps
local CLOSING = 192     -- the server ends
local SLOTS = 256

-- Offsets in a slot.
local READ = 0          -- 64 bits: how far the child has read the log
local SENT = 8          -- 64 bits: bytes that the client's socket has taken, ever
local CHILD_ASLEEP = 16 -- the child sleeps: 1 until the log goes on, 2 or until its inbox does
local INBOX_HEAD = 64   -- 64 bits: the inbox's writer, the child
local INBOX_TAIL = 128  -- 64 bits: the inbox's reader, the server
local INBOX = 192
local INBOX_SIZE = 4096
local SLOT_SIZE = INBOX + INBOX_SIZE

local Board = {}
Board.__index = Board

local Slot = {}
Slot.__index = Slot

--- Makes the segment and marks it for removal at once: from now on it is reached through
-- this process and its children alone, and gone with the last of them.
-- @int limit how many slots
-- @int backlog bytes of the log
-- @treturn table the board
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOSPC, ENOMEM, EINVAL (larger than SHMMAX)
function M.new(limit, backlog)
  local size = SLOTS + limit * SLOT_SIZE + backlog
  local id, message, errno = sysv.shmget(sysv.IPC_PRIVATE, size, sysv.IPC_CREAT)
  if not id then
    return nil, message, errno
  end
  local region
  region, message, errno = sysv.shmat(id)
  id:remove()
  if not region then
    return nil, message, errno
  end
  local log = {region = region, base = SLOTS + limit * SLOT_SIZE, capacity = backlog}
  return setmetatable({region = region, id = id, log = log}, Board)
end

--- The slot of a number from 1 to the limit.
function Board:slot(number)
  local base = SLOTS + (number - 1) * SLOT_SIZE
  return setmetatable({
    region = self.region, base = base, number = number,
    inbox = {region = self.region, base = base + INBOX, capacity = INBOX_SIZE},
  }, Slot)
end

--- Where the log's writer stands.
function Board:head()
  return self.region:load(HEAD)
end

--- Appends to the log. Only the server does.
-- @int slowest the position of the slowest reader
-- @string data the bytes
-- @int to the slot that it is for, 0 for all
-- @int except the slot that it is not for, 0 for none
-- @treturn boolean whether there was room
function Board:append(slowest, data, to, except)
  local head = ring.write(self.log, self:head(), slowest, data, to, except)
  if head then
    self.region:store(HEAD, head) -- pairs with the load in head, by which readers go
  end
  return head ~= nil
end

--- Whether a record of the longest kind fits.
function Board:fits(slowest)
  return self:head() + ring.room(2 * M.LONGEST) - slowest <= self.log.capacity
end

--- The record of the log at a position, and the position behind it.
function Board:record(position)
  return ring.read(self.log, position)
end

function Board:want_room(wanted)
  self.region:store32(ROOM_WANTED, wanted and 1 or 0)
end

--- Whether the server waits for room, and whoever has made some has to wake it.
function Board:room_is_wanted()
  return self.region:load32(ROOM_WANTED) == 1
end

function Board:close_down()
  self.region:store32(CLOSING, 1)
end

function Board:is_closing()
  return self.region:load32(CLOSING) == 1
end

--- The server says whether it is about to sleep.
function Board:asleep(yes)
  self.region:store32(ASLEEP, yes and 1 or 0)
end

--- Whether the server sleeps, and whoever has something for it has to wake it. It clears the
-- flag itself: if one child did and were stopped then, the others would let it sleep.
function Board:sleeps()
  return self.region:load32(ASLEEP) == 1
end

--- Clears the slot for a new client, who reads from the log's present end.
function Slot:reset(head)
  local region, base = self.region, self.base
  region:fill(base, INBOX)
  region:store(base + READ, head)
end

--- How far the child has read the log.
function Slot:position()
  return self.region:load(self.base + READ)
end

function Slot:advance(position)
  self.region:store(self.base + READ, position)
end

--- How many bytes the client's socket has taken, ever: what moves while somebody reads.
function Slot:sent()
  return self.region:load(self.base + SENT)
end

function Slot:add_sent(n)
  self.region:add(self.base + SENT, n)
end

--- The child says whether it is about to sleep, and whether its inbox shall wake it too.
function Slot:asleep(yes, for_inbox)
  self.region:store32(self.base + CHILD_ASLEEP, yes and (for_inbox and 2 or 1) or 0)
end

--- Whether the child slept and wants to know of the log, or of its inbox; the server, who
-- asks, has to wake it then.
function Slot:rouse(inbox)
  local word = self.base + CHILD_ASLEEP
  return self.region:load32(word) >= (inbox and 2 or 1) and self.region:swap32(word, 0) > 0
end

--- Puts a line into the inbox, if there is room. Only the child does.
function Slot:put(line)
  local region, base = self.region, self.base
  local head = ring.write(self.inbox, region:load(base + INBOX_HEAD),
                          region:load(base + INBOX_TAIL), line, 0, 0)
  if head then
    region:store(base + INBOX_HEAD, head) -- pairs with the load in take
  end
  return head ~= nil
end

--- Whether the inbox holds nothing that the server has not taken.
function Slot:empty()
  local region, base = self.region, self.base
  return region:load(base + INBOX_HEAD) == region:load(base + INBOX_TAIL)
end

--- Takes the next line from the inbox. Only the server does.
-- @treturn string the line, or nil when there is none
-- @raise when the inbox is not one: a child has scribbled over it
function Slot:take()
  local region, base = self.region, self.base
  local tail = region:load(base + INBOX_TAIL)
  local unread = region:load(base + INBOX_HEAD) - tail
  if unread == 0 then
    return nil
  end
  local line, _, _, behind = ring.read(self.inbox, tail)
  if not line or #line > M.LONGEST or unread < 0 or unread > INBOX_SIZE then
    error("the inbox of slot " .. self.number .. " is damaged")
  end
  region:store(base + INBOX_TAIL, behind) -- pairs with the load in put
  return line
end

return M
