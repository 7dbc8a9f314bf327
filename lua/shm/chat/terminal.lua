--- The terminal of the chat's client: has each key sent at once, and is as before afterwards.
--
-- It is the terminal of standard input, and changed by stty. Ctrl-C and Ctrl-\ stay signals, so
-- that they end a client that does nothing; Ctrl-Z, Ctrl-S and Ctrl-Q are keys without effect.
-- Closing it restores what was. Only kill -9 leaves it changed: `reset` helps.
-- @module shm.chat.terminal
local process = require "shm.process"

local M = {}

local RAW <const> = "-icanon -echo -ixon -icrnl -iexten min 1 time 0 susp undef"
local PASTES_MARKED <const>, PASTES_PLAIN <const> = "\27[?2004h", "\27[?2004l"
local ERASE <const> = "\r\27[K" -- what is in the cursor's row
local WIDTH <const> = 80 -- of a terminal that does not know

local Terminal = {}
Terminal.__index = Terminal

local function ask(command)
  local pipe <close> = assert(io.popen(command .. " 2>/dev/null"))
  return pipe:read "a"
end

--- Whether standard output is a terminal, and one that knows more than to print.
function M.is_shown()
  return os.getenv "TERM" ~= "dumb" and os.execute "test -t 1" == true
end

--- The terminal of standard input, raw.
-- @treturn terminal or nothing, if it is none
function M.open()
  local saved = ask "stty -g":match "^[%x:]+"
  if not saved then
    return nil
  end
  process.signal("TTOU", "ignore") -- or stty would stop, and we with it, in the background
  local terminal = setmetatable({saved = saved}, Terminal)
  terminal:raw()
  return terminal
end

--- Makes it raw, also again, after somebody else changed it; and has it mark what is pasted.
function Terminal.raw()
  os.execute("stty " .. RAW .. " 2>/dev/null")
  io.stdout:write(PASTES_MARKED):flush()
end

--- How many columns it has now.
function Terminal.width()
  local columns = math.tointeger(tonumber(ask "stty size":match "%d+%s+(%d+)"))
  return columns and columns > 0 and columns or WIDTH
end

--- Makes it what it was, with the cursor in an empty row.
function Terminal:close()
  if self.saved then
    io.stdout:write(ERASE, PASTES_PLAIN):flush()
    os.execute("stty " .. self.saved .. " 2>/dev/null")
    self.saved = nil
  end
end

Terminal.__close = Terminal.close
Terminal.__gc = Terminal.close

return M
