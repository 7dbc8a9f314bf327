--- A map that several processes have, each its own copy of it: one of them, the primary,
-- changes it, the others follow, and one of them takes over when the primary dies.
--
-- Invariant: what a primary has acknowledged is in the copy of every primary after it, and
-- what it was refused is in none. Each node has a log of its changes, whose last one is
-- counted by one compare-and-swap, together with the term in which the node takes part. That
-- swap is the instant at which a change is made; the map changes in the same step (map:apply).
-- Who takes over raises the term in all logs first: it then has everything that was counted,
-- and nothing else can be. So there is no lock that a stopped process could hold, and none
-- that a dead one has to be relieved of.
--
-- A group NAME of nodes ID is this, in POSIX shared memory:
--
--     NAME         shm.replica.group: the term, who is primary in it, and who there is
--     NAME.ID      an arena with the node's copy, a map: shm.replica.copy
--     NAME.ID.log  shm.replica.log: the last changes, which followers read
--
-- A copy is changed by its node's process alone; anybody may look at it. Each lies in memory
-- of its own: whatever happens to the primary's, the others have theirs. What each file says
-- about who dies when: shm.replica.follow has taking over.
-- @module shm.replica
local arenas = require "shm.arena"
local groups = require "shm.replica.group"
local node = require "shm.replica.node"
local options = require "shm.options"

local M = {}

local RULES = {
  id = {type = "string"},
  size = arenas.RULES.size,
  max = arenas.RULES.max,
  journal = arenas.RULES.journal,
  mode = arenas.RULES.mode,
  log = {integer = true, default = 1 << 20, least = 4096, most = 1 << 34},
  patience = {type = "number", least = 0},
  readonly = {type = "boolean"},
}
local NAME_MOST <const> = 255 - groups.NAME_MOST - #"..log"

local function check_name(name, action)
  if type(name) ~= "string" or name == "" or #name > NAME_MOST or name:find "[/\0]"
    or name == "." or name == ".." then
    error(("replica.%s: name: 1 to %d bytes without a slash expected, got %s"):format(action,
      NAME_MOST, type(name) == "string" and ("%q"):format(name) or type(name)), 3)
  end
end

--- Opens a node of a group. Whoever comes to a group without a living primary takes over at
-- once, with what is there of any node that there ever was: the first one with nothing. All
-- others follow. A node belongs to the process that opened it; it stays in the group when it
-- is closed, or killed, and goes on where it was when it is opened again.
--
-- Options: `id`, the node's name, 1 to 64 bytes without a slash; `size`, `max`, `journal`, `mode`,
-- as for `shm.arena`, of its copy; `log`, bytes for the last changes (1 MiB): who has missed more
-- copies the whole map; a single change has at most a third of it; `patience`, in seconds, after
-- which a primary that was stopped (SIGSTOP, a debugger) is taken over from, absent for never;
-- `readonly`, true to look at the copy of a node that another process follows with.
-- @string name of the group, and of its memory: up to 186 bytes
-- @tparam table options options, of which id must be there
-- @treturn shm.replica the node
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EBUSY (another process is that node, and is named), EUSERS (16 nodes),
-- ENOENT (readonly: there is no such node), ENOSPC, EPROTO (something else is there) …
-- @raise when `max` is less than the size
-- @see shm_overview(7)
function M.open(name, given)
  check_name(name, "open")
  local opts = options.read(given, RULES, "replica.open")
  arenas.check_max(opts, "replica.open")
  local id = opts.id
  if not id or #id < 1 or #id > groups.NAME_MOST or id:find "[/\0]" then
    error(("replica.open: id: 1 to %d bytes without a slash expected, got %s")
      :format(groups.NAME_MOST, id and ("%q"):format(id) or "nil"), 2)
  end
  return node.open(name, opts)
end

--- Removes a group and the copies of all its nodes: their names. Who has a node open keeps it,
-- and should be closed first.
-- @string name of the group
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOENT, EACCES, EPROTO (something else is there)
-- @see shm_unlink(3)
function M.unlink(name)
  check_name(name, "unlink")
  return groups.unlink(name)
end

return M
