--- Where in an SVG the lanes and rows of a scene are, in the picture's own units.
--
-- A lane has a column: what is in store buffers goes down on its left, then the lane itself, and
-- the texts of its steps on its right. A row's text stands above the arrow where one leaves to
-- the right, and else beside its glyph; so no text is met by what is drawn in its row.
-- @module shm.lab.draw.layout
local letters = require "shm.lab.draw.letters"

local M = {}

M.MARGIN = 24
M.SIZE = 12      -- of a step's letters
M.LINE = 15      -- from one line of text to the next
M.SMALL = 10     -- of numbers at the side
M.SLOT = 6       -- between two strokes from the store buffer
M.SLOTS = 8      -- of them; further ones lie over the last
M.TEXT = 14      -- from a lane to its text
M.HEADER = 24    -- height of a lane's name
M.MEMORY = 64    -- width of memory's column

local WIDEST <const>, NARROWEST <const> = 250, 72 -- of a text, of many lanes
local TEXTS <const> = 640                        -- of the texts of few
local LARGEST <const>, SMALLEST <const> = 1100, 460 -- of a picture, unless asked otherwise
local LEFT <const>, RIGHT <const> = 20, 12 -- of a lane's line, of its text
local LINES <const>, REST_LINES <const> = 4, 5
local STRETCH <const> = 40
local SLACK <const> = 0.86 -- of a line, where letters may be wider than they are thought to be

local mono, small = letters.mono(M.SIZE), letters.mono(M.SMALL)
local header = letters.sans(13, true)

-- How wide the texts of each lane would like to be, and how many strokes are on its left.
local function wishes(scene)
  local rooms, slots, widest = {}, {}, math.max(WIDEST, TEXTS / math.max(2, #scene.lanes))
  local function wish(lane, width)
    rooms[lane] = math.min(math.max(rooms[lane], width), widest)
  end
  for lane, head in ipairs(scene.lanes) do
    rooms[lane], slots[lane] = NARROWEST, 0
    wish(lane, header(head.name) / SLACK)
  end
  for _, row in ipairs(scene.rows) do
    if row.text and row.lane then
      wish(row.lane, mono(row.text) + 1)
    elseif row.kind == "rest" then
      for lane, text in pairs(row.waiting) do
        wish(lane, mono(text) + 1)
      end
    end
  end
  for _, span in ipairs(scene.spans) do
    if span.kind == "store" then
      slots[span.lane] = math.max(slots[span.lane], math.min(span.slot, M.SLOTS))
    end
  end
  return rooms, slots
end

local function gutter(scene)
  local widest = 0
  for _, row in ipairs(scene.rows) do
    if row.kind == "step" then
      widest = math.max(widest, small(tostring(row.index)))
    end
  end
  local times = 0
  for _, row in ipairs(scene.rows) do
    if row.time or row.kind == "gap" then
      local said = scene.time(row.time or row.seconds)
      times = math.max(times, small(row.time and said or "+ " .. said))
    end
  end
  return widest + 18, times > 0 and times + 14 or 0
end

local function columns(scene, wanted)
  local rooms, slots = wishes(scene)
  local numbers, times = gutter(scene)
  local fixed = 2 * M.MARGIN + numbers + times + (scene.memory and M.MEMORY or 0)
  local sum = fixed
  for lane, room in ipairs(rooms) do
    sum = sum + room + LEFT + slots[lane] * M.SLOT + M.TEXT + RIGHT
  end
  letters.narrow(rooms, sum - (wanted or LARGEST), NARROWEST)
  sum = fixed
  for lane, room in ipairs(rooms) do
    sum = sum + room + LEFT + slots[lane] * M.SLOT + M.TEXT + RIGHT
  end
  local spare = math.max(0, (wanted or SMALLEST) - sum) / math.max(1, #rooms)
  local lanes, x = {}, M.MARGIN + numbers + times
  for lane, room in ipairs(rooms) do
    local line = x + LEFT + slots[lane] * M.SLOT
    lanes[lane] = {left = x, x = line, text = line + M.TEXT, room = room + spare}
    x = line + M.TEXT + room + spare + RIGHT
  end
  return {lanes = lanes, left = M.MARGIN + numbers + times, right = x, numbers = numbers,
          memory = scene.memory and x + M.MEMORY / 2 or nil,
          width = x + (scene.memory and M.MEMORY or 0) + M.MARGIN}
end

-- By row: whether an arrow leaves to the right, beneath the text.
local function undercut(scene)
  local rows = {}
  for _, arrow in ipairs(scene.arrows) do
    if arrow.to == "memory" or arrow.to > arrow.from then
      rows[arrow.row] = true
    end
  end
  return rows
end

local PLACE = {}

function PLACE.step(plan, row, place, arrow)
  place.lines = letters.wrap(row.text, plan.lanes[row.lane].room, mono, LINES)
  local text = #place.lines * M.LINE
  place.top = place.top + row.stretch * STRETCH
  if arrow then
    place.base, place.y, place.height = place.top + 5 + M.SIZE, place.top + text + 10, text + 19
  else
    place.y, place.height = place.top + 5 + text / 2, text + 10
    place.base = place.top + 5 + M.SIZE - 1
  end
end

function PLACE.wait(plan, row, place)
  place.lines = letters.wrap(row.text, plan.lanes[row.lane].room, mono, 2)
  local text = #place.lines * M.LINE
  place.y, place.height, place.base = place.top + 3, text + 8, place.top + 3 + M.SIZE - 1
end

function PLACE.gap(_, _, place)
  place.y, place.height = place.top + 15, 30
end

function PLACE.skip(_, _, place)
  place.y, place.height = place.top + 16, 32
end

function PLACE.mark(_, _, place)
  place.y, place.height = place.top + 17, 34
end

function PLACE.rest(plan, row, place)
  local most = 0
  place.texts = {}
  for lane, text in pairs(row.waiting) do
    local room = plan.lanes[lane].room
    place.texts[lane] = letters.wrap(text, room, mono, REST_LINES)
    most = math.max(most, #place.texts[lane])
  end
  place.y, place.height = place.top + 10, most * M.LINE + 14
  place.base = place.top + 6 + M.SIZE - 1
end

--- Lays out a scene.
-- @tparam table scene
-- @number[opt] wanted the picture's width
-- @treturn table `width`, `height`, `lanes` ({left, x, text, room}), `memory` (its middle),
-- `left` and `right` of the lanes, `places` by row ({top, y, height, base, lines}), `title` and
-- `verdict` (lines of text), `head` (the top of the names), `bottom` (where lanes end)
function M.plan(scene, wanted)
  local plan = columns(scene, wanted)
  local wide = (plan.width - 2 * M.MARGIN) * SLACK
  plan.title = letters.wrap(scene.title, wide, letters.sans(18, true), 3)
  plan.verdict = scene.verdict and letters.wrap(
    scene.verdict.message ~= "" and scene.verdict.message or scene.verdict.name,
    wide - 22, letters.sans(13), 6) or {}
  local y = M.MARGIN + #plan.title * 23 + (#plan.verdict > 0 and #plan.verdict * 18 + 6 or 0) + 10
  plan.head = y
  y = y + M.HEADER + 10
  plan.places = {}
  local arrows = undercut(scene)
  for i, row in ipairs(scene.rows) do
    local place = {top = y}
    PLACE[row.kind](plan, row, place, arrows[i])
    if row.kind == "step" and row.action == "fork" then
      place.height = math.max(place.height, place.y - y + M.HEADER / 2 + 6)
    end
    plan.places[i] = place
    y = place.top + place.height
  end
  plan.bottom = y + 12
  return plan
end

--- How high in the picture a row is.
-- @tparam table plan
-- @number row may lie between two
-- @treturn number
function M.y(plan, row)
  local whole = math.floor(row)
  local function at(i)
    local place = plan.places[i]
    return place and place.y or i < 1 and plan.head + M.HEADER or plan.bottom
  end
  return at(whole) + (row - whole) * (at(whole + 1) - at(whole))
end

return M
