--- Stands between a role and what it calls: each call is one of `call(action, object, args, f,
-- ...)`, which has f(...) done. The same for real objects, whose calls are written down, and for
-- those of the model, whose calls are compared with what was.
-- @module shm.lab.run.tap
local M = {}

-- What gives another thing that can be called: its results are such things themselves.
local MAKERS <const> = {subscribe = true, attach = true, fork = true}

local function plain(value)
  local kind = type(value)
  if kind == "function" or kind == "userdata" or kind == "thread" then
    return kind
  elseif kind == "table" and getmetatable(value) then
    return tostring(value)
  end
  return value
end

--- Arguments or results as a list with n, in which nothing is left that can not be written down.
function M.pack(...)
  local list = {n = select("#", ...), ...}
  for i = 1, list.n do
    list[i] = plain(list[i])
  end
  while list.n > 0 and list[list.n] == nil do
    list.n = list.n - 1
  end
  return list
end

local handle_of
local behind = setmetatable({}, {__mode = "k"}) -- of what stands for something: that

-- Arguments as they are meant, for what is called.
local function meant(first, ...)
  if select("#", ...) == 0 then
    return behind[first] or first
  end
  return behind[first] or first, meant(...)
end

local function wrapped(call, name, key, first, ...)
  if MAKERS[key] and (type(first) == "table" or type(first) == "userdata") then
    return handle_of(call, name and name .. "." .. key or key, first), ...
  end
  return first, ...
end

--- A function whose calls are told.
-- @tparam function call
-- @tparam string|nil name the object's
-- @string key the function's
-- @tparam function f
function M.func(call, name, key, f)
  return function(...)
    return call(key, name, M.pack(...), function(...)
      return wrapped(call, name, key, f(...))
    end, ...)
  end
end

--- What stands for an object: its functions, which are methods, its fields and its length.
function M.handle(call, name, handle)
  local proxy = {}
  behind[proxy] = handle
  local function method(key, f)
    return function(_, ...)
      return call(key, name, M.pack(...), function(...)
        if select("#", ...) == 0 then
          return wrapped(call, name, key, f(handle))
        end
        return wrapped(call, name, key, f(handle, meant(...)))
      end, ...)
    end
  end
  for key, f in pairs(type(handle) == "table" and handle or {}) do
    if type(f) == "function" then
      proxy[key] = method(key, f)
    end
  end
  return setmetatable(proxy, {
    __index = function(_, key)
      if key == "name" or key == "role" then -- what it is, and no access
        return handle[key]
      end
      return call("read", name .. "." .. tostring(key), {n = 0}, function()
        local value = handle[key]
        if type(value) == "function" then
          error(("%s.%s: call it as a method"):format(name, key), 0)
        end
        return value
      end)
    end,
    __newindex = function(_, key, value)
      call("write", name .. "." .. tostring(key), M.pack(value), function()
        handle[key] = value
      end)
    end,
    __close = function()
      local closing = handle.close
      return closing and call("close", name, {n = 0}, closing, handle)
    end,
    __len = function() return call("length", name, {n = 0}, function() return #handle end) end,
    __name = name, __tostring = function() return name end,
  })
end

handle_of = M.handle

return M
