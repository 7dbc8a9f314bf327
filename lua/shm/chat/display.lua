--- How the chat's client shows lines: harmless to the terminal, and in colours.
--
-- What others send may hold anything. No control character of theirs reaches the terminal, where
-- it could move the cursor, set the title, or type: each is shown by a name instead, as are bytes
-- that are no UTF-8, and characters that change the order of those around them.
-- @module shm.chat.display
local M = {}

local RESET <const> = "\27[0m"
local NOTICE <const>, PRIVATE <const>, OWN <const> = "\27[2m", "\27[1;35m", "\27[1m"
local NAMES <const> = {31, 32, 33, 34, 35, 36, 91, 92, 93, 94, 95, 96}

-- Characters of Unicode that are controls: C1, and those that direct text or end lines.
local CONTROLS <const> = {
  {0x80, 0x9F}, {0x61C, 0x61C}, {0x200E, 0x200F}, {0x2028, 0x202E}, {0x2066, 0x2069},
}

--- Whether a character is one that is not shown as it is.
-- @int code its number in Unicode
function M.is_control(code)
  if code < 0x80 then
    return code < 0x20 or code == 0x7F
  end
  for _, range in ipairs(CONTROLS) do
    if code >= range[1] and code <= range[2] then
      return true
    end
  end
  return false
end

--- The character that begins somewhere in UTF-8.
-- @string text bytes
-- @int at where to look
-- @treturn string its bytes, or the one byte that begins no character; nothing if the text ends
-- within one
-- @treturn int its number, absent for a byte that begins none
function M.character(text, at)
  local lead = text:byte(at)
  local size = lead < 0x80 and 1 or lead < 0xC2 and 0 or lead < 0xE0 and 2 or lead < 0xF0 and 3
    or lead < 0xF5 and 4 or 0
  local bytes = text:sub(at, at + size - 1)
  if size > 0 and utf8.len(bytes) == 1 then
    return bytes, utf8.codepoint(bytes)
  elseif #bytes < size and bytes:find "^.[\x80-\xBF]*$" then
    return nil
  end
  return text:sub(at, at)
end

local function caret(control)
  return "^" .. string.char(control:byte() ~ 64)
end

-- A run of bytes that are not ASCII.
local function legible(run)
  local shown, at = {}, 1
  while at <= #run do
    local bytes, code = M.character(run, at)
    bytes = bytes or run:sub(at, at)
    shown[#shown + 1] = not code and ("\\x%02X"):format(bytes:byte())
      or M.is_control(code) and ("<U+%04X>"):format(code) or bytes
    at = at + #bytes
  end
  return table.concat(shown)
end

--- A line as a terminal may get it. Tabs stay.
-- @string line whatever came
-- @treturn string
function M.harmless(line)
  return (line:gsub("[\0-\8\10-\31\127]", caret):gsub("[\x80-\xFF]+", legible))
end

-- The same name has the same colour, here and everywhere.
local function colour_of(name)
  local hash = 0x811C9DC5 -- FNV-1a
  for i = 1, #name do
    hash = (hash ~ name:byte(i)) * 0x01000193 & 0xFFFFFFFF
  end
  return ("\27[%dm"):format(NAMES[hash % #NAMES + 1])
end

--- A line that came from the server.
-- @string line without its end
-- @tparam boolean colours whether to have any
-- @treturn string
function M.heard(line, colours)
  line = M.harmless(line)
  if not colours then
    return line
  elseif line:find "^%*" then -- no name begins so
    return NOTICE .. line .. RESET
  end
  local name, text = line:match "^([^%s:]+)( to you: .*)$"
  if name then
    return colour_of(name) .. name .. RESET .. PRIVATE .. text .. RESET
  end
  name, text = line:match "^([^%s:]+)(:.*)$"
  return name and colour_of(name) .. name .. RESET .. text or line
end

--- A line that was typed here.
-- @string line without its end
-- @tparam boolean colours whether to have any
-- @treturn string
function M.own(line, colours)
  line = M.harmless(line)
  return colours and OWN .. line .. RESET or line
end

return M
