--- A scene as text for a terminal.
--
-- Each lane has a column with its texts, if there is room; otherwise the lanes stand close
-- together, and all texts on their right.
-- @module shm.lab.draw.text
local cells = require "shm.lab.draw.cells"
local columns = require "shm.lab.draw.columns"
local letters = require "shm.lab.draw.letters"
local presence = require "shm.lab.draw.presence"
local signs = require "shm.lab.draw.signs"

local LINES <const> = 4 -- of a text

local Text = {}
Text.__index = Text

-- A text that the terminal has the characters for.
function Text:said(text)
  if self.ascii then
    text = text:gsub("µ", "u"):gsub("…", "...")
    return (text:gsub(utf8.charpattern, function(character)
      return #character > 1 and ("?"):rep(letters.cells(character)) or nil
    end))
  end
  return text
end

function Text:wrap(text, room, most)
  return letters.wrap(self:said(text), room, letters.cells, most, self.sign.ellipsis)
end

-- A role's name where there is little room.
function Text:short(lane)
  return letters.shorten(self.scene.lanes[lane].name, columns.LEAST, letters.cells,
                         self.sign.ellipsis)
end

-- A row's text, and whose it is where texts do not stand beside their lanes.
function Text:words(row)
  return self.beside and row.text or self:short(row.lane) .. ": " .. row.text
end

-- A line with what goes down through it.
function Text:down(at)
  local line, sign = cells(), self.sign
  for lane, place in ipairs(self.lanes) do
    if self.present("life", lane, at) > 0 then
      line:put(place.x, self.present("both", lane, at) > 0 and sign.several
        or self.present("wait", lane, at) > 0 and sign.wait
        or self.present("inside", lane, at) > 0 and sign.inside
        or sign.life)
    end
    if self.present("store", lane, at) > 0 then
      line:put(place.x - 1, sign.kept)
    end
  end
  if self.memory then
    line:put(self.memory, sign.memory)
  end
  return line
end

function Text:trunk(line, from, to, character)
  local side = to > from and 1 or -1
  for x = from + side, to - side, side do
    local there = line:at(x)
    if there == " " then
      line:put(x, character)
    elseif there == self.sign.life and character == self.sign.line then
      line:put(x, self.sign.cross)
    end
  end
  line:put(to - side, side > 0 and self.sign.right or self.sign.left)
end

function Text:arrows(line, row)
  local sign = self.sign
  for _, arrow in ipairs(row.arrows) do
    local from = self.lanes[arrow.from].x
    if arrow.kind == "flush" then
      self:trunk(line, from, self.memory, sign.dashed)
    elseif arrow.to ~= "memory" then
      local to = self.lanes[arrow.to].x
      local dotted = arrow.kind == "signal" or arrow.kind == "lost"
      self:trunk(line, from, to, dotted and sign.dotted or sign.line)
      if arrow.kind == "lost" then
        line:put(to > from and to - 1 or to + 1, sign.wrong)
      elseif arrow.kind == "fork" then
        line:put(to, self.beside and letters.shorten(self:said(self.scene.lanes[arrow.to].name),
          self.lanes[arrow.to].room + 2, letters.cells, sign.ellipsis) or sign.born)
      end
    end
  end
end

-- What the store buffer of a lane holds shows on its left.
function Text:buffer(line, row, i)
  local x, sign = self.lanes[row.lane].x - 1, self.sign
  local before = self.present("store", row.lane, i - 0.5)
  local after = self.present("store", row.lane, i + 0.5)
  if row.glyph == "store" then
    line:put(x, before == 0 and sign.first or sign.more)
  elseif row.glyph == "flush" and before > 0 then
    line:put(x, after == 0 and sign.last or sign.more)
  end
end

local ROW = {}

function ROW.step(self, row, i)
  local at, lines = self.lanes[row.lane], self:wrap(self:words(row), self.lanes[row.lane].room,
                                                    LINES)
  local own = 1 -- the line with the glyph: below the text, where an arrow leaves to the right
  for _, arrow in ipairs(self.beside and row.arrows or {}) do
    if arrow.kind == "flush" or arrow.to ~= "memory" and arrow.to > arrow.from then
      own = #lines + 1
    end
  end
  for n = 1, math.max(own, #lines) do
    local line = self:down(n <= own and i - 0.5 or i + 0.5)
    if n == own then
      line:put(at.x, self.sign[row.glyph])
      self:buffer(line, row, i)
      self:arrows(line, row)
      self:side(line, row, i)
    end
    line:put(at.text, lines[n] or "")
    self:add(line)
  end
end

function Text:side(line, row, i)
  if self.scene.violated == i then
    line:put(1, self.sign.here)
  end
  if row.index then
    line:put(self.numbers - #tostring(row.index) + 1, tostring(row.index))
  end
  if row.time or row.seconds then
    local said = self:said((row.time and "" or "+ ") .. self.scene.time(row.time or row.seconds))
    line:put(self.numbers + self.times - letters.cells(said) + 1, said)
  end
end

function ROW.wait(self, row, i)
  local at = self.lanes[row.lane]
  for _, text in ipairs(self:wrap(self:words(row), at.room, 2)) do
    local line = self:down(i + 0.5)
    line:put(at.text, text)
    self:add(line)
  end
end

function ROW.gap(self, row, i)
  local line = self:down(i)
  for _, place in ipairs(self.lanes) do
    if line:at(place.x) ~= " " then
      line:put(place.x, self.sign.gap)
    end
  end
  self:side(line, row, i)
  self:add(line)
end

function ROW.skip(self, row)
  local line = cells()
  line:put(self.lanes[1].x, self:said(("… %d step%s %s"):format(row.count,
    row.count == 1 and "" or "s", row.where)))
  self:add(line)
end

function ROW.mark(self, row)
  local names = {}
  for _, lane in ipairs(row.lanes) do
    names[#names + 1] = self.scene.lanes[lane] and self.scene.lanes[lane].name
  end
  local said = ("%s %s%s"):format(self.sign.wrong, row.text,
    #names > 0 and ": " .. table.concat(names, ", ") or "")
  said = letters.shorten(self:said(said), self.width - 8, letters.cells, self.sign.ellipsis)
  local heavy = self.sign.heavy
  self.lines[#self.lines + 1] = ("%s %s %s"):format(heavy:rep(3), said,
    heavy:rep(self.width - 5 - letters.cells(said)))
end

function ROW.rest(self, row, i)
  local texts, most = {}, 1
  for lane in ipairs(self.lanes) do
    if row.waiting[lane] then
      local prefix = self.beside and "" or self:short(lane) .. " "
      local lines = self:wrap(prefix .. row.waiting[lane], self.lanes[lane].room, LINES)
      -- Where texts stand on the right of all lanes, one comes after the other.
      local first = self.beside and 0 or #texts
      for n, text in ipairs(lines) do
        texts[first + n] = texts[first + n] or {}
        texts[first + n][lane] = text
      end
      most = math.max(most, first + #lines)
    end
  end
  for n = 1, most do
    local line = self:down(i + 0.5)
    for lane, text in pairs(texts[n]) do
      line:put(self.lanes[lane].text, text)
    end
    if n == 1 then
      self:side(line, row, i)
    end
    self:add(line)
  end
end

function Text:add(line)
  self.lines[#self.lines + 1] = line:line()
end

function Text:paragraph(text, first, room)
  for n, line in ipairs(self:wrap(text, room - letters.cells(first))) do
    self.lines[#self.lines + 1] = (n == 1 and first or (" "):rep(letters.cells(first))) .. line
  end
end

function Text:names()
  local line = cells()
  for lane, head in ipairs(self.scene.lanes) do
    local at = self.lanes[lane]
    if not (head.born and head.born > 0) then
      line:put(at.x, letters.shorten(self:said(head.name), self.beside and at.room + 2
        or self.width - at.x, letters.cells, self.sign.ellipsis))
    end
    if not self.beside and lane < #self.lanes then -- steps, of which each shows a name
      self:add(line)
      line = cells()
      for before = 1, lane do
        if self.present("life", before, 0.5) > 0 then
          line:put(self.lanes[before].x, self.sign.life)
        end
      end
    end
  end
  if self.memory then
    line:put(self.beside and self.memory - 3 or self.memory, "memory")
  end
  self:add(line)
end

--- Draws.
-- @tparam table scene
-- @int width in columns
-- @bool[opt] ascii without other characters
-- @treturn string lines
return function(scene, width, ascii)
  local self = setmetatable({scene = scene, width = width, ascii = ascii, lines = {},
                             sign = ascii and signs.ascii or signs.unicode,
                             present = presence(scene)}, Text)
  local memory = false -- only what comes late is drawn to it
  for _, arrow in ipairs(scene.arrows) do
    memory = memory or arrow.kind == "flush"
  end
  for name, value in pairs(columns.plan(scene, width, memory,
                                        function(words) return self:said(words) end)) do
    self[name] = value
  end
  self:paragraph(scene.title, "", width)
  if scene.verdict then
    local message = scene.verdict.message
    self:paragraph(message ~= "" and message or scene.verdict.name, self.sign.wrong .. " ", width)
  end
  self.lines[#self.lines + 1] = ""
  self:names()
  for i, row in ipairs(scene.rows) do
    ROW[row.kind](self, row, i)
  end
  if scene.schedule then
    self.lines[#self.lines + 1] = ""
    self:paragraph(letters.clean(scene.schedule), "schedule: ", width)
  end
  return table.concat(self.lines, "\n") .. "\n"
end
