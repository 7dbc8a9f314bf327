--- The chat's door: connections come in, or are told why not.
-- @module shm.chat.door
local cqueues = require "cqueues"
local errno = require "cqueues.errno"
local posix = require "shm.posix"
local process = require "shm.process"
local socket = require "cqueues.socket"

local M = {}

local MOST_WAITING = 128 -- connections that wait to be admitted
local PAUSE = 0.25       -- seconds until the next look, when one more can not be taken
local LAST_WORD = 1      -- seconds that one who is turned away has to read why
local LONGEST_PATH = 107 -- bytes of a Unix-domain socket's name
local PATIENCE = 10      -- seconds for others that look after a socket in the same directory

-- What the kernel holds for a client that does not read, beside its backlog. A large buffer
-- would hide for long whether anything is read at all.
local SEND_BUFFER = 32768
local QUEUE = 1024       -- connections that the kernel has accepted and we have not

local function listen(given, where, what)
  local listener = socket.listen(given)
  listener:onerror(function(_, _, why) return why end)
  local ok, why = listener:listen(QUEUE)
  if not ok then
    listener:close()
    local advice = why == errno.EADDRINUSE and (" (choose another %s)"):format(what) or ""
    return nil, ("chat.serve %s: %s%s"):format(where, errno.strerror(why), advice), why
  end
  process.setsockopt(listener:pollfd(), process.SOL_SOCKET, process.SO_SNDBUF, SEND_BUFFER)
  return listener
end

--- Listens on a TCP port.
-- @return a listening socket of cqueues; or nil, message, errno
function M.tcp(host, port)
  return listen({host = host, port = port, backlog = QUEUE}, ("%s:%d"):format(host, port),
                "port")
end

--- Whether a Unix-domain socket may be called so. What is longer would be cut off.
function M.is_path(path)
  return #path >= 1 and #path <= LONGEST_PATH and not path:find("\0", 1, true)
end

--- What such a path is, in words.
M.A_PATH = ("1 to %d bytes, and no NUL, expected"):format(LONGEST_PATH)

-- Whether there is a socket: connecting to any other file is refused as by a dead server's. A
-- socket is what open(2) refuses so.
local function is_socket(path)
  local fd <close>, _, code = posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK)
  return not fd and code == errno.ENXIO
end

-- The directory of a path, locked until it is closed. A socket that is bound and does not listen
-- yet looks like a dead server's; and between a look at one and its end another server may have
-- taken its place. So who sweeps or listens has the lock.
local function lock_directory(path)
  local directory = path:match "^(.*/)" or "."
  local fd, message, code = posix.open(directory, posix.O_RDONLY)
  if not fd then
    return nil, message, code
  end
  local locked
  locked, message, code = posix.flock(fd, "write", PATIENCE)
  if not locked then
    fd:close()
    return nil, ("%s (a lock on %s)"):format(message, directory), code
  end
  return fd
end

-- Removes a Unix-domain socket at which nobody listens; one at which somebody does, and any other
-- file, is left alone.
local function sweep(path)
  local other = socket.connect {path = path, type = socket.SOCK_DGRAM} -- so as not to join
  other:onerror(function(_, _, why) return why end)
  local _, why = other:connect(LAST_WORD)
  other:close()
  if why == errno.ECONNREFUSED and is_socket(path) then
    os.remove(path)
  end
end

--- Removes a Unix-domain socket that we listened on, unless it is another server's by now.
-- @string path the socket's name
function M.sweep(path)
  local lock <close> = lock_directory(path)
  if lock then
    sweep(path)
  end
end

--- Listens on a Unix-domain socket. One that a dead server has left behind is removed; where
-- somebody listens, or where there is anything else, it is EADDRINUSE.
-- @string path the socket's name
-- @int mode its permission bits
-- @return a listening socket of cqueues; or nil, message, errno
function M.unix(path, mode)
  local lock <close>, message, code = lock_directory(path)
  if not lock then
    return nil, ("chat.serve %s: %s"):format(path, message), code
  end
  sweep(path)
  return listen({path = path, mode = mode, backlog = QUEUE}, path, "path")
end

--- Where a client comes from, in words.
function M.address(host, port)
  return host and port and ("%s:%s"):format(host, port) or "this machine"
end

-- A connection whose errors are results, and whose bytes are left alone.
local function plain(connection)
  connection:onerror(function(_, _, why)
    return why
  end)
  connection:setmode("bn", "bn")
  return connection
end

--- Accepts connections for ever. Call it in a coroutine of the loop.
-- @param listener a listening socket of cqueues
-- @tparam function arrive called with each
-- @tparam function waiting tells how many wait to be admitted
-- @tparam function log called when one can not be accepted
function M.watch(listener, arrive, waiting, log)
  while true do
    while waiting() >= MOST_WAITING do
      cqueues.sleep(PAUSE)
    end
    local connection, why = listener:accept({nodelay = true})
    if connection then
      arrive(plain(connection))
    else
      log("could not accept a client: " .. errno.strerror(why))
      cqueues.sleep(PAUSE)
    end
  end
end

--- Says why and closes, once the client has had time to read it: closing at once would throw
-- the words away if it had sent some itself.
-- @param loop the controller to do so in
-- @param connection the client's
-- @string why what to tell it
function M.turn_away(loop, connection, why)
  loop:wrap(function()
    local deadline = process.monotonic() + LAST_WORD
    connection:settimeout(LAST_WORD)
    connection:write(why, "\n")
    connection:flush()
    connection:shutdown "w"
    repeat
      local data = connection:read(-4096)
    until not data or process.monotonic() > deadline
    connection:close()
  end)
end

return M
