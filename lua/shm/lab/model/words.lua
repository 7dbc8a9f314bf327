--- What can be done to shared words in the model, and what else a role does that is no object's.
--
-- With memory "sc" there is one memory, and an access is one step. With "tso" a store goes into
-- the buffer of its role, from whose front a step of its own, the flush, takes it to memory; a
-- load finds what its own role stored last, and else what is in memory. What locks the bus or
-- enters the kernel, and the fence, needs the buffer empty.
--
-- An operation is a table that is the same for ever:
--
--   name                       as in a trace
--   act(m, me, target, ...)    does it and gives up to four results, to the role
--   ready(m, me, target, ...)  whether it can happen now; absent: always
--   could(before, m, me, ...)  whether it could have happened just before a step before which
--                              its target was as `before` says
--   looks                      it changes nothing: two of them can change places
--   poll, spins, idles         see shm.lab.model.spin
--   plain                      it neither needs the store buffer empty nor is seen by the kernel
--   touches(m, me, target, ...) the keys of what it is about, where that is more or other than
--                              its target
--   call                       the method that it is a part of, where that has another name
--   text(step)                 what a step of a trace was, for a person; nil for the usual
--   describe(me, target, ...)  what a role waits in, for a person
--   sleeps                     a sleep that only others end: for ever, it is a lost wake-up
--   lost(m, me, target, ...)   the same, only where it says in words which wake-up was lost
-- @module shm.lab.model.words
local M = {}

local NONE <const> = {}

local function nothing() end

local function value_of(name, value)
  if math.type(value) ~= "integer" then
    error(("%s: a word holds an integer, got %s"):format(name, type(value)), 4)
  end
  return value
end

M.read = {name = "read", plain = true, looks = true, spins = true, act = function(m, me, name)
  return m:view(me, name)
end, touches = function(m, me, name)
  return m:read_keys(me, name)
end}

M.await = {name = "await", plain = true, looks = true, ready = function(m, me, name)
  return name and m:await_outcome(me, m:view(me, name)) ~= false
end, act = function(m, me, name)
  return m:view(me, name)
end, could = function(before, m, me)
  return m:await_outcome(me, before) ~= false
end, touches = function(m, me, name)
  return name and m:read_keys(me, name) or NONE
end}

M.write = {name = "write", plain = true, act = function(m, me, name, value)
  m:store(me, name, value)
end, touches = function(m, _, name)
  return m.tso and NONE or m:key(name)
end}

M.cas = {name = "cas", act = function(m, _, name, expected, value)
  local before = m.memory[name]
  if before == expected then
    m.memory[name] = value
  end
  return before == expected, before
end}

M.add = {name = "add", act = function(m, _, name, value)
  local before = m.memory[name]
  m.memory[name] = before + value
  return before
end}

M.swap = {name = "swap", act = function(m, _, name, value)
  local before = m.memory[name]
  m.memory[name] = value
  return before
end}

M.fence = {name = "fence", act = nothing, touches = function() return NONE end}

M.enter = {name = "enter", plain = true, act = function(m, me, section)
  local inside = me.inside
  inside[section] = (inside[section] or 0) + 1
  m.inside[section] = (m.inside[section] or 0) + 1
end, touches = function(m, _, section)
  return m:watched_key("inside " .. section)
end}

M.leave = {name = "leave", plain = true, act = function(m, me, section)
  if (me.inside[section] or 0) == 0 then
    error(("w.leave '%s': it is not inside"):format(section), 0)
  end
  me.inside[section] = me.inside[section] - 1
  m.inside[section] = m.inside[section] - 1
end, touches = M.enter.touches}

M.observe = {name = "observe", plain = true, act = function(m, _, name, value)
  m.observed[name] = value
end, touches = function(m, me, name)
  local key = "observed " .. name
  local first = m.observers[name]
  m.observers[name] = first or me.index
  if first and first ~= me.index and not m.watched[key] then -- who is last decides
    m.watched[key], m.grown = {}, true
  end
  return m:watched_key(key)
end}

M.note = {name = "note", plain = true, act = nothing, touches = function() return NONE end}

M.choose = {name = "choose", plain = true, act = function(m) return m.choice end,
            choices = function(n) return n end, touches = function() return NONE end}

--- What the machine does by itself.
M.flush = {name = "flush"}
M.crash = {name = "crash"}
M.cleanup = {name = "cleanup"}
M.restart = {name = "restart", act = nothing, touches = function(m, me)
  return m:key("signals " .. me.index) -- before it, they reach nobody
end}

--- The end of a role that somebody sees: the kernel lets go of what it had. A signal that was to
-- kill it has done so, even if it came to its end first.
M.exit = {name = "end", act = function(m, me)
  for _, object in ipairs(m.protocol.objects) do
    local kind, state = object.kind, m.state[object.name]
    if kind.ends and kind.ends(state, m, me) then
      kind.die(state, m, me)
    end
  end
  m:set_life(me, me.doomed and "signal" or "exit")
  me.doomed = nil
end, touches = function(m, me)
  local keys = {m:life(me)[1]}
  for _, object in ipairs(m.protocol.objects) do
    local ends = object.kind.ends
    if ends and ends(m.state[object.name], m, me) then
      keys[#keys + 1] = object.name
    end
  end
  return keys
end}

--- Sleeps on a word until it is woken, if it still is what it was expected to be: futex(2).
M.sleep = {name = "wait", text = function(s)
  return s.results[1] and ("%s is %d: sleeps on it"):format(s.object, s.args[1]) or
         ("%s is not %d: does not sleep"):format(s.object, s.args[1])
end, act = function(m, me, name, expected)
  if m.memory[name] ~= expected then
    return false
  end
  local queue = m.sleepers[name] or {}
  m.sleepers[name] = queue
  queue[#queue + 1] = me
  me.asleep = name
  return true
end}

local function describe_sleep(_, name) return ("wait on %s"):format(name) end

M.woken = {name = "woken", sleeps = true, describe = describe_sleep, ready = function(_, me)
  return not me.asleep
end, act = nothing, text = function(s) return ("woken at %s"):format(s.object) end}

--- Woken, or its time is up.
M.rouse = {name = "woken", text = function(s)
  return s.results[1] and ("woken at %s"):format(s.object) or
         ("gives up waiting on %s"):format(s.object)
end, act = function(m, me, name)
  if not me.asleep then
    return true
  end
  m:rouse(me, name)
  return false
end}

M.wake = {name = "wake", text = function(s)
  local n = s.results[1]
  return n == 0 and ("wakes nobody at %s"):format(s.object) or
         ("wakes %d at %s"):format(n, s.object)
end, act = function(m, _, name, most)
  local queue, woken = m.sleepers[name] or NONE, 0
  while #queue > 0 and woken < most do
    m:rouse(queue[1], name)
    woken = woken + 1
  end
  if woken == 0 then
    m:missed(name)
  end
  return woken
end}

--- How a role reaches its words, and what else is no object's, in the model.
-- @tparam table port where the machine says that it only looks: `peek`
-- @tparam function act gives an operation to the machine, which makes it a step
-- @treturn table the world's functions
function M.world(port, act)
  local world = {}

  local function read(name)
    local peek = port.peek
    if peek then
      return peek(name)
    end
    return act(M.read, name)
  end

  local function write(name, value)
    return act(M.write, name, value_of(name, value))
  end

  world.read, world.write = read, write

  function world.reader(name)
    return function() return read(name) end
  end

  function world.writer(name)
    return function(value) return write(name, value) end
  end

  function world.await(condition)
    return act(M.await, condition)
  end

  function world.fence() act(M.fence) end

  function world.cas(name, expected, value)
    return act(M.cas, name, value_of(name, expected), value_of(name, value))
  end

  function world.add(name, value) return act(M.add, name, value_of(name, value)) end

  function world.swap(name, value) return act(M.swap, name, value_of(name, value)) end

  function world.enter(section) act(M.enter, section) end

  function world.leave(section) act(M.leave, section) end

  function world.observe(name, value) act(M.observe, name, value) end

  function world.note(text) act(M.note, nil, text) end

  function world.choose(n) return act(M.choose, nil, n) end

  -- Gives whether it was woken, or nil and why not; and whether it slept.
  local function futex(name, expected, timeout)
    if not act(M.sleep, name, expected) then
      return true, false
    elseif act(timeout and M.rouse or M.woken, name) == false then
      return false, true
    end
    return true, true
  end

  local function answer(woken)
    if woken then
      return true
    end
    return nil, "Connection timed out", 110
  end

  function world.futex(name, expected, timeout)
    return answer((futex(name, value_of(name, expected), timeout)))
  end

  -- As region:wait: who was woken looks again, and sleeps again where nothing has changed.
  function world.wait(name, expected, timeout)
    local woken, slept
    value_of(name, expected)
    repeat
      woken, slept = futex(name, expected, timeout)
    until not woken or not slept
    return answer(woken)
  end

  function world.wake(name, most) return act(M.wake, name, most or math.maxinteger) end

  return world
end

return M
