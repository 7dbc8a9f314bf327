--- What a rule may look at: the names that are in its code, in that of the functions that it calls
-- by its variables, and in these. A rule that looks at a word only while another has some value
-- is known to look at it before it has.
--
-- The names are what string.dump shows of a function's constants: a tag, a length, and the text
-- (Lua 5.4). What only looks like one is the name of nothing, or is watched in vain.
-- @module shm.lab.run.mentions
local M = {}

local LONGEST <const> = 112 -- bytes of a name

local function constants_of(f, names)
  local code = string.dump(f, true)
  for at in code:gmatch "()[\x04\x14][\x82-\xff]" do
    local n = (code:byte(at + 1) & 0x7f) - 1
    if n <= LONGEST and at + 1 + n <= #code then
      names[code:sub(at + 2, at + 1 + n)] = true
    end
  end
end

local function collect(f, names, seen)
  if seen[f] or debug.getinfo(f, "S").what == "C" then
    return
  end
  seen[f] = true
  constants_of(f, names)
  for i = 1, 255 do
    local name, value = debug.getupvalue(f, i)
    if not name then
      return
    elseif type(value) == "function" then
      collect(value, names, seen)
    elseif type(value) == "string" then
      names[value] = true
    end
  end
end

--- The names that a function has in it.
-- @tparam function f
-- @treturn {[string]=true,...}
function M.of(f)
  local names = {}
  collect(f, names, {})
  return names
end

return M
