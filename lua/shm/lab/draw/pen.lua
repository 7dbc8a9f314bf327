--- Writes SVG: elements, their colours, and the few shapes that a drawing of a trace has.
--
-- Colour is never alone in saying something: what differs has another shape, dash or darkness, so
-- that a copy in black and white says the same. Everything stands in the file itself, and fonts
-- have generic names at the end of their list.
-- @module shm.lab.draw.pen
local M = {}

M.INK, M.SOFT, M.PALE, M.PAPER = "#1d2733", "#647080", "#b9c2cd", "#ffffff"
M.WAKE, M.ALARM, M.BLUSH = "#175ca4", "#b3261e", "#fbe3df"
M.SECTION, M.SHADE = "#f3cf73", "#eef1f4"

local SANS <const> = "Helvetica, Arial, 'Liberation Sans', sans-serif"
local MONO <const> = "Menlo, Consolas, 'DejaVu Sans Mono', monospace"
local ESCAPES <const> = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
                         ["'"] = "&#39;"}

local Pen = {}
Pen.__index = Pen

--- Text as it may stand in XML.
-- @string text UTF-8 without controls
-- @treturn string
function M.escape(text)
  return (text:gsub("[&<>\"']", ESCAPES))
end

local function number(value)
  return (("%.1f"):format(value):gsub("%.0$", ""))
end

local function attributes(of)
  local names = {}
  for name in pairs(of) do
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    local value = of[name]
    names[i] = (' %s="%s"'):format(name:gsub("_", "-"),
      type(value) == "number" and number(value) or M.escape(value))
  end
  return table.concat(names)
end

--- A new drawing.
-- @treturn table pen
function M.new()
  return setmetatable({}, Pen)
end

--- An element without content.
-- @string name
-- @tparam table of attributes; `_` in a name stands for `-`
function Pen:put(name, of)
  self[#self + 1] = ("<%s%s/>"):format(name, attributes(of))
end

--- Begins a group; what it is for stands in its class.
-- @string class
function Pen:open(class)
  self[#self + 1] = ('<g class="%s">'):format(class)
end

--- Ends the group.
function Pen:close()
  self[#self + 1] = "</g>"
end

--- A line.
-- @string[opt] colour
-- @number[opt] width
-- @string[opt] dash as stroke-dasharray has it
function Pen:line(x1, y1, x2, y2, colour, width, dash)
  self:put("line", {x1 = x1, y1 = y1, x2 = x2, y2 = y2, stroke = colour or M.INK,
                    stroke_width = width or 1.2, stroke_dasharray = dash})
end

--- A rectangle.
-- @tparam[opt] table more attributes
function Pen:rect(x, y, width, height, fill, more)
  local of = {x = x, y = y, width = width, height = height, fill = fill}
  for name, value in pairs(more or {}) do
    of[name] = value
  end
  self:put("rect", of)
end

--- A path; numbers are put for each # of its shape.
-- @string shape
-- @tparam table numbers
-- @tparam table of attributes
function Pen:path(shape, numbers, of)
  local at = 0
  of.d = shape:gsub("#", function()
    at = at + 1
    return number(numbers[at])
  end)
  of.fill = of.fill or "none"
  self:put("path", of)
end

--- One line of text.
-- @number x
-- @number y of the base line
-- @string text
-- @tparam[opt] table style `size`, `mono`, `bold`, `italic`, `colour`, `anchor`, `class`
function Pen:text(x, y, text, style)
  style = style or {}
  local of = {x = x, y = y, font_size = style.size or 12, fill = style.colour or M.INK,
              font_family = style.mono and MONO or nil, text_anchor = style.anchor,
              class = style.class, font_weight = style.bold and "bold" or nil,
              font_style = style.italic and "italic" or nil}
  self[#self + 1] = ("<text%s>%s</text>"):format(attributes(of), M.escape(text))
end

--- An arrow's head at a point, which it looks at from the left (1) or from the right (-1).
-- @number x
-- @number y
-- @int side
-- @string colour
-- @bool[opt] open two strokes only
function Pen:head(x, y, side, colour, open)
  if open then
    self:path("M# #L# #L# #", {x - side * 6, y - 3.5, x, y, x - side * 6, y + 3.5},
              {stroke = colour, stroke_width = 1.3, stroke_linejoin = "round"})
  else
    self:path("M# #L# #L# #Z", {x, y, x - side * 8, y - 4, x - side * 8, y + 4},
              {fill = colour})
  end
end

--- A cross.
-- @number x
-- @number y of its middle
-- @number size from the middle to its ends
-- @string colour
-- @number[opt] width of the strokes
function Pen:cross(x, y, size, colour, width)
  self:path("M# #L# #M# #L# #", {x - size, y - size, x + size, y + size, x - size, y + size,
                                 x + size, y - size},
            {stroke = colour, stroke_width = width or 2.4, stroke_linecap = "round"})
end

--- The whole file.
-- @number width of the picture in its own units
-- @number height
-- @number shown how wide it is to be shown, in pixels
-- @string title
-- @string description
-- @treturn string
function Pen:document(width, height, shown, title, description)
  return ('<?xml version="1.0" encoding="UTF-8"?>\n'
    .. '<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %s %s" '
    .. 'role="img" font-family="%s">\n<title>%s</title>\n<desc>%s</desc>\n'
    .. '<rect class="paper" width="%s" height="%s" fill="%s"/>\n%s\n</svg>\n'):format(
    number(shown), number(height * shown / width), number(width), number(height),
    M.escape(SANS), M.escape(title), M.escape(description), number(width), number(height), M.PAPER,
    table.concat(self, "\n"))
end

return M
