--- What was said in a room of the chat before somebody came to it: its last lines, gathered from
-- the topic, which keeps what was said in all rooms until newer lines need the place.
-- @module shm.chat.history
local board = require "shm.chat.board"

local M = {}

--- The last lines that were said in a room before a mark of a client's join.
-- @tparam table client `board`, `number`, and `history`, how many lines it is to be shown
-- @int room the room's number
-- @int mark the join's
-- @treturn string lines with their ends
function M.of(client, room, mark)
  local said, count, most = {}, 0, client.history
  if most == 0 then
    return ""
  end
  local reader <close> = client.board.said:subscribe {from = "oldest"}
  while reader do
    local message = reader:try()
    if not message then
      break
    end
    local from, to, what, begin = board.parse(message)
    if from == client.number and what == mark then
      break
    elseif to == room and what == board.TALK then
      said[#said + 1] = message:sub(begin)
    end
  end
  local from = #said + 1
  while from > 1 and count < most do
    from = from - 1
    count = count + select(2, said[from]:gsub("\n", ""))
  end
  local text = table.concat(said, "", from)
  for _ = most + 1, count do
    text = text:gsub("^[^\n]*\n", "", 1)
  end
  return text
end

return M
