--- Arenas: memory that holds named objects, found or made in one step.
-- What is in them is C; its documentation stands in src/bind/arena.c and named.c.
-- @module shm.arena
local core = require "shm.core"
local options = require "shm.options"
require "shm.arena.map" -- adds to the methods of maps

local M = {}

local DEFAULT_SIZE = 1 << 20

local RULES = {
  size = {integer = true, least = 1},
  max = {integer = true, least = 1},
  mode = {integer = true, least = 0},
  owner = {integer = true, least = -1},
  prefault = {type = "boolean"},
  journal = {integer = true, least = 1024},
}

-- Maps what is there as far as its arena may grow: how far only the arena itself knows.
local function attach(name, given)
  local region, message, errno = core.object.attach(name, {owner = given.owner})
  local reach = region and core.arena.reach(region)
  if not region or reach <= #region then
    return region, message, errno
  end
  region:close()
  return core.object.attach(name, {owner = given.owner, max = reach, prefault = given.prefault})
end

local function create(name, given)
  local size = given.size or DEFAULT_SIZE
  return core.object.create(name, size, {
    mode = given.mode, prefault = given.prefault, max = given.max or size,
  })
end

-- Another may create or unlink the name between the two.
local function map(name, given)
  local ENOENT, EEXIST <const> = 2, 17
  for _ = 1, 1000 do
    local region, message, errno = attach(name, given)
    if region or errno ~= ENOENT then
      return region, message, errno
    end
    region, message, errno = create(name, given)
    if region or errno ~= EEXIST then
      return region, message, errno
    end
  end
  return nil, ("shm.arena '%s': others create and unlink it all the time"):format(name), EEXIST
end

--- Opens an arena, or makes it: of several processes that open the same, one makes it.
--
-- Options: `size`, bytes of a new one (1 MiB); `max`, bytes that it may grow to, while all
-- stay attached (its size); `mode`, permission bits of a new one (0600); `owner`, as for
-- `shm.attach`; `prefault`; `journal`, bytes that bound how much one step can change (a
-- sixteenth of the size, from 4 KiB to 64 KiB). For a region only `max` and `journal`.
-- @tparam string|shm.region where the name of a POSIX shared memory object; or a region of
-- any kind, that is writable and shared, whose first bytes are the arena's or zero
-- @tparam[opt] table given options
-- @treturn shm.arena the arena
-- @treturn boolean whether it was made
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOSPC (less than 32 KiB, or /dev/shm is full), EPROTO (another version's),
-- EXDEV (another pid namespace's), EUSERS (128 processes are attached), and shm.attach's
-- @see shm_open(3)
function M.open(where, given)
  given = options.read(given, RULES, "shm.arena")
  local wanted = {max = given.max, journal = given.journal}
  if type(where) ~= "string" then
    return core.arena.open(where, wanted)
  end
  local region <close>, message, errno = map(where, given)
  if not region then
    return nil, message, errno
  end
  return core.arena.open(region, wanted)
end

return M
