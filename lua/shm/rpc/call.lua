--- Calls whose answer is waited for later, and how answers become results.
-- @module shm.rpc.call
local flight = require "shm.rpc.flight"
local options = require "shm.options"

local M = {}

local ECANCELED <const> = 125
local unpack = table.unpack

local Call = {__name = "shm.rpc.call"}
Call.__index = Call

--- nil, message, errno of a function that calls.
function M.fail(state, what, method, why, errno)
  return nil, ("rpc.%s '%s.%s': %s"):format(what, state.name, method, why), errno
end

--- What a caller gets of an answer.
function M.results(state, what, method, answer)
  local n = answer[2]
  if n < 0 then
    return M.fail(state, what, method, answer[3], -n)
  end
  return unpack(answer, 3, n + 2)
end

--- A call that has been pushed. As long as it is in flight its client is not collected.
function M.new(client, state, slot, method, limit)
  return setmetatable({client = client, state = state, slot = slot, method = method,
                       limit = limit}, Call)
end

local function settle(call, answer)
  call.client, call.slot, call.answer = nil, nil, answer
end

local function check(call, what, level)
  level = level or 3
  if getmetatable(call) ~= Call then
    error(("rpc.%s: call expected, got %s"):format(what, type(call)), level)
  end
  local state = call.state
  if call.slot and not state.place then
    error(("rpc.%s: client is closed"):format(what), level)
  elseif call.slot and state.owner() == 0 then
    error(("rpc.%s: the call belongs to process %d"):format(what, state.pid), level)
  end
  return state
end

--- Waits for the answer. When the time is up the call goes on, and can be waited for again; once
-- the answer is there it stays.
-- @number[opt] timeout in seconds, absent for the client's
-- @return what the method returns
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int as of client:call; ECANCELED; or EINVAL, where what can not be sent was put into
-- a table among the arguments before anybody had begun
function Call:wait(timeout)
  local state = check(self, "wait")
  options.deadline(timeout, "rpc.wait")
  local slot = self.slot
  if slot then
    local answer, why, errno = flight.await(state, slot, timeout or self.limit)
    if not answer then
      return M.fail(state, "wait", self.method, why, errno)
    end
    flight.release(state, slot)
    settle(self, answer)
  end
  return M.results(state, "wait", self.method, self.answer)
end

--- Gives the call up: if no server has begun it, none will; one that has can ask for it; and
-- its answer is thrown away.
-- @treturn boolean whether it was in flight
function Call:cancel()
  local state, slot = check(self, "cancel"), self.slot
  if not slot then
    return false
  end
  flight.give_up(state, slot)
  settle(self, {0, -ECANCELED, "it was cancelled"})
  return true
end

local function close(call)
  local state = call.state
  if call.slot and state and state.place and state.owner() == 1 then
    call:cancel()
  end
end

Call.__close, Call.__gc = close, close

function Call:__tostring()
  local how = self.slot and (self.state.place and "in flight" or "closed") or "answered"
  return ("shm.rpc.call (%s.%s, %s)"):format(self.state.name, self.method, how)
end

-- The queue of answers, while one is waited for.
local function box(call, what)
  local state = check(call, what, 4)
  return call.slot and state.box
end

--- A descriptor that is readable when answers are there, the client's.
-- @treturn ?int nil when the call has ended
function Call:fileno()
  local its = box(self, "fileno")
  if its then
    return its:fileno()
  end
end

--- The same for LuaSocket's `select`.
function Call:getfd()
  local its = box(self, "getfd")
  if its then
    return its:getfd()
  end
end

--- The same for cqueues.
function Call:pollfd()
  local its = box(self, "pollfd")
  if its then
    return its:pollfd()
  end
end

--- What the descriptor is polled for.
-- @treturn string "r"
function Call:events()
  check(self, "events")
  return "r"
end

--- When to wait for the call even if the descriptor is not readable: now, where its answer has
-- come with others; or soon, as who serves may die.
-- @treturn number seconds
function Call:timeout()
  local state = check(self, "timeout")
  return self.slot and not state.answers[self.slot] and flight.SLICE or 0
end

return M
