-- shm.rwlock: many that read, or one that writes.
local lock = require "spec.lock_support"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local LONG, refused = lock.LONG, lock.refused

describe("a rwlock", function()
  local region, w

  before_each(function()
    region = assert(shm.anonymous(8192))
    w = assert(shm.rwlock.create(region, 0, {journal = 256}))
  end)

  after_each(function()
    while pcall(w.unlock, w) do end
    w:close()
    region:close()
  end)

  it("lets many read and one write", function()
    assert.same({}, w:readers())
    assert.same({true}, {w:lock_shared()})
    local child <close> = lock.parked(function() assert(w:try_shared()) end)
    local pids = w:readers()
    table.sort(pids)
    local expected = {process.pid(), child.pid}
    table.sort(expected)
    assert.same(expected, pids)
    assert.is_nil(w:holder())
    w:unlock()
    refused(lock.ETIMEDOUT, "^rwlock%.try at 0: ", w:try())
    refused(lock.ETIMEDOUT, "^rwlock%.lock at 0: ", w:lock(0.03))
    lock.bury(child)
    assert.same({true}, {w:lock(LONG)}) -- a dead reader has changed nothing
    assert.equal(process.pid(), w:holder())
    w:unlock()
    assert.error_matches(function() w:unlock() end, "not held by this thread")
  end)

  it("tells since when one writes, or waits to", function()
    local function since(pid, began)
      local holder, at = w:holder()
      assert.equal(pid, holder)
      assert.is_true(at >= began and at <= process.monotonic())
    end
    local began = process.monotonic()
    assert(w:lock())
    since(process.pid(), began)
    w:unlock()
    assert.equal(0, select("#", w:holder()))
    began = process.monotonic()
    assert(w:lock_shared())
    local writer <close> = lock.child(function() assert(w:lock(LONG)) support.forever() end)
    lock.sleepers(w, 1)
    since(writer.pid, began)
    began = process.monotonic()
    w:unlock()
    support.eventually(function() return select(2, w:holder()) >= began end) -- it writes
    began = process.monotonic()
    lock.bury(writer)
    assert(w:lock())
    since(process.pid(), began)
  end)

  it("refuses, and never waits, where this thread would wait for itself", function()
    assert(w:lock_shared())
    for _, f in ipairs {w.lock, w.try, w.hold} do
      refused(lock.EDEADLK, "^deadlock: %d+ %-> %d+$", f(w))
    end
    refused(lock.EDEADLK, "^deadlock: ", w:with(error))
    assert.equal(1, #w:readers())
    w:unlock()
    assert(w:lock())
    for _, f in ipairs {w.lock, w.try, w.hold, w.lock_shared, w.try_shared, w.hold_shared} do
      refused(lock.EDEADLK, "^deadlock: %d+ %-> %d+$", f(w))
    end
    refused(lock.EDEADLK, "^deadlock: ", w:with_shared(error))
    assert.same({process.pid(), 0}, {(w:holder()), #w:readers()})
  end)

  it("keeps others out while one writes", function()
    w:lock()
    local other <close> = lock.child(function()
      refused(lock.ETIMEDOUT, "^rwlock%.try_shared", w:try_shared())
      refused(lock.ETIMEDOUT, "^rwlock%.lock_shared", w:lock_shared(0.02))
      refused(lock.ETIMEDOUT, "^rwlock%.hold_shared", w:hold_shared(0.02))
      refused(lock.ETIMEDOUT, "^rwlock%.hold", w:hold(0.02))
      assert(not pcall(w.unlock, w))
    end)
    assert.is_true(other.ended())
  end)

  it("waits for readers to leave, then writes", function()
    local reader <close> = lock.child(function()
      assert(w:lock_shared())
      lock.sleepers(w, 1)
      w:unlock()
    end)
    support.eventually(function() return #w:readers() == 1 end)
    assert(w:lock(LONG))
    w:unlock()
    assert.is_true(reader.ended())
  end)

  it("lets a writer in although others read all the time", function()
    local readers <close> = setmetatable({}, {__close = function(list)
      for _, child in ipairs(list) do
        getmetatable(child).__close()
      end
    end})
    for i = 1, 3 do
      readers[i] = lock.child(function()
        repeat
          assert(w:lock_shared(LONG))
          local done = region:load(4096)
          w:unlock()
        until done == 1
      end)
    end
    for _ = 1, support.rounds(20) do
      assert(w:lock(LONG))
      w:unlock()
    end
    region:store(4096, 1)
    for _, child in ipairs(readers) do
      assert.is_true(child.ended())
    end
  end)

  it("lets who reads read again, 31 times, also while one waits to write", function()
    for _ = 1, 30 do
      assert(w:lock_shared(LONG))
    end
    local writer <close> = lock.child(function() assert(w:lock(LONG)) w:unlock() end)
    lock.sleepers(w, 1)
    assert.equal(writer.pid, w:holder())
    assert(w:try_shared())
    assert.equal(31, #w:readers())
    for _ = 1, 31 do
      w:unlock()
    end
    assert.is_true(writer.ended())
    for _ = 1, 31 do
      assert(w:lock_shared(LONG))
    end
    refused(lock.EDEADLK, "^deadlock: ", w:lock_shared(LONG))
    refused(lock.EDEADLK, "^deadlock: ", w:try_shared())
    local other <close> = lock.child(function()
      refused(lock.ETIMEDOUT, "^rwlock", w:lock_shared(0.05))
    end)
    assert.is_true(other.ended())
  end)

  it("goes to the next one when its writer is killed, who is told", function()
    for _, name in ipairs {"lock", "lock_shared", "try", "try_shared"} do
      local pid = lock.dead(function() w:lock() end)
      assert.same({true, "recovered", pid}, {w[name](w)})
      w:unlock()
      assert.same({true}, {w[name](w)})
      w:unlock()
    end
  end)

  it("forgets a writer that died before it was inside", function()
    w:lock_shared()
    local writer <close> = lock.child(function() w:lock() end)
    lock.sleepers(w, 1)
    lock.bury(writer)
    assert.same({0, {}}, {w:waiters()})
    local other <close> = lock.child(function()
      local ok, word = w:lock_shared(LONG)
      assert(ok and not word)
    end)
    assert.is_true(other.ended())
  end)

  it("is left by with and hold, whatever happens inside", function()
    for _, suffix in ipairs {"", "_shared"} do
      assert.same({1, 2}, {w["with" .. suffix](w, function(...) return ... end, 1, 2)})
      assert.is_false(pcall(w["with" .. suffix], w, error))
      assert.is_false(pcall(function()
        local held <close> = w["hold" .. suffix](w)
        error(held)
      end))
      local co = coroutine.wrap(function() return w["with" .. suffix](w, coroutine.yield) end)
      co()
      assert.equal(1, #w:readers() + (w:holder() and 1 or 0))
      co()
      assert.is_nil(w:holder())
      assert.same({}, w:readers())
    end
  end)

  it("ends its waits on Ctrl-C, and leaves nothing in the way", function()
    w:lock_shared()
    local child <close> = lock.parked(print)
    assert.is_table(child)
    assert.is_true(support.interrupts(function()
      local _, _, errno = w:lock()
      error(errno == lock.EINTR and "interrupted" or "?")
    end))
    assert.is_nil(w:holder())
    assert(w:try_shared())
  end)

  it("can not be closed while this thread reads", function()
    w:lock_shared()
    assert.error_matches(function() w:close() end, "unlock it first")
    assert.error_matches(function() w:remove() end, "unlock it first")
    assert.error_matches(function() region:close() end, "unlock it first")
  end)
end)
