--- A queue, as shm.queue: messages that each come out once, in the order in which they went in.
--
--   queues = {"q", r = {capacity = 2, overflow = "reject"}}     capacity in messages, 16 if absent
--   w.q:push(v, timeout)  :pop(timeout)  :peek()  :shutdown()  #w.q
--
-- Who dies has pushed or popped a whole message, or none: nothing is held, and nothing is lost
-- but what the dead had popped. After a shutdown nothing is pushed any more (EPIPE), and what is
-- there can be popped. What is in it at the end is not left behind: the queue is, and is shared.
-- @module shm.lab.model.queue
local answer = require "shm.lab.model.answer"
local clock = require "shm.lab.model.clock"
local message = require "shm.lab.model.message"
local options = require "shm.options"

local M = {name = "queue", field = "queues"}

local EAGAIN <const>, ENOSPC <const>, EPIPE <const>, ETIMEDOUT <const> = 11, 28, 32, 110
local MESSAGES <const> = {
  [EAGAIN] = "Resource temporarily unavailable",
  [ENOSPC] = "No space left on device", [EPIPE] = "it was shut down: Broken pipe",
  [ETIMEDOUT] = "Connection timed out",
}
local OPTIONS <const> = {
  capacity = {integer = true, default = 16, least = 1, most = 1000000},
  overflow = {type = "string", default = "block"},
}

function M.new(given)
  if given ~= nil and type(given) ~= "table" then
    error(("options expected, got %s"):format(type(given)), 0)
  end
  local read = options.read(given or {}, OPTIONS, "queue")
  if read.overflow ~= "block" and read.overflow ~= "reject" then
    error(("overflow: 'block' or 'reject' expected, got '%s'"):format(read.overflow), 0)
  end
  return {capacity = read.capacity, reject = read.overflow == "reject", shut = false,
          list = {}, first = 1, last = 0}
end

local function refuse(what, name, errno)
  return nil, ("queue.%s '%s': %s"):format(what, name, MESSAGES[errno]), errno
end

local function length(state) return state.last - state.first + 1 end

local function has_room(state)
  return state.shut or state.reject or length(state) < state.capacity
end

local function has_message(state)
  return state.shut or state.last >= state.first
end

local function push(m, _, name, value)
  local state = m.state[name]
  if state.shut then
    return refuse("push", name, EPIPE)
  elseif length(state) >= state.capacity then
    return refuse("push", name, ENOSPC)
  end
  state.last = state.last + 1
  state.list[state.last] = message.copy(value, "queue.push '" .. name .. "'", 0)
  return true
end

local function first_of(state, first, what, name)
  if first > state.last then
    return refuse(what, name, state.shut and EPIPE or EAGAIN)
  end
  return message.value(state.list[first])
end

local function pop(m, _, name)
  local state = m.state[name]
  local first = state.first
  if length(state) > 0 then
    state.first = first + 1
  end
  return first_of(state, first, "pop", name)
end

local function timed(ready, act)
  return function(m, me, name, a, b)
    if not ready(m.state[name]) then
      clock.pass(m, act == push and b or a)
      return refuse(act == push and "push" or "pop", name, ETIMEDOUT)
    end
    return act(m, me, name, a)
  end
end

local function waits_in(me, name)
  return ("%s:%s(%s)"):format(name, me.op.name, me.op.name == "push" and message.show(me.a) or "")
end

M.operations = {
  push = {name = "push", act = push, text = message.text, describe = waits_in,
          ready = function(m, _, name) return has_room(m.state[name]) end,
          could = function(before) return before.room end},
  try_push = {name = "push", act = timed(has_room, push), text = message.text,
              touches = clock.keys, poll = function(m, _, name)
                return not has_room(m.state[name]) and "full"
              end},
  pop = {name = "pop", act = pop, text = message.text, describe = waits_in,
         ready = function(m, _, name) return has_message(m.state[name]) end,
         could = function(before) return before.message end},
  try_pop = {name = "pop", act = timed(has_message, pop), text = message.text,
             touches = clock.keys, poll = function(m, _, name)
               return not has_message(m.state[name]) and "empty"
             end},
  peek = {name = "peek", looks = true, text = message.text, act = function(m, _, name)
    return first_of(m.state[name], m.state[name].first, "peek", name)
  end, poll = function(m, _, name)
    local state = m.state[name]
    return state.list[state.first] or state.shut and "shut" or "empty"
  end},
  shutdown = {name = "shutdown", act = function(m, _, name)
    m.state[name].shut = true
    return true
  end},
  length = {name = "length", looks = true, act = function(m, _, name)
    return length(m.state[name])
  end, poll = function(m, _, name)
    return length(m.state[name])
  end, text = function(step) return ("#%s -> %d"):format(step.object, step.results[1]) end},
}

local operations <const> = M.operations

M.methods = {
  push = function(act, name, value, timeout)
    message.copy(value, "queue.push '" .. name .. "'", 3)
    answer.check_timeout(timeout, "queue.push")
    return act(timeout and operations.try_push or operations.push, name, value, timeout)
  end,
  pop = function(act, name, timeout)
    answer.check_timeout(timeout, "queue.pop")
    return act(timeout and operations.try_pop or operations.pop, name, timeout)
  end,
  peek = function(act, name) return act(operations.peek, name) end,
  shutdown = function(act, name) return act(operations.shutdown, name) end,
  __len = function(act, name) return act(operations.length, name) end,
}

function M.look(state)
  return {room = has_room(state), message = has_message(state)}
end

--- What rules see: `length`, `shut`, and the messages as a list.
function M.show(state)
  local shown = {length = length(state), shut = state.shut}
  for i = state.first, state.last do
    shown[i - state.first + 1] = message.value(state.list[i])
  end
  return shown
end

return M
