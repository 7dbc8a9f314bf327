--- The shapes in an SVG of a scene: what a step is, what lasts, and what reaches another lane.
-- The legend draws with the same functions.
-- @module shm.lab.draw.marks
local pen = require "shm.lab.draw.pen"

local M = {}

local GLYPH = {}

local function circle(ink, x, y, r, fill, width)
  ink:put("circle", {cx = x, cy = y, r = r, fill = fill, stroke = pen.INK,
                     stroke_width = width or 1.4})
end

function GLYPH.act(ink, x, y)
  circle(ink, x, y, 3.4, pen.INK)
end

function GLYPH.read(ink, x, y)
  circle(ink, x, y, 4, pen.PAPER)
end

function GLYPH.write(ink, x, y)
  ink:rect(x - 4, y - 4, 8, 8, pen.INK, {stroke = pen.PAPER, stroke_width = 0.8})
end

function GLYPH.store(ink, x, y)
  ink:rect(x - 4, y - 4, 8, 8, pen.PAPER, {stroke = pen.INK, stroke_width = 1.4})
end

function GLYPH.both(ink, x, y)
  circle(ink, x, y, 5, pen.PAPER)
  ink:rect(x - 2.2, y - 2.2, 4.4, 4.4, pen.INK)
end

function GLYPH.fence(ink, x, y)
  ink:rect(x - 10, y - 2.5, 20, 5, pen.INK)
end

function GLYPH.enter(ink, x, y)
  ink:rect(x - 9, y - 2, 18, 4, pen.INK)
end

GLYPH.leave = GLYPH.enter

function GLYPH.crash(ink, x, y)
  ink:put("circle", {cx = x, cy = y, r = 9, fill = pen.PAPER})
  ink:cross(x, y, 7, pen.INK, 3)
end

function GLYPH.error(ink, x, y)
  circle(ink, x, y, 7, pen.PAPER, 1.6)
  ink:cross(x, y, 3.2, pen.INK, 2)
end

GLYPH["end"] = function(ink, x, y)
  ink:rect(x - 7, y - 1.5, 14, 3, pen.INK)
end

function GLYPH.restart(ink, x, y)
  ink:path("M# #L# #L# #Z", {x - 7, y - 5, x + 7, y - 5, x, y + 5},
           {fill = pen.PAPER, stroke = pen.INK, stroke_width = 1.6, stroke_linejoin = "round"})
end

function GLYPH.note(ink, x, y)
  circle(ink, x, y, 2, pen.PAPER, 1.2)
end

function GLYPH.choose(ink, x, y)
  ink:path("M# #L# #L# #L# #Z", {x, y - 5, x + 5, y, x, y + 5, x - 5, y},
           {fill = pen.PAPER, stroke = pen.INK, stroke_width = 1.4})
end

function GLYPH.flush()
  -- The stroke from the store buffer says it.
end

--- What a step is.
-- @tparam table ink pen
-- @string name
-- @number x
-- @number y
function M.glyph(ink, name, x, y)
  GLYPH[name](ink, x, y)
end

--- A stretch in which a lane could not go on: rungs.
function M.wait(ink, x, top, bottom)
  ink:open "wait"
  ink:rect(x - 5, top, 10, bottom - top, pen.PAPER)
  ink:line(x, top, x, bottom, pen.INK, 8, "1.6 3.4")
  ink:close()
end

--- A value's way through the store buffer, from the write at `top` to the memory, at `stop`, if
-- it gets there.
function M.store(ink, x, aside, top, bottom, stop, written)
  local of = {stroke = pen.INK, stroke_width = 1.6, stroke_dasharray = "5 3"}
  local corner = math.min(4, (bottom - top) / 2)
  ink:open "store"
  if stop then
    ink:line(x, bottom, stop, bottom, pen.PAPER, 4)
  end
  if written and stop then
    ink:path("M# #H#Q# # # #V#Q# # # #H#",
             {x, top, aside + corner, aside, top, aside, top + corner, bottom - corner, aside,
              bottom, aside + corner, bottom, stop - 7}, of)
  elseif written then
    ink:path("M# #H#Q# # # #V#", {x, top, aside + corner, aside, top, aside, top + corner,
                                  bottom}, of)
  elseif stop then
    ink:path("M# #V#Q# # # #H#", {aside, top, bottom - corner, aside, bottom, aside + corner,
                                  bottom, stop - 7}, of)
  else
    ink:path("M# #V#", {aside, top, bottom}, of)
  end
  if stop then
    ink:head(stop, bottom, 1, pen.INK)
  end
  ink:close()
end

--- One lets another go on.
function M.wake(ink, from, to, y, side)
  ink:line(from, y, to - side * 12, y, pen.PAPER, 5)
  ink:line(from, y, to - side * 12, y, pen.WAKE, 2)
  ink:path("M# #L# #L# #Z", {to - side * 5, y, to - side * 15, y - 5, to - side * 15, y + 5},
           {fill = pen.WAKE})
end

--- One makes another.
function M.fork(ink, from, to, y, side)
  ink:line(from, y, to - side * 2, y, pen.INK, 1.4)
  ink:head(to, y, side, pen.INK, true)
end

--- One signals another, which that one need not have waited for.
function M.signal(ink, from, to, y, side)
  ink:line(from, y, to - side * 7, y, pen.WAKE, 1.6, "2 3")
  ink:head(to - side * 5, y, side, pen.WAKE, true)
end

--- One would have let another go on, which did not sleep yet.
function M.lost(ink, from, to, y, side)
  ink:line(from, y, to - side * 14, y, pen.WAKE, 1.6, "2 3")
  ink:cross(to - side * 11, y, 4.5, pen.ALARM, 2)
end

--- Here something is left out, across the lanes.
function M.tear(ink, left, right, y)
  local shape, numbers = {"M# #"}, {left, y}
  local x, up = left, true
  while x + 6 <= right do
    x = x + 6
    shape[#shape + 1] = "L# #"
    numbers[#numbers + 1], numbers[#numbers + 2] = x, y + (up and -3 or 3)
    up = not up
  end
  shape = table.concat(shape)
  ink:path(shape, numbers, {class = "tear", stroke = pen.PAPER, stroke_width = 7})
  ink:path(shape, numbers, {stroke = pen.PALE, stroke_width = 1.2})
end

return M
