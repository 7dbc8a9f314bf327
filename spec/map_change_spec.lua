-- Maps whose keys several processes change at once: updates, values computed once, steps of
-- several keys, and going through keys meanwhile.
local map = require "spec.map_support"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local E2BIG, EAGAIN, EDEADLK, ENOSPC, ETIMEDOUT, ESTALE = 7, 11, 35, 28, 110, 116
local refused = map.refused

local a, m, before

local function begin()
  before = map.outside()
  a, m = map.arena(1 << 20, nil, {max = 1 << 24})
end

local function finish()
  m:close()
  a:close()
  assert.same(before, map.outside())
end

local function ready()
  return assert(shm.anonymous(64))
end

-- Puts values at both ends of what a collection frees while a value is encoded.
local function when_collected(f)
  setmetatable({}, {__gc = f})
end

describe("a map's update", function()
  before_each(begin)
  after_each(finish)

  it("counts exactly, whoever else does", function()
    local n = support.rounds(5000)
    map.together(4, function()
      for _ = 1, n do
        assert(m:update("u", function(v) return (v or 0) + 1 end))
        assert(m:incr("i", 1, 0))
        local old
        repeat
          old = m:get "c"
        until m:cas("c", old, (old or 0) + 1)
      end
    end)
    assert.same({4 * n, 4 * n, 4 * n}, {m:get "u", m:get "i", m:get "c"})
  end)

  it("takes a key away by nil, and is not made by an error", function()
    assert.equal(1, m:update("a", function(v) assert.is_nil(v) return 1 end))
    assert.error_matches(function() m:update("a", function() error "no" end) end, "no")
    assert.error_matches(function() m:update("a", function() return print end) end, "value")
    assert.equal(1, m:get "a")
    assert.is_nil(m:update("a", function() end))
    assert.is_nil(m:update("a", function() end))
    assert.equal(0, #m)
    assert.equal(1, m:update("a", function() return 1 end, 100))
    assert.is_true(m:ttl "a" <= 100)
  end)

  it("is made again when the function changes the key itself", function()
    local calls = 0
    assert.equal(8, m:update("a", function(v)
      calls = calls + 1
      if calls == 1 then
        m:set("a", 7)
      end
      return (v or 0) + 1
    end))
    assert.equal(2, calls)
  end)
end)

describe("a value that is computed once", function()
  before_each(begin)
  after_each(finish)

  it("is computed by one of eight processes", function()
    local r <close> = ready()
    for round = 1, support.rounds(20) do
      map.together(8, function()
        assert(m:get_or(round, function(key)
          r:add(0, 1)
          process.sleep(0.001)
          return {key}
        end)[1] == round)
      end)
      assert.equal(round, r:load(0))
    end
    assert.equal(#m, map.count(m))
  end)

  it("is computed by another when the one that claimed it is killed", function()
    local dead <close> = map.parked(function() assert(m:claim "a") end)
    local waiting <close> = map.child(function()
      assert(m:get_or("a", function() return "other" end, nil, map.LONG) == "other")
    end)
    refused(ETIMEDOUT, "^map%.claim", m:get_or("a", error, nil, 0.01))
    assert.is_nil(m:get "a")
    assert.same({0, 0, 0}, {#m, map.count(m), m:version "a"})
    map.bury(dead)
    assert.is_true(waiting.ended())
    assert.equal("other", m:get "a")
  end)

  it("is left to the next when the function throws, or has none", function()
    assert.error_matches(function() m:get_or("a", function() error "no" end) end, "no")
    assert.is_nil(m:get_or("a", function() end))
    assert.equal(0, #m)
    assert.equal(false, m:get_or("a", function() return false end))
    assert.equal(false, m:get_or("a", error))
    assert.equal(0, a:check() and #m - 1)
  end)

  it("is left to the next when it is no value for a map, or there is no room for it", function()
    assert.error_matches(function() m:get_or("a", function() return print end) end, "value")
    assert.error_matches(function() m:get_or("a", function() return 1 end, -1) end, "ttl")
    refused(ENOSPC, "^map%.fulfil", m:get_or("a", function() return ("x"):rep(1 << 25) end))
    assert.equal(1, m:get_or("a", function() return 1 end, 50, 0))
    assert.is_true(m:ttl "a" <= 50)
  end)

  it("can not be asked for by who computes it", function()
    assert.equal("done", m:get_or("a", function()
      refused(EDEADLK, "^map%.claim", m:get_or("a", error))
      return "done"
    end))
  end)

  it("gives way to a value that is set meanwhile", function()
    assert.equal("mine", m:get_or("a", function()
      m:set("a", "set")
      return "mine"
    end))
    assert.equal("set", m:get "a")
    map.whole(a, m)
  end)

  it("consists of claim, fulfil and abandon", function()
    assert.is_true(m:claim "a")
    assert.is_false(m:delete "a")
    refused(EDEADLK, "^map%.claim", m:claim "a")
    assert.is_true(m:abandon "a")
    assert.is_false(m:abandon "a")
    assert.is_false(m:fulfil("a", 1))
    assert.is_true(m:claim "a")
    assert.is_true(m:fulfil("a", ("x"):rep(8000), 100))
    assert.equal(8000, #m:get "a")
    assert.is_false(m:claim "a")
    assert.is_false(m:fulfil("a", 2))
    local child <close> = map.parked(function() m:claim "b" end)
    assert.is_false(m:fulfil("b", 1))
    assert.is_false(m:abandon "b")
    assert.is_true(m:set("b", 2))
    assert.is_false(m:claim "b")
    map.bury(child)
    map.whole(a, m)
  end)
end)

describe("a map's transaction", function()
  before_each(begin)
  after_each(finish)

  it("sees its own changes, makes all, and returns what the function does", function()
    m:set("a", 1)
    m:set("gone", 1)
    local function f(t, x)
      assert.same({1, nil}, {t:get "a", t:get "b"})
      t:set("a", 2)
      t:set("b", {x})
      t:delete "gone"
      assert.same({2, {x}, nil}, {t:get "a", t:get "b", t:get "gone"})
      assert.equal(3, t:incr "a")
      assert.equal(6, t:incr("n", 2, 4))
      t:set(1.0, "float")
      assert.equal("float", t:get(1))
      assert.equal(1, m:get "a")
      return "r", nil, x
    end
    assert.same({"r", nil, "x", n = 3}, table.pack(m:transaction(f, "x")))
    assert.same({3, {"x"}, nil, 6, "float"},
                {m:get "a", m:get "b", m:get "gone", m:get "n", m:get(1)})
    assert.equal(4, #m)
  end)

  it("changes nothing when it throws", function()
    m:set("a", 1)
    for _, what in ipairs {"no", {}} do
      local ok, thrown = pcall(m.transaction, m, function(t)
        t:set("a", 2)
        t:delete "a"
        t:set("b", 2)
        error(what, 0)
      end)
      assert.is_false(ok)
      assert.equal(what, thrown)
    end
    assert.error_matches(function() m:transaction(function(t) t:incr "none" end) end, "none")
    assert.error_matches(function() m:transaction(function(t) t:set("b", print) end) end, "value")
    assert.error_matches(function() m:transaction(function(t) t:set({}, 1) end) end, "key")
    assert.same({1, nil, 1}, {m:get "a", m:get "b", #m})
  end)

  it("begins again when others have changed what it saw", function()
    m:set("a", 1)
    local calls = 0
    m:transaction(function(t)
      calls = calls + 1
      local value = t:get "a"
      if calls < 3 then
        m:incr "a"
      end
      t:set("b", value)
    end)
    assert.same({3, 3, 3}, {calls, m:get "a", m:get "b"})
    refused(EAGAIN, "^map%.transaction", m:transaction(function(t)
      t:get "a"
      m:incr "a"
      t:set("b", 0)
    end))
    assert.equal(3, m:get "b")
  end)

  it("is refused when it is too much for the journal, and changes nothing", function()
    local small <close>, its_one = map.arena(1 << 16, nil, {journal = 2048})
    local one <close> = its_one
    one:set(1, "old")
    refused(E2BIG, "^map%.apply", one:transaction(function(t)
      for i = 1, 100 do
        t:set(i, "new")
      end
    end))
    assert.same({"old", 1}, {one:get(1), #one})
    map.whole(small, one)
  end)

  it("takes as many keys whatever the map had before, as buckets can be added later", function()
    for n = 0, 600, 100 do
      local large <close>, its_one = map.arena(1 << 20)
      local one <close> = its_one
      for i = 1, n do
        one:set("key " .. i, i)
      end
      assert.is_true(one:transaction(function(t)
        for i = 1, 180 do
          t:set(i, "new")
        end
        return true
      end))
      assert.same({"new", n + 180}, {one:get(180), #one})
      map.whole(large, one)
    end
  end)

  it("leaves what it takes away as it was when it is refused at its end", function()
    for _, size in ipairs {10, 100, 1000, 6000} do
      local old = ("o"):rep(size)
      m:set("old", old)
      m:set("last", 1)
      assert.is_false(m:apply({"old", "new", "newer", "last"}, {false, false, false, 1 << 40},
                              {nil, ("n"):rep(size), ("m"):rep(size), nil}, {true}))
      assert.equal(old, m:get "old")
      assert.is_nil(m:get "new")
      m:set("old", old:sub(2))
      assert.is_false(m:apply({"old", "new", "last"}, {false, false, 1 << 40},
                              {old:rep(3), ("n"):rep(size), nil}, {}))
      assert.equal(old:sub(2), m:get "old")
      map.whole(a, m)
    end
  end)

  it("takes no memory for a large value of a key that goes, or stays as it is", function()
    local large = ("x"):rep(10000)
    m:set("there", 1)
    local used = a:stat().used
    for _ = 1, 70 do -- more than there can be blocks that are not kept yet
      assert.is_true(m:apply({"none"}, {false}, {large}, {true}))
      assert.is_true(m:apply({"none"}, {0}, {large}, {true}))
      assert.is_false(m:apply({"none"}, {1}, {large}, {true}))
      assert.is_false(m:apply({"there"}, {0}, {large}, {}))
      assert.is_true(m:apply({"there"}, {false}, {}, {}))
    end
    assert.equal(used, a:stat().used)
    assert(a:allocate(1)):close()
    assert.is_true(m:apply({"there"}, {false}, {large}, {true}))
    assert.same({nil, 0}, {m:get "there", #m})
    map.whole(a, m)
  end)

  it("is made with a word elsewhere, or not at all", function()
    local word <close> = assert(shm.anonymous(64))
    word:store(8, 7)
    m:set("old", "value")
    m:set("large", ("l"):rep(5000))
    local count, used = #m, m:stat().used
    local function change(n, expected, offset)
      return m:apply({"old", "new", "large"}, {}, {n, ("n"):rep(n), ("x"):rep(5000 + n)}, {},
                     word, offset or 8, expected, 9)
    end
    refused(ESTALE, "^map%.apply", change(100, 8))
    assert.same({"value", nil, ("l"):rep(5000), count, used, 7},
                {m:get "old", m:get "new", m:get "large", #m, m:stat().used, word:load(8)})
    assert.is_true(change(100, 7))
    assert.same({100, 5100, 9}, {m:get "old", #m:get "large", word:load(8)})
    refused(ESTALE, "^map%.apply", change(200, 7))
    assert.same({100, 5100, 9}, {m:get "old", #m:get "large", word:load(8)})
    refused(ESTALE, "^map%.apply", m:apply({"new"}, {}, {}, {true}, word, 8, 7, 10))
    assert.equal(100, #m:get "new")
    assert.is_false(m:apply({"new"}, {1 << 40}, {1}, {}, word, 8, 9, 10))
    refused(ESTALE, "^map%.apply", m:apply({}, {}, {}, {}, word, 8, 7, 10))
    assert.equal(9, word:load(8))
    assert.is_true(m:apply({}, {}, {}, {}, word, 8, 9, 10))
    assert.equal(10, word:load(8))
    map.whole(a, m)
    for _, wrong in ipairs {4, 64, -8, "x"} do
      assert.error_matches(function() change(1, 9, wrong) end, "offset")
    end
    assert.error_matches(function() m:apply({}, {}, {}, {}, nil, 8) end, "region")
    word:close()
    assert.error_matches(function() change(1, 9) end, "closed")
  end)

  it("leaves the word as it was when something else refuses it", function()
    local small <close>, its_one = map.arena(1 << 16, nil, {journal = 2048})
    local one <close> = its_one
    local word <close> = assert(shm.anonymous(64))
    local keys, values = {}, {}
    for i = 1, 100 do
      keys[i], values[i] = i, "new"
    end
    refused(E2BIG, "^map%.apply", one:apply(keys, {}, values, {}, word, 0, 0, 1))
    refused(ENOSPC, "^map%.apply", one:apply({1, 2}, {}, {("x"):rep(50000), ("x"):rep(50000)}, {},
                                             word, 0, 0, 1))
    assert.same({0, 0}, {word:load(0), #one})
    map.whole(small, one)
  end)

  it("refuses lists that are none", function()
    for arg = 1, 4 do
      for _, wrong in ipairs {1, "x", true} do
        local arguments = {{}, {}, {}, {}}
        arguments[arg] = wrong
        assert.error_matches(function() m:apply(table.unpack(arguments)) end, "tables expected")
      end
    end
    local many = {}
    for i = 1, 1001 do
      many[i] = i
    end
    assert.error_matches(function() m:apply(many, {}, {}, {}) end, "at most")
    assert.is_true(m:apply({}, {}, {}, {}))
    assert.is_true(m:apply({"a", "a"}, {}, {1, 2}, {}))
    assert.equal(2, m:get "a")
    assert.is_true(m:apply({"a", "a"}, {}, {nil, 3}, {true}))
    assert.same({3, 1}, {m:get "a", #m})
  end)

  it("moves money between accounts, whoever is killed meanwhile", function()
    local ACCOUNTS <const>, SUM <const> = 10, 1000
    for i = 1, ACCOUNTS do
      m:set(i, SUM // ACCOUNTS)
    end
    local r <close> = ready()
    local function transfer(t)
      local from, to = math.random(ACCOUNTS), math.random(ACCOUNTS)
      local sum = math.random(20)
      t:set(from, t:get(from) - sum)
      t:set(to, t:get(to) + sum)
      t:set("note", ("n"):rep(math.random(600))) -- another block each time
      t:delete(100 + math.random(5))
      t:set(100 + math.random(5), ("n"):rep(math.random(600)))
    end
    local function sum(get, of)
      local total = 0
      for i = 1, ACCOUNTS do
        total = total + get(of, i)
      end
      return total
    end
    local reader <close> = map.child(function()
      repeat
        assert(m:transaction(function(t) return sum(t.get, t) end) == SUM)
      until r:load(0) == 1
    end)
    local kills = support.rounds(60)
    for _ = 1, kills do
      local children = {}
      for i = 1, 4 do
        children[i] = map.child(function(seed)
          math.randomseed(seed)
          while true do
            assert(m:transaction(transfer) == nil)
            r:add(8, 1)
          end
        end, math.random(1 << 30))
      end
      local from = r:load(8)
      support.eventually(function() return r:load(8) >= from + 20 end)
      for _, child in ipairs(children) do
        map.bury(child)
      end
      assert.equal(SUM, m:transaction(function(t) return sum(t.get, t) end))
      map.whole(a, m)
    end
    r:store(0, 1)
    assert.is_true(reader.ended())
    assert.equal(SUM, sum(m.get, m))
    io.write(("\n%d transfers, %d kills"):format(r:load(8), 4 * kills))
  end)

  it("is seen in its order by who reads key by key", function()
    m:set("first", 0)
    m:set("second", 0)
    local r <close> = ready()
    local reader <close> = map.child(function()
      repeat
        -- Read against the order of time: what was seen of one is there in the other.
        local second = m:get "second"
        local first = m:get "first"
        assert(first >= second)
        local one, two = m:transaction(function(t) return t:get "first", t:get "second" end)
        assert(one == two)
      until r:load(0) == 1
    end)
    for _ = 1, support.rounds(20000) do
      m:transaction(function(t)
        t:incr "first"
        t:incr "second"
      end)
    end
    r:store(0, 1)
    assert.is_true(reader.ended())
  end)
end)

describe("going through a map", function()
  before_each(begin)
  after_each(finish)

  it("finds each key that stays once, while others come and go", function()
    local STAYING <const> = 500
    for i = 1, STAYING do
      m:set("stays" .. i, i)
    end
    local r <close> = ready()
    local child <close> = map.child(function()
      while r:load(0) == 0 do
        local i = math.random(2000)
        if math.random(2) == 1 then
          m:set(i, ("x"):rep(math.random(100)))
        else
          m:delete(i)
        end
        r:add(8, 1)
      end
    end)
    for _ = 1, support.rounds(100) do
      local seen, n = {}, 0
      for key, value in pairs(m) do
        assert.is_nil(seen[key])
        seen[key] = true
        if type(key) == "string" then
          assert.equal("stays" .. value, key)
          n = n + 1
        end
      end
      assert.equal(STAYING, n)
    end
    support.eventually(function() return r:load(8) > 100 end)
    r:store(0, 1)
    assert.is_true(child.ended())
    map.whole(a, m)
  end)

  it("does so also while it grows from 10 keys to 100000", function()
    local TO <const> = support.rounds(100000)
    for i = 1, 10 do
      m:set("stays" .. i, i)
    end
    local child <close> = map.child(function()
      for i = 1, TO do
        assert(m:set(i, i))
      end
    end)
    local key, value = m:next()
    local rounds, n = 0, 0
    local seen = {}
    repeat
      if key == nil then
        assert.equal(10, n)
        rounds, n, seen = rounds + 1, 0, {}
      elseif type(key) == "string" then
        assert.equal("stays" .. value, key)
        assert.is_nil(seen[key])
        seen[key], n = true, n + 1
      end
      key, value = m:next(key)
    until key == nil and #m == TO + 10
    assert.equal(10, n)
    assert.is_true(child.ended())
    assert.equal(TO + 10, #m)
    map.whole(a, m)
  end)

  it("may change what it goes through", function()
    for i = 1, 300 do
      m:set(i, i)
    end
    for key, value in m:pairs() do
      m:set(key, -value)
      m:delete((key + 150) % 300 + 1)
    end
    map.whole(a, m)
  end)
end)

describe("a finalizer that runs meanwhile", function()
  before_each(begin)
  after_each(finish)

  -- Runs with a collector that finds something at each allocation.
  local function collecting(f, then_do)
    collectgarbage "generational"
    for _ = 1, 50 do
      when_collected(then_do)
      pcall(f)
      collectgarbage "step"
    end
    collectgarbage "incremental"
    collectgarbage()
  end

  it("may make a table larger that cas compares with", function()
    local value = {("x"):rep(10)}
    collecting(function()
      value[1], value[2] = "x", nil
      m:cas("a", value, 1)
    end, function() value[2] = ("y"):rep(100000) end)
    assert.is_true(a:check())
  end)

  it("may close the map, and change the lists of apply", function()
    local own = assert(a:map("m"))
    local keys, values = {}, {}
    collecting(function()
      for i = 1, 20 do
        keys[i], values[i] = ("key%d"):format(i):rep(10), {("v"):rep(i)}
      end
      own:apply(keys, {}, values, {})
    end, function()
      for i = 1, 20 do
        keys[i], values[i] = nil, {}
      end
      own:close()
      own = assert(a:map("m"))
    end)
    own:close()
    assert.is_true(a:check())
  end)
end)
