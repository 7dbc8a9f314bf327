--- The child that serves one client of the chat: lines from the socket to the inbox, and
-- records from the log to the socket. It shares no word with another child.
-- @module shm.chat.session
local cqueues = require "cqueues"
local process = require "shm.process"
local board_of = require "shm.chat.board"

local M = {}

local LONGEST = board_of.LONGEST
local BATCH = 16384     -- bytes copied out of the log before the socket has taken them
local CHUNK = 16384     -- bytes read from the socket at a time
local RETRY = 0.25      -- seconds between attempts on a socket that takes nothing
local FAREWELL = 2      -- seconds without a byte until a client that leaves has had it all
local PARTING = 0.5     -- seconds until the client has noticed the end
local ETIMEDOUT = 110

local Session = {}
Session.__index = Session

--- The part that knows sockets, in the child.
-- @tparam table board the memory that is shared
-- @int number the client's slot
-- @tparam shm.process.channel client the connection
-- @tparam shm.process.channel server the channel to the server
-- @tparam function unread tells how many bytes the client has not read, or nil
function M.run(board, number, client, server, unread)
  local session = setmetatable({
    board = board, slot = board:slot(number), number = number,
    client = client, server = server, unread = unread,
    typed = "",   -- of the client's bytes, those that end in no line yet
    lines = {},   -- whole lines, of which the inbox has had room for the first few:
    handed = 0,   -- so many
    out = "",     -- bytes for the client that its socket has not taken
  }, Session)
  -- A controller of its own: the parent's was copied by fork and is shared with it.
  local loop = cqueues.new()
  loop:wrap(function()
    session:serve()
  end)
  assert(loop:loop())
end

-- Splits what has been typed into lines. Of a line that is too long the rest is skipped.
function Session:split(data)
  local from = 1
  while true do
    local at = data:find("\n", from, true)
    if not at then
      break
    end
    local line = (self.typed .. data:sub(from, at - 1)):gsub("\r$", "")
    if self.skipping or #line > LONGEST then
      self.out = self.out .. ("* not sent: a line has at most %d bytes\n"):format(LONGEST)
    elseif line == "/quit" then
      self.left, self.quit = true, true
      return
    else
      self.lines[#self.lines + 1] = line
    end
    self.skipping, self.typed = false, ""
    from = at + 1
  end
  self.typed = self.typed .. data:sub(from)
  if #self.typed > LONGEST + 1 then -- one more for the CR of a line that is just short enough
    self.skipping, self.typed = true, ""
  end
end

function Session:wake_server()
  if self.board:sleeps() then
    self.server:send("!", 0) -- if there is no room for it, an earlier one is still unread
  end
end

-- Hands over what the inbox takes. True if anything moved.
function Session:publish()
  local moved = false
  while self:has_lines() and self.slot:put(self.lines[self.handed + 1]) do
    self.handed = self.handed + 1
    moved = true
  end
  if moved then
    self:wake_server()
    if not self:has_lines() then
      self.lines, self.handed = {}, 0
    end
  end
  return moved
end

-- Whether lines wait for room in the inbox.
function Session:has_lines()
  return self.handed < #self.lines
end

-- Whether to read from the client: not before its earlier lines have found room, nor while
-- it takes no answers. Its own socket fills up then, and that is what slows it down.
function Session:hears()
  return not self.left and not self:has_lines() and #self.out < 2 * BATCH
end

-- Reads from the client. True if anything came.
function Session:listen()
  if not self:hears() then
    return false
  end
  local data, _, errno = self.client:recv(CHUNK, 0)
  if data then
    self:split(data)
  elseif errno ~= ETIMEDOUT then
    self.left = true
  end
  return data ~= nil
end

-- Gives the log's room up to a position back to the server.
function Session:pass(position)
  self.slot:advance(position)
  if self.board:room_is_wanted() then
    self.server:send("!", 0)
  end
end

-- Copies records from the log, once the client's socket has taken the ones before.
function Session:fetch()
  local board = self.board
  local position, head = self.slot:position(), board:head()
  if self.out ~= "" or position == head then
    return false
  end
  if self.deaf then -- nobody to read to, but the others must not wait for us
    self:pass(head)
    return true
  end
  local batch, size = {}, 0
  while position < head and size < BATCH do
    local data, to, except
    data, to, except, position = board:record(position)
    if not data then
      error "the log is damaged"
    end
    if (to == 0 or to == self.number) and except ~= self.number then
      batch[#batch + 1] = data
      size = size + #data
    end
  end
  self:pass(position)
  self.out = table.concat(batch)
  return true
end

-- The client takes nothing any more. What it has said is still read, and handed over.
function Session:lose()
  self.out, self.deaf = "", true
end

-- Sends what the socket takes. True if it took anything.
function Session:deliver()
  if self.out == "" then
    return false
  end
  local done, _, errno, sent = self.client:send(self.out, 0)
  sent = done and #self.out or sent
  if sent > 0 then
    self.deadline = nil
    self.slot:add_sent(sent)
    self.out = self.out:sub(sent + 1)
  end
  if not done and errno ~= ETIMEDOUT then
    self:lose()
  end
  return sent > 0
end

-- Whether all is done for a client that leaves: the server has taken its lines, and it has
-- got what was meant for it by then. Or for any, once the server closes.
function Session:finished()
  if self.board:is_closing() then
    return self.out == "" and self.slot:position() == self.board:head()
  end
  if not self.left or self:has_lines() or self.out ~= "" or not self.slot:empty() then
    return false
  end
  self.last = self.last or self.board:head()
  return self.deaf or self.slot:position() >= self.last
end

-- Sleeps until the client or the server has something, unless it has by now. False when the
-- server is gone.
function Session:sleep()
  local blocked = self.out ~= ""
  local waits_for_inbox = self:has_lines() or self.left
  self.slot:asleep(true, waits_for_inbox)
  local news = not blocked and self.slot:position() ~= self.board:head()
    or waits_for_inbox and self.slot:empty() and (self:has_lines() or self:finished())
    or self.board:is_closing() and self:finished()
  if not news then
    local events = (self:hears() and "r" or "") .. (blocked and "w" or "")
    local client = events ~= "" and {pollfd = self.client:fileno(), events = events} or 3600
    cqueues.poll(self.server, client, (blocked or self.left) and RETRY or 3600)
  end
  self.slot:asleep(false)
  local _, _, errno = self.server:recv(64, 0)
  return not errno or errno == ETIMEDOUT
end

-- Gives up on a client that leaves and takes no more of what is meant for it. As long as it
-- reads, even if its kernel takes nothing from us meanwhile, it gets all.
function Session:hurry()
  if not self.left or self.out == "" then
    self.deadline = nil
  elseif not self.deadline then
    self.deadline, self.had = process.monotonic() + FAREWELL, self.unread()
  elseif process.monotonic() > self.deadline then
    if self.unread() == self.had then
      self:lose()
    end
    self.deadline = nil
  end
end

function Session:serve()
  repeat
    local moved
    repeat
      moved = self:listen()
      moved = self:publish() or moved
      moved = self:fetch() or moved
      moved = self:deliver() or moved
    until not moved
    self:hurry()
  until self:finished() or not self:sleep()
  self:part()
end

-- Lets the client read the last of what was sent: closing with its words unread would reset
-- the connection, and take ours back.
function Session:part()
  if self.quit then
    self.client:send("* bye\n", 0) -- behind the answers to what it has typed before
  end
  self.client:shutdown()
  local deadline = process.monotonic() + PARTING
  repeat
    local left = deadline - process.monotonic()
    local more = left > 0 and self.client:recv(CHUNK, left)
  until not more
end

return M
