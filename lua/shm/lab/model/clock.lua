--- A clock that goes on only where roles sleep, and where a time-out expires: so a schedule is
-- what decides who is first, and not how long anything takes.
--
--   w.now()            seconds, 0 at first
--   w.sleep(seconds)   any of the others may go on meanwhile, as far as it likes
--
-- The order of sleeping and looking matters only where somebody looks: a search begins anew when
-- that is first seen to happen.
-- @module shm.lab.model.clock
local M = {name = "clock", own = {now = true, sleep = true}}

local KEY <const> = "clock"
local NONE <const> = {}

function M.new()
  return {seconds = 0.0}
end

--- Lets time pass.
function M.pass(m, seconds)
  local state = m.state.clock
  state.seconds = state.seconds + (tonumber(seconds) or 0)
end

--- The keys of an operation that may expire: its target, and the clock where somebody looks.
function M.keys(m, _, target)
  if not m.watched[KEY] then
    return m:key(target)
  end
  local name = target .. " and time"
  local keys = m.keys[name]
  if not keys then
    keys = {target, KEY}
    m.keys[name] = keys
  end
  return keys
end

local function check_seconds(what, seconds)
  if type(seconds) ~= "number" or seconds < 0 or seconds ~= seconds then
    error(("%s: seconds from 0 expected, got %s"):format(what, tostring(seconds)), 3)
  end
end

local function seconds_of(m) return m.state.clock.seconds end

M.operations = {
  now = {name = "now", looks = true, act = seconds_of, poll = seconds_of, touches = function(m)
    if not m.watched[KEY] then
      m.watched[KEY], m.grown = {}, true
    end
    return m:key(KEY)
  end, text = function(step)
    return ("now() -> %g"):format(step.results[1])
  end},
  sleep = {name = "sleep", idles = true, act = function(m, _, _, seconds)
    M.pass(m, seconds)
    return true
  end, touches = function(m)
    return m.watched[KEY] and m:key(KEY) or NONE
  end, text = function(step)
    return ("sleeps %g s"):format(step.args[1])
  end},
}

function M.world(act)
  return {
    now = function() return act(M.operations.now) end,
    sleep = function(seconds)
      check_seconds("w.sleep", seconds)
      return act(M.operations.sleep, nil, seconds)
    end,
  }
end

return M
