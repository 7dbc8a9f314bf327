--- Who serves: the methods of servers.
-- @module shm.rpc.server
local attention = require "shm.rpc.attention"
local options = require "shm.options"
local outboxes = require "shm.rpc.outbox"
local owners = require "shm.rpc.owner"
local process = require "shm.process"
local requests = require "shm.rpc.request"
local words = require "shm.rpc.words"
local work = require "shm.rpc.work"

local M = {}

local SLICE <const> = 0.2   -- seconds between looks for signals
local OFTEN <const> = 32    -- steps between looks at the clock
local HURRY <const> = 0.01  -- between attempts, where answers wait for room
local LINGER <const> = 1    -- for such answers, at the end
local EINTR <const>, EBUSY <const>, ETIMEDOUT <const> = 4, 16, 110
local GO_ON <const> = {[EINTR] = true, [EBUSY] = true, [ETIMEDOUT] = true}

local ATTEND <const> = attention.SECONDS
local monotonic, attend, handle = process.monotonic, attention.attend, work.handle

local Server = {__name = "shm.rpc.server"}
Server.__index = Server

local function check(server, what)
  if getmetatable(server) ~= Server then
    error(("rpc.%s: server expected, got %s"):format(what, type(server)), 3)
  elseif not server.place then
    error(("rpc.%s: server is closed"):format(what), 3)
  elseif server.owner() == 0 then
    error(("rpc.%s: the server belongs to process %d"):format(what, server.pid), 3)
  end
end

--- Makes a server of what rpc.server found.
-- @tparam table register
-- @tparam table methods functions by name
-- @treturn shm.rpc.server
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.new(register, methods)
  local place, message, errno = register:take "server"
  if not place then
    return nil, message, errno
  end
  local server = {
    register = register, methods = methods, place = place, clients = {}, pid = process.pid(),
    claim = words.claim(register:who(place)), pop = register.requests:popper(),
    outbox = outboxes.new(), attended = monotonic(), steps = 0, leaves = register.leaves,
    left = register.leaves(), name = register.name,
  }
  server.cast = requests.cast(server)
  server.owner, server.page = owners.new()
  return setmetatable(server, Server)
end

-- Clients whose memory is open here, and is nobody's any more.
local function forget_who_left(server)
  if server.leaves() ~= server.left then
    attention.forget(server)
  end
end

-- Waits for a request for so long, or until answers should be tried again, and has it done.
local function take(server, timeout)
  local outbox = server.outbox
  if #outbox > 0 then
    forget_who_left(server)
    outbox:flush()
    timeout = #outbox > 0 and timeout > HURRY and HURRY or timeout
  end
  local message, why, errno = server.pop(timeout)
  forget_who_left(server)
  if errno then
    return nil, why, errno
  end
  handle(server, message)
  return true
end

--- Waits for a request, and has it done: for event loops, and for who has more to do. Methods
-- may yield, where the caller is a coroutine.
-- @number[opt] timeout in seconds, absent for ever
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT, EINTR after a signal, EPIPE (the queue of requests was shut down),
-- EBADMSG (what lay there was no message, and is gone), EBUSY (who has the queue was stopped)
function Server:step(timeout)
  check(self, "step")
  local deadline = options.deadline(timeout, "rpc.step")
  local left = timeout or math.huge
  self.steps = self.steps + 1
  if self.steps % OFTEN == 0 then
    attend(self)
  end
  while true do
    local done, why, errno = take(self, left < ATTEND and left or ATTEND)
    left = deadline - monotonic()
    if done then
      return true
    end
    attend(self)
    if errno ~= ETIMEDOUT or left <= 0 then
      why = errno == ETIMEDOUT and "Connection timed out" or why
      return nil, ("rpc.step '%s': %s"):format(self.name, why), errno
    end
  end
end

local function linger(server)
  local deadline = monotonic() + LINGER
  repeat
    server.outbox:flush()
  until #server.outbox == 0 or monotonic() >= deadline or not process.sleep(HURRY)
end

--- Serves until SIGTERM or SIGINT comes, or `stop` is called. The signals are read here, so
-- that what has begun is done to its end; children that a method forks inherit that.
-- @treturn boolean true
-- @treturn string "TERM", "INT" or "stop", also where a method has closed the server
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EPIPE (the queue of requests was shut down), EBADMSG (what lay there was no
-- message, and is gone)
function Server:serve()
  check(self, "serve")
  local signals <close>, message, errno = process.signals("TERM", "INT")
  if not signals then
    return nil, ("rpc.serve '%s': %s"):format(self.name, message), errno
  end
  local looked, how = monotonic(), nil
  while self.place and not self.stopping do
    local now = monotonic()
    if now - looked >= SLICE then
      looked = now
      attend(self)
      how = signals:wait(0)
      if how then
        break
      end
    end
    local done, why, code = take(self, SLICE)
    if not done and not GO_ON[code] then
      return nil, ("rpc.serve '%s': %s"):format(self.name, why), code
    end
  end
  self.stopping = false
  linger(self)
  return true, how or "stop"
end

--- Ends `serve`, or the next one if there is none now, once the request that is being done is
-- answered: for methods, and for other coroutines.
function Server:stop()
  check(self, "stop")
  self.stopping = true
end

--- Who calls.
-- @treturn {int,...} pids
function Server:callers()
  check(self, "callers")
  return self.register:pids "client"
end

--- Leaves the service: what it has begun and not answered is answered with EOWNERDEAD.
-- @treturn boolean true
function Server:close()
  if getmetatable(self) ~= Server then
    error("rpc.close: server expected, got " .. type(self), 2)
  end
  if not self.place then
    return true
  elseif self.owner() == 1 then -- a child has a copy
    self.outbox:flush()
  end
  for _, client in pairs(self.clients) do
    client:leave()
  end
  self.clients = {}
  self.register:close() -- which leaves the place; a child has none
  self.place = nil
  if self.page then
    self.page:close()
  end
  return true
end

Server.__close, Server.__gc = Server.close, Server.close

function Server:__tostring()
  return ("shm.rpc.server (%s)"):format(self.place and self.name or "closed")
end

--- A descriptor that is readable when requests are there: `step(0)` until it does nothing.
-- @treturn int
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function Server:fileno()
  check(self, "fileno")
  return self.register.requests:fileno()
end

--- The same for LuaSocket's `select`.
function Server:getfd()
  check(self, "getfd")
  return self.register.requests:getfd()
end

--- The same for cqueues.
function Server:pollfd()
  check(self, "pollfd")
  return self.register.requests:pollfd()
end

--- What the descriptor is polled for.
-- @treturn string "r"
function Server:events()
  check(self, "events")
  return "r"
end

--- When to call `step(0)` even if the descriptor is not readable: callers may die, and answers
-- wait for room.
-- @treturn number seconds
function Server:timeout()
  check(self, "timeout")
  return #self.outbox > 0 and HURRY or ATTEND
end

return M
