-- shm.topic and shm.subscriber: messages for all who listen.
local chaos = require "shm.chaos"
local cqueues = require "cqueues"
local lock = require "spec.lock_support"
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local LONG, refused = lock.LONG, lock.refused
local EMSGSIZE, EDEADLK = 90, lock.EDEADLK
local SIZE = 1 << 17
local ROUNDS = support.rounds(50) -- of kills at random, where stores can not be found
local GUARD, TAIL = 64, 80
local NEWS, ROOM = 2 * 64 + 56, 7 * 64 + 56 -- the masks of who sleeps

-- At random a kill may come after the operation's end, and none may be left of a few.
local function kills_everywhere(...)
  local kills, how = assert(chaos.kill_everywhere(...))
  return how == "random" and 1 or kills
end

describe("a topic", function()
  local region, open

  local function keep(object)
    open[#open + 1] = object
    return object
  end

  local function create(options, offset)
    return keep(assert(shm.topic.create(region, offset or 0, options)))
  end

  local function subscribe(topic, from)
    return keep(assert(topic:subscribe {from = from}))
  end

  before_each(function()
    region = assert(shm.anonymous(SIZE))
    open = {}
  end)

  after_each(function()
    for i = #open, 1, -1 do
      open[i]:close()
    end
    region:close()
  end)

  local function drain(subscriber)
    local got = {}
    for v in function() return (subscriber:try()) end do
      got[#got + 1] = v
    end
    return got
  end

  -- How long a string can be that takes so many bytes, its head included.
  local function longest(n)
    return n - (n <= 32 and 1 or n <= 257 and 2 or 3)
  end

  -- How many of these until it is full.
  local function fill(topic, v)
    local n, ok, errno = -1, true, nil
    while ok do
      local _
      ok, _, errno = topic:publish(v, 0)
      n = n + 1
    end
    return n, errno
  end

  it("is made once, found by others, and removed for good", function()
    refused(lock.ENOENT, "^topic%.attach at 64: there is none, so it is refused$",
            shm.topic.attach(region, 64))
    create({capacity = 100}, 64):close()
    refused(lock.EEXIST, "^topic%.create at 64: File exists$",
            shm.topic.create(region, 64, {capacity = 100}))
    local two <close>, made = shm.topic.open(region, 64, {capacity = 100})
    assert.is_false(made)
    local three = assert(shm.topic.attach(region, 64))
    assert.equal("shm.topic (anonymous at 64)", tostring(three))
    assert.is_true(three:remove())
    assert.equal("shm.topic (closed)", tostring(three))
    assert.is_true(three:close() and two:close())
    refused(lock.ENOENT, "there is none", shm.topic.attach(region, 64))
    assert.is_true(select(2, shm.topic.open(region, 64, {capacity = 100})))
    local m <close> = assert(shm.mutex.create(region, 32768))
    refused(lock.ENOTEMPTY, "something else", shm.topic.create(region, 32768, {capacity = 64}))
    assert.is_userdata(m)
  end)

  it("is made over garbage, lies at a multiple of 64, and inside", function()
    region:fill(0, SIZE, 0x5a)
    refused(lock.ENOENT, "there is none", shm.topic.attach(region, 0))
    local t = create {capacity = 64}
    assert.equal(0, #t)
    assert.equal(0, #drain(subscribe(t, "oldest")))
    assert.error_matches(function() create({capacity = 64}, 32) end, "not a multiple of 64")
    assert.error_matches(function() create({capacity = SIZE}) end, "offset")
    local size = shm.topic.size {capacity = 64}
    create({capacity = 64}, SIZE - size)
    assert.error_matches(function() create({capacity = 64}, SIZE - size + 64) end, "offset")
    local short <close> = region:view(SIZE - size, size - 64)
    refused(lock.ENOENT, "there is none", shm.topic.attach(short, 0))
  end)

  it("is refused when what its head says is not so", function()
    create({capacity = 64}):close()
    local whole = region:read(0, 64)
    for name, wrong in pairs {size = {0, 1}, ring = {0, 64, 256, 1 << 62}, most = {0, 63, 1000},
                              slots = {0, 4097, 1 << 40}} do
      for _, value in ipairs(wrong) do
        local offset = ({size = 16, ring = 24, most = 32, slots = 40})[name]
        region:pack(offset, name == "size" and "I4" or "i8", value)
        refused(lock.ENOENT, "there is none", shm.topic.attach(region, 0))
        region:write(0, whole)
      end
    end
    assert(shm.topic.attach(region, 0)):close()
    region:set_u16(0, 9)
    refused(lock.EPROTO, "another version's", shm.topic.attach(region, 0))
    region:write(0, whole)
    region:add(8, 1)
    refused(lock.EXDEV, "pid namespace", shm.topic.attach(region, 0))
  end)

  it("refuses options that are none", function()
    for _, wrong in ipairs {1, "x", {colour = 1}, {capacity = 63}, {capacity = (1 << 30) + 1},
                            {capacity = 1.5}, {overflow = "reject"}, {overflow = 1},
                            {subscribers = 0}, {subscribers = 4097}} do
      assert.has_error(function() shm.topic.create(region, 0, wrong) end)
      assert.has_error(function() shm.topic.size(wrong) end)
    end
    local t = create {capacity = 64}
    for _, wrong in ipairs {1, {colour = 1}, {from = "now"}, {from = 1}} do
      assert.has_error(function() t:subscribe(wrong) end)
    end
    assert.has_error(function() t:publish("a", -1) end)
    assert.has_error(function() t:publish("a", 1, 1) end)
    assert.has_error(function() subscribe(t):next(-1) end)
  end)

  it("gives each subscriber each message once, from the newest or the oldest on", function()
    local t = create {capacity = 1024}
    assert.is_true(t:publish "a")
    local new, old = subscribe(t), subscribe(t, "oldest")
    assert.is_true(t:publish "b" and t:publish "")
    assert.same({3, 2, 3}, {#t, #new, #old})
    assert.same({"b", ""}, {new:next(), new:try()})
    assert.same({"a", "b", ""}, drain(old))
    assert.same({0, 0, 0, 0}, {#new, #old, new:lost(), old:lost()})
    refused(lock.ETIMEDOUT, "^subscriber%.try at 0: ", new:try())
    refused(lock.ETIMEDOUT, "^subscriber%.next at 0: ", new:next(0))
    refused(lock.ETIMEDOUT, "^subscriber%.next at 0: ", new:next(0.02))
    assert.same({"a", "b", ""}, drain(subscribe(t, "oldest")))
    local n, pids = t:subscribers()
    assert.same({3, {process.pid(), process.pid(), process.pid()}}, {n, pids})
    assert.equal("shm.subscriber (anonymous at 0)", tostring(new))
    t:close()
    assert.error_matches(function() t:publish "x" end, "closed")
    assert.error_matches(function() return #t end, "closed")
    new:close()
    assert.error_matches(function() new:next() end, "closed")
    assert.equal("shm.subscriber (closed)", tostring(new))
    assert.is_true(new:close())
  end)

  it("takes messages up to its capacity, whatever that is", function()
    for _, overflow in ipairs {"block", "drop"} do
      for _, capacity in ipairs {64, 65, 79, 80, 81, 100, 128, 1000, 4096} do
        local t = create {capacity = capacity, overflow = overflow}
        local s = subscribe(t)
        for shift = 0, 200, 7 do
          local long = ("%d"):format(shift % 10):rep(longest(capacity))
          assert(t:publish(("s"):rep(longest(shift % capacity + 1))) and s:next(0))
          assert(t:publish(long))
          assert.equal(long, s:next(0))
        end
        refused(EMSGSIZE, "^topic%.publish at 0: ", t:publish(("x"):rep(longest(capacity) + 1)))
        assert.equal(0, s:lost())
        s:close()
        t:remove()
      end
    end
  end)

  it("carries what shm.value encodes", function()
    local t = create {capacity = 4096}
    local s = subscribe(t)
    for _, v in ipairs {false, true, 0, -1, 1.5, "", "x", {}, {1, 2, {a = "b"}}, {[5] = {}},
                        ("s"):rep(4000)} do
      assert.is_true(t:publish(v))
      assert.same(v, s:next(0))
    end
    assert.is_true(t:publish(nil))
    assert.equal(1, select("#", s:next(0)))
    assert.error_matches(function() t:publish(print) end, "value")
    assert.error_matches(function() t:publish() end, "value")
    refused(EMSGSIZE, "", t:publish {("x"):rep(4096)})
    t:publish "spoilt"
    region:set_u8(region:find(0, "spoilt") - 1, 0xc1)
    refused(74, "^subscriber%.next at 0: Bad message$", s:next(0))
    t:publish "y"
    assert.equal("y", s:next(0))
  end)

  it("lets finalizers use and close the subscriber that is making a table", function()
    local t = create {capacity = 32768}
    local list = {}
    for i = 1, 500 do
      list[i] = {tostring(i):rep(10)}
    end
    collectgarbage("setpause", 10)
    collectgarbage("setstepmul", 1000)
    for round = 1, support.rounds(20) do
      local s, ran = subscribe(t), false
      t:publish(list)
      t:publish {("z"):rep(round * 500)}
      for _ = 1, 10 do
        setmetatable({}, {__gc = function()
          ran = ran or s
          local _ = pcall(s.try, s)
          _ = round % 2 == 0 and s:close()
        end})
      end
      local ok, got = pcall(s.next, s, 0)
      if ok and got and #got == 500 then
        assert.same(list, got)
      end
      s:close()
    end
    collectgarbage("setpause", 200)
    collectgarbage("setstepmul", 100)
  end)

  it("is what a list would be, at all sizes and around the ring's end", function()
    local seed = os.time()
    math.randomseed(seed)
    for round = 1, support.rounds(60) do
      local capacity = math.random(64, 600)
      local drops = round % 2 == 0
      local t = create {capacity = capacity, overflow = drops and "drop" or "block",
                        subscribers = 5}
      local all, readers = {}, {}
      for _ = 1, 400 do
        local what = math.random(10)
        if what == 1 and #readers < 4 then
          local from = math.random(2) == 1 and "oldest" or nil
          local there = #t
          readers[#readers + 1] = {s = subscribe(t, from), lost = 0,
                                   at = #all - (from and there or 0)}
        elseif what == 2 and #readers > 0 then
          table.remove(readers, math.random(#readers)).s:close()
        elseif what <= 6 or #readers == 0 then
          local v = string.char(math.random(0, 255)):rep(math.random(0, longest(capacity)))
          if t:publish(v, 0) then
            all[#all + 1] = v
          else
            local slowest = math.maxinteger
            for _, reader in ipairs(readers) do
              slowest = math.min(slowest, reader.at)
            end
            assert(not drops and slowest < #all, seed)
          end
          assert(#t > 0 and #t <= #all, seed)
        else
          local reader = readers[math.random(#readers)]
          local waiting, lost = #reader.s, reader.s:lost()
          assert(reader.at + waiting + lost - reader.lost == #all, seed)
          assert(drops or lost == 0, seed)
          local v = reader.s:try()
          if v then
            reader.at = reader.at + lost - reader.lost + 1
            reader.lost = lost
            assert(v == all[reader.at], seed)
          else
            assert(waiting == 0 and reader.at == #all, seed)
          end
        end
      end
      for _, reader in ipairs(readers) do
        reader.s:close()
      end
      t:remove()
    end
  end)

  it("keeps as many bytes as its capacity, for those who come late", function()
    for _, overflow in ipairs {"block", "drop"} do
      local t = create {capacity = 1024, overflow = overflow}
      for i = 1, 1000 do
        assert(t:publish(("%015d"):format(i), 0))
      end
      local got = drain(subscribe(t, "oldest"))
      assert(#got >= 1024 // 16 - 1, #got)
      for i, v in ipairs(got) do
        assert.equal(1000 - #got + i, tonumber(v))
      end
      assert.equal(#got, #t)
      t:remove()
    end
  end)

  it("drops the oldest, and each subscriber knows how many it has missed", function()
    local t = create {capacity = 256, overflow = "drop"}
    local s = subscribe(t)
    local seen = 0
    for i = 1, 1000 do
      assert(t:publish(tostring(i), 0))
      if i % 37 == 0 then
        local lost = s:lost()
        local v = s:next(0)
        seen = seen + 1
        assert.equal(seen + lost, tonumber(v))
        assert.equal(lost, s:lost())
        assert.equal(i - tonumber(v), #s)
      end
    end
    assert(s:lost() > 0)
    assert.equal(1000, #drain(s) + seen + s:lost())
  end)

  it("waits for the slowest subscriber, and for none that has gone", function()
    local t = create {capacity = 256}
    local s, quick = subscribe(t), subscribe(t)
    local n, errno = fill(t, "0123456789")
    assert.equal(lock.ETIMEDOUT, errno)
    assert.equal(n, #drain(quick))
    refused(lock.ETIMEDOUT, "^topic%.publish at 0: ", t:publish("x", 0))
    refused(EDEADLK, "^topic%.publish at 0: ", t:publish("x", LONG))
    refused(EDEADLK, "^topic%.publish at 0: ", t:publish("x"))
    local hasty <close> = lock.child(function()
      assert(select(3, t:publish("x", 0.05)) == lock.ETIMEDOUT)
    end)
    assert.is_true(hasty.ended())
    local child <close> = lock.child(function()
      assert(t:publish("late", LONG))
    end)
    support.eventually(function() return region:load32(ROOM) ~= 0 end)
    assert.equal("0123456789", s:next())
    assert.is_true(child.ended())
    assert.equal("late", quick:next(LONG))
    assert.equal(n, #s)
    refused(lock.ETIMEDOUT, "", t:publish("y", 0))
    s:close()
    assert.is_true(t:publish("z", 0))
    assert.equal("z", quick:next(0))
  end)

  it("is blocked by no subscriber that was killed", function()
    local t = create {capacity = 256, subscribers = 2}
    local s = subscribe(t)
    lock.dead(function() assert(t:subscribe()) end)
    for i = 1, 1000 do
      assert(t:publish(tostring(i), i % 2 == 0 and 0 or LONG))
      assert.equal(tostring(i), s:next(0))
    end
    local waits <close> = lock.parked(function() assert(t:subscribe()) end)
    local other <close> = lock.child(function()
      repeat until not t:publish("x", LONG)
    end)
    s:close()
    support.eventually(function() return region:load32(ROOM) ~= 0 end)
    lock.bury(waits)
    local before = region:load(TAIL)
    support.eventually(function() return region:load(TAIL) ~= before end)
    lock.bury(other)
  end)

  it("has so many subscribers at most, the dead not counted", function()
    local t = create {capacity = 64, subscribers = 3}
    local one, two = subscribe(t), subscribe(t)
    collectgarbage "stop"
    assert(t:subscribe()) -- nobody keeps it
    refused(lock.EUSERS, "^topic%.subscribe at 0: %d+ subscribe, as many as can: ", t:subscribe())
    two:close()
    lock.dead(function() assert(t:subscribe()) end)
    assert.equal(2, (t:subscribers()))
    local again = subscribe(t)
    refused(lock.EUSERS, "^topic%.subscribe at 0: ", t:subscribe())
    one:close()
    again:close()
    collectgarbage "restart"
    collectgarbage()
    assert.equal(0, (t:subscribers()))
  end)

  it("says how far the slowest subscriber is behind, the dead on request left out", function()
    local t = create {capacity = 1024}
    assert.equal(0, t:behind())
    local s = subscribe(t)
    assert(t:publish(1))
    local one = t:behind()
    assert.equal(32, one) -- a number of one byte, with its head, in sixteens
    assert(t:publish(1))
    assert.equal(2 * one, t:behind())
    lock.dead(function()
      assert(t:subscribe {from = "oldest"})
      assert(t:publish(1))
    end)
    assert.equal(1, s:next(0))
    assert.equal(3 * one, t:behind())
    assert.equal(3 * one, t:behind(3 * one))
    assert.equal(2 * one, t:behind(3 * one - 1))
    assert.equal(2 * one, t:behind())
    assert.equal(2 * one, t:behind(0)) -- this one lives
    for _ = 1, 2 do
      assert.equal(1, s:next(0))
    end
    assert.equal(0, t:behind())
  end)

  it("is its thread's: a child made by fork subscribes anew", function()
    local t = create {capacity = 64}
    local s = subscribe(t)
    local child <close> = lock.child(function()
      for _, f in ipairs {s.next, s.try, s.lost} do
        local ok, message = pcall(f, s)
        assert(not ok and message:match "subscribe anew")
      end
      s:close()
      local mine <close> = assert(t:subscribe())
      assert(t:publish "hello" and mine:next() == "hello")
    end)
    assert.is_true(child.ended())
    assert.equal(1, (t:subscribers()))
    assert.equal("hello", s:next(0))
  end)

  it("wakes all who wait, and ends by a signal", function()
    local t = create {capacity = 64}
    local children = {}
    for i = 1, 3 do
      children[i] = lock.child(function()
        local s <close> = assert(t:subscribe())
        assert(s:next(LONG) == "now")
      end)
    end
    support.eventually(function() return region:load32(NEWS) == 7 end) -- three bits
    t:publish "now"
    for _, child in ipairs(children) do
      assert.is_true(child.ended())
      getmetatable(child).__close(child)
    end
    assert.is_true(support.interrupts(function()
      local s <close> = assert(t:subscribe())
      local v, _, errno = s:next()
      assert(v == nil and errno == lock.EINTR)
    end))
    local s = subscribe(t)
    fill(t, "x")
    assert.is_true(support.interrupts(function()
      local v, _, errno = t:publish "x"
      assert(v == nil and errno == lock.EINTR)
    end))
    assert.is_userdata(s)
  end)

  it("wakes who sleeps once, and again when it sleeps again", function()
    local t, TURN <const> = create {capacity = 256}, NEWS - 32
    local child <close> = lock.child(function()
      local s <close> = assert(t:subscribe())
      for i = 1, 4 do
        assert(s:next(LONG) == i)
      end
    end)
    local function sleeps() return region:load32(NEWS) ~= 0 end
    support.eventually(sleeps)
    child:kill "STOP"
    support.eventually(function()
      local file <close> = assert(io.open(("/proc/%d/stat"):format(child.pid)))
      return file:read "a":match "%) T"
    end)
    if sleeps() then -- else it was stopped between two looks
      t:publish(1)
      local turn = region:load32(TURN)
      assert.is_false(sleeps())
      t:publish(2)
      assert.equal(turn, region:load32(TURN))
    end
    child:kill "CONT"
    for i = #t + 1, 4 do
      support.eventually(sleeps)
      t:publish(i)
    end
    assert.is_true(child.ended())
  end)

  it("is one of several that can be waited for", function()
    local t, e = create {capacity = 64}, keep(assert(shm.event.create(region, 32768)))
    local s = subscribe(t)
    refused(lock.ETIMEDOUT, "", shm.wait_any({e, s}, 0))
    t:publish "a"
    assert.equal(2, shm.wait_any({e, s}, LONG))
    assert.equal("a", s:try())
    local child <close> = lock.child(function()
      support.eventually(function() return region:load32(NEWS) ~= 0 end)
      t:publish "b"
    end)
    assert.equal(1, shm.wait_any({s, e}, LONG))
    assert.equal("b", s:try())
    assert.is_true(child.ended())
    assert.error_matches(function() shm.wait_any {t} end, "expected")
  end)

  it("stands in event loops", function()
    local t, times = create {capacity = 256}, support.rounds(1000)
    local s = subscribe(t)
    local child <close> = lock.child(function()
      for i = 1, times do
        assert(t:publish(tostring(i), LONG))
        if i % 10 == 0 then
          process.sleep(0.0002)
        end
      end
    end)
    assert.same({s:fileno(), s:fileno(), "r"}, {s:getfd(), s:pollfd(), s:events()})
    assert.is_nil(s:timeout())
    local loop, got = cqueues.new(), 0
    loop:wrap(function()
      while got < times do
        local v = s:try()
        if v then
          got = got + 1
          assert(v == tostring(got))
        else
          cqueues.poll(s)
        end
      end
    end)
    assert(loop:loop(LONG))
    assert.same({times, 0}, {got, loop:count()})
    assert.is_true(child.ended())
    cqueues.cancel(s:fileno())
  end)

  it("gives all of several processes the same order", function()
    local times = support.rounds(3000)
    for _, overflow in ipairs {"block", "drop"} do
      local t = create {capacity = 1024, overflow = overflow}
      local results = keep(assert(shm.anonymous(64)))
      local readers, writers = {}, {}
      for i = 1, 3 do
        readers[i] = lock.child(function()
          local s <close> = assert(t:subscribe())
          local last, seen, sum = {0, 0}, 0, 0
          results:add(0, 1)
          while seen + s:lost() < 2 * times do
            local who, n, pad = assert(s:next(LONG)):match "^(%d) (%d+) (x*)$"
            who, n, seen = tonumber(who), tonumber(n), seen + 1
            assert(#pad == n % 200)
            assert(n > last[who] and (overflow == "drop" or n == last[who] + 1))
            last[who] = n
            sum = (sum * 31 + who) % 1000000007
          end
          assert(#s == 0 and (overflow == "drop" or s:lost() == 0))
          results:store(8 * i, sum)
        end)
      end
      support.eventually(function() return results:load(0) == 3 end)
      for i = 1, 2 do
        writers[i] = lock.child(function()
          for n = 1, times do
            assert(t:publish(("%d %d %s"):format(i, n, ("x"):rep(n % 200)), LONG))
          end
        end)
      end
      for _, list in ipairs {writers, readers} do
        for _, child in ipairs(list) do
          assert.is_true(child.ended())
          getmetatable(child).__close(child)
        end
      end
      if overflow == "block" then
        assert.equal(results:load(8), results:load(16))
        assert.equal(results:load(8), results:load(24))
      end
      t:remove()
    end
  end)

  it("lies there as it always has", function()
    local t = create {capacity = 64, subscribers = 1}
    local s = subscribe(t)
    assert(t:publish "a" and t:publish(300) and s:next())
    local function record(at)
      local size = region:get_u32(at + 8)
      return region:get_i64(at), size, region:read(at + 16, size)
    end
    assert.same({1, 18, 0x4c53484d}, {region:get_u16(0), region:get_u16(2), region:get_u32(4)})
    assert.same({768, 0, 128, 64, 1}, {table.unpack({region:unpack(16, "I4I4I8I8I8")}, 1, 5)})
    assert.same({0, 0, 64, 0}, {table.unpack({region:unpack(64, "I8I8I8I8")}, 1, 4)})
    assert.equal(32, region:get_i64(768 + 8))
    assert.same({0, 2, "\xa1a"}, {record(832)})
    assert.same({1, 3, "\xcd\x01\x2c"}, {record(864)})
    assert.equal(2, region:get_i64(896))
    region:pack(896, "I8I4I4c4", 2, 4, 0, "\xa3abc") -- by hand
    region:pack(896 + 32, "I8", 3)
    region:store(TAIL, 96)
    assert.same({300, "abc"}, {(s:next(0)), (s:next(0))})
    assert.equal(0, s:lost())
  end)

  it("is found by who was not forked from here", function()
    local name = "shm_topic_" .. support.key()
    local named <close> = assert(shm.create(name, 1 << 18))
    local t <close> = assert(shm.topic.create(named, 64))
    local s <close> = assert(t:subscribe())
    assert.equal("true\t1\tback\n", lock.stranger([[
      local shm = require "shm"
      local t = assert(shm.topic.attach(assert(shm.attach "%s"), 64))
      local s <close> = assert(t:subscribe())
      print(t:publish "back", #s, s:next(0))]], name))
    assert(shm.unlink(name))
    assert.equal("back", s:next(0))
    assert.equal(1, (t:subscribers()))
  end)

  it("is read while who publishes is stopped, and says who that is", function()
    local t = create {capacity = 64}
    local s = subscribe(t)
    assert(t:publish "a")
    local stopped <close> = lock.parked(function() end)
    region:set_u32(GUARD, stopped.pid)
    assert.equal("a", s:next(0))
    local message = "^topic%.publish at 0: its guard is held by " .. stopped.pid .. ": "
    refused(lock.EBUSY, message, t:publish("b"))
    lock.bury(stopped)
    assert.is_true(t:publish "c")
    assert.equal("c", s:next(0))
  end)

  it("raises, and never crashes, when its memory is truncated away", function()
    local path = os.tmpname()
    local r <close> = assert(shm.map(path, {mode = "rw", create = true, size = 1 << 16}))
    local t <close> = assert(shm.topic.create(r, 0, {capacity = 1000}))
    local s <close> = assert(t:subscribe())
    assert(t:publish "x")
    local fd <close> = assert(posix.open(path, posix.O_RDWR))
    assert(posix.ftruncate(fd, 0))
    os.remove(path)
    for _, f in ipairs {
      function() return t:publish("x", 0) end, function() return t:subscribe() end,
      function() return t:subscribers() end, function() return #t end,
      function() return t:behind(0) end,
      function() return s:next(0) end, function() return s:try() end,
      function() return #s end, function() return s:lost() end,
    } do
      assert.error_matches(f, "gone")
    end
  end)

  it("never crashes, nor hangs, over anything that lies in it", function()
    local seed = os.time()
    math.randomseed(seed)
    for round = 1, support.rounds(150) do
      local t = create {capacity = 256, subscribers = 4,
                        overflow = round % 2 == 0 and "drop" or nil}
      local s = subscribe(t)
      local size = shm.topic.size {capacity = 256, subscribers = 4}
      for _ = 1, 20 do
        local from = math.random(3) == 1 and 0 or math.random(3) == 1 and 64 or 1024
        local to = math.random(2) == 1 and 128 or size
        for _ = 1, math.random(8) do
          if to > from + 8 then
            region:set_i64(math.random(from, to - 8) // 8 * 8, ({
              math.random(0), math.random(-64, 4096), math.random(0, 64) * 16, -1,
              math.mininteger})[math.random(5)])
          end
        end
        if region:get_u32(GUARD) & 0x3fffffff < 1 << 22 then -- a living thread's, who knows
          region:set_u32(GUARD, 0)
        end
        for _ = 1, 5 do
          t:publish(("m"):rep(math.random(0, 256)), 0.001)
          pcall(s.next, s, 0.001)
        end
        assert(#t >= 0 and #s >= 0 and math.type(s:lost()))
        local other = t:subscribe {from = "oldest"}
        if other then
          other:try()
          other:close()
        end
        t:subscribers()
      end
      s:close()
      region:fill(0, size)
      t:close()
    end
  end)

  describe("whose user is killed before any store", function()
    local desk

    before_each(function()
      desk = keep(assert(shm.anonymous(64)))
    end)

    local OPTIONS = {
      block = {capacity = 64, subscribers = 2},
      drop = {capacity = 64, subscribers = 2, overflow = "drop"},
    }

    for overflow, options in pairs(OPTIONS) do
      -- Numbers are published one after the other; PUBLISHED is the least that must be there.
      local t, s, first

      local function make(before)
        return function()
          if s then
            s:close()
          end
          if t then
            t:close()
          end
          region:fill(0, 4096)
          t = keep(assert(shm.topic.create(region, 0, options)))
          s = keep(assert(t:subscribe()))
          for i = 1, before do
            assert(t:publish(("%024d"):format(i), 0))
            if overflow == "block" then
              assert(s:next(0))
            end
          end
          first = overflow == "block" and before + 1 or 1
        end
      end

      -- What there was before, what the dead one did or did not, and what comes now.
      local function verify(least, most)
        return function()
          local at, seen = first - 1, 0
          local function look()
            local v = s:try()
            while v do
              local n = tonumber(v)
              seen = seen + 1
              assert(n > at and (overflow == "drop" or n == at + 1), "order")
              at = n
              assert(at == first - 1 + seen + s:lost(), "lost")
              v = s:try()
            end
          end
          look()
          local published = first - 1 + seen + s:lost()
          assert(published >= least and published <= most, published)
          for i = published + 1, published + 40 do
            assert(t:publish(("%024d"):format(i), LONG))
            look()
          end
          assert(at == published + 40 and #s == 0)
          local late <close> = assert(t:subscribe {from = "oldest"})
          assert(#late == #t and tonumber(late:try()) == at - #t + 1)
        end
      end

      it("goes on after publish: " .. overflow, function()
        for _, before in ipairs {0, 4, 5, 6, 7} do
          assert(kills_everywhere(function()
            assert(t:publish(("%024d"):format(before + 1), LONG))
          end, verify(before, before + 1), {
            prepare = make(before), timeout = LONG, rounds = ROUNDS,
          }) > 0)
        end
      end)

      it("goes on after subscribe, next and close: " .. overflow, function()
        for _, from in ipairs {"oldest", "newest"} do
          assert(kills_everywhere(function()
            local mine = assert(t:subscribe {from = from})
            for _ = 1, 3 do
              mine:try()
            end
            mine:close()
          end, verify(7, 7), {prepare = make(7), timeout = LONG, rounds = ROUNDS}) > 0)
        end
      end)

      it("goes on after a wait for a message: " .. overflow, function()
        local child
        assert(kills_everywhere(function()
          local mine <close> = assert(t:subscribe())
          desk:store(0, 1)
          assert(mine:next(LONG))
        end, function()
          desk:store(8, 1)
          assert(child.ended())
          getmetatable(child).__close(child)
          child = nil
          verify(3, 4)()
        end, {
          prepare = function()
            if child then
              getmetatable(child).__close(child)
            end
            make(3)()
            desk:fill(0, 16)
            child = lock.child(function()
              support.eventually(function()
                return region:load32(NEWS) ~= 0 or desk:load(8) == 1
              end)
              if desk:load(8) == 0 then
                assert(t:publish(("%024d"):format(4), LONG))
              end
            end)
          end,
          timeout = LONG,
          rounds = ROUNDS,
        }) > 0)
      end)
    end

    it("is made, or can be", function()
      for _, verb in ipairs {"create", "open"} do
        assert(kills_everywhere(function()
          assert(shm.topic[verb](region, 0, OPTIONS.block))
        end, function()
          local t <close> = assert(shm.topic.open(region, 0, OPTIONS.block))
          local s <close> = assert(t:subscribe())
          assert(t:publish("a", LONG) and s:next(0) == "a")
        end, {prepare = function() region:fill(0, 4096) end, timeout = LONG, rounds = ROUNDS}) > 0)
      end
    end)

    it("leaves no publisher waiting: one that waits for room, a reader that makes it", function()
      local t, s
      local function full()
        if s then
          s:close()
          t:close()
        end
        region:fill(0, 4096)
        t = keep(assert(shm.topic.create(region, 0, OPTIONS.block)))
        s = keep(assert(t:subscribe()))
        fill(t, "x")
      end
      local function goes_on()
        drain(s)
        for i = 1, 20 do
          assert(t:publish(tostring(i), LONG) and s:next(0) == tostring(i))
        end
      end
      assert(kills_everywhere(function()
        t:publish("y", 0.03)
      end, goes_on, {prepare = full, timeout = LONG, rounds = ROUNDS}) > 0)
      assert(kills_everywhere(function()
        local mine = assert(t:subscribe {from = "oldest"})
        repeat until not mine:try()
      end, goes_on, {prepare = full, timeout = LONG, rounds = ROUNDS}) > 0)
    end)
  end)
end)
