--- A group chat over TCP: one process per client, and shared memory between them.
--
-- A client sends lines, ended by LF or CRLF and up to 1000 bytes long. Each reaches every
-- other client once, whole, and in the same order for all, as `name: text`. `/nick NAME`
-- changes the name, `/who` lists who is there, `/quit` leaves; `//` starts a line with `/`.
-- A client that reads slowly slows the talkers down; one that reads nothing is dropped. Of a
-- client on another machine no more is seen than what its kernel takes, which may be 100 KB
-- at a time: give those that read less in the grace time a longer one.
--
-- It needs cqueues.
-- @module shm.chat
local errno = require "cqueues.errno"
local socket = require "cqueues.socket"
local board = require "shm.chat.board"
local hub = require "shm.chat.hub"
local options = require "shm.options"
local process = require "shm.process"

local M = {}

-- What the kernel holds for a client that does not read, beside the log. A large buffer would
-- hide for long whether anything is read at all.
local SEND_BUFFER = 32768

local OPTIONS = {
  host = {type = "string", default = "127.0.0.1"},
  port = {integer = true, default = 9523, least = 0, most = 65535},
  limit = {integer = true, default = 64, least = 1, most = 4096},
  backlog = {integer = true, default = 1 << 20, least = 1 << 14, most = 1 << 30},
  grace = {type = "number", default = 5, least = 0},
  log = {type = "function", default = function() end},
  ready = {type = "function", default = function() end},
}

local function listen(host, port)
  local listener = socket.listen {host = host, port = port}
  listener:onerror(function(_, _, why) return why end)
  local ok, why = listener:listen(5)
  if not ok then
    listener:close()
    local advice = why == errno.EADDRINUSE and " (choose another port)" or ""
    return nil, ("chat.serve %s:%d: %s%s"):format(host, port, errno.strerror(why), advice), why
  end
  process.setsockopt(listener:pollfd(), process.SOL_SOCKET, process.SO_SNDBUF, SEND_BUFFER)
  return listener
end

--- Serves a chat until SIGTERM or SIGINT ends it. Call it outside of any event loop.
-- @tparam[opt] table opts `host` (127.0.0.1) and `port` (9523; 0 for any) to listen on;
-- `limit`, how many clients at a time (64); `backlog`, how many bytes the slowest may be
-- behind before the others wait (1 MiB, rounded up to whole pages); `grace`, for how many
-- seconds they wait for one that reads nothing (5); `log(line)`, called for what happens;
-- `ready(host, port)`, called once clients can connect
-- @treturn boolean true after a signal, with every child ended and every client closed
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOSPC … or, negative, an error of the
-- resolver
-- @see shmget(2), fork(2)
function M.serve(opts)
  opts = options.read(opts, OPTIONS, "chat.serve")
  process.signal("CHLD", "default") -- ignored, it would have the kernel reap our children
  local signals <close> = assert(process.signals("TERM", "INT"))
  local listener, message, code = listen(opts.host, opts.port)
  if not listener then
    return nil, message, code
  end
  local memory
  memory, message, code = board.new(opts.limit, opts.backlog + 4095 & ~4095)
  if not memory then
    listener:close()
    return nil, message, code
  end
  local _, host, port = listener:localname()
  opts.log(("listening on %s:%d, segment %d of %d bytes"):format(host, port, memory.id.id,
                                                                #memory.region))
  opts.ready(host, port)
  local done <const> = hub.new(memory, listener, signals, opts):run()
  memory.region:close()
  return done
end

return M
