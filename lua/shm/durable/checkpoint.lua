--- Checkpoints: a state in a file, as it was at one instant.
--
-- Layout: a header of 4096 bytes, of which the first HEADER count, and the arena's bytes. The
-- header says how many these are and how they sum up, and has a sum of its own: what was cut
-- off, exchanged or damaged is told from what was written.
--
--     magic "shm.durable 1\n", bytes, max, sum, generation, version, orderly,
--     boot, monotonic and realtime clocks, the header's sum       (little endian)
--
-- A file is never changed: see shm.durable.disk. Whoever dies while one is written leaves a
-- file of another name, which the next one to write replaces.
-- @module shm.durable.checkpoint
local core = require "shm.core"
local disk = require "shm.durable.disk"
local process = require "shm.process"
local shm = require "shm.core".object

local M = {}

local MAGIC <const> = "shm.durable 1\n"
local FIELDS <const> = "<c16 i8 i8 i8 i8 i8 i8 c40 d d"
local BEGIN <const> = 4096 -- where the arena's bytes begin
local SLACK <const> = 1 << 16
local ENOENT <const>, EPROTO <const>, EBADMSG <const>, ENOBUFS <const> = 2, 71, 74, 105

--- Copies an arena's bytes as they are between two steps.
-- @tparam shm.arena arena
-- @treturn table `region`, and in it `begin` and `size`; in front of them is room for a header
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.take(arena)
  local need = arena:stat().size + SLACK
  while true do
    local buffer, message, errno = shm.anonymous(BEGIN + need, {prefault = true})
    if not buffer then
      return nil, message, errno
    end
    local size
    size, message, errno = core.image.take(arena, buffer, BEGIN)
    if size then
      return {region = buffer, begin = BEGIN, size = size, max = arena:stat().max, later = 0}
    end
    buffer:close()
    if errno ~= ENOBUFS then
      return nil, message, errno
    end
    need = math.max(2 * need, arena:stat().size + SLACK) -- it grew meanwhile
  end
end

--- Writes a state's checkpoint in the place of its last one: on the disk there is one or the
-- other, whole, whatever happens.
-- @string path the checkpoint's
-- @tparam shm.arena arena
-- @tparam table about `generation`, `version`, and whether it is `orderly`
-- @number deadline
-- @treturn boolean true once it is on the disk
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.write(path, arena, about, deadline)
  local boot, message, errno = disk.boot()
  local taken
  if boot then
    taken, message, errno = M.take(arena)
  end
  if not taken then
    return nil, message, errno
  end
  local buffer <close>, size = taken.region, taken.size
  local header = FIELDS:pack(MAGIC, size, taken.max, core.image.sum(buffer, BEGIN, size),
    about.generation, about.version, about.orderly and 1 or 0, boot,
    process.monotonic(), os.time())
  buffer:write(0, header .. ("<i8"):pack(core.image.sum(header)))
  local temporary = path .. ".new"
  local done
  done, message, errno = disk.write(temporary, buffer, BEGIN + size, deadline)
  if done then
    done, message, errno = disk.rename(temporary, path)
  end
  if done then
    done, message, errno = disk.sync_directory(path)
  end
  return done, message, errno
end

local function refuse(path, errno, why)
  return nil, ("'%s' %s"):format(path, why), errno
end

local DAMAGED <const> = "is damaged: put a copy of it back, or remove it to begin anew"

local function parse(path, region)
  if #region < BEGIN or region:read(0, #"shm.durable ") ~= "shm.durable " then
    return refuse(path, EPROTO, "is no state of shm.durable: give another file")
  end
  local magic, size, max, sum, generation, version, orderly, boot, monotonic, realtime, behind =
    region:unpack(0, FIELDS)
  if magic:match "^[^\0]*" ~= MAGIC then
    return refuse(path, EPROTO, "was written by another version of shm: read it with that one")
  elseif region:unpack(behind, "<i8") ~= core.image.sum(region:read(0, behind))
      or size ~= #region - BEGIN or core.image.sum(region, BEGIN, size) ~= sum then
    return refuse(path, EBADMSG, DAMAGED)
  end
  local now, message, errno = disk.boot()
  if not now then
    return nil, message, errno
  end
  local here = boot:match "^[^\0]*" == now
  local later = here and 0 or process.monotonic() - monotonic - (os.time() - realtime)
  return {region = region, begin = BEGIN, size = size, max = max, generation = generation,
          version = version, orderly = orderly == 1, later = later}
end

--- Opens a checkpoint.
-- @string path
-- @treturn table `region` and in it `begin` and `size` of the arena's bytes, the `max` that it
-- may grow to, `generation`, `version`, `orderly`, and how much `later` the clock is by which
-- keys expire
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOENT, EBADMSG (it is damaged), EPROTO (it is something else, or another
-- version's), EACCES …
function M.read(path)
  local region, message, errno = shm.map(path)
  if not region then
    if errno == ENOENT then
      return nil, message, errno
    end
    return refuse(path, errno, ("can not be read: %s"):format(message))
  end
  local found
  found, message, errno = parse(path, region)
  if not found then
    region:close()
  end
  return found, message, errno
end

return M
