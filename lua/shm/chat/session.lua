--- The child that serves one client of the chat: what the client types goes into the topic, and
-- what the others have published comes out of it to the client.
--
-- It reads the topic as fast as it can, whether the client takes anything or not: what that
-- has not taken yet waits here, in this process, so a client that reads slowly is behind alone.
-- Once that is more than the backlog the client is dropped, if it reads only at four times as
-- much, or at half the memory. While it is more than a little, nothing is read from the client
-- either: who talks and does not listen is slowed down.
--
-- Before it publishes it looks how far the slowest child is behind, and waits if that is far: so
-- all who talk are slowed down to what this machine can deliver. They also wait while most
-- clients are behind by a quarter of the backlog, and read: to what most can take.
-- @module shm.chat.session
local cqueues = require "cqueues"
local commands = require "shm.chat.commands"
local history = require "shm.chat.history"
local outbox = require "shm.chat.outbox"
local process = require "shm.process"
local board_of = require "shm.chat.board"
local typed = require "shm.chat.typed"

local M = {}

--- How a child ends whose client was too far behind.
M.DROPPED = 3

local NOTICE, TALK = board_of.NOTICE, board_of.TALK
local BATCH = 16384     -- bytes taken from the topic before the socket is offered them
local CHUNK = 4096      -- bytes read from the socket at a time
local SAYS = 2048       -- bytes of lines that are published as one message
local RETRY = 0.25      -- seconds between attempts on a socket that takes nothing
local READS = 1         -- seconds since the client took something: it reads
local WHILE_IT_READS = 4 -- times the backlog that it may be behind then
local NO_ROOM = 0.03    -- seconds until the next look whether there is room to publish
local FAREWELL = 2      -- seconds without a byte until a client that leaves has had it all
local PARTING = 0.5     -- seconds until the client has noticed the end
local AN_HOUR = 3600
local ETIMEDOUT = 110

local Session = {}
Session.__index = Session

--- The part that knows sockets, in the child.
-- @tparam table given `board`, the memory that is shared; `slot`, the client's; `number` and
-- `name`, the client's; `client`, its connection; `server`, the channel to the server; `poke`,
-- the one that wakes the server; `unread`, a function that tells how many bytes the client has
-- not read, or nil; `backlog`, how many bytes it may be behind; `history`, how many lines it is
-- shown of what was said before
function M.run(given)
  local session = setmetatable(given, Session)
  session.typed = typed.new(function()
    session:tell(("* not sent: a line has at most %d bytes"):format(board_of.LONGEST))
  end)
  session.lines = {}   -- whole lines, of which so many have been heard:
  session.heard = 0
  session.out = outbox.new() -- what is for the client
  session.took = 0     -- when its socket took something
  session.behind = false
  session.typing = true -- there may be something to read from the client
  session.mark = board_of.FIRST_MARK - 1 -- of the latest join
  -- A controller of its own: the parent's was copied by fork and is shared with it.
  local loop = cqueues.new()
  loop:wrap(function()
    session:serve()
  end)
  assert(loop:loop())
end

--- Something for the client.
function Session:tell(text)
  self:put(text .. "\n")
end

function Session:put(bytes)
  if not self.deaf then
    self.out:put(bytes)
  end
end

--- Publishes, if there is room.
function Session:publish(to, what, lines)
  if not self.board:publish(self.number, to, what, lines) then
    return false
  end
  self.board:wake_server(self.poke)
  return true
end

--- Publishes what the client says, if there is room, and not most are behind.
function Session:talk(to, what, lines)
  return not self.board:is_crowded() and self:publish(to, what, lines)
end

--- Goes to a room: says so there, and gathers what was said there before. What has not come out
-- of the topic by then is still the room's before, up to the mark of the join, which also keeps
-- others from overwriting it until the history has been read up to there.
-- @string name the room's
-- @int room its number
-- @treturn boolean whether there was room to say so
function Session:enter(name, room)
  local mark = self.mark < board_of.LAST_MARK and self.mark + 1 or board_of.FIRST_MARK
  self.slot:set_room(room) -- first: whoever reads that we joined finds us there
  if not self:publish(room, mark, ("* %s joined\n"):format(self.name)) then
    self.slot:set_room(self.room or 0)
    return false
  end
  self.mark = mark
  self.entering = {name = name, room = room, history = history.of(self, room, mark)}
  return true
end

-- The topic has come to the mark of our join: from here on we hear the room.
function Session:arrive()
  local room = self.entering
  self.entering = nil
  local here = self.board:population(room.room)
  if self.room then
    self:tell(("* this is %s; %d here"):format(room.name, here))
  else
    self:tell(("* welcome, %s; %d here. /help"):format(self.name, here))
  end
  self.room, self.room_name = room.room, room.name
  if room.history ~= "" then
    local _, lines = room.history:gsub("\n", "")
    self:tell(("* said before, %d line%s:"):format(lines, lines == 1 and "" or "s"))
    self:put(room.history)
  end
end

-- Whether lines wait to be heard.
function Session:has_lines()
  return self.heard < #self.lines
end

-- Whether to read from the client: not before its earlier lines are published, nor while it
-- takes no answers. Its own socket fills up then, and that is what slows it down.
function Session:hears()
  return not self.left and not self:has_lines() and self.out.size < 2 * BATCH
end

-- Reads from the client. True if anything came.
function Session:listen()
  if not self.typing or not self:hears() then
    return false
  end
  local data, _, errno = self.client:recv(CHUNK, 0)
  self.typing = data ~= nil and #data == CHUNK
  if data then
    self.typed:split(data, self.lines)
    self.left = self.typed.quit
  elseif errno ~= ETIMEDOUT then
    self.left = true
  end
  return data ~= nil
end

-- Publishes lines that were typed, as many at a time as one message is to have.
-- Returns how many, or nil where there is no room.
function Session:say()
  local lines, last, size, text = self.lines, self.heard, 0, {}
  local before = self.name .. ": "
  while last < #lines and size < SAYS do
    local line = lines[last + 1]
    if line:byte() == 47 then -- a slash
      if commands.is_one(line) then
        break
      end
      line = line:gsub("^//", "/")
    end
    last = last + 1
    text[#text + 1] = before .. line .. "\n"
    size = size + #text[#text]
  end
  if size == 0 then
    return 0
  end
  return self:talk(self.room, TALK, table.concat(text)) and last - self.heard or nil
end

-- Goes to the lobby, and hears the lines that were typed. True if anything moved.
function Session:hear()
  local moved = false
  self.waits = not self.room and not self.entering and not self:enter("lobby", self.lobby)
  while self:has_lines() and self.room and not self.entering do
    local heard = self:say()
    if heard == 0 then
      heard = commands.hear(self, self.lines[self.heard + 1]) and 1
    end
    if not heard then
      self.waits = true
      break
    end
    self.heard = self.heard + heard
    moved = true
  end
  if moved and not self:has_lines() then
    self.lines, self.heard = {}, 0
  end
  return moved
end

-- Takes what is for the client out of the topic. True if there was anything.
function Session:fetch()
  local reader, number, room, taken = self.reader, self.number, self.room, 0
  local parse = board_of.parse
  while taken < BATCH do
    if not reader then
      break
    end
    local message, why, errno = reader:try()
    if errno == ETIMEDOUT then
      break
    elseif errno then
      error(why)
    end
    local from, to, what, begin = parse(message)
    if from == number and to ~= number then
      if what == self.mark and self.entering then
        self:arrive()
        room = self.room
      end
    elseif to == room or to == number or to == 0 then
      self:put(message:sub(begin))
    end
    taken = taken + #message
  end
  return taken > 0
end

-- The client takes nothing any more. What it has said is still read, and published.
function Session:lose()
  self.out:clear()
  self.deaf = true
end

-- Sends what the socket takes. True if it took anything.
function Session:deliver()
  if self.out.size == 0 then
    return false
  end
  local sent, errno = self.out:send(self.client)
  if sent > 0 then
    self.deadline, self.took = nil, process.monotonic()
  end
  if errno and errno ~= ETIMEDOUT then
    self:lose()
  end
  return sent > 0
end

-- Tells the server when the client begins to be behind, and when that ends: one that reads
-- nothing is nobody's concern.
function Session:report()
  local behind = self.out.size > self.backlog // 4 and process.monotonic() < self.took + READS
  if behind ~= self.behind then
    self.behind = behind
    self.slot:set_behind(behind)
    self.board:wake_server(self.poke)
  end
end

-- Whether the client is too far behind. One that reads has time to catch up, as those who talk
-- are slowed down only once the server has counted how many are behind.
function Session:is_lost()
  local size, backlog = self.out.size, self.backlog
  return size > backlog
    and (process.monotonic() > self.took + READS
         or size > math.max(WHILE_IT_READS * backlog, self.board.window))
end

-- Whether all is done for a client that leaves: its lines are published, and it has got what
-- was published by then. Or for any, once the server closes.
function Session:finished()
  if self.reader and self.left and not self:has_lines() and #self.reader == 0 then
    self.reader:close()
    self.reader = nil
  end
  if self.board:is_closing() then
    return self.out.size == 0 and not (self.reader and #self.reader > 0)
  end
  return self.left and not self:has_lines() and self.out.size == 0 and not self.reader
end

-- Sleeps until the client or the server has something, unless it has by now. False when the
-- server is gone.
function Session:sleep()
  local blocked = self.out.size > 0
  self.slot:asleep(true)
  local woken = true
  if not (self.reader and #self.reader > 0 or self:finished()) then
    if self.waits then
      self.board:wait_for_room(true)
      self.board:wake_server(self.poke)
    end
    local events = (self:hears() and "r" or "") .. (blocked and "w" or "")
    local timeout = self.waits and NO_ROOM or (blocked or self.left) and RETRY or AN_HOUR
    self.watched.events = events
    woken = self:notice(cqueues.poll(self.server, events == "" and timeout or self.watched,
                                     timeout))
  else
    self.typing = true
  end
  self.slot:asleep(false)
  if not woken then
    return true
  end
  local _, _, errno = self.server:recv(64, 0)
  return not errno or errno == ETIMEDOUT
end

-- What the sleep has ended by: only where there is something it is read. True for the server.
function Session:notice(...)
  local woken = false
  for i = 1, select("#", ...) do
    local it = select(i, ...)
    self.typing = self.typing or it == self.watched
    woken = woken or it == self.server
  end
  return woken
end

-- Gives up on a client that leaves and takes no more of what is meant for it. As long as it
-- reads, even if its kernel takes nothing from us meanwhile, it gets all.
function Session:hurry()
  if not self.left or self.out.size == 0 then
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
  local board = self.board
  self.reader = assert(board.said:subscribe())
  self.watched = {pollfd = self.client:fileno()}
  self.lobby = assert(board:room "lobby")
  repeat
    local busy, moved = false
    repeat
      self.slot:turn()
      moved = self:listen()
      moved = self:hear() or moved
      local news = self:fetch()
      self.typing = self.typing or news and busy -- who is always told something is also heard
      moved, busy = news or moved, true
      moved = self:deliver() or moved
      if self:is_lost() then
        self.reader:close()
        process.exit(M.DROPPED)
      end
      self:report()
    until not moved
    self:hurry()
  until self:finished() or not self:sleep()
  self:part()
end

-- Lets the client read the last of what was sent: closing with its words unread would reset
-- the connection, and take ours back.
function Session:part()
  if self.typed.quit then
    self.client:send("* bye\n", 0) -- behind the answers to what it has typed before
  end
  self.client:shutdown()
  if self.reader then -- nobody is to wait for us meanwhile
    self.reader:close()
  end
  local deadline = process.monotonic() + PARTING
  repeat
    local left = deadline - process.monotonic()
    local more = left > 0 and self.client:recv(CHUNK, left)
  until not more
end

--- Says what happened in the client's room, to all that are there; to the client as an answer,
-- which comes before those to what it types next.
function Session:announce(text)
  if not self:publish(self.room, NOTICE, text .. "\n") then
    return false
  end
  self:tell(text)
  return true
end

return M
