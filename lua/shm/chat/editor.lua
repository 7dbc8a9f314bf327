--- A line editor as a state machine: what the terminal sends goes in, lines come out, and what to
-- draw. It reads and writes nothing itself.
--
-- The cursor moves by characters of UTF-8. Each is taken to be one column wide: of a line with
-- wide ones less is in view than could be, but the cursor is drawn where it is. The line being
-- typed takes one row; one that is longer scrolls sideways.
--
-- Bytes may come in any pieces: what ends within a character or a key waits for its rest. What
-- the terminal marks as pasted is text, whatever keys it looks like; its ends of lines are Enter.
-- @module shm.chat.editor
local display = require "shm.chat.display"

local M = {}

local MOST_KEPT = 500    -- lines in the history
local LONGEST_KEY = 32   -- bytes of an escape sequence
local PASTED = "\27[201~" -- ends what is pasted

-- By the byte of a control key, or by the end of an escape sequence.
local KEYS = {
  ["\1"] = "home", ["\2"] = "left", ["\3"] = "interrupt", ["\4"] = "delete_or_end",
  ["\5"] = "to_end", ["\6"] = "right", ["\8"] = "backspace", ["\9"] = "tab", ["\10"] = "enter",
  ["\11"] = "kill_rest", ["\12"] = "clear", ["\13"] = "enter", ["\14"] = "down", ["\16"] = "up",
  ["\21"] = "kill_before", ["\23"] = "kill_word", ["\127"] = "backspace",
  A = "up", B = "down", C = "right", D = "left", H = "home", F = "to_end",
  ["1~"] = "home", ["7~"] = "home", ["4~"] = "to_end", ["8~"] = "to_end", ["3~"] = "delete",
  ["200~"] = "paste",
}

local Editor = {}
Editor.__index = Editor

--- An empty line.
-- @int width the terminal's columns
-- @string prompt what stands before the line, ASCII
function M.new(width, prompt)
  local editor = setmetatable({prompt = prompt, rest = "", history = {}}, Editor)
  editor:resize(width)
  editor:set {}
  editor.shown = 1 -- the place in the history; behind its end is what is being typed
  return editor
end

--- The terminal has another width.
function Editor:resize(width)
  self.room = math.max(width - #self.prompt - 1, 1) -- one column for the cursor behind the end
end

-- Has these characters instead, and the cursor behind them.
function Editor:set(characters)
  self.characters, self.cursor, self.left = characters, #characters, 0
end

--- What has been typed.
function Editor:line()
  return table.concat(self.characters)
end

function Editor:insert(bytes)
  self.cursor = self.cursor + 1
  table.insert(self.characters, self.cursor, bytes)
end

-- Removes the characters from one place up to another, and has the cursor there.
function Editor:remove(from, to)
  local characters = self.characters
  table.move(characters, to + 1, #characters + to - from + 1, from)
  self.cursor = from - 1
end

-- Goes to a line of the history. What was being typed is kept behind it.
function Editor:show(place)
  local history = self.history
  if place < 1 or place > #history + 1 or place == self.shown then
    return
  elseif self.shown > #history then
    self.draft = self.characters
  end
  self.shown = place
  self:set(table.move(history[place] or self.draft, 1, #(history[place] or self.draft), 1, {}))
end

-- The line is done with: what comes next is another.
function Editor:enter()
  local line, history = self:line(), self.history
  local last = history[#history]
  if line ~= "" and not (last and table.concat(last) == line) then
    history[#history + 1] = self.characters
    if #history > MOST_KEPT then
      table.remove(history, 1)
    end
  end
  self.shown = #history + 1
  self:set {}
  return line
end

local press = {}

function press.left(editor) editor.cursor = math.max(editor.cursor - 1, 0) end
function press.right(editor)
  editor.cursor = math.min(editor.cursor + 1, #editor.characters)
end
function press.home(editor) editor.cursor = 0 end
function press.to_end(editor) editor.cursor = #editor.characters end
function press.up(editor) editor:show(editor.shown - 1) end
function press.down(editor) editor:show(editor.shown + 1) end

function press.backspace(editor)
  if editor.cursor > 0 then
    editor:remove(editor.cursor, editor.cursor)
  end
end

function press.delete(editor)
  if editor.cursor < #editor.characters then
    editor:remove(editor.cursor + 1, editor.cursor + 1)
  end
end

function press.kill_rest(editor) editor:remove(editor.cursor + 1, #editor.characters) end
function press.kill_before(editor) editor:remove(1, editor.cursor) end

function press.kill_word(editor)
  local characters, from = editor.characters, editor.cursor
  while from > 0 and characters[from]:find "^%s" do
    from = from - 1
  end
  while from > 0 and not characters[from]:find "^%s" do
    from = from - 1
  end
  editor:remove(from + 1, editor.cursor)
end

function press.paste(editor) editor.pasting = true end
function press.enter(editor) return "line", editor:enter() end
function press.clear() return "clear" end
function press.interrupt() return "interrupt" end

function press.delete_or_end(editor)
  if #editor.characters == 0 then
    return "end"
  end
  press.delete(editor)
end

-- The key whose escape sequence begins somewhere, or nil, and where what is behind it begins;
-- false if that has not come yet.
local function escape(data, at)
  local second = data:sub(at + 1, at + 1)
  if second == "" then
    return false
  elseif second == "[" then
    local number, final, behind = data:match("^([0-?]*)[ -/]*([@-~])()", at + 2)
    if final and behind - at <= LONGEST_KEY then
      return KEYS[final == "~" and number .. "~" or final], behind
    end
    local begun = #data - at < LONGEST_KEY and data:find("^[0-?]*[ -/]*$", at + 2)
    return not begun and nil, at + 2
  elseif second == "O" then
    local final = data:sub(at + 2, at + 2)
    return final ~= "" and KEYS[final:match "[A-H]"], at + 3
  end
  return nil, second:find "^[ -~]" and at + 2 or at + 1 -- Alt and a key: nothing
end

-- What is at a place in what was typed: text or the name of a key or neither, and where what is
-- behind it begins; false if the rest of it has not come yet.
function Editor:next(data, at)
  local byte = data:sub(at, at)
  if byte == "\27" and self.pasting then
    local begun = data:sub(at, at + #PASTED - 1)
    if begun == PASTED then
      self.pasting = false
      return nil, nil, at + #PASTED
    end
    return PASTED:sub(1, #begun) ~= begun and nil, nil, at + 1
  elseif byte == "\27" then
    local key, behind = escape(data, at)
    return key ~= false and nil, key, behind
  elseif byte:find "%c" then
    local key = KEYS[byte]
    if key == "tab" then
      return "\t", nil, at + 1
    end
    local counts = not self.pasting or key == "enter"
    if byte == "\n" and self.returned then -- of CR LF
      counts = false
    end
    return nil, counts and key or nil, at + 1
  end
  local bytes, code = display.character(data, at)
  if not bytes then
    return false
  end
  return not (code and code >= 0x80 and code < 0xA0) and bytes or nil, nil, at + #bytes
end

--- Takes what the terminal has sent.
-- @string bytes any of it
-- @treturn table what comes of it, in order: pairs of `"line"` and its text, `"clear"` (Ctrl-L),
-- `"end"` (Ctrl-D on an empty line), `"interrupt"` (Ctrl-C)
function Editor:feed(bytes)
  local data, at, events = self.rest .. bytes, 1, {}
  while at <= #data do
    local text, key, behind = self:next(data, at)
    if text == false then
      break
    elseif text then
      self:insert(text)
    elseif key then
      local event, line = press[key](self)
      if event then
        events[#events + 1] = {event, line}
      end
    end
    self.returned = data:byte(at) == 13
    at = behind
  end
  self.rest = data:sub(at)
  return events
end

-- A character as it stands in its column.
local function cell(bytes)
  local whole, code = display.character(bytes, 1)
  return bytes == "\t" and " " or (not (whole and code) or display.is_control(code)) and "?"
    or bytes
end

--- What draws the line, wherever in its row the cursor is, and leaves it where it belongs. What
-- is wider than it counts does not run over into the next row.
-- @treturn string
function Editor:draw()
  local characters, cursor, room = self.characters, self.cursor, self.room
  self.left = math.max(math.min(self.left, cursor, #characters - room), cursor - room, 0)
  local before, after = {}, {}
  for i = self.left + 1, math.min(self.left + room, #characters) do
    local part = i <= cursor and before or after
    part[#part + 1] = cell(characters[i])
  end
  local shown = "\r" .. self.prompt .. table.concat(before)
  local rest = table.concat(after) .. "\27[K"
  return "\27[?7l" .. shown .. rest .. (#after > 0 and shown or "") .. "\27[?7h"
end

--- What removes the line from the terminal.
function Editor.erase()
  return "\r\27[K"
end

return M
