--- What stands between a role and the machine: what of its world others may see is an operation,
-- at which the role, a coroutine, stops until the machine makes it. So who yields otherwise, or
-- calls its world in a coroutine of its own, would be taken for who has made a step, or none.
-- @module shm.lab.model.port
local copy = require "shm.lab.model.copy"
local operations = require "shm.lab.model.words"
local worlds = require "shm.lab.world"

local yield = coroutine.yield

local M = {}

local ASTRAY <const> = "a role can not yield, nor call its world in a coroutine of its own"

--- A port, which forked roles have in common with their parents.
-- @treturn table `peek`, where the machine only looks; `asked`, once a role has asked for a step
function M.new()
  return copy.share {}
end

--- What is wrong with how a role has come to the machine, or nil.
-- @tparam table port
-- @tparam boolean stopped whether it is at an operation, and not at its end
-- @param op what it has yielded
function M.astray(port, stopped, op)
  local asked = port.asked
  port.asked = nil
  return (asked or false) ~= stopped and ASTRAY
    or stopped and type(op) ~= "table" and ASTRAY or nil
end

--- The world of a role, the same for all executions.
-- @tparam table machine
-- @tparam table role
-- @treturn table
function M.world(machine, role)
  local port = machine.port
  local function act(op, target, ...)
    if port.peek then
      error("the condition of await may only read words", 0)
    elseif port.asked then
      error(ASTRAY, 0)
    end
    port.asked = true
    return yield(op, target, ...)
  end
  local world = operations.world(port, act)
  local read = world.read
  for _, object in ipairs(machine.protocol.objects) do
    if object.kind.world then
      for name, f in pairs(object.kind.world(act, role, machine.protocol)) do
        world[name] = f
      end
    end
  end
  return worlds.new(machine.protocol, role, world, function(object)
    local handle, meta = {name = object.name, kind = object.kind.name}, {}
    for name, method in pairs(object.kind.methods) do
      local into = name:match "^__" and meta or handle
      into[name] = function(_, ...) return method(act, object.name, ...) end
    end
    if object.kind.view then
      object.kind.view(handle, act, read, object)
    end
    return setmetatable(handle, next(meta) and meta)
  end)
end

return M
