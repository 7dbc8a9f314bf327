--- Messages of queues and topics in the model: what goes in is copied, as it is on its way through
-- shared memory, and comes out as a copy again.
-- @module shm.lab.model.message
local values = require "shm.value"

local M = {}

local KEYS <const> = {integer = 1, float = 1, string = 2}

--- A copy that nobody can change, or an error at the caller's level.
function M.copy(value, what, level)
  local ok, bytes, message = pcall(values.encode, value)
  if not ok or not bytes then
    error(("%s: %s"):format(what, tostring(ok and message or bytes)), level)
  end
  return bytes
end

--- The value that a copy is of.
function M.value(bytes)
  return (values.decode(bytes))
end

local function before(one, other)
  local a, b = KEYS[math.type(one) or type(one)], KEYS[math.type(other) or type(other)]
  if a ~= b then
    return (a or 3) < (b or 3)
  end
  return a and one < other or tostring(one) < tostring(other)
end

--- A value for a person, always in the same words.
function M.show(value)
  if type(value) == "string" then
    return ("%q"):format(value)
  elseif type(value) ~= "table" then
    return tostring(value)
  end
  local words, keys = {}, {}
  for i, item in ipairs(value) do
    words[i] = M.show(item)
  end
  for key in pairs(value) do
    if math.type(key) ~= "integer" or key < 1 or key > #words then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys, before)
  for _, key in ipairs(keys) do
    local name = type(key) == "string" and key:match "^[%a_][%w_]*$" or "[" .. M.show(key) .. "]"
    words[#words + 1] = name .. " = " .. M.show(value[key])
  end
  return "{" .. table.concat(words, ", ") .. "}"
end

--- What a step with messages was, for a trace; came_of says the results.
function M.text(step, came_of)
  local words = {}
  for i = 1, step.args.n do
    words[i] = M.show(step.args[i])
  end
  return ("%s:%s(%s)%s"):format(step.object, step.action, table.concat(words, ", "),
                                came_of(step.results, M.show))
end

return M
