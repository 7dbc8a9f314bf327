-- What a map refuses, and how: nothing of it is done then, and who asked is told why.
local map = require "spec.map_support"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local E2BIG <const>, EAGAIN <const>, EBUSY <const>, ENOSPC <const>, EBADMSG <const> =
  7, 11, 16, 28, 74
local SIZE <const> = 1 << 20
local GUARD <const> = 2560 + 128 * 16 -- where an arena's guard is
local BUCKETS <const>, COUNT <const> = 64, 128 -- in a map: how many there are, and how many keys

local refused = map.refused

-- All that looks at the key "a", which is 1, or would change it.
local READS = {
  get = function(m) return m:get "a" end,
  lookup = function(m) return m:lookup "a" end,
  version = function(m) return m:version "a" end,
  next = function(m) return m:next() end,
  ttl = function(m) return m:ttl "a" end,
  wait = function(m) return m:wait("a", 0, map.LONG) end,
}
local CHANGES = {
  set = function(m) return m:set("a", 2) end,
  ["set of a large value"] = function(m) return m:set("a", ("x"):rep(5000)) end,
  add = function(m) return m:add("new", 2) end,
  replace = function(m) return m:replace("a", 2) end,
  delete = function(m) return m:delete "a" end,
  incr = function(m) return m:incr "a" end,
  cas = function(m) return m:cas("a", 1, 2) end,
  set_if = function(m) return m:set_if("a", 1, 2) end,
  ["ttl that is set"] = function(m) return m:ttl("a", 10) end,
  claim = function(m) return m:claim "new" end,
  fulfil = function(m) return m:fulfil("claimed", 1) end,
  abandon = function(m) return m:abandon "claimed" end,
  update = function(m) return m:update("a", function(v) return v + 1 end) end,
  get_or = function(m) return m:get_or("new", function() return 1 end) end,
  transaction = function(m)
    return m:transaction(function(t)
      t:set("new", t:get "a")
      return true
    end)
  end,
  ["transaction that catches all"] = function(m)
    return m:transaction(function(t)
      pcall(t.get, t, "a")
      t:set("new", 1)
      return true
    end)
  end,
  apply = function(m) return m:apply({"a", "new"}, {}, {2, 3}, {}) end,
}

describe("a map refuses", function()
  local region, a, m, before

  before_each(function()
    before = map.outside()
    region = assert(shm.anonymous(SIZE))
    a = assert(shm.arena(region))
    m = assert(a:map "m")
  end)

  after_each(function()
    m:close()
    a:close()
    region:close()
    assert.same(before, map.outside())
  end)

  local function state()
    local list = {}
    for key, value in pairs(m) do
      list[#list + 1] = key .. "=" .. tostring(value)
    end
    table.sort(list)
    return {#m, table.concat(list, " "), m:version "a", m:ttl "a", m:stat().used}
  end

  it("misuse at its caller's line, in the name of what was called", function()
    local long = ("x"):rep(1 << 20)
    local function put(key, value)
      return function() return m:transaction(function(t) t:set(key, value) end) end
    end
    for what, calls in pairs {
      ["map%.update: value: a function can not be shared"] = {
        function() local _ = m:update("k", function() return print end) end,
      },
      ["map%.update: value%.x%[1%]: a function can not be shared"] = {
        function() local _ = m:update("k", function() return {x = {print}} end) end,
      },
      ["map%.get_or: value: a function can not be shared"] = {
        function() local _ = m:get_or("k", function() return print end) end,
      },
      ["map%.transaction: value: a function can not be shared"] = {
        function() local _ = put("k", print)() end,
      },
      ["map%.update: key: it is longer than 1048575 bytes"] = {
        function() local _ = m:update(long, function() return 1 end) end,
      },
      ["map%.get_or: key: it is longer than 1048575 bytes"] = {
        function() local _ = m:get_or(long, function() return 1 end) end,
      },
      ["map%.transaction: key: it is longer than 1048575 bytes"] = {
        function() local _ = put(long, 1)() end,
        function() m:transaction(function(t) local _ = t:get(long) end) end,
        function() m:transaction(function(t) local _ = t:incr(long, 1, 1) end) end,
      },
      ["map%.update: shm%.map expected"] = {
        function() local _ = m.update(a, "k", function() return 1 end) end,
      },
    } do
      for _, call in ipairs(calls) do
        local ok, message = pcall(call)
        assert.is_false(ok)
        assert.matches("^[^\n]*map_refusal_spec%.lua:%d+: " .. what .. "$", message)
      end
    end
    assert.equal(0, #m)
    m:close()
    for name, call in pairs {
      update = function() local _ = m:update("k", function() return 1 end) end,
      get_or = function() local _ = m:get_or("k", function() return 1 end) end,
      transaction = function() m:transaction(function(t) local _ = t:get "k" end) end,
    } do
      local _, message = pcall(call)
      assert.matches("map_refusal_spec%.lua:%d+: map%." .. name .. ": map is closed$", message)
    end
  end)

  it("what makes no sense: each call says so, and goes on once it does", function()
    for i, key in ipairs {"a", "b", "c", "d", "e"} do
      assert(m:set(key, i))
    end
    local at
    for offset = 0, SIZE - 4096, 64 do
      if region:load32(offset + BUCKETS) == 512 and region:load(offset + COUNT) == 5 then
        assert.is_nil(at)
        at = offset
      end
    end
    local was = state()
    for _, list in ipairs {READS, CHANGES} do
      for name, f in pairs(list) do
        region:store32(at + BUCKETS, 0)
        local value, message, errno = f(m)
        region:store32(at + BUCKETS, 512)
        assert.is_nil(value, name)
        assert.equal(EBADMSG, errno, name)
        assert.matches("^map%.[a-z_]+ 'm': what lies there makes no sense$", message, name)
        assert.same(was, state(), name)
      end
    end
    region:store32(at + BUCKETS, 0)
    assert.error_matches(function()
      for key in m:pairs() do
        assert(key)
      end
    end, "map%.next 'm': what lies there makes no sense")
    region:store32(at + BUCKETS, 512)
    map.whole(a, m)
  end)

  it("changes while one that was stopped holds the arena's guard: none is made", function()
    assert(m:set("a", 1))
    local calls = {
      changes = function() return m:changes() end,
      ["another map"] = function() return a:map "other" end,
    }
    for name, f in pairs(CHANGES) do
      calls[name] = f
    end
    local desk <close> = assert(shm.anonymous(64))
    local holder <close> = map.parked(function() end)
    local pattern, children, begun = "held by " .. holder.pid .. ": ", {}, 0
    for name, f in pairs(calls) do
      begun = begun + 1
      children[name] = assert(process.fork(function()
        desk:add32(8, 1)
        desk:wait(0, 0, map.LONG)
        local value, message, errno = f(m)
        assert(value == nil and errno == EBUSY and message:find(pattern, 1, true), message)
      end))
    end
    -- A child takes its place in the arena inside the guard, and would open it when it has.
    support.eventually(function() return desk:load32(8) == begun end)
    local was = state()
    region:store32(GUARD, holder.pid)
    desk:store32(0, 1)
    desk:wake(0)
    assert.same(was, state()) -- who reads waits for nobody
    assert.same({1, "a", 1}, {m:get "a", (m:next()), #m})
    assert.equal(m:version "a", m:wait("a", 0, 0))
    assert.equal(holder.pid, region:load32(GUARD) & 0x3fffffff)
    local ends = {}
    for name, child in pairs(children) do
      ends[name] = table.concat({child:wait(map.LONG)}, " ")
      child:kill "KILL"
      child:close()
    end
    region:store32(GUARD, 0)
    for name, how in pairs(ends) do
      assert.equal("exit 0", how, name)
    end
    assert.same(was, state())
    assert.is_nil(a:names().other)
    assert.is_true(m:set("a", 2))
  end)

  it("what it has no room for, and says whether that is the map or the arena", function()
    local other <close> = assert(a:map("small", {capacity = 5000}))
    local large <const>, whole <const> = ("x"):rep(6000), ("x"):rep(2 * SIZE)
    assert(other:set("a", 1) and m:set("a", 1))
    local function all(of, value, said)
      said = "' *: *the " .. said .. " is full$"
      refused(ENOSPC, "^map%.set '.*" .. said, of:set("new", value))
      refused(ENOSPC, "^map%.add '.*" .. said, of:add("new", value))
      refused(ENOSPC, "^map%.replace '.*" .. said, of:replace("a", value))
      refused(ENOSPC, "^map%.cas '.*" .. said, of:cas("a", 1, value))
      refused(ENOSPC, "^map%.set_if '.*" .. said, of:set_if("a", of:version "a", value))
      refused(ENOSPC, "^map%.set_if '.*" .. said, of:update("a", function() return value end))
      refused(ENOSPC, "^map%.fulfil '.*" .. said, of:get_or("new", function() return value end))
      refused(ENOSPC, "^map%.apply '.*" .. said,
              of:transaction(function(t) t:set("b", 1) t:set("new", value) end))
      assert.same({1, 1, nil, nil}, {#of, of:get "a", of:get "b", of:get "new"})
    end
    all(other, large, "map")
    all(m, whole, "arena")
    for i = 1, 200 do
      if not other:set(i, 1) then
        break
      end
    end
    refused(ENOSPC, "^map%.incr 'small': the map is full$", other:incr("n", 1, 0))
    refused(ENOSPC, "^map%.claim 'small': the map is full$", other:claim "n")
    assert(other:stat().used <= 5000)
    assert.is_true(other:set("a", 2)) -- in the place of what is there
    map.whole(a, other)
  end)

  it("no comparison with a value that it could not have: it is another", function()
    local other <close> = assert(a:map("small", {capacity = 5000}))
    assert(other:set("a", 1))
    assert.is_false(other:cas("a", ("x"):rep(9000), 2))
    assert.is_false(other:cas("a", {("x"):rep(9000)}, nil))
    assert.is_false(other:cas("none", ("x"):rep(9000), 2))
    assert.same({1, 1}, {#other, other:get "a"})
  end)

  it("times that are none, or longer than 10^9 seconds", function()
    assert(m:set("a", 1, 1e9))
    local left = m:ttl "a"
    assert(left > 1e9 - map.LONG and left <= 1e9)
    for _, wrong in ipairs {0, -1, 0 / 0, math.huge, 1e9 + 1, "1", "1e999", true} do
      for name, f in pairs {
        set = function() m:set("a", 2, wrong) end, add = function() m:add("b", 2, wrong) end,
        replace = function() m:replace("a", 2, wrong) end,
        cas = function() m:cas("a", 1, 2, wrong) end,
        set_if = function() m:set_if("a", m:version "a", 2, wrong) end,
        incr = function() m:incr("b", 1, 1, wrong) end,
        update = function() m:update("a", function() return 2 end, wrong) end,
        ttl = function() return wrong == math.huge and error "ttl" or m:ttl("a", wrong) end,
      } do
        assert.error_matches(f, "ttl", nil, nil, name)
      end
    end
    assert.same({1, 1}, {#m, m:get "a"})
    assert(m:ttl "a" <= left)
  end)

  it("versions that are no integers, before it changes anything", function()
    assert(m:set("a", 1) and m:set("b", 1))
    local version = m:version "b"
    for _, wrong in ipairs {tostring(version), version + 0.5, true, {}, 0 / 0} do
      assert.error_matches(function()
        m:apply({"a", "b"}, {false, wrong}, {2, 2}, {})
      end, "versions")
      assert.same({1, 1}, {m:get "a", m:get "b"})
    end
    assert.is_false(m:apply({"a", "b"}, {false, version + 1.0}, {2, 2}, {}))
    assert.is_false(m:apply({"a", "b"}, {false, -1}, {2, 2}, {}))
    assert.is_true(m:apply({"a", "b"}, {nil, version + 0.0}, {2, 2}, {}))
    assert.same({2, 2}, {m:get "a", m:get "b"})
  end)

  it("transactions that look at more than 1000 keys, also where they catch that", function()
    local function look(n, get)
      return m:transaction(function(t)
        t:set("first", 1)
        for i = 2, n do
          get(t, i)
        end
        return "looked"
      end)
    end
    refused(E2BIG, "^map%.transaction: more than 1000 keys$",
            look(1001, function(t, i) t:get(i) end))
    refused(E2BIG, "^map%.transaction: more", look(1001, function(t, i) pcall(t.get, t, i) end))
    refused(E2BIG, "^map%.transaction: more", look(1001, function(t, i) t:delete(i) end))
    refused(E2BIG, "^map%.transaction: more", look(1001, function(t, i) t:incr(i, 1, 0) end))
    assert.equal(0, #m)
    assert.equal("looked", look(1000, function(t, i) t:get(i) end))
    assert.equal(1, m:get "first")
    assert.error_matches(function() -- its own error is the one that counts
      m:transaction(function(t)
        for i = 1, 1001 do
          pcall(t.get, t, i)
        end
        error "mine"
      end)
    end, "mine")
  end)

  it("to add to what is no number, or add that, in a transaction as elsewhere", function()
    assert(m:set("a", "10") and m:set("n", 10))
    for _, wrong in ipairs {
      function(t) t:incr "a" end, function(t) t:incr("n", "1") end,
      function(t) t:incr("new", 1, "1") end, function(t) t:incr("a", 1, 5) end,
      function(t) t:incr "new" end,
    } do
      local ok, message = pcall(m.transaction, m, wrong)
      assert.is_false(ok)
      assert.matches("map_refusal_spec%.lua:%d+: ", message)
    end
    assert.same({"10", 10, 2}, {m:get "a", m:get "n", #m})
    assert.equal(12.5, m:transaction(function(t) return t:incr("n", 2.5) end))
    assert.equal(12.5, m:get "n")
  end)

  it("an update that others get in the way of all the time", function()
    local calls = 0
    refused(EAGAIN, "^map%.update: others change the key all the time$", m:update("a", function()
      calls = calls + 1
      m:set("a", calls)
      return "never"
    end))
    assert.same({100000, 100000}, {calls, m:get "a"})
  end)

  it("times that are none where they are given, before it calls anything", function()
    for _, wrong in ipairs {-1, 0 / 0, "1", true} do
      for said, call in pairs {
        ["update: ttl"] = function() m:update("a", error, wrong) end,
        ["get_or: ttl"] = function() m:get_or("a", error, wrong) end,
        ["get_or: timeout"] = function() m:get_or("a", error, nil, wrong) end,
      } do
        local ok, message = pcall(call)
        assert.is_false(ok)
        assert.matches("map_refusal_spec%.lua:%d+: map%." .. said .. ": ", message)
      end
    end
    assert.equal(0, #m)
  end)

  it("keys that are none where they are given, and names the place", function()
    local function f() return 1 end
    for _, wrong in ipairs {{}, 1.5, print, math.huge} do
      for name, call in pairs {
        update = function() m:update(wrong, f) end, get_or = function() m:get_or(wrong, f) end,
        get = function() m:transaction(function(t) t:get(wrong) end) end,
        set = function() m:transaction(function(t) t:set(wrong, 1) end) end,
        delete = function() m:transaction(function(t) t:delete(wrong) end) end,
        incr = function() m:transaction(function(t) t:incr(wrong, 1, 1) end) end,
      } do
        local ok, message = pcall(call)
        assert.is_false(ok)
        assert.matches("map_refusal_spec%.lua:%d+: map%." .. name .. ": key: ", message)
      end
    end
    assert.equal(0, #m)
  end)

  it("nobody a value that a coroutine began to compute and that was closed", function()
    local co = coroutine.create(function()
      m:get_or("a", function()
        coroutine.yield "computing"
        return "never"
      end)
    end)
    assert.same({true, "computing"}, {coroutine.resume(co)})
    refused(35, "^map%.claim", m:get_or("a", error)) -- by another coroutine of this thread
    assert.is_true(coroutine.close(co))
    assert.equal("next", m:get_or("a", function() return "next" end, nil, 0))
    local closed = assert(a:map "m")
    assert.error_matches(function()
      closed:get_or("b", function() closed:close() error "first" end)
    end, "first")
  end)
end)
