-- Terminals for the specs: a screen, which shows what is sent to it as a terminal does, and
-- programs in a pseudo-terminal, which is python3's.
local process = require "shm.process"
local socket = require "cqueues.socket"
local support = require "spec.support"

local M = {}

M.TIMEOUT = support.LONG

local Screen = {}
Screen.__index = Screen

--- An empty screen. It knows what an editor of lines may use; anything else throws.
function M.screen(width)
  return setmetatable({width = width, rows = {{}}, at = 1, column = 0, wraps = true, rest = "",
                       modes = {}, colours = 0}, Screen)
end

local does = {}

function does.K(screen, parameter)
  assert(parameter == "", parameter)
  local row = screen.rows[screen.at]
  for i = #row, screen.column + 1, -1 do
    row[i] = nil
  end
end

function does.m(screen, parameter)
  screen.colours = screen.colours + (parameter == "0" and 0 or 1)
end

function does.H(screen, parameter)
  assert(parameter == "", parameter)
  screen.at, screen.column = 1, 0
end

function does.J(screen, parameter)
  assert(parameter == "2", parameter)
  screen.rows, screen.at = {{}}, 1
end

function does.h(screen, parameter) screen.modes[parameter] = true end
function does.l(screen, parameter) screen.modes[parameter] = false end

function Screen:down()
  self.at = self.at + 1
  self.rows[self.at] = self.rows[self.at] or {}
end

function Screen:put(character)
  if self.column == self.width then
    if self.modes["?7"] == false then
      self.column = self.column - 1
    else
      self:down()
      self.column = 0
    end
  end
  local row = self.rows[self.at]
  for i = #row + 1, self.column do
    row[i] = " "
  end
  row[self.column + 1] = character
  self.column = self.column + 1
end

--- Shows bytes. What is not whole yet waits for its rest.
function Screen:show(bytes)
  local data, at = self.rest .. bytes, 1
  while at <= #data do
    local byte, behind = data:sub(at, at), at + 1
    if byte == "\r" then
      self.column = 0
    elseif byte == "\n" then
      self:down()
    elseif byte == "\27" then
      local parameter, final, after = data:match("^%[([0-?]*)([@-~])()", at + 1)
      if not final then
        assert(data:find("^%[?[0-?]*$", at + 1), "no sequence of an editor's: "
               .. ("%q"):format(data:sub(at)))
        break
      end
      does[final](self, parameter)
      behind = after
    else
      local size = byte < "\x80" and 1 or byte < "\xE0" and 2 or byte < "\xF0" and 3 or 4
      if at + size - 1 > #data then
        break
      end
      local character = data:sub(at, at + size - 1)
      assert(not byte:find "%c" and utf8.len(character) == 1, ("%q"):format(character))
      self:put(character)
      behind = at + size
    end
    at = behind
  end
  self.rest = data:sub(at)
end

--- The row of the cursor, or another.
function Screen:row(n)
  return table.concat(self.rows[n or self.at] or {})
end

function Screen:text()
  local rows = {}
  for i, row in ipairs(self.rows) do
    rows[i] = table.concat(row)
  end
  return table.concat(rows, "\n")
end

local Terminal = {}
Terminal.__index = Terminal

--- Runs a program in a terminal of its own, one that can show colours.
-- @string command behind env
-- @int[opt=60] width
function M.run(command, width)
  width = width or 60
  local listener = socket.listen("127.0.0.1", 0)
  assert(listener:listen())
  local _, _, port = listener:localname()
  local env = "exec env -u NO_COLOR TERM=xterm " .. command
  local pipe = assert(io.popen(("python3 spec/terminal.py %d %d sh -c '%s'"):format(
    port, width, env)))
  local connection = assert(listener:accept(M.TIMEOUT))
  listener:close()
  connection:onerror(function(_, _, why) return why end)
  connection:setmode("bn", "bn")
  local pid, path = pipe:read("n", "l")
  return setmetatable({
    connection = connection, pipe = pipe, pid = pid, path = path:match "%S+", seen = "",
    screen = M.screen(width),
  }, Terminal)
end

--- Types keys.
function Terminal:type(bytes)
  assert(self.connection:write(bytes))
  assert(self.connection:flush())
end

-- Shows what comes next; nothing at the end.
function Terminal:more(deadline)
  if not self.pipe then
    return nil
  end
  self.connection:settimeout(math.max(deadline - process.monotonic(), 0))
  local bytes = self.connection:read(-65536)
  self.connection:clearerr()
  if bytes then
    self.seen = self.seen .. bytes
    self.screen:show(bytes)
  end
  return bytes
end

--- Waits until the screen is as it should be.
-- @tparam function as asked with the screen
function Terminal:shows(as)
  local deadline = process.monotonic() + M.TIMEOUT
  while not as(self.screen) do
    if not self:more(deadline) then
      error("the screen is:\n" .. self.screen:text(), 2)
    end
  end
end

--- Waits until some row matches.
function Terminal:shows_row(pattern)
  self:shows(function(screen)
    for i = 1, #screen.rows do
      if screen:row(i):find(pattern) then
        return true
      end
    end
  end)
end

--- Waits until the cursor's row is this, and the cursor there.
function Terminal:shows_line(row, column)
  self:shows(function(screen)
    return screen:row() == row and (not column or screen.column == column)
  end)
end

--- Waits for the program's end.
-- @treturn int its status, or a signal's number, negative
-- @treturn string "as before", or else what became of the settings
function Terminal:wait()
  local deadline = process.monotonic() + M.TIMEOUT
  while self:more(deadline) do end
  self.connection:close() -- one that goes on is killed for that
  local status, words = self.pipe:read("n", "a")
  self.pipe:close()
  self.pipe = nil
  return status, words:match "^%s*(.-)%s*$"
end

--- Ends whatever is left.
function Terminal:close()
  if self.pipe then
    self.connection:close() -- which ends what runs there, and this tells how
    self.pipe:read "a"
    self.pipe:close()
    self.pipe = nil
  end
end

return M
