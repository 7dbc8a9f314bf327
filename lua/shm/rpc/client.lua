--- Who calls: the methods of clients.
-- @module shm.rpc.client
local calls = require "shm.rpc.call"
local core = require "shm.core"
local flight = require "shm.rpc.flight"
local options = require "shm.options"
local owners = require "shm.rpc.owner"
local registers = require "shm.rpc.register"
local words = require "shm.rpc.words"

local M = {}

local queue = core.sync.queue
local begin, push, await, release = flight.begin, flight.push, flight.await, flight.release
local getmetatable, select, type = getmetatable, select, type
local MOST <const> = words.MOST
local ENOBUFS <const> = 105

local RULES <const> = {
  timeout = {type = "number", default = math.huge, least = 0},
  retry = {integer = true, default = 0, least = 0, most = 1000},
}

local Client = {__name = "shm.rpc.client"}
Client.__index = Client

local function check(client, what, level)
  level = level or 3
  if getmetatable(client) ~= Client then
    error(("rpc.%s: client expected, got %s"):format(what, type(client)), level)
  end
  local state = client.state
  if not state.place then
    error(("rpc.%s: client is closed"):format(what), level)
  elseif state.owner() == 0 then
    error(("rpc.%s: the client belongs to process %d"):format(what, state.pid), level)
  end
  return state
end

local function check_call(client, what, method, n)
  local state = check(client, what, 4)
  if type(method) ~= "string" then
    error(("rpc.%s: method: string expected, got %s"):format(what, type(method)), 3)
  elseif n > MOST then
    error(("rpc.%s: %d arguments, where %d can be"):format(what, n, MOST), 3)
  end
  return state
end

-- Gives a call up that an error ends, such as Ctrl-C makes while it waits.
local Guard = {__close = function(guard, thrown)
  local state, slot = guard.state, guard.slot
  if thrown ~= nil and state.place and state.pending[slot] then
    flight.give_up(state, slot)
  end
end}

-- One for all calls of a client: nothing but an error ends two at once.
local function guarded(state, slot)
  local guard = state.guard
  guard.slot = slot
  return guard
end

--- Makes a client of what rpc.client found.
-- @tparam table register
-- @tparam table opts as for rpc.client
-- @treturn shm.rpc.client
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.new(register, opts)
  local place, number, errno = register:take "client"
  if not place then
    return nil, number, errno
  end
  local size = words.BOX + queue.size {capacity = opts.answers}
  local named = registers.client_name(register.name, place, number)
  local region, box, message
  region, message, errno = register.arena:bytes(named, size, registers.LAYOUT)
  if region then
    box, message, errno = queue.create(region, words.BOX, {capacity = opts.answers})
  end
  if not box then
    if region then
      region:close()
    end
    return nil, message, errno
  end
  local state = flight.new(register, place, number, region, box)
  state.owner, state.page = owners.new()
  state.guard = setmetatable({state = state}, Guard)
  return setmetatable({state = state, limit = opts.timeout, again = opts.retry}, Client)
end

--- Calls a method, and waits for its answer. An error that ends the wait, as Ctrl-C makes one,
-- gives the call up.
-- @string method
-- @param ... what it gets, as of queues: nil, booleans, numbers, strings, tables of these; 250
-- at most
-- @return what it returns
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EREMOTEIO (the method threw: the message says what), ENOSYS (there is no such
-- method), EOWNERDEAD (its server died, or was closed, and may have done it or not; the message
-- has its pid), EMSGSIZE (what the message names is too long: the request, which nobody has begun
-- then, or the answer, and then it is done), ETIMEDOUT (nobody will see an answer that comes
-- later), EINTR after a signal, EBADMSG (what lies among the answers is no message); before
-- anybody has begun: ENOBUFS (the service is full, and made to reject; or 256 calls are in
-- flight), EPIPE (its queue was shut down), EBUSY (who has the queue was stopped)
function Client:call(method, ...)
  local state = getmetatable(self) == Client and self.state
  if not state or not state.place or state.owner() == 0 or type(method) ~= "string" or
     select("#", ...) > MOST then
    check_call(self, "call", method, select("#", ...))
  end
  local slot, message = begin(state, self.again, method, ...)
  if not slot then
    return calls.fail(state, "call", method, words.SLOTS .. " calls are in flight", ENOBUFS)
  end
  local limit = self.limit
  local _ <close> = guarded(state, slot)
  local answer, why, errno = push(state, "call", message, limit)
  if answer then
    answer, why, errno = await(state, slot, limit, why)
  end
  if not answer then
    flight.give_up(state, slot)
    return calls.fail(state, "call", method, why, errno)
  end
  release(state, slot)
  return calls.results(state, "call", method, answer)
end

--- Calls a method without waiting for its answer, for which `call:wait` is. It waits for room
-- in the queue, if there is none.
-- @string method
-- @param ... as for call
-- @treturn shm.rpc.call the call
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT (the service is full), ENOBUFS, EMSGSIZE, EPIPE, EBUSY, EINTR
function Client:start(method, ...)
  local state = check_call(self, "start", method, select("#", ...))
  local slot, message = begin(state, self.again, method, ...)
  if not slot then
    return calls.fail(state, "start", method, words.SLOTS .. " calls are in flight", ENOBUFS)
  end
  local _ <close> = guarded(state, slot)
  local done, why, errno = push(state, "start", message, self.limit)
  if not done then
    flight.give_up(state, slot)
    return calls.fail(state, "start", method, why, errno)
  end
  return calls.new(self.of or self, state, slot, method, self.limit)
end

--- Has a method called once, or not at all: nobody hears of its results and errors, nor that
-- its server died.
-- @string method
-- @param ... as for call
-- @treturn boolean true once it is in the queue
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT (the service is full), ENOBUFS, EMSGSIZE, EPIPE, EBUSY, EINTR
function Client:cast(method, ...)
  local n = select("#", ...)
  local state = check_call(self, "cast", method, n)
  local done, why, errno = push(state, "cast", {0, method, n, ...}, self.limit)
  if not done then
    return calls.fail(state, "cast", method, why, errno)
  end
  return true
end

--- The same client with another timeout, or another number of retries.
-- @tparam table options `timeout` in seconds, `retry`: what is absent is as it is here
-- @treturn shm.rpc.client which closes together with this one
function Client:with(opts)
  local state = check(self, "with")
  opts = options.read(opts, {
    timeout = {type = "number", default = self.limit, least = 0},
    retry = {integer = true, default = self.again, least = 0, most = RULES.retry.most},
  }, "rpc.with")
  return setmetatable({state = state, limit = opts.timeout, again = opts.retry,
                       of = self.of or self}, Client)
end

--- Who serves.
-- @treturn {int,...} pids
function Client:servers()
  return check(self, "servers").register:pids "server"
end

--- Closes the client. Calls that are in flight are given up.
-- @treturn boolean true
function Client:close()
  if getmetatable(self) ~= Client then
    error("rpc.close: client expected, got " .. type(self), 2)
  end
  local state = self.state
  if not state.place then
    return true
  end
  state.box:close()
  state.region:close()
  state.register:close() -- which leaves the place; a child has a copy, and no place
  state.place = nil
  if state.page then
    state.page:close()
  end
  return true
end

Client.__close = Client.close

-- What `with` gave shares the client, which lives as long as one of them does.
function Client:__gc()
  if not self.of then
    self:close()
  end
end

function Client:__tostring()
  return ("shm.rpc.client (%s)"):format(self.state.place and self.state.name or "closed")
end

--- A descriptor that is readable when answers are there: `wait` calls until they are not.
-- @treturn int
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function Client:fileno()
  return check(self, "fileno").box:fileno()
end

--- The same for LuaSocket's `select`.
function Client:getfd()
  return check(self, "getfd").box:getfd()
end

--- The same for cqueues.
function Client:pollfd()
  return check(self, "pollfd").box:pollfd()
end

--- What the descriptor is polled for.
-- @treturn string "r"
function Client:events()
  check(self, "events")
  return "r"
end

--- When to wait for calls even if the descriptor is not readable: now, where an answer has come
-- already; soon, as who serves may die; or not at all, where no call is in flight.
-- @treturn ?number seconds
function Client:timeout()
  local state = check(self, "timeout")
  if next(state.answers) then
    return 0
  end
  return state.n_free < words.SLOTS and flight.SLICE or nil
end

M.RULES = RULES

return M
