--- What a role sees: its words as fields, its objects by their names, and the functions that
-- both worlds have. The same for the model and for real processes, which give it what is behind.
-- @module shm.lab.world
local kinds = require "shm.lab.kinds"

local M = {}

--- The names that are the world's own, which no word or object can have.
M.TAKEN = {role = true, name = true}
for _, name in ipairs {"read", "write", "reader", "writer", "await", "fence", "cas", "add", "swap",
                       "enter", "leave", "observe", "note", "choose", "wait", "futex", "wake",
                       "inside", "observed", "deaths"} do
  M.TAKEN[name] = true
end
for name in pairs(kinds.names) do
  M.TAKEN[name] = true
end

local function check_word(protocol, action, name)
  if protocol.initial[name] == nil then
    error(("w.%s: there is no word '%s'; words = {...} of the protocol names them")
      :format(action, tostring(name)), 3)
  end
end

local function check_name(action, name)
  if type(name) ~= "string" then
    error(("w.%s: name expected, got %s"):format(action, type(name)), 3)
  end
end

local function check_timeout(action, seconds)
  if seconds ~= nil and not (type(seconds) == "number" and seconds >= 0) then
    error(("w.%s: timeout: seconds expected, got %s"):format(action, tostring(seconds)), 4)
  end
end

-- What stands behind the word, where that is not the same in both worlds by itself.
local REST <const> = {
  wait = function(_, timeout) check_timeout("wait", timeout) end,
  futex = function(_, timeout) check_timeout("futex", timeout) end,
  wake = function(n)
    if n ~= nil and not (math.type(n) == "integer" and n >= 0 and n < 1 << 31) then
      error(("w.wake: n: integer from 0 to %d expected, got %s"):format((1 << 31) - 1,
                                                                        tostring(n)), 3)
    end
  end,
}
local OBSERVED <const> = {["nil"] = true, boolean = true, number = true, string = true}

-- Those that take a word refuse what is none.
local function guard(protocol, world)
  for _, action in ipairs {"read", "write", "reader", "writer", "cas", "add", "swap", "wait",
                           "futex", "wake"} do
    local f, rest = world[action], REST[action]
    world[action] = function(name, ...)
      check_word(protocol, action, name)
      if rest then
        rest(...)
      end
      return f(name, ...)
    end
  end
  local observe = world.observe
  function world.observe(name, value)
    check_name("observe", name)
    if not OBSERVED[type(value)] then
      error(("w.observe: %s: boolean, number or string expected, got %s"):format(name,
                                                                                type(value)), 2)
    end
    return observe(name, value)
  end
  for _, action in ipairs {"enter", "leave"} do
    local f = world[action]
    world[action] = function(name, ...)
      check_name(action, name)
      return f(name, ...)
    end
  end
  local await, choose = world.await, world.choose
  function world.await(condition)
    if type(condition) ~= "function" then
      error(("w.await: function expected, got %s"):format(type(condition)), 2)
    end
    return await(condition)
  end
  function world.choose(n)
    if math.type(n) ~= "integer" or n < 1 then
      error(("w.choose: integer from 1 expected, got %s"):format(tostring(n)), 2)
    end
    return choose(n)
  end
end

--- The world of one role.
-- @tparam shm.lab.protocol protocol
-- @tparam table role index and name
-- @tparam table world the functions, see shm.lab.model.words
-- @tparam function handle gives what stands for an object, of which it gets the protocol's record
-- @treturn table w
function M.new(protocol, role, world, handle)
  local read, write = world.read, world.write
  local initial = protocol.initial
  guard(protocol, world)
  local w = world
  w.role, w.name = role.index, role.name
  for _, object in ipairs(protocol.objects) do
    if object.kind.methods then
      w[object.name] = handle(object)
    end
  end
  return setmetatable(w, {
    __index = function(_, name)
      if initial[name] == nil then
        error(("w.%s: neither a word nor an object of the protocol"):format(tostring(name)), 2)
      end
      return read(name)
    end,
    __newindex = function(_, name, value)
      if initial[name] == nil then
        error(("w.%s = …: there is no such word"):format(tostring(name)), 2)
      end
      write(name, value)
    end,
  })
end

return M
