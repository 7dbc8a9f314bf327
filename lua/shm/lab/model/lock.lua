--- A robust lock, as shm.mutex: who asks for it after its holder has died gets it, and hears so.
--
-- Whether waiting would close a circle, a lock of shm looks for itself, and says EDEADLK; in the
-- model who waits waits, and the circle is found when nobody can go on, so that it can be shown.
-- A lock whose holder has come to its end, and lives, stays locked.
-- @module shm.lab.model.lock
local answer = require "shm.lab.model.answer"

local M = {name = "lock", field = "locks"}

function M.new(given)
  answer.no_options(given, "a lock")
  return {owner = nil, dead = nil} -- both are roles; dead: the owner that died last, until told
end

local function is_free(m, me, name)
  local owner = m.state[name].owner
  return owner == nil or owner == me
end

local function could(before, _, me)
  return before == nil or before == me.index
end

local function lock(m, me, name)
  local state = m.state[name]
  if state.owner == me then
    return answer.alone(me)
  end
  local dead = state.dead
  state.owner, state.dead = me, nil
  if dead then
    return true, "recovered", dead
  end
  return true
end

local function trier(call)
  return {name = call, act = function(m, me, name)
    if not is_free(m, me, name) then
      return answer.no("mutex." .. call, name, answer.ETIMEDOUT)
    end
    return lock(m, me, name)
  end}
end

M.operations = {
  lock = {name = "lock", ready = is_free, could = could, act = lock},
  lock_in_time = trier "lock",
  try = trier "try",
  -- After a wait for a condition, which has let go of it.
  relock = {name = "relock", ready = is_free, could = could, act = lock, text = function(step)
    return step.results[2] and ("locks %s again: %q, %s"):format(step.object, step.results[2],
      step.results[3]) or ("locks %s again"):format(step.object)
  end, describe = function(_, name, condition)
    return ("%s:wait(%s), to lock %s again"):format(condition, name, name)
  end},
  unlock = {name = "unlock", act = function(m, me, name)
    if not M.let_go(m, me, name) then
      return false, "it is not held by this role"
    end
  end},
}

--- Unlocks it; false if it is not this role's.
function M.let_go(m, me, name)
  local state = m.state[name]
  if state.owner ~= me then
    return false
  end
  state.owner = nil
  return true
end

M.methods = {
  lock = function(act, name, timeout)
    answer.check_timeout(timeout, "mutex.lock")
    return act(timeout and M.operations.lock_in_time or M.operations.lock, name, timeout)
  end,
  try = function(act, name)
    return act(M.operations.try, name)
  end,
  unlock = function(act, name)
    local refused, why = act(M.operations.unlock, name)
    if refused == false then
      error(("mutex.unlock '%s': %s"):format(name, why), 2)
    end
  end,
}

function M.look(state) return state.owner and state.owner.index end

function M.holders(state) return {state.owner} end

function M.spares(state, _, me) return state.owner ~= me end

function M.die(state, _, me)
  if state.owner ~= me then
    return false
  end
  state.owner, state.dead = nil, me.index
  return true
end

function M.left(state)
  local owner = state.owner
  return owner and owner.over and "held by role " .. owner.name
end

function M.show(state)
  return {owner = state.owner and state.owner.index, dead = state.dead}
end

return M
