--- What a call on an object answers where the world says no, as shm's own objects do: nil, a
-- message, and the number of the error; and what it does where it makes no sense: it throws.
-- @module shm.lab.model.answer
local M = {}

--- Numbers of errors, and what the kernel calls them.
M.ENOENT, M.EEXIST, M.EINVAL, M.EFBIG, M.ERANGE = 2, 17, 22, 27, 34
M.EDEADLK, M.EIDRM, M.EOVERFLOW, M.ETIMEDOUT = 35, 43, 75, 110

local TEXTS <const> = {
  [M.ENOENT] = "No such file or directory",
  [M.EEXIST] = "File exists",
  [M.EINVAL] = "Invalid argument",
  [M.EFBIG] = "File too large",
  [M.ERANGE] = "Numerical result out of range",
  [M.EIDRM] = "Identifier removed",
  [M.EOVERFLOW] = "Value too large for defined data type",
  [M.ETIMEDOUT] = "Connection timed out",
}

--- The world says no.
-- @string call "semaphore.wait"
-- @string name the object's
-- @int errno
-- @treturn nil
-- @treturn string message
-- @treturn int errno
function M.no(call, name, errno)
  return nil, ("%s '%s': %s"):format(call, name, TEXTS[errno]), errno
end

--- Waiting would be waiting for oneself.
function M.alone(me)
  return nil, ("deadlock: %s -> %s"):format(me.name, me.name), M.EDEADLK
end

--- Checks a time-out, which an operation in the model only tells from none.
-- @param timeout seconds, or nil
-- @string call
-- @raise at who called the method
function M.check_timeout(timeout, call)
  if timeout ~= nil and (type(timeout) ~= "number" or timeout < 0 or timeout ~= timeout) then
    error(("%s: timeout: seconds expected, got %s"):format(call, tostring(timeout)), 3)
  end
end

--- Checks an integer.
-- @raise at who called the method
function M.check_integer(value, least, most, call, what)
  if math.type(value) ~= "integer" then
    error(("%s: %s: integer expected, got %s"):format(call, what, type(value)), 3)
  elseif value < least or value > most then
    error(("%s: %s: %d is not within %d and %d"):format(call, what, value, least, most), 3)
  end
end

--- Refuses what a protocol says of an object that takes nothing.
function M.no_options(given, what)
  if given ~= nil then
    error(what .. " has no options", 0)
  end
end

--- Reads what the protocol says of an object: a table of options, or one value.
-- @param given what it says, or nil
-- @string|nil alone the option that a bare value stands for
-- @tparam table rules see shm.options
-- @treturn table options
-- @raise what does not make sense
function M.options(given, alone, rules)
  if type(given) ~= "table" and given ~= nil then
    if not alone then
      error(("table of options expected, got %s"):format(type(given)), 0)
    end
    given = {[alone] = given}
  end
  local read = {}
  for name, value in pairs(given or {}) do
    local rule = rules[name]
    local kind = rule and (rule.least and math.type(value) or type(value))
    if not rule then
      error(("unknown option '%s'"):format(tostring(name)), 0)
    elseif kind ~= rule.type then
      error(("%s: %s expected, got %s"):format(name, rule.type, kind or type(value)), 0)
    elseif rule.least and (value < rule.least or value > rule.most) then
      error(("%s: %d is not within %d and %d"):format(name, value, rule.least, rule.most), 0)
    end
    read[name] = value
  end
  for name, rule in pairs(rules) do
    if read[name] == nil then
      read[name] = rule.default
    end
  end
  return read
end

return M
