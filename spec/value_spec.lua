-- Lua values as MessagePack: every form and boundary as fixed bytes, what is refused, anybody's
-- scribble, and both ways against Python's msgpack.
local shm = require "shm"
local support = require "spec.support"

local value = shm.value
local encode, decode = value.encode, value.decode
local EBADMSG, DEPTH = 74, 100
local NAN, HUGE = 0 / 0, math.huge

local function hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function bytes_of(digits)
  return (digits:gsub("%s", ""):gsub("..", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

-- Equal and of the same type everywhere, -0.0 and NaN included.
local function same(a, b)
  if math.type(a) == "float" and math.type(b) == "float" then
    return string.pack("d", a) == string.pack("d", b) or a ~= a and b ~= b
  elseif type(a) ~= "table" or type(b) ~= "table" then
    return a == b and math.type(a) == math.type(b)
  end
  for key, item in pairs(a) do
    if not same(item, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

local function goes_round(it)
  local bytes = assert(encode(it))
  local back, message = decode(bytes)
  assert(message == nil, message)
  assert(same(it, back), hex(bytes:sub(1, 40)))
  return bytes
end

local function refused(bytes, what)
  local it, message, errno = decode(bytes)
  assert(it == nil and errno == EBADMSG, what or hex(bytes:sub(1, 40)))
  assert.equal("value.decode: Bad message", message)
end

local function list(n, item)
  local t = {}
  for i = 1, n do
    t[i] = item or i
  end
  return t
end

local function nested(depth)
  local t = {}
  for _ = 2, depth do
    t = {t}
  end
  return t
end

local function with_python(f)
  for _, python in ipairs {"python3", "/usr/bin/python3"} do
    if os.execute(python .. " -c 'import msgpack' 2>/dev/null") then
      return f(python)
    end
  end
  error "python3-msgpack is not there: make test installs it"
end

-- What has one form only.
local FORMS = {
  {nil, "c0"}, {false, "c2"}, {true, "c3"},
  {0, "00"}, {1, "01"}, {127, "7f"}, {128, "cc80"}, {255, "ccff"}, {256, "cd0100"},
  {32767, "cd7fff"}, {32768, "cd8000"}, {65535, "cdffff"}, {65536, "ce00010000"},
  {2147483647, "ce7fffffff"}, {2147483648, "ce80000000"}, {4294967295, "ceffffffff"},
  {4294967296, "cf0000000100000000"}, {math.maxinteger, "cf7fffffffffffffff"},
  {-1, "ff"}, {-31, "e1"}, {-32, "e0"}, {-33, "d0df"}, {-127, "d081"}, {-128, "d080"},
  {-129, "d1ff7f"}, {-255, "d1ff01"}, {-256, "d1ff00"}, {-32768, "d18000"},
  {-32769, "d2ffff7fff"}, {-2147483648, "d280000000"}, {-2147483649, "d3ffffffff7fffffff"},
  {math.mininteger, "d38000000000000000"},
  {0.0, "cb0000000000000000"}, {-0.0, "cb8000000000000000"}, {1.0, "cb3ff0000000000000"},
  {1.5, "cb3ff8000000000000"}, {-0.1, "cbbfb999999999999a"}, {HUGE, "cb7ff0000000000000"},
  {-HUGE, "cbfff0000000000000"}, {2.0 ^ 63, "cb43e0000000000000"},
  {5e-324, "cb0000000000000001"}, {1.7976931348623157e308, "cb7fefffffffffffff"},
  {"", "a0"}, {"a", "a161"}, {"\0", "a100"}, {"\u{e4}", "a2c3a4"}, {"\u{10ffff}", "a4f48fbfbf"},
  {"\xff", "c401ff"}, {"a\x80", "c4026180"},
  {{}, "90"}, {{1}, "9101"}, {{1, {2}, "x"}, "93019102a178"}, {{{}, {}}, "929090"},
  {{a = 1}, "81a16101"}, {{[0] = true}, "8100c3"}, {{[2] = true}, "8102c3"},
  {{[1.5] = 1}, "81cb3ff800000000000001"}, {{[true] = {}}, "81c390"}, {{[-1] = ""}, "81ffa0"},
  {{["\xff"] = 1}, "81c401ff01"},
}

describe("a value", function()
  it("has the bytes that MessagePack says", function()
    for i = 1, #FORMS do
      local it, digits = FORMS[i][1], FORMS[i][2]
      assert.equal(digits, hex(encode(it)))
      assert(same(it, (decode(bytes_of(digits)))), digits)
    end
    assert.equal("cb7ff8000000000000", hex(encode(NAN)):gsub("^cbf", "cb7"))
    assert.is_true(decode(encode(NAN)) ~= decode(encode(NAN)))
  end)

  it("goes round with strings of every length class, as text and as bytes", function()
    for n, heads in pairs {
      [0] = {"a0", "a0"}, [1] = {"a1", "c401"}, [31] = {"bf", "c41f"}, [32] = {"d920", "c420"},
      [255] = {"d9ff", "c4ff"}, [256] = {"da0100", "c50100"}, [65535] = {"daffff", "c5ffff"},
      [65536] = {"db00010000", "c600010000"}, [1000000] = {"db000f4240", "c6000f4240"},
    } do
      for i, last in ipairs {"x", "\xff"} do
        local text = n == 0 and "" or ("x"):rep(n - 1) .. last
        local bytes = goes_round(text)
        assert.equal(heads[i], hex(bytes:sub(1, #bytes - n)))
        assert.equal(bytes, goes_round({text}):sub(2))
        goes_round {[text] = text, [1] = {text, text}}
      end
    end
  end)

  it("goes round with arrays and maps of every length class", function()
    for n, heads in pairs {
      [15] = {"9f", "8f"}, [16] = {"dc0010", "de0010"}, [17] = {"dc0011", "de0011"},
      [65535] = {"dcffff", "deffff"}, [65536] = {"dd00010000", "df00010000"},
    } do
      local array, map = list(n), {}
      for i = 1, n do
        map[i - n] = i -- 0 and below
      end
      assert.equal(heads[1], hex(goes_round(array):sub(1, #heads[1] // 2)))
      assert.equal(heads[2], hex(goes_round(map):sub(1, #heads[2] // 2)))
      goes_round {before = array, inside = {map, {map}}, after = list(n, "x")}
    end
  end)

  it("is an array when its keys are 1 to n, however they came there", function()
    local backwards, thinned = {}, list(10)
    for i = 100, 1, -1 do
      backwards[i] = i
    end
    thinned.x = 1
    thinned.x = nil
    for i = 6, 10 do
      thinned[i] = nil
    end
    assert.equal("dc0064", hex(goes_round(backwards):sub(1, 3)))
    assert.equal("950102030405", hex(goes_round(thinned)))
    assert.equal("9103", hex(goes_round {[1.0] = 3}))
  end)

  it("is a map when they are not", function()
    for _, it in ipairs {
      {1, nil, 3}, {1, 2, 3, x = 1}, {nil, 2}, {1, nil, 3, x = 1}, {[0] = 0, 1, 2},
      {1, 2, [2.5] = 3}, {1, [true] = 2}, {[2] = 1, ["1"] = 2}, {[math.mininteger] = 1, 2},
      {[1] = 1, [2] = 2, [4] = 4}, {[math.maxinteger] = 1}, {1, 2, [-1] = 3},
    } do
      local bytes = goes_round(it)
      assert.equal(8, bytes:byte() >> 4)
    end
  end)

  it("is text when it is UTF-8 as Python has it, and bytes when not", function()
    local first = {[0] = 0x80, 0x800, 0x10000}
    for _, pad in ipairs {0, 1, 7, 8, 9, 63, 64, 65, 200} do
      local before, after = ("x"):rep(pad), ("y"):rep(pad)
      for _, good in ipairs {"\u{80}", "\u{7ff}", "\u{800}", "\u{d7ff}", "\u{e000}", "\u{ffff}",
                             "\u{10000}", "\u{10ffff}", "\u{e4}\u{20ac}\u{1f600}"} do
        local head = encode(before .. good .. after):byte()
        assert(head >= 0xa0 and head < 0xc0 or head >= 0xd9 and head <= 0xdb, hex(good))
      end
      for _, bad in ipairs {
        "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2x", "\xe0\x9f\xbf", "\xe0\xa0",
        "\xe1\x80x", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80",
        "\xf1\x80\x80x", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\u{e4}\x80",
      } do
        local head = encode(before .. bad .. after):byte()
        assert(head >= 0xc4 and head <= 0xc6, hex(bad))
      end
    end
    for i = 0, #first do -- every boundary that has a right and a wrong side
      assert.equal(0xa0, encode(utf8.char(first[i])):byte() & 0xe0)
    end
  end)

  it("may be written in more words than needed by others", function()
    for digits, it in pairs {
      ["cc05"] = 5, ["cd0005"] = 5, ["ce00000005"] = 5, ["cf0000000000000005"] = 5,
      ["d005"] = 5, ["d1ffff"] = -1, ["d2ffffffff"] = -1, ["d3ffffffffffffffff"] = -1,
      ["cfffffffffffffffff"] = 2.0 ^ 64, ["cf8000000000000000"] = 2.0 ^ 63,
      ["ca3fc00000"] = 1.5, ["ca80000000"] = -0.0, ["ca7f800000"] = HUGE,
      ["d90161"] = "a", ["da000161"] = "a", ["db0000000161"] = "a", ["a1ff"] = "\xff",
      ["c400"] = "", ["c5000161"] = "a", ["c60000000161"] = "a",
      ["dc0000"] = {}, ["dd0000000105"] = {5}, ["80"] = {}, ["de0000"] = {},
      ["df00000001a16105"] = {a = 5}, ["92c005"] = {nil, 5}, ["8105c0"] = {},
      ["82010a020b"] = {10, 11}, ["820105 0106"] = {6}, ["81cb3ff000000000000005"] = {5},
      ["81cfffffffffffffffff05"] = {[2.0 ^ 64] = 5},
    } do
      local back, message = decode(bytes_of(digits))
      assert(message == nil and same(it, back), digits)
    end
  end)

  it("is refused when it is none", function()
    for _, digits in ipairs {
      "", "c1", "0000", "c0c0", "9090", "a161a161",                 -- nothing, never, too much
      "c70000", "c7010561", "c8000005", "c90000000005", "d40500", "d5050000", "d60500000000",
      "d7050000000000000000", "d80500000000000000000000000000000000", "91d40500",
      "81c005", "81cb7ff800000000000005", "81cbfff800000000000005", "81ca7fc0000005",
      "a2ff", "d9ff61", "daffff", "dbffffffff", "c4ff", "c5ffff", "c6ffffffff", "dcffff",
      "ddffffffff", "deffff", "dfffffffff", "dfffffffff00", "ddffffffff00", "92dd0000000100",
    } do
      refused(bytes_of(digits), digits)
    end
  end)

  it("is refused when any of its bytes is missing, or one more is there", function()
    local bytes = encode {
      1, 200, 60000, 70000, 1 << 40, -5, -100, -1000, -100000, -1 << 40, 1.5, true, false, "x",
      ("y"):rep(40), ("z"):rep(300), "\xff", ("\xff"):rep(300), {}, {{a = 1, [2.5] = {}}},
      list(20), {[0] = 1, [2] = list(3)},
    }
    for n = 0, #bytes - 1 do
      refused(bytes:sub(1, n))
    end
    refused(bytes .. "\0")
    assert.is_table(decode(bytes))
  end)

  it("nests to a depth of 100", function()
    goes_round(nested(DEPTH))
    local message = select(2, pcall(encode, nested(DEPTH + 1)))
    assert.matches("value%[1%].*%[1%]: nested deeper than 100", message)
    assert.is_table(decode(("\x91"):rep(DEPTH - 1) .. "\x90"))
    refused(("\x91"):rep(DEPTH) .. "\x90")
    refused(("\x81\x01"):rep(1000000) .. "\x90")
    local map = {}
    for i = 2, DEPTH do
      map = {[("k"):rep(i)] = map}
    end
    goes_round(map)
    assert.matches("nested deeper than 100", select(2, pcall(encode, {map})))
    -- What is beside each other is not in each other.
    goes_round {nested(99), nested(99), {x = nested(98)}}
  end)

  it("is not in itself", function()
    local t = {}
    t.list = {1, {t}}
    assert.error_matches(function() encode(t) end,
                         "value%.list%[2%]%[1%]: a table inside itself can not be shared")
    local wide = list(100000)
    wide[#wide + 1] = wide
    assert.error_matches(function() encode(wide) end, "value%[100001%]: a table inside itself")
    local twice = {1}
    goes_round {twice, twice, {x = twice}}
  end)

  it("holds nothing that can not be shared, and the error says where that is", function()
    local thread = coroutine.create(print)
    for what, it in pairs {["a function"] = print, ["a thread"] = thread,
                           ["a userdata"] = io.stdout} do
      for where, v in pairs {
        ["value"] = it, ["value[1]"] = {it}, ["value.f"] = {f = it},
        ["value.list[3].f"] = {list = {1, 2, {f = it}}}, ["value[2.5]"] = {[2.5] = it},
        ["value[true][0]"] = {[true] = {[0] = it}}, ['value["a b"]'] = {["a b"] = it},
        ['value[""]'] = {[""] = it}, ['value["a?b"].c'] = {["a\0b"] = {c = it}},
        [('value["%s..."]'):format(("x"):rep(40))] = {[("x"):rep(1000)] = it},
      } do
        local message = select(2, pcall(encode, v))
        assert(message:find(("(%s: %s can not be shared)"):format(where, what), 1, true), message)
      end
      for where, v in pairs {["value"] = {[it] = 1}, ["value.a[2]"] = {a = {1, {[it] = 1}}}} do
        local message = select(2, pcall(encode, v))
        assert(message:find(("(%s: %s can not be shared as a key)"):format(where, what), 1, true),
               message)
      end
    end
    assert.error_matches(function() encode {[{}] = 1} end, "value: a table can not be .* a key")
    assert.error_matches(encode, "value: value expected")
    goes_round {a = {1}} -- as if nothing had been
  end)

  it("is what the table holds, whatever its metatable says", function()
    local function never() error "called" end
    local mt = {__index = never, __pairs = never, __len = never, __name = "x", __eq = never}
    local inner = setmetatable({1, 2}, mt)
    assert.equal("81a161920102", hex(encode(setmetatable({a = inner}, mt))))
    assert.equal("90", hex(encode(setmetatable({}, mt))))
  end)

  it("is encoded whole while finalizers encode others", function()
    local it = {text = {}}
    for i = 1, 2000 do
      it.text[i] = "number " .. i
    end
    local whole, runs = encode(it), 0
    local function finalizer()
      runs = runs + 1
      encode {list(5000)}
      decode(encode {list(50)})
      setmetatable({}, {__gc = finalizer})
    end
    setmetatable({}, {__gc = finalizer})
    for _ = 1, support.rounds(300) do
      assert.equal(whole, encode(it))
      assert(same(it, decode(whole)))
      collectgarbage "step"
    end
    assert.is_true(runs > 0)
    finalizer = function() end
  end)

  it("is encoded as the state is closed, or refused", function()
    local script = os.tmpname()
    local file <close> = assert(io.open(script, "w"))
    file:write [[
      local early = setmetatable({}, {__gc = function()
        local value = package.loaded["shm.value"]
        io.write(tostring(value.decode(value.encode "early")), " ",
                 tostring(select(2, pcall(value.encode, {1}))), "\n")
      end})
      local value = require "shm.value"
      value.encode {1}
      local late = setmetatable({}, {__gc = function()
        io.write(value.decode(value.encode {"late"})[1], "\n")
      end})]]
    file:close()
    local said = support.shell("lua5.4 " .. script .. " 2>&1")
    os.remove(script)
    assert.matches("^late\nearly .*while the Lua state is closed\n$", said)
  end)

  -- In a process of its own, whose heap no other spec has left in pieces.
  it("leaves no memory behind, also where it is refused", function()
    local script = [[
      local value = require "shm".value
      local large = {}
      for i = 1, 300000 do
        large[i] = i
      end
      local wrong = {large, print}
      local function all()
        assert(value.encode(large))
        assert(not pcall(value.encode, wrong))
        assert(not value.decode("\xdd\0\1\0\0" .. ("\1"):rep(65535)))
        for _ = 1, 70 do
          value.encode {1}
        end
      end
      local function resident()
        collectgarbage()
        collectgarbage()
        return io.open "/proc/self/status":read "a":match "VmRSS:%s+(%d+)"
      end
      all()
      all()
      local before = resident()
      for _ = 1, 20 do
        all()
      end
      print(resident() - before)]]
    local grown = tonumber(support.shell("lua5.4 -e '" .. script .. "'"))
    assert(support.asan or grown < 8192, grown)
  end)

  it("takes no memory for items that are not there", function()
    for _, head in ipairs {"ddffffffff", "dd10000000", "df7fffffff", "dbffffffff", "c6ffffffff"} do
      local claim = bytes_of(head)
      collectgarbage()
      collectgarbage "stop"
      local before = collectgarbage "count"
      refused(claim)
      refused(claim .. ("\0"):rep(1000))
      refused(claim:rep(90))
      -- Each of these could hold what it says, but not all of them.
      local inside = ("\xdd\0\0\xff\xff"):rep(99) .. ("\0"):rep(70000)
      refused(inside)
      refused((inside:gsub("\xdd\0\0\xff\xff", "\xdf\0\0\x7f\xff\0")))
      local taken = collectgarbage "count" - before
      collectgarbage "restart"
      assert(taken < 8192, taken)
    end
  end)

  it("is a value or refused, whatever happens to its bytes", function()
    local seeds = {}
    for i, it in ipairs {
      {id = 1, name = "x", list = {1, 2, 3}}, {list(20), {[1.5] = "a", [true] = -5}},
      {("x"):rep(40), ("\xff"):rep(300), 70000, -70000, 1 << 40, 2.5, {{{{}}}}}, list(70, {1}),
      {a = {b = {c = {d = {1, 2, {}}}}}, [0] = {nil, 2}},
    } do
      seeds[i] = encode(it)
    end
    local random, values = math.random, 0
    for i = 1, support.rounds(100000) do
      local bytes = seeds[random(#seeds)]
      for _ = 1, random(3) do
        local at, how = random(0, #bytes), random(4)
        if how <= 2 then
          bytes = bytes:sub(1, at) .. string.char(random(0, 255)) .. bytes:sub(at + how)
        elseif how == 3 then
          bytes = bytes:sub(1, at)
        else
          bytes = bytes:sub(1, at) .. bytes:sub(random(#bytes + 1))
        end
      end
      local it, message, errno = decode(bytes)
      if message then
        assert(it == nil and errno == EBADMSG)
      else
        values = values + 1
        if i % 10 == 0 and pcall(encode, it) then -- all but tables as keys
          local back = decode(encode(it))
          assert(same(it, back) or hex(encode(it)):find "7ff" or hex(encode(it)):find "fff")
        end
      end
    end
    assert.is_true(values > 0)
    for _ = 1, support.rounds(20000) do
      local noise = {}
      for j = 1, random(30) do
        noise[j] = string.char(random(0, 255))
      end
      decode(table.concat(noise))
    end
  end)
end)

describe("Python", function()
  local SEED = os.time()
  local script, requests, answers

  setup(function()
    script, requests, answers = os.tmpname(), os.tmpname(), os.tmpname()
  end)

  teardown(function()
    for _, path in ipairs {script, requests, answers} do
      os.remove(path)
    end
  end)

  -- Messages with their lengths before them.
  local function write_messages(path, messages)
    local file <close> = assert(io.open(path, "wb"))
    for _, message in ipairs(messages) do
      file:write(string.pack("<s4", message))
    end
  end

  local function read_messages(path)
    local messages, all, at = {}, support.read_file(path), 1
    while at <= #all do
      messages[#messages + 1], at = string.unpack("<s4", all, at)
    end
    return messages
  end

  local function run(source, ...)
    local file <close> = assert(io.open(script, "w"))
    file:write([[
import math, msgpack, random, struct, sys
def read_messages(path):
    data, at, messages = open(path, 'rb').read(), 0, []
    while at < len(data):
        n, = struct.unpack_from('<I', data, at)
        messages.append(data[at + 4:at + 4 + n])
        at += 4 + n
    return messages
def write_messages(path, messages):
    with open(path, 'wb') as file:
        for message in messages:
            file.write(struct.pack('<I', len(message)) + message)
def load(data):
    return msgpack.unpackb(data, raw=False, strict_map_key=False)
]], source)
    file:close()
    local words = {...}
    return with_python(function(python)
      return support.shell(("timeout %d %s -I %s %s 2>&1"):format(
        60 * support.patience, python, script, table.concat(words, " ")))
    end)
  end

  it("packs the same values into the same bytes", function()
    local messages = {}
    for i = 1, #FORMS do
      messages[i] = bytes_of(FORMS[i][2])
    end
    for _, n in ipairs {31, 32, 255, 256, 65535, 65536} do
      messages[#messages + 1] = encode(("x"):rep(n))
      messages[#messages + 1] = encode(("\xff"):rep(n))
      messages[#messages + 1] = encode(list(n))
      messages[#messages + 1] = encode {[("k"):rep(n)] = {[0] = list(n, "x")}}
    end
    for _, bits in ipairs {7, 8, 15, 16, 31, 32, 62} do
      for off = -2, 2 do
        messages[#messages + 1] = encode((1 << bits) + off)
        messages[#messages + 1] = encode(-(1 << bits) + off)
      end
    end
    write_messages(requests, messages)
    assert.equal(#messages .. "\n", run([[
messages = read_messages(sys.argv[1])
for data in messages:
    assert msgpack.packb(load(data), use_bin_type=True) == data, data[:20].hex()
print(len(messages))]], requests))
  end)

  it("gets back what it sent, value for value", function()
    local n = support.rounds(2000)
    local child = [[
seed, n, requests, answers = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
random.seed(seed)
EDGES = [0, 1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, -1, -32, -33,
         -128, -129, -32768, -32769, -2**31, -2**31 - 1, -2**63]
def scalar():
    kind = random.randrange(8)
    if kind == 0: return random.choice(EDGES)
    if kind == 1: return random.randrange(-2**63, 2**63) >> random.randrange(64)
    if kind == 2: return random.choice([0.5, -0.0, 1e300, math.inf, -math.inf, random.random()])
    if kind == 3: return random.choice([True, False])
    if kind == 4: return random.randbytes(random.randrange(40)) + b'\xff'
    if kind == 5: return 'x' * random.choice([0, 1, 31, 32, 255, 256])
    return ''.join(random.choices('A\u00e4\u20ac\U0001f600', k=random.randrange(30)))
def value(depth):
    kind = random.randrange(6 if depth else 4)
    if kind < 4: return scalar()
    if kind == 4: return [value(depth - 1) for _ in range(random.choice([0, 1, 3, 15, 16, 17]))]
    keys = (scalar() for _ in range(random.choice([1, 3, 15, 16, 17])))
    return {key: value(depth - 1) for key in keys}
# What Lua has no other word for: 1.0 as a key is 1, and such keys from 1 on are a list's.
def lua(v):
    if isinstance(v, list): return [lua(item) for item in v]
    if not isinstance(v, dict): return v
    out = {}
    for key, item in v.items():
        if isinstance(key, float) and key.is_integer() and abs(key) < 2**63: key = int(key)
        out[('b', key) if isinstance(key, bool) else key] = lua(item)
    if out and all(type(k) is int for k in out) and sorted(out) == list(range(1, len(out) + 1)):
        return [out[i] for i in range(1, len(out) + 1)]
    return out
def alike(a, b):
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(alike, a, b))
    return type(a) is type(b) and repr(a) == repr(b)
values = [value(4) for _ in range(n)]
if not answers.startswith('/'):
    write_messages(requests, [msgpack.packb(v, use_bin_type=True) for v in values])
    sys.exit()
echoed = read_messages(answers)
assert len(echoed) == n
for v, data in zip(values, echoed):
    assert alike(lua(v), lua(load(data))), (v, data)
print(n)]]
    assert.equal("", run(child, SEED, n, requests, "-"))
    local messages = read_messages(requests)
    assert.equal(n, #messages)
    for i, message in ipairs(messages) do
      local it, why = decode(message)
      assert(why == nil, hex(message))
      messages[i] = encode(it)
    end
    write_messages(answers, messages)
    assert.equal(n .. "\n", run(child, SEED, n, requests, answers))
  end)
end)
