--- The chat's server process: lets clients in, wakes their children, and says who has left.
--
-- What is said does not pass through it: children publish it, and read it, in the topic. It
-- wakes those that sleep, once for all that was published meanwhile; a child that publishes
-- wakes it if it sleeps, over one channel that all have.
-- @module shm.chat.hub
local cqueues = require "cqueues"
local board_of = require "shm.chat.board"
local door = require "shm.chat.door"
local process = require "shm.process"
local session = require "shm.chat.session"
local unread = require "shm.chat.unread"

local M = {}

local TICK = 0.25       -- seconds between looks at what should not last
local CLOSING = 1       -- seconds that clients have to read the last line
local PACE = 0.00004    -- seconds until the next round, for each child that was woken
-- How much the memory of Lua grows, in per cent, until what is young is collected, and until all
-- is: hardly ever in a child, as that would write to, and so copy, all that it has of the server.
local MINOR, MAJOR = 2, 1000
local EINTR, ETIMEDOUT = 4, 110

local Hub = {}
Hub.__index = Hub

--- Makes the hub.
-- @tparam table board the shared memory, with nobody there
-- @tparam table listeners listening sockets of cqueues
-- @tparam shm.process.signals signals TERM, INT, HUP and CHLD
-- @tparam table opts `limit`, `backlog`, `history`, `grace`, `log`
-- @int port the TCP port that is listened on, or 0
-- @tparam table arrivals connections that the server before this one has accepted
-- @return the hub; or nil, message, errno
function M.new(board, listeners, signals, opts, port, arrivals)
  local free = {}
  for number = opts.limit, 1, -1 do
    free[#free + 1] = number
  end
  local poked, poke, errno = process.socketpair()
  if not poked then
    return nil, poke, errno
  end
  return setmetatable({
    board = board, listeners = listeners, signals = signals, opts = opts, log = opts.log,
    port = port,
    poked = poked,   -- what children wake this process by
    poke = poke,     -- their end of it
    loop = cqueues.new(),
    members = {},    -- by slot
    count = 0,       -- how many members
    free = free,     -- numbers of slots
    ended = {},      -- members whose children have ended
    arrivals = arrivals, -- accepted connections
    unsaid = {},     -- what the topic had no room for, in order
    seen = -1,       -- what was published when children were woken last
    next_round = 0,  -- when they may be woken again
    guests = 0,
  }, Hub)
end

-- Says something in a room, or to all.
function Hub:say(text, room)
  self.unsaid[#self.unsaid + 1] = {room, text .. "\n"}
end

-- Publishes what there is room for. False while something is left.
function Hub:flush()
  local unsaid, done = self.unsaid, 0
  for _, it in ipairs(unsaid) do
    if not self.board:publish(0, it[1], board_of.NOTICE, it[2]) then
      break
    end
    done = done + 1
  end
  if done > 0 then
    table.move(unsaid, done + 1, #unsaid + done, 1)
  end
  return unsaid[1] == nil
end

-- Wakes the children that sleep, if there is anything that they have not been woken for. What
-- is published soon after waits for the next round: children that are woken for every line
-- do little else than to wake.
function Hub:wake_members()
  local count = self.board:count()
  if count == self.seen or process.monotonic() < self.next_round then
    return false
  end
  self.seen = count
  local woken = 0
  for _, member in pairs(self.members) do
    if member.slot:rouse() and not member.how then
      member.channel:send("!", 0) -- if there is no room for it, an earlier one is still unread
      woken = woken + 1
    end
  end
  self.next_round = process.monotonic() + woken * PACE
  return true
end

local function kill(member)
  if not member.how then
    member.child:kill "KILL"
  end
end

-- The children of these members have ended. Of the topic they are let go once others wait.
function Hub:remove_ended()
  local ended = self.ended
  if ended[1] == nil then
    return false
  end
  self.ended = {}
  for _, member in ipairs(ended) do
    local room = member.slot:room()
    local name = self.board:forget(member.name, member.number, member.slot.number) or member.name
    member.slot:set_room(0)
    self.members[member.slot.number] = nil
    self.count = self.count - 1
    self.free[#self.free + 1] = member.slot.number
    if room ~= 0 then
      self:say(("* %s left"):format(name), room)
    end
    self.log(member.how == "exit" and member.code == session.DROPPED
      and ("dropped %s: more than %d bytes behind"):format(name, self.opts.backlog)
      or ("%s left (%s %s)"):format(name, member.how, member.code))
  end
  return true
end

-- In the child: keeps the client's connection and its channels, and nothing else. What other
-- handles there are it keeps referring to: their finalizers would close what has their numbers.
function Hub:become_child(client, channel, member)
  process.signal("INT", "ignore") -- Ctrl-C is the server's, who says goodbye
  process.signal("HUP", "ignore")
  self.signals:close()
  local keep = {2, client:fileno(), channel:fileno(), self.poke:fileno()}
  table.sort(keep)
  for i, fd in ipairs(keep) do
    local last = keep[i + 1] and keep[i + 1] - 1
    if not last or last > fd then
      process.close_range(fd + 1, last)
    end
  end
  session.run {
    board = self.board, slot = member.slot, number = member.number, name = member.name,
    client = client, server = channel, poke = self.poke,
    backlog = self.opts.backlog, history = self.opts.history, others = self,
    unread = function()
      return unread.bytes(self.port)[member.socket]
    end,
  }
end

-- Looks whose children have ended: once for as many as ended meanwhile. A coroutine each would
-- wait for them as well, but all children would have all coroutines in their memory.
function Hub:reap()
  for _, member in pairs(self.members) do
    local how, code, errno
    if not member.how then
      how, code, errno = member.child:wait(0)
    end
    if how or errno and errno ~= ETIMEDOUT and errno ~= EINTR then
      member.how, member.code = how or "error", code
      member.channel:close()
      member.child:close()
      self.ended[#self.ended + 1] = member
    end
  end
end

-- A name and a slot for who comes; nil when the arena has no memory for it.
function Hub:receive(socket)
  local board, number = self.board, self.board:number()
  local slot = board:slot(self.free[#self.free])
  local member = {slot = slot, number = number, socket = socket}
  slot:reset()
  repeat
    self.guests = self.guests + 1
    member.name = "guest" .. self.guests
  until board:name(member.name, number, slot.number) or not board.names:get(member.name)
  self.free[#self.free] = nil
  return member
end

-- What is there by now becomes old: new, survived, old. The child shares its pages as long as it
-- does not write to them, and its collector goes through what is young alone.
local function grow_old()
  for _ = 1, 3 do
    collectgarbage "step"
  end
end

function Hub:admit(connection)
  local family, host, port = connection:peername()
  if not family then -- an error, behind which stands its number
    host, port = nil, nil
  end
  local member = self:receive(unread.name(host or "", port or 0))
  local client, ours, theirs
  local ok, message = pcall(function()
    client = assert(process.channel(connection:pollfd()))
    ours, theirs = assert(process.socketpair())
    grow_old()
    member.child = assert(process.fork(function()
      self:become_child(client, theirs, member)
    end))
  end)
  for _, it in pairs {client = client, theirs = theirs, ours = not ok and ours or nil} do
    it:close()
  end
  if not ok then
    self.board:forget(member.name, member.number, member.slot.number)
    self.free[#self.free + 1] = member.slot.number
    self.log("could not serve a client: " .. message)
    door.turn_away(self.loop, connection, "the server is out of resources")
    return
  end
  connection:close()
  member.channel = ours
  self.members[member.slot.number] = member
  self.count = self.count + 1
  self.log(("%s joined from %s, served by pid %d"):format(
    member.name, door.address(host, port), member.child.pid))
end

function Hub:await_signals()
  while true do
    cqueues.poll(self.signals)
    local name = self.signals:wait(0)
    if name == "CHLD" then
      self:reap()
    elseif name then
      self:close_down(name)
    end
  end
end

function Hub:await_pokes()
  while true do
    cqueues.poll(self.poked)
    self.poked:recv(4096, 0)
  end
end

function Hub:close_down(signal)
  if not self.closing then
    self.closing = process.monotonic() + CLOSING
    self.restarts = signal == "HUP"
    self.log((self.restarts and "restarting: SIG" or "closing: SIG") .. signal)
    self:say(self.restarts and "* the server restarts: come again" or "* the server is closing", 0)
  end
end

-- Ends the children that do not go on for the grace time while somebody waits for them: such
-- as were stopped.
function Hub:hurry(now)
  if not self.board:lags() then
    self.board:wait_for_room(self.unsaid[1] ~= nil)
    self.looked = nil
    return
  elseif self.looked and now < self.looked + TICK then
    return
  end
  for _, member in pairs(self.members) do
    local turns = member.slot:turns()
    if not self.looked or member.turns ~= turns or member.slot:sleeps() then
      member.turns, member.since = turns, now
    elseif now - member.since >= self.opts.grace and not member.how then
      self.log(("ending %s: its process did not go on for %g s"):format(member.name,
                                                                      self.opts.grace))
      kill(member)
      member.since = now
    end
  end
  self.looked = now
end

-- The last line has been said: children end by themselves once it is read, or are ended.
function Hub:end_members(now)
  if self.unsaid[1] == nil then
    self.board:close_down()
    self.seen = -1
  end
  if now > self.closing then
    for _, member in pairs(self.members) do
      kill(member)
    end
  end
end

function Hub:answer_arrivals()
  local arrivals = self.arrivals
  if arrivals[1] == nil or self.restarts then -- these are for the next server
    return false
  end
  self.arrivals = {}
  for _, connection in ipairs(arrivals) do
    if self.closing then
      door.turn_away(self.loop, connection, "the server is closing")
    elseif self.count == self.opts.limit then
      self.log "turned a client away: too many users"
      door.turn_away(self.loop, connection, "too many users")
    else
      self:admit(connection)
    end
  end
  return true
end

-- Everything that there is to do now. True if something was done.
function Hub:turn()
  local done = self:remove_ended()
  done = self:answer_arrivals() or done
  self:flush()
  self:count_behind()
  return self:wake_members() or done
end

-- Whether most of those who could listen are behind with it. One alone holds up nobody, unless
-- there is but one to talk to.
function Hub:count_behind()
  local behind = 0
  for _, member in pairs(self.members) do
    behind = behind + (member.slot:is_behind() and 1 or 0)
  end
  self.board:crowd(2 * behind > self.count - 1 and behind > 0)
end

-- Until how many seconds from now to sleep at most.
function Hub:patience()
  if self.board:count() ~= self.seen then
    return math.max(0.0005, self.next_round - process.monotonic())
  end
  return (self.closing or self.unsaid[1] or self.board:room_is_wanted()) and TICK or nil
end

--- Ends the children, after an error: what they serve is over.
function Hub:abandon()
  for _, member in pairs(self.members) do
    if not member.how then
      kill(member)
      member.child:wait()
    end
  end
  collectgarbage(self.mode)
end

--- Serves until a signal ends it and all children have ended.
-- @treturn table for the next server, if it is to begin again, connections that wait
function Hub:run()
  local arrivals = function(connection)
    self.arrivals[#self.arrivals + 1] = connection
  end
  for _, listener in ipairs(self.listeners) do
    self.loop:wrap(function()
      door.watch(listener, arrivals, function() return #self.arrivals end, self.log)
    end)
  end
  self.loop:wrap(function() self:await_signals() end)
  self.loop:wrap(function() self:await_pokes() end)
  -- A handle that is garbage by now must be finalized here and not in a child, where its
  -- descriptor is closed and the number may be another's. From here on each that is garbage is
  -- closed.
  collectgarbage()
  collectgarbage()
  self.mode = collectgarbage("generational", MINOR, MAJOR)
  while not self.closing or self.count > 0 do
    self.board:asleep(false)
    while self:turn() do end
    -- About to sleep: set the flag, and look once more.
    self.board:asleep(true)
    if not self:turn() and (not self.closing or self.count > 0) then
      local ok, message = self.loop:step(self:patience())
      if not ok then
        error(message)
      end
    end
    local now = process.monotonic()
    if self.board:room_is_wanted() or self.unsaid[1] then
      self:hurry(now)
    end
    if self.closing then
      self:end_members(now)
    end
  end
  for _, listener in ipairs(self.listeners) do
    cqueues.cancel(listener:pollfd())
  end
  collectgarbage(self.mode)
  cqueues.cancel(self.signals:fileno())
  cqueues.cancel(self.poked:fileno())
  self.loop:close()
  self.poked:close()
  self.poke:close()
  return self.restarts and self.arrivals or nil
end

return M
