-- What topics and their subscribers refuse, and what outlives what.
local lock = require "spec.lock_support"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local refused = lock.refused
local EBUSY <const>, EIDRM <const>, ENOSPC <const>, ETIMEDOUT <const> = 16, 43, 28, lock.ETIMEDOUT
local SIZE <const> = 1 << 18
local GUARD <const>, WHO <const> = 64, 768 -- the publishers'; and whose the first line is

describe("a topic", function()
  local before, region

  before_each(function()
    before = support.belongings()
    region = assert(shm.anonymous(SIZE))
  end)

  after_each(function()
    region:close()
    assert.same(before, support.belongings())
  end)

  it("tells the pids of 64 subscribers, and how many more there are", function()
    local t <close> = assert(shm.topic.create(region, 0, {capacity = 64, subscribers = 70}))
    local all = {}
    for i = 1, 70 do
      all[i] = assert(t:subscribe())
      local n, pids = t:subscribers()
      assert.same({i, math.min(i, 64)}, {n, #pids})
      assert.equal(process.pid(), pids[#pids])
    end
    for _, s in ipairs(all) do
      s:close()
    end
    assert.same({0, {}}, {t:subscribers()})
  end)

  it("has a capacity of 65536 bytes, 64 subscribers and waits for them, if not told", function()
    local a <close> = assert(shm.arena(assert(shm.anonymous(2 * SIZE))))
    for _, t in ipairs {assert(shm.topic.create(region, 0)), (assert(a:topic "t"))} do
      local all = {}
      for i = 1, 64 do
        all[i] = assert(t:subscribe())
      end
      refused(lock.EUSERS, "^topic%.subscribe", t:subscribe())
      refused(90, "^topic%.publish", t:publish(("x"):rep(65536 - 2)))
      assert.is_true(t:publish(("x"):rep(65536 - 3), 0)) -- and what says that it is a string
      assert.equal(65536 + 16, t:behind())
      local n = 1
      while t:publish(n, 0) do
        n = n + 1
      end
      refused(ETIMEDOUT, "^topic%.publish", t:publish(n, 0))
      for _, s in ipairs(all) do
        assert.equal(65533, #s:next(0))
        s:close()
      end
      assert.is_true(t:publish(n, 0))
      t:close()
    end
  end)

  it("takes no subscriber while one that was stopped holds its guard, and lets none go", function()
    local t <close> = assert(shm.topic.create(region, 0, {capacity = 64}))
    lock.dead(function() assert(t:subscribe()) end)
    assert(t:publish "x")
    local held <close> = lock.parked(function() end)
    region:store32(GUARD, held.pid)
    local said = ": its guard is held by " .. held.pid .. ": "
    refused(EBUSY, "^topic%.subscribe at 0" .. said, t:subscribe())
    refused(EBUSY, "^topic%.behind at 0" .. said, t:behind(0))
    assert.equal(32, t:behind()) -- which lets nobody go
    assert.equal(1, #t)
    lock.bury(held)
    assert.equal(0, t:behind(0))
    assert(t:subscribe()):close()
  end)

  it("is not made or found while one that was stopped makes it, but once that is dead", function()
    local maker = lock.parked(function() end)
    region:store(0, 0x4c53486d << 32 | maker.pid) -- as the maker's claim is
    for _, verb in ipairs {"create", "attach", "open"} do
      refused(ETIMEDOUT, "^topic%." .. verb .. " at 0: ", shm.topic[verb](region, 0))
    end
    lock.bury(maker)
    getmetatable(maker).__close(maker)
    local t <close>, made = shm.topic.open(region, 0, {capacity = 64})
    assert.is_true(made)
    assert(t:publish "x")
  end)

  it("is not made over another version's, nor found in another pid namespace", function()
    shm.topic.create(region, 0, {capacity = 64}):close()
    local whole = region:read(0, 64)
    region:set_u16(0, 9)
    refused(lock.ENOTEMPTY, "something else", shm.topic.create(region, 0))
    refused(lock.ENOTEMPTY, "something else", shm.topic.open(region, 0))
    region:write(0, whole)
    region:add(8, 1)
    refused(lock.EXDEV, "pid namespace", shm.topic.open(region, 0))
    refused(lock.EEXIST, "^topic%.create at 0: ", shm.topic.create(region, 0))
    region:write(0, whole)
    assert(shm.topic.open(region, 0)):close()
  end)

  it("lies in no memory that is read-only or private, and takes no offset outside", function()
    local path = os.tmpname()
    shm.map(path, {mode = "rw", create = true, size = SIZE}):close()
    for _, mode in ipairs {"r", "private"} do
      local one <close> = assert(shm.map(path, {mode = mode}))
      for _, verb in ipairs {"create", "attach", "open"} do
        assert.error_matches(function() shm.topic[verb](one, 0) end, "region")
      end
    end
    os.remove(path)
    for _, verb in ipairs {"create", "attach", "open"} do
      for _, offset in ipairs {-64, SIZE, SIZE - 64, 32, math.maxinteger, math.mininteger} do
        assert.error_matches(function() shm.topic[verb](region, offset) end, "offset")
      end
    end
  end)

  it("takes time-outs of any length, which only who waits waits for", function()
    local t <close> = assert(shm.topic.create(region, 0, {capacity = 64}))
    local s <close> = assert(t:subscribe())
    for _, timeout in ipairs {0, -0.0, 1e-300, 1e308, math.huge} do
      assert.is_true(t:publish("x", timeout))
      assert.equal("x", s:next(timeout))
    end
    for _, wrong in ipairs {-1e-300, -math.huge, 0 / 0, "1", true} do
      assert.error_matches(function() t:publish("x", wrong) end, "timeout")
      assert.error_matches(function() s:next(wrong) end, "timeout")
    end
    assert.equal(0, #s)
  end)

  it("that has a name is dropped and not removed, and stays for who listens", function()
    local a = assert(shm.arena(region))
    local used = a:stat().used
    local t, made = a:topic("news", {capacity = 64})
    assert.is_true(made)
    assert.error_matches(function() t:remove() end, "drop of its arena")
    assert.equal("topic", a:names().news)
    local again <close>, made_again = a:topic("news", {capacity = 4096})
    assert.is_false(made_again) -- and what it was made with stays
    refused(90, "^topic%.publish 'news': ", again:publish(("x"):rep(64)))
    refused(ENOSPC, "^arena%.topic 'large': the arena is full$",
            a:topic("large", {capacity = 1 << 30}))
    refused(lock.ENOTEMPTY, "^arena%.queue 'news': it is of another kind$", a:queue "news")
    local s = assert(t:subscribe())
    assert.is_true(a:drop "news")
    t:close()
    assert(again:publish "still")
    again:close()
    assert(a:bytes("other", 4096)):fill(0, 4096, 255)
    assert.equal("still", s:next(0))
    assert(a:drop "other")
    s:close()
    collectgarbage()
    assert.equal(used, a:stat().used)
    a:close()
  end)
end)

describe("a subscriber", function()
  it("outlives its topic's handle, the arena's and the region's", function()
    local region = assert(shm.anonymous(SIZE))
    local a = assert(shm.arena(region))
    local t, other = assert(a:topic "news"), assert(a:topic "news")
    local s = assert(t:subscribe())
    t:close()
    a:close()
    region:close()
    assert(other:publish "news")
    other:close()
    assert.equal("news", s:next(0))
    assert.equal("shm.subscriber (news)", tostring(s))
    assert.is_true(s:close())
  end)

  it("is told when its line is another's, and takes that from nobody", function()
    local region <close> = assert(shm.anonymous(SIZE))
    local t <close> = assert(shm.topic.create(region, 0, {capacity = 64, subscribers = 1}))
    local s = assert(t:subscribe())
    assert(t:publish "x")
    region:add(WHO, 1)
    local another = region:load(WHO)
    refused(EIDRM, "^subscriber%.next at 0: ", s:next(support.LONG))
    refused(EIDRM, "^subscriber%.next at 0: ", s:next())
    refused(EIDRM, "^subscriber%.try at 0: ", s:try())
    assert.is_true(s:close())
    assert.equal(another, region:load(WHO))
  end)

  it("is its thread's, and so all its coroutines'", function()
    local region <close> = assert(shm.anonymous(SIZE))
    local t <close> = assert(shm.topic.create(region, 0))
    local s <close> = assert(t:subscribe())
    local got = coroutine.wrap(function()
      while true do
        coroutine.yield(s:next(0))
      end
    end)
    for i = 1, 3 do
      assert(t:publish(i))
      assert.equal(i, got())
    end
  end)
end)
