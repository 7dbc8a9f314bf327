--- What a forked role has of its parent's: a copy of all that the child's function can reach, as
-- fork(2) copies a process. What either changes afterwards, the other does not see; the two have
-- only in common what lies in shared memory.
--
-- The parent's world becomes the child's. Handles (of segments, subscribers, children) are the
-- same, as they stand for what both have; so are modules, userdata and coroutines.
-- @module shm.lab.model.copy
local M = {}

local shared = setmetatable({}, {__mode = "k"})

--- Marks a handle as one that a child has in common with its parent, and gives it back.
function M.share(handle)
  shared[handle] = true
  return handle
end

local copy

local function copy_table(value, seen)
  local result = {}
  seen[value] = result
  for key, item in next, value do
    result[copy(key, seen)] = copy(item, seen)
  end
  return setmetatable(result, debug.getmetatable(value))
end

-- Functions that had a variable in common have its copy in common.
local function copy_function(value, seen)
  if debug.getinfo(value, "S").what == "C" then
    return value
  end
  local result = assert(load(string.dump(value), "=copy", "b"))
  seen[value] = result
  for i = 1, 255 do
    local name, item = debug.getupvalue(value, i)
    if not name then
      break
    end
    local id = debug.upvalueid(value, i)
    local first = seen[id]
    if first then
      debug.upvaluejoin(result, i, first[1], first[2])
    else -- a new variable, and not the one that load has given it
      debug.upvaluejoin(result, i, (function() return item end), 1)
      seen[id] = {result, i}
      debug.setupvalue(result, i, copy(item, seen))
    end
  end
  return result
end

function copy(value, seen)
  local kind = type(value)
  if kind ~= "table" and kind ~= "function" or shared[value] then
    return value
  elseif seen[value] ~= nil then
    return seen[value]
  end
  return kind == "table" and copy_table(value, seen) or
         kind == "function" and copy_function(value, seen)
end

-- What is the same for all processes that run the same program.
local function modules()
  local seen = {}
  for _, module in pairs(package.loaded) do
    if type(module) == "table" then
      seen[module] = module
      for _, item in next, module do
        if type(item) == "function" then
          seen[item] = item
        end
      end
    end
  end
  return {__index = seen}
end

local common

--- The function that a child runs.
-- @func f the parent's
-- @tparam {table,...} worlds of the parent, and of its parents
-- @tparam table world the child's
-- @treturn function
function M.of(f, worlds, world)
  common = common or modules()
  local seen = setmetatable({}, common)
  for _, one in ipairs(worlds) do
    seen[one] = world
    for name, item in next, one do
      if type(item) == "table" or type(item) == "function" then
        seen[item] = rawget(world, name)
      end
    end
  end
  return copy(f, seen)
end

return M
