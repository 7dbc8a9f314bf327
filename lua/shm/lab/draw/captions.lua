--- What stands in the rows of an SVG: numbers, times, texts, and what goes across all lanes. Each
-- function gets what paints (its pen, plan and scene), a row, and its place.
-- @module shm.lab.draw.captions
local layout = require "shm.lab.draw.layout"
local letters = require "shm.lab.draw.letters"
local marks = require "shm.lab.draw.marks"
local pen = require "shm.lab.draw.pen"

local M = {}

local MARGIN <const>, LINE <const> = layout.MARGIN, layout.LINE

function M.step(paint, row, place)
  local ink, plan = paint.pen, paint.plan
  local quiet = {size = layout.SMALL, mono = true, colour = pen.SOFT, anchor = "end"}
  ink:text(MARGIN + plan.numbers - 10, place.y + 3.5, tostring(row.index), quiet)
  if row.time then
    quiet.class = "time"
    ink:text(plan.left - 4, place.y + 3.5, paint.scene.time(row.time), quiet)
  end
  for i, line in ipairs(place.lines) do
    ink:text(plan.lanes[row.lane].text, place.base + (i - 1) * LINE, line,
             {size = layout.SIZE, mono = true, class = "step-" .. row.index,
              italic = row.glyph == "note" or nil})
  end
end

function M.wait(paint, row, place)
  for i, line in ipairs(place.lines) do
    paint.pen:text(paint.plan.lanes[row.lane].text, place.base + (i - 1) * LINE, line,
                   {size = layout.SIZE, mono = true, italic = true, colour = pen.SOFT,
                    class = "waits"})
  end
end

function M.gap(paint, row, place)
  marks.tear(paint.pen, paint.plan.left, paint.plan.right + (paint.plan.memory and 60 or 0),
             place.y)
  paint.pen:text(paint.plan.left - 4, place.y + 3.5, "+ " .. paint.scene.time(row.seconds),
                 {size = layout.SMALL, mono = true, italic = true, colour = pen.SOFT,
                  anchor = "end", class = "gap"})
end

function M.skip(paint, row, place)
  local plan = paint.plan
  local said = ("… %d step%s %s"):format(row.count, row.count == 1 and "" or "s", row.where)
  local width = letters.sans(12)(said) / 0.86 + 12
  local middle = (plan.left + plan.right) / 2
  marks.tear(paint.pen, plan.left, plan.right + (plan.memory and 60 or 0), place.y)
  paint.pen:rect(middle - width / 2, place.y - 9, width, 18, pen.PAPER)
  paint.pen:text(middle, place.y + 4, said,
                 {size = 12, italic = true, colour = pen.SOFT, anchor = "middle", class = "skip"})
end

-- Where a text may stand on the line: right of the first lane that has room for it before the
-- next one that the verdict concerns, or else of the one that has most.
local function roomy(plan, row, width)
  local concerned, best, most = {}, nil, 0
  for _, lane in ipairs(row.lanes) do
    concerned[lane] = true
  end
  for lane, at in ipairs(plan.lanes) do
    local stop, next_lane = plan.right, lane + 1
    while plan.lanes[next_lane] and not concerned[next_lane] do
      next_lane = next_lane + 1
    end
    stop = plan.lanes[next_lane] and plan.lanes[next_lane].x - 10 or stop
    local room = stop - at.text
    if room >= width and (concerned[lane] or #row.lanes == 0) then
      return at, room
    elseif room > most then
      best, most = at, room
    end
  end
  return best, most
end

-- The verdict's name stands on the line, right of a lane.
function M.mark(paint, row, place)
  local ink, plan = paint.pen, paint.plan
  local measure = letters.sans(12 / 0.86, true)
  ink:line(MARGIN - 8, place.y, plan.width - MARGIN + 8, place.y, pen.ALARM, 2)
  local best, room = roomy(plan, row, measure(row.text) + 30)
  local said = letters.shorten(row.text, room - 30, measure)
  ink:rect(best.text, place.y - 11, measure(said) + 30, 22, pen.ALARM, {class = "mark", rx = 4})
  ink:cross(best.text + 12, place.y, 4, pen.PAPER, 2)
  ink:text(best.text + 22, place.y + 4, said,
           {size = 12, bold = true, colour = pen.PAPER, class = "mark"})
  for _, lane in ipairs(row.lanes) do
    if plan.lanes[lane] then
      ink:put("circle", {cx = plan.lanes[lane].x, cy = place.y, r = 5.5, fill = pen.PAPER,
                         stroke = pen.ALARM, stroke_width = 2.4})
    end
  end
end

function M.rest(paint, _, place)
  for lane in ipairs(paint.plan.lanes) do
    for i, line in ipairs(place.texts[lane] or {}) do
      paint.pen:text(paint.plan.lanes[lane].text, place.base + (i - 1) * LINE, line,
                     {size = layout.SIZE, mono = true, bold = true, class = "rest"})
    end
  end
end

return M
