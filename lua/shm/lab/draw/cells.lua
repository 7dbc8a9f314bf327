--- One line of a terminal: a row of cells, into which characters are put.
-- @module shm.lab.draw.cells
local letters = require "shm.lab.draw.letters"

local Cells = {}
Cells.__index = Cells

--- Puts text from a column on; what is wide takes two cells, what has no width none.
-- @int column from 1
-- @string text
function Cells:put(column, text)
  for _, code in utf8.codes(text) do
    local character = utf8.char(code)
    local width = letters.cells(character)
    if width == 0 then
      local before = column - 1
      while before > 1 and self[before] == "" do
        before = before - 1
      end
      if before > 0 then
        self[before] = (self[before] or " ") .. character
      end
    else
      self:reach(column)
      self[column] = character
      if width == 2 then
        self[column + 1] = ""
      end
      column = column + width
    end
  end
end

--- There are cells up to a column.
-- @int column
function Cells:reach(column)
  for i = #self + 1, column do
    self[i] = " "
  end
end

--- What is in a cell; a space where there is none.
-- @int column
-- @treturn string
function Cells:at(column)
  return self[column] or " "
end

--- The line, without spaces at its end.
-- @treturn string
function Cells:line()
  return (table.concat(self):gsub(" +$", ""))
end

--- An empty line.
-- @treturn table
return function()
  return setmetatable({}, Cells)
end
