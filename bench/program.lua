-- Another program that does a work: it reads lines that say what, and answers each by the
-- nanoseconds of one time. It ends when its standard input does, and so with this process.
local place = require "bench.place"

local M = {}
M.__index = M

local serial = 0

--- Whether there is such a command.
function M.there(command)
  return os.execute(("command -v %s >/dev/null 2>&1"):format(command)) == true
end

--- Starts it; nil and why, unless it says "ready" first.
function M.start(command)
  serial = serial + 1
  local answers = ("%s/answers-%d"):format(place.folder, serial)
  assert(os.execute("mkfifo " .. answers))
  local self = setmetatable({}, M)
  self.input = assert(io.popen(("exec %s >%s 2>>%s/errors"):format(command, answers, place.folder),
                               "w"))
  self.input:setvbuf "line"
  self.output = assert(io.open(answers))
  os.remove(answers)
  local first = self.output:read "l"
  if first ~= "ready" then
    self:stop()
    return nil, first or "it does not start"
  end
  return self
end

--- Begins a work; its answer has to be read before the next.
function M:tell(...)
  self.input:write(table.concat({...}, " "), "\n")
end

--- Nanoseconds; a program that can not do this work says why instead.
function M:answer()
  local line = self.output:read "l"
  local ns = line and tonumber(line)
  if not ns then
    return nil, line or "it has ended"
  end
  return ns
end

--- Both.
function M:ask(...)
  self:tell(...)
  return self:answer()
end

function M:stop()
  pcall(self.input.write, self.input, "quit\n")
  self.input:close() -- and waits for its end
  self.output:close()
end

--- What is compared with, where a program does it: begun when it is first asked for something,
-- and once. begin gives the program, or nil and why it can not be had.
function M.peer(owner, begin)
  local running, why
  local function start()
    if not running and not why then
      running, why = begin()
    end
    return running, why
  end
  local peer = {}

  --- An entry of that name, for a command that the number of times is added to.
  function peer.entry(name, command)
    return {
      name = owner .. name, kind = "peer", start = start,
      run = function(n) return running:ask(command, n) end,
    }
  end

  --- Tells it something, and reads its answer; nil and why where it is not there.
  function peer.tell(...)
    local there, message = start()
    if there then
      there:tell(...)
    end
    return there, message
  end

  function peer.answer()
    local there, message = start()
    if there then
      return there:answer()
    end
    return nil, message
  end

  function peer.ask(...)
    peer.tell(...)
    return peer.answer()
  end

  return peer
end

return M
