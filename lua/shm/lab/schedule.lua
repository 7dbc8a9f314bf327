--- A schedule as a string: which slot made each step, and which way it chose, with what has to
-- be known of the model to take it again.
--
--   "tso crashes=1: 1*3 2~ 2=3 1!"   memory; then steps: role 1 three times, the flush of role
--                                    2's buffer, role 2 choosing its third way, role 1's death
--                                    (the first !) or what the kernel does then (the second)
-- @module shm.lab.schedule
local M = {}

local MARKS <const> = {[0] = "", "~", "!"}
local PARTS <const> = {[""] = 0, ["~"] = 1, ["!"] = 2}

--- Writes one.
-- @tparam table settings memory, crashes
-- @tparam {table,...} path slot and choice of each step
-- @treturn string
function M.write(settings, path)
  local words, i = {}, 1
  while i <= #path do
    local step = path[i]
    local role, part = (step.slot + 2) // 3, (step.slot + 2) % 3
    local word = role .. MARKS[part]
    local n = 1
    if step.choice > 1 then
      word = word .. "=" .. step.choice
    else
      while path[i + n] and path[i + n].slot == step.slot and path[i + n].choice == 1 do
        n = n + 1
      end
      word = n > 1 and word .. "*" .. n or word
    end
    words[#words + 1] = word
    i = i + n
  end
  local crashes = settings.crashes > 0 and " crashes=" .. settings.crashes or ""
  return settings.memory .. crashes .. ": " .. table.concat(words, " ")
end

--- Reads one.
-- @string text
-- @treturn[1] table settings memory, crashes
-- @treturn[1] {table,...} path slot and choice of each step
-- @treturn[2] nil
-- @treturn[2] string what is wrong with it
function M.read(text)
  local memory, more, words = text:match "^(%l+)([^:]*):(.*)$"
  local crashes = more == "" and 0 or math.tointeger(tonumber(
    more and more:match "^ crashes=(%d+)$"))
  if memory ~= "sc" and memory ~= "tso" or not crashes then
    return nil, "it does not begin as 'sc:', 'tso:' or 'tso crashes=1:'"
  end
  local path = {}
  for word in words:gmatch "%S+" do
    local role, mark, how, n = word:match "^(%d+)([~!]?)([*=]?)(%d*)$"
    if not role or (how == "") ~= (n == "") or #role > 3 or #n > 9 then
      return nil, ("'%s' is no step"):format(word)
    end
    local slot, number = 3 * tonumber(role) - 2 + PARTS[mark], tonumber(n) or 1
    for _ = 1, how == "*" and number or 1 do
      path[#path + 1] = {slot = slot, choice = how == "=" and number or 1}
    end
  end
  return {memory = memory, crashes = crashes}, path
end

return M
