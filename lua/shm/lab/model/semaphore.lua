--- A semaphore, as shm.semaphore: a count that who waits takes one of. With `undo`, as one of
-- System V with SEM_UNDO: what a process took and did not post is given back when it dies, and
-- what it posted and did not take is taken back, down to 0.
--
-- A post is never lost: it stays until somebody takes it. So who waits for one that nobody makes
-- any more is no lost wake-up.
-- @module shm.lab.model.semaphore
local answer = require "shm.lab.model.answer"

local M = {name = "semaphore", field = "semaphores"}

local MOST <const>, MOST_UNDONE <const> = 2147483647, 32767
local OPTIONS <const> = {
  value = {type = "integer", default = 0, least = 0, most = MOST},
  undo = {type = "boolean", default = false},
}

function M.new(given)
  local options = answer.options(given, "value", OPTIONS)
  local most = options.undo and MOST_UNDONE or MOST
  if options.value > most then
    error(("value: %d is more than %d"):format(options.value, most), 0)
  end
  -- owed: by role's index, what its death adds.
  return {value = options.value, most = most, owed = options.undo and {} or nil}
end

local function has_some(m, _, name)
  return m.state[name].value > 0
end

local function owe(state, me, n)
  if state.owed then
    local owed = (state.owed[me.index] or 0) + n
    state.owed[me.index] = owed ~= 0 and owed or nil
  end
end

local function take(m, me, name)
  local state = m.state[name]
  state.value = state.value - 1
  owe(state, me, 1)
  return true
end

local function trier(call)
  return {name = call, act = function(m, me, name)
    if not has_some(m, me, name) then
      return answer.no("semaphore." .. call, name, answer.ETIMEDOUT)
    end
    return take(m, me, name)
  end}
end

M.operations = {
  wait = {name = "wait", ready = has_some, act = take, could = function(before)
    return before > 0
  end},
  wait_in_time = trier "wait",
  try = trier "try",
  post = {name = "post", act = function(m, me, name, n)
    local state = m.state[name]
    if state.value + n > state.most then
      return answer.no("semaphore.post", name, state.owed and answer.ERANGE or answer.EOVERFLOW)
    end
    state.value = state.value + n
    owe(state, me, -n)
    return true
  end, text = function(step)
    return step.args[1] == 1 and step.results[1] and step.object .. ":post() -> true" or nil
  end},
  value = {name = "value", looks = true, act = function(m, _, name)
    return m.state[name].value
  end},
}

M.methods = {
  wait = function(act, name, timeout)
    answer.check_timeout(timeout, "semaphore.wait")
    return act(timeout and M.operations.wait_in_time or M.operations.wait, name, timeout)
  end,
  try = function(act, name)
    return act(M.operations.try, name)
  end,
  post = function(act, name, n)
    answer.check_integer(n or 1, 1, MOST, "semaphore.post", "n")
    return act(M.operations.post, name, n or 1)
  end,
  value = function(act, name)
    return act(M.operations.value, name)
  end,
}

function M.look(state) return state.value end

function M.spares(state, _, me)
  return not state.owed or not state.owed[me.index]
end

function M.die(state, _, me)
  if M.spares(state, nil, me) then
    return false
  end
  state.value = math.min(math.max(state.value + state.owed[me.index], 0), state.most)
  state.owed[me.index] = nil
  return true
end

function M.show(state)
  return {value = state.value}
end

return M
