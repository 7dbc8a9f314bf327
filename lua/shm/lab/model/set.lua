--- A System V semaphore set under a key, which is absent at first: semget(2), semop(2),
-- semctl(2), as Linux has them.
--
-- A role has the set's number from `create` or `open`, and uses it until its death; after the
-- set was removed it is a number of nothing, also when there is a new set under the key. New
-- semaphores are 0, and who finds them before they are set can not tell; `otime` is 0 until the
-- first semop, and then 1. Who has to wait sleeps in a queue, and a semop is made for it by the
-- one that makes it possible, in the order in which they came. What was done with undo is undone
-- at the role's death; setval forgets what was to be undone there.
-- @module shm.lab.model.set
local answer = require "shm.lab.model.answer"
local footprint = require "shm.lab.model.footprint"

local M = {name = "set", field = "sets"}

local MOST <const> = 32767
local SLEEPS <const> = "sleeps" -- what a semop gives that has to wait

function M.new(given)
  answer.no_options(given, "a set")
  -- now: the set, or nil; ids: which one a role knows; asleep: what it waits to do; came: what
  -- came of that. All by the role's index.
  return {now = nil, ids = {}, asleep = {}, came = {}, queue = {}}
end

-- Whether a semop can be made, and an error's number if it never can.
local function possible(set, me, i, delta, undo)
  local value = set.values[i]
  if value == nil then
    return false, answer.EFBIG
  elseif delta == 0 and value ~= 0 or value + delta < 0 then
    return false
  end
  local owed = (set.owed[me.index] or {})[i] or 0
  if value + delta > MOST or undo and math.abs(owed - delta) > MOST then
    return false, answer.ERANGE
  end
  return true
end

local function make(set, me, i, delta, undo)
  set.values[i] = set.values[i] + delta
  set.otime = 1
  if undo and delta ~= 0 then
    local owed = set.owed[me.index] or {}
    set.owed[me.index] = owed
    owed[i] = (owed[i] or 0) - delta
  end
end

local function take_off(state, at)
  local me = table.remove(state.queue, at)
  state.asleep[me.index] = nil
  return me
end

-- Makes what has become possible: those first that wait for 0, and change nothing.
local function settle(state)
  local set = state.now
  local function pass(zero)
    local at = 1
    while at <= #state.queue do
      local me = state.queue[at]
      local what = state.asleep[me.index]
      local ok, errno
      if (what.delta == 0) == zero then
        ok, errno = possible(set, me, what.i, what.delta, what.undo)
      end
      if ok or errno then
        take_off(state, at)
        state.came[me.index] = errno or 0
        if ok then
          make(set, me, what.i, what.delta, what.undo)
          if not zero then
            return true
          end
        end
      else
        at = at + 1
      end
    end
  end
  repeat
    pass(true)
  until not pass(false)
end

local function known(m, me, name)
  local state = m.state[name]
  local set = state.ids[me.index]
  if not set then
    return nil, "this role has neither created nor opened it"
  end
  return set, set == state.now and state or nil
end

-- An operation on the set that the role knows: act(state, set, me, ...). What is wrong with its
-- arguments alone, the kernel sees before it looks for the set: check(...) gives that.
local function on_set(call, act, check)
  return function(m, me, name, ...)
    local set, state = known(m, me, name)
    local errno = check and check(...)
    if not set then
      return false, state
    elseif errno then
      return answer.no("set." .. call, name, errno)
    elseif not state then
      return answer.no("set." .. call, name, answer.EINVAL)
    end
    local first, more = act(state, set, me, ...)
    if first == nil then
      return answer.no("set." .. call, name, more)
    end
    return first
  end
end

local function changes(m, _, name)
  return footprint.with_sleepers(m, name, m.state[name].queue)
end

local function outcome(m, me, name)
  local state = m.state[name]
  local errno = state.came[me.index]
  state.came[me.index] = nil
  if errno ~= 0 then
    return answer.no("set.op", name, errno)
  end
  return true
end

local function call_text(name, i, delta, undo)
  return ("%s:op(%d, %s%s)"):format(name, i, delta > 0 and "+" .. delta or delta,
                                    undo and ", undo" or "")
end

local function op_text(step)
  local result = step.results[1]
  local refused = not result and tostring(step.results[2]):match "[^:]*$"
  return call_text(step.object, step.args[1], step.args[2], step.args[3]) ..
         (refused and ":" .. refused:gsub("^ ?", " ") or result == SLEEPS and " sleeps" or
          " -> true")
end

M.operations = {
  create = {name = "create", act = function(m, me, name, n)
    local state = m.state[name]
    if state.now then
      return answer.no("set.create", name, answer.EEXIST)
    end
    local set = {n = n, values = {}, otime = 0, owed = {}}
    for i = 0, n - 1 do
      set.values[i] = 0
    end
    state.now, state.ids[me.index] = set, set
    return true
  end},
  open = {name = "open", looks = true, act = function(m, me, name)
    local state = m.state[name]
    if not state.now then
      return answer.no("set.open", name, answer.ENOENT)
    end
    state.ids[me.index] = state.now
    return true
  end},
  setval = {name = "setval", touches = changes, act = on_set("setval",
    function(state, set, _, i, value)
      if not set.values[i] then
        return nil, answer.EINVAL
      end
      set.values[i] = value
      for _, owed in pairs(set.owed) do
        owed[i] = nil
      end
      settle(state)
      return true
    end, function(_, value)
      return (value < 0 or value > MOST) and answer.ERANGE
    end)},
  getval = {name = "getval", looks = true, act = on_set("getval", function(_, set, _, i)
    if not set.values[i] then
      return nil, answer.EINVAL
    end
    return set.values[i]
  end)},
  otime = {name = "otime", looks = true, act = on_set("otime", function(_, set)
    return set.otime
  end)},
  op = {name = "op", text = op_text, touches = changes, act = on_set("op",
    function(state, set, me, i, delta, undo, timeout)
      local ok, errno = possible(set, me, i, delta, undo)
      if ok then
        make(set, me, i, delta, undo)
        settle(state)
        return true
      elseif errno or timeout == 0 then
        return nil, errno or answer.ETIMEDOUT
      end
      state.queue[#state.queue + 1] = me
      state.asleep[me.index] = {i = i, delta = delta, undo = undo}
      return SLEEPS
    end)},
  woken = {name = "woken", call = "op", text = op_text, looks = true,
           ready = function(m, me, name)
    return not m.state[name].asleep[me.index]
  end, act = outcome, touches = function(m, me, name)
    return footprint.of_sleep(m, me, name)
  end, describe = function(_, name, i, delta, undo)
    return call_text(name, i, delta, undo)
  end},
  woken_in_time = {name = "woken", call = "op", text = op_text, act = function(m, me, name)
    local state = m.state[name]
    if not state.asleep[me.index] then
      return outcome(m, me, name)
    end
    for at, one in ipairs(state.queue) do
      if one == me then
        take_off(state, at)
        break
      end
    end
    return answer.no("set.op", name, answer.ETIMEDOUT)
  end, touches = function(m, me, name)
    return footprint.both(m, name, footprint.sleep(me, name))
  end},
  remove = {name = "remove", touches = changes, act = on_set("remove", function(state)
    while #state.queue > 0 do
      local me = take_off(state, 1)
      state.came[me.index] = answer.EIDRM
    end
    state.now = nil
    return true
  end)},
}

-- What a method gives, in place of the method: so the error is at who called that.
local function answered(name, call, first, ...)
  if first == false then
    error(("set.%s '%s': %s"):format(call, name, (...)), 2)
  end
  return first, ...
end

-- The same of a semop, which may have to be waited for.
local function waited(act, name, i, delta, undo, timeout, first, ...)
  if first == SLEEPS then
    return act(timeout and M.operations.woken_in_time or M.operations.woken, name, i, delta,
               undo, timeout)
  end
  return answered(name, "op", first, ...)
end

M.methods = {
  create = function(act, name, n)
    answer.check_integer(n, 1, MOST, "set.create", "n")
    return act(M.operations.create, name, n)
  end,
  open = function(act, name) return act(M.operations.open, name) end,
  op = function(act, name, i, delta, options, timeout)
    answer.check_integer(i, 0, 65535, "set.op", "semaphore")
    answer.check_integer(delta, -MOST, MOST, "set.op", "delta")
    answer.check_timeout(timeout, "set.op")
    if options ~= nil and type(options) ~= "table" then
      error(("set.op: table of options expected, got %s"):format(type(options)), 2)
    end
    for option in pairs(options or {}) do
      if option ~= "undo" then
        error(("set.op: unknown option '%s'"):format(tostring(option)), 2)
      end
    end
    local undo = options and options.undo or nil
    return waited(act, name, i, delta, undo, timeout,
                  act(M.operations.op, name, i, delta, undo, timeout))
  end,
}
for call, arguments in pairs {setval = {"semaphore", "value"}, getval = {"semaphore"},
                              otime = {}, remove = {}} do
  M.methods[call] = function(act, name, ...)
    for at, what in ipairs(arguments) do
      answer.check_integer(select(at, ...), -MOST - 1, 65535, "set." .. call, what)
    end
    return answered(name, call, act(M.operations[call], name, ...))
  end
end

-- Whether it has something to be undone can be changed by others: setval forgets it.
function M.mourns(m, me, name)
  if not m.state[name].ids[me.index] then
    return footprint.of_sleep(m, me, name)
  end
  local keys = table.move(changes(m, nil, name), 1, #m.state[name].queue + 1, 1, {})
  keys[#keys + 1] = footprint.sleep(me, name)
  return keys
end

function M.die(state, _, me)
  local index, set = me.index, state.now
  local owed = set and set.owed[index]
  local changed = state.asleep[index] or owed and next(owed)
  for at, one in ipairs(state.queue) do
    if one == me then
      take_off(state, at)
      break
    end
  end
  state.ids[index], state.came[index] = nil, nil
  if owed and next(owed) then
    for i, delta in pairs(owed) do
      set.values[i] = math.min(math.max(set.values[i] + delta, 0), MOST)
    end
    set.owed[index], set.otime = nil, 1
    settle(state)
  end
  return changed and true or false
end

function M.left(state)
  local set = state.now
  return set and (set.n == 1 and "a set of one semaphore" or
                  ("a set of %d semaphores"):format(set.n))
end

function M.show(state)
  local set = state.now
  return {exists = set ~= nil, otime = set and set.otime,
          values = set and table.move(set.values, 0, set.n - 1, 0, {})}
end

return M
