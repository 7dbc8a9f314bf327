--- Who listens: a door at a key, and a talk with each client that comes in.
--
-- One bell tells of everything: who has come, and what any client sends. So `wait` sleeps once
-- for all of them, however many there are, and looks at each when it is woken.
--
-- What shared memory says of a client is believed only as far as the kernel bears it out: the
-- segments must be made by that pid, marked, of the size, and attached by it.
-- @module shm.peer.listener
local door = require "shm.peer.door"
local options = require "shm.options"
local process = require "shm.process"
local segment = require "shm.peer.segment"
local shm = require "shm"
local bell = require "shm.peer.bell"
local talks = require "shm.peer.talk"
local waiting = require "shm.peer.waiting"

local M = {}

local LOOK = 0.1 -- seconds between looks at what no bell tells of, also while there is much to do
local ENOMEM, ENFILE, EMFILE, EPROTO, ETIMEDOUT = 12, 23, 24, 71, 110
local fail = waiting.fail

local Listener = {__name = "shm.peer.listener"}
Listener.__index = Listener

local function check(listener, action)
  if getmetatable(listener) ~= Listener then
    error(("peer.%s: listener expected, got %s"):format(action, type(listener)), 3)
  end
  if listener.closed then
    error(("peer.%s: listener is closed"):format(action), 3)
  end
  if listener.owner ~= process.pid() then
    error(("peer.%s: the listener belongs to process %d"):format(action, listener.owner), 3)
  end
end

--- Opens a door, and listens there.
-- @int key
-- @tparam table opts `mode`, `wake`, `size`
-- @treturn shm.peer.listener
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.open(key, opts)
  local region, own, id = door.open(key, opts)
  if not region then
    return nil, own, id -- message, errno
  end
  return setmetatable({
    region = region, bell = own, id = id, wake = opts.wake, length = door.length(opts.size),
    owner = process.pid(), talks = {}, turn = 0, arrivals = 0, looked = process.monotonic(),
  }, Listener)
end

-- The bell and its memory go with the last who needs them.
local function let_go(listener)
  if listener.closed and #listener.talks == 0 and listener.region then
    listener.bell:close()
    listener.region:close()
    listener.region = nil
  end
end

-- A talk has been closed.
local function forget(listener, talk)
  for i, other in ipairs(listener.talks) do
    if other == talk then
      table.remove(listener.talks, i)
      break
    end
  end
  let_go(listener)
end

-- Attaches what a client has made: the parts of a talk, or nil, message, errno.
local function attach(listener, pid, up, down)
  local parts = {role = "server", wake = listener.wake, bell = listener.bell}
  local message, errno
  parts.handle, message, errno = segment.holder(pid, up)
  if parts.handle then
    parts.inward, message, errno = door.attach(up, listener.length, pid)
  end
  if parts.inward then
    parts.outward, message, errno = door.attach(down, listener.length, pid)
  end
  if parts.outward and parts.outward:load32(talks.MAGIC) ~= talks.MAGIC_VALUE then
    message, errno = "segment " .. down .. " is not a talk's", EPROTO
  elseif parts.outward then
    parts.inbox, message, errno = shm.queue.attach(parts.inward, talks.QUEUE)
  end
  if parts.inbox then
    parts.outbox, message, errno = shm.queue.attach(parts.outward, talks.QUEUE)
  end
  if parts.outbox then
    parts.chunk = talks.chunk(listener.length)
    parts.ring, parts.rung, errno = bell.ringer(listener.wake, parts.outward, talks.BELL,
                                                "client", parts.handle)
    message = parts.rung
  end
  if parts.ring then
    return parts
  end
  parts.rung = nil
  for _, name in ipairs {"outbox", "inbox", "outward", "inward", "handle"} do
    if parts[name] then
      parts[name]:close()
    end
  end
  return nil, message, errno
end

-- Takes one of those who are ready: its talk; nil when there is none; or nil, message, errno.
local function admit(listener)
  local region = listener.region
  local arrivals = region:load32(door.ARRIVALS)
  if arrivals == listener.arrivals then
    return nil
  end
  for i = 0, door.COUNT - 1 do
    local at = door.slot(i)
    local word = region:load(at)
    local pid = word & 0x7fffffff
    if word >> 32 == door.READY and pid > 0
       and region:cas(at, word, door.word(door.TAKEN, pid)) then
      local up, down = region:get_i32(at + door.UP), region:get_i32(at + door.DOWN)
      local parts, message, errno = attach(listener, pid, up, down)
      if errno == EMFILE or errno == ENFILE or errno == ENOMEM then
        region:store(at, word) -- it stays ready for when there is more; all else is its own
        return nil, message, errno
      end
      region:store(at, door.FREE)
      local talk = parts and talks.new(parts, function(it) forget(listener, it) end)
      if talk and parts.inward:load32(talks.CLOSED) == 0 then
        parts.inward:store32(talks.STATE, 1)
        talk.ring()
        listener.talks[#listener.talks + 1] = talk
        return talk
      elseif talk then -- its time was up
        talk:close()
      end
    end
  end
  listener.arrivals = arrivals
end

-- Looks at what no bell tells of. True if there is news by it.
local function look_around(listener)
  local found = false
  for _, talk in ipairs(listener.talks) do
    found = talks.look_after(talk) or found
  end
  door.sweep_slots(listener.region, listener.id, listener.length)
  listener.looked = process.monotonic()
  return found
end

local function await(listener, action, deadline, look)
  if process.monotonic() > listener.looked + LOOK then
    look_around(listener)
  end
  local talk, second, errno = listener.bell:await(look, deadline, function()
    return look_around(listener)
  end)
  if talk == nil then
    return fail(action, errno, errno == ETIMEDOUT and "Connection timed out" or second)
  end
  return talk, second
end

-- Whether there is something for `wait`.
local function has_news(listener)
  for _, talk in ipairs(listener.talks) do
    if talks.news(talk) then
      return true
    end
  end
  return listener.region:load32(door.ARRIVALS) ~= listener.arrivals
end

--- Waits for a new client.
-- @number[opt] timeout in seconds, absent for ever
-- @treturn shm.peer.talk the talk with it
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT, EINTR after a signal, EMFILE, ENOMEM
function Listener:accept(timeout)
  check(self, "accept")
  local deadline = options.deadline(timeout, "peer.accept")
  local talk, message, errno = await(self, "accept", deadline, function() return admit(self) end)
  if self.bell.polled and has_news(self) then -- it may have heard the bell for that
    self.bell:ring()
  end
  return talk, message, errno
end

--- Waits until there is something with any of the clients. All get their turn.
-- @number[opt] timeout in seconds, absent for ever
-- @treturn shm.peer.talk with whom
-- @treturn string "new" for a client that has just come in; "message" when `receive(0)` has
-- something to do, of a long message maybe only a part; "ended" when the client has closed the
-- talk or has died and there is nothing more of it, until the talk is closed here
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT, EINTR after a signal, EMFILE, ENOMEM
function Listener:wait(timeout)
  check(self, "wait")
  return await(self, "wait", options.deadline(timeout, "peer.wait"), function()
    local talk, message, errno = admit(self)
    if talk then
      return talk, "new"
    end
    local all = self.talks
    for i = 1, #all do
      local at = (self.turn + i - 1) % #all + 1
      local what = talks.news(all[at])
      if what then
        self.turn = at
        return all[at], what
      end
    end
    return nil, message, errno -- those who are here go first
  end)
end

--- The descriptor that is readable when `wait(0)` may find something: call it until it does
-- not. Look once a second as well, as no bell tells of a death.
-- @treturn int the descriptor
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EOPNOTSUPP when woken by semaphores, EMFILE, EAGAIN
function Listener:fileno()
  check(self, "fileno")
  local fd, message, errno = self.bell:fileno()
  if not fd then
    return fail("fileno", errno, message)
  end
  return fd
end

--- The same, under the name that LuaSocket's select asks for.
Listener.getfd = Listener.fileno

--- The same, under the name that cqueues asks for.
Listener.pollfd = Listener.fileno

--- What to poll the descriptor for, for cqueues.
-- @treturn string "r"
function Listener:events()
  check(self, "events")
  return "r"
end

--- After how long to look without an event, for cqueues.
-- @treturn number seconds
function Listener:timeout()
  check(self, "timeout")
  return self.bell.slice
end

--- Admits nobody any more. The talks go on, each until it is closed.
-- @treturn boolean true
function Listener:close()
  if getmetatable(self) ~= Listener then
    error("peer.close: listener expected, got " .. type(self), 2)
  end
  if not self.closed then
    self.closed = true
    if self.owner == process.pid() then -- a child has a copy of it
      pcall(function() -- a collector may have closed some of it already
        self.region:store32(door.CLOSED, 1)
        door.sweep_slots(self.region, self.id, self.length)
      end)
    end
    let_go(self)
  end
  return true
end

Listener.__close = Listener.close
Listener.__gc = Listener.close

function Listener:__tostring()
  if self.closed then
    return "shm.peer.listener (closed)"
  end
  return ("shm.peer.listener (%s, %d talks)"):format(self.wake, #self.talks)
end

return M
