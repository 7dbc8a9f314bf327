-- Images of arenas: their bytes as of one instant, and arenas again from these.
local core = require "shm.core"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local image = core.image
local LONG = support.LONG
local ENOENT, EBADMSG, EPROTO, ERANGE, ENOBUFS = 2, 74, 71, 34, 105
local SIZE = 1 << 17

local function refused(errno, value, message, code)
  assert.is_nil(value)
  assert.equal(errno, code, message)
end

-- A copy of an arena as another one.
local function again(a, later, max)
  local copy = assert(shm.anonymous(SIZE, {max = max or SIZE}))
  assert(image.take(a, copy, 0))
  assert(image.adopt(copy, max or 0, later or 0))
  local b, made = shm.arena(copy)
  copy:close()
  assert.is_false(made)
  return b
end

describe("an image of an arena", function()
  local a, m

  before_each(function()
    a = assert(shm.arena(assert(shm.anonymous(SIZE, {max = 1 << 20}))))
    m = assert(a:map "m")
  end)

  after_each(function()
    m:close()
    a:close()
  end)

  it("is an arena with all that was in it, and none of those who had it", function()
    local q <close> = assert(a:queue("q", {capacity = 1000}))
    assert(a:counter("c", 7)):close()
    local r <close> = assert(a:bytes("r", 100, 5))
    assert(q:push {1, "two"})
    r:write(0, "bytes")
    for i = 1, 600 do
      assert(m:set(i, "value " .. i))
    end
    local b <close> = again(a)
    local other <close> = assert(b:map "m")
    local queue <close> = assert(b:queue "q")
    local counter <close> = assert(b:counter "c")
    local bytes <close> = assert(b:bytes("r", 100, 5))
    assert.equal(600, #other)
    assert.equal("value 77", other:get(77))
    assert.same({1, "two"}, queue:pop(0))
    assert.equal(7, counter:get())
    assert.equal("bytes", bytes:read(0, 5))
    assert.equal(1, #b:attached())
    assert.is_true(b:check())
  end)

  it("is of an instant between two steps, whoever changes maps meanwhile", function()
    local parent = process.pid()
    for i = 1, 20 do
      m:set(i, 100)
    end
    local child <close> = assert(process.fork(function()
      while process.alive(parent) do
        local from, to = math.random(20), math.random(20)
        m:transaction(function(t)
          t:incr(from, -1)
          t:incr(to, 1)
          t:set(("x"):rep(math.random(30)), ("y"):rep(math.random(600)))
        end)
      end
    end))
    local version, moved, rounds = nil, 0, 0
    local deadline = process.monotonic() + LONG
    repeat -- until the other has changed something meanwhile
      rounds = rounds + 1
      local b <close> = again(a)
      assert.is_true(b:check())
      local copy <close> = assert(b:map "m")
      local sum = 0
      for i = 1, 20 do
        sum = sum + copy:get(i)
      end
      assert.equal(2000, sum)
      moved = moved + (version ~= copy:version(1) and 1 or 0)
      version = copy:version(1)
    until rounds >= support.rounds(1000) and moved > 1 or process.monotonic() > deadline
    child:kill "KILL"
    child:wait(LONG)
    assert.is_true(moved > 1)
  end)

  it("is refused to who is in a transaction, and asks for as much room as it takes", function()
    local r <close> = assert(a:bytes("r", 100))
    local lock <close> = assert(a:mutex("lock", {journal = 256}))
    local copy <close> = assert(shm.anonymous(SIZE))
    local ok, message = pcall(r.transaction, r, lock, function() image.take(a, copy, 0) end)
    assert.is_false(ok)
    assert.matches("transaction goes on", message)
    refused(ENOBUFS, image.take(a, copy, 1))
    assert.equal(SIZE, image.take(a, copy, 0))
    assert.error_matches(function() image.take(a, copy, SIZE + 1) end, "offset")
  end)

  it("forgets who was inside, and undoes what that one had begun", function()
    local copy <close> = assert(shm.anonymous(SIZE))
    m:set("key", 1)
    image.take(a, copy, 0)
    local guard = copy:get_u32(16) + 128 * 16 -- behind the register
    copy:set_u32(guard, process.pid()) -- one that lives, and knows nothing of it
    copy:set_i64(SIZE - 8, 1) -- as if it had been changed, and the journal said from what
    copy:pack(guard + 16, "i8 i8 i8", 99, SIZE - 8 - guard - 8, 8)
    copy:set_u64(guard + 8, 24)
    assert(image.adopt(copy, 0, 0))
    assert.equal(99, copy:get_i64(SIZE - 8))
    local b <close> = assert(shm.arena(copy))
    local other <close> = assert(b:map "m")
    assert.is_true(other:set("key", 2))
  end)

  it("moves the times at which keys expire, and may grow further", function()
    m:set("long", 1, 1000)
    m:set("short", 2, 500)
    m:set("ever", 3)
    for _, later in ipairs {500, -100, -600, 1e8, -1e8} do
      local b <close> = again(a, later, 1 << 21)
      local other <close> = assert(b:map "m")
      local ttl, short = other:ttl "long", other:ttl "short"
      assert.equal(1000 + later > 0, other:get "long" ~= nil)
      assert.equal(500 + later > 0, short ~= nil)
      assert(not ttl or math.abs(ttl - 1000 - later) < LONG)
      assert.equal(3, other:get "ever")
      assert.equal(math.huge, other:ttl "ever")
      assert.equal(1 << 21, b:stat().max)
      assert(other:set("much", ("x"):rep(1 << 20)))
    end
  end)

  it("that is none, or scribble, is refused", function()
    local copy <close> = assert(shm.anonymous(SIZE, {max = 1 << 20}))
    refused(ENOENT, image.adopt(copy, 0, 0))
    image.take(a, copy, 0)
    local good = copy:read(0, SIZE)
    local function spoilt(offset, format, value, errno)
      copy:write(0, good)
      copy:pack(offset, format, value)
      refused(errno, image.adopt(copy, 0, 0))
    end
    spoilt(0, "I2", 77, EPROTO)              -- another version's
    spoilt(20, "I4", 0, EPROTO)              -- of other structs
    spoilt(24, "i8", SIZE + 64, EBADMSG)     -- larger than what is there
    spoilt(32, "i8", 1 << 30, ERANGE)        -- may grow beyond what is mapped
    spoilt(40, "I4", SIZE, EBADMSG)          -- a journal that is too large
    for _ = 1, support.rounds(2000) do       -- and anything at all is an error, or is not
      copy:write(0, good)
      for _ = 1, 20 do
        copy:set_u8(math.random(64, SIZE - 1), math.random(0, 255))
      end
      pcall(image.adopt, copy, 0, 3)
    end
  end)
end)

describe("a sum", function()
  it("knows bytes again", function()
    local bytes = ("0123456789abcdef"):rep(16)
    local seen = {}
    for n = 0, 200 do
      local sum = image.sum(bytes, 0, n)
      assert.is_nil(seen[sum])
      seen[sum] = true
    end
    local whole = image.sum(bytes)
    for i = 1, #bytes do
      for bit = 0, 7 do
        local other = bytes:sub(1, i - 1) .. string.char(bytes:byte(i) ~ 1 << bit)
          .. bytes:sub(i + 1)
        assert.not_equal(whole, image.sum(other))
      end
    end
    for i = 0, 6 do -- two parts exchanged
      local at = i * 32
      local other = bytes:sub(1, at) .. bytes:sub(at + 3, at + 34) .. bytes:sub(at + 1, at + 2)
        .. bytes:sub(at + 35)
      assert.not_equal(whole, image.sum(other))
    end
    assert.not_equal(image.sum(("\0"):rep(4096)), image.sum(("\0"):rep(4064)))
  end)

  it("is that of a region's part, too", function()
    local r <close> = assert(shm.anonymous(1000))
    r:write(3, "something to sum, which is longer than a word")
    assert.equal(image.sum "something to sum, which", image.sum(r, 3, 23))
    assert.error_matches(function() image.sum(r, 1001) end, "offset")
    assert.error_matches(function() image.sum(r, 1000, 1) end, "n")
  end)
end)
