--- What a member of the chat can type beside lines for all the others: commands.
--
-- Each is heard by the child of who typed it, which publishes what follows from it. One that
-- finds no room in the topic returns false, has done nothing, and is heard again.
-- @module shm.chat.commands
local board = require "shm.chat.board"

local M = {}

local LONGEST_NAME = 32

local HELP <const> = "/nick NAME, /who, /join ROOM (and back: /join lobby), /msg NAME TEXT, /quit"

--- Whether a member or a room may be called so.
function M.is_name(name)
  return #name <= LONGEST_NAME and name:match "^[^%s%c:,/*]+$" ~= nil
end

--- What a name is, in words.
M.A_NAME = ("a name has 1 to %d bytes, none of them a blank or one of : , / *"):format(LONGEST_NAME)

local heard = {}

-- The name changes first: of two who want the same at once only one may say that it has it.
function heard.nick(session, rest)
  local name = rest:match "^.*%S" or ""
  if session.renamed then -- and not said yet
    name = session.renamed
  elseif not M.is_name(name) then
    return session:tell("* " .. M.A_NAME)
  elseif name == session.name then
    return session:tell(("* you are %s"):format(name))
  elseif not session.board:rename(session.name, name) then
    return session:tell(("* %s is taken"):format(name))
  end
  session.renamed = name
  if not session:announce(("* %s is now %s"):format(session.name, name)) then
    return false
  end
  session.name, session.renamed = name, nil
end

function heard.who(session)
  local list = session.board:list(session.room)
  local line = ("* %d here:"):format(#list)
  for i, other in ipairs(list) do
    local word = (i > 1 and ", " or " ") .. other
    if #line + #word > 900 then
      session:tell(line)
      line, word = "*", " " .. other
    end
    line = line .. word
  end
  session:tell(line)
end

function heard.join(session, rest)
  local name = rest:match "^.*%S" or ""
  if not M.is_name(name) then
    return session:tell("* " .. M.A_NAME)
  elseif name == session.room_name then
    return session:tell(("* this is %s"):format(name))
  end
  local room = session.board:room(name)
  if not room then
    return session:tell "* there are too many rooms"
  end
  if session.goes ~= name
    and not session:publish(session.room, board.NOTICE,
                            ("* %s goes to %s\n"):format(session.name, name)) then
    return false
  end
  session.goes = name -- that is said, however long it takes
  if not session:enter(name, room) then
    return false
  end
  session.goes = nil
end

function heard.msg(session, rest)
  local name, text = rest:match "^(%S+)%s+(.*)$"
  if not name then
    return session:tell "* /msg NAME TEXT says TEXT to NAME alone"
  end
  local number = session.board:who(name)
  if not number then
    return session:tell(("* nobody is called %s"):format(name:sub(1, LONGEST_NAME)))
  elseif not session:talk(number, board.NOTICE,
                          ("%s to you: %s\n"):format(session.name, text)) then
    return false
  end
  session:tell(("* told %s"):format(name))
end

function heard.help(session)
  session:tell(("* %s; // starts a line with /"):format(HELP))
end

--- Whether a line is a command.
function M.is_one(line)
  return line:find "^/[^/%s]" ~= nil
end

--- A line that a member has typed, and that starts with a slash. `/quit` does not come here: it
-- ends what is typed.
-- @tparam table session the member's
-- @string line what
-- @treturn boolean false when there is no room for what follows from it
function M.hear(session, line)
  local command, rest = line:match "^/([^/%s]+)%s*(.*)$"
  if heard[command] then
    return heard[command](session, rest) ~= false
  end
  session:tell(("* there is no /%s; see /help"):format(command:sub(1, LONGEST_NAME)))
  return true
end

return M
