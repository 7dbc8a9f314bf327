--- States that outlive their servers: crash survival.
--
-- A server keeps what it knows in shared memory. Killed with -9 at any instruction and started
-- again, it goes on with every change that had been made, and none that was half made; stopped
-- in order, it gives the memory back. While one serves, no other can.
--
-- What lies where is described in shm.durable.place, what it begins with in shm.durable.book,
-- what files look like in shm.durable.checkpoint. What survives what:
--
--     killed with -9, by the kernel, by an error     all changes that had returned
--     the container too (with a file)                the same, as long as the machine runs
--     stopped in order (with a file)                 the same, also when the machine goes down
--     the machine's power (with a file)              all as of the last `sync`, or of a later
--                                                    instant; never some of it
--     stopped in order (without a file)              nothing: that is how to give it back
--
-- Who may call: one process serves, any thread of it; its children may use `map`, `arena` and
-- `sync` of the handle that they inherited. Other processes attach to the arena with `attach`.
-- @module shm.durable
local arenas = require "shm.arena"
local birth = require "shm.durable.birth"
local core = require "shm.core"
local options = require "shm.options"
local place = require "shm.durable.place"
local process = require "shm.process"
local state = require "shm.durable.state"

local M = {}

local LONGEST_NAME <const> = 200 -- bytes, and some are added
local ENOENT <const>, ENOSPC <const>, EROFS <const> = 2, 28, 30

local RULES = {
  file = {type = "string"},
  size = {integer = true, default = 1 << 20, least = 1 << 16, most = arenas.RULES.size.most},
  max = {integer = true, least = 1 << 16, most = arenas.RULES.max.most},
  journal = arenas.RULES.journal,
  timeout = {type = "number", default = 0, least = 0},
  version = {integer = true, default = 1, least = 1},
  init = {type = "function"},
  migrate = {type = "function"},
}
local SERVE_RULES = {keep = {type = "boolean", default = false}}
for name, rule in pairs(RULES) do
  SERVE_RULES[name] = rule
end

local function check_name(name, action)
  if type(name) ~= "string" then
    error(("durable.%s: name: string expected, got %s"):format(action, type(name)), 3)
  elseif name:find "[/\0]" or name:find "^%.*$" or #name > LONGEST_NAME then
    error(("durable.%s: name: 1 to %d bytes without a slash expected"):format(action,
                                                                            LONGEST_NAME), 3)
  end
end

local function check_file(file, action)
  if file and (file == "" or file:find "\0") then
    error(("durable.%s: file: a path expected"):format(action), 3)
  end
end

local function advice(given, errno)
  if errno == ENOSPC then
    return given.file and " (free some of the disk)"
      or " (free some of /dev/shm, or give a smaller size)"
  elseif errno == EROFS then
    return " (give a file that can be written)"
  end
  return ""
end

local function open(name, given, action)
  local where = place.new(name, given.file)
  local done, message, errno, pid = where:lock(given.timeout)
  local ok, part, how, code
  if done then
    ok, part, how, code = pcall(birth.open, where, given)
    if ok and part then
      return state.new(where, part, how, given.version), how
    end
    where:sweep()
    where:unlock(where:is_void())
    if not ok then
      error(part, 0)
    end
    message, errno = how, code
  end
  return nil, ("durable.%s '%s': %s%s"):format(action, name, message, advice(given, errno)), errno,
    pid
end

--- Opens a state to serve it: as it was left, or a new one.
--
-- Options: `file`, a path, for a state that outlives /dev/shm (FILE.live, FILE.lock and FILE.new
-- are its own as well); `size`, bytes of a new one (1 MiB); `max`, bytes that it may grow to
-- (its size); `journal`, bytes that bound a map's transaction, as for arenas; `timeout`,
-- seconds to wait for another server's end (0); `init(state)`, which fills a new one: there is
-- none before it has returned; `version` of what is in it (1), and `migrate(state, from)`, which
-- makes an older one of this version: it works on a copy, and happens whole or not at all. Both
-- get a table with `map` and `arena`.
-- @string name of the memory, as for `shm.create`; with a file only for messages
-- @tparam[opt] table options options
-- @treturn shm.durable the state: its `map`, and `arena` for all else; `began`, as the next
-- @treturn string "new"; "resumed" when its last server stopped it or closed it; "recovered" when
-- that died; "restored" when the machine went down with it, and it is as of the last sync
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EADDRINUSE (somebody serves it), EEXIST (something else has the name), EPROTO
-- (another version's), EBADMSG (the file is damaged), ELOOP (it is a symbolic link), EPERM (another
-- user's), EINTR after a signal, ENOSPC, EACCES …
-- @treturn[2] ?int after EADDRINUSE the pid of who serves it; 0 where that is not to be known, as
-- in another pid namespace
-- @raise what `init` and `migrate` raise: there is no state then, or it is as it was; when `max` is
-- less than the size
function M.open(name, given)
  check_name(name, "open")
  given = options.read(given, RULES, "durable.open")
  arenas.check_max(given, "durable.open")
  check_file(given.file, "open")
  return open(name, given, "open")
end

--- Attaches the arena of a state that another process serves, or that waits for a server: to
-- look, or to change it beside the server. The map is `arena:map "state"`. It is not told when
-- the state moves, as it does when it is migrated, and when it begins from its file.
-- @string name
-- @tparam[opt] table options `file`, as for `open`
-- @treturn shm.arena
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOENT, ELOOP (the file is a symbolic link), and those of `shm.arena`
function M.attach(name, given)
  check_name(name, "attach")
  given = options.read(given, {file = RULES.file}, "durable.attach")
  check_file(given.file, "attach")
  local where = place.new(name, given.file)
  local region, message, errno = where:attach()
  if region and core.arena.reach(region) == 0 then
    region:close()
    region, message, errno = nil, "there is no state", ENOENT
  end
  local arena
  if region then
    local _ <close> = region
    arena, message, errno = core.arena.open(region)
  end
  if not arena then
    return nil, ("durable.attach '%s': %s"):format(name, message), errno
  end
  return arena
end

--- Serves a state until a function returns: opens it, calls the function, and stops it in order.
-- SIGTERM, SIGINT and SIGHUP are kept for the function, from before there is a state: it waits
-- for them, in an event loop or with `signals:wait`, and returns when one has come. If it throws,
-- or the coroutine in which it yields is closed, the state is left as by a death.
-- @string name
-- @tparam[opt] table options options as for `open`, and `keep`, true not to give the memory back
-- @tparam function f called with the state and `signals`, of `process.signals`
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int as for `open` and `state:stop`; after the latter the memory is still there
-- @raise what `f`, `init` and `migrate` raise
function M.serve(name, given, f)
  check_name(name, "serve")
  given = options.read(given, SERVE_RULES, "durable.serve")
  arenas.check_max(given, "durable.serve")
  check_file(given.file, "serve")
  if type(f) ~= "function" then
    error(("durable.serve: f: function expected, got %s"):format(f == nil and "nil" or type(f)), 2)
  end
  local signals <close>, message, errno = process.signals("TERM", "INT", "HUP")
  if not signals then
    return nil, message, errno
  end
  local served <close>, how, code, pid = open(name, given, "serve")
  if not served then
    return nil, how, code, pid
  end
  local returned = false
  local _ <close> = setmetatable({}, {__close = function()
    if not returned then -- what was thrown may be nil, which is no error to `served`
      getmetatable(served).__close(served, "thrown")
    end
  end})
  f(served, signals)
  returned = true
  if not served.place then
    return true -- it has stopped the state itself
  end
  return served:stop(given.keep)
end

return M
