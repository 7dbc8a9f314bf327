--- One side of a link between peers: waiting for the other, and messages.
-- @module shm.peer.link
local options = require "shm.options"
local process = require "shm.process"
local segment = require "shm.peer.segment"
local sysv = require "shm.sysv"
local waiting = require "shm.peer.waiting"

local M = {}

local PID, BUF, CLIENT, STATE, LENGTH, CLOSED = segment.PID, segment.BUF, segment.CLIENT,
  segment.STATE, segment.LENGTH, segment.CLOSED
local LONGEST = segment.LONGEST
local await, fail, tell, listeners = waiting.await, waiting.fail, waiting.tell, waiting.listeners

-- STATE. 0 until the server has accepted the client; then free, or of one side: claimed
-- while that side writes, full once its message is whole. Only a sender claims and fills,
-- only its peer frees. A side that dies ends the link, so a claim that is never filled
-- keeps nobody waiting.
local FREE = 1
local CLAIMED = {server = 2, client = 3}
local FULL = {server = 4, client = 5}

local OTHER = {server = "client", client = "server"}

local ESRCH, EINVAL, EADDRINUSE, EOPNOTSUPP = 3, 22, 98, 95

local Link = {__name = "shm.peer"}
Link.__index = Link

local function check(link, action)
  if getmetatable(link) ~= Link then
    error(("peer.%s: link expected, got %s"):format(action, type(link)), 3)
  end
  if not link.region then
    error(("peer.%s: link is closed"):format(action), 3)
  end
  if link.owner ~= process.pid() then
    error(("peer.%s: the link belongs to process %d"):format(action, link.owner), 3)
  end
end

local function new(role, id, region)
  local signals, message, errno = waiting.keep_signals()
  if not signals then
    return nil, message, errno
  end
  return setmetatable({
    id = id, role = role, other = OTHER[role], region = region, signals = signals,
    owner = process.pid(),
  }, Link)
end

--- The server's side, which waits for a client. It owns the region and the guard.
-- @int id the segment
-- @tparam shm.region region the segment
-- @tparam shm.process.signals guard what `guard` gave
-- @treturn shm.peer the link
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.server(id, region, guard)
  local link, message, errno = new("server", id, region)
  if not link then
    return nil, message, errno
  end
  link.guard, link.listening = guard, true
  listeners[link] = true
  region:store32(segment.MAGIC, segment.MAGIC_VALUE)
  region:store32(PID, link.owner) -- last: who finds a pid finds all of it
  return link
end

--- The client's side. It owns the region and the handle.
-- @int id the segment
-- @tparam shm.region region the segment
-- @tparam shm.process.handle server the server, as its pid in the segment says
-- @tparam boolean textbook whether the server knows only the first 128 bytes
-- @treturn shm.peer the link
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EADDRINUSE when another client was faster, ESRCH …
function M.client(id, region, server, textbook)
  local link, message, errno = new("client", id, region)
  if not link then
    return nil, message, errno
  end
  if not region:cas32(PID, server.pid, link.owner) then
    link.signals:close()
    return nil, "another client was faster", EADDRINUSE
  end
  link.handle, link.peer, link.textbook = server, server.pid, textbook
  if not textbook then
    region:store32(CLIENT, link.owner) -- before the signal, by which the server looks
  end
  local told
  told, message, errno = tell(link)
  if not told then
    link.peer = nil -- nobody has heard of us: as if we had not been there
    if not textbook then
      region:store32(CLIENT, 0)
    end
    region:cas32(PID, link.owner, server.pid)
    link:close()
    return nil, message, errno
  end
  return link
end

-- Takes the client that has left its pid, once it may be taken for one: true; or nil, message,
-- errno when there is no descriptor for it. If it died on the way the link is opened up again.
local function admit(link)
  local region = link.region
  local pid = region:load32(PID)
  if pid == link.owner then
    return false
  end
  local handle, message, errno = segment.holder(pid, link.id)
  if not handle then
    if errno == ESRCH then
      link.signalled = nil
      region:store32(CLOSED.client, 0)
      region:store32(CLIENT, 0)
      region:cas32(PID, pid, link.owner)
      return false
    end
    return nil, message, errno
  end
  local textbook = region:load32(CLIENT) ~= pid
  if textbook and link.signalled ~= pid then -- half way, or still to be told from ours
    handle:close()
    return false
  end
  link.handle, link.peer, link.textbook, link.signalled = handle, pid, textbook, nil
  return true
end

--- Waits for the client. `send` and `receive` do so where it has not been done. Afterwards, and on
-- the client's side, there is nothing to wait for.
-- @number[opt] timeout in seconds, absent for ever
-- @treturn int the other side's pid
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT, EMFILE, ENOMEM (and it still waits), EINTR after a signal: after
-- SIGTERM, SIGINT or SIGHUP, where that has not ended the process, with the link closed
function Link:accept(timeout)
  check(self, "accept")
  local deadline = options.deadline(timeout, "peer.accept")
  if self.listening then
    local done, message, errno = await(self, self.guard, "accept", deadline, function()
      return admit(self)
    end)
    if not done then
      return nil, message, errno
    end
    sysv.shmctl(self.id, sysv.IPC_RMID) -- both are attached: from here on the kernel cleans up
    self.listening = false
    listeners[self] = nil
    if not self.textbook then
      self.region:store32(STATE, FREE)
      tell(self)
    end
    self.guard:close()
    self.guard = nil
  end
  return self.peer
end

local function connected(link, action, timeout)
  local deadline = options.deadline(timeout, "peer." .. action)
  if link.listening then
    local pid, message, errno = link:accept(timeout)
    if not pid then
      return nil, (message:gsub("^peer%.accept", "peer." .. action)), errno
    end
  end
  return deadline
end

-- The peer's signal, once, if it has come.
local function take_signal(link)
  local came = link.signalled == link.peer
  link.signalled = nil
  return came
end

-- To a textbook client. Its signal is all that says it has taken the message before.
local function send_textbook(link, data, deadline)
  if link.role == "client" then
    return fail("send", EOPNOTSUPP, "a textbook server does not receive")
  elseif data:find("\0", 1, true) then
    return fail("send", EINVAL, "a textbook client's messages end at the first NUL")
  end
  local free, message, errno = await(link, link.signals, "send", deadline, function()
    return link.handle:alive() and (not link.untaken or take_signal(link))
  end)
  if not free then
    return nil, message, errno
  end
  link.region:write(BUF, data .. ("\0"):rep(LONGEST - #data))
  link.untaken = true
  tell(link)
  return true
end

--- Sends a message: waits until the buffer is free, fills it, and signals the other side.
-- @string data up to 124 bytes; any bytes, but no NUL if the other side is a textbook client
-- @number[opt] timeout in seconds, absent for ever
-- @treturn boolean true once the message is in the segment, where it stays for the other side
-- even if this one ends
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT, EINTR after a signal, EPIPE when the other side has closed the
-- link, ECONNRESET when it has ended without that, EINVAL for a NUL to a textbook client,
-- EOPNOTSUPP to a textbook server
-- @see kill(2)
function Link:send(data, timeout)
  check(self, "send")
  if type(data) ~= "string" then
    error("peer.send: data: string expected, got " .. type(data), 2)
  elseif #data > LONGEST then
    error(("peer.send: data: %d bytes, where %d fit"):format(#data, LONGEST), 2)
  end
  local deadline, message, errno = connected(self, "send", timeout)
  if not deadline then
    return nil, message, errno
  end
  if self.textbook then
    return send_textbook(self, data, deadline)
  end
  local region, claimed = self.region, CLAIMED[self.role]
  local open
  open, message, errno = await(self, self.signals, "send", deadline, function()
    return region:load32(CLOSED[self.other]) == 0 and self.handle:alive()
      and region:cas32(STATE, FREE, claimed)
  end)
  if not open then
    return nil, message, errno
  end
  region:write(BUF, data)
  region:store32(LENGTH, #data)
  region:store32(STATE, FULL[self.role]) -- pairs with the load in receive
  tell(self)
  return true
end

-- From a textbook server. Our signal tells it that its message is taken.
local function receive_textbook(link, deadline)
  if link.role == "server" then
    return fail("receive", EOPNOTSUPP, "a textbook client does not send")
  end
  local there, message, errno = await(link, link.signals, "receive", deadline, function()
    return take_signal(link)
  end)
  if not there then
    return nil, message, errno
  end
  local data = link.region:read(BUF, LONGEST):match "^[^\0]*"
  tell(link)
  return data
end

--- Receives a message, and frees the buffer.
-- @number[opt] timeout in seconds, absent for ever
-- @treturn string the message
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT, EINTR after a signal, EPIPE when the other side has closed the
-- link, ECONNRESET when it has ended without that, EOPNOTSUPP from a textbook client
function Link:receive(timeout)
  check(self, "receive")
  local deadline, message, errno = connected(self, "receive", timeout)
  if not deadline then
    return nil, message, errno
  end
  if self.textbook then
    return receive_textbook(self, deadline)
  end
  local region, full = self.region, FULL[self.other]
  local there
  there, message, errno = await(self, self.signals, "receive", deadline, function()
    return region:load32(STATE) == full
  end)
  if not there then
    return nil, message, errno
  end
  -- The length is the other side's word: it is copied once and cut to what can be.
  local length = math.min(region:load32(LENGTH) & 0xff, LONGEST)
  local data = region:read(BUF, length)
  region:store32(STATE, FREE) -- pairs with the cas in send
  tell(self)
  return data
end

--- Closes the link. A message that the other side has not received yet stays for it.
-- @treturn boolean true
function Link:close()
  if getmetatable(self) ~= Link then
    error("peer.close: link expected, got " .. type(self), 2)
  end
  local region = self.region
  if not region then
    return true
  end
  self.region = nil
  listeners[self] = nil
  if self.owner == process.pid() then -- a child has a copy, and must not hang up for its parent
    if self.listening then -- a client may be in that we have not looked for
      region:store32(CLOSED.server, 1)
      sysv.shmctl(self.id, sysv.IPC_RMID)
    elseif self.peer and not self.textbook then
      region:store32(CLOSED[self.role], 1)
      pcall(function() -- a collector may have closed the handle already
        tell(self)
        if not self.handle:alive() then -- it may have died before it could mark the segment
          sysv.shmctl(self.id, sysv.IPC_RMID)
        end
      end)
    end
  end
  region:close()
  for _, name in ipairs {"handle", "guard", "signals"} do
    if self[name] then
      self[name]:close()
    end
  end
  return true
end

Link.__close = Link.close
Link.__gc = Link.close

function Link:__tostring()
  if not self.region then
    return "shm.peer (closed)"
  end
  return ("shm.peer (%s, %s)"):format(self.role, self.peer and "pid " .. self.peer or "waiting")
end

return M
