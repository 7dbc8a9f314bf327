--- What stands between a role and the machine: what of its world others may see is an operation,
-- at which the role, a coroutine, stops until the machine makes it.
-- @module shm.lab.model.port
local operations = require "shm.lab.model.words"
local worlds = require "shm.lab.world"

local yield = coroutine.yield

local M = {}

--- The world of a role, the same for all executions.
-- @tparam table machine
-- @tparam table role
-- @treturn table
function M.world(machine, role)
  local port = machine.port
  local function act(op, target, ...)
    if port.peek then
      error("the condition of await may only read words", 0)
    end
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
