--- Request and response between processes, by the name of a service in an arena.
--
-- Any number of worker processes serve the same service, up to 32, and each request goes to one
-- of them; up to 96 clients call, each with up to 256 calls in flight.
--
--     arena  "rpc:NAME"                bytes: who serves and who calls, see register.lua
--            "rpc:NAME:requests"       queue of {id, method, n, n arguments}
--            "rpc:NAME:client:P.N"     bytes of the client that has the place P: 256 words, one
--                                      for each call in flight, see words.lua, and at 2048 the
--                                      queue of its answers, {id, n, n results}
--
-- Invariant. A call's word says what has become of it, and the queues only carry news of that:
--
--     QUEUED   no server has begun it. It is in the queue, or in the hands of a server that
--              lives; or that server is dead, and the number of departures is not what it was
--              before the request was pushed, or will not be as soon as anybody looks.
--     CLAIMED  this server has begun it, and no other ever will. It goes on, or has put its
--              answer into the client's queue, or is dead, and then never will.
--     neither  nobody waits for it.
--
-- One compare-and-swap takes it from QUEUED to CLAIMED, and the sequence in the word is a call's
-- own, so that what is twice in the queue is begun once, and what comes too late finds another
-- word. Only its client takes it from CLAIMED, and only to another sequence.
--
-- Death. Of a server:
-- - before it popped, or while: the request is in the queue, or gone with it; then the word says
--   QUEUED still, and the client pushes the request again once it sees that somebody departed.
-- - between popping and claiming: the same.
-- - after claiming: the client finds CLAIMED by one that has no place any more. It looks through
--   its answers, as the last act may have been to answer, and takes it for lost else.
-- - after answering: the answer is the client's.
-- Whoever finds a dead server frees its place and counts a departure: clients that wait look
-- every 0.2 s, servers every second. If it dies in that, the next one does it again.
-- Of a client: before its request is in the queue, nobody hears of it. After that it is done, or
-- dropped, and answered to nobody. Servers look every second, and whoever opens the service:
-- they drop its object, and count that, by which servers see whose memory to let go of.
--
-- So a call is done at most once, and one that ended with EOWNERDEAD perhaps: the server may
-- have done all of it but the answer. With `retry` such a call begins anew under another
-- sequence, so often at most, and is done at least once if it succeeds, perhaps several times.
--
-- Who may call: a client and a server belong to the process that made them; a child has to make
-- its own. Nothing waits in a spin: clients sleep at their answers, servers at the requests.
-- @module shm.rpc
local clients = require "shm.rpc.client"
local options = require "shm.options"
local registers = require "shm.rpc.register"
local removal = require "shm.rpc.removal"
local servers = require "shm.rpc.server"

local M = {}

local LONGEST_NAME <const> = 200

local QUEUE = {
  capacity = {integer = true, default = 65536, least = 64, most = 1 << 30},
  overflow = {type = "string", default = "block"}, -- or "reject"
}
local CLIENT = {
  capacity = QUEUE.capacity, overflow = QUEUE.overflow,
  timeout = clients.RULES.timeout, retry = clients.RULES.retry,
  answers = {integer = true, default = 16384, least = 1024, most = 1 << 30},
}

local function check(what, arena, name)
  if getmetatable(arena) ~= "shm.arena" then
    error(("rpc.%s: arena: shm.arena expected, got %s"):format(what, type(arena)), 3)
  elseif type(name) ~= "string" then
    error(("rpc.%s: name: string expected, got %s"):format(what, type(name)), 3)
  elseif #name < 1 or #name > LONGEST_NAME then
    error(("rpc.%s: name: 1 to %d bytes expected, not %d"):format(what, LONGEST_NAME, #name), 3)
  end
end

local function check_overflow(what, overflow)
  if overflow ~= "block" and overflow ~= "reject" then
    error(("rpc.%s: overflow: block or reject expected, got %s"):format(what, overflow), 3)
  end
end

-- What is not made in the end gives its place back, also where an error ends it, as Ctrl-C makes
-- one. It is closed twice, as that may end the closing.
local Attempt = {__close = function(attempt)
  if attempt.register then
    attempt.register:close()
  end
end}

local function attempt(arena, name, wanted, make, ...)
  local this <close> = setmetatable({}, Attempt)
  local _ <close> = this
  local made, message, errno
  this.register, message, errno = registers.open(arena, name, wanted)
  if this.register then
    made, message, errno = make(this.register, ...)
  end
  if made then
    this.register = nil
  end
  return made, message, errno
end

local function open(what, arena, name, opts, make, ...)
  local wanted = {capacity = opts.capacity, overflow = opts.overflow}
  local made, message, errno
  repeat
    made, message, errno = attempt(arena, name, wanted, make, ...)
    if made then
      return made
    end
  until errno ~= registers.ESTALE
  return nil, ("rpc.%s '%s': %s"):format(what, name, message), errno
end

--- Serves. What is asked for is done by `server:serve`, or by `server:step` in event loops.
--
-- A method gets the request and the call's arguments, and returns the results. The request has
-- the `method`, the pid of the `client` (nil for a cast), the `server`, and `request:cancelled()`,
-- which says whether nobody waits for the answer any more. What a method throws is the caller's
-- `nil, message, EREMOTEIO`.
-- @tparam shm.arena arena which has to be open as long as the server: else `step` and `serve` throw
-- at the first request of a client that is new to them, and leave it to other servers
-- @string name the service's, 1 to 200 bytes
-- @tparam table methods functions by name; all that are in it, and in what it indexes, can be
-- called by every client
-- @tparam[opt] table options for who opens the service first: `capacity`, bytes of all requests
-- that wait, and of the longest (65536); `overflow`, "block" or "reject": whether calling waits
-- for room
-- @treturn shm.rpc.server
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EUSERS (32 serve it already), ENOSPC (the arena is full), ENOTEMPTY (what is
-- called so there is no service), EPROTO (another version's), EBUSY
function M.server(arena, name, methods, opts)
  check("server", arena, name)
  if type(methods) ~= "table" then
    error(("rpc.server: methods: table expected, got %s"):format(type(methods)), 2)
  end
  opts = options.read(opts, QUEUE, "rpc.server")
  check_overflow("server", opts.overflow)
  return open("server", arena, name, opts, servers.new, methods)
end

--- Opens a service as a client, whether anybody serves already or not.
-- @tparam shm.arena arena
-- @string name the service's, 1 to 200 bytes
-- @tparam[opt] table options `timeout`, seconds that a call may take if nothing else is said
-- (absent for ever); `retry`, how often a call whose server died is begun anew (0: what was
-- begun is done at most once; more: it may be done so many times more); `answers`, bytes of all
-- answers that were not looked at, and of the longest (16384); and `capacity` and `overflow`, as
-- for rpc.server
-- @treturn shm.rpc.client
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EUSERS (96 clients are there), ENOSPC (the arena is full), ENOTEMPTY, EPROTO,
-- EBUSY
function M.client(arena, name, opts)
  check("client", arena, name)
  opts = options.read(opts, CLIENT, "rpc.client")
  check_overflow("client", opts.overflow)
  return open("client", arena, name, opts, clients.new, opts)
end

--- Takes a service that nobody uses out of its arena, with the requests that wait.
-- @tparam shm.arena arena
-- @string name the service's
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EBUSY (somebody serves or calls; the message has the pid), ENOENT, EINTR
function M.remove(arena, name)
  check("remove", arena, name)
  local removed, message, errno = removal.remove(arena, name)
  if not removed then
    return nil, ("rpc.remove '%s': %s"):format(name, message), errno
  end
  return true
end

return M
