--- Notices what roles use beside their world: functions that give something else each time, and
-- variables of the program around them that change. A search takes a role through the same
-- steps again and again, and can only trust what it sees if these are the same.
-- @module shm.lab.outside
local M = {}

local FORBIDDEN <const> = {
  os = {"time", "clock", "date", "tmpname", "getenv", "execute", "remove", "rename", "exit"},
  io = {"read", "lines", "open", "popen"},
  math = {"random"},
}

-- The variables that functions use: who has them, which, and what they hold.
local function variables_of(protocol)
  local list, seen = {}, {}
  local function look(f, role)
    if seen[f] then
      return
    end
    seen[f] = true
    for i = 1, 255 do
      local name, value = debug.getupvalue(f, i)
      if not name then
        break
      end
      local kind = type(value)
      if kind == "function" and debug.getinfo(value, "S").what == "Lua" then
        look(value, role)
      elseif kind == "number" or kind == "string" or kind == "boolean" or kind == "nil" then
        list[#list + 1] = {f = f, i = i, name = name, value = value, role = role}
      end
    end
  end
  for _, role in ipairs(protocol.roles) do
    look(role.run, role)
    if role.restart then
      look(role.restart, role)
    end
  end
  return list
end

--- Watches until it is closed.
-- @tparam shm.lab.protocol protocol
-- @treturn table `changed()` gives what is wrong once a variable is not what it was; close it
function M.watch(protocol)
  local variables, saved, main = variables_of(protocol), {}, coroutine.running()
  for library, names in pairs(FORBIDDEN) do
    local functions = _G[library]
    for _, name in ipairs(names) do
      local original = functions[name]
      saved[#saved + 1] = {functions, name, original}
      functions[name] = function(...)
        if coroutine.running() ~= main then -- a role's
          error(("%s.%s is outside its world"):format(library, name), 2)
        end
        return original(...)
      end
    end
  end
  local watch = {}
  function watch.changed()
    for _, one in ipairs(variables) do
      local _, value = debug.getupvalue(one.f, one.i)
      if value ~= one.value and (value == value or one.value == one.value) then -- no NaN
        return {kind = "outside", roles = {one.role.index}, message =
          ("role %s changes the variable '%s', which is outside its world: it was %s, and is %s")
            :format(one.role.name, one.name, tostring(one.value), tostring(value))}
      end
    end
  end
  return setmetatable(watch, {__close = function()
    for _, one in ipairs(saved) do
      one[1][one[2]] = one[3]
    end
  end})
end

return M
