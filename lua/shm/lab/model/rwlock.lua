--- A readers-writer lock, as shm.rwlock: from the moment that a writer waits for the readers to
-- leave, readers that come wait too; who reads may do so again. Of several writers one waits for
-- the readers, and the others for it. Who comes after a writer that died inside hears so, also if
-- it came to read.
--
-- To write is one step where nobody reads; else one that keeps new readers out, and one that
-- goes in. So it is with a time-out, too: for others it matters that somebody waited.
-- @module shm.lab.model.rwlock
local answer = require "shm.lab.model.answer"

local M = {name = "rwlock", field = "rwlocks"}

function M.new(given)
  answer.no_options(given, "a readers-writer lock")
  -- writer: who is inside, or waits for the readers to leave; reads: how often, by role's index;
  -- dead: the writer that died inside, until somebody is told.
  return {writer = nil, inside = false, reads = {}, readers = 0, dead = nil}
end

local function is_read(state, me)
  return state.readers > (state.reads[me.index] and 1 or 0)
end

local function told(state)
  local dead = state.dead
  state.dead = nil
  if dead then
    return true, "recovered", dead
  end
  return true
end

-- Takes the writer's place, and goes in if nobody reads; false when it has to wait for that.
local function claim(m, me, name)
  local state = m.state[name]
  if state.writer == me or state.reads[me.index] then
    return answer.alone(me)
  end
  state.writer, state.inside = me, not is_read(state, me)
  if not state.inside then
    return false
  end
  return told(state)
end

local function enter(m, _, name)
  m.state[name].inside = true
  return told(m.state[name])
end

local function read(m, me, name)
  local state = m.state[name]
  if state.writer == me then
    return answer.alone(me)
  end
  local reads = state.reads[me.index]
  state.reads[me.index] = (reads or 0) + 1
  state.readers = state.readers + (reads and 0 or 1)
  return told(state)
end

local function can_claim(m, me, name)
  local state = m.state[name]
  return not state.writer or state.writer == me or state.reads[me.index] ~= nil
end

local function can_enter(m, me, name)
  return not is_read(m.state[name], me)
end

-- What look gives: who writes, and a bit for each that reads.
local function reads_in(before, me)
  return before >> 8 + me.index & 1 ~= 0
end

local function writes_in(before)
  return before & 0xff
end

local function could_claim(before, _, me)
  return writes_in(before) == 0 or writes_in(before) == me.index or reads_in(before, me)
end

local function could_enter(before)
  return before >> 8 == 0
end

local function claim_text(call)
  return function(step)
    return step.results[1] == false and
           ("%s:%s(%s) waits for the readers to leave"):format(step.object, call,
                                                               step.args[1] or "") or nil
  end
end

local function entrance(call)
  return {name = "entered", call = call, could = could_enter, ready = can_enter, act = enter,
          describe = function(_, name)
    return ("%s:%s(), for the readers to leave"):format(name, call)
  end}
end

-- For writing, with a time-out: it may find the place taken, and give up waiting for readers.
local function claim_in_time(call)
  return {name = call, text = claim_text(call), act = function(m, me, name)
    if not can_claim(m, me, name) then
      return answer.no("rwlock." .. call, name, answer.ETIMEDOUT)
    end
    return claim(m, me, name)
  end}
end

local function enter_in_time(call)
  return {name = "entered", call = call, act = function(m, me, name)
    if can_enter(m, me, name) then
      return enter(m, me, name)
    end
    m.state[name].writer = nil
    return answer.no("rwlock." .. call, name, answer.ETIMEDOUT)
  end}
end

local function read_in_time(call)
  return {name = call, act = function(m, me, name)
    if not can_claim(m, me, name) then
      return answer.no("rwlock." .. call, name, answer.ETIMEDOUT)
    end
    return read(m, me, name)
  end}
end

M.operations = {
  lock = {name = "lock", ready = can_claim, could = could_claim, act = claim,
          text = claim_text "lock"},
  entered = entrance "lock",
  lock_in_time = claim_in_time "lock",
  entered_in_time = enter_in_time "lock",
  try = claim_in_time "try",
  entered_at_once = enter_in_time "try",
  lock_shared = {name = "lock_shared", ready = can_claim, could = could_claim, act = read},
  lock_shared_in_time = read_in_time "lock_shared",
  try_shared = read_in_time "try_shared",
  unlock = {name = "unlock", act = function(m, me, name)
    local state = m.state[name]
    local reads = state.reads[me.index]
    if state.writer == me then
      state.writer, state.inside = nil, false
    elseif reads then
      state.reads[me.index] = reads > 1 and reads - 1 or nil
      state.readers = state.readers - (reads > 1 and 0 or 1)
    else
      return false, "it is not held by this role"
    end
  end},
}

local function go_in(act, name, second, timeout, ok, ...)
  if ok == false then
    return act(second, name, timeout)
  end
  return ok, ...
end

local function write(act, name, first, second, timeout)
  return go_in(act, name, second, timeout, act(first, name, timeout))
end

M.methods = {
  lock = function(act, name, timeout)
    local list = M.operations
    answer.check_timeout(timeout, "rwlock.lock")
    if timeout then
      return write(act, name, list.lock_in_time, list.entered_in_time, timeout)
    end
    return write(act, name, list.lock, list.entered)
  end,
  try = function(act, name)
    return write(act, name, M.operations.try, M.operations.entered_at_once)
  end,
  lock_shared = function(act, name, timeout)
    answer.check_timeout(timeout, "rwlock.lock_shared")
    local operation = timeout and "lock_shared_in_time" or "lock_shared"
    return act(M.operations[operation], name, timeout)
  end,
  try_shared = function(act, name)
    return act(M.operations.try_shared, name)
  end,
  unlock = function(act, name)
    local refused, why = act(M.operations.unlock, name)
    if refused == false then
      error(("rwlock.unlock '%s': %s"):format(name, why), 2)
    end
  end,
}

function M.look(state)
  local bits = state.writer and state.writer.index or 0
  for index in pairs(state.reads) do
    bits = bits | 1 << 8 + index
  end
  return bits
end

function M.holders(state, m, me)
  local list = {}
  if state.writer ~= me then
    list[1] = state.writer
  end
  for index, one in pairs(m.roles) do
    list[#list + 1] = state.reads[index] and one ~= me and one or nil
  end
  return list
end

function M.spares(state, _, me)
  return state.writer ~= me and not state.reads[me.index]
end

function M.die(state, _, me)
  local index = me.index
  if state.writer == me then
    if state.inside then
      state.dead = index
    end
    state.writer, state.inside = nil, false
  elseif state.reads[index] then
    state.reads[index], state.readers = nil, state.readers - 1
  else
    return false
  end
  return true
end

function M.left(state, m)
  local writer = state.writer
  if writer and writer.over then
    return "held by role " .. writer.name
  end
  for index in pairs(state.reads) do
    if m.roles[index].over then
      return "read by role " .. m.roles[index].name
    end
  end
end

function M.show(state)
  return {writer = state.inside and state.writer.index or nil, readers = state.readers,
          waits = state.writer and not state.inside and state.writer.index or nil,
          dead = state.dead}
end

return M
