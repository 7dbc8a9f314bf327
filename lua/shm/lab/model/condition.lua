--- A condition, as shm.condition: who holds a lock lets go of it and sleeps, until it is
-- signalled; then it locks it again. A signal goes to the one that has slept longest; one that
-- finds nobody asleep is lost, and so is one for a sleeper that dies. Nobody wakes without one.
-- @module shm.lab.model.condition
local answer = require "shm.lab.model.answer"
local footprint = require "shm.lab.model.footprint"
local locks = require "shm.lab.model.lock"

local M = {name = "condition", field = "conditions"}

function M.new(given)
  answer.no_options(given, "a condition")
  return {queue = {}, asleep = {}} -- roles in the order in which they came; and by their index
end

local function wake_first(state)
  local me = table.remove(state.queue, 1)
  state.asleep[me.index] = nil
end

local function leave(state, me)
  for i, one in ipairs(state.queue) do
    if one == me then
      table.remove(state.queue, i)
    end
  end
  state.asleep[me.index] = nil
end

local function wakes(most)
  return function(m, _, name)
    return footprint.with_sleepers(m, name, m.state[name].queue, most)
  end
end

M.operations = {
  wait = {name = "wait", act = function(m, me, name, lock)
    if not locks.let_go(m, me, lock) then
      return false, "the lock is not held by this role"
    end
    local state = m.state[name]
    state.queue[#state.queue + 1] = me
    state.asleep[me.index] = true
    return true
  end, touches = function(m, _, name, lock)
    return footprint.both(m, name, lock)
  end, text = function(step)
    local call = ("%s:wait(%s)"):format(step.object, step.args[1])
    return step.results[1] and ("%s unlocks %s and sleeps"):format(call, step.args[1]) or
           ("%s: %s"):format(call, step.results[2])
  end},
  woken = {name = "woken", sleeps = true, looks = true, ready = function(m, me, name)
    return not m.state[name].asleep[me.index]
  end, act = function()
    return true
  end, touches = function(m, me, name)
    return footprint.of_sleep(m, me, name)
  end, text = function(step)
    return "woken at " .. step.object
  end, describe = function(_, name, lock)
    return ("%s:wait(%s)"):format(name, lock)
  end},
  woken_in_time = {name = "woken", act = function(m, me, name)
    local state = m.state[name]
    if state.asleep[me.index] then
      leave(state, me)
      return answer.no("condition.wait", name, answer.ETIMEDOUT)
    end
    return true
  end, touches = function(m, me, name)
    return footprint.both(m, name, footprint.sleep(me, name))
  end, text = function(step)
    return (step.results[1] and "woken at " or "gives up waiting at ") .. step.object
  end},
  signal = {name = "signal", act = function(m, _, name)
    local state = m.state[name]
    if #state.queue == 0 then
      m:missed(name)
      return false
    end
    wake_first(state)
    return true
  end, touches = wakes(1)},
  broadcast = {name = "broadcast", act = function(m, _, name)
    local state = m.state[name]
    local n = #state.queue
    for _ = 1, n do
      wake_first(state)
    end
    if n == 0 then
      m:missed(name)
    end
    return n
  end, touches = wakes(nil)},
}

M.methods = {
  wait = function(act, name, mutex, timeout)
    if type(mutex) ~= "table" or mutex.kind ~= "lock" then
      error(("condition.wait '%s': mutex: a lock expected"):format(name), 2)
    end
    answer.check_timeout(timeout, "condition.wait")
    local lock = mutex.name
    local slept, why = act(M.operations.wait, name, lock, timeout)
    if not slept then
      error(("condition.wait '%s': %s"):format(name, why), 2)
    end
    local woken, message, errno = act(timeout and M.operations.woken_in_time or
                                      M.operations.woken, name, lock, timeout)
    if woken then
      return act(locks.operations.relock, lock, name)
    end
    act(locks.operations.relock, lock, name)
    return nil, message, errno
  end,
  signal = function(act, name) return act(M.operations.signal, name) end,
  broadcast = function(act, name) return act(M.operations.broadcast, name) end,
}

function M.mourns(m, me, name)
  return footprint.of_death(m, me, name, m.state[name].asleep[me.index])
end

function M.die(state, _, me)
  if not state.asleep[me.index] then
    return false
  end
  leave(state, me)
  return true
end

function M.show(state)
  return {waiting = #state.queue}
end

return M
