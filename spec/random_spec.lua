-- A million random calls with random arguments against every method of a region, and against a
-- plain Lua table of bytes that does what the method should: answers, errors and memory agree.
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local SIZE, MOST = 256, 512
local CALLS = support.rounds(1) == 1 and tonumber(os.getenv "SHM_SPEC_SHARE" or 1) < 100
  and 1000000 or 10000
local CHECK_EVERY = 500
local ETIMEDOUT = 110
local LONG = support.LONG

local random = math.random

-- The model: a list of bytes, whose item 1 is offset 0 ------------------------------------------

local Model = {}
Model.__index = Model

local function integer(value)
  if type(value) ~= "number" then
    error "type"
  end
  return math.tointeger(value) or error "no integer"
end

local function range(value, least, most)
  value = integer(value)
  if value < least or value > most then
    error "range"
  end
  return value
end

local function count(value)
  return range(value, 0, math.maxinteger)
end

function Model:inside(offset, n)
  offset = integer(offset)
  if offset < 0 or n > #self or offset > #self - n then
    error "outside"
  end
  return offset
end

function Model:bytes(offset, n)
  local parts = {}
  for from = offset + 1, offset + n, 128 do
    parts[#parts + 1] = string.char(table.unpack(self, from, math.min(from + 127, offset + n)))
  end
  return table.concat(parts)
end

function Model:put(offset, bytes)
  for i = 1, #bytes do
    self[offset + i] = bytes:byte(i)
  end
end

local function text(value)
  return type(value) == "string" and value or error "type"
end

local methods = {}

function methods.read(m, offset, n)
  n = count(n)
  return m:bytes(m:inside(offset, n), n)
end

function methods.write(m, offset, data)
  m:put(m:inside(offset, #text(data)), data)
end

function methods.fill(m, offset, n, byte)
  n = count(n)
  byte = byte == nil and 0 or range(byte, 0, 255)
  m:put(m:inside(offset, n), string.char(byte):rep(n))
end

function methods.copy(m, offset, source, from, n)
  if getmetatable(source) ~= Model then
    error "type"
  end
  n = count(n)
  m:put(m:inside(offset, n), source:bytes(source:inside(from, n), n))
end

function methods.pack(m, offset, format, ...)
  local data = string.pack(format, ...)
  m:put(m:inside(offset, #data), data)
  return integer(offset) + #data
end

function methods.unpack(m, offset, format)
  offset = m:inside(offset, 0)
  local results = table.pack(string.unpack(text(format), m:bytes(offset, #m - offset)))
  results[results.n] = results[results.n] + offset - 1
  return table.unpack(results, 1, results.n)
end

function methods.view(m, offset, n)
  n = count(n)
  return m:bytes(m:inside(offset, n), n)
end

function methods.compare(m, offset, other, from, n)
  n = count(n)
  local theirs
  if type(other) == "string" then
    from = integer(from)
    if from < 0 or n > #other or from > #other - n then
      error "outside"
    end
    theirs = other:sub(from + 1, from + n)
  elseif getmetatable(other) == Model then
    theirs = other:bytes(other:inside(from, n), n)
  else
    error "type"
  end
  local ours = m:bytes(m:inside(offset, n), n)
  for i = 1, n do
    if ours:byte(i) ~= theirs:byte(i) then
      return ours:byte(i) < theirs:byte(i) and -1 or 1, i - 1
    end
  end
  return 0
end

function methods.find(m, offset, data, n)
  if #text(data) == 0 then
    error "empty"
  end
  n = n ~= nil and count(n) or nil
  offset = m:inside(offset, n or 0)
  local at = m:bytes(offset, n or #m - offset):find(data, 1, true)
  return at and offset + at - 1
end

function methods.resize(m, n)
  if n ~= nil then
    n = range(n, 1, math.maxinteger // 4)
    if n > MOST then
      return nil, "EFBIG"
    end
    for i = #m, n + 1, -1 do
      m[i] = nil
    end
    for i = #m + 1, n do
      m[i] = 0
    end
  end
  return true
end

function methods.sync(m, offset, n)
  offset = offset == nil and 0 or count(offset)
  m:inside(offset, n ~= nil and count(n) or 0)
  return true
end

local LIMITS = {}
for bits = 8, 32, 8 do
  LIMITS["i" .. bits] = {("<i" .. bits // 8), -(1 << bits - 1), (1 << bits - 1) - 1}
  LIMITS["u" .. bits] = {("<I" .. bits // 8), 0, (1 << bits) - 1}
end
LIMITS.i24, LIMITS.u24 = nil, nil
LIMITS.i64 = {"<i8", math.mininteger, math.maxinteger}
LIMITS.u64 = {"<i8", math.mininteger, math.maxinteger}
LIMITS.f32, LIMITS.f64 = {"<f"}, {"<d"}

local function encode(kind, value)
  local format, least, most = table.unpack(LIMITS[kind])
  if least then
    return string.pack(format, range(value, least, most))
  elseif type(value) ~= "number" then
    error "type"
  end
  local bytes = string.pack(format, value)
  local back = string.unpack(format, bytes)
  if math.type(value) == "integer" and math.tointeger(back) ~= value then
    error "it becomes another"
  elseif back ~= value and math.abs(back) == math.huge then
    error "too large"
  end
  return bytes
end

for kind, limits in pairs(LIMITS) do
  local size = string.packsize(limits[1])
  local function get(m, offset)
    return (string.unpack(limits[1], m:bytes(m:inside(offset, size), size)))
  end
  local function set(m, offset, value)
    local bytes = encode(kind, value)
    m:put(m:inside(offset, size), bytes)
  end
  methods["get_" .. kind], methods["getter_" .. kind] = get, get
  methods["set_" .. kind], methods["setter_" .. kind] = set, set
end

for suffix, bytes in pairs {[""] = 8, ["32"] = 4} do
  local format = "<i" .. bytes
  local function place(m, offset)
    offset = m:inside(offset, bytes)
    return offset % bytes == 0 and offset or error "aligned"
  end
  local function word(value)
    return bytes == 8 and integer(value) or range(value, -(1 << 31), (1 << 32) - 1)
  end
  local function load(m, offset)
    return (string.unpack(format, m:bytes(place(m, offset), bytes)))
  end
  local function store(m, offset, value)
    m:put(place(m, offset), string.pack("<i8", value):sub(1, bytes))
  end
  local function changes(f)
    return function(m, offset, value)
      local held = load(m, offset)
      store(m, offset, f(held, word(value)))
      return held
    end
  end
  methods["load" .. suffix], methods["loader" .. suffix] = load, load
  methods["add" .. suffix] = changes(function(a, b) return a + b end)
  methods["adder" .. suffix] = methods["add" .. suffix]
  methods["swap" .. suffix] = changes(function(_, b) return b end)
  methods["band" .. suffix] = changes(function(a, b) return a & b end)
  methods["bor" .. suffix] = changes(function(a, b) return a | b end)
  methods["bxor" .. suffix] = changes(function(a, b) return a ~ b end)
  methods["store" .. suffix] = function(m, offset, value)
    place(m, offset)
    store(m, offset, word(value))
  end
  methods["storer" .. suffix] = methods["store" .. suffix]
  methods["cas" .. suffix] = function(m, offset, expected, value)
    local held = load(m, offset)
    expected, value = word(expected), word(value)
    local mask = bytes == 8 and -1 or 0xffffffff
    local same = (held ~ expected) & mask == 0
    if same then
      store(m, offset, value)
    end
    return same, held
  end
  if bytes == 4 then
    methods.wait = function(m, offset, expected, timeout)
      local held = load(m, offset)
      if timeout ~= 0 then
        error "type"
      end
      local same = (held ~ word(expected)) & 0xffffffff == 0
      return not same or nil, same and ETIMEDOUT or nil
    end
    methods.wake = function(m, offset, n)
      load(m, offset)
      return n == nil and 0 or range(n, 0, (1 << 31) - 1) and 0
    end
  end
end

-- What goes through a socket: the region's side gets the rest.
function methods.send(m, offset, n)
  n = count(n)
  return m:bytes(m:inside(offset, n), n)
end

function methods.recv(m, offset, n, data)
  n = count(n)
  offset = m:inside(offset, n)
  data = n > 0 and data or ""
  m:put(offset, data:sub(1, n))
  return #data:sub(1, n)
end

-- Arguments -------------------------------------------------------------------------------------

local ODD = {-1, 1.5, 2.0, "1", true, {}, print, 0 / 0, math.huge, math.mininteger, math.maxinteger,
             1 << 31, 1 << 32, -(1 << 31), 3.0e38, 1e39, "", io.stdout}

local function odd(sound)
  if random(12) == 1 then
    return ODD[random(#ODD)]
  end
  return sound
end

local function bytes()
  local list = {}
  for i = 1, random(0, 60) do
    list[i] = string.char(random(0, 255))
  end
  return table.concat(list)
end

local function number()
  local kind = random(5)
  return kind == 1 and random(-128, 127) or kind == 2 and random(0) or kind == 3 and random() * 100
    or kind == 4 and random(0, 255) or random(-(1 << 31), (1 << 32) - 1)
end

local function offset(unit)
  return random(0, (SIZE + 40) // unit) * unit
end

local FORMATS = {"i4", "<d", "s1", "z", "!8 i1 i8", "I2", "b", "s8", ">i3", "q"}
local PACKED = {{"i4", 5}, {"<d", 0.5}, {"s1", "abc"}, {"z", "xyz"}, {"!8 i1 i8", 1, 2},
                {"i4", "x"},
                {"b", 300}, {"q"}}

local ARGUMENTS = {
  read = function() return odd(offset(1)), odd(random(0, 60)) end,
  write = function() return odd(offset(1)), odd(bytes()) end,
  fill = function() return odd(offset(1)), odd(random(0, 60)), odd(random(0, 255)) end,
  copy = function(one, other)
    return odd(offset(1)), odd(random(2) == 1 and one or other), odd(offset(1)), odd(random(0, 60))
  end,
  compare = function(one, other)
    local with = ({one, other, bytes()})[random(3)]
    return odd(offset(1)), odd(with), odd(random(0, 30)), odd(random(0, 60))
  end,
  pack = function()
    return odd(offset(1)), table.unpack(PACKED[random(#PACKED)])
  end,
  unpack = function() return odd(offset(1)), odd(FORMATS[random(#FORMATS)]) end,
  view = function() return odd(offset(1)), odd(random(0, 60)) end,
  find = function()
    return odd(offset(1)), odd(bytes():sub(1, random(0, 2))), random(2) == 1 and odd(random(200))
      or nil
  end,
  resize = function() return random(3) > 1 and odd(random(SIZE // 2, MOST + 20)) or nil end,
  sync = function() return random(2) == 1 and odd(offset(1)) or nil end,
  wait = function() return odd(offset(4)), odd(random(2) == 1 and 0 or random(-9, 9)), 0 end,
  wake = function() return odd(offset(4)), random(2) == 1 and odd(1) or nil end,
  send = function() return odd(offset(1)), odd(random(0, 60)) end,
  recv = function() return odd(offset(1)), odd(random(0, 60)), bytes() .. "x" end,
}

for name in pairs(methods) do
  if not ARGUMENTS[name] then
    local unit = name:match "[gs]et" and 1 or name:match "32$" and 4 or 8
    if name:match "^get" or name:match "^load" then
      ARGUMENTS[name] = function() return odd(offset(unit)) end
    elseif name:match "^cas" then
      ARGUMENTS[name] = function() return odd(offset(unit)), odd(number()), odd(number()) end
    else
      ARGUMENTS[name] = function() return odd(offset(unit)), odd(number()) end
    end
  end
end

-- Calls -----------------------------------------------------------------------------------------

local CALL = {}
local ours, theirs

for name in pairs(methods) do
  if name:match "^%aetter_" or name:match "^loader" or name:match "^storer"
     or name:match "^adder" then
    CALL[name] = function(region, at, ...)
      local bound = region[name](region, at)
      return bound(...)
    end
  end
end

function CALL.view(region, at, n)
  local part <close> = region:view(at, n)
  return part:read(0, #part)
end

function CALL.wait(region, ...)
  local ok, _, errno = region:wait(...)
  return ok, errno
end

function CALL.resize(region, n)
  local ok, _, errno = region:resize(n)
  return ok, errno == 27 and "EFBIG" or nil
end

function CALL.send(region, at, n)
  local sent = assert(region:send(ours, at, n, 5))
  local data = ""
  while #data < sent do
    data = data .. assert(theirs:recv(sent - #data, LONG))
  end
  return data
end

function CALL.recv(region, at, n, data)
  local some = type(n) == "number" and math.tointeger(n) and n > 0
  if some then
    theirs:send(data)
  end
  local results = table.pack(pcall(region.recv, region, ours, at, n, 5))
  if some then -- what was not wanted
    local left = #data - (results[1] and results[2] or 0)
    while left > 0 do
      left = left - #assert(ours:recv(left, LONG))
    end
  end
  return select(results[1] and 2 or error(results[2], 0), table.unpack(results, 1, results.n))
end

local function describe_call(name, arguments)
  local words = {}
  for i = 1, arguments.n do
    local value = arguments[i]
    words[i] = type(value) == "string" and ("%q"):format(value) or tostring(value)
  end
  return ("%s(%s)"):format(name, table.concat(words, ", "))
end

local function same(a, b)
  return a == b and math.type(a) == math.type(b) or a ~= a and b ~= b
end

describe("a region", function()
  it("does what a table of bytes would, in " .. CALLS .. " random calls", function()
    local seed = tonumber(os.getenv "SHM_SPEC_SEED") or os.time()
    math.randomseed(seed)
    ours, theirs = assert(process.socketpair())
    local regions, models = {}, {}
    for i = 1, 2 do
      regions[i] = assert(shm.anonymous(SIZE, {max = MOST}))
      models[i] = setmetatable({}, Model)
      for at = 1, SIZE do
        models[i][at] = 0
      end
    end
    local known = {close = true, fileno = true, address = true, transaction = true}
    for name in pairs(debug.getmetatable(regions[1]).__index) do
      assert(methods[name] or known[name], "no model of " .. name)
    end
    local names = {}
    for name in pairs(methods) do
      names[#names + 1] = name
    end
    table.sort(names)
    local stands_for = {[models[1]] = regions[1], [models[2]] = regions[2]}
    local refused = 0
    for call = 1, CALLS do
      local name, which = names[random(#names)], random(2)
      local arguments = table.pack(ARGUMENTS[name](models[1], models[2]))
      local expected = table.pack(pcall(methods[name], models[which],
                                        table.unpack(arguments, 1, arguments.n)))
      local given = {}
      for i = 1, arguments.n do
        given[i] = stands_for[arguments[i]] or arguments[i]
      end
      local got = table.pack(pcall(CALL[name] or regions[which][name], regions[which],
                                   table.unpack(given, 1, arguments.n)))
      local agree = got[1] == expected[1]
      if agree and got[1] then
        for i = 2, math.max(got.n, expected.n) do
          agree = agree and same(got[i], expected[i])
        end
      end
      if not agree then
        error(("seed %d, call %d: %s: %s, not %s"):format(
          seed, call, describe_call(name, arguments),
          describe_call("got", got), describe_call("", expected)))
      end
      refused = refused + (got[1] and 0 or 1)
      if call % CHECK_EVERY == 0 then
        for i = 1, 2 do
          assert(regions[i]:read(0, #regions[i]) == models[i]:bytes(0, #models[i]),
                 ("seed %d, call %d: memory differs"):format(seed, call))
        end
      end
    end
    assert(refused > CALLS / 20 and refused < CALLS / 2, refused .. " were refused")
    for _, handle in ipairs {regions[1], regions[2], ours, theirs} do
      handle:close()
    end
  end)
end)
