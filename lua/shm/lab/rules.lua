--- What must never, always and in the end be so: looks at the state by the protocol's own
-- functions, and keeps count of what they look at, as steps that change it have to be taken in
-- all their orders.
--
-- A rule gets the state `s`: words by their names as they are in memory, s.inside.NAME (how many
-- roles are in that section), s.observed.NAME, s.deaths (how many there were so far), and objects
-- by their names, as their kinds show them.
-- @module shm.lab.rules
local interrupt = require "shm.lab.interrupt"

local M = {}

-- The state as rules see it. see(key) is told what they look at.
local function state_of(source, see)
  local protocol = source.protocol
  local function part(field, prefix, default)
    return setmetatable({}, {__index = function(_, name)
      see(prefix .. name)
      local value = source[field][name]
      return value == nil and default or value
    end})
  end
  local inside, observed = part("inside", "inside ", 0), part("observed", "observed ")
  return setmetatable({}, {__index = function(_, name)
    if name == "inside" then
      return inside
    elseif name == "observed" then
      return observed
    elseif name == "deaths" then
      see(name)
      return source.deaths
    elseif protocol.initial[name] ~= nil then
      see(name)
      return source.memory[name]
    end
    local object = protocol.object_of[name]
    if not object or not object.kind.show then
      error(("s.%s: neither a word nor an object of the protocol"):format(tostring(name)), 2)
    end
    see(name)
    return object.kind.show(source.state[name])
  end, __newindex = function(_, name)
    error(("s.%s = …: rules only look"):format(tostring(name)), 2)
  end})
end

local function broken(rule, state)
  local ok, result = pcall(rule.f, state)
  if not ok then
    interrupt.pass_on(result)
    return {kind = "error", name = rule.name,
            message = ("%s '%s' threw an error: %s"):format(rule.kind, rule.name, result)}
  elseif rule.kind == "never" and result or rule.kind ~= "never" and not result then
    return {kind = rule.kind, name = rule.name,
            message = ("%s '%s' is broken"):format(rule.kind, rule.name)}
  end
end

--- Looks for rules that are broken.
-- @tparam table source protocol, memory, inside, observed, state
-- @treturn function at_once: gives what is broken in this state, as kind, name and message, or nil
-- @treturn function at_end: the same, once all is over
function M.watch(source)
  local protocol = source.protocol
  local watched = source.watched
  local rule
  local state = state_of(source, function(key)
    local seen = watched[key] or {}
    local mark = rule.kind .. " " .. rule.name
    watched[key] = seen
    if not seen[mark] then
      seen[mark] = true
      seen[#seen + 1] = mark
      source.grown = true
    end
  end)
  local final = state_of(source, function() end)

  local function at_once()
    for _, list in ipairs {protocol.never, protocol.always} do
      for _, one in ipairs(list) do
        rule = one
        local found = broken(one, state)
        if found then
          return found
        end
      end
    end
  end

  local function at_end()
    for _, one in ipairs(protocol.finally) do
      local found = broken(one, final)
      if found then
        return found
      end
    end
  end
  return at_once, at_end
end

return M
