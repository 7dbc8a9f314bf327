local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"
local sysv = require "shm.sysv"

local SIZE = 256
local LONG = support.LONG

local function region(flags)
  local id = assert(sysv.shmget(sysv.IPC_PRIVATE, SIZE, sysv.IPC_CREAT))
  local writable = assert(sysv.shmat(id))
  local readonly = flags and assert(sysv.shmat(id, nil, flags))
  assert(id:remove())
  return writable, readonly
end

-- Every type with its size, its limits, and a value that it can hold.
local TYPES = {
  {"i8", 1, math.tointeger(-2 ^ 7), math.tointeger(2 ^ 7 - 1)},
  {"u8", 1, 0, math.tointeger(2 ^ 8 - 1)},
  {"i16", 2, math.tointeger(-2 ^ 15), math.tointeger(2 ^ 15 - 1)},
  {"u16", 2, 0, math.tointeger(2 ^ 16 - 1)},
  {"i32", 4, math.tointeger(-2 ^ 31), math.tointeger(2 ^ 31 - 1)},
  {"u32", 4, 0, math.tointeger(2 ^ 32 - 1)},
  {"i64", 8, math.mininteger, math.maxinteger},
  {"u64", 8, math.mininteger, math.maxinteger},
}
local FORMATS = {i8 = "i1", u8 = "I1", i16 = "i2", u16 = "I2", i32 = "i4", u32 = "I4",
                 i64 = "i8", u64 = "I8", f32 = "f", f64 = "d"}
local WORDS = {[64] = {"", 8}, [32] = {"32", 4}}

describe("a region", function()
  local r

  before_each(function()
    r = region()
  end)

  after_each(function()
    r:close()
  end)

  it("is as long as the segment was asked to be", function()
    assert.equal(SIZE, #r)
    assert.matches("^shm%.region %(sysv %d+, 256 bytes%)$", tostring(r))
  end)

  it("starts with zeros and keeps what is written", function()
    assert.equal(("\0"):rep(SIZE), r:read(0, SIZE))
    r:write(10, "hello")
    assert.equal("\0hello\0", r:read(9, 7))
    assert.equal("", r:read(SIZE, 0))
    r:write(SIZE, "")
  end)

  it("reads strings on both sides of the length that Lua interns", function()
    local bytes = {}
    for i = 0, 99 do
      bytes[#bytes + 1] = string.char(i)
    end
    local all = table.concat(bytes)
    r:write(0, all)
    for n = 0, 100 do
      assert.equal(all:sub(1, n), r:read(0, n))
    end
  end)

  it("is filled, with zeros unless told otherwise", function()
    r:fill(1, 4, 0x41)
    assert.equal("\0AAAA\0", r:read(0, 6))
    r:fill(2, 2)
    assert.equal("\0A\0\0A\0", r:read(0, 6))
  end)

  it("copies from another region and within itself", function()
    local other <close> = region()
    other:write(0, "abcdef")
    r:copy(3, other, 1, 4)
    assert.equal("\0\0\0bcde\0", r:read(0, 8))
    r:copy(4, r, 3, 4)
    assert.equal("bbcde", r:read(3, 5))
    r:copy(2, r, 3, 4)
    assert.equal("bbcd", r:read(2, 4))
  end)

  it("packs and unpacks as string.pack does", function()
    assert.equal(17, r:pack(5, "<i4 z I2", -7, "hello", 513))
    local a, b, c, next = r:unpack(5, "<i4 z I2")
    assert.same({-7, "hello", 513, 17}, {a, b, c, next})
    assert.equal(("<i4 z I2"):pack(-7, "hello", 513), r:read(5, 12))
    assert.equal(5, (r:unpack(5, "")))
  end)

  it("unpacks strings of unknown length up to the region's end", function()
    local text = ("x"):rep(SIZE - 4)
    r:pack(0, "<s4", text)
    assert.equal(text, (r:unpack(0, "<s4")))
    r:set_u32(0, SIZE)
    assert.error_matches(function() r:unpack(0, "<s4") end, "offset: what '<s4' reads")
    r:fill(0, SIZE, 0x41)
    assert.error_matches(function() r:unpack(0, "z") end, "offset: what 'z' reads")
    r:fill(0, SIZE, 0xff)
    assert.error_matches(function() r:unpack(0, "s") end, "offset: what 's' reads")
  end)

  it("unpacks whatever string.pack makes", function()
    local options = {"b", "B", "h", "H", "i", "I3", "i7", "i16", "s16", "Xi16", "l",
                     "j", "T", "f", "d", "n", "s",
                     "s1", "s2", "z", "c5", "x", " ", "<", ">", "=", "!", "!2", "!4", "!1", "Xi4",
                     "Xd"}
    math.randomseed(42)
    local tried = 0
    for _ = 1, 2000 do
      local format, values = "", {}
      for _ = 1, math.random(0, 8) do
        local option = options[math.random(#options)]
        format = format .. option
        if option:match "^[bBhHiIljT]" then
          values[#values + 1] = math.random(0, 100)
        elseif option:match "^[fdn]" then
          values[#values + 1] = math.random(0, 100) / 4
        elseif option:match "^[szc]" then
          values[#values + 1] = ("x"):rep(option == "c5" and 5 or math.random(0, 9))
        end
      end
      local sound, packed = pcall(string.pack, format, table.unpack(values))
      if sound and #packed <= SIZE then
        tried = tried + 1
        local offset = math.random(0, SIZE - #packed)
        assert.equal(offset + #packed, r:pack(offset, format, table.unpack(values)))
        values[#values + 1] = offset + #packed
        assert.same(values, {r:unpack(offset, format)})
        local last <close> = r:view(offset, #packed) -- not a byte to spare
        values[#values] = #packed
        assert.same(values, {last:unpack(0, format)})
      end
    end
    assert.is_true(tried > 500)
    for _, wrong in ipairs {"y", "i17", "X", "!3i4", "c"} do
      local ok, why = pcall(function() return (r:unpack(0, wrong)) end)
      assert(not ok and why:match "region_spec%.lua:%d+: region%.unpack: ", why)
    end
  end)

  it("gives views, which live as long as they are held", function()
    r:write(10, "hello")
    local view = r:view(10, 5)
    assert.equal(5, #view)
    assert.equal(r:address() + 10, view:address())
    assert.equal("hello", view:read(0, 5))
    assert.error_matches(function() view:read(0, 6) end, "offset")
    view:write(0, "jelly")
    assert.equal("jelly", r:read(10, 5))
    assert.error_matches(function() r:view(SIZE, 1) end, "offset")
    local inner = view:view(1, 2)
    r:close()
    assert.equal("jelly", view:read(0, 5))
    view:close()
    assert.error_matches(function() view:read(0, 1) end, "closed")
    assert.equal("el", inner:read(0, 2))
    inner:close()
    local nothing = region():view(3, 0)
    collectgarbage()
    assert.equal("", nothing:read(0, 0))
    assert.error_matches(function() nothing:read(0, 1) end, "offset")
  end)

  it("survives being closed in the middle of a call", function()
    -- A hook may run in any call, and a finalizer in any allocation.
    for name, arguments in pairs {unpack = {0, "z"}, pack = {0, "z", "x"}} do
      local victim = region()
      local method = victim[name]
      debug.sethook(function() victim:close() end, "c")
      local ok, why = pcall(method, victim, table.unpack(arguments))
      debug.sethook()
      assert(not ok and why:match "closed", why)
    end
  end)

  it("reports its address", function()
    assert.equal(0, r:address() % sysv.SHMLBA)
  end)

  for _, row in ipairs(TYPES) do
    local name, size, least, most = table.unpack(row)
    it("keeps every " .. name .. " and refuses what is none", function()
      local get, set = r["get_" .. name], r["set_" .. name]
      for _, value in ipairs {least, most, 0, 1} do
        for _, offset in ipairs {0, 3, SIZE - size} do
          set(r, offset, value)
          assert.equal(value, get(r, offset))
          assert.equal(value, (("=" .. FORMATS[name]):unpack(r:read(offset, size))))
        end
      end
      set(r, 0, 1.0)
      assert.equal(1, get(r, 0))
      if size < 8 then
        assert.error_matches(function() set(r, 0, least - 1) end, "value")
        assert.error_matches(function() set(r, 0, most + 1) end, "value")
      end
      for _, wrong in ipairs {1.5, 0 / 0, math.huge, -math.huge, 2 ^ 63, "1", {}, true} do
        assert.error_matches(function() set(r, 0, wrong) end, "value")
      end
      assert.error_matches(function() set(r, 0) end, "value")
      assert.equal(1, get(r, 0))
    end)
  end

  it("keeps floats and refuses what a 32-bit one can not hold", function()
    for _, value in ipairs {0.0, -1.5, math.huge, -math.huge} do
      r:set_f32(1, value)
      assert.equal(value, r:get_f32(1))
      r:set_f64(9, value)
      assert.equal(value, r:get_f64(9))
    end
    r:set_f64(0, 0.1)
    assert.equal(0.1, r:get_f64(0))
    r:set_f32(0, 0.1)
    assert.is_true(math.abs(r:get_f32(0) - 0.1) < 1e-8)
    r:set_f32(0, 0 / 0)
    assert.not_equal(r:get_f32(0), r:get_f32(0))
    local MOST <const> = 0x1.fffffep127 -- C's FLT_MAX, which others write as 3.4028235e38
    for _, value in ipairs {MOST, 3.4028235e38, 0x1.fffffefffffffp127} do
      for _, sign in ipairs {1, -1} do
        r:set_f32(0, sign * value)
        assert.equal(sign * MOST, r:get_f32(0))
      end
    end
    for _, value in ipairs {0x1.ffffffp127, -0x1.ffffffp127, 3.4028236e38, 1e300} do
      assert.error_matches(function() r:set_f32(0, value) end, "value: .* too large")
      assert.error_matches(function() r:setter_f32(0)(value) end, "value: .* too large")
    end
    assert.equal(-MOST, r:get_f32(0))
    for kind, bits in pairs {f32 = 24, f64 = 53} do
      local get, set = r["get_" .. kind], r["set_" .. kind]
      for _, value in ipairs {1 << bits, -(1 << bits), (1 << bits) + 2, math.mininteger} do
        set(r, 8, value)
        assert.equal(value, math.tointeger(get(r, 8)))
      end
      for _, value in ipairs {(1 << bits) + 1, -(1 << bits) - 1, math.maxinteger} do
        assert.error_matches(function() set(r, 8, value) end,
                             ("a %d-bit float can not hold %d"):format(bits // 24 * 32, value),
                             1, true)
      end
    end
    assert.error_matches(function() r:set_f64(0, "1") end, "value")
  end)

  for bits, row in pairs(WORDS) do
    local suffix, size = table.unpack(row)
    local function call(name, ...)
      return r[name .. suffix](r, ...)
    end

    it("changes " .. bits .. "-bit words in one step, and says what they held", function()
      call("store", 0, 5)
      assert.equal(5, call("load", 0))
      assert.equal(5, call("add", 0, 3))
      assert.equal(8, call("swap", 0, 12))
      assert.equal(12, call("band", 0, 6))
      assert.equal(4, call("bor", 0, 3))
      assert.equal(7, call("bxor", 0, 5))
      assert.same({true, 2}, {call("cas", 0, 2, 9)})
      assert.same({false, 9}, {call("cas", 0, 2, 1)})
      assert.equal(9, call("load", 0))
      call("store", size, -1)
      assert.equal(-1, call("add", size, 1))
      assert.equal(0, call("load", size))
      assert.equal(9, call("load", 0))
    end)

    it("refuses misaligned " .. bits .. "-bit words", function()
      for _, name in ipairs {"load", "store", "add", "swap", "band", "bor", "bxor", "cas"} do
        local arguments = name == "load" and {1} or name == "cas" and {1, 0, 0} or {1, 0}
        assert.error_matches(function() call(name, table.unpack(arguments)) end,
                             "offset: 1 is not a multiple of " .. size)
      end
    end)
  end

  it("takes a 32-bit word by either reading", function()
    r:store32(0, 0x80000000)
    assert.equal(math.tointeger(-2 ^ 31), r:load32(0))
    assert.equal(0x80000000, r:get_u32(0))
    assert.is_true((r:cas32(0, 0x80000000, -1)))
    assert.error_matches(function() r:store32(0, 1 << 32) end, "value")
    assert.error_matches(function() r:store32(0, -(1 << 31) - 1) end, "value")
  end)

  it("lets no offset, length or sum of them reach outside", function()
    local before = r:read(0, SIZE)
    local huge = {SIZE, SIZE + 1, -1, math.maxinteger, math.mininteger, 1 << 32, 1 << 63,
                  math.maxinteger - 7, -8}
    for _, offset in ipairs(huge) do
      for _, row in ipairs(TYPES) do
        assert.error_matches(function() r["get_" .. row[1]](r, offset) end, "offset")
        assert.error_matches(function() r["set_" .. row[1]](r, offset, 1) end, "offset")
      end
      assert.error_matches(function() r:read(offset, 1) end, "offset")
      assert.error_matches(function() r:read(offset, math.maxinteger) end, "offset")
      assert.error_matches(function() r:write(offset, "x") end, "offset")
      assert.error_matches(function() r:fill(offset, 8, 1) end, "offset")
      assert.error_matches(function() r:copy(offset, r, 0, 8) end, "offset")
      assert.error_matches(function() r:copy(0, r, offset, 8) end, "source_offset")
      assert.error_matches(function() r:pack(offset, "i8", 1) end, "offset")
      assert.error_matches(function() r:unpack(offset, "i8") end, "offset")
      assert.error_matches(function() r:load(offset) end, "offset")
      assert.error_matches(function() r:wait(offset, 0, 0) end, "offset")
    end
    for _, n in ipairs {SIZE + 1, math.maxinteger} do
      assert.error_matches(function() r:read(0, n) end, "offset")
      assert.error_matches(function() r:fill(0, n) end, "offset")
      assert.error_matches(function() r:copy(0, r, 0, n) end, "offset")
    end
    for _, n in ipairs {-1, math.mininteger, 1.5, 0 / 0, "1"} do
      assert.error_matches(function() r:read(0, n) end, "n: ")
      assert.error_matches(function() r:fill(0, n) end, "n: ")
      assert.error_matches(function() r:copy(0, r, 0, n) end, "n: ")
    end
    assert.error_matches(function() r:fill(0, 1, 256) end, "byte")
    assert.equal(before, r:read(0, SIZE))
  end)

  it("can not be written when it is read-only", function()
    r:close()
    local writable, readonly = region(sysv.SHM_RDONLY)
    writable:write(0, "seen")
    assert.equal("seen", readonly:read(0, 4))
    for _, change in ipairs {
      function() readonly:write(0, "x") end, function() readonly:fill(0, 1) end,
      function() readonly:copy(0, writable, 0, 1) end, function() readonly:pack(0, "i1", 1) end,
      function() readonly:set_i8(0, 1) end, function() readonly:set_f64(0, 1) end,
      function() readonly:store(0, 1) end, function() readonly:add32(0, 1) end,
      function() readonly:cas(0, 0, 1) end,
    } do
      assert.error_matches(change, "region is read%-only")
    end
    local view <close> = readonly:view(0, 64)
    local changes = {recv = {0, 0, 0, 0}}
    for kind in pairs(FORMATS) do
      changes["set_" .. kind], changes["setter_" .. kind] = {0, 1}, {0}
    end
    for _, row in pairs(WORDS) do
      for _, name in ipairs {"store", "add", "swap", "band", "bor", "bxor", "storer", "adder"} do
        changes[name .. row[1]] = name:match "er$" and {0} or {0, 1}
      end
      changes["cas" .. row[1]] = {0, 0, 1}
    end
    for _, one in ipairs {readonly, view} do
      for name, arguments in pairs(changes) do
        assert.error_matches(function() one[name](one, table.unpack(arguments)) end,
                             "region is read%-only", nil, name)
      end
      assert.equal(115, one:getter_u8(0)())
      assert.equal(one:get_i64(0), one:load(0))
      assert.equal(one:get_i64(0), one:loader(0)())
    end
    assert.equal("seen", readonly:read(0, 4))
    writable:copy(8, readonly, 0, 4)
    assert.equal("seen", writable:read(8, 4))
    readonly:close()
    writable:close()
  end)

  it("refuses every use once it is closed, and closes twice", function()
    assert.is_true(r:close())
    assert.is_true(r:close())
    assert.equal("shm.region (closed)", tostring(r))
    local arguments = {
      read = {0, 0}, write = {0, ""}, fill = {0, 0}, pack = {0, ""}, unpack = {0, ""},
      view = {0, 0}, load = {0}, store = {0, 0}, cas = {0, 0, 0}, wait = {0, 0, 0}, wake = {0},
      get_i8 = {0}, set_i8 = {0, 0}, get_f64 = {0}, set_f64 = {0, 0}, address = {},
    }
    for name, list in pairs(arguments) do
      assert.error_matches(function() r[name](r, table.unpack(list)) end, "region is closed")
    end
    assert.error_matches(function() return #r end, "region is closed")
    local other <close> = region()
    assert.error_matches(function() other:copy(0, r, 0, 0) end, "source: region is closed")
  end)

  it("is compared with a region or a string, as memcmp does", function()
    r:write(10, "abcdef")
    local other <close> = region()
    other:write(100, "abcxef")
    assert.equal(0, r:compare(10, other, 100, 3))
    assert.same({-1, 3}, {r:compare(10, other, 100, 6)})
    assert.same({1, 3}, {other:compare(100, r, 10, 6)})
    assert.equal(0, r:compare(11, "abcdef", 1, 5))
    assert.same({-1, 0}, {r:compare(10, "\255", 0, 1)})
    assert.equal(0, r:compare(SIZE, "", 0, 0))
    assert.error_matches(function() r:compare(SIZE - 1, other, 0, 2) end, "offset: 255")
    assert.error_matches(function() r:compare(0, other, SIZE - 1, 2) end, "other_offset")
    assert.error_matches(function() r:compare(0, "abc", 1, 3) end, "other_offset: 1, and 3")
  end)

  it("finds bytes, from an offset on and among so many", function()
    r:write(20, "needle\0needle")
    assert.equal(20, r:find(0, "needle"))
    assert.equal(27, r:find(21, "needle"))
    assert.equal(26, r:find(20, "\0n"))
    assert.is_nil(r:find(28, "needle"))
    assert.is_nil(r:find(20, "needle", 5))
    assert.equal(20, r:find(20, "needle", 6))
    assert.is_nil(r:find(SIZE, "x"))
    r:write(SIZE - 2, "ab")
    assert.equal(SIZE - 2, r:find(0, "ab"))
  end)

  it("is sent and received without a string between, through sockets, pipes and files", function()
    local one, two = process.socketpair()
    local other <close> = region()
    r:write(0, "straight")
    assert.equal(8, r:send(one, 0, 8))
    assert.equal(8, other:recv(two, 100, 50))
    assert.equal("straight", other:read(100, 8))
    local sent, _, errno = other:recv(two, 0, 10, 0.02)
    assert.is_nil(sent)
    assert.equal(110, errno)
    assert.equal(0, other:recv(two, 0, 0, 0))
    one:close()
    assert.error_matches(function() r:send(one, 0, 8) end, "fd: .*closed.* has no descriptor")
    assert.equal(0, other:recv(two, 0, 10)) -- the end
    sent, _, errno = other:send(two, 0, 10)
    assert.is_nil(sent)
    assert.equal(32, errno)
    two:close()
    local path = os.tmpname()
    local file = assert(io.open(path, "w+"))
    assert.equal(SIZE, r:send(file, 0, SIZE))
    file:seek "set"
    assert.equal("s", file:read(1)) -- and reads ahead
    assert.equal(3, other:recv(file, 0, 3))
    assert.equal("tra", other:read(0, 3))
    file:seek "set"
    assert.equal(5, other:recv(file, 0, 5))
    assert.equal("strai", other:read(0, 5))
    assert.equal(SIZE - 5, other:recv(file, 0, SIZE))
    assert.equal(0, other:recv(file, 0, SIZE))
    file:close()
    os.remove(path)
    local pipe = assert(io.popen("cat", "w"))
    pipe:setvbuf "no"
    assert.equal(0, r:send(pipe, 0, 0))
    pipe:close()
    local descriptor <close> = assert(posix.open("/dev/full", posix.O_WRONLY))
    sent, _, errno = r:send(descriptor, 0, 1)
    assert.is_nil(sent)
    assert.equal(28, errno)
  end)

  it("is sent behind what io has in its buffer, and received without what io has read", function()
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:setvbuf "full"
    file:write "first "
    r:write(0, "second")
    assert.equal(6, r:send(file, 0, 6))
    file:write " third"
    file:flush()
    assert.equal("first second third", support.read_file(path))
    os.remove(path)
    os.execute("mkfifo " .. path)
    local pipe <close> = assert(io.open(path, "r+"))
    pipe:setvbuf("full", 4096)
    local writer <close> = assert(posix.open(path, posix.O_WRONLY))
    r:write(0, "ahead\nbehind")
    assert.equal(9, r:send(writer, 0, 9))
    assert.equal("ahead", pipe:read "l") -- and reads all that is there
    assert.equal(3, r:send(writer, 9, 3))
    r:fill(100, 12)
    assert.equal(3, r:recv(pipe, 100, 12))
    assert.equal("ind\0", r:read(100, 4))
    assert.equal("beh", pipe:read(3))
    os.remove(path)
    local one, two = process.socketpair()
    assert(one:send "x")
    two:close()
    local got, message, errno = r:recv(one, 0, 1)
    assert.is_nil(got)
    assert.equal("region.recv: Connection reset by peer", message)
    assert.equal(104, errno)
    one:close()
  end)

  it("is sent into a pipe as far as it goes, and SIGPIPE does not come", function()
    local large <close> = assert(shm.anonymous(1 << 20))
    for at = 0, (1 << 20) - 8, 8 do
      large:set_i64(at, at)
    end
    local path = os.tmpname()
    os.remove(path)
    os.execute("mkfifo " .. path)
    local child = process.fork(function()
      local reader = assert(io.open(path))
      local got = assert(shm.anonymous(1 << 20))
      local n = 0
      while n < 1 << 20 do
        n = n + assert(got:recv(reader, n, (1 << 20) - n, 10))
      end
      assert(got:compare(0, large, 0, 1 << 20) == 0)
    end)
    local writer = assert(io.open(path, "w"))
    assert.equal(1 << 20, large:send(writer, 0, 1 << 20, LONG))
    assert.same({"exit", 0}, {child:wait(LONG)})
    local sent, _, errno = large:send(writer, 0, 10)
    assert.is_nil(sent)
    assert.equal(32, errno) -- EPIPE
    writer:close()
    local full = assert(io.open(path, "r+"))
    local _, before
    sent, _, errno, before = large:send(full, 0, 1 << 20, 0.02)
    assert.is_nil(sent)
    assert.equal(110, errno)
    assert.equal(1 << 16, before)
    full:close()
    local buffered = process.fork(function()
      local broken = assert(io.popen("exec <&-; echo >" .. path .. ".gone", "w"))
      broken:setvbuf "full"
      broken:write "unread"
      while not io.open(path .. ".gone") do
        process.sleep(0.001)
      end
      local none, _, number = large:send(broken, 0, 1)
      process.exit(none == nil and number == 32 and 0 or 1) -- and no SIGPIPE at its end
    end)
    assert.same({"exit", 0}, {buffered:wait(LONG)})
    os.remove(path .. ".gone")
    os.remove(path)
  end)

  it("is told where it stopped when a pipe's reader goes meanwhile, without SIGPIPE", function()
    local large <close> = assert(shm.anonymous(1 << 20))
    local path = os.tmpname()
    os.remove(path)
    os.execute("mkfifo " .. path)
    local child = process.fork(function()
      local writer = assert(io.open(path, "w"))
      local sent, _, errno, before = large:send(writer, 0, 1 << 20)
      process.exit(not sent and errno == 32 and before >= 1 and before < 1 << 20 and 0 or 1)
    end)
    local reader = assert(posix.open(path, posix.O_RDONLY))
    assert.equal(1, r:recv(reader, 0, 1))
    support.asleep(child.pid) -- in the middle of a write
    reader:close()
    assert.same({"exit", 0}, {child:wait(LONG)})
    os.remove(path)
  end)

  it("waits, sends and receives until Ctrl-C, also where some was sent already", function()
    local large <close> = assert(shm.anonymous(1 << 20))
    local path = os.tmpname()
    os.remove(path)
    os.execute("mkfifo " .. path)
    local pipe <close> = assert(io.open(path, "r+"))
    local one, two = process.socketpair()
    for _, timeout in ipairs {false, 2 * LONG} do
      timeout = timeout or nil
      for _, fd in ipairs {pipe, one} do
        assert.is_true(support.interrupts(function() assert(large:recv(fd, 0, 1, timeout)) end))
      end
      assert.is_true(support.interrupts(function() assert(large:wait(0, 0, timeout)) end))
    end
    for _, fd in ipairs {pipe, one} do
      assert.is_true(support.interrupts(function() assert(large:send(fd, 0, 1 << 20)) end))
      assert.is_true(support.interrupts(function()
        assert(large:send(fd, 0, 1 << 20, 2 * LONG))
      end))
    end
    one:close()
    two:close()
    os.remove(path)
  end)

  it("unpacks strings whose length another process changes meanwhile", function()
    local shared <close> = assert(shm.anonymous(4096))
    local child = process.fork(function()
      for i = 0, math.maxinteger do
        local n = i % 60
        shared:set_u8(n + 1, 0) -- there is always an end to it
        shared:set_u8(n, 65)
        shared:set_u8(1000, n)
        if n == 59 then
          shared:set_u8(0, 0)
        end
      end
    end)
    local seen = {}
    for _ = 1, support.rounds(50000) do
      seen[#shared:unpack(0, "z")] = true
      assert(#shared:unpack(1000, "s1") < 60)
    end
    child:kill "KILL"
    child:wait()
    assert.is_true(next(seen) ~= nil)
  end)

  it("has accessors that are bound to one place", function()
    local get, set = r:getter_i32(12), r:setter_i32(12)
    set(-5)
    assert.equal(-5, get())
    assert.equal(-5, r:get_i32(12))
    local f = r:setter_f64(16)
    f(0.5)
    assert.equal(0.5, r:getter_f64(16)())
    local load, store, add, next = r:loader(64), r:storer(64), r:adder(64), r:adder(64, 1)
    store(10)
    assert.equal(10, add(5))
    assert.equal(15, next())
    assert.equal(16, load())
    r:storer32(72)(-1)
    assert.equal(-1, r:loader32(72)())
    assert.equal(-1, r:adder32(72)(0xffffffff))
    assert.equal(-2, r:adder32(72, 1)())
    assert.error_matches(function() set(1 << 31) end, "value")
    assert.error_matches(function() set "1" end, "value")
    assert.error_matches(function() add(1.5) end, "value")
    assert.error_matches(function() r:getter_i64(SIZE - 7) end, "not within")
    assert.error_matches(function() r:loader(4) end, "multiple of 8")
    r = nil
    collectgarbage()
    assert.equal(-5, get())
    r = region()
    local gone = r:getter_u8(0)
    r:close()
    assert.error_matches(gone, "region is closed")
    r = region()
  end)

  it("refuses a self that is none", function()
    for name, method in pairs(debug.getmetatable(r).__index) do
      for _, wrong in ipairs {{}, 1, "x", io.stdout, true} do
        assert.error_matches(function() method(wrong, 0, 0, 0) end, "shm%.region expected",
                             nil, name)
      end
      assert.error_matches(function() method() end, "shm%.region expected")
    end
  end)

  it("refuses an argument too many", function()
    assert.error_matches(function() r:read(0, 1, 2) end, "too many")
    assert.error_matches(function() r:get_i8(0, 1) end, "too many")
    assert.error_matches(function() r:load(0, 1) end, "too many")
    assert.error_matches(function() r:wake(0, 1, 2) end, "too many")
  end)
end)
