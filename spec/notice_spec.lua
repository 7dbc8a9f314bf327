-- Objects to take turns by in event loops: descriptors that tell when they may be had.
local locks = require "spec.lock_support"
local chaos = require "shm.chaos"
local cqueues = require "cqueues"
local process = require "shm.process"
local shm = require "shm"
local socket = require "socket"
local support = require "spec.support"

local LONG = support.LONG
local ETIMEDOUT = 110

local function threads()
  return select(2, support.shell("ls /proc/" .. process.pid() .. "/task"):gsub("%d+", ""))
end

-- All but so many have: who has joined a thread may see it in /proc for a moment.
local function ended(before)
  support.eventually(function() return threads() == before end)
end

describe("the descriptor of an object", function()
  local r

  before_each(function()
    r = assert(shm.anonymous(1 << 16))
  end)

  after_each(function()
    r:close()
  end)

  local function readable(object)
    return #socket.select({object}, nil, 0) == 1
  end

  local function becomes_readable(object)
    assert.equal(1, #socket.select({object}, nil, LONG))
  end

  it("is the same under all its names, and readable", function()
    local s <close> = assert(shm.semaphore.create(r, 0))
    local fd = s:fileno()
    assert.equal(fd, s:getfd())
    assert.equal(fd, s:pollfd())
    assert.equal("r", s:events())
    assert.is_nil(s:timeout())
  end)

  it("tells of a semaphore's count until nothing is left of it", function()
    local s <close> = assert(shm.semaphore.create(r, 0, 2))
    becomes_readable(s)
    assert.is_true(s:try())
    assert.is_true(s:try())
    local _, _, errno = s:try()
    assert.equal(ETIMEDOUT, errno)
    assert.is_false(readable(s))
    local child = process.fork(function() s:post() end)
    becomes_readable(s)
    assert.is_true(s:try())
    child:wait(LONG)
  end)

  it("tells of an event, and is quiet after reset", function()
    local e <close> = assert(shm.event.create(r, 0, {manual = true}))
    e:fileno()
    assert.is_false(readable(e))
    e:set()
    becomes_readable(e)
    e:reset()
    assert.is_nil(e:try())
    assert.is_false(readable(e))
  end)

  it("tells of a mutex and a rwlock that were left, and of their holder's death", function()
    for i, kind in ipairs {shm.mutex, shm.rwlock} do
      local lock <close> = assert(kind.create(r, i * 2048))
      local held <close> = assert(shm.event.create(r, i * 8192))
      for _, dies in ipairs {false, true} do
        local go <close> = assert(shm.event.open(r, i * 8192 + 512))
        local child = process.fork(function()
          lock:lock()
          held:set()
          go:wait()
          if dies then
            process.kill(process.pid(), "KILL")
          end
          lock:unlock()
        end)
        assert(held:wait(LONG))
        assert.is_nil(lock:try())
        lock:fileno()
        assert.is_nil(lock:try())
        assert.is_false(readable(lock))
        go:set()
        becomes_readable(lock)
        local ok, how, pid = lock:lock(LONG)
        assert.is_true(ok)
        assert.equal(dies and "recovered" or nil, how)
        assert.equal(dies and child.pid or nil, pid)
        lock:unlock()
        child:wait(LONG)
      end
    end
  end)

  it("tells that a counter changed since it was read", function()
    local k <close> = assert(shm.counter.create(r, 0))
    k:fileno()
    assert.is_false(readable(k))
    k:add(5)
    becomes_readable(k)
    assert.equal(5, k:get())
    assert.is_false(readable(k))
  end)

  it("tells that a counter is again what it was when the last change was told of", function()
    local k <close> = assert(shm.counter.create(r, 0))
    k:fileno()
    for _ = 1, 10 do -- the thread has no time to look in between
      k:set(5)
      assert.equal(5, k:get())
      k:set(0)
      becomes_readable(k)
      assert.equal(0, k:get())
      assert.is_false(readable(k))
    end
  end)

  it("tells of what a counter became between being read and having a descriptor", function()
    local k <close> = assert(shm.counter.create(r, 0, 5))
    assert.equal(5, k:get())
    k:set(0)
    becomes_readable(k)
    assert.equal(0, k:get())
    assert.is_false(readable(k))
    local same <close> = assert(shm.counter.create(r, 512, 7))
    assert.equal(7, same:get())
    assert.equal(0, #socket.select({same}, nil, 0.05))
    local unread <close> = assert(shm.counter.create(r, 1024, 9))
    assert.equal(0, #socket.select({unread}, nil, 0.05))
    unread:set(0)
    becomes_readable(unread)
  end)

  it("tells of what a counter became while a wait looked whether it is that already", function()
    local k <close> = assert(shm.counter.create(r, 0))
    local seen <close> = assert(shm.counter.create(r, 512))
    local times = support.rounds(5000)
    local child <close> = locks.child(function()
      for i = 1, times do
        k:add()
        assert(seen:wait(i, LONG))
      end
    end)
    for i = 1, times do
      while not k:wait(i, 0) do
        becomes_readable(k)
      end
      seen:add()
    end
    assert.is_true(child.ended())
    assert.is_nil(k:wait(times + 1, 0))
    assert.is_false(readable(k))
  end)

  it("tells who could not write in a rwlock once nobody reads, and others before", function()
    local w <close> = assert(shm.rwlock.create(r, 0))
    local other <close> = assert(shm.rwlock.attach(r, 0))
    local leave <close> = assert(shm.event.create(r, 2048))
    local dies <close> = locks.parked(function() assert(w:lock_shared()) end)
    local leaves <close> = locks.child(function()
      assert(w:lock_shared() and leave:wait(LONG))
      w:unlock()
    end)
    support.eventually(function() return #w:readers() == 2 end)
    becomes_readable(w)
    for _, write in ipairs {
      function() return w:try() end, function() return w:lock(0) end,
      function() return w:hold(0) end,
    } do
      assert.is_nil(write())
      assert.equal(0, #socket.select({w}, nil, 0.03))
    end
    becomes_readable(other)
    assert(other:try_shared())
    assert.is_false(readable(w))
    other:unlock()
    leave:set()
    assert.is_true(leaves.ended())
    assert.is_false(readable(w))
    locks.bury(dies)
    becomes_readable(w)
    assert(w:try())
    w:unlock()
  end)

  it("tells of a change to a map also where another one was undone before", function()
    local memory <close> = assert(shm.anonymous(1 << 20))
    local arena <close> = assert(shm.arena(memory))
    local m <close> = assert(arena:map "m")
    assert(chaos.kill_everywhere(function()
      m:set("k", "new")
    end, function(n)
      assert.is_true(m:changes() >= 0)
      m:set("k", n)
      assert.equal(1, m:changes())
      assert.equal(n, m:get "k")
    end, {prepare = function()
      m:set("k", "old")
      m:changes()
    end}))
  end)

  describe("that messages and changes are for", function()
    local memory, arena

    before_each(function()
      memory = assert(shm.anonymous(1 << 20))
      arena = assert(shm.arena(memory))
    end)

    after_each(function()
      arena:close()
      memory:close()
    end)

    it("tells of a queue's until the last one is taken, however that is", function()
      local q <close> = assert(arena:queue "q")
      q:push(0) -- before there was a descriptor
      local function take(pop)
        for i = 1, 3 do
          q:push(i)
        end
        for _ = 1, 3 do
          becomes_readable(q)
          assert(pop())
          assert.is_true(readable(q))
        end
        assert.is_nil(pop())
        assert.is_false(readable(q))
      end
      becomes_readable(q)
      assert.equal(0, q:pop(0))
      take(function() return q:pop(0) end)
      take(function() return q:pop_many(1, 0) end)
      take(function()
        local view <close> = q:view(0)
        return view
      end)
      take(function()
        local first = q:peek()
        assert.is_true(first == nil or first == q:pop(0))
        return first
      end)
      local popper = q:popper()
      take(function() return popper(0) end)
      for i = 1, 1000 do -- which are told of at once
        q:push(i)
      end
      assert.equal(1000, #q:pop_many(2000, 0))
      assert.is_nil(q:pop(0))
      assert.is_false(readable(q))
      q:shutdown()
      becomes_readable(q)
    end)

    it("does not tell again of what was lent and taken back", function()
      local q <close> = assert(arena:queue "q")
      for _ = 1, 3 do
        local loan = assert(q:loan(8))
        assert.is_nil(q:pop(0))
        loan:close()
      end
      q:fileno()
      support.eventually(function()
        return q:peek() == nil and not readable(q)
      end)
      assert.equal(0, #socket.select({q}, nil, 0.05))
      assert.equal(ETIMEDOUT, select(3, shm.wait_any({q}, 0)))
    end)

    it("tells of a subscriber's until it has got the last one, or lost it", function()
      for _, overflow in ipairs {"block", "drop"} do
        local t <close> = assert(arena:topic(overflow, {capacity = 64, overflow = overflow}))
        local s <close> = assert(t:subscribe())
        local last
        s:fileno()
        assert.is_false(readable(s))
        for i = 1, overflow == "drop" and 1000 or 3 do
          assert(t:publish(i))
          last = i
        end
        local got
        repeat
          becomes_readable(s)
          got = s:try()
          assert.is_true(readable(s))
        until got == last
        assert.is_nil(s:next(0))
        assert.is_false(readable(s))
        t:publish "more"
        becomes_readable(s)
      end
    end)

    it("tells of a map's until it was asked how many they are", function()
      local m <close> = assert(arena:map "m")
      m:fileno()
      assert.is_false(readable(m))
      for i = 1, 3 do
        m:set(i, i)
      end
      becomes_readable(m)
      assert.equal(3, m:changes())
      assert.equal(0, m:changes())
      assert.is_false(readable(m))
      m:delete(1)
      becomes_readable(m)
    end)

    it("tells of what a producer left that was killed before it could tell", function()
      if support.asan then
        return pending "its allocator is not to be used after a fork beside threads"
      end
      local q <close> = assert(arena:queue "q")
      local m <close> = assert(arena:map "m")
      local t <close> = assert(arena:topic "t")
      local s <close> = assert(t:subscribe())
      for _, one in ipairs {
        {q, function() q:push(1) end, function() return #q > 0 end,
         function() while q:pop(0) do end end},
        {s, function() t:publish(1) end, function() return #s > 0 end,
         function() while s:try() do end end},
        {m, function() m:set("k", 1) end, function() return m:get "k" end,
         function() m:delete "k" m:changes() end},
      } do
        local object, give, is_there, take = table.unpack(one)
        local seen = 0
        assert(chaos.kill_everywhere(give, function()
          object:fileno()
          if is_there() then
            becomes_readable(object)
            seen = seen + 1
          end
          take()
        end, {prepare = take, rounds = support.rounds(20)}))
        assert.is_true(seen > 0)
      end
    end)

    it("is a child's own after fork, and the parent's goes on", function()
      if support.asan then
        return pending "its allocator is not to be used after a fork beside threads"
      end
      local q <close> = assert(arena:queue "q")
      q:push(1)
      becomes_readable(q)
      local child = process.fork(function()
        assert(q:pop(0) == 1 and not q:pop(0)) -- nothing of the parent's is read by that
        q:fileno()
        assert(not readable(q) and not q:pop(0))
        q:push(2)
        becomes_readable(q)
        process.exit(42)
      end)
      assert.same({"exit", 42}, {child:wait(LONG)})
      assert.is_true(readable(q))
      assert.equal(2, q:pop(0))
      assert.is_nil(q:pop(0))
      assert.is_false(readable(q))
    end)

    it("is none when the object is closed", function()
      local t <close> = assert(arena:topic "t")
      local before = threads()
      for _, object in ipairs {arena:queue "q", t:subscribe(), (arena:map "m")} do
        object:fileno()
        object:close()
        for _, name in ipairs {"fileno", "getfd", "pollfd", "events", "timeout"} do
          assert.error_matches(function() object[name](object) end, "closed")
        end
      end
      ended(before)
    end)
  end)

  it("stands in cqueues beside others, and misses nothing", function()
    local s <close> = assert(shm.semaphore.create(r, 0))
    local m <close> = assert(shm.mutex.create(r, 512))
    local k <close> = assert(shm.counter.create(r, 1024))
    local held <close> = assert(shm.event.create(r, 2048))
    local times = support.rounds(1000)
    local child = process.fork(function()
      m:lock()
      held:set()
      for i = 1, times do
        s:post()
        k:add()
        if i % 10 == 0 then
          process.sleep(0.0002)
        end
      end
      process.kill(process.pid(), "KILL")
    end)
    assert(held:wait(LONG))
    local loop, got, how, seen = cqueues.new(), 0, nil, 0
    loop:wrap(function()
      while got < times do
        if s:try() then
          got = got + 1
        else
          cqueues.poll(s)
        end
      end
    end)
    loop:wrap(function()
      local ok
      repeat
        cqueues.poll(m)
        ok, how = m:try()
      until ok
      m:unlock()
    end)
    loop:wrap(function()
      repeat
        seen = k:get()
        if seen < times then
          cqueues.poll(k)
        end
      until seen == times
    end)
    assert(loop:loop(LONG))
    assert.equal(0, loop:count())
    assert.same({times, "recovered", times}, {got, how, seen})
    child:wait(LONG)
    for _, one in ipairs {s, m, k} do
      cqueues.cancel(one:fileno())
    end
  end)

  it("is a child's own after fork", function()
    local s <close> = assert(shm.semaphore.create(r, 0))
    s:fileno()
    local child = process.fork(function()
      s:fileno()
      becomes_readable(s)
      process.exit(s:try() and 42 or 1)
    end)
    s:post()
    assert.same({"exit", 42}, {child:wait(LONG)})
  end)

  it("is an error where there are no descriptors or threads left, and there later", function()
    local said, log = support.strace("-e trace=eventfd2,clone,clone3 "
      .. "-e inject=eventfd2:error=EMFILE:when=1 -e inject=clone,clone3:error=EAGAIN:when=1", [[
      local shm = require "shm"
      local s = shm.semaphore.create(shm.anonymous(4096), 0)
      print(s:fileno())
      print(s:pollfd())
      print(math.type(s:getfd()))
      s:close()]])
    if not said then
      return pending(log)
    end
    assert.equal("nil\tfileno: Too many open files\t24\n"
      .. "nil\tfileno: Resource temporarily unavailable\t11\ninteger\n", said)
  end)

  it("takes a thread, which ends with the handle, and leaves nothing", function()
    local before, descriptors = threads(), support.descriptors()
    local s = assert(shm.semaphore.create(r, 0))
    assert.equal(before, threads())
    s:fileno()
    assert.equal(before + 1, threads())
    s:close()
    ended(before)
    local m = assert(shm.mutex.create(r, 512))
    m:fileno()
    m = nil -- luacheck: ignore 311
    collectgarbage()
    ended(before)
    assert.equal(descriptors, support.descriptors())
  end)

  it("is quiet again after it told too late of what was taken meanwhile", function()
    if support.asan or support.valgrind then
      return pending "another library is preloaded"
    end
    local late = support.compile("spec/textbook/late.c", "-shared -fPIC")
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write [[
      local shm, socket = require "shm", require "socket"
      local s = shm.semaphore.create(shm.anonymous(4096), 0)
      s:fileno()
      s:post()
      shm.process.sleep(0.01)
      assert(s:try() and not s:try()) -- while the thread is about to tell
      local times = 0
      repeat
        local readable = #socket.select({s}, nil, 0.2) > 0
        assert(not s:try())
        times = times + 1
      until not readable or times == 10000
      print(times < 10000)]]
    file:close()
    local said = support.shell(("LD_PRELOAD=%s lua5.4 %s 2>&1"):format(late, path))
    os.remove(late)
    os.remove(path)
    assert.equal("true\n", said)
  end)

  it("does not end its process when the memory goes away", function()
    if support.valgrind then
      return pending "valgrind itself ends at a fault in a second thread"
    end
    local child <close> = locks.child(function()
      local gone <close> = assert(shm.create("notice_spec", 8192))
      assert(shm.unlink "notice_spec")
      local other <close> = assert(shm.semaphore.create(gone, 4096, 0))
      assert(other:fileno())
      assert(shm.posix.ftruncate(gone:fileno(), 4096))
      process.sleep(0.1) -- the thread looks by itself meanwhile
      assert(not pcall(other.wait, other, 1))
    end)
    assert.is_true(child.ended())
  end)
end)
