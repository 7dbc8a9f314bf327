--- A topic, as shm.topic: messages that each subscriber gets once, all in one order.
--
--   topics = {"t", u = {capacity = 4, overflow = "drop"}}       capacity in messages, 16 if absent
--   w.t:publish(v, timeout)   w.t:subscribe{from = "oldest"}   w.t:subscribers()   #w.t
--   s:next(timeout)   s:try()   s:lost()   s:close()   #s
--
-- The last messages stay, as many as the capacity, whether somebody has read them or not. With
-- "block" who publishes waits until each subscriber has room for one more; with "drop" the oldest
-- goes, and who has not read it finds it lost. A subscriber that has died, or come to its end,
-- blocks nobody. A subscriber is its process's: a child subscribes anew.
-- @module shm.lab.model.topic
local answers = require "shm.lab.model.answer"
local clock = require "shm.lab.model.clock"
local copy = require "shm.lab.model.copy"
local message = require "shm.lab.model.message"
local options = require "shm.options"

local M = {name = "topic", field = "topics"}

local EDEADLK <const>, ETIMEDOUT <const> = 35, 110
local MESSAGES <const> = {
  [EDEADLK] = "Resource deadlock avoided", [ETIMEDOUT] = "Connection timed out",
}
local OPTIONS <const> = {
  capacity = {integer = true, default = 16, least = 1, most = 1000000},
  overflow = {type = "string", default = "block"},
}

function M.new(given)
  if given ~= nil and type(given) ~= "table" then
    error(("options expected, got %s"):format(type(given)), 0)
  end
  local read = options.read(given or {}, OPTIONS, "topic")
  if read.overflow ~= "block" and read.overflow ~= "drop" then
    error(("overflow: 'block' or 'drop' expected, got '%s'"):format(read.overflow), 0)
  end
  return {capacity = read.capacity, drop = read.overflow == "drop", list = {}, oldest = 1,
          last = 0, subscribers = {}, serial = 0}
end

local function refuse(what, name, errno)
  return nil, ("topic.%s '%s': %s"):format(what, name, MESSAGES[errno]), errno
end

-- The roles whose subscribers have no room, or nil where none is in the way.
local function full(state)
  local roles
  for _, one in pairs(state.subscribers) do
    if not state.drop and state.last - one.read >= state.capacity then
      roles = roles or {}
      roles[one.owner] = true
    end
  end
  return roles
end

local function can_publish(in_the_way, me)
  return not in_the_way or in_the_way[me] or false
end

local function publish(m, _, name, value)
  local state = m.state[name]
  if full(state) then -- it is in its own way
    return refuse("publish", name, EDEADLK)
  end
  state.last = state.last + 1
  state.list[state.last] = message.copy(value, "topic.publish '" .. name .. "'", 0)
  if state.last - state.oldest >= state.capacity then
    state.list[state.oldest] = nil
    state.oldest = state.oldest + 1
  end
  return true
end

-- What it has missed and what it reads next: messages may have gone meanwhile.
local function catch_up(state, one)
  local missed = math.max(0, state.oldest - 1 - one.read)
  return one.lost + missed, one.read + missed + 1
end

-- The subscriber, or what is wrong with who uses it.
local function subscriber_of(m, me, name, id)
  local one = m.state[name].subscribers[id]
  if one and one.owner == me then
    return one
  end
  return nil, one and "it is another process's: subscribe anew" or "it is closed"
end

local function misuse(problem) return nil, problem, nil, true end

local function has_news(m, me, name, id)
  local one = subscriber_of(m, me, name, id)
  return not one or one.read < m.state[name].last
end

local function next_of(m, me, name, id)
  local one, problem = subscriber_of(m, me, name, id)
  if not one then
    return misuse(problem)
  end
  local state = m.state[name]
  one.lost, one.read = catch_up(state, one)
  return message.value(state.list[one.read])
end

local function lost(m, me, name, id)
  local one, problem = subscriber_of(m, me, name, id)
  if not one then
    return misuse(problem)
  end
  return (catch_up(m.state[name], one))
end

local function waiting(m, me, name, id)
  local one, problem = subscriber_of(m, me, name, id)
  if not one then
    return misuse(problem)
  end
  local state = m.state[name]
  local _, first = catch_up(state, one)
  return state.last - first + 1
end

local function subscribers(m, _, name)
  local n = 0
  for _ in pairs(m.state[name].subscribers) do
    n = n + 1
  end
  return n
end

local function length(m, _, name)
  return m.state[name].last - m.state[name].oldest + 1
end

-- Which subscription it is, nobody needs to read.
local function text(step, came_of)
  return ("%s:%s()%s"):format(step.object, step.action, came_of(step.results, message.show))
end

local function waits_in(_, name) return name .. ":next()" end

M.operations = {
  publish = {name = "publish", act = publish, text = message.text,
             ready = function(m, me, name) return can_publish(full(m.state[name]), me) end,
             could = function(before, _, me) return can_publish(before.full, me) end,
             describe = function(me, name)
               return ("%s:publish(%s)"):format(name, message.show(me.a))
             end},
  try_publish = {name = "publish", text = message.text, touches = clock.keys,
                 act = function(m, me, name, value, timeout)
    local in_the_way = full(m.state[name])
    if in_the_way and (timeout <= 0 or not in_the_way[me]) then
      clock.pass(m, timeout)
      return refuse("publish", name, ETIMEDOUT)
    end
    return publish(m, me, name, value)
  end, poll = function(m, me, name)
    return not can_publish(full(m.state[name]), me) and "full"
  end},
  subscribe = {name = "subscribe", act = function(m, me, name, from)
    local state = m.state[name]
    state.serial = state.serial + 1
    state.subscribers[state.serial] = {
      owner = me, lost = 0, read = from == "oldest" and state.oldest - 1 or state.last,
    }
    return state.serial
  end, text = function(step)
    return ("%s:subscribe(%s)"):format(step.object,
                                       step.args[1] and ("from %s"):format(step.args[1]) or "")
  end},
  next = {name = "next", act = next_of, ready = has_news, text = text,
          could = function(before, m, me, name, id)
            local one = subscriber_of(m, me, name, id)
            return not one or one.read < before.last
          end, describe = waits_in},
  try_next = {name = "next", text = text, touches = clock.keys, describe = waits_in,
              act = function(m, me, name, id, timeout)
    if not has_news(m, me, name, id) then
      clock.pass(m, timeout)
      return refuse("next", name, ETIMEDOUT)
    end
    return next_of(m, me, name, id)
  end, poll = function(m, me, name, id)
    return not has_news(m, me, name, id) and "empty"
  end},
  lost = {name = "lost", looks = true, text = text, act = lost, poll = lost},
  waiting = {name = "waiting", looks = true, text = text, act = waiting, poll = waiting},
  close = {name = "close", text = text, act = function(m, me, name, id)
    if subscriber_of(m, me, name, id) then
      m.state[name].subscribers[id] = nil
    end
    return true
  end},
  subscribers = {name = "subscribers", looks = true, act = subscribers, poll = subscribers},
  length = {name = "length", looks = true, act = length, poll = length,
            text = function(step) return ("#%s -> %d"):format(step.object, step.results[1]) end},
}

local operations <const> = M.operations

local function answer(value, problem, errno, is_misuse)
  if is_misuse then
    error("subscriber: " .. problem, 2) -- this is a tail call
  end
  return value, problem, errno
end

local function subscriber(act, name, id)
  local handle = {}
  function handle.next(_, timeout)
    answers.check_timeout(timeout, "subscriber:next")
    return answer(act(timeout and operations.try_next or operations.next, name, id, timeout))
  end
  function handle.try() return answer(act(operations.try_next, name, id, 0)) end
  function handle.lost() return answer(act(operations.lost, name, id)) end
  function handle.close() return act(operations.close, name, id) end
  return copy.share(setmetatable(handle, {__len = function()
    return answer(act(operations.waiting, name, id))
  end, __close = handle.close}))
end

M.methods = {
  publish = function(act, name, value, timeout)
    message.copy(value, "topic.publish '" .. name .. "'", 3)
    answers.check_timeout(timeout, "topic.publish")
    if timeout then
      return act(operations.try_publish, name, value, timeout)
    end
    return act(operations.publish, name, value)
  end,
  subscribe = function(act, name, given)
    local from = given and given.from
    if given ~= nil and type(given) ~= "table" or
       from and from ~= "newest" and from ~= "oldest" then
      error("topic.subscribe: from = 'newest' or 'oldest' expected", 2)
    end
    return subscriber(act, name, act(operations.subscribe, name, from))
  end,
  subscribers = function(act, name) return act(operations.subscribers, name) end,
  __len = function(act, name) return act(operations.length, name) end,
}

function M.look(state)
  return {full = full(state), last = state.last}
end

--- What rules see: `length`, how many were `published`, and how many `subscribers` there are.
function M.show(state)
  local n = 0
  for _ in pairs(state.subscribers) do
    n = n + 1
  end
  return {length = state.last - state.oldest + 1, published = state.last, subscribers = n}
end

local function has_subscriber(state, me)
  for _, one in pairs(state.subscribers) do
    if one.owner == me then
      return true
    end
  end
  return false
end

function M.spares(state, _, me) return not has_subscriber(state, me) end

function M.ends(state, _, me) return has_subscriber(state, me) end

function M.die(state, _, me)
  local changed = false
  for id, one in pairs(state.subscribers) do
    if one.owner == me then
      state.subscribers[id], changed = nil, true
    end
  end
  return changed
end

return M
