--- What a role does, written down in the segment as it does it, so that it can be read whatever
-- becomes of the role. Each role has a log of its own, which it begins anew in each round.
--
-- A log is cells of 64 bytes, and as many bytes again for what has no fixed size:
--
--   0 tag      round << 24 | target << 8 | action, written last; so what an earlier round left
--              ends this one's
--   8 start    seconds on the monotonic clock that all processes share; for words and sections
--              the end of the step before (one look at the clock for each, and not two), so what
--              happened did so between start and finish
--   16 finish  0 until it has: what a role dies in has none
--   24 a, b, c, d   values: of a call, where its arguments and results lie, and their lengths
--   56 count   of reads: how often once more in a row it found the same; of an await: how many
--              words its last pass read
--
-- The last cell is kept for saying that the log is full; what comes after it is not in the log.
-- @module shm.lab.run.log
local process = require "shm.process"
local value = require "shm.value"

local M = {}

local CELL <const> = 64
local PRIMED <const> = 50
local monotonic = process.monotonic

local ACTIONS <const> = {"read", "write", "await", "fence", "cas", "add", "swap", "call", "enter",
                         "leave", "full", "crash", "restart"}
local CODE = {}
for code, action in ipairs(ACTIONS) do
  CODE[action] = code
end
local READ <const>, WRITE <const>, AWAIT <const>, CALL <const> = 1, 2, 3, 8
local FULL <const> = 11

--- Bytes that a log of so many entries takes.
function M.size(entries) return entries > 0 and 2 * CELL * (entries + 1) or 0 end

local function place_of(place, index)
  local cells = place.log_size // (2 * CELL)
  return place.logs + (index - 1) * place.log_size, cells
end

-- Functions bound to one place in each cell, made as they are needed.
local function bound(region, base, field, make)
  return setmetatable({}, {__index = function(list, cell)
    local f = region[make](region, base + (cell - 1) * CELL + field)
    list[cell] = f
    return f
  end})
end

--- The log of one role, for that role.
-- @tparam table place see shm.lab.run.place
-- @int index
-- @tparam boolean fresh whether the role has none in this round yet
-- @treturn table log
function M.open(place, index, fresh)
  local region = place.region
  local base, cells = place_of(place, index)
  local heap = base + cells * CELL
  local tags = bound(region, base, 0, "setter_i64")
  local starts = bound(region, base, 8, "setter_f64")
  local finishes = bound(region, base, 16, "setter_f64")
  local values = bound(region, base, 24, "setter_i64")
  local counts = bound(region, base, 56, "setter_i64")
  local at, used, round, last = 0, 0, 0, 0.0
  local same_tag, same_value, same = 0, 0, 0
  local log = {}
  for cell = 1, fresh and math.min(cells, PRIMED) or 0 do -- it is there when a round begins
    tags[cell](0)
    values[cell](0)
    counts[cell](0)
    starts[cell](0.0)
    finishes[cell](0.0)
  end
  if fresh then
    region:set_i64(heap, 0)
  end

  --- Begins with a round; at a cell, where others have written before it in this round.
  function log.begin(new_round, cell, bytes)
    at, used, round, last = cell or 0, bytes or 0, new_round << 24, monotonic()
    same_tag = 0
    if cell == nil then
      tags[1](0)
    end
  end

  --- From here on time counts for the next step: what came before does not.
  function log.now() last = monotonic() end

  --- How many entries there are.
  function log.position() return at end

  -- The next cell, or nil when there is none.
  local function next_cell()
    same_tag = 0
    if at + 1 < cells then
      at = at + 1
      return at
    elseif at + 1 == cells then
      at = cells
      finishes[at](monotonic())
      starts[at](last)
      tags[at](round | FULL)
    end
  end

  --- What has been read.
  function log.read(target, result)
    local time = monotonic()
    local tag = round | target << 8 | READ
    if tag == same_tag and result == same_value then
      same = same + 1
      counts[at](same)
      finishes[at](time)
      last = time
      return
    end
    local cell = next_cell()
    if cell then
      values[cell](result)
      counts[cell](0)
      starts[cell](last)
      finishes[cell](time)
      tags[cell](tag)
      same_tag, same_value, same = tag, result, 0
    end
    last = time
  end

  --- What is about to be done; `done` is to be called when it has been.
  function log.write(target, new)
    local cell = next_cell()
    if cell then
      values[cell](new)
      starts[cell](last)
      finishes[cell](0.0)
      tags[cell](round | target << 8 | WRITE)
    end
    return cell
  end

  function log.done(cell)
    last = monotonic()
    if cell then
      finishes[cell](last)
    end
  end

  --- The same for an operation with a code, and up to two arguments.
  function log.operation(action, target, a, b)
    local cell = next_cell()
    if cell then
      local place_at = base + (cell - 1) * CELL
      region:set_i64(place_at + 24, a or 0)
      region:set_i64(place_at + 32, b or 0)
      starts[cell](last)
      finishes[cell](0.0)
      tags[cell](round | target << 8 | CODE[action])
    end
    return cell
  end

  --- Its results, before `done`.
  function log.results(cell, c, d)
    if cell then
      local place_at = base + (cell - 1) * CELL
      region:set_i64(place_at + 40, c)
      region:set_i64(place_at + 48, d or 0)
    end
  end

  --- An await begins.
  function log.await()
    local cell = next_cell()
    if cell then
      starts[cell](last)
      finishes[cell](0.0)
      tags[cell](round | 0xffff00 | AWAIT)
    end
    return cell
  end

  --- It has ended with a pass, which began then and read these words.
  function log.awaited(cell, start, words, results, n)
    local finish = monotonic()
    last = finish
    if not cell then
      return
    end
    for i = 2, n do
      local more = next_cell()
      if not more then
        n = i - 1
        break
      end
      values[more](results[i])
      starts[more](start)
      finishes[more](finish)
      tags[more](round | words[i] << 8 | AWAIT)
    end
    counts[cell](n)
    if n > 0 then
      values[cell](results[1])
      tags[cell](round | words[1] << 8 | AWAIT)
    end
    starts[cell](start)
    finishes[cell](finish)
  end

  local function put(cell, field, what)
    local bytes = value.encode(what)
    local place_at = base + (cell - 1) * CELL + field
    if used + #bytes > cells * CELL then
      bytes = value.encode {n = 0, lost = true}
      if used + #bytes > cells * CELL then
        region:set_i64(place_at + 8, 0)
        return
      end
    end
    region:write(heap + used, bytes)
    region:set_i64(place_at, used)
    region:set_i64(place_at + 8, #bytes)
    used = used + #bytes
  end

  --- A call with arguments: action, object, and a list with n.
  function log.call(action, object, args)
    last = monotonic()
    local cell = next_cell()
    if cell then
      put(cell, 24, {action = action, object = object, args = args})
      region:set_i64(base + (cell - 1) * CELL + 48, 0)
      starts[cell](last)
      finishes[cell](0.0)
      tags[cell](round | CALL)
    end
    return cell
  end

  --- What a call gave.
  function log.returned(cell, results)
    if cell then
      put(cell, 40, results)
    end
    log.done(cell)
  end

  return log
end

local function decoded(region, heap, cell_at, field)
  local from, n = region:get_i64(cell_at + field), region:get_i64(cell_at + field + 8)
  return n > 0 and value.decode(region:read(heap + from, n)) or {n = 0, lost = true}, from + n
end

-- An entry of a cell, whose action and target are known.
local READERS = {
  read = function(one, region, at)
    one.results = {n = 1, region:get_i64(at + 24)}
    local more = region:get_i64(at + 56)
    one.times = more > 0 and more + 1 or nil
  end,
  write = function(one, region, at) one.args = {n = 1, region:get_i64(at + 24)} end,
  await = function(one, region, at)
    one.results = {n = 1, region:get_i64(at + 24)}
    one.parts = region:get_i64(at + 56)
  end,
  cas = function(one, region, at)
    one.args = {n = 2, region:get_i64(at + 24), region:get_i64(at + 32)}
    one.results = {n = 2, region:get_i64(at + 40) == 1, region:get_i64(at + 48)}
  end,
  add = function(one, region, at)
    one.args = {n = 1, region:get_i64(at + 24)}
    one.results = {n = 1, region:get_i64(at + 40)}
  end,
}
READERS.swap = READERS.add

--- Reads a role's log of a round.
-- @tparam table place
-- @int index the role
-- @int round
-- @tparam function name_of gives the name of a target: name_of(action, target)
-- @treturn {table,...} entries: action, object, args, results, start, finish (nil when it has
-- none), times, parts
-- @treturn int cells
-- @treturn int bytes of the heap
-- @treturn boolean whether it filled up
function M.entries(place, index, round, name_of)
  local region = place.region
  local base, cells = place_of(place, index)
  local heap = base + cells * CELL
  local list, used, full, cell = {}, 0, false, 0
  while cell < cells do
    local at = base + cell * CELL
    local tag = region:get_i64(at)
    local action = ACTIONS[tag & 0xff]
    if tag >> 24 ~= round or not action then
      break
    end
    cell = cell + 1
    if action == "full" then
      full = true
      break
    end
    local finish = region:get_f64(at + 16)
    local one = {action = action, object = name_of(action, tag >> 8 & 0xffff), args = {n = 0},
                 results = {n = 0}, start = region:get_f64(at + 8),
                 finish = finish > 0 and finish or nil}
    if action == "call" then
      local what, behind = decoded(region, heap, at, 24)
      one.action, one.object = what.action or "call", what.object
      one.args, used = what.args or {n = 0}, math.max(used, behind)
      if one.finish then
        one.results, behind = decoded(region, heap, at, 40)
        used = math.max(used, behind)
      end
    elseif READERS[action] then
      READERS[action](one, region, at)
    end
    if not one.finish then
      one.results = {n = 0}
    end
    list[#list + 1] = one
  end
  return list, cell, used, full
end

--- How many cells a role has used in a round, from a cell on: what the parent looks at to see
-- whether somebody moves.
function M.cells(place, index, round, from)
  local region = place.region
  local base, cells = place_of(place, index)
  local cell = from
  while cell < cells and region:get_i64(base + cell * CELL) >> 24 == round do
    cell = cell + 1
  end
  return cell
end

--- Adds what the parent has seen of a role, which no longer writes: its crash, its restart. When
-- it began is no more known of a crash than that it was after all else that the log has.
function M.append(place, index, round, action, start, finish)
  local region = place.region
  local base, cells = place_of(place, index)
  local cell = M.cells(place, index, round, 0)
  if cell + 1 < cells then
    local at = base + cell * CELL
    if not start then
      local before = at - CELL
      start = cell > 0 and math.max(region:get_f64(before + 8), region:get_f64(before + 16)) or 0.0
    end
    region:set_f64(at + 8, start)
    region:set_f64(at + 16, finish)
    region:set_i64(at, round << 24 | CODE[action])
  end
end

return M
