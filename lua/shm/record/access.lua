--- Reading and writing typed memory in place.
--
-- For each type there are two functions of a region and an offset: `read` gives the value, or
-- for what has parts a view that reads and writes these; `write` takes a value, or a table of
-- parts. A view holds the region and an offset, and knows no more.
-- @module shm.record.access
local core = require "shm.core"

local M = {}

-- What is wrong with the region is told where the field was read.
local function reader(name)
  return core.method("shm.region", name, "record")
end

local made = setmetatable({}, {__mode = "k"}) -- by type

local function scalar(it)
  local set = "set_" .. it.name
  return {
    read = reader("get_" .. it.name),
    write = function(region, offset, value) region[set](region, offset, value) end,
  }
end

local function boolean()
  local get = reader "get_u8"
  return {
    read = function(region, offset) return get(region, offset) ~= 0 end,
    write = function(region, offset, value)
      if type(value) ~= "boolean" then
        error(("boolean expected, got %s"):format(type(value)), 0)
      end
      region:set_u8(offset, value and 1 or 0)
    end,
  }
end

local function text(it)
  local n, get = it.size, reader "read"
  return {
    read = function(region, offset)
      local bytes = get(region, offset, n)
      local stop = bytes:find("\0", 1, true)
      return stop and bytes:sub(1, stop - 1) or bytes
    end,
    write = function(region, offset, value)
      if type(value) ~= "string" then
        error(("string expected, got %s"):format(type(value)), 0)
      elseif #value > n then
        error(("%d bytes do not fit char[%d]"):format(#value, n), 0)
      end
      region:write(offset, value .. ("\0"):rep(n - #value))
    end,
  }
end

-- Calls write, and says in its error which part it was.
local function write_part(level, name, write, region, offset, value)
  local ok, problem = pcall(write, region, offset, value)
  if not ok then
    problem = tostring(problem):gsub("^.*bad argument #%d+ to '[^']*' %((.*)%)$", "%1")
    problem = problem:gsub("^.*calling '[^']*' on bad self %((.*)%)$", "%1")
    error(("%s: %s"):format(name, problem), level > 0 and level + 1 or 0)
  end
end

local function check_table(value, what)
  if type(value) ~= "table" then
    error(("%s expected, got %s"):format(what, type(value)), 0)
  end
end

local REGION, OFFSET = {}, {} -- keys that no field and no index is

local function view_of(metatable)
  return function(region, offset)
    return setmetatable({[REGION] = region, [OFFSET] = offset}, metatable)
  end
end

local function array(it)
  local one, n, size = M.of(it.of), it.n, it.of.size
  local read, write = one.read, one.write

  local function place(self, i, level)
    if math.type(i) ~= "integer" or i < 1 or i > n then
      error(("index %s is not within 1 and %d"):format(tostring(i), n), level + 1)
    end
    return self[OFFSET] + (i - 1) * size
  end

  return {
    read = view_of {
      __name = "shm.record.array",
      __len = function() return n end,
      __index = function(self, i)
        if i == n + 1 then
          return nil -- where ipairs stops
        end
        return read(self[REGION], place(self, i, 2))
      end,
      __newindex = function(self, i, value)
        local offset = place(self, i, 2)
        write_part(2, "item " .. i, write, self[REGION], offset, value)
      end,
      __pairs = function(self) return ipairs(self) end,
      __tostring = function(self)
        return ("shm.record.array (%d items at %d)"):format(n, self[OFFSET])
      end,
    },
    write = function(region, offset, values)
      check_table(values, "list")
      if #values > n then
        error(("%d items do not fit %d"):format(#values, n), 0)
      end
      for i = 1, #values do
        write_part(0, "item " .. i, write, region, offset + (i - 1) * size, values[i])
      end
    end,
  }
end

local function record(it)
  local fields = {}
  for i, field in ipairs(it.fields) do
    local one = M.of(field.type)
    local entry = {name = field.name, offset = field.offset, read = one.read, write = one.write}
    fields[i], fields[field.name] = entry, entry
  end

  local function field_of(key, level)
    local field = type(key) == "string" and fields[key]
    return field or error(("there is no field '%s'"):format(tostring(key)),
                          level > 0 and level + 1 or 0)
  end

  return {
    read = view_of {
      __name = "shm.record.view",
      __index = function(self, key)
        local field = field_of(key, 2)
        return field.read(self[REGION], self[OFFSET] + field.offset)
      end,
      __newindex = function(self, key, value)
        local field = field_of(key, 2)
        write_part(2, key, field.write, self[REGION], self[OFFSET] + field.offset, value)
      end,
      __pairs = function(self)
        local i = 0
        return function()
          i = i + 1
          local field = fields[i]
          if field then
            return field.name, field.read(self[REGION], self[OFFSET] + field.offset)
          end
        end
      end,
      __tostring = function(self)
        return ("shm.record.view (%s at %d)"):format(it.name or "no name", self[OFFSET])
      end,
    },
    write = function(region, offset, values)
      check_table(values, "table of fields")
      for key, value in pairs(values) do
        local field = field_of(key, 0)
        write_part(0, key, field.write, region, offset + field.offset, value)
      end
    end,
  }
end

--- The two functions of a type.
function M.of(it)
  local access = made[it]
  if not access then
    if it.kind == "scalar" then
      access = it.name == "bool" and boolean() or scalar(it)
    else
      access = ({char = text, array = array, record = record})[it.kind](it)
    end
    made[it] = access
  end
  return access
end

return M
