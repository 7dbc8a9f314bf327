-- shm.condition: waiting, with a mutex, until somebody says that something changed.
local lock = require "spec.lock_support"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local LONG = lock.LONG

describe("a condition", function()
  local region, m, c

  before_each(function()
    region = assert(shm.anonymous(8192))
    m = assert(shm.mutex.create(region, 0, {recursive = true}))
    c = assert(shm.condition.create(region, 1024))
  end)

  after_each(function()
    while pcall(m.unlock, m) do end
    region:close()
  end)

  local function waiter(i)
    return lock.child(function()
      m:lock()
      assert(c:wait(m, LONG))
      assert(m:holder() == process.pid())
      region:store(4096, region:load(4096) * 10 + i)
      m:unlock()
    end)
  end

  it("wakes one for each signal, in order of arrival", function()
    assert.is_false(c:signal())
    assert.equal(0, c:broadcast())
    local children = {}
    for i = 1, 3 do
      children[i] = waiter(i)
      lock.sleepers(c, i)
    end
    for i = 1, 3 do
      m:with(function() assert.is_true(c:signal()) end)
      assert.is_true(children[i].ended())
      assert.equal(3 - i, c:waiters())
    end
    assert.equal(123, region:load(4096))
  end)

  it("wakes all, and passes over the dead", function()
    local dead <close> = waiter(1)
    lock.sleepers(c, 1)
    local living <close> = waiter(2)
    lock.sleepers(c, 2)
    lock.bury(dead)
    assert.is_true(m:with(function() return c:signal() end))
    assert.is_true(living.ended())
    local one <close> = waiter(3)
    local two <close> = waiter(3)
    lock.sleepers(c, 2)
    assert.equal(2, m:with(function() return c:broadcast() end))
    assert.is_true(one.ended() and two.ended())
  end)

  it("lets go of the mutex however often it was taken, and takes it back as often", function()
    m:lock()
    m:lock()
    local child <close> = lock.child(function()
      assert(m:lock(LONG))
      c:signal()
      m:unlock()
    end)
    assert.same({true}, {c:wait(m, LONG)})
    m:unlock()
    assert.equal(process.pid(), m:holder())
    assert.is_true(child.ended())
    lock.refused(lock.ETIMEDOUT, "^condition%.wait at 1024: ", c:wait(m, 0))
    lock.refused(lock.ETIMEDOUT, "^condition%.wait at 1024: ", c:wait(m, 0.02))
    assert.equal(process.pid(), m:holder())
  end)

  it("tells when the mutex's holder died meanwhile", function()
    m:lock()
    local child <close> = lock.child(function()
      m:lock()
      c:signal()
      process.kill(process.pid(), "KILL")
    end)
    assert.same({true, "recovered", child.pid}, {c:wait(m, LONG)})
    assert.is_false(child.ended())
  end)

  it("tells of that death also where its time was up", function()
    m:lock()
    local child <close> = lock.child(function()
      m:lock()
      process.kill(process.pid(), "KILL")
    end)
    local answer
    repeat -- who lives has not had the mutex yet
      answer = {c:wait(m, 0.02)}
      assert.equal(process.pid(), m:holder())
    until answer[2] == "recovered" or not process.alive(child.pid)
    assert.same({true, "recovered", child.pid}, answer)
    assert.is_false(child.ended())
  end)

  it("does not have the mutex again where waiting for that would close a circle", function()
    local other <close> = assert(shm.mutex.create(region, 3072))
    assert(other:lock() and m:lock())
    local child <close> = lock.child(function()
      assert(m:lock(LONG))
      local ok, _, errno = other:lock(LONG)
      assert(ok or errno == lock.EDEADLK)
      if ok then other:unlock() end
      m:unlock()
    end)
    local third <close> = lock.child(function()
      lock.sleepers(other, 1)
      assert(c:signal())
    end)
    local ok, message, errno = c:wait(m, LONG)
    if ok then -- the other looks now and then, and was told first
      m:unlock()
    else
      lock.refused(lock.EDEADLK, "^deadlock: %d+ %-> %d+ %-> %d+$", ok, message, errno)
      assert.error_matches(function() m:unlock() end, "not held by this thread")
    end
    other:unlock()
    assert.is_true(third.ended() and child.ended())
  end)

  it("needs a mutex that is held here", function()
    assert.error_matches(function() c:wait(m, 0) end, "mutex: it is not held by this thread")
  end)

  it("has the mutex again when Ctrl-C comes while it waits for that", function()
    m:lock()
    local child = assert(process.fork(function()
      m:lock()
      local ok, message = pcall(function()
        c:wait(m, LONG)
        error "no signal"
      end)
      local held = m:holder() == process.pid()
      process.exit(not ok and tostring(message):match "interrupted" and held and 42 or 1)
    end))
    lock.sleepers(m, 1)
    m:unlock()
    lock.sleepers(c, 1)
    m:lock()
    assert.is_true(c:signal())
    lock.sleepers(m, 1)
    child:kill "INT"
    support.eventually(function() -- it has come
      return support.read_file(("/proc/%d/status"):format(child.pid)):match "ShdPnd:%s+0+\n"
    end)
    m:unlock()
    local how, code = child:wait(LONG)
    if not how then
      child:kill "KILL"
      child:wait()
    end
    child:close()
    assert.same({"exit", 42}, {how, code})
    assert.same({true, "recovered", child.pid}, {m:lock()}) -- it left with the mutex
  end)

  it("ends its wait on Ctrl-C", function()
    assert.is_true(support.interrupts(function()
      m:lock()
      local _, _, errno = c:wait(m)
      error(errno == lock.EINTR and m:holder() == process.pid() and "interrupted" or "?")
    end))
  end)
end)
