--- Real signals: kill(2), a handler that counts, pause(2), which loses what comes before it, and
-- signals that are blocked and waited for.
-- @module shm.lab.run.signals
local patiently = require("shm.lab.run.words").patiently
local places = require "shm.lab.run.place"
local process = require "shm.process"

local M = {name = "signals"}

local NAMES <const> = {"USR1", "USR2"}

local function plain(what, signal, kill)
  local name = type(signal) == "string" and signal:gsub("^SIG", "")
  if name == "USR1" or name == "USR2" or kill and name == "KILL" then
    return name
  end
  error(("%s: 'USR1'%s or 'USR2' expected, got %s"):format(what, kill and ", 'KILL'" or "",
                                                          tostring(signal)), 0)
end

function M.open(seat)
  local real = {methods = {}, world = {}}
  local world, place = real.world, seat.place
  local blocked, base = {}, {USR1 = 0, USR2 = 0}

  --- Sends a signal to a role, unless that has come to its end: then it is a zombie's.
  function seat.kill(index, signal)
    local phase = place:phase(index)
    if phase & 3 == places.DONE then
      return true
    end
    if signal == "KILL" then
      place:doom(index, seat.round())
    end
    return process.kill(place:pid(index), signal)
  end

  function world.kill(whom, signal)
    local index = seat.protocol.role_of[whom] or whom
    if math.type(index) ~= "integer" or index < 1 or index > places.MOST then
      error(("w.kill: the number or name of a role expected, got %s"):format(tostring(whom)), 0)
    end
    return seat.kill(index, plain("w.kill", signal, true))
  end

  function world.block(...)
    for _, signal in ipairs {...} do
      local name = plain("w.block", signal)
      blocked[name] = blocked[name] or assert(process.signals(name))
    end
    return true
  end

  local function unblock(name)
    if blocked[name] then
      blocked[name]:close()
      blocked[name] = nil
    end
  end

  function world.unblock(...)
    for _, signal in ipairs {...} do
      unblock(plain("w.unblock", signal))
    end
    return true
  end

  function world.sigwait(...)
    local list = {...}
    local timeout = type(list[#list]) == "number" and table.remove(list) or nil
    for i, signal in ipairs(list) do
      list[i] = plain("w.sigwait", signal)
      if not blocked[list[i]] then
        error(("w.sigwait: %s is not blocked, and its handler may take it"):format(signal), 0)
      end
    end
    local signals <close> = assert(process.signals(table.unpack(list)))
    local name, message, errno = patiently(function(left) return signals:wait(left) end, timeout)
    if name then
      return name
    end
    return nil, message, errno
  end

  function world.pause() return process.pause() end

  function world.handled(signal)
    local name = plain("w.handled", signal)
    return process.handled(name) - base[name]
  end

  function real.begin()
    if seat.index > 0 then
      for _, name in ipairs(NAMES) do
        process.signal(name, "count")
        unblock(name)
        base[name] = process.handled(name)
      end
    end
  end

  function real.reset() end

  return real
end

return M
