--- What a member of the chat can type: commands, and lines for all the others.
-- @module shm.chat.commands
local M = {}

local LONGEST_NAME = 32

--- How a newcomer is told what there is.
M.HELP = "/nick NAME, /who, /quit"

local function rename(hub, member, name)
  if #name > LONGEST_NAME or not name:match "^[^%s%c:,/*]+$" then
    hub:say(("* a name has 1 to %d bytes, none of them a blank or one of : , / *")
             :format(LONGEST_NAME), member)
  elseif hub.names[name] == member then
    hub:say(("* you are %s"):format(name), member)
  elseif hub.names[name] then
    hub:say(("* %s is taken"):format(name), member)
  else
    hub:say(("* %s is now %s"):format(member.name, name))
    hub.log(("%s is now %s"):format(member.name, name))
    hub.names[member.name] = nil
    hub.names[name] = member
    member.name = name
  end
end

local function list_members(hub, member)
  local line = ("* %d here:"):format(#hub.members)
  for i, other in ipairs(hub.members) do
    local word = (i > 1 and ", " or " ") .. other.name
    if #line + #word > 900 then
      hub:say(line, member)
      line, word = "*", " " .. other.name
    end
    line = line .. word
  end
  hub:say(line, member)
end

--- A line that a member has typed. `/quit` does not come here: its child leaves by itself.
-- @tparam table hub says what follows from it
-- @tparam table member who typed it
-- @string line what
function M.hear(hub, member, line)
  local command, rest = line:match "^/([^/%s]+)%s*(.*)$"
  if command == "nick" then
    rename(hub, member, rest:match "^.*%S" or "")
  elseif command == "who" then
    list_members(hub, member)
  elseif command then
    hub:say(("* there is no /%s; there are %s, and // for a line that starts with /")
             :format(command:sub(1, LONGEST_NAME), M.HELP), member)
  else
    hub:say(member.name .. ": " .. line:gsub("^//", "/"), nil, member)
  end
end

return M
