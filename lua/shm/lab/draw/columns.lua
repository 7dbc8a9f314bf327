--- Where in a terminal the lanes of a scene are, and their texts.
-- @module shm.lab.draw.columns
local letters = require "shm.lab.draw.letters"

local M = {}

M.LEAST = 16 -- columns for a lane's texts, where they stand beside it

local GAP <const> = 4     -- from one lane's texts to the next: the store buffer, the lane, a space
local APART <const> = 3   -- from one lane to the next where no texts are between them
local MEMORY <const> = 5
local FEWEST <const> = 10 -- for texts, however many lanes there are

-- How wide the texts of each lane would like to be.
local function wishes(scene, said)
  local rooms = {}
  local function wish(lane, text)
    rooms[lane] = math.max(rooms[lane] or 0, letters.cells(said(text)))
  end
  for lane, head in ipairs(scene.lanes) do
    wish(lane, head.name)
  end
  for _, row in ipairs(scene.rows) do
    if row.text and row.lane then
      wish(row.lane, row.text)
    end
    for lane, text in pairs(row.waiting or {}) do
      wish(lane, text)
    end
  end
  return rooms
end

-- Each lane with its texts on its right.
local function beside(plan, rooms, left)
  local x = left
  for lane, room in ipairs(rooms) do
    room = math.floor(room)
    plan.lanes[lane] = {x = x + 1, text = x + 3, room = room}
    x = x + room + GAP
  end
  plan.memory = x + 1
end

-- The lanes close together, and all texts on their right.
local function together(plan, n, left, width, memory)
  local step = APART
  while step > 1 and width - left - memory - step * n < M.LEAST + GAP do
    step = step - 1
  end
  local text = left + step * n + memory + 1
  for lane = 1, n do
    plan.lanes[lane] = {x = left + 1 + step * (lane - 1), text = text,
                        room = math.max(FEWEST, width - text + 1)}
  end
  plan.memory = left + 1 + step * n
end

--- Divides the columns among numbers, times, lanes with their texts, and the memory.
-- @tparam table scene
-- @int width of the terminal
-- @bool memory whether there is a lane for it
-- @tparam function said what is written instead of a text
-- @treturn table `numbers` and `times` (widths), `lanes` ({x, text, room}), `memory` (its column,
-- if there is one), `beside` (whether texts stand beside their lanes)
function M.plan(scene, width, memory, said)
  local digits, times = 1, 0
  for _, row in ipairs(scene.rows) do
    digits = math.max(digits, row.index and #tostring(row.index) or 0)
    if row.time or row.seconds then
      times = math.max(times, letters.cells("+ " .. scene.time(row.time or row.seconds)))
    end
  end
  local plan = {numbers = 2 + digits, -- and the mark of the verdict
                times = times > 0 and times + 2 or 0, lanes = {}}
  local left, room = plan.numbers + plan.times + 2, memory and MEMORY or 0
  local rooms, most, sum, least = wishes(scene, said), width - left - room, 0, 0
  for _, wish in ipairs(rooms) do
    sum, least = sum + wish + GAP, least + math.min(wish, M.LEAST) + GAP
  end
  plan.beside = least <= most
  if plan.beside then
    letters.narrow(rooms, sum - most, M.LEAST)
    beside(plan, rooms, left)
  else
    together(plan, #rooms, left, width, room)
  end
  plan.memory = memory and plan.memory or nil
  return plan
end

return M
