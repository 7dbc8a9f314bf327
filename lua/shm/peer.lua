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
-- only, end at their first NUL, and the client's signal means that one has been taken. As
-- signals are all that such a peer says, have one textbook link in a process at a time, and
-- beside it nothing that `listen` or `dial` gave with signals to wake.
--
-- Where no link keeps them, both signals are ignored from the first link on: one that comes late
-- shall not end the process. So is the one that wakes a talk.
--
-- One link carries one message at a time, in either direction. As soon as both sides are
-- attached the segment is marked for removal: whatever ends them, the kernel cleans up.
--
-- A talk is the link grown up: two segments, one for each direction, messages of any length and
-- several in a row, many clients with one server, and a choice of what wakes. `listen` and
-- `dial` begin one; shm.peer.door says how they meet, shm.peer.talk what lies in the segments,
-- shm.peer.bell how one wakes the other. The two ways do not see each other's servers.
-- @module shm.peer
local bell = require "shm.peer.bell"
local dial = require "shm.peer.dial"
local link = require "shm.peer.link"
local listener = require "shm.peer.listener"
local options = require "shm.options"
local process = require "shm.process"
local segment = require "shm.peer.segment"
local sysv = require "shm.sysv"
local waiting = require "shm.peer.waiting"

local M = {}

--- The longest message, in bytes.
M.LONGEST = segment.LONGEST

local SIGUSR2 = 12
local ENOENT, ESRCH, EINVAL, EDEADLK, EIDRM, EADDRINUSE = 2, 3, 22, 35, 43, 98

local SERVE_OPTIONS = {
  project = {integer = true, default = 0x66, least = 1, most = 255},
  mode = {integer = true, default = tonumber("600", 8), least = 0, most = 511},
}
local LISTEN_OPTIONS = {
  project = SERVE_OPTIONS.project,
  mode = SERVE_OPTIONS.mode,
  wake = {type = "string", default = "futex"},
  size = {integer = true, default = 65536, least = dial.LEAST, most = dial.MOST},
}
local CONNECT_OPTIONS = {
  project = SERVE_OPTIONS.project,
  timeout = {type = "number", default = 1, least = 0},
}

-- The key, and how to call it in messages; or nil, message, errno.
local function key_of(where, project, name, level)
  if math.type(where) == "integer" then
    if where == sysv.IPC_PRIVATE then
      error(name .. ": key: IPC_PRIVATE is nobody else's", level)
    elseif where < -(1 << 31) or where >= 1 << 32 then
      error(("%s: key: %d has more than 32 bits"):format(name, where), level)
    end
    return where, ("key 0x%08x"):format(where & 0xffffffff)
  end
  if type(where) ~= "string" then
    error(name .. ": key or path expected, got " .. type(where), level)
  elseif where:find("\0", 1, true) then
    error(name .. ": path: it contains a NUL", level)
  end
  local key, message, errno = sysv.ftok(where, project)
  if not key then
    return nil, ("%s: %s"):format(name, message), errno
  end
  return key, ("%s, key 0x%08x"):format(where, key & 0xffffffff)
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
  local key, place, errno = key_of(where, opts.project, "peer.serve", 3)
  if not key then
    return nil, place, errno
  end
  local guard, message
  guard, message, errno = waiting.guard()
  if not guard then
    return nil, ("peer.serve %s: %s"):format(place, message), errno
  end
  local id, region, server
  id, message, errno = segment.create(key, opts.mode)
  if id then
    region, message, errno = sysv.shmat(id)
  end
  if region then
    server, message, errno = link.server(id.id, region, guard)
  end
  if not server then
    if region then
      region:close()
    end
    if id then
      id:remove()
    end
    guard:close()
    return nil, ("peer.serve %s: %s"):format(place, message), errno
  end
  return server
end

-- One attempt to become the client of who serves there. On failure also what to close.
local function join(key)
  local id, message, errno = sysv.shmget(key, segment.TEXTBOOK_SIZE)
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
  local stat
  if region then
    stat, message, errno = id:stat()
  end
  if not stat then
    local gone = errno == EINVAL or errno == EIDRM -- since shmget
    return nil, gone and "nobody serves there" or message, gone and ENOENT or errno, region
  end
  local pid = region:load32(segment.PID)
  local textbook = stat.segsz < segment.SIZE
    or region:load32(segment.MAGIC) ~= segment.MAGIC_VALUE
  if pid == 0 then
    return nil, "its server is not ready", ENOENT, region
  end
  -- The creator is the server; only a textbook's may have found its segment at the key.
  local server, mine
  server, message, errno = segment.holder(stat.cpid, id.id)
  if server and pid ~= stat.cpid then
    return nil, ("pid %d is its client already"):format(pid), EADDRINUSE, region, server
  elseif not server and textbook and pid ~= stat.cpid then
    server, message, errno = segment.holder(pid, id.id)
  end
  if server and server.pid == process.pid() then
    return nil, "this process serves there itself", EDEADLK, region, server
  elseif server and textbook and not segment.takes(server.pid, SIGUSR2) then
    return nil, ("pid %d does not wait for a client"):format(pid), EADDRINUSE, region, server
  elseif server then
    mine, message, errno = link.client(id.id, region, server, textbook)
  end
  return mine, message, errno, region, server
end

-- Tries to find somebody at a place until that works, the time is up, or it will never work.
local function keep_trying(name, where, opts, attempt, passes)
  local deadline = process.monotonic() + opts.timeout
  while true do
    local key, place, errno = key_of(where, opts.project, name, 3)
    local message = place
    if key then
      local found
      found, message, errno = attempt(key, deadline)
      if found then
        return found
      end
      message = ("%s %s: %s"):format(name, place, message)
    end
    if not passes(errno) or process.monotonic() >= deadline then
      return nil, message, errno
    end
    local slept, why, number = process.sleep(0.005)
    if not slept then
      return nil, (why:gsub("^process%.sleep", name)), number
    end
  end
end

--- Connects to a server.
-- @tparam int|string where the server's key or path
-- @tparam[opt] table opts `project` (as the server's; 0x66), `timeout` (seconds to wait for a
-- server to be there; 1)
-- @treturn shm.peer the link
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOENT when nobody serves there or there is no such path, ESRCH when its pid is
-- stale, EADDRINUSE when it has a client: these once the time is up; EINVAL when the segment there
-- is too small to be a link, EDEADLK when this process serves there itself, EACCES, EINTR after a
-- signal …
-- @see shmget(2)
function M.connect(where, opts)
  opts = options.read(opts, CONNECT_OPTIONS, "peer.connect")
  return keep_trying("peer.connect", where, opts, function(key)
    local mine, message, errno, region, server = join(key)
    if not mine then
      for _, handle in pairs {region = region, server = server} do
        handle:close()
      end
    end
    return mine, message, errno
  end, function(errno)
    return errno == ENOENT or errno == ESRCH or errno == EADDRINUSE
  end)
end

--- Listens for any number of clients, and returns without waiting for one. With each there is
-- a two-way talk: two segments, messages of any length, several in a row from either side.
-- @tparam int|string where a key, or the path of an existing file to make one of
-- @tparam[opt] table opts `project` (1 to 255, for a path; 0x66), `mode` (permissions; 0600),
-- `wake` (how both sides are woken: `"futex"`, `"semaphore"` or `"signal"`; the first), `size`
-- (bytes of each segment of a talk, 16384 to 1 GiB; 65536)
-- @treturn shm.peer.listener
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EADDRINUSE when a living server is there, EEXIST when it is another
-- program's segment, EACCES, ENOENT (the path), ENOSPC …
-- @see shmget(2)
function M.listen(where, opts)
  opts = options.read(opts, LISTEN_OPTIONS, "peer.listen")
  if not bell.number(opts.wake) then
    error(("peer.listen: wake: '%s' is none of %s"):format(opts.wake,
                                                          table.concat(bell.WAKES, ", ")), 2)
  end
  local key, place, errno = key_of(where, opts.project, "peer.listen", 3)
  if not key then
    return nil, place, errno
  end
  local server, message
  server, message, errno = listener.open(key, opts)
  if not server then
    return nil, ("peer.listen %s: %s"):format(place, message), errno
  end
  return server
end

--- Gets into a talk with who listens, and waits until that has accepted it.
-- @tparam int|string where the key or path at which somebody listens
-- @tparam[opt] table opts `project` (as the server's; 0x66), `timeout` (seconds to wait for a
-- server to be there and to accept; 1)
-- @treturn shm.peer.talk
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOENT when nobody listens there or there is no such path, EAGAIN when 16 others
-- wait to be accepted, ETIMEDOUT when its server does not accept: these once the time is up; EBUSY
-- when it is stopped, EINTR after a signal …
-- @see shmget(2)
function M.dial(where, opts)
  opts = options.read(opts, CONNECT_OPTIONS, "peer.dial")
  return keep_trying("peer.dial", where, opts, dial.attempt, dial.passes)
end

return M
