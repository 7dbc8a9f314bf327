--- A barrier, as shm.barrier: so many wait for each other, again and again. Who gives up or dies
-- while it waits has not arrived; another can come in its place.
-- @module shm.lab.model.barrier
local answer = require "shm.lab.model.answer"
local footprint = require "shm.lab.model.footprint"

local M = {name = "barrier", field = "barriers"}

local OPTIONS <const> = {parties = {type = "integer", least = 1, most = 64}}

function M.new(given)
  local options = answer.options(given, "parties", OPTIONS)
  if not options.parties then
    error("how many parties? integer expected", 0)
  end
  -- roles that have arrived and wait, as they came, and the same by their index
  return {parties = options.parties, queue = {}, here = {}}
end

local function arrive(m, me, name)
  local state = m.state[name]
  if #state.queue + 1 >= state.parties then
    state.queue, state.here = {}, {}
    return true, "last"
  end
  state.queue[#state.queue + 1] = me
  state.here[me.index] = true
  return false
end

local function depart(state, me)
  state.here[me.index] = nil
  for i, one in ipairs(state.queue) do
    if one == me then
      table.remove(state.queue, i)
    end
  end
end

local function waits(_, name)
  return name .. ":wait()"
end

M.operations = {
  wait = {name = "wait", act = arrive, touches = function(m, _, name)
    return footprint.with_sleepers(m, name, m.state[name].queue)
  end, text = function(step)
    return step.results[1] == false and
           ("%s:wait(%s) arrives"):format(step.object, step.args[1] or "") or nil
  end},
  released = {name = "released", call = "wait", looks = true, ready = function(m, me, name)
    return not m.state[name].here[me.index]
  end, act = function()
    return true
  end, touches = function(m, me, name)
    return footprint.of_sleep(m, me, name)
  end, describe = waits},
  released_in_time = {name = "released", call = "wait", act = function(m, me, name)
    local state = m.state[name]
    if state.here[me.index] then
      depart(state, me)
      return answer.no("barrier.wait", name, answer.ETIMEDOUT)
    end
    return true
  end, touches = function(m, me, name)
    return footprint.both(m, name, footprint.sleep(me, name))
  end},
  arrived = {name = "arrived", looks = true, act = function(m, _, name)
    return #m.state[name].queue
  end},
}

M.methods = {
  wait = function(act, name, timeout)
    local list = M.operations
    answer.check_timeout(timeout, "barrier.wait")
    local all, last = act(list.wait, name, timeout)
    if last then
      return all, last
    end
    return act(timeout and list.released_in_time or list.released, name, timeout)
  end,
  arrived = function(act, name) return act(M.operations.arrived, name) end,
  parties = function(act, name) return act(M.operations.parties, name) end,
}

-- It never changes, so that nothing is looked at.
M.operations.parties = {name = "parties", looks = true, act = function(m, _, name)
  return m.state[name].parties
end, touches = function() return {} end}

function M.mourns(m, me, name)
  return footprint.of_death(m, me, name, m.state[name].here[me.index])
end

function M.die(state, _, me)
  if not state.here[me.index] then
    return false
  end
  depart(state, me)
  return true
end

function M.show(state)
  return {arrived = #state.queue, parties = state.parties}
end

return M
