--- What a client of the chat types, as lines.
-- @module shm.chat.typed
local LONGEST <const> = require "shm.chat.board".LONGEST

local M = {}

local Typed = {}
Typed.__index = Typed

--- Nothing typed yet. `quit` is true once `/quit` was, behind which nothing counts.
-- @tparam function long called for each line that is too long, and is left out
function M.new(long)
  return setmetatable({rest = "", long = long, skipping = false, quit = false}, Typed)
end

--- Splits what came into lines, without their ends: LF or CRLF. Of a line that is too long the
-- rest is skipped.
-- @string data what came
-- @tparam table lines where to put them
function Typed:split(data, lines)
  local from = 1
  while true do
    local at = data:find("\n", from, true)
    if not at then
      break
    end
    local line = data:sub(from, at - 1)
    if self.rest ~= "" then
      line, self.rest = self.rest .. line, ""
    end
    if line:byte(-1) == 13 then
      line = line:sub(1, -2)
    end
    if self.skipping or #line > LONGEST then
      self.long()
    elseif line == "/quit" then
      self.quit = true
      return
    else
      lines[#lines + 1] = line
    end
    self.skipping = false
    from = at + 1
  end
  self.rest = self.rest .. data:sub(from)
  if #self.rest > LONGEST + 1 then -- one more for the CR of a line that is just short enough
    self.skipping, self.rest = true, ""
  end
end

return M
