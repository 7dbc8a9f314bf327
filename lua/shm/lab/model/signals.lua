--- Signals between roles, as kill(2), pause(2), sigprocmask(2) and sigwaitinfo(2) have them.
--
--   w.kill(role, "USR1")           a number or name of a role; "USR1", "USR2" or "KILL"
--   w.pause()                      sleeps until a signal is handled
--   w.block("USR1", ...)  w.unblock("USR1", ...)
--   w.sigwait("USR1", ..., timeout)   takes one of these, which has to be blocked: its name
--   w.handled("USR1")              how many of them the handler has seen
--
-- Each role has a handler for USR1 and USR2 from its beginning, which counts. A signal that is
-- not blocked is handled as it is sent, and wakes who sleeps in pause; one that comes before that
-- is handled, too, and wakes nobody: the next pause waits for the next signal. One that is blocked
-- is pending until it is taken or unblocked, and is not queued twice.
--
-- KILL: the role dies soon. It may still go on for a little while, as on another cpu; who has to
-- know waits for its end. A role that has ended is a zombie, which can be sent signals, until it
-- is waited for (ESRCH then).
--
-- What is pending for a role is a hidden word, "signals 2", a set of bits.
-- @module shm.lab.model.signals
local answer = require "shm.lab.model.answer"
local clock = require "shm.lab.model.clock"

local M = {name = "signals", own = {kill = true, block = true, unblock = true, pause = true,
                                    sigwait = true, handled = true}}

local ESRCH <const>, ETIMEDOUT <const> = 3, 110
local BITS <const> = {USR1 = 1, USR2 = 2}
local NAMES <const> = {"USR1", "USR2"}
local TARGETS <const> = {}
local INDEX <const> = {}

function M.new()
  return {blocked = {}, handled = {}, paused = {}}
end

--- The hidden word of a role.
function M.target(index)
  local target = TARGETS[index]
  if not target then
    target = "signals " .. index
    TARGETS[index], INDEX[target] = target, index
  end
  return target
end

--- The name of a signal without SIG.
function M.check(what, signal)
  local name = type(signal) == "string" and signal:gsub("^SIG", "")
  if name ~= "KILL" and not BITS[name] then
    error(("%s: 'USR1', 'USR2' or 'KILL' expected, got %s"):format(what, tostring(signal)), 3)
  end
  return name
end

local function set_of(one, other)
  return (BITS[one] or 0) | (BITS[other] or 0)
end

-- Who sleeps in pause is woken; it is lost where nobody does.
local function handle(m, index, bits)
  local state = m.state.signals
  local handled = state.handled[index] or {0, 0}
  state.handled[index] = handled
  for i in ipairs(NAMES) do
    handled[i] = handled[i] + (bits >> i - 1 & 1)
  end
  if state.paused[index] then
    state.paused[index] = nil
  else
    m:missed(M.target(index))
  end
end

local function kill(m, _, target, name, signal)
  local him = m.roles[INDEX[target]]
  if not him or him.reaped then
    return nil, ("process.kill '%s': No such process"):format(name), ESRCH
  elseif signal == "KILL" then
    m:doom(him)
  elseif not him.dying and not him.dead and not (him.op and him.op.name == "restart") then
    local bit = BITS[signal]
    if (m.state.signals.blocked[him.index] or 0) & bit ~= 0 then
      m.memory[target] = (m.memory[target] or 0) | bit
    else
      handle(m, him.index, bit)
    end
  end
  return true
end

-- To be killed, to be born and to be reaped come in one order.
local function kill_keys(m, _, target, _, signal)
  local index = INDEX[target]
  if signal == "KILL" then
    m:mortal("life " .. index)
  end
  local known = m.protocol.roles[index]
  local name = target .. (signal == "KILL" and " killed" or "")
  local keys = m.keys[name .. " by"]
  if not keys then
    keys = {target, (signal == "KILL" or not known) and "life " .. index or nil}
    if not known then
      keys[3] = "fork"
    end
    m.keys[name .. " by"] = keys
  end
  return keys
end

local function take(m, target, one, other)
  local pending = (m.memory[target] or 0) & set_of(one, other)
  local bit = pending & -pending
  m.memory[target] = m.memory[target] & ~bit
  return NAMES[bit]
end

-- POSIX leaves open what comes of one that is not blocked: its handler takes it, mostly.
local function not_blocked(m, me, one, other)
  local open = set_of(one, other) & ~(m.state.signals.blocked[me.index] or 0)
  return open ~= 0 and NAMES[open & -open]
end

local function handled(m, me, _, one)
  local counts = m.state.signals.handled[me.index]
  return counts and counts[BITS[one]] or 0
end

local function words(step)
  local list = {}
  for i = 1, step.args.n do
    list[i] = tostring(step.args[i])
  end
  return table.concat(list, ", ")
end

local function text(step, came_of)
  local result = step.results[1]
  return ("%s(%s)%s"):format(step.action, words(step),
                             result == true and "" or came_of(step.results, tostring))
end

M.operations = {
  kill = {name = "kill", object = false, act = kill, touches = kill_keys, text = text},
  -- Of its own end the role sees nothing.
  perish = {name = "kill", ready = function() return false end,
            could = function() return false end, touches = function() return {} end},
  pause = {name = "pause", object = false, text = text, act = function(m, me)
    m.state.signals.paused[me.index] = true
    return true
  end},
  resume = {name = "pause", object = false, sleeps = true, ready = function(m, me)
    return not m.state.signals.paused[me.index]
  end, act = function() return true end, looks = true,
    text = function() return "pause returns" end, describe = function() return "pause()" end},
  block = {name = "block", object = false, text = text, act = function(m, me, _, one, other)
    local blocked = m.state.signals.blocked
    blocked[me.index] = (blocked[me.index] or 0) | set_of(one, other)
    return true
  end},
  unblock = {name = "unblock", object = false, text = text,
             act = function(m, me, target, one, other)
    local blocked = m.state.signals.blocked
    blocked[me.index] = (blocked[me.index] or 0) & ~set_of(one, other)
    local pending = m.memory[target] or 0
    local free = pending & ~blocked[me.index]
    if free ~= 0 then
      m.memory[target] = pending & ~free
      handle(m, me.index, free)
    end
    return true
  end},
  sigwait = {name = "sigwait", object = false, sleeps = true, text = text,
             ready = function(m, me, target, one, other)
               return (m.memory[target] or 0) & set_of(one, other) ~= 0 or
                      not_blocked(m, me, one, other) ~= false
             end, could = function(before, m, me, _, one, other)
               return (before or 0) & set_of(one, other) ~= 0 or
                      not_blocked(m, me, one, other) ~= false
             end, act = function(m, me, target, one, other)
               local open = not_blocked(m, me, one, other)
               if open then
                 return nil, open, nil, true
               end
               return take(m, target, one, other)
             end, describe = function(_, _, one, other)
               return ("sigwait(%s%s)"):format(one, other and ", " .. other or "")
             end},
  try_sigwait = {name = "sigwait", object = false, text = text, touches = clock.keys,
                 act = function(m, me, target, one, other, timeout)
    local open = not_blocked(m, me, one, other)
    if open then
      return nil, open, nil, true
    elseif (m.memory[target] or 0) & set_of(one, other) == 0 then
      clock.pass(m, timeout)
      return nil, ("sigwait '%s': Connection timed out"):format(one), ETIMEDOUT
    end
    return take(m, target, one, other)
  end, poll = function(m, _, target, one, other)
    return (m.memory[target] or 0) & set_of(one, other) == 0 and "nothing"
  end},
  handled = {name = "handled", object = false, looks = true, text = text, act = handled,
             poll = handled},
}

local operations <const> = M.operations

-- One or two names, and a time-out that may be the last of them.
local function names_of(what, ...)
  local list, n = {...}, select("#", ...)
  local timeout
  if what == "w.sigwait" and n > 1 and type(list[n]) == "number" then
    timeout, n = list[n], n - 1
  end
  local bits = 0
  for i = 1, n do
    bits = bits | (BITS[type(list[i]) == "string" and list[i]:gsub("^SIG", "")] or 4)
  end
  if bits == 0 or bits > 3 then
    error(what .. ": 'USR1' or 'USR2' expected", 3)
  end
  local one = NAMES[bits & -bits]
  return one, bits == 3 and "USR2" or nil, timeout
end

function M.world(act, role, protocol)
  local own = M.target(role.index)
  local world = {}

  function world.kill(whom, signal)
    local index = protocol.role_of[whom] or whom
    if math.type(index) ~= "integer" or index < 1 or index > 16 then
      error(("w.kill: the number or name of a role expected, got %s"):format(tostring(whom)), 2)
    end
    signal = M.check("w.kill", signal)
    local known = protocol.roles[index]
    local done, problem, errno = act(operations.kill, M.target(index),
                                     known and known.name or index, signal)
    if done and signal == "KILL" and index == role.index then
      act(operations.perish)
    end
    return done, problem, errno
  end

  function world.pause()
    act(operations.pause, own)
    return act(operations.resume, own)
  end

  function world.block(...) return act(operations.block, own, names_of("w.block", ...)) end

  function world.unblock(...) return act(operations.unblock, own, names_of("w.unblock", ...)) end

  function world.sigwait(...)
    local one, other, timeout = names_of("w.sigwait", ...)
    answer.check_timeout(timeout, "w.sigwait")
    local name, problem, errno, misuse = act(timeout and operations.try_sigwait or
                                             operations.sigwait, own, one, other, timeout)
    if misuse then
      error(("w.sigwait: %s is not blocked, and its handler may take it"):format(problem), 2)
    end
    return name, problem, errno
  end

  function world.handled(...)
    return act(operations.handled, own, (names_of("w.handled", ...)))
  end

  return world
end

--- A child has its parent's mask and what its handlers have counted, and nothing pending.
function M.inherit(state, _, parent, child)
  state.blocked[child.index] = state.blocked[parent.index]
  state.handled[child.index] = table.move(state.handled[parent.index] or {0, 0}, 1, 2, 1, {})
end

function M.spares() return true end

--- A process that begins anew has nothing of what the dead one had.
function M.die(state, m, me)
  state.blocked[me.index], state.handled[me.index], state.paused[me.index] = nil, nil, nil
  m.memory[M.target(me.index)] = nil
  return false
end

return M
