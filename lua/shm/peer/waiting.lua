--- Waiting for the other side of a link: its signals, its life, and our own end.
-- @module shm.peer.waiting
local process = require "shm.process"
local segment = require "shm.peer.segment"

local M = {}

local LAST_WORDS = {"TERM", "INT", "HUP"}
local SIGNAL = {server = "USR1", client = "USR2"} -- which side sends which
local SLICE = 0.2 -- seconds between looks whether the other side lives
local EINTR, EPIPE, ECONNRESET, ETIMEDOUT = 4, 32, 104, 110

-- Links of this process that wait for a client. While one does, the signals that end a
-- process are its guard's to read, whichever link the process happens to wait for.
M.listeners = setmetatable({}, {__mode = "k"})

--- The error of a link's function.
-- @string action the function
-- @int errno
-- @string why
-- @treturn nil
-- @treturn string message
-- @treturn int errno
function M.fail(action, errno, why)
  return nil, ("peer.%s: %s"):format(action, why), errno
end

--- From here on signals are kept. They stay ignored after the link is closed: the other side
-- may still send one, whose default action would end this process.
-- @string ... others beside those of the link
-- @treturn shm.process.signals the handle
function M.keep_signals(...)
  local signals, message, errno = process.signals("USR1", "USR2", ...)
  if signals then
    process.signal("USR1", "ignore")
    process.signal("USR2", "ignore")
  end
  return signals, message, errno
end

--- The handle that a server waits with until its client has come. It keeps the signals that
-- end a process as well: make it before the segment exists, and none leaves that behind.
-- @treturn shm.process.signals
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.guard()
  return M.keep_signals(table.unpack(LAST_WORDS))
end

--- Announces a change to the other side. That it may have died just now is await's to see.
-- @tparam shm.peer link
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.tell(link)
  return link.handle:kill(SIGNAL[link.role])
end

-- A signal has been read. With a textbook peer it is all that we hear; otherwise it only
-- wakes us, and the words in the segment say the rest.
local function note(link, name, sender)
  for _, last in ipairs(LAST_WORDS) do
    if name == last then
      link.interrupted = name
      for listener in pairs(M.listeners) do
        listener:close()
      end
      process.kill(process.pid(), name) -- now that nothing is left behind, do what it does
      return
    end
  end
  if name == SIGNAL[link.other] then
    link.signalled = sender
  end
end

-- Reads what other links' guards keep from this process.
local function note_last_words(link)
  for listener in pairs(M.listeners) do
    if listener ~= link and listener.owner == link.owner then
      local name, sender = listener.guard:wait(0)
      if name then
        note(link, name, sender)
        return
      end
    end
  end
end

--- Waits until ready() answers, with signals that the handle keeps. Whatever else ends the
-- wait is an error, and what was ready by then goes first.
-- @tparam shm.peer link
-- @tparam shm.process.signals handle
-- @string action for the error
-- @number deadline
-- @tparam function ready gives what is waited for, or nothing yet; or nil, message, errno
-- @return what ready answered
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.await(link, handle, action, deadline, ready)
  while true do
    local result, why, code = ready()
    if result then
      return result
    elseif code then
      return M.fail(action, code, why)
    end
    if link.peer then
      local closed = not link.textbook and link.region:load32(segment.CLOSED[link.other]) == 1
      if closed or not link.handle:alive() then
        result = ready() -- its last message may have come after the look above
        if result then
          return result
        end
        if closed then
          return M.fail(action, EPIPE, "pid " .. link.peer .. " has closed the link")
        end
        return M.fail(action, ECONNRESET, "pid " .. link.peer .. " has ended")
      end
    end
    local left = deadline - process.monotonic()
    if left <= 0 then
      return M.fail(action, ETIMEDOUT, "Connection timed out")
    end
    local name, sender, errno = handle:wait(math.min(left, SLICE))
    if name then
      note(link, name, sender)
    elseif errno ~= ETIMEDOUT then
      return M.fail(action, errno, sender)
    end
    if not link.interrupted then
      note_last_words(link)
    end
    if link.interrupted then
      return M.fail(action, EINTR, "interrupted by SIG" .. link.interrupted)
    end
  end
end

return M
