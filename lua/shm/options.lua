--- What functions in Lua take besides their subject, and how they refuse what makes no sense:
-- tables of options, and time-outs.
-- @module shm.options
local process = require "shm.process"

local M = {}

local monotonic = process.monotonic

local function check(value, rule, name, level)
  if rule.any then
    return
  end
  local kind = rule.integer and "integer" or rule.type
  local actual = rule.integer and math.type(value) or type(value)
  if actual ~= kind then
    error(("%s: %s expected, got %s"):format(name, kind, actual or type(value)), level + 1)
  end
  if rule.least and not (value >= rule.least and value <= (rule.most or math.huge)) then
    error(("%s: %s is not within %s and %s"):format(name, value, rule.least,
                                                    rule.most or "more"), level + 1)
  end
end

--- Reads a table of options.
-- @tparam[opt] table given what the caller passed; absent stands for none
-- @tparam table rules by name: `type`, `integer` or `any`, `default`, `least`, `most`
-- @tparam string where the function's name, for the errors
-- @treturn table a value for each rule that has a default or was given
-- @raise the error names the option; it points at the caller of the function
function M.read(given, rules, where)
  local level = 3
  if given ~= nil and type(given) ~= "table" then
    error(("%s: table of options expected, got %s"):format(where, type(given)), level)
  end
  local options = {}
  for name, value in pairs(given or {}) do
    local rule = rules[name]
    if not rule then
      error(("%s: unknown option '%s'"):format(where, tostring(name)), level)
    end
    check(value, rule, where .. ": " .. name, level)
    options[name] = value
  end
  for name, rule in pairs(rules) do
    if options[name] == nil then
      options[name] = rule.default
    end
  end
  return options
end

--- Reads a time-out.
-- @tparam[opt] number seconds absent for ever, 0 for not to wait
-- @tparam string where the function's name, for the errors
-- @tparam[opt="timeout"] string name the argument's
-- @treturn number when it is over, by process.monotonic
-- @raise when it is no number, or less than 0; the error points at the caller of the function
function M.deadline(seconds, where, name)
  if seconds == nil then
    return math.huge
  elseif type(seconds) ~= "number" or seconds < 0 or seconds ~= seconds then
    error(("%s: %s: seconds expected, got %s"):format(where, name or "timeout",
      tostring(seconds)), 3)
  end
  return monotonic() + seconds
end

return M
