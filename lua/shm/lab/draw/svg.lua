--- A scene as SVG. What is drawn later lies above what is drawn before.
-- @module shm.lab.draw.svg
local captions = require "shm.lab.draw.captions"
local layout = require "shm.lab.draw.layout"
local legend = require "shm.lab.draw.legend"
local letters = require "shm.lab.draw.letters"
local marks = require "shm.lab.draw.marks"
local pen = require "shm.lab.draw.pen"

local MARGIN <const>, HEADER <const> = layout.MARGIN, layout.HEADER
local FOOT <const> = 30 -- rows from which on the names stand below the lanes as well

local Paint = {}
Paint.__index = Paint

function Paint:y(row)
  return layout.y(self.plan, row)
end

function Paint:each(kind)
  local i, all = 0, self.scene.spans
  return function()
    repeat
      i = i + 1
    until not all[i] or all[i].kind == kind
    return all[i]
  end
end

function Paint:words()
  local ink, plan = self.pen, self.plan
  local y = MARGIN + 17
  for _, line in ipairs(plan.title) do
    ink:text(MARGIN, y, line, {size = 18, bold = true, class = "title"})
    y = y + 23
  end
  if #plan.verdict > 0 then
    ink:cross(MARGIN + 6, y - 1, 5, pen.ALARM)
    for _, line in ipairs(plan.verdict) do
      ink:text(MARGIN + 20, y + 3.5, line, {size = 13, colour = pen.ALARM, class = "verdict"})
      y = y + 18
    end
  end
end

-- Where several are inside, across all lanes, so that it is seen first.
function Paint:overlaps()
  local ink, plan = self.pen, self.plan
  for span in self:each "overlap" do
    local first, last = plan.places[span.first], plan.places[span.last]
    local top = first and first.top or plan.head + HEADER + 6
    local bottom = last and last.top + last.height or plan.bottom
    local colour = span.violated and pen.ALARM or pen.SOFT
    ink:rect(plan.left, top, plan.right - plan.left, bottom - top,
             span.violated and pen.BLUSH or pen.SHADE, {class = "overlap"})
    ink:line(plan.left, top, plan.right, top, colour, 1, "5 3")
    ink:line(plan.left, bottom, plan.right, bottom, colour, 1, "5 3")
  end
end

function Paint:violated()
  local row = self.scene.violated
  local place, plan = self.plan.places[row], self.plan
  if place then
    self.pen:rect(MARGIN - 8, place.top, plan.width - 2 * MARGIN + 16, place.height, pen.BLUSH,
                  {class = "violated", stroke = pen.ALARM, stroke_width = 1.2})
    self.pen:path("M# #L# #L# #Z", {MARGIN - 4, place.y - 5, MARGIN + 4, place.y,
                                    MARGIN - 4, place.y + 5}, {fill = pen.ALARM})
  end
end

function Paint:header(lane, y, from_fork)
  local at, head = self.plan.lanes[lane], self.scene.lanes[lane]
  local room = at.room + layout.TEXT
  local name = letters.shorten(head.name, room, letters.sans(13 / 0.86, true))
  local width = math.max(36, letters.sans(13 / 0.86, true)(name) + 16)
  local concerned = false
  for _, role in ipairs(self.scene.verdict and self.scene.verdict.roles or {}) do
    concerned = concerned or role == lane
  end
  self.pen:rect(at.x - 18, y, width, HEADER, pen.PAPER,
                {class = from_fork and "born" or "head", stroke = pen.INK, rx = 4,
                 stroke_width = concerned and 2.4 or 1.2})
  self.pen:text(at.x - 18 + width / 2, y + 16.5, name,
                {size = 13, bold = true, anchor = "middle", class = "role"})
end

function Paint:lanes()
  local ink, plan = self.pen, self.plan
  if plan.memory then
    local top = plan.head + HEADER
    ink:rect(plan.memory - 4, top, 8, plan.bottom - top, pen.SHADE,
             {class = "memory", stroke = pen.SOFT, stroke_width = 1})
  end
  for span in self:each "life" do
    local x = plan.lanes[span.lane].x
    ink:line(x, self:y(span.first), x, self:y(span.last), pen.INK, 1.2)
  end
end

function Paint:sections()
  local ink, plan = self.pen, self.plan
  local rows = #self.scene.rows
  for span in self:each "inside" do
    local half = math.max(3, 8 - 2 * span.depth)
    local x, top, bottom = plan.lanes[span.lane].x, self:y(span.first), self:y(span.last)
    ink:rect(x - half, top, 2 * half, bottom - top, pen.SECTION,
             {class = "inside", stroke = pen.INK, stroke_width = 1.2,
              stroke_dasharray = span.last > rows and "3 2" or nil})
  end
  for span in self:each "both" do
    local half = math.max(3, 8 - 2 * span.depth)
    local top, bottom = self:y(span.first), self:y(span.last)
    ink:rect(plan.lanes[span.lane].x - half, top, 2 * half, bottom - top,
             span.violated and pen.ALARM or pen.SOFT,
             {class = "both", stroke = pen.INK, stroke_width = 1.2})
  end
end

function Paint:waits()
  local ink, plan = self.pen, self.plan
  for span in self:each "call" do
    local top, bottom = self:y(span.first), self:y(span.last)
    ink:rect(plan.lanes[span.lane].x - 3, top, 6, bottom - top, pen.PAPER,
             {class = "call", stroke = pen.SOFT, stroke_width = 1})
  end
  for span in self:each "wait" do
    marks.wait(ink, plan.lanes[span.lane].x, self:y(span.first), self:y(span.last))
  end
end

-- What reaches the memory: at once, or on its way through the store buffer.
function Paint:accesses()
  local ink, plan = self.pen, self.plan
  for _, arrow in ipairs(self.scene.arrows) do
    local y = self:y(arrow.row)
    if arrow.to == "memory" and arrow.kind ~= "flush" then
      local x, stop = plan.lanes[arrow.from].x, plan.memory - 5
      ink:open("access " .. arrow.kind)
      ink:line(x, y, stop, y, pen.SOFT, 1)
      if arrow.kind ~= "read" then
        ink:head(stop, y, 1, pen.SOFT)
      end
      if arrow.kind ~= "write" then
        ink:head(x + 6, y, -1, pen.SOFT, true)
      end
      ink:close()
    end
  end
  for span in self:each "store" do
    local x = plan.lanes[span.lane].x
    local top = span.first > 0 and self:y(span.first) or nil
    local aside = x - 8 - math.min(span.slot, layout.SLOTS) * layout.SLOT
    marks.store(ink, x, aside, top or plan.head + HEADER + 2,
                self:y(span.last), span.arrives and span.last <= #self.scene.rows
                and plan.memory - 5, top)
  end
end

function Paint:calls()
  local ink, plan = self.pen, self.plan
  for _, arrow in ipairs(self.scene.arrows) do
    if arrow.to ~= "memory" then
      local from, to = plan.lanes[arrow.from].x, plan.lanes[arrow.to].x
      local side, y = to > from and 1 or -1, self:y(arrow.row)
      ink:open(("%s from-%d to-%d"):format(arrow.kind, arrow.from, arrow.to))
      if arrow.kind == "fork" then
        to = side > 0 and to - 19 or to + 19
      end
      marks[arrow.kind](ink, from, to, y, side)
      ink:close()
    end
  end
end

function Paint:glyphs()
  local ink, plan = self.pen, self.plan
  for i, row in ipairs(self.scene.rows) do
    local place = plan.places[i]
    if row.kind == "step" then
      marks.glyph(ink, row.glyph, plan.lanes[row.lane].x, place.y)
    end
  end
  for lane, head in ipairs(self.scene.lanes) do
    if not head.born or head.born == 0 then
      self:header(lane, plan.head)
    elseif plan.places[head.born] then
      self:header(lane, plan.places[head.born].y - HEADER / 2, true)
    end
  end
  if plan.memory then
    ink:rect(plan.memory - 30, plan.head, 60, HEADER, pen.INK, {class = "head", rx = 4})
    ink:text(plan.memory, plan.head + 16, "memory",
             {size = 12, colour = pen.PAPER, anchor = "middle"})
  end
end

function Paint:rows()
  for i, row in ipairs(self.scene.rows) do
    captions[row.kind](self, row, self.plan.places[i])
  end
end

--- Draws.
-- @tparam table scene
-- @number[opt] width in pixels
-- @treturn string the file
return function(scene, width)
  local plan = layout.plan(scene, width)
  local paint = setmetatable({scene = scene, plan = plan, pen = pen.new()}, Paint)
  paint:overlaps()
  paint:violated()
  paint:lanes()
  paint:sections()
  paint:waits()
  paint:accesses()
  paint:calls()
  paint:glyphs()
  paint:rows()
  paint:words()
  local height = plan.bottom
  if #scene.rows >= FOOT then
    for span in paint:each "life" do
      if span.last > #scene.rows then
        paint:header(span.lane, height)
      end
    end
    height = height + HEADER
  end
  height = legend(paint.pen, scene, MARGIN, height + 14, plan.width - 2 * MARGIN)
  local words = scene.verdict and scene.verdict.name .. ": " .. scene.verdict.message or ""
  if scene.schedule then
    words = words .. (words ~= "" and " " or "") .. "schedule: " .. letters.clean(scene.schedule)
  end
  return paint.pen:document(plan.width, height + MARGIN - 8, width or plan.width, scene.title,
                            words)
end
