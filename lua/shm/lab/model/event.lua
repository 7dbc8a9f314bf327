--- An event, as shm.event: set or not. With automatic reset one of those who wait takes it back
-- and goes on; with `manual` all go on while it is set.
--
-- It is remembered that it is set, but not how often, and not beyond a reset. So a wake-up may
-- be lost here: who waits at the end for an event that had been set in vain is told so.
-- @module shm.lab.model.event
local answer = require "shm.lab.model.answer"

local M = {name = "event", field = "events"}

local OPTIONS <const> = {manual = {type = "boolean", default = false}}

function M.new(given)
  local options = answer.options(given, nil, OPTIONS)
  -- at: the step that set it; vain: the last one that set it for nobody, and why in vain.
  return {set = false, manual = options.manual, at = nil, vain = nil, why = nil}
end

local function is_set(m, _, name)
  return m.state[name].set
end

local function take(m, _, name)
  local state = m.state[name]
  if not state.manual then
    state.set = false
  end
  return true
end

local function lost(m, _, name)
  local state = m.state[name]
  return state.vain and ("it was set in step %d, but %s"):format(state.vain, state.why)
end

local function trier(call)
  return {name = call, act = function(m, me, name)
    if not is_set(m, me, name) then
      return answer.no("event." .. call, name, answer.ETIMEDOUT)
    end
    return take(m, me, name)
  end}
end

M.operations = {
  wait = {name = "wait", ready = is_set, act = take, lost = lost, could = function(before)
    return before
  end},
  wait_in_time = trier "wait",
  try = trier "try",
  set = {name = "set", act = function(m, _, name)
    local state = m.state[name]
    if not state.set then
      state.set, state.at = true, m.depth
    elseif not state.manual then
      state.vain, state.why = m.depth, ("it still was since step %d"):format(state.at)
    end
  end},
  reset = {name = "reset", act = function(m, _, name)
    local state = m.state[name]
    if state.set then
      state.vain, state.why = state.at, ("reset in step %d"):format(m.depth)
    end
    state.set = false
  end},
  is_set = {name = "is_set", looks = true, act = is_set},
}

M.methods = {
  wait = function(act, name, timeout)
    answer.check_timeout(timeout, "event.wait")
    return act(timeout and M.operations.wait_in_time or M.operations.wait, name, timeout)
  end,
  try = function(act, name) return act(M.operations.try, name) end,
  set = function(act, name) act(M.operations.set, name) end,
  reset = function(act, name) act(M.operations.reset, name) end,
  is_set = function(act, name) return act(M.operations.is_set, name) end,
}

function M.look(state) return state.set end

function M.show(state)
  return {set = state.set}
end

return M
