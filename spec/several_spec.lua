-- shm.wait_any: whichever comes first.
local chaos = require "shm.chaos"
local lock = require "spec.lock_support"
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local socket = require "socket"
local support = require "spec.support"

local LONG = lock.LONG

describe("wait_any", function()
  local region, m, s, e

  before_each(function()
    region = assert(shm.anonymous(8192))
    m, s = shm.mutex.create(region, 0), shm.semaphore.create(region, 1024)
    e = shm.event.create(region, 2048)
  end)

  after_each(function()
    pcall(m.unlock, m)
    region:close()
  end)

  it("takes the first that can be had, and only that", function()
    s:post()
    e:set()
    assert.equal(1, shm.wait_any {m, s, e})
    assert.equal(process.pid(), m:holder())
    assert.same({1, true}, {s:value(), e:is_set()})
    assert.equal(1, shm.wait_any {s, e})
    assert.same({0, true}, {s:value(), e:is_set()})
    assert.equal(2, shm.wait_any({s, e}, 0))
    assert.is_false(e:is_set())
    lock.refused(lock.ETIMEDOUT, "^shm%.wait_any: ", shm.wait_any({s, e}, 0))
    lock.refused(lock.ETIMEDOUT, "^shm%.wait_any: ", shm.wait_any({s, e}, 0.03))
    assert.equal(0, s:waiters())
  end)

  it("leaves an event set that is reset by hand", function()
    local manual <close> = assert(shm.event.create(region, 3072, {manual = true}))
    manual:set()
    for _ = 1, 2 do
      assert.equal(3, shm.wait_any {s, e, manual})
      assert.is_true(manual:is_set())
    end
    manual:reset()
    lock.refused(lock.ETIMEDOUT, "^shm%.wait_any: ", shm.wait_any({s, e, manual}, 0))
  end)

  it("raises when memory behind one of them is gone, or goes while it sleeps", function()
    local path = os.tmpname()
    local file <close> = assert(shm.map(path, {mode = "rw", create = true, size = 4096}))
    local gone <close> = assert(shm.semaphore.create(file, 0))
    local WORDS <const> = "objects: memory behind item 2 is gone"
    local child <close> = lock.child(function()
      if support.valgrind then -- which reads what a call waits for, and ends at that
        return
      end
      assert.error_matches(function() shm.wait_any({s, gone}, LONG) end, WORDS)
    end)
    if not support.valgrind then
      lock.sleepers(s, 1)
      lock.sleepers(gone, 1)
    end
    local fd <close> = assert(posix.open(path, posix.O_RDWR))
    os.remove(path)
    assert(posix.ftruncate(fd, 0))
    assert.is_true(child.ended())
    for _, timeout in ipairs {0, 0.01} do
      assert.error_matches(function() shm.wait_any({s, gone}, timeout) end, WORDS)
    end
    s:post()
    assert.equal(1, shm.wait_any({s, gone}, 0))
  end)

  it("raises as well, as all waits do, where only the kernel has seen that", function()
    local said, log = support.strace("-e trace=futex,futex_waitv "
      .. "-e inject=futex,futex_waitv:error=EFAULT", [[
      local shm = require "shm"
      local r = shm.anonymous(4096)
      local s, e = shm.semaphore.create(r, 0), shm.event.create(r, 1024)
      print(pcall(shm.wait_any, {s, e}, 5))
      print(pcall(s.wait, s, 5))]])
    if not said then
      return pending(log)
    end
    assert.matches("^false\t[^\n]+memory behind one of them is gone%)\n"
      .. "false\tmemory behind this object is gone, or protected\n$", said)
  end)

  it("closes no circle, as it may go on by another of them", function()
    local other <close> = assert(shm.mutex.create(region, 4096))
    m:lock()
    local child <close> = lock.child(function()
      other:lock()
      assert.equal(2, shm.wait_any({m, s}, LONG))
      other:unlock()
    end)
    lock.sleepers(s, 1)
    lock.refused(lock.ETIMEDOUT, "^mutex", other:lock(0.05))
    s:post()
    assert(other:lock(LONG))
    other:unlock()
    m:unlock()
    assert.is_true(child.ended())
  end)

  it("is refused where all are mutexes that this thread holds", function()
    m:lock()
    lock.refused(lock.EDEADLK, "^shm%.wait_any: ", shm.wait_any {m})
    lock.refused(lock.ETIMEDOUT, "^shm%.wait_any: ", shm.wait_any({m, s}, 0.01))
    m:unlock()
  end)

  it("sleeps until another process makes one of them ready", function()
    for i, ready in ipairs {function() s:post() end, function() e:set() end} do
      local child <close> = lock.child(function()
        lock.sleepers(s, 1)
        lock.sleepers(e, 1)
        ready()
      end)
      assert.equal(i, shm.wait_any({s, e}, LONG))
      assert.is_true(child.ended())
    end
  end)

  it("takes a recursive mutex again", function()
    local r <close> = assert(shm.mutex.create(region, 3584, {recursive = true}))
    assert(r:lock())
    assert.equal(1, shm.wait_any({r}, 1))
    r:unlock()
    assert(r:holder())
    r:unlock()
    assert.is_nil(r:holder())
  end)

  it("tells when a mutex's holder had died", function()
    local pid = lock.dead(function() m:lock() end)
    assert.same({2, "recovered", pid}, {shm.wait_any({s, m}, LONG)})
  end)

  it("that found nothing makes event loops wait for the next thing", function()
    local function readable()
      return #socket.select({s, e}, nil, 0)
    end
    for _ = 1, 3 do
      s:post()
      e:set()
      for _, object in ipairs {s, e} do
        assert.equal(1, #socket.select({object}, nil, LONG))
      end
      assert.equal(1, shm.wait_any({s, e}, 0))
      assert.equal(2, shm.wait_any({s, e}, 0))
      assert.equal(2, readable())
      lock.refused(lock.ETIMEDOUT, "^shm%.wait_any: ", shm.wait_any({s, e}, 0))
      assert.equal(0, readable())
    end
    s:close()
    e:close()
  end)

  describe("of objects and furniture", function()
    local memory, arena, q, t, map, subscriber

    before_each(function()
      memory = assert(shm.anonymous(1 << 20))
      arena = assert(shm.arena(memory))
      q, t, map = assert(arena:queue "q"), assert(arena:topic "t"), assert(arena:map "m")
      subscriber = assert(t:subscribe())
    end)

    after_each(function()
      subscriber:close()
      arena:close()
      memory:close()
    end)

    it("takes nothing of queues, topics and maps", function()
      local all = {q, subscriber, map, m, s, e}
      for i, give in ipairs {
        function() q:push "one" end, function() t:publish "one" end,
        function() map:set("k", "one") end,
      } do
        give()
        assert.equal(i, shm.wait_any(all, 0))
        assert.equal(i, shm.wait_any(all, LONG))
        if i == 1 then
          assert.equal("one", q:pop(0))
        elseif i == 2 then
          assert.equal("one", subscriber:try())
        else
          assert.equal(1, map:changes())
        end
      end
      assert.equal(4, shm.wait_any(all, 0))
      m:unlock()
      local others = {q, subscriber, map, s, e}
      lock.refused(lock.ETIMEDOUT, "^shm%.wait_any: ", shm.wait_any(others, 0))
      lock.refused(lock.ETIMEDOUT, "^shm%.wait_any: ", shm.wait_any(others, 0.03))
      q:shutdown()
      assert.equal(1, shm.wait_any(others, 0))
    end)

    it("hears of each from other processes, in any order", function()
      local times = support.rounds(500)
      local gives = {
        function(i) assert(q:push(i, LONG)) end,
        function(i) assert(t:publish(i, LONG)) end,
        function() assert(map:incr("k", 1, 0)) end,
        function() s:post() end,
      }
      local children = {}
      for i, give in ipairs(gives) do
        children[i] = lock.child(function()
          for n = 1, times do
            give(n)
          end
        end)
      end
      local got = {0, 0, 0, 0}
      local takes = {
        function() return q:pop(0) and 1 or 0 end,
        function() return subscriber:try() and 1 or 0 end,
        function() return map:changes() end,
        function() return 1 end,
      }
      local all = {q, subscriber, map, s}
      while got[1] < times or got[2] < times or got[3] < times or got[4] < times do
        local i = assert(shm.wait_any(all, LONG))
        got[i] = got[i] + takes[i]()
      end
      for _, child in ipairs(children) do
        assert.is_true(child.ended())
      end
      assert.same({times, times, times, times}, got)
      lock.refused(lock.ETIMEDOUT, "^shm%.wait_any: ", shm.wait_any(all, 0))
    end)

    it("of two who wait for one message one gets it, and the other waits on", function()
      local held <close> = lock.parked(function() m:lock() end)
      local tally = assert(shm.anonymous(4096))
      local times = support.rounds(200)
      local function consume()
        while assert(shm.wait_any({m, q, e}, LONG)) == 2 do
          if q:pop(0) then
            tally:add(0, 1)
          end
        end
        e:set() -- to the next one
      end
      local first <close> = lock.child(consume)
      local second <close> = lock.child(consume)
      for i = 1, times do
        q:push(i)
      end
      support.eventually(function() return tally:load(0) == times end, LONG)
      e:set()
      assert.is_true(first.ended() and second.ended())
      assert.equal(times, tally:load(0))
      lock.bury(held)
      assert.same({1, "recovered", held.pid}, {shm.wait_any({m, q}, LONG)})
    end)

    it("hears of what a producer left that was killed before it told", function()
      local kinds = {
        {q, function() q:push(1) end, function() return q:pop(0) ~= nil end},
        {subscriber, function() t:publish(1) end, function() return subscriber:try() ~= nil end},
        {map, function() map:set("k", 1) end, function() return map:changes() > 0 end},
      }
      for _, kind in ipairs(kinds) do
        local object, give, take = table.unpack(kind)
        local heard = 0
        local function empty()
          while take() do end
        end
        assert(chaos.kill_everywhere(give, function(_, survived)
          local i, _, errno = shm.wait_any({s, object}, 0)
          assert(i == 2 or errno == lock.ETIMEDOUT)
          assert(i == 2 or not survived)
          heard = heard + (i == 2 and take() and 1 or 0)
          give()
          assert(shm.wait_any({s, object}, LONG) == 2)
        end, {prepare = empty, rounds = support.rounds(20)}))
        empty()
        assert.is_true(heard > 0)
      end
    end)

    it("ends on Ctrl-C", function()
      assert.is_true(support.interrupts(function()
        local _, _, errno = shm.wait_any {q, map, e}
        error(errno == lock.EINTR and "interrupted" or "?")
      end))
    end)

    it("is refused when one is closed", function()
      map:close()
      assert.error_matches(function() shm.wait_any({q, map}, 0) end, "item 2 is closed")
      assert.error_matches(function() shm.wait_any({q, t}, 0) end,
                           "item 2: mutex, semaphore, event, queue, subscriber or map expected")
    end)
  end)

  it("ends on Ctrl-C", function()
    assert.is_true(support.interrupts(function()
      local _, _, errno = shm.wait_any {s, e}
      error(errno == lock.EINTR and "interrupted" or "?")
    end))
  end)

  it("works where the kernel has no call for it", function()
    if support.asan or support.valgrind then
      pending "another library is preloaded"
      return
    end
    local library = support.without("449") -- futex_waitv, came with Linux 5.16
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write [[
      local shm = require "shm"
      local r = shm.anonymous(4096)
      local s, e = shm.semaphore.create(r, 0), shm.event.create(r, 1024)
      local child = shm.process.fork(function()
        repeat until s:waiters() == 1 and e:waiters() == 1
        e:set()
      end)
      print(shm.wait_any({s, e}, 10))
      print(child:wait(10))
      print(select(3, shm.wait_any({s, e}, 0.05)))]]
    file:close()
    local said = support.shell(("LD_PRELOAD=%s lua5.4 %s 2>&1"):format(library, path))
    os.remove(library)
    os.remove(path)
    assert.equal("2\nexit\t0\n110\n", said)
  end)

  it("takes 1 to 64 open objects of the kinds that can be taken", function()
    local many = {}
    for i = 1, 64 do
      many[i] = s
    end
    s:post()
    assert.equal(1, shm.wait_any(many))
    many[65] = s
    for _, wrong in ipairs {many, {}, {s, region}, {s, shm.counter.create(region, 4096)}} do
      assert.error_matches(function() shm.wait_any(wrong, 0) end, "objects")
    end
    e:close()
    assert.error_matches(function() shm.wait_any({s, e}, 0) end, "item 2 is closed")
  end)
end)
