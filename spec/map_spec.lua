-- Maps: keys and values in an arena, which are found without a lock.
local map = require "spec.map_support"
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local ENOENT, EEXIST, EINVAL, ENOSPC, ENOTEMPTY, ETIMEDOUT = 2, 17, 22, 28, 39, 110
local refused = map.refused

describe("a map", function()
  local a, m, before

  before_each(function()
    before = map.outside()
    a, m = map.arena(1 << 20)
  end)

  after_each(function()
    m:close()
    a:close()
    assert.same(before, map.outside())
  end)

  it("is one map to all who ask for its name", function()
    local other <close>, made = assert(a:map("m"))
    assert.is_false(made)
    local new <close>, new_made = assert(a:map("another"))
    assert.is_true(new_made)
    assert.is_true(m:set("a", 1))
    assert.equal(1, other:get "a")
    assert.is_nil(new:get "a")
    assert.matches("^shm%.map %(", tostring(m))
    assert(a:mutex("lock")):close()
    refused(ENOTEMPTY, "^arena%.map", a:map("lock"))
    refused(ENOTEMPTY, "^arena%.mutex", a:mutex("m"))
  end)

  it("is closed twice without harm, and then refuses all else", function()
    m:set("a", 1)
    m:close()
    m:close()
    assert.equal("shm.map (closed)", tostring(m))
    local again <close> = assert(a:map("m"))
    local methods = debug.getmetatable(again).__index
    for name, f in pairs(methods) do
      if name ~= "close" then
        local first = name == "transaction" and function(t) t:set("a", 2) end or "a"
        assert.error_matches(function() f(m, first, tostring) end, "closed")
      end
    end
    assert.error_matches(function() return #m end, "closed")
    assert.error_matches(function() return pairs(m) end, "closed")
    assert.equal(1, again:get "a")
  end)

  it("stays after all have closed it, and its arena may be closed before it", function()
    m:set("a", 1)
    m:close()
    m = assert(a:map("m"))
    assert.equal(1, m:get "a")
    a:close()
    assert.equal(1, m:get "a")
    assert.is_true(m:set("b", 2))
    assert.equal(2, #m)
  end)

  it("refuses options that it does not know", function()
    for _, wrong in ipairs {1, "x", {size = 1}, {evict = 1}, {capacity = 0}, {capacity = "1"}} do
      assert.error(function() a:map("x", wrong) end)
    end
  end)

  it("holds every kind of value", function()
    local values = {
      true, false, 0, 1, -1, math.maxinteger, math.mininteger, 0.5, -0.0, 1e308, math.huge, "",
      "x", "a\0b", "\xff", ("x"):rep(300), ("x"):rep(5000), ("x"):rep(100000), {}, {1, 2, {3}},
      {x = {y = "z"}, [1] = false},
    }
    for i, value in ipairs(values) do
      assert.is_true(m:set(i, value))
    end
    for i, value in ipairs(values) do
      assert.same(value, m:get(i))
      assert.equal(math.type(value), math.type(m:get(i)))
    end
    for i = #values, 1, -1 do -- larger ones in the place of smaller ones, and the reverse
      assert.is_true(m:set(#values + 1 - i, values[i]))
    end
    for i, value in ipairs(values) do
      assert.same(value, m:get(#values + 1 - i))
    end
    map.whole(a, m)
  end)

  it("holds values of a MiB and more, where it may grow", function()
    local big_arena <close>, its_big = map.arena(1 << 16, nil, {max = 1 << 26})
    local big <close> = its_big
    for i = 1, 8 do
      local value = string.char(64 + i):rep((1 << 20) + i)
      assert.is_true(big:set(i, value))
      assert.equal(value, big:get(i))
    end
    assert.is_true(big_arena:stat().size > 8 << 20)
    for i = 1, 8 do
      assert.equal((1 << 20) + i, #big:get(i))
      assert.is_true(big:delete(i))
    end
    map.whole(big_arena, big)
  end)

  it("tells keys apart by type and bytes, but an integer from no float that equals it", function()
    local long = ("k"):rep(70000)
    local keys = {"", "1", 1, true, false, "true", "a", "a\0", "\0", 0, -1, math.mininteger,
                  ("k"):rep(7), ("k"):rep(8), ("k"):rep(9), long, long .. "x"}
    for i, key in ipairs(keys) do
      assert.is_true(m:add(key, i))
    end
    for i, key in ipairs(keys) do
      assert.equal(i, m:get(key))
    end
    assert.equal(#keys, #m)
    assert.equal(3, m:get(1.0))
    assert.is_true(m:set(2.0 ^ 53, "x"))
    assert.equal("x", m:get(1 << 53))
    local seen = {}
    for key, value in pairs(m) do
      seen[key] = value
    end
    for i, key in ipairs(keys) do
      assert.equal(i, seen[key])
    end
    map.whole(a, m)
  end)

  it("refuses other keys", function()
    local longest = ("k"):rep((1 << 20) - 1)
    for _, wrong in ipairs {1.5, 0 / 0, math.huge, {}, print, io.stdout, longest .. "x"} do
      for _, name in ipairs {"get", "set", "delete", "add", "incr", "version", "lookup", "ttl"} do
        assert.error_matches(function() m[name](m, wrong, name ~= "ttl" and 1 or nil) end,
                             "", nil, nil, name)
      end
      assert.error_matches(function() m:get(wrong) end, "key: ")
    end
    assert.error_matches(function() m:get() end, "key: ")
    local big <close> = assert(map.arena(1 << 22))
    local one <close> = assert(big:map("x"))
    assert.is_true(one:set(longest, 1))
    assert.equal(1, one:get(longest))
    assert.equal(longest, (one:next()))
  end)

  it("refuses values that are none, and puts nothing then", function()
    for _, wrong in ipairs {print, io.stdout, coroutine.create(print), {{print}}} do
      assert.error_matches(function() m:set("a", wrong) end, "value")
      assert.error_matches(function() m:cas("a", nil, wrong) end, "value")
    end
    assert.error_matches(function() m:set("a") end, "value: nil")
    assert.equal(0, #m)
  end)

  it("adds what is absent, replaces what is there, and says whether it deleted", function()
    refused(ENOENT, "^map%.replace: there is no such key", m:replace("a", 1))
    assert.is_true(m:add("a", 1))
    refused(EEXIST, "^map%.add: the key is there", m:add("a", 2))
    assert.equal(1, m:get "a")
    assert.is_true(m:replace("a", 3))
    assert.equal(3, m:get "a")
    assert.is_true(m:delete "a")
    assert.is_false(m:delete "a")
    assert.is_nil(m:get "a")
    assert.equal(0, #m)
  end)

  it("adds to numbers as Lua does", function()
    refused(ENOENT, "^map%.incr", m:incr "n")
    assert.equal(11, m:incr("n", 1, 10))
    assert.equal(12, m:incr("n", nil, 10))
    assert.equal(7, m:incr("n", -5))
    assert.equal("float", math.type(m:incr("n", 0.5)))
    assert.equal(8.5, m:incr("n"))
    assert.equal("float", math.type(m:get "n"))
    m:set("n", math.maxinteger)
    assert.equal(math.mininteger, m:incr("n"))
    m:set("n", 2.5)
    assert.equal(3.5, m:incr("n", 1))
    for _, value in ipairs {"1", true, {}, ("x"):rep(5000)} do
      m:set("s", value)
      refused(EINVAL, "^map%.incr: the value is no number", m:incr "s")
      assert.same(value, m:get "s")
    end
  end)

  it("gives each change another version, and none twice", function()
    local seen, last = {}, 0
    local function fresh()
      local value, version = m:lookup "a"
      assert.equal(version, m:version "a")
      if value ~= nil then
        assert.is_true(version > last and not seen[version])
        seen[version], last = true, version
      else
        assert.equal(0, version)
      end
    end
    for i = 1, 20 do
      m:set("a", i)
      fresh()
      m:incr("a")
      fresh()
      m:ttl("a", 100)
      fresh()
      m:set("a", ("x"):rep(i * 100))
      fresh()
      m:delete "a"
      fresh()
      m:set("b", i)
    end
    assert.same({nil, 0}, {m:lookup "none"})
    assert.equal(0, m:version "none")
  end)

  it("changes a key if it is the one that is known", function()
    assert.is_true(m:set_if("a", 0, 1))
    assert.is_false(m:set_if("a", 0, 2))
    local _, version = m:lookup "a"
    assert.is_true(m:set_if("a", version, 2))
    assert.is_false(m:set_if("a", version, 3))
    assert.is_false(m:set_if("a", version))
    assert.is_true(m:set_if("a", m:version "a"))
    assert.is_nil(m:get "a")
    assert.is_true(m:set_if("a", 0))
    m:set("a", 2)
    assert.is_false(m:set_if("a", version, 3), "the version of a key that was deleted since")
  end)

  it("compares and swaps values", function()
    assert.is_false(m:cas("a", 1, 2))
    assert.is_true(m:cas("a", nil, 1))
    assert.is_false(m:cas("a", nil, 2))
    assert.is_false(m:cas("a", "1", 2))
    assert.is_false(m:cas("a", 1.0, 2), "1 is not 1.0")
    assert.is_true(m:cas("a", 1, {1, {x = "y"}}))
    assert.is_false(m:cas("a", {1, {x = "z"}}, 5))
    assert.is_true(m:cas("a", {1, {x = "y"}}, ("x"):rep(6000)))
    assert.is_false(m:cas("a", ("x"):rep(6001), "s"))
    assert.is_true(m:cas("a", ("x"):rep(6000), "s"))
    assert.is_true(m:cas("a", "s", nil))
    assert.is_true(m:cas("a", nil, nil))
    assert.equal(0, #m)
    map.whole(a, m)
  end)

  it("tells how much there is", function()
    assert.same({count = 0, used = 0, buckets = 512, capacity = 0}, m:stat())
    for i = 1, 1000 do
      m:set(i, i)
    end
    local stat = m:stat()
    assert.equal(1000, stat.count)
    assert.is_true(stat.used > 1000 * 40 and stat.buckets >= 999)
    for i = 1, 1000 do
      m:delete(i)
    end
    assert.equal(0, m:stat().used)
  end)

  it("goes through keys by next, also behind one that is gone", function()
    assert.is_nil(m:next())
    for i = 1, 100 do
      m:set(i, {i})
    end
    local key, value = m:next()
    local seen = {}
    while key do
      assert.is_nil(seen[key])
      assert.same({key}, value)
      seen[key] = true
      m:delete(key)
      key, value = m:next(key)
    end
    for i = 1, 100 do
      assert.is_true(seen[i])
    end
    assert.equal(0, #m)
    assert.is_nil(m:next "anything")
  end)

  it("is full some time, and stays whole then", function()
    local small <close>, its_one = map.arena(1 << 16)
    local one <close> = its_one
    local n = 0
    while true do
      local ok, message, errno = one:set(n, ("v"):rep(n % 300))
      if not ok then
        refused(ENOSPC, "^map%.set", ok, message, errno)
        break
      end
      n = n + 1
    end
    assert.is_true(n > 100)
    assert.equal(n, #one)
    map.whole(small, one)
    refused(ENOSPC, "^map%.set", one:set("big", ("x"):rep(60000)))
    assert.equal(n, #one)
    assert.is_true(one:delete(n - 1))
    assert.is_true(one:set(n - 1, ("w"):rep((n - 1) % 300)))
    map.whole(small, one)
  end)

  it("makes its arena grow, as far as that may", function()
    local name = "shm-spec-" .. support.key()
    local big <close> = assert(shm.arena(name, {size = 1 << 16, max = 1 << 22}))
    local one <close> = assert(big:map("m"))
    local child <close> = map.child(function()
      for i = 1, 5000 do
        assert(one:set(i, i))
      end
    end)
    assert.is_true(child.ended())
    for i = 1, 5000 do
      assert.equal(i, one:get(i))
    end
    assert.is_true(big:stat().size > 1 << 17)
    local n = 5000
    while one:set(n + 1, ("x"):rep(1000)) do
      n = n + 1
    end
    assert.is_true(big:stat().size <= 1 << 22 and big:stat().size > (1 << 22) - 8192)
    map.whole(big, one)
    assert.is_true(shm.unlink(name))
  end)

  it("gives all its memory back when it is dropped and closed", function()
    local used = a:stat().used
    for i = 1, 3 do
      local other = assert(a:map("other", {evict = i == 2, capacity = i == 3 and 1 << 20 or nil}))
      for k = 1, 3000 do
        assert(other:set(k, ("x"):rep(k % 100)))
      end
      other:set("large", ("x"):rep(10000))
      other:claim "computed"
      assert.is_true(a:drop "other")
      assert.equal(3001, #other)
      other:close()
      assert.equal(used, a:stat().used)
      assert.is_true(a:check())
    end
  end)

  it("reads without a lock: also while who writes is stopped", function()
    m:set("a", 1)
    local child <close> = map.parked(function() m:set("b", 2) end)
    support.stop(child.pid)
    assert.equal(1, m:get "a")
    assert.equal(2, m:get "b")
    child:kill "CONT"
  end)

  it("is shared by processes that attach it by its name", function()
    local name = "shm-spec-" .. support.key()
    local named <close> = assert(shm.arena(name, {size = 1 << 18, max = 1 << 22}))
    local one <close> = assert(named:map("m"))
    map.together(4, function(i)
      local own <close> = assert(shm.arena(name))
      local mine <close> = assert(own:map("m"))
      for k = 1, support.rounds(1000) do
        assert(mine:set(i .. "." .. k, {i, k}))
        assert(mine:get(i .. "." .. k)[2] == k)
      end
    end)
    assert.equal(4 * support.rounds(1000), #one)
    map.whole(named, one)
    assert.is_true(posix.shm_unlink("/" .. name))
  end)
end)

describe("waiting for a map's key", function()
  local a, m

  before_each(function()
    a, m = map.arena(1 << 17)
  end)

  after_each(function()
    m:close()
    a:close()
  end)

  it("ends at once where the version is another, and with the time-out", function()
    m:set("a", 1)
    assert.equal(m:version "a", m:wait("a", 0))
    refused(ETIMEDOUT, "^map%.wait", m:wait("a", m:version "a", 0))
    refused(ETIMEDOUT, "^map%.wait", m:wait("a", m:version "a", 0.03))
    refused(ETIMEDOUT, "^map%.wait", m:wait("none", 0, 0.01))
    assert.equal(0, m:wait("none", 7, 0))
    for _, wrong in ipairs {-1, 1.5, "1", true} do
      assert.error_matches(function() m:wait("a", wrong) end, "version")
    end
  end)

  it("ends with another process's set and delete", function()
    for _, change in ipairs {
      function() m:set("a", 2) end, function() m:incr("a") end, function() m:delete "a" end,
      function() m:add("a", 1) end, function() m:update("a", function() return 7 end) end,
      function() m:transaction(function(t) t:set("b", 1) t:set("a", 2) end) end,
    } do
      local version = m:version "a"
      local child <close> = map.child(function()
        assert(m:wait("a", version, map.LONG) ~= version)
      end)
      support.asleep(child.pid)
      change()
      assert.is_true(child.ended())
    end
  end)

  it("ends when the key's time is up", function()
    m:set("a", 1, 0.05)
    assert.equal(0, m:wait("a", m:version "a", map.LONG))
  end)

  it("ends with a signal", function()
    assert.is_true(support.interrupts(function()
      local ok, message, errno = m:wait("a", 0, map.LONG)
      assert(ok == nil and errno == 4, message)
    end))
    assert.is_true(support.interrupts(function()
      m:claim "b"
      local child <close> = map.child(function() m:claim("b", map.LONG) end)
      child.ended()
    end))
  end)
end)

describe("a key's time", function()
  local a, m

  before_each(function()
    a, m = map.arena(1 << 16)
  end)

  after_each(function()
    m:close()
    a:close()
  end)

  local function pass(seconds)
    local till = process.monotonic() + seconds
    support.eventually(function() return process.monotonic() > till end)
  end

  it("is asked for, set and taken away", function()
    m:set("a", 1)
    assert.equal(math.huge, m:ttl "a")
    local left = m:ttl("a", 100)
    assert.is_true(left > 99 - map.LONG and left <= 100)
    assert.is_true(m:ttl "a" <= left)
    assert.equal(math.huge, m:ttl("a", math.huge))
    assert.equal(math.huge, m:ttl "a")
    assert.is_nil(m:ttl "none")
    assert.is_nil(m:ttl("none", 5))
    for _, wrong in ipairs {0, -1, 0 / 0, "1", true, -math.huge} do
      assert.error_matches(function() m:ttl("a", wrong) end, "ttl")
      assert.error_matches(function() m:set("a", 2, wrong) end, "ttl")
    end
    assert.equal(1, m:get "a")
    m:set("large", ("x"):rep(9000))
    assert.is_true(m:ttl("large", 50) > 0)
    assert.equal(9000, #m:get "large")
  end)

  it("goes with a set, and stays with what changes the value", function()
    m:set("a", 1, 100)
    m:incr("a")
    m:cas("a", 2, 3)
    m:set_if("a", m:version "a", 4)
    m:update("a", function(v) return v + 1 end)
    m:transaction(function(t) t:incr("a") end)
    assert.equal(6, m:get "a")
    assert.is_true(m:ttl "a" <= 100)
    m:replace("a", 7)
    assert.equal(math.huge, m:ttl "a")
    assert.equal(1, m:incr("n", 1, 0, 100))
    assert.is_true(m:ttl "n" <= 100)
    m:incr("n", 1, 0, 5000)
    assert.is_true(m:ttl "n" <= 100)
  end)

  it("ends, and the key is absent then to all", function()
    for _, key in ipairs {"a", "b", "c", "d"} do
      m:set(key, key, 0.001)
    end
    pass(0.002)
    assert.is_nil(m:get "a")
    assert.equal(0, m:version "a")
    assert.is_nil(m:ttl "a")
    assert.is_nil(m:next())
    assert.is_false(m:delete "a")
    refused(ENOENT, "^map%.replace", m:replace("a", 1))
    assert.is_true(m:add("a", "new"))
    assert.equal(math.huge, m:ttl "a")
    assert.is_true(m:cas("b", nil, "new"))
    assert.equal(6, m:incr("c", 1, 5))
    assert.equal(math.huge, m:ttl "c")
    assert.is_true(m:set_if("d", 0, "new"))
    map.whole(a, m)
  end)

  -- Sets keys from 1 on until there is no room for one more, before the first of them expires:
  -- where that is too late, all of them are given more time. How many they are, and that time.
  local function fill(one, value)
    local ttl, n = 0.025, 0
    local began, ok, message, errno
    local function is_late() return process.monotonic() - began >= ttl end
    repeat
      for i = 1, n do
        one:delete(i)
      end
      ttl, n, began = 2 * ttl, 0, process.monotonic()
      repeat
        ok, message, errno = one:set(n + 1, value, ttl)
        n = n + (ok and 1 or 0)
      until not ok or is_late()
    until not ok and not is_late()
    refused(ENOSPC, "^map%.set", ok, message, errno)
    return n, ttl
  end

  it("makes room where memory is short", function()
    local n, ttl = fill(m, ("x"):rep(100))
    pass(1.2 * ttl)
    for i = 1, n // 2 do
      assert(m:set("new" .. i, ("y"):rep(100)))
    end
    for i = 1, n // 2 do
      assert.equal(100, #m:get("new" .. i))
    end
    assert.is_true(a:check())
  end)

  it("makes room for values that are large, and within a capacity", function()
    local wide <close>, its_one = map.arena(1 << 18, {capacity = 30000})
    local one <close> = its_one
    local n, ttl = fill(one, ("x"):rep(5000))
    assert.equal(5, n)
    pass(1.2 * ttl)
    for i = 6, 10 do
      assert(one:set(i, ("y"):rep(5000)))
    end
    assert.equal(5, map.count(one))
    map.whole(wide, one)
  end)
end)
