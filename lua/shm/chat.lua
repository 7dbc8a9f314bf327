--- A group chat over TCP and Unix-domain sockets: one process per client, and shared memory
-- between them.
--
-- A client sends lines, ended by LF or CRLF and up to 1000 bytes long. Each reaches every
-- other client in the same room once, whole, and in the same order for all, as `name: text`.
-- Who joins is in the room `lobby`, and reads the last lines that were said there, as far as they
-- are kept: all rooms share that memory, so one that talks much leaves less of the others.
-- `/nick NAME` changes the name, `/who` lists who is there, `/join ROOM` goes to another room, of
-- which there can have been 1000, `/msg NAME TEXT` says something to one client, in whatever room;
-- `/help` lists all this, `/quit` leaves; `//` starts a line with `/`.
--
-- A client that reads slowly is behind, up to its own backlog, and then is dropped; the others
-- do not wait for it. One that talks and does not read is not heard until it does. All who talk
-- are slowed down to what the machine can deliver, and to what most clients read.
--
-- It needs cqueues.
-- @module shm.chat
local board = require "shm.chat.board"
local door = require "shm.chat.door"
local hub = require "shm.chat.hub"
local options = require "shm.options"
local process = require "shm.process"

local M = {}

local OPTIONS = {
  host = {type = "string", default = "127.0.0.1"},
  port = {integer = true, default = 9523, least = 0, most = 65535},
  path = {type = "string"},
  mode = {integer = true, default = 384, least = 0, most = 511}, -- 0600
  tcp = {type = "boolean", default = true},
  keep = {type = "string"},
  limit = {integer = true, default = 64, least = 1, most = 4000},
  memory = {integer = true, default = 1 << 20, least = 1 << 16, most = 1 << 30},
  history = {integer = true, default = 20, least = 0, most = 1000},
  backlog = {integer = true, default = 1 << 20, least = 1 << 14, most = 1 << 30},
  grace = {type = "number", default = 5, least = 0},
  log = {type = "function", default = function() end},
  ready = {type = "function", default = function() end},
}

-- The sockets that are asked for, and in words where they listen.
local function listen(opts)
  local listeners, words = {}, {}
  local function add(listener, message, code)
    listeners[#listeners + 1] = listener
    return listener ~= nil, message, code
  end
  local done, message, code = true, nil, nil
  if opts.tcp then
    done, message, code = add(door.tcp(opts.host, opts.port))
    local _, host, port = (listeners[1] or {localname = function() end}):localname()
    listeners.host, listeners.port = host, port
    words[1] = ("%s:%s"):format(host, port)
  end
  if done and opts.path then
    done, message, code = add(door.unix(opts.path, opts.mode))
    listeners.path = done and opts.path
    words[#words + 1] = opts.path
  end
  listeners.words = table.concat(words, " and ")
  return listeners, message, code
end

local function close(listeners)
  for _, listener in ipairs(listeners) do
    listener:close()
  end
  if listeners.path then
    door.sweep(listeners.path) -- unless it is another server's by now
  end
end

local function run(memory, listeners, signals, opts)
  local port, arrivals, again = listeners.port or 0, {}, false
  while true do
    local one, message, code = hub.new(memory, listeners, signals, opts, port, arrivals)
    if not one then
      return nil, "chat.serve: " .. message, code
    elseif again then
      opts.log("listening again on " .. listeners.words)
    else
      opts.log(("listening on %s, %d bytes shared%s"):format(
        listeners.words, memory.arena:stat().size, opts.keep and " as " .. opts.keep or ""))
      opts.ready(listeners.host, listeners.port)
    end
    local ok, result = pcall(one.run, one)
    if not ok then
      one:abandon()
      error(result, 0)
    elseif not result then
      return true
    end
    arrivals, again = result, true
    ok, message, code = memory:renew()
    if not ok then
      return nil, "chat.serve: " .. message, code
    end
  end
end

--- Serves a chat until SIGTERM or SIGINT ends it. SIGHUP ends its clients, and serves on with
-- what was said before. Call it outside of any event loop.
-- @tparam[opt] table opts `host` (127.0.0.1) and `port` (9523; 0 for any) to listen on, or
-- `tcp = false`; `path`, a Unix-domain socket to listen on, too, with the permission bits
-- `mode` (0600); `keep`, the name of an arena to have what is said in, which stays there for the
-- next server, however this one ends; `limit`, how many clients at a time (64); `memory`, bytes
-- that are kept of what was said, in all rooms, and by half of which talkers may be ahead (1 MiB;
-- of an arena that is there already at most what it was made for); `history`, how many lines of
-- it who joins is shown (20); `backlog`, how many bytes a client that reads nothing may be behind
-- before it is dropped, one that reads four times as many, or half of `memory` where that is more
-- (1 MiB); `grace`, for how many seconds others wait for a client's process that was stopped
-- (5); `log(line)`, called for what happens; `ready(host, port)`, called once clients can connect,
-- without arguments where there is no TCP. What these throw ends the chat, and is thrown
-- @treturn boolean true after a signal, with every child ended and every client closed
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOSPC, EBUSY (another server has the
-- arena), EINVAL (the arena was made for fewer clients), ENOTEMPTY (what is in it is not
-- a chat's), EMFILE … or, negative, an error of the resolver
-- @raise what cqueues does where it has no descriptor, or no memory, for its loop
-- @see fork(2), unix(7)
function M.serve(opts)
  opts = options.read(opts, OPTIONS, "chat.serve")
  if not opts.tcp and not opts.path then
    error("chat.serve: neither TCP nor a Unix-domain socket (path) to listen on", 2)
  elseif opts.path and not door.is_path(opts.path) then
    error("chat.serve: path: " .. door.A_PATH, 2)
  end
  process.signal("CHLD", "default") -- ignored, it would have the kernel reap our children
  local signals <close>, message, code = process.signals("TERM", "INT", "HUP", "CHLD")
  if not signals then
    return nil, "chat.serve: " .. message, code
  end
  local listeners
  listeners, message, code = listen(opts)
  local opened, memory = true, nil
  if not message then
    opened, memory, message, code = pcall(board.open, opts)
  end
  if not (opened and memory) then
    close(listeners)
    if not opened then
      local misnamed = tostring(memory):match "shm%.arena: (name: .*)$" -- none can be called so
      error(misnamed and "chat.serve: keep: " .. misnamed or memory, misnamed and 2 or 0)
    end
    return nil, message, code
  end
  local ok, done
  ok, done, message, code = pcall(run, memory, listeners, signals, opts)
  close(listeners)
  memory:close()
  if not ok then
    error(done, 0)
  elseif not done then
    return nil, message, code
  end
  return true
end

return M
