--- What maps do with functions of Lua: none of them runs while others wait.
-- The methods come to those of shm.map, which are C: src/bind/hashmap.c and its neighbours.
-- @module shm.arena.map
local core = require "shm.core"
local options = require "shm.options"

local methods, monotonic = core.map, core.process.monotonic

-- What is wrong with an argument is told in the name of who was called with it, where it was.
local function method(name, whose)
  return core.method("shm.map", name, "map." .. whose)
end

local lookup_to_update, set_if = method("lookup", "update"), method("set_if", "update")
local lookup_to_get, claim = method("lookup", "get_or"), method("claim", "get_or")
local fulfil, abandon = method("fulfil", "get_or"), methods.abandon
local lookup, apply = method("lookup", "transaction"), method("apply", "transaction")

local E2BIG <const>, EAGAIN <const> = 7, 11
local MOST <const> = 1000 -- keys of a step: see src/bind/apply.c
local MOST_SECONDS <const> = 1000000000
local TRIES <const> = 1000
local UPDATES <const> = 100000 -- so that scribble is no reason to go on for ever

local function check_key(key, what)
  local kind = type(key)
  if kind ~= "string" and kind ~= "boolean" and not (kind == "number" and math.tointeger(key)) then
    error(("map.%s: key: string, integer or boolean expected, got %s"):format(what, kind), 3)
  end
end

local function check_ttl(ttl, what)
  if ttl ~= nil and not (type(ttl) == "number" and ttl > 0 and ttl <= MOST_SECONDS) then
    error(("map.%s: ttl: more than 0 and at most %d seconds expected, got %s"):format(
      what, MOST_SECONDS, tostring(ttl)), 3)
  end
end

local function check(f, what)
  if type(f) ~= "function" then
    error(("map.%s: f: function expected, got %s"):format(what, f == nil and "nil" or type(f)), 3)
  end
end

--- Changes a key's value by a function of it: it is called again if another process has
-- changed the key meanwhile.
-- @function shm.map:update
-- @tparam string|int|boolean key
-- @tparam function f gets the value, nil for an absent key; returns the new one, nil to take
-- the key away
-- @number[opt] ttl in seconds, absent for the one that the key has
-- @return the new value
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EAGAIN (others change it all the time), ENOSPC, EBUSY, EBADMSG
function methods.update(map, key, f, ttl)
  check_key(key, "update")
  check(f, "update")
  check_ttl(ttl, "update")
  for _ = 1, UPDATES do
    local value, version, code = lookup_to_update(map, key)
    if code then
      return value, version, code
    end
    local new = f(value)
    local done, message, errno = set_if(map, key, version, new, ttl)
    if done then
      return new
    elseif done == nil then
      return nil, message, errno
    end
  end
  return nil, "map.update: others change the key all the time", EAGAIN
end

-- A claim is given up however its scope ends: also by an error, or with a coroutine.
local given_up = {__close = function(self)
  if not self.settled then
    pcall(abandon, self.map, self.key)
  end
end}

local function compute(map, key, f, ttl)
  local mine <close> = setmetatable({map = map, key = key}, given_up)
  local value = f(key)
  if value == nil then
    return nil
  end
  local done, message, errno = fulfil(map, key, value, ttl)
  if done == nil then
    return nil, message, errno
  end
  mine.settled = true
  return value
end

--- A key's value, or what a function makes of the key, which is then its value. Of several
-- processes that ask at once one computes, and the others wait for it; if it dies, another
-- one does. Whoever finds the value there calls nothing.
-- @function shm.map:get_or
-- @tparam string|int|boolean key
-- @tparam function f gets the key; returns the value, or nil for none
-- @number[opt] ttl in seconds, absent for ever
-- @number[opt] timeout in seconds for waiting, absent for ever; what f takes does not count
-- @return the value
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT, EINTR after a signal, EDEADLK (this thread computes it already: f
-- asks for the same key, or another coroutine does), ENOSPC, EBADMSG, EBUSY (one that changes
-- the map was stopped, for as long as the time-out is, or a second)
-- @raise what f raises; the key stays absent then
function methods.get_or(map, key, f, ttl, timeout)
  check_key(key, "get_or")
  check(f, "get_or")
  check_ttl(ttl, "get_or") -- before f is called in vain
  options.deadline(timeout, "map.get_or")
  local deadline, left
  while true do
    local value, version, code = lookup_to_get(map, key, left or timeout)
    if code then
      return value, version, code
    elseif value ~= nil then
      return value
    end
    deadline = deadline or timeout and monotonic() + timeout
    left = deadline and math.max(0, deadline - monotonic())
    local claimed, message, errno = claim(map, key, left)
    if claimed then
      return compute(map, key, f, ttl)
    elseif claimed == nil then
      return nil, message, errno
    end
  end
end

-- What a transaction's function sees: the map as it was, and its own changes.
local view = {}
view.__index = view

-- Ends the function: what it did counts for nothing, whether it catches this or not.
local function refuse(self, message, errno)
  self.message, self.errno = message, errno
  error(self.stale, 0)
end

local function slot(self, key)
  if math.type(key) == "float" then
    key = math.tointeger(key)
  end
  local at = self.at[key]
  if not at then
    at = #self.keys + 1
    if at > MOST then
      refuse(self, ("map.transaction: more than %d keys"):format(MOST), E2BIG)
    end
    self.at[key], self.keys[at], self.versions[at], self.deleted[at] = at, key, false, false
  end
  return at
end

local function get(self, key)
  local at = slot(self, key)
  if self.values[at] ~= nil then
    return self.values[at]
  elseif self.deleted[at] then
    return nil
  end
  local value, version, code = lookup(self.map, key)
  if code then
    refuse(self, version, code)
  elseif self.versions[at] and self.versions[at] ~= version then
    error(self.stale, 0)
  end
  self.versions[at] = version
  return value
end

local function set(self, key, value)
  local at = slot(self, key)
  self.values[at], self.deleted[at] = value, value == nil
end

function view:get(key)
  check_key(key, "get")
  return get(self, key)
end

function view:set(key, value)
  check_key(key, "set")
  set(self, key, value)
end

function view:delete(key)
  check_key(key, "delete")
  set(self, key, nil)
end

function view:incr(key, n, init)
  check_key(key, "incr")
  local value = get(self, key)
  if value == nil then
    value = init or error(("there is no key %s to add to"):format(tostring(key)), 2)
  end
  n = n or 1
  if type(value) ~= "number" or type(n) ~= "number" then
    error(("map.incr: %s: a number takes a number, got a %s and a %s"):format(tostring(key),
      type(value), type(n)), 2)
  end
  value = value + n
  set(self, key, value)
  return value
end

local function try(map, f, ...)
  local self = setmetatable({
    map = map, at = {}, keys = {}, versions = {}, values = {}, deleted = {}, stale = {},
  }, view)
  local results = table.pack(pcall(f, self, ...))
  if not results[1] and results[2] ~= self.stale then
    error(results[2], 0)
  elseif self.errno then
    return nil, self.message, self.errno
  elseif not results[1] then
    return false
  end
  local done, message, errno = apply(map, self.keys, self.versions, self.values, self.deleted)
  return done, done == nil and message or results, errno
end

--- Changes several keys in one step: others see all changes or none, whoever dies. The
-- function gets a view of the map with `get(key)`, `set(key, value)`, `delete(key)` and
-- `incr(key, n, init)`; what it changes counts once it has returned, if no key that it looked
-- at was changed by others meanwhile, and else it is called again. If it throws, nothing is
-- changed. It should change nothing but through the view. How much fits is up to the arena's
-- journal: into one of 64 KiB 150 new keys, or 256 that are there; more may not fit into any,
-- and more than 1000 keys can not be looked at.
-- @function shm.map:transaction
-- @tparam function f
-- @param ... what f gets behind the view
-- @return what f returns
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int E2BIG (more than the arena's journal has room for, or 1000 keys), EAGAIN
-- (others changed the same keys a thousand times), ENOSPC, EBUSY, EBADMSG
-- @raise what f raises
function methods.transaction(map, f, ...)
  check(f, "transaction")
  for _ = 1, TRIES do
    local done, results, errno = try(map, f, ...)
    if done then
      return table.unpack(results, 2, results.n)
    elseif done == nil then
      return nil, results, errno
    end
  end
  return nil, "map.transaction: others change the same keys all the time", EAGAIN
end

return methods
