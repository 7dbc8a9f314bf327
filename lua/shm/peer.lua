--- A link between two unrelated processes, which first exchange their pids.
--
-- The link is a segment of System V shared memory, at a key that both know:
--
--     struct { pid_t pid; char buf[124]; };   /* 128 bytes; what follows is ours */
--
-- The server puts its pid there and waits. The client takes it, leaves its own, and
-- signals. From then on each message in buf is announced by a signal: the server sends
-- SIGUSR1, the client SIGUSR2. Both are blocked before anything is looked at, so that one
-- that comes between a look and a wait is kept, and the words below say what it was about,
-- so that none needs to be counted.
--
-- Behind those 128 bytes our server keeps more words. Who was written after the textbook
-- neither sees nor needs them; with such a peer messages go from the server to the client
-- only, end at their first NUL, and the client's signal means that one has been taken.
--
-- One link carries one message at a time, in either direction. As soon as both sides are
-- attached the segment is marked for removal: whatever ends them, the kernel cleans up.
-- @module shm.peer
local options = require "shm.options"
local process = require "shm.process"
local sysv = require "shm.sysv"

local M = {}

--- The longest message, in bytes.
M.LONGEST = 124

-- Offsets. PID and BUF are the textbook's; the rest exists where MAGIC is in place.
local PID, BUF = 0, 4
local MAGIC = 128       -- whose layout this is
local CLIENT = 132      -- pid of a client that knows these words
local STATE = 136       -- who may touch BUF and LENGTH: see below
local LENGTH = 140      -- bytes of the message in BUF
local CLOSED = {server = 144, client = 148} -- 1 once that side has closed the link
local TEXTBOOK_SIZE, SIZE = 128, 192
local MAGIC_VALUE = 0x316b6c70 -- "plk1"

-- STATE. 0 until the server has accepted the client; then free, or of one side: claimed
-- while that side writes, full once its message is whole. Only a sender claims and fills,
-- only its peer frees. A side that dies ends the link, so a claim that is never filled
-- keeps nobody waiting.
local FREE = 1
local CLAIMED = {server = 2, client = 3}
local FULL = {server = 4, client = 5}

local OTHER = {server = "client", client = "server"}
local SIGNAL = {server = "USR1", client = "USR2"} -- which side sends which
local LAST_WORDS = {"TERM", "INT", "HUP"}

local SLICE = 0.2    -- seconds between looks whether the other side lives
local NEWBORN = 2    -- seconds that a server has from shmget to shmat

local ESRCH, EINTR, EEXIST, EINVAL, EPIPE = 3, 4, 17, 22, 32
local ENOENT, EOPNOTSUPP, EADDRINUSE, ECONNRESET, ETIMEDOUT = 2, 95, 98, 104, 110

local Link = {__name = "shm.peer"}
Link.__index = Link

local SERVE_OPTIONS = {
  project = {integer = true, default = 0x66, least = 1, most = 255},
  mode = {integer = true, default = tonumber("600", 8), least = 0, most = 511},
}
local CONNECT_OPTIONS = {
  project = SERVE_OPTIONS.project,
  timeout = {type = "number", default = 1, least = 0},
}

local function refuse(errno, format, ...)
  return nil, format:format(...), errno
end

local function key_of(where, project, name)
  if math.type(where) == "integer" then
    if where == sysv.IPC_PRIVATE then
      error(name .. ": key: IPC_PRIVATE is nobody else's", 3)
    elseif where < -(1 << 31) or where >= 1 << 32 then
      error(("%s: key: %d has more than 32 bits"):format(name, where), 3)
    end
    return where
  end
  if type(where) ~= "string" then
    error(name .. ": key or path expected, got " .. type(where), 3)
  end
  return sysv.ftok(where, project)
end

-- Whether the process has the segment attached; nil where we may not know. A segment's
-- mapping has the segment's id for its inode.
local function attached(pid, id)
  local maps <close> = io.open("/proc/" .. pid .. "/maps")
  if not maps then
    return nil
  end
  for line in maps:lines() do
    local inode = line:match "^%x+%-%x+ %S+ %x+ %x+:%x+ (%d+) +/SYSV%x+"
    if tonumber(inode) == id then
      return true
    end
  end
  return false
end

-- The living process that a pid in the segment stands for, or nil and why there is none.
local function holder(pid, id)
  local handle, message, errno = process.open(pid)
  if not handle then
    if errno == ESRCH then
      message = "pid " .. pid .. " is stale: that process is dead"
    end
    return nil, message, errno
  end
  if attached(pid, id) == false then
    handle:close()
    return refuse(ESRCH, "pid %d is stale: another process has it now", pid)
  end
  return handle
end

-- Whether a segment found at our key may be replaced: true, false to look again soon, or
-- nil and why not.
local function abandoned(id, key)
  local stat = id:stat()
  if not stat then
    return false -- gone meanwhile
  end
  if stat.segsz ~= SIZE and stat.segsz ~= TEXTBOOK_SIZE then
    return refuse(EEXIST, "peer.serve: key %d: another program's segment of %d bytes is there"
                  .. " (ipcrm -m %d removes it)", key, stat.segsz, id.id)
  end
  if stat.cpid == 0 then
    return refuse(EADDRINUSE, "peer.serve: key %d: its server lives in another pid namespace",
                  key)
  end
  local handle = holder(stat.cpid, id.id)
  if handle then
    handle:close()
    return refuse(EADDRINUSE, "peer.serve: key %d: pid %d serves there already", key, stat.cpid)
  end
  local newborn = stat.nattch == 0 and os.time() - stat.ctime < NEWBORN
  return not (newborn and process.alive(stat.cpid))
end

-- A new segment at the key, in the place of one that a dead server has left.
local function create(key, mode)
  while true do
    local id, message, errno = sysv.shmget(key, SIZE, sysv.IPC_CREAT | sysv.IPC_EXCL | mode)
    if id or errno ~= EEXIST then
      return id, message, errno
    end
    local old = sysv.shmget(key, 0)
    if old then
      local free
      free, message, errno = abandoned(old, key)
      if free == nil then
        return nil, message, errno
      elseif free then
        local removed
        removed, message, errno = old:remove()
        if not removed and errno ~= EINVAL then
          return nil, message, errno
        end
      else
        process.sleep(0.01)
      end
    end
  end
end

-- A link with its signals blocked. They stay ignored after it is closed: the other side may
-- still send one, whose default action would end this process.
local function new_link(role, id, region)
  local link = setmetatable({
    id = id.id, role = role, other = OTHER[role], region = region, owner = process.pid(),
  }, Link)
  local signals, message, errno = process.signals("USR1", "USR2")
  if not signals then
    region:close()
    return nil, message, errno
  end
  process.signal("USR1", "ignore")
  process.signal("USR2", "ignore")
  link.signals = signals
  return link
end

--- Opens a link for one client, and returns without waiting for it.
-- The client is awaited by `accept`, or by the first `send` or `receive`. Until it has come,
-- SIGTERM, SIGINT and SIGHUP are held back: they remove the segment first and then do what
-- they do. What a server that was killed has left behind is replaced.
-- @tparam int|string where a key, or the path of an existing file to make one of
-- @tparam[opt] table opts `project` (1 to 255, for a path; 0x66), `mode` (permissions; 0600)
-- @treturn shm.peer the link
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EADDRINUSE when a living server is there, EEXIST when it is another
-- program's segment, EACCES, ENOENT (the path) …
-- @see shmget(2)
function M.serve(where, opts)
  opts = options.read(opts, SERVE_OPTIONS, "peer.serve")
  local key, message, errno = key_of(where, opts.project, "peer.serve")
  if not key then
    return nil, message, errno
  end
  -- From before the segment exists: a signal in between must not leave it behind.
  local guard
  guard, message, errno = process.signals("USR1", "USR2", table.unpack(LAST_WORDS))
  if not guard then
    return nil, message, errno
  end
  local id
  id, message, errno = create(key, opts.mode)
  if not id then
    guard:close()
    return nil, message, errno
  end
  local region, link
  region, message, errno = sysv.shmat(id)
  if region then
    link, message, errno = new_link("server", id, region)
  end
  if not link then
    id:remove()
    guard:close()
    return nil, message, errno
  end
  link.guard = guard
  link.listening = true
  region:store32(MAGIC, MAGIC_VALUE)
  region:store32(PID, link.owner) -- last: who finds a pid finds all of it
  return link
end

-- One attempt to become the client of who serves there.
local function join(key)
  local id, message, errno = sysv.shmget(key, TEXTBOOK_SIZE)
  if not id then
    if errno == ENOENT then
      message = "nobody serves there"
    elseif errno == EINVAL then
      message = "the segment there is too small to be a link"
    end
    return nil, message, errno
  end
  local region
  region, message, errno = sysv.shmat(id)
  if not region then
    return nil, message, errno
  end
  local pid = region:load32(PID)
  if pid <= 0 then
    region:close()
    return refuse(ENOENT, "its server is not ready")
  end
  local textbook = #region < SIZE or region:load32(MAGIC) ~= MAGIC_VALUE
  if not textbook and pid ~= id:stat().cpid then -- ours is always its segment's creator
    region:close()
    return refuse(EADDRINUSE, "pid %d is its client already", pid)
  end
  local server
  server, message, errno = holder(pid, id.id)
  if not server then
    region:close()
    return nil, message, errno
  end
  local link
  link, message, errno = new_link("client", id, region)
  if not link then
    server:close()
    return nil, message, errno
  end
  link.handle, link.peer, link.textbook = server, pid, textbook
  if not region:cas32(PID, pid, link.owner) then
    link:close()
    return refuse(EADDRINUSE, "another client was faster")
  end
  if not textbook then
    region:store32(CLIENT, link.owner) -- before the signal, by which the server looks
  end
  local told
  told, message, errno = server:kill(SIGNAL.client)
  if not told then
    link:close()
    return nil, message, errno
  end
  return link
end

--- Connects to a server.
-- @tparam int|string where the server's key or path
-- @tparam[opt] table opts `project` (as the server's; 0x66), `timeout` (seconds to wait for a
-- server to be there; 1)
-- @treturn shm.peer the link
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOENT when nobody serves there, ESRCH when its pid is stale, EADDRINUSE
-- when it has a client, EACCES …
-- @see shmget(2)
function M.connect(where, opts)
  opts = options.read(opts, CONNECT_OPTIONS, "peer.connect")
  local deadline = process.monotonic() + opts.timeout
  while true do
    local key, message, errno = key_of(where, opts.project, "peer.connect")
    local link
    if key then
      link, message, errno = join(key)
      if link then
        return link
      end
      message = ("peer.connect key %d: %s"):format(key, message)
    end
    local later = errno == ENOENT or errno == ESRCH or errno == EADDRINUSE
    if not later or process.monotonic() >= deadline then
      return nil, message, errno
    end
    local slept, why, number = process.sleep(0.005)
    if not slept then
      return nil, why, number
    end
  end
end

local function fail(action, errno, why)
  return nil, ("peer.%s: %s"):format(action, why), errno
end

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

local function check_timeout(timeout, action)
  if timeout ~= nil and not (type(timeout) == "number" and timeout >= 0) then
    error(("peer.%s: timeout: seconds expected, got %s"):format(action, tostring(timeout)), 3)
  end
  return process.monotonic() + (timeout or math.huge)
end

-- Announces a change to the other side. That it may have died just now is await's to see.
local function tell(link)
  link.handle:kill(SIGNAL[link.role])
end

-- A signal has been read. With a textbook peer it is all that we hear; otherwise it only
-- wakes us, and the words in the segment say the rest.
local function note(link, name, sender)
  for _, last in ipairs(LAST_WORDS) do
    if name == last then
      link.interrupted = name
      link:close()
      process.kill(process.pid(), name) -- now that nothing is left behind, do what it does
      return
    end
  end
  if name == SIGNAL[link.other] then
    link.signalled = sender
  end
end

-- Waits until ready() answers, with signals that the handle keeps. Whatever else ends the
-- wait is an error, and what was ready by then goes first.
local function await(link, handle, action, deadline, ready)
  while true do
    local result = ready()
    if result then
      return result
    end
    if link.peer then
      local closed = not link.textbook and link.region:load32(CLOSED[link.other]) == 1
      if closed or not link.handle:alive() then
        result = ready() -- its last message may have come after the look above
        if result then
          return result
        end
        if closed then
          return fail(action, EPIPE, "pid " .. link.peer .. " has closed the link")
        end
        return fail(action, ECONNRESET, "pid " .. link.peer .. " has ended")
      end
    end
    local left = deadline - process.monotonic()
    if left <= 0 then
      return fail(action, ETIMEDOUT, "Connection timed out")
    end
    local name, sender, errno = handle:wait(math.min(left, SLICE))
    if name then
      note(link, name, sender)
    elseif errno ~= ETIMEDOUT then
      return fail(action, errno, sender)
    end
    if link.interrupted then
      return fail(action, EINTR, "interrupted by SIG" .. link.interrupted)
    end
  end
end

-- The client that has left its pid, once it may be taken for one.
local function newcomer(link)
  local region = link.region
  local pid = region:load32(PID)
  local textbook = region:load32(CLIENT) ~= pid
  if pid == link.owner or textbook and link.signalled ~= pid then
    return nil
  end
  local handle = pid > 0 and holder(pid, link.id)
  if not handle then -- it died on the way: open up again
    link.signalled = nil
    region:store32(CLIENT, 0)
    region:cas32(PID, pid, link.owner)
    return nil
  end
  link.handle, link.peer, link.textbook = handle, pid, textbook
  link.signalled = nil
  return true
end

--- Waits for the client. `send` and `receive` do so where it has not been done.
-- @number[opt] timeout in seconds, absent for ever
-- @treturn int the client's pid
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT, EINTR after a signal
function Link:accept(timeout)
  check(self, "accept")
  local deadline = check_timeout(timeout, "accept")
  if self.listening then
    local done, message, errno = await(self, self.guard, "accept", deadline, function()
      return newcomer(self)
    end)
    if not done then
      return nil, message, errno
    end
    sysv.shmctl(self.id, sysv.IPC_RMID) -- both are attached: from here on the kernel cleans up
    self.listening = false
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
  local deadline = check_timeout(timeout, action)
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
  link.region:write(BUF, data .. ("\0"):rep(M.LONGEST - #data))
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
  elseif #data > M.LONGEST then
    error(("peer.send: data: %d bytes, where %d fit"):format(#data, M.LONGEST), 2)
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
  local data = link.region:read(BUF, M.LONGEST):match "^[^\0]*"
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
  local length = math.min(region:load32(LENGTH) & 0xff, M.LONGEST)
  local data = region:read(BUF, length)
  region:store32(STATE, FREE) -- pairs with the cas in send
  tell(self)
  return data
end

--- Closes the link. A message that the other side has not received yet stays for it.
-- @treturn boolean true
function Link:close()
  local region = self.region
  if not region then
    return true
  end
  self.region = nil
  if self.owner == process.pid() then -- a child has a copy, and must not hang up for its parent
    if self.listening then
      sysv.shmctl(self.id, sysv.IPC_RMID)
    elseif self.peer and not self.textbook then
      region:store32(CLOSED[self.role], 1)
      pcall(tell, self) -- a collector may have closed the handle already
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
