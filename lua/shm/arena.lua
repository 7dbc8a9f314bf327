--- Arenas: memory that holds named objects, found or made in one step.
-- What is in them is C; its documentation stands in src/bind/arena.c, named.c and block.c.
-- @module shm.arena
local core = require "shm.core"
local layout = require "shm.record.layout"
local options = require "shm.options"
require "shm.arena.map" -- adds to the methods of maps

local M = {}

local DEFAULT_SIZE = 1 << 20
local MOST_BYTES <const> = 1 << 34
local OF_A_NAME <const> = {"size", "mode", "owner", "prefault"} -- which a region has already
local MOST_NAME <const> = 255 -- bytes
local TRIES <const> = 1000
local ENOENT <const>, EEXIST <const>, ENOSPC <const>, ERANGE <const> = 2, 17, 28, 34

local RULES = {
  size = {integer = true, least = 1, most = (1 << 61) - 1}, -- as of any region
  max = {integer = true, least = 1, most = 1 << 35},
  mode = {integer = true, least = 0, most = 511},
  owner = {integer = true, least = -1, most = 0xffffffff},
  prefault = {type = "boolean"},
  journal = {integer = true, least = 2048, most = 1 << 30},
  processes = {integer = true, least = 1, most = 8192},
}

--- For who makes arenas by such options of its own.
M.RULES = RULES

--- Refuses a `max` that is less than the size; the error points at the caller of the function.
-- @tparam table given the options
-- @string where the function's name
function M.check_max(given, where)
  local size = given.size or DEFAULT_SIZE
  if given.max and given.max < size then
    error(("%s: max: %d is less than the size, %d"):format(where, given.max, size), 3)
  end
end

-- Maps what is there as far as its arena may grow: how far only the arena itself knows, if
-- there is one yet.
local function attach(name, given)
  local region, message, errno = core.object.attach(name, {owner = given.owner})
  if not region then
    return region, message, errno
  end
  local reach = core.arena.reach(region)
  reach = reach > 0 and reach or given.max or 0
  local max = reach > #region and reach or nil
  if not max and not given.prefault then
    return region
  end
  region:close()
  return core.object.attach(name, {owner = given.owner, max = max, prefault = given.prefault})
end

local function create(name, given)
  local size = given.size or DEFAULT_SIZE
  if not core.arena.fits(size, given.journal, given.processes) then
    return nil, ("shm.arena '%s': %d bytes are too few"):format(name, size), ENOSPC
  end
  return core.object.create(name, size, {
    mode = given.mode, prefault = given.prefault, max = given.max or size,
  })
end

-- What others do between two calls is met again by the next try: they create or unlink the
-- name, or make an arena that may grow further than was mapped for this one's.
local function open(name, given, wanted)
  local again = {[ENOENT] = true, [EEXIST] = true, [ERANGE] = true}
  for _ = 1, TRIES do
    local region, message, errno = attach(name, given)
    if errno == ENOENT then
      region, message, errno = create(name, given)
      if errno == ENOENT then -- not the name: there is no /dev/shm, or no /proc to give one by
        return nil, message, errno
      end
    end
    if region then
      local arena, made, code = core.arena.open(region, wanted)
      region:close()
      if arena then
        return arena, made
      end
      message, errno = made, code
    end
    if not again[errno] then
      return nil, message, errno
    end
  end
  return nil, ("shm.arena '%s': others create and unlink it all the time"):format(name), EEXIST
end

-- What is wrong with an argument is told where it was given.
local function told(ok, arena, ...)
  if ok then
    return arena, ...
  end
  local problem = tostring(arena):match "bad argument #%d+ to '[^']*' %((.*)%)$"
  error(problem and "shm.arena: " .. problem or arena, problem and 2 or 0)
end

--- Opens an arena, or makes it: of several processes that open the same, one makes it.
--
-- Options: `size`, bytes of a new one (1 MiB); `max`, bytes that it may grow to, while all
-- stay attached (its size); `mode`, permission bits of a new one (0600); `owner`, as for
-- `shm.attach`; `prefault`; `journal`, bytes that bound how much one step can change (a
-- sixteenth of the size, from 4 KiB to 64 KiB); `processes`, how many places there are (128;
-- rounded up to a multiple of 64; each costs 16 bytes, and a bit of each name): a handle takes
-- one until it is closed, and so does each that a child inherits.
-- A child that is forked when all places are taken is not attached: what it has from its
-- parent stays for as long as that is, and what it opens itself takes a place then, or is
-- refused (EUSERS).
-- A region takes only `max`, `journal` and `processes`, and the arena grows no further than
-- it is mapped.
-- @tparam string|shm.region where the name of a POSIX shared memory object; or a region of
-- any kind, that is writable and shared, whose first bytes are the arena's or zero
-- @tparam[opt] table options
-- @treturn shm.arena the arena
-- @treturn boolean whether it was made
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOSPC (less than 32 KiB, or /dev/shm is full), ENOTEMPTY (something else is
-- there), EPROTO (another version's), ERANGE (it may grow beyond what the region maps), EXDEV
-- (another pid namespace's), EUSERS (`processes` are attached), EBUSY (a process that is
-- stopped holds its guard), ETIMEDOUT (somebody is making it, and was stopped), EBADMSG (what
-- lies there makes no sense), EEXIST (others create and unlink it all the time), and shm.attach's
-- @raise when `max` is less than the size, or the region is read-only or not shared
-- @function shm.arena
-- @see shm_open(3)
function M.open(where, given)
  given = options.read(given, RULES, "shm.arena")
  local wanted = {max = given.max, journal = given.journal, processes = given.processes}
  if type(where) ~= "string" then
    for _, option in ipairs(OF_A_NAME) do
      if given[option] ~= nil then
        error(("shm.arena: %s: a region has its own"):format(option), 2)
      end
    end
    if type(where) ~= "userdata" then
      error(("shm.arena: where: name or shm.region expected, got %s"):format(type(where)), 2)
    end
    return told(pcall(core.arena.open, where, wanted))
  end
  M.check_max(given, "shm.arena")
  return told(pcall(open, where, given, wanted))
end

local methods = core.arena.methods

--- Records of a name, one behind the other, which are made if there are none: bytes whose
-- layout is that of the record's fields. The region that they lie in is as alive as they are.
-- @function shm.arena:array
-- @string name 1 to 255 bytes
-- @tparam shm.record record what each is
-- @int count how many
-- @treturn table records by index, as `record:array` gives
-- @treturn boolean whether they were made
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EPROTO (the record's fields are others), ERANGE (there are more or fewer),
-- ENOSPC (the arena is full), ENOTEMPTY (the name is something else's), EBUSY
function methods.array(arena, name, record, count)
  local it = layout.of(record)
  if getmetatable(arena) ~= "shm.arena" then
    error(("arena.array: shm.arena expected, got %s"):format(type(arena)), 2)
  elseif type(name) ~= "string" or name == "" or #name > MOST_NAME then
    error(("arena.array: name: string of 1 to %d bytes expected"):format(MOST_NAME), 2)
  elseif not it then
    error(("arena.array: record: shm.record expected, got %s"):format(type(record)), 2)
  elseif math.type(count) ~= "integer" or count < 1 or count > MOST_BYTES // it.size then
    error(("arena.array: count: %s is no number of records of %d bytes")
      :format(tostring(count), it.size), 2)
  end
  local region, made, errno = arena:bytes(name, it.size * count, layout.number(it))
  if not region then
    return nil, made, errno
  end
  return record:array(region, 0, count), made
end

return M
