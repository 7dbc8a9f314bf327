-- shm.wait_any: whichever comes first.
local lock = require "spec.lock_support"
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
