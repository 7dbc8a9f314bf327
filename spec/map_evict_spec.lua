-- Maps that make room: keys that were not used for longest go, and a capacity is respected.
local map = require "spec.map_support"
local cqueues = require "cqueues"
local process = require "shm.process"
local shm = require "shm"
local socket = require "socket"
local support = require "spec.support"

local EBUSY, ENOSPC, ETIMEDOUT = 16, 28, 110
local JOURNAL <const> = 2048 -- bytes
local refused = map.refused

describe("a map that evicts", function()
  local a, m, before

  local function begin(size, options)
    before = map.outside()
    a, m = map.arena(size, options)
  end

  after_each(function()
    m:close()
    a:close()
    assert.same(before, map.outside())
  end)

  it("takes new keys for ever, in the memory that there is", function()
    begin(1 << 16, {evict = true})
    for i = 1, support.rounds(20000) do
      assert.is_true(m:set(i, ("x"):rep(i % 500)))
      assert.equal(i % 500, #m:get(i))
    end
    assert.is_true(#m > 20)
    assert.equal(#m, m:stat().count)
    map.whole(a, m)
    for key in pairs(m) do
      assert.is_true(m:delete(key))
    end
    assert.equal(0, m:stat().used)
    map.whole(a, m)
  end)

  it("lets the one go that was not used for longest", function()
    begin(1 << 20, {evict = true, capacity = 64 * 1000})
    local n = 0
    repeat
      n = n + 1
      m:set(n, ("x"):rep(16 - 2)) -- 48 of the entry, 8 of the key, 15 of the value
    until #m < n
    assert.is_nil(m:get(1))
    n = #m
    for i = 1, n // 2 do -- the older half has been used last, then
      m:get(i + 1)
    end
    local eighth = n // 8 + 1
    for i = 1, n // 2 - eighth do
      m:set("new" .. i, "12345678901234")
    end
    local lost = 0
    for i = 1, n // 2 do
      lost = lost + (m:version(i + 1) == 0 and 1 or 0)
    end
    assert.equal(0, lost, "one that was used went before one that was not")
    map.whole(a, m)
  end)

  it("keeps keys that are used again and again", function()
    begin(1 << 16, {evict = true})
    m:set("kept", "value")
    for i = 1, support.rounds(20000) do
      m:set(i, "x")
      if i % 10 == 0 then
        assert.equal("value", m:get "kept")
      end
    end
    map.whole(a, m)
  end)

  it("respects its capacity", function()
    begin(1 << 20, {evict = true, capacity = 10000})
    assert.equal(10000, m:stat().capacity)
    for i = 1, 2000 do
      assert.is_true(m:set(i % 700, ("x"):rep(i % 900)))
      assert.is_true(m:stat().used <= 10000)
    end
    map.whole(a, m)
    local again <close> = assert(a:map("m", {capacity = 5}))
    assert.equal(10000, again:stat().capacity)
  end)

  it("lets none go for what could never fit", function()
    begin(1 << 18, {evict = true, capacity = 10000})
    for i = 1, 50 do
      m:set(i, i)
    end
    for size = 9950, 10001 do
      local ok, message, errno = m:set("large", ("x"):rep(size))
      if not ok then
        refused(ENOSPC, "^map%.set", ok, message, errno)
        assert.equal(50, #m, size)
      else
        m:delete "large"
        for i = 1, 50 do
          m:set(i, i)
        end
      end
    end
    local wide <close> = assert(a:map("wide", {evict = true}))
    wide:set(1, 1)
    refused(ENOSPC, "^map%.set", wide:set(2, ("x"):rep(1 << 19)))
    assert.equal(1, wide:get(1))
  end)

  it("makes room for large values, and within several changes at once", function()
    begin(1 << 18, {evict = true})
    for i = 1, 300 do
      assert.is_true(m:set(i, ("x"):rep(5000 + i)))
      assert.is_true(m:transaction(function(t)
        for k = 1, 5 do
          t:set("t" .. k, ("y"):rep(i))
        end
        return true
      end))
    end
    map.whole(a, m)
  end)

  it("lets claims and expired keys go, too", function()
    begin(1 << 16, {evict = true})
    for i = 1, 3000 do
      assert(m:claim(i))
      assert(m:set("mortal" .. i, i, 0.001))
    end
    for i = 1, 3000 do
      m:fulfil(i, i)
    end
    assert.is_true(map.count(m, true) <= #m)
    assert.is_true(a:check())
  end)

  it("does so also with the smallest journal that takes a map", function()
    before = map.outside()
    a, m = map.arena(1 << 16, {evict = true}, {journal = JOURNAL})
    local other = assert(a:map("other"))
    for i = 1, 100 do
      assert(other:set(i, i))
    end
    for i = 1, 3000 do
      assert(m:set(i, ("x"):rep(i % 300)))
      assert(m:set(-i, i, 0.001))
      m:get(i // 2)
    end
    assert.is_true(map.count(m, true) <= #m)
    local used = a:stat().used
    a:drop "other"
    other:close()
    assert.is_true(a:stat().used < used - 100 * 64)
    assert.is_true(a:check())
  end)

  it("is shared by processes that are killed", function()
    begin(1 << 17, {evict = true})
    for _ = 1, support.rounds(40) do
      local children = {}
      for i = 1, 4 do
        children[i] = map.child(function()
          math.randomseed(i + process.pid())
          while true do
            local key = math.random(2000)
            m:set(key, ("x"):rep(math.random(300)), math.random(4) == 1 and 0.001 or nil)
            m:get(math.random(2000))
          end
        end)
      end
      local seen = 0
      repeat
        local n, message, errno = m:changes()
        assert(n or errno == EBUSY, message) -- as where one has no turn for a second, inside
        seen = seen + (n or 0)
      until seen > 200
      for _, child in ipairs(children) do
        map.bury(child)
      end
      assert.is_true(a:check())
      assert.is_true(map.count(m, true) <= #m)
      assert(m:set("mine", 1))
    end
  end)
end)

describe("a map beside others", function()
  local a, m

  before_each(function()
    a, m = map.arena(1 << 17)
  end)

  after_each(function()
    m:close()
    a:close()
  end)

  it("counts the changes since it was asked last", function()
    assert.equal(0, m:changes())
    m:set("a", 1)
    m:set("a", 2)
    m:delete "a"
    m:delete "a"
    assert.equal(3, m:changes())
    assert.equal(0, m:changes())
    local other <close> = assert(a:map("m"))
    assert.equal(0, other:changes())
  end)

  it("is one of those that wait_any waits for", function()
    local semaphore <close> = assert(a:semaphore("s"))
    refused(ETIMEDOUT, "^shm%.wait_any", shm.wait_any({semaphore, m}, 0))
    local child <close> = map.child(function() m:set("a", 1) end)
    assert.equal(2, shm.wait_any({semaphore, m}, map.LONG))
    assert.is_true(child.ended())
    assert.equal(1, m:changes())
    refused(ETIMEDOUT, "^shm%.wait_any", shm.wait_any({semaphore, m}, 0.01))
    semaphore:post()
    assert.equal(1, shm.wait_any({semaphore, m}, map.LONG))
  end)

  it("has a descriptor that is readable while there are changes not asked for", function()
    assert.equal(m:fileno(), m:getfd())
    assert.equal(m:fileno(), m:pollfd())
    assert.equal("r", m:events())
    assert.is_nil(m:timeout())
    assert.equal(0, #socket.select({m}, nil, 0))
    local child <close> = map.child(function() m:set("a", 1) end)
    assert.equal(1, #socket.select({m}, nil, map.LONG))
    assert.is_true(child.ended())
    assert.equal(1, m:changes())
    assert.equal(0, #socket.select({m}, nil, 0))
  end)

  it("stands in an event loop beside a socket", function()
    local ours <close>, other = assert(process.socketpair())
    local theirs <close> = other
    local child <close> = map.child(function()
      for i = 1, 20 do
        m:set("a", i)
        theirs:send "."
        assert(theirs:recv(1, map.LONG))
      end
    end)
    local changes, dots = 0, 0
    local loop = cqueues.new()
    loop:wrap(function()
      while changes < 20 do
        cqueues.poll(m)
        changes = changes + m:changes()
      end
      cqueues.cancel(m:pollfd())
    end)
    loop:wrap(function()
      while dots < 20 do
        cqueues.poll(ours)
        ours:recv(1)
        ours:send "."
        dots = dots + 1
      end
      cqueues.cancel(ours:pollfd())
    end)
    assert(loop:loop(map.LONG))
    assert.same({20, 20}, {changes, dots})
    assert.is_true(child.ended())
  end)
end)
