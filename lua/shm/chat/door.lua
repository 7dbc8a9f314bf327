--- The chat's door: connections come in, or are told why not.
-- @module shm.chat.door
local cqueues = require "cqueues"
local errno = require "cqueues.errno"
local process = require "shm.process"

local M = {}

local MOST_WAITING = 128 -- connections that wait to be admitted
local PAUSE = 0.25       -- seconds until the next look, when one more can not be taken
local LAST_WORD = 1      -- seconds that one who is turned away has to read why

-- A connection whose errors are results, and whose bytes are left alone.
local function plain(connection)
  connection:onerror(function(_, _, why)
    return why
  end)
  connection:setmode("bn", "bn")
  return connection
end

--- Accepts connections for ever. Call it in a coroutine of the loop.
-- @param listener a listening socket of cqueues
-- @tparam table arrivals where to put them
-- @tparam function log called when one can not be accepted
function M.watch(listener, arrivals, log)
  while true do
    while #arrivals >= MOST_WAITING do
      cqueues.sleep(PAUSE)
    end
    local connection, why = listener:accept({nodelay = true})
    if connection then
      arrivals[#arrivals + 1] = plain(connection)
    else
      log("could not accept a client: " .. errno.strerror(why))
      cqueues.sleep(PAUSE)
    end
  end
end

--- Says why and closes, once the client has had time to read it: closing at once would throw
-- the words away if it had sent some itself.
-- @param loop the controller to do so in
-- @param connection the client's
-- @string why what to tell it
function M.turn_away(loop, connection, why)
  loop:wrap(function()
    local deadline = process.monotonic() + LAST_WORD
    connection:settimeout(LAST_WORD)
    connection:write(why, "\n")
    connection:flush()
    connection:shutdown "w"
    repeat
      local data = connection:read(-4096)
    until not data or process.monotonic() > deadline
    connection:close()
  end)
end

return M
