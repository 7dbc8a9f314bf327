--- Roles that fork, and their children, as shm.process has them.
--
--   local child = w.fork(function(w) ... end, name)     a role of its own from here on
--   child:wait(timeout)  -> "exit", 0 | "exit", 1 (it threw) | "signal", "KILL"
--   child:kill(signal)   child:alive()   child.role (its number, for w.kill)   child.name
--
-- A child has a copy of what its parent's variables hold, its mask of signals and its
-- descriptors; no locks, no pending signals, no subscribers. It has the next number of all roles,
-- whoever forks: as pids, these tell who was first, and so forks come in one order.
--
-- Who ends while a child lives leaves it to itself. Who ends before it has waited for a child
-- that has ended leaves nothing behind, as init reaps it; but while a parent goes on that does
-- not wait, such a child is a zombie, and is left behind.
-- @module shm.lab.model.fork
local answer = require "shm.lab.model.answer"
local clock = require "shm.lab.model.clock"
local copy = require "shm.lab.model.copy"
local signals = require "shm.lab.model.signals"

local M = {name = "fork", own = {fork = true}}

local ECHILD <const>, ETIMEDOUT <const> = 10, 110
local KEYS <const> = {}

function M.new()
  return {}
end

local function worlds_of(me)
  local worlds = {}
  repeat
    worlds[#worlds + 1] = me.world
    me = me.parent
  until not me
  return worlds
end

local function child_of(m, target)
  return m.roles[tonumber(target:match "%d+")]
end

local function wait(m, me, target)
  local child = child_of(m, target)
  if child.parent ~= me or child.parent_life ~= me.lives then
    return nil, ("process.wait '%s': No child processes"):format(child.name), ECHILD
  end
  child.reaped = true
  local how = m.memory[target]
  return how, how == "exit" and (child.code or 0) or "KILL"
end

local function describe(_, target, name)
  return ("%s:wait()"):format(name or target)
end

local function describe_alive(_, target, name)
  return ("%s:alive()"):format(name or target)
end

local function text(step, came_of)
  return ("%s:%s()%s"):format(step.args[1], step.action, came_of(step.results, tostring))
end

M.operations = {
  fork = {name = "fork", act = function(m, me, _, name, f)
    local child = m:fork(me, function(w)
      return copy.of(f, worlds_of(me), w)(w)
    end, name)
    if not child then
      return nil
    end
    child.parent_life = me.lives
    return child.index, child.name
  end, touches = function(_, me)
    local keys = KEYS[me.index]
    if not keys then
      keys = {"fork", "signals " .. me.index}
      KEYS[me.index] = keys
    end
    return keys
  end, text = function(step)
    return ("forks %s"):format(step.results[2] or "in vain")
  end},
  wait = {name = "wait", object = false, act = wait, text = text, describe = describe,
          ready = function(m, me, target)
            return m.memory[target] ~= nil or child_of(m, target).parent ~= me
          end,
          could = function(before, m, me, target)
            return before ~= nil or child_of(m, target).parent ~= me
          end},
  try_wait = {name = "wait", object = false, text = text, act = function(m, me, target, name,
                                                                         timeout)
    if m.memory[target] == nil and child_of(m, target).parent == me then
      clock.pass(m, timeout)
      return nil, ("process.wait '%s': Connection timed out"):format(name), ETIMEDOUT
    end
    return wait(m, me, target)
  end, touches = clock.keys, describe = describe, poll = function(m, me, target)
    return m.memory[target] == nil and child_of(m, target).parent == me and "lives"
  end},
  alive = {name = "alive", object = false, looks = true, text = text, describe = describe_alive,
           act = function(m, _, target)
    return m.memory[target] == nil
  end, poll = function(m, _, target)
    return m.memory[target] or "lives"
  end},
}

local operations <const> = M.operations

local function handle(act, index, name)
  local life = "life " .. index
  local child = {role = index, name = name}
  function child.wait(_, timeout)
    answer.check_timeout(timeout, "child:wait")
    return act(timeout and operations.try_wait or operations.wait, life, name, timeout)
  end
  function child.kill(_, signal)
    return act(signals.operations.kill, signals.target(index), name,
               signals.check("child:kill", signal))
  end
  function child.alive()
    return act(operations.alive, life, name)
  end
  return copy.share(child)
end

function M.world(act)
  return {fork = function(f, name)
    if type(f) ~= "function" then
      error(("w.fork: function expected, got %s"):format(type(f)), 2)
    elseif name ~= nil and type(name) ~= "string" then
      error(("w.fork: name: string expected, got %s"):format(type(name)), 2)
    end
    local index, known_as = act(operations.fork, nil, name, f)
    if not index then
      error("w.fork: too many roles", 2)
    end
    return handle(act, index, known_as)
  end}
end

--- A zombie: a child that has ended while its parent goes on, and does not wait for it.
function M.left(_, m)
  for _, child in ipairs(m.roles) do
    local parent = child.parent
    if parent and m.memory["life " .. child.index] and not child.reaped and not parent.over and
       not parent.dead and child.parent_life == parent.lives then
      return ("%s has ended, and %s goes on and does not wait for it"):format(child.name,
                                                                             parent.name)
    end
  end
end

return M
