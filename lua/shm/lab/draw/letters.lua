--- Texts in pictures: what of them can be shown, how wide they are, where they are broken.
--
-- Who draws has no font at hand. Monospaced letters are 0.602 of their size in the fonts that
-- stand for `monospace`; the others are measured as Helvetica, whose widths Arial and Liberation
-- Sans have as well. Where something wider takes their place, as DejaVu Sans, it is wider by a
-- seventh at most in what is written here, which the layout leaves free.
-- @module shm.lab.draw.letters
local display = require "shm.chat.display"

local M = {}

local MONO <const> = 0.602
local BOLD <const> = 1.07 -- Helvetica-Bold's letters beside Helvetica's
local ELLIPSIS <const> = "…"

-- Helvetica's advances, in thousandths of the size, from the space on.
local HELVETICA <const> = {
  278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, -- space to /
  556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, -- 0 to ?
  1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, -- @ to O
  667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, -- P to _
  333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, -- ` to o
  556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,      -- p to ~
}

-- Characters that take no room, and those that take two columns of a terminal.
local NARROW <const> = {
  {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A}, {0x064B, 0x065F},
  {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200D},
  {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0xE0100, 0xE01EF},
}
local WIDE <const> = {
  {0x1100, 0x115F}, {0x231A, 0x231B}, {0x2329, 0x232A}, {0x23E9, 0x23EC}, {0x26A1, 0x26A1},
  {0x2705, 0x2705}, {0x270A, 0x270B}, {0x274C, 0x274C}, {0x2E80, 0x303E}, {0x3041, 0x4DBF},
  {0x4E00, 0xA4CF}, {0xA960, 0xA97C}, {0xAC00, 0xD7A3}, {0xF900, 0xFAFF}, {0xFE30, 0xFE6F},
  {0xFF00, 0xFF60}, {0xFFE0, 0xFFE6}, {0x1F000, 0x1FAFF}, {0x20000, 0x3FFFD},
}

local function within(ranges, code)
  for _, range in ipairs(ranges) do
    if code <= range[2] then
      return code >= range[1]
    end
  end
  return false
end

local function columns(code)
  if code < 0x300 then
    return 1
  end
  return within(NARROW, code) and 0 or within(WIDE, code) and 2 or 1
end

local function width(text, of)
  local sum = 0
  for _, code in utf8.codes(text) do
    sum = sum + of(code)
  end
  return sum
end

--- A text on one line, as any picture may have it: UTF-8, without controls, and without what XML
-- has no place for.
-- @string text whatever came
-- @treturn string
function M.clean(text)
  text = display.harmless((text:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")))
  return (text:gsub("\xEF\xBF[\xBE\xBF]", "\xEF\xBF\xBD"))
end

--- How many columns of a terminal a text takes.
-- @string text
-- @treturn int
function M.cells(text)
  return width(text, columns)
end

--- The measure of monospaced letters.
-- @number size of the font
-- @treturn function that gives a text's width in the size's unit
function M.mono(size)
  return function(text)
    return M.cells(text) * MONO * size
  end
end

--- The measure of other letters.
-- @number size of the font
-- @bool[opt] bold
-- @treturn function that gives a text's width in the size's unit
function M.sans(size, bold)
  local factor = size * (bold and BOLD or 1) / 1000
  local function of(code)
    return HELVETICA[code - 31] or columns(code) * 600 + (columns(code) == 2 and -150 or 0)
  end
  return function(text)
    return width(text, of) * factor
  end
end

-- The most characters from `at` on that fit, as the offset behind them; one at least, with what
-- takes no room behind it.
local function fitting(text, at, room, measure)
  local stop, used = at, 0
  while stop <= #text do
    local next_one = utf8.offset(text, 2, stop) or #text + 1
    used = used + measure(text:sub(stop, next_one - 1))
    if used > room and stop > at then
      break
    end
    stop = next_one
  end
  return stop
end

--- A text that fits, with … at its end where something is missing.
-- @string text
-- @number room in the measure's unit
-- @tparam function measure
-- @string[opt] ellipsis what stands for what is missing
-- @treturn string
function M.shorten(text, room, measure, ellipsis)
  if measure(text) <= room then
    return text
  end
  ellipsis = ellipsis or ELLIPSIS
  local left = room - measure(ellipsis)
  if left < measure(text:sub(1, (utf8.offset(text, 2) or 2) - 1)) then
    return room >= measure(ellipsis) and ellipsis or ""
  end
  return (text:sub(1, fitting(text, 1, left, measure) - 1):gsub(" +$", "")) .. ellipsis
end

-- Where a word that has to be broken before `stop` is broken best: behind a sign, if one is in
-- the second half.
local function seam(text, at, stop)
  for i = stop - 1, (at + stop) // 2, -1 do
    if text:find("^[:.,;(={%[/_-]", i) then
      return i + 1
    end
  end
  return stop
end

--- Widths that together are less, by as much as is asked for: the widest are cut, all to the
-- same width, but none below the least.
-- @tparam table rooms changed in place
-- @number excess
-- @number least
function M.narrow(rooms, excess, least)
  local low, high = least, math.max(least, table.unpack(rooms))
  for _ = 1, excess > 0 and 30 or 0 do
    local level, less = (low + high) / 2, 0
    for _, room in ipairs(rooms) do
      less = less + math.max(0, room - level)
    end
    if less < excess then
      high = level
    else
      low = level
    end
  end
  for i, room in ipairs(rooms) do
    rooms[i] = excess > 0 and math.min(room, low) or room
  end
end

--- A text in lines that fit: broken between words, and in words that are too long.
-- @string text
-- @number room in the measure's unit
-- @tparam function measure
-- @int[opt] most how many lines at most; the last one is shortened then
-- @string[opt] ellipsis what stands for what is missing
-- @treturn table of strings, one at least
function M.wrap(text, room, measure, most, ellipsis)
  local lines, at = {}, text:find "[^ ]" or 1
  while at <= #text do
    local rest = text:sub(at)
    if measure(rest) <= room then
      lines[#lines + 1], at = rest, #text + 1
    elseif #lines + 1 == most then
      lines[#lines + 1], at = M.shorten(rest, room, measure, ellipsis), #text + 1
    else
      local stop = fitting(text, at, room, measure)
      local broken = stop
      while broken > at and text:sub(broken, broken) ~= " " do
        broken = broken - 1
      end
      stop = broken > at and broken or seam(text, at, stop)
      lines[#lines + 1] = text:sub(at, stop - 1):gsub(" +$", "")
      at = text:find("[^ ]", stop) or #text + 1
    end
  end
  return #lines > 0 and lines or {""}
end

return M
