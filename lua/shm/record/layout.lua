--- Where the fields of a struct lie: C's rules.
--
-- A type is a table: `kind` is "scalar", "char", "array" or "record", `size` and `align` are in
-- bytes. An array has `of` and `n`, a record `fields` (a list, and by name) with `offset`s.
-- @module shm.record.layout
local scalars = require("shm.core").scalars -- size and alignment of each, from the compiler

local M = {}

local MOST = 1 << 40 -- bytes; no product of two sizes overflows

local KEYWORDS = {}
for word in ([[auto break case char const continue default do double else enum extern float for
  goto if inline int long register restrict return short signed sizeof static struct switch
  typedef union unsigned void volatile while bool true false asm typeof inline NULL offsetof linux
  unix __alignof __asm __attribute __const __extension __inline __int128 __label __restrict
  __signed __thread __typeof __volatile]]):gmatch "[%w_]+" do
  KEYWORDS[word] = true
end

local layouts = setmetatable({}, {__mode = "k"})

--- The layout of a record, or nil if it is none.
function M.of(record)
  return layouts[record]
end

--- Whether C takes it for a name.
function M.is_name(name)
  return type(name) == "string" and name:match "^[%a_][%w_]*$" ~= nil and not KEYWORDS[name]
    and not name:match "^_%u" and not name:match "^__.*__$" -- the compiler's own
end

local function fail(level, ...)
  error("record: " .. string.format(...), level + 1)
end

--- So many of a type, one behind the other. No more than make sense.
function M.array(of, n)
  assert(n <= MOST // of.size)
  return {kind = "array", of = of, n = n, size = of.size * n, align = of.align}
end

-- So many of a type, if that is a number of items.
local function several(of, n, name, level)
  if math.type(n) ~= "integer" or n < 1 then
    fail(level + 1, "field '%s': %s is no number of items", name, tostring(n))
  elseif n > MOST // of.size then
    fail(level + 1, "field '%s' is too large", name)
  end
  return M.array(of, n)
end

-- "i32", "char[4]", "f64[3]", "char[4][10]": the innermost stands last, as in C.
local function parse(text, name, level)
  local word, rest = text:match "^(%a%w*)(.*)$"
  local counts = {}
  for n in (rest or ""):gmatch "%[(%d+)%]" do
    counts[#counts + 1] = math.tointeger(tonumber(n)) or math.maxinteger
  end
  if not word or rest:gsub("%[%d+%]", "") ~= "" then
    fail(level + 1, "field '%s': '%s' is no type", name, text)
  end
  local one
  if word == "char" then
    if #counts == 0 then
      fail(level + 1, "field '%s': how long? char[n]", name)
    end
    one = {kind = "char", align = 1,
           size = several({size = 1}, table.remove(counts), name, level + 1).n}
  elseif scalars[word] then
    one = {kind = "scalar", name = word, size = scalars[word].size, align = scalars[word].align}
  else
    fail(level + 1, "field '%s': '%s' is no type", name, text)
  end
  for i = #counts, 1, -1 do
    one = several(one, counts[i], name, level + 1)
  end
  return one
end

local function type_of(field, name, level)
  local given = field[2]
  local one = layouts[given]
  if not one then
    if type(given) ~= "string" then
      fail(level + 1, "field '%s': a type's name or a record expected, got %s", name, type(given))
    end
    one = parse(given, name, level + 1)
  end
  if field[3] ~= nil then
    one = several(one, field[3], name, level + 1)
  end
  return one
end

local function alignment(value, least, where, level)
  if value == nil then
    return least
  end
  if math.type(value) ~= "integer" or value < 1 or value > 4096 or value & (value - 1) ~= 0 then
    fail(level + 1, "%s: align: %s is no power of 2 up to 4096", where, tostring(value))
  end
  return math.max(value, least)
end

local FIELD_KEYS = {true, true, true, align = true}
local RECORD_KEYS = {name = true, packed = true, align = true}

local function check_keys(t, known, where, level)
  for key in pairs(t) do
    local item = known == RECORD_KEYS and math.type(key) == "integer" and key >= 1 and key <= #t
    if not known[key] and not item then
      fail(level + 1, "%s: unknown '%s'", where, tostring(key))
    end
  end
end

local function up(offset, align)
  return (offset + align - 1) // align * align
end

local function add(it, field, i, level)
  if type(field) ~= "table" then
    fail(level + 1, "field %d: {name, type} expected, got %s", i, type(field))
  end
  local name = field[1]
  if not M.is_name(name) then
    fail(level + 1, "field %d: %s is no name in C", i, tostring(name))
  elseif it.fields[name] then
    fail(level + 1, "field '%s' is there twice", name)
  end
  local where = ("field '%s'"):format(name)
  check_keys(field, FIELD_KEYS, where, level + 1)
  local of = type_of(field, name, level + 1)
  local align = alignment(field.align, it.packed and 1 or of.align, where, level + 1)
  local added = {name = name, type = of, offset = up(it.size, align), align = field.align}
  it.size = added.offset + of.size
  it.align = math.max(it.align, align)
  if it.size > MOST then
    fail(level + 1, "%s: the record is too large", where)
  end
  it.fields[i], it.fields[name] = added, added
end

--- Gives a record the layout of a list of fields. Errors point at the caller of the caller.
function M.new(record, fields)
  local level = 3
  if type(fields) ~= "table" then
    fail(level, "list of fields expected, got %s", type(fields))
  end
  check_keys(fields, RECORD_KEYS, "the record", level)
  if fields.name ~= nil and not M.is_name(fields.name) then
    fail(level, "name: %s is no name in C", tostring(fields.name))
  elseif fields.packed ~= nil and type(fields.packed) ~= "boolean" then
    fail(level, "packed: boolean expected, got %s", type(fields.packed))
  elseif #fields == 0 then
    fail(level, "it has no fields")
  end
  local it = {kind = "record", name = fields.name, packed = fields.packed, fields = {}, size = 0,
              align = 1}
  for i = 1, #fields do
    add(it, fields[i], i, level)
  end
  it.own_align = fields.align
  it.align = alignment(fields.align, it.align, "the record", level)
  it.size = up(it.size, it.align)
  layouts[record] = it
  return record
end

local function describe(it, to)
  to[#to + 1] = it.kind
  to[#to + 1] = it.name and it.kind == "scalar" and it.name or it.size
  if it.kind == "array" then
    describe(it.of, to)
  elseif it.kind == "record" then
    for _, field in ipairs(it.fields) do
      to[#to + 1] = field.name
      to[#to + 1] = field.offset
      describe(field.type, to)
    end
    to[#to + 1] = "end"
  end
end

--- A number of 32 bits, not 0, that differs where fields have other names, types or places, and
-- is the same in every process: FNV-1a.
function M.number(it)
  local words, hash = {}, 2166136261
  describe(it, words)
  for one in table.concat(words, " "):gmatch "." do
    hash = ((hash ~ one:byte()) * 16777619) & 0xffffffff
  end
  return hash == 0 and 1 or hash
end

--- The offset of what a path leads to, or nil and what is wrong with it.
function M.find(it, path)
  local offset, rest = 0, "." .. path
  while rest ~= "" do
    local name, behind = rest:match "^%.([%a_][%w_]*)(.*)$"
    local index, behind_index = rest:match "^%[(%d+)%](.*)$"
    if name and it.kind == "record" and it.fields[name] then
      offset, it, rest = offset + it.fields[name].offset, it.fields[name].type, behind
    elseif index and it.kind == "array" and tonumber(index) >= 1 and tonumber(index) <= it.n then
      offset = offset + (math.tointeger(index) - 1) * it.of.size
      it, rest = it.of, behind_index
    else
      return nil, ("'%s': there is no '%s'"):format(path, rest:gsub("^%.", ""))
    end
  end
  return offset
end

return M
