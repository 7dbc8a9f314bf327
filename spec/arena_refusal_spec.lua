-- What an arena's own calls refuse, and what its list of names says.
local lock = require "spec.lock_support"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local LONG, refused = support.LONG, lock.refused
local ENOENT <const>, EBUSY <const>, ENOTEMPTY <const>, EBADMSG <const>, ENOSPC <const> =
  2, 16, 39, 74, 28
local SIZE <const> = 1 << 18
local GUARD <const> = 2560 + 128 * 16 -- where the guard's word lies: behind the register

describe("an arena", function()
  local before, region, a
  local point = shm.record {{"x", "f64"}, {"y", "f64"}}

  before_each(function()
    before = support.belongings()
    region = assert(shm.anonymous(SIZE))
    a = assert(shm.arena(region))
  end)

  after_each(function()
    a:close()
    region:close()
    a, region = nil, nil
    collectgarbage()
    assert.same(before, support.belongings())
  end)

  local MAKE = {
    mutex = {}, rwlock = {}, semaphore = {3}, event = {}, condition = {}, barrier = {2},
    counter = {7}, queue = {{capacity = 64}}, topic = {{capacity = 64}}, map = {}, bytes = {100},
    array = {point, 3},
  }

  local function make(kind, name)
    return a[kind](a, name, table.unpack(MAKE[kind]))
  end

  it("lists each name with its kind, and drops each", function()
    local wanted = {}
    for kind in pairs(MAKE) do
      local one, made = make(kind, "a " .. kind)
      assert.is_true(one and made)
      wanted["a " .. kind] = kind == "array" and "bytes" or kind
    end
    assert.same(wanted, a:names())
    collectgarbage()
    assert.same(wanted, a:names()) -- also when nobody has them open
    for name in pairs(wanted) do
      assert.is_true(a:drop(name))
      wanted[name] = nil
      assert.same(wanted, a:names())
      refused(ENOENT, "^arena%.drop '" .. name, a:drop(name))
    end
    assert.same({0, 0}, {a:stat().used, a:stat().objects})
  end)

  it("lists more names than there is room for at first", function()
    local wanted, n = {}, 200
    for i = 1, n do
      local name = ("%03d"):format(i) .. ("n"):rep(i)
      assert(a:counter(name)):close()
      wanted[name] = "counter"
    end
    assert.same(wanted, a:names())
    assert.equal(n, a:stat().objects)
  end)

  it("refuses a name that is another kind's, and it stays that", function()
    for kind in pairs(MAKE) do
      assert(make(kind, kind))
      for other in pairs(MAKE) do
        local same = other == kind or kind == "bytes" and other == "array"
          or kind == "array" and other == "bytes"
        if not same then
          refused(ENOTEMPTY, "^arena%.%a+ '" .. kind .. "': it is of another kind$",
                  make(other, kind))
        end
      end
      assert.is_false(select(2, make(kind, kind)))
    end
  end)

  it("is full for all kinds, none of which is half made then", function()
    local size, n = a:stat().free // 2, 0
    repeat -- until no block of any use is left
      n = n + 1
      size = a:bytes("b" .. n, size) and size or size // 2
    until size < 8
    collectgarbage()
    local used, names = a:stat().used, a:stat().objects
    for kind in pairs(MAKE) do
      refused(ENOSPC, "^arena%.%a+ 'new': the arena is full$", make(kind, "new"))
    end
    refused(ENOSPC, "^arena%.allocate", a:allocate(100))
    assert.same({used, names}, {a:stat().used, a:stat().objects})
    assert.is_nil(a:names().new)
    assert(a:check())
  end)

  it("does nothing while one that was stopped holds its guard, and says who that is", function()
    assert(a:counter "there"):close()
    local kept, block = assert(a:allocate(10)):keep(), assert(a:allocate(10))
    local calls = {
      names = function() return a:names() end, drop = function() return a:drop "there" end,
      attached = function() return a:attached() end, check = function() return a:check() end,
      allocate = function() return a:allocate(10) end, keep = function() return block:keep() end,
      free = function() return a:free(kept) end, view = function() return a:view(kept) end,
    }
    for kind in pairs(MAKE) do
      calls["a new " .. kind] = function() return make(kind, kind) end
    end
    local desk <close> = assert(shm.anonymous(64))
    local holder <close> = lock.parked(function() end)
    local pattern, children, ends = "is held by " .. holder.pid .. ": ", {}, {}
    local begun = 0
    for name, f in pairs(calls) do
      begun = begun + 1
      children[name] = assert(process.fork(function()
        desk:add32(8, 1)
        desk:wait(0, 0, LONG)
        local value, message, errno = f()
        assert(value == nil and errno == EBUSY and message:find(pattern, 1, true), message)
      end))
    end
    -- A child takes its place in the arena inside the guard, and would open it when it has.
    support.eventually(function() return desk:load32(8) == begun end)
    local stat = a:stat()
    region:store32(GUARD, holder.pid)
    desk:store32(0, 1)
    desk:wake(0)
    for name, child in pairs(children) do
      ends[name] = table.concat({child:wait(LONG)}, " ")
      child:kill "KILL"
      child:close()
    end
    assert.same(stat, a:stat()) -- which waits for nobody
    region:store32(GUARD, 0)
    for name, how in pairs(ends) do
      assert.equal("exit 0", how, name)
    end
    assert.same({there = "counter"}, a:names())
    assert.equal(kept, assert(a:view(kept)):address() - region:address())
    block:close()
    assert(a:free(kept) and a:check())
  end)

  it("says that its heap makes no sense, as only scribble leaves it", function()
    local b <close> = assert(a:bytes("b", 1000))
    assert.is_true(a:check())
    local header = (b:address() - region:address() - 64) & ~15
    local spoilt = 0
    for at = header - 64, header + 64, 8 do -- the block's header is among these
      local was = region:load(at)
      region:store(at, was ~ 0x10)
      local ok, message, errno = a:check()
      if not ok then
        refused(EBADMSG, "^arena%.check '.*': what lies there makes no sense$", ok, message, errno)
        spoilt = spoilt + 1
      end
      region:store(at, was)
      assert.is_true(a:check())
    end
    assert(spoilt > 0)
  end)

  it("refuses arrays that are none, at the caller's", function()
    local function throws(what, name, record, count)
      local ok, message = pcall(function() a:array(name, record, count) end)
      assert.is_false(ok)
      assert.matches("arena_refusal_spec%.lua:%d+: arena%.array: " .. what .. ": ", message)
    end
    for _, name in ipairs {1, "", ("n"):rep(256), {}} do
      throws("name", name, point, 1)
    end
    throws("name", nil, point, 1)
    throws("record", "x", {}, 1)
    for _, count in ipairs {0, -1, 1.5, (1 << 34) // 16 + 1, math.maxinteger} do
      throws("count", "x", point, count)
    end
    assert.same({}, a:names())
  end)
end)

describe("an arena by name", function()
  local name

  before_each(function()
    name = ("shm-spec-%d"):format(support.key())
  end)

  after_each(function()
    shm.unlink(name)
  end)

  -- What a map that may evict says there, a thousand bytes at a time, with what the kernel refuses.
  local function grown(inject)
    local said, log = support.strace("-e trace=fallocate -e inject=fallocate:" .. inject, ([[
      local shm = require "shm"
      local arena = assert(shm.arena("%s", {size = 1 << 16, max = 1 << 20}))
      local map, plain = arena:map("evicts", {evict = true}), arena:map "plain"
      local kept = 0
      for i = 1, 100 do
        map:set(i, ("x"):rep(1000))
      end
      for i = 1, 100 do
        kept = kept + (map:get(i) and 1 or 0)
      end
      print(kept, plain:set("large", ("x"):rep(400000)))
      print(arena:bytes("bytes", 200000))]]):format(name))
    if said then
      assert.matches("INJECTED", log)
    end
    return said, log
  end

  it("grows also where signals come while memory for that is reserved", function()
    local said, why = grown "error=EINTR:when=2..7" -- the first makes the arena
    if not said then
      return pending(why)
    end
    assert.equal(("100\ttrue\nshm.region (/%s, 200000 bytes)\ttrue\n"):format(name), said)
  end)

  it("says whether it is full, or what it lies in", function()
    local said, why = grown "error=ENOSPC:when=2+"
    if not said then
      return pending(why)
    end
    local why_not = ": the file system that the arena lies in is full\t28\n"
    assert.matches("^%d+\tnil\tmap%.set 'plain'" .. why_not
                   .. "nil\tarena%.bytes 'bytes'" .. why_not .. "$", said)
    local arena <close> = assert(shm.arena(name))
    refused(ENOSPC, "^arena%.bytes 'more': the arena is full$", arena:bytes("more", 1 << 20))
    local _ <close> = assert(arena:bytes("bytes", 200000)) -- once it has, that is well
  end)

  it("says what is missing where it can not be made", function()
    local said, log = support.strace("-e trace=linkat -e inject=linkat:error=ENOENT",
      ([[print(require "shm".arena "%s")]]):format(name))
    if not said then
      return pending(log)
    end
    assert.equal(("nil\tshm.create '/%s': No such file or directory\t2\n"):format(name), said)
    assert.equal(2, select(2, log:gsub("INJECTED", ""))) -- with /proc and without, and not again
  end)
end)
