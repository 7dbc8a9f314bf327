--- Typed memory: C structs, read and written in place.
--
-- A record describes a struct. It lies as the C compiler would have it, so that a C program
-- can be the other side; @{c_header} writes its declaration. What `at` and `array` give holds
-- the region and copies nothing: reading a field reads the region, writing one writes it.
-- @module shm.record
local access = require "shm.record.access"
local header = require "shm.record.header"
local layout = require "shm.record.layout"

local Record = {}

local function check_integer(value, least, name, where)
  if math.type(value) ~= "integer" then
    error(("record.%s: %s: integer expected, got %s"):format(where, name, type(value)), 3)
  elseif value < least then
    error(("record.%s: %s: %d is less than %d"):format(where, name, value, least), 3)
  end
end

local function check_inside(region, offset, size, where)
  local open, there = pcall(function() return #region end)
  if getmetatable(region) ~= "shm.region" then
    error(("record.%s: region: shm.region expected, got %s"):format(where, type(region)), 3)
  elseif not open then
    error(("record.%s: region: region is closed"):format(where), 3)
  elseif offset > there - size then
    error(("record.%s: offset: %d, and %d bytes from there, is not within the %d bytes of %s")
      :format(where, offset, size, there, region), 3)
  end
end

local function check_record(record, where)
  return layout.of(record)
    or error(("record.%s: shm.record expected, got %s"):format(where, type(record)), 3)
end

local METATABLE = {
  __index = Record,
  __newindex = function() error("a record can not be changed", 2) end,
  __metatable = "shm.record",
  __name = "shm.record",
  __tostring = function(self)
    local it = layout.of(self)
    return ("shm.record (%s, %d bytes)"):format(it.name or "no name", it.size)
  end,
}

--- How many bytes a record takes, with its padding: what C's sizeof gives.
-- @function shm.record:size
-- @treturn int bytes
function Record:size()
  return check_record(self, "size").size
end

--- What the address of a record is a multiple of in C: what C's _Alignof gives.
-- @function shm.record:alignment
-- @treturn int bytes
function Record:alignment()
  return check_record(self, "alignment").align
end

--- Where a field begins: what C's offsetof gives.
-- @function shm.record:offset
-- @string path the field's name; `"position.x"` and `"scores[2]"` go further, items from 1
-- @treturn int bytes from the record's beginning
-- @raise when there is no such field
function Record:offset(path)
  local it = check_record(self, "offset")
  if type(path) ~= "string" then
    error(("record.offset: path: string expected, got %s"):format(type(path)), 2)
  end
  local offset, problem = layout.find(it, path)
  return offset or error("record.offset: " .. problem, 2)
end

--- The record that lies at an offset: its fields are read and written by their names. A
-- whole one is written by assigning a table to it where it is itself a field or an item.
-- @function shm.record:at
-- @tparam shm.region region the memory
-- @int[opt=0] offset in bytes from 0
-- @treturn table fields by name; `pairs` goes through them in order
-- @raise when it reaches outside the region
function Record:at(region, offset)
  local it = check_record(self, "at")
  offset = offset or 0
  check_integer(offset, 0, "offset", "at")
  check_inside(region, offset, it.size, "at")
  return access.of(it).read(region, offset)
end

--- Several records, one behind the other: items count from 1, `#` is how many there are, and
-- `ipairs` goes through them.
-- @function shm.record:array
-- @tparam shm.region region the memory
-- @int offset where the first begins, in bytes from 0
-- @int n how many
-- @treturn table records by index; assigning a table to one writes the fields it has
-- @raise when they reach outside the region
function Record:array(region, offset, n)
  local it = check_record(self, "array")
  local size = it.size
  check_integer(offset, 0, "offset", "array")
  check_integer(n, 0, "n", "array")
  if n > (1 << 40) // size then
    error(("record.array: n: %d records of %d bytes are too many"):format(n, size), 2)
  end
  check_inside(region, offset, n * size, "array")
  return access.of(layout.array(it, n)).read(region, offset)
end

--- The declaration of the struct in C, with assertions that the compiler has the same layout.
-- @function shm.record:c_header
-- @string[opt] name the struct's; absent for the record's own, or "record"
-- @treturn string C
function Record:c_header(name)
  local it = check_record(self, "c_header")
  if name ~= nil and not layout.is_name(name) then
    error(("record.c_header: name: %s is no name in C"):format(tostring(name)), 2)
  end
  return header(it, name)
end

--- Describes a struct: a list of fields, each `{name, type}` or `{name, type, n}` for n of
-- them. A type is `i8` to `u64`, `f32`, `f64`, `bool`, `char[n]` (a string that NULs fill up),
-- any of these with `[n]` behind it, or another record. `{name, type, align = n}` aligns the
-- field to n bytes.
--
-- In the list: `name`, what c_header calls the struct; `packed`, true to have no padding;
-- `align`, the least alignment of the whole.
-- @function shm.record
-- @tparam table fields the list
-- @treturn shm.record the record
-- @raise an error that names the field
return function(fields)
  local record = setmetatable({}, METATABLE)
  layout.new(record, fields)
  return record
end
