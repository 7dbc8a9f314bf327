--- The chat's server process: who is there, what is said in which order, and when to wait.
--
-- It alone writes the log. Lines come to it through the inboxes, are given their speaker's
-- name, and go into the log when there is room; while there is none it takes no lines, the
-- inboxes fill up, the children stop reading, and the talkers are slowed down by TCP.
-- @module shm.chat.hub
local cqueues = require "cqueues"
local commands = require "shm.chat.commands"
local door = require "shm.chat.door"
local process = require "shm.process"
local session = require "shm.chat.session"
local unread = require "shm.chat.unread"

local M = {}

local TICK = 0.25       -- seconds between looks at clients that everybody waits for
local CLOSING = 1       -- seconds that clients have to read the last line
local EINTR, EPIPE, ETIMEDOUT = 4, 32, 110

local Hub = {}
Hub.__index = Hub

--- Makes the hub.
-- @tparam table board the shared memory
-- @param listener a listening socket of cqueues
-- @tparam shm.process.signals signals TERM and INT
-- @tparam table opts `limit`, `grace`, `log`
function M.new(board, listener, signals, opts)
  local free = {}
  for number = opts.limit, 1, -1 do
    free[#free + 1] = number
  end
  return setmetatable({
    board = board, listener = listener, signals = signals,
    port = select(3, listener:localname()),
    limit = opts.limit, grace = opts.grace, log = opts.log,
    loop = cqueues.new(),
    members = {},   -- in the order in which they came
    names = {},     -- member by name
    free = free,    -- numbers of slots
    arrivals = {},  -- accepted connections
    unsaid = {},    -- what the log had no room for, in order
    slowest = 0,    -- a lower bound of where the log's readers stand
    guests = 0,
  }, Hub)
end

local function slot_number(member)
  return member and not member.removed and member.slot.number or 0
end

-- Appends to the log what it has room for. False while something is left.
function Hub:flush()
  local board, unsaid = self.board, self.unsaid
  local done = 0
  while unsaid[done + 1] and self:has_room() do
    done = done + 1
    local line = unsaid[done]
    -- A member that has left may have given its slot to another by now.
    if not (line.to and line.to.removed) then
      board:append(self.slowest, line.text, slot_number(line.to), slot_number(line.except))
      self.appended = true
    end
  end
  if done > 0 then
    table.move(unsaid, done + 1, #unsaid + done, 1)
  end
  return unsaid[1] == nil
end

-- Whether the longest line fits, by where the readers are known to be, or else are by now.
function Hub:has_room()
  if self.board:fits(self.slowest) then
    return true
  end
  local slowest = self.board:head()
  for _, member in ipairs(self.members) do
    if not member.ended then
      slowest = math.min(slowest, member.slot:position())
    end
  end
  self.slowest = slowest
  return self.board:fits(slowest)
end

-- Wakes a member's child if it sleeps and waits for the log, or for its inbox. One that has
-- ended has no handles any more, but may have died with its flag set.
local function wake(member, for_inbox)
  if not member.ended and member.slot:rouse(for_inbox) then
    member.channel:send("!", 0) -- if there is no room for it, an earlier one is still unread
  end
end

local function kill(member)
  if not member.ended then
    member.child:kill "KILL"
  end
end

-- Says something to one member, or to all but one.
function Hub:say(text, to, except)
  self.unsaid[#self.unsaid + 1] = {text = text .. "\n", to = to, except = except}
end

-- Takes a member's lines while they find room. True if there were any.
function Hub:take_lines(member)
  local taken = false
  while self:flush() do
    local ok, line = pcall(member.slot.take, member.slot)
    if not ok then
      member.damaged = true
      self:drop(member, line)
      break
    elseif not line then
      break
    end
    commands.hear(self, member, line)
    taken = true
  end
  if taken then
    wake(member, true)
  end
  return taken
end

function Hub:drop(member, why)
  if not member.dropped then
    member.dropped = true
    self.log(("dropped %s: %s"):format(member.name, why))
    kill(member)
  end
end

-- The child of a member has ended: its last lines, its leave, and the slot is free again.
function Hub:remove(member)
  self:take_lines(member)
  if not (member.slot:empty() or member.damaged) then
    return false -- once there is room
  end
  for i, other in ipairs(self.members) do
    if other == member then
      table.remove(self.members, i)
    end
  end
  member.removed = true
  self.names[member.name] = nil
  self.free[#self.free + 1] = member.slot.number
  self:say(("* %s left"):format(member.name))
  self.log(("%s left (%s)"):format(member.name, member.ended))
  return true
end

-- In the child: keeps the client's connection and the channel, and nothing else.
function Hub:become_child(number, client, channel, name)
  process.signal("INT", "ignore") -- Ctrl-C is the server's, who says goodbye
  self.signals:close()
  for _, member in ipairs(self.members) do
    member.channel:close()
    member.child:close()
  end
  local keep = {2, client:fileno(), channel:fileno()}
  table.sort(keep)
  for i, fd in ipairs(keep) do
    local last = keep[i + 1] and keep[i + 1] - 1
    if not last or last > fd then
      process.close_range(fd + 1, last)
    end
  end
  session.run(self.board, number, client, channel, function()
    return unread.bytes(self.port)[name]
  end)
end

-- Waits, in the loop, for a member's wake-ups and for its child's end.
local function watch(member)
  local channel, child = member.channel, member.child
  local hung_up, how, code, error_number
  repeat
    if hung_up then
      cqueues.poll(child)
    else
      cqueues.poll(child, channel)
      error_number = select(3, channel:recv(256, 0))
      hung_up = error_number == EPIPE
    end
    how, code, error_number = child:wait(0)
  until how or error_number ~= ETIMEDOUT and error_number ~= EINTR
  cqueues.cancel(channel:fileno())
  cqueues.cancel(child:fileno())
  channel:close()
  child:close()
  member.ended = ("%s %s"):format(how or "error", code)
end

function Hub:admit(connection)
  local number = table.remove(self.free)
  local client, ours, theirs, child
  local _, host, port = connection:peername()
  local name = unread.name(host or "", port or 0)
  local ok, message = pcall(function()
    client = assert(process.channel(connection:pollfd()))
    ours, theirs = assert(process.socketpair())
    self.board:slot(number):reset(self.board:head())
    child = assert(process.fork(function()
      ours:close()
      self:become_child(number, client, theirs, name)
    end))
  end)
  if client then
    client:close()
  end
  if theirs then
    theirs:close()
  end
  if not ok then
    if ours then
      ours:close()
    end
    self.free[#self.free + 1] = number
    self.log("could not serve a client: " .. message)
    door.turn_away(self.loop, connection, "the server is out of resources")
    return
  end
  connection:close()
  repeat
    self.guests = self.guests + 1
  until not self.names["guest" .. self.guests]
  local member = {
    name = "guest" .. self.guests, slot = self.board:slot(number), channel = ours,
    child = child, socket = name,
  }
  self.members[#self.members + 1] = member
  self.names[member.name] = member
  self.loop:wrap(function()
    watch(member)
  end)
  self:say(("* welcome, %s; %d here. %s"):format(member.name, #self.members, commands.HELP), member)
  self:say(("* %s joined"):format(member.name), nil, member)
  self.log(("%s joined from %s:%s, served by pid %d"):format(
    member.name, host or "?", port or "?", child.pid))
end

function Hub:await_signals()
  while true do
    cqueues.poll(self.signals)
    local name = self.signals:wait(0)
    if name then
      self:close_down("SIG" .. name)
    end
  end
end

function Hub:close_down(why)
  if not self.closing then
    self.closing = process.monotonic() + CLOSING
    self.log("closing: " .. why)
    self:say "* the server is closing"
  end
end

-- Drops who has read nothing for the grace time while everybody waits for room in the log.
-- A client's kernel takes bytes in steps of 100 KB or so; in between only its own machine
-- knows what it has read, and if that is this one, we look.
function Hub:hurry(now)
  if self.unsaid[1] == nil then
    self.blocked = false
    return
  elseif self.blocked and now < self.next_look then
    return
  end
  self.next_look = now + TICK
  local unread_bytes = unread.bytes(self.port)
  for _, member in ipairs(self.members) do
    local seen = member.slot:sent() .. " " .. (unread_bytes[member.socket] or "?")
    local waited_for = not member.ended and not self.board:fits(member.slot:position())
    if not (self.blocked and waited_for) or member.seen ~= seen then
      member.seen, member.since = seen, now
    elseif now - member.since >= self.grace then
      self:drop(member, ("read nothing for %g s while its backlog was full"):format(self.grace))
    end
  end
  self.blocked = true
end

-- The last line has been said: children end by themselves once it is read, or are ended.
function Hub:end_members(now)
  if self.unsaid[1] == nil then
    self.board:close_down()
  end
  if now > self.closing then
    for _, member in ipairs(self.members) do
      kill(member)
    end
  end
end

function Hub:wake_members()
  if self.appended or self.closing then
    self.appended = false
    for _, member in ipairs(self.members) do
      wake(member)
    end
  end
end

-- Everything that there is to do now. True if something was done.
function Hub:turn()
  local done = false
  for i = #self.members, 1, -1 do
    local member = self.members[i]
    done = member.ended and self:remove(member) or done
  end
  if self.arrivals[1] then
    -- A handle that is garbage by now must be finalized here and not in a child, where its
    -- descriptor is closed and the number may be another's.
    collectgarbage()
  end
  while self.arrivals[1] do
    local connection = table.remove(self.arrivals, 1)
    if self.closing then
      door.turn_away(self.loop, connection, "the server is closing")
    elseif #self.members == self.limit then
      self.log "turned a client away: too many users"
      door.turn_away(self.loop, connection, "too many users")
    elseif self:flush() then
      self:admit(connection)
    else -- everybody waits for room in the log: so do newcomers
      table.insert(self.arrivals, 1, connection)
      break
    end
    done = true
  end
  self:flush()
  if not self.closing then
    for _, member in ipairs(self.members) do
      done = self:take_lines(member) or done
    end
  end
  self:wake_members()
  return done
end

--- Serves until a signal ends it and all children have ended.
function Hub:run()
  self.loop:wrap(function() door.watch(self.listener, self.arrivals, self.log) end)
  self.loop:wrap(function() self:await_signals() end)
  while not self.closing or self.members[1] do
    self.board:asleep(false)
    self.board:want_room(false)
    while self:turn() do end
    -- About to sleep: set the flags, and look once more.
    self.board:asleep(true)
    self.board:want_room(self.unsaid[1] ~= nil)
    if not self:turn() and (not self.closing or self.members[1]) then
      local pressing = self.closing or self.unsaid[1]
      local ok, message = self.loop:step(pressing and TICK or nil)
      if not ok then
        error(message)
      end
    end
    local now = process.monotonic()
    self:hurry(now)
    if self.closing then
      self:end_members(now)
    end
  end
  self.listener:close()
  self.loop:close()
  return true
end

return M
