--- Below an SVG: what the shapes in it mean, those that are in it.
-- @module shm.lab.draw.legend
local letters = require "shm.lab.draw.letters"
local marks = require "shm.lab.draw.marks"
local pen = require "shm.lab.draw.pen"

local SIZE <const>, LINE <const> = 10.5, 19
local SIGN <const>, GLYPH <const> = 30, 20 -- room for what has a direction, and for a glyph
local GAP <const> = 20                     -- between two entries

local function glyph(name)
  return function(ink, x, y)
    marks.glyph(ink, name, x + GLYPH / 2, y)
  end, GLYPH
end

local function rows(kind)
  return function(scene)
    for _, row in ipairs(scene.rows) do
      if row.glyph == kind or row.kind == kind then
        return true
      end
    end
  end
end

local function spans(kind)
  return function(scene)
    for _, span in ipairs(scene.spans) do
      if span.kind == kind then
        return true
      end
    end
  end
end

local function arrows(kind)
  return function(scene)
    for _, arrow in ipairs(scene.arrows) do
      if arrow.kind == kind then
        return true
      end
    end
  end
end

-- Across the middle of its room, as the shapes of lanes go down.
local function across(ink, x, y, dash, width)
  ink:line(x + 4, y, x + SIGN - 4, y, pen.INK, width, dash)
end

local ENTRIES <const> = {
  {"reads", rows "read", glyph "read"},
  {"writes", rows "write", glyph "write"},
  {"writes, into its store buffer", rows "store", glyph "store"},
  {"reaches memory later", spans "store", function(ink, x, y)
    ink:line(x + 2, y, x + SIGN - 8, y, pen.INK, 1.6, "5 3")
    ink:head(x + SIGN - 2, y, 1, pen.INK)
  end},
  {"reads and writes in one step", rows "both", glyph "both"},
  {"fence", rows "fence", glyph "fence"},
  {"inside", spans "inside", function(ink, x, y)
    ink:rect(x + 4, y - 6, SIGN - 8, 12, pen.SECTION, {stroke = pen.INK, stroke_width = 1.2})
  end},
  {"several inside", spans "overlap", function(ink, x, y, scene)
    local bad = false
    for _, span in ipairs(scene.spans) do
      bad = bad or span.violated
    end
    ink:rect(x + 4, y - 6, SIGN - 8, 12, bad and pen.ALARM or pen.SOFT,
             {stroke = pen.INK, stroke_width = 1.2})
  end},
  {"a call, while others go on", spans "call", function(ink, x, y)
    ink:rect(x + 4, y - 3, SIGN - 8, 6, pen.PAPER, {stroke = pen.SOFT, stroke_width = 1})
  end},
  {"can not go on", spans "wait", function(ink, x, y) across(ink, x, y, "1.6 3.4", 8) end},
  {"lets another go on", arrows "wake", function(ink, x, y)
    marks.wake(ink, x, x + SIGN + 3, y, 1)
  end},
  {"signal", arrows "signal", function(ink, x, y) marks.signal(ink, x, x + SIGN + 3, y, 1) end},
  {"wakes nobody", arrows "lost", function(ink, x, y) marks.lost(ink, x, x + SIGN + 3, y, 1) end},
  {"dies", rows "crash", glyph "crash"},
  {"starts again", rows "restart", glyph "restart"},
  {"ends by an error", rows "error", glyph "error"},
  {"ends", rows "end", glyph "end"},
  {"time is left out", rows "gap", function(ink, x, y) marks.tear(ink, x, x + SIGN, y) end},
}

--- Draws it.
-- @tparam table ink pen
-- @tparam table scene
-- @number left
-- @number top
-- @number room its width
-- @treturn number where it ends
return function(ink, scene, left, top, room)
  local measure = letters.sans(SIZE / 0.86)
  local x, y = left, top
  ink:open "legend"
  for _, entry in ipairs(ENTRIES) do
    if entry[2](scene) then
      local sign = entry[4] or SIGN
      local width = sign + 6 + measure(entry[1])
      if x > left and x + width > left + room then
        x, y = left, y + LINE
      end
      entry[3](ink, x, y, scene)
      ink:text(x + sign + 6, y + 3.5, entry[1], {size = SIZE, colour = pen.SOFT})
      x = x + width + GAP
    end
  end
  ink:close()
  return x > left and y + 8 or y - 8
end
