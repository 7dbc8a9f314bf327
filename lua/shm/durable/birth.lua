--- How a state comes to be served: found as it was left, built anew of its last checkpoint, or
-- made.
--
-- Whatever is built gets another name first, and its own in one step when it is whole: with
-- what `init` put there, or as `migrate` left it. Who is killed before has changed nothing, and
-- the next one begins with the same. All of it happens under the place's lock.
-- @module shm.durable.birth
local book = require "shm.durable.book"
local checkpoint = require "shm.durable.checkpoint"
local core = require "shm.core"
local disk = require "shm.durable.disk"
require "shm.arena" -- adds to the methods of arenas and maps

local M = {}

local ENOENT <const>, EEXIST <const>, EXDEV <const>, EPROTO <const> = 2, 17, 18, 71

local MAP <const> = "state"
M.MAP = MAP

-- The new live part in a region, with what belongs to it; it closes by close_all.
local function open(region, options)
  local arena, made, errno = core.arena.open(region, {max = options.max, journal = options.journal})
  region:close()
  if not arena then
    return nil, made, errno
  end
  local words, message
  if made then
    words, message, errno = book.make(arena, options.version)
  else
    words, message, errno = book.find(arena)
  end
  local map
  if words then
    map, message, errno = arena:map(MAP)
  end
  if not map then
    if words then
      words:close()
    end
    arena:close()
    return nil, message, errno
  end
  return {arena = arena, book = words, map = map}
end

--- Closes what a part consists of.
function M.close_all(part)
  part.map:close()
  part.book:close()
  part.arena:close()
end

-- Runs what the caller wants done to a part before it is known.
local function prepare(part, f, ...)
  if not f then
    return
  end
  local ok, message = pcall(f, {arena = part.arena, map = part.map}, ...)
  if not ok then
    M.close_all(part)
    error(message, 0)
  end
end

-- Whether the state is of the version that is wanted, or can be made so; nil, message, errno.
local function suits(version, options)
  if version > options.version then
    return nil, ("it is of version %d, and this program's is %d: run the newer program")
      :format(version, options.version), EPROTO
  elseif version < options.version and not options.migrate then
    return nil, ("it is of version %d, and this program's is %d: give migrate, which makes "
      .. "one of the other"):format(version, options.version), EPROTO
  end
  return true
end

-- A new live part from the bytes of another, as this program wants it.
local function rebuild(place, source, options)
  local max = math.max(source.max, options.max or 0)
  local region, message, errno = place:create(source.size, max)
  if not region then
    return nil, message, errno
  end
  region:copy(0, source.region, source.begin, source.size)
  local done
  done, message, errno = core.image.adopt(region, max, source.later)
  if not done then
    region:close()
    return nil, message, errno
  end
  local part
  part, message, errno = open(region, options)
  if not part then
    return nil, message, errno
  end
  local from = part.book:get "version"
  done, message, errno = suits(from, options)
  if not done then
    M.close_all(part)
    return nil, message, errno
  end
  if from < options.version then
    prepare(part, options.migrate, from)
    part.book:set("version", options.version)
  end
  return part
end

local function make(place, options)
  local region, part, message, errno
  region, message, errno = place:create(options.size, math.max(options.size, options.max or 0))
  if region then
    part, message, errno = open(region, options)
  end
  if not part then
    return nil, message, errno
  end
  prepare(part, options.init)
  if place.file then -- so that there is one as soon as there is a live part
    part.book:set("generation", 1)
    local _ <close> = assert(place:lock_sync())
    local done
    done, message, errno = checkpoint.write(place.file, part.arena, {
      generation = 1, version = options.version, orderly = true,
    }, math.huge)
    if not done then
      M.close_all(part)
      return nil, message, errno
    end
  end
  return part
end

-- From then on no checkpoint is made of the part that it replaces, by whoever has that.
local function rename(place)
  local lock <close>, message, errno = place:lock_sync()
  if not lock then
    return nil, message, errno
  end
  return place:settle()
end

-- The part is opened anew by its name: until then it was called otherwise.
local function settle(place, part, options)
  M.close_all(part)
  local done, message, errno = rename(place)
  if done and place.file then
    done, message, errno = disk.sync_directory(place.live)
  end
  local region
  if done then
    region, message, errno = place:attach()
  end
  if not region then
    return nil, message, errno
  end
  return open(region, options)
end

-- There is a live part that can be trusted.
local function resume(place, region, options)
  local reach = core.arena.reach(region)
  if reach == 0 then
    region:close()
    return nil, "what is there is no state of shm.durable: give another name", EEXIST
  end
  local again <close> = region:view(0, #region)
  local part, message, errno = open(region, options)
  local fresh
  if part then
    local version = part.book:get "version"
    local done
    done, message, errno = suits(version, options)
    if done and version == options.version then
      return part
    end
    local source
    if done then
      source, message, errno = checkpoint.take(part.arena)
    end
    if source then
      local _ <close> = source.region
      fresh, message, errno = rebuild(place, source, options)
    end
    M.close_all(part)
  elseif errno == EXDEV then
    local source = {region = again, begin = 0, size = #again, max = reach, later = 0}
    fresh, message, errno = rebuild(place, source, options)
  end
  if not fresh then
    return nil, message, errno
  end
  return settle(place, fresh, options)
end

-- There is none, or none that can be trusted.
local function build(place, how, source, options)
  local done, message, errno = place:say("building " .. how)
  local part
  if done and source then
    part, message, errno = rebuild(place, source, options)
  elseif done then
    part, message, errno = make(place, options)
  end
  if part then
    part, message, errno = settle(place, part, options)
  end
  if part then
    local boot
    boot, message, errno = disk.boot()
    if boot then
      done, message, errno = place:say("boot " .. boot)
    end
    if boot and done then
      return part, how
    end
    M.close_all(part)
  end
  return nil, message, errno
end

local function found(place, options)
  local trusted, how, code = place:trusted()
  local live, message, errno
  if trusted == nil then
    return nil, how, code
  elseif trusted then
    live, message, errno = place:attach()
    if live then
      local part
      part, message, errno = resume(place, live, options)
      if part then
        how = part.book:get "orderly" == 1 and "resumed" or "recovered"
      end
      return part, part and how or message, errno
    elseif errno ~= ENOENT then
      return nil, message, errno
    end
  else
    live, message, errno = place:is_there()
    if live == nil then
      return nil, message, errno
    elseif live and place:silent() then
      return nil, ("'%s' is there, and '%s' is not: remove the former to go back to the last sync")
        :format(place.live, place.lock_path), EEXIST
    end
    how = live and (how or "restored") or how
  end
  if not place.file then
    return build(place, "new", nil, options)
  end
  local source
  source, message, errno = checkpoint.read(place.file)
  if source then
    local _ <close> = source.region
    return build(place, how or source.orderly and "resumed" or "restored", source, options)
  elseif errno ~= ENOENT then
    return nil, message, errno
  elseif live and how ~= "new" then
    return nil, ("'%s' is not there: put a copy of it back, or remove '%s' to begin anew")
      :format(place.file, place.live), ENOENT
  end
  return build(place, "new", nil, options)
end

--- Finds, builds or makes what is to be served.
-- @tparam table place locked
-- @tparam table options of shm.durable.open
-- @treturn table `arena`, `map` and `book`
-- @treturn string "new", "resumed", "recovered" or "restored"
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
-- @raise what init and migrate raise
function M.open(place, options)
  place:sweep()
  local part, how, code = found(place, options)
  if part then
    part.book:set("orderly", 0)
    part.book:set("servers", part.book:get "servers" + 1)
  end
  return part, how, code
end

return M
