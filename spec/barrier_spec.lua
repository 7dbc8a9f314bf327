-- shm.barrier: so many wait for each other.
local lock = require "spec.lock_support"
local shm = require "shm"
local support = require "spec.support"

describe("a barrier", function()
  local region, b

  before_each(function()
    region = assert(shm.anonymous(4096))
    b = assert(shm.barrier.create(region, 0, 2))
  end)

  after_each(function()
    region:close()
  end)

  it("lets all go when the last one comes, again and again", function()
    local rounds <const> = support.rounds(300)
    local child <close> = lock.child(function()
      for i = 1, rounds do
        region:store(2048, i)
        assert(b:wait(lock.LONG))
        assert(b:wait(lock.LONG))
      end
    end)
    for i = 1, rounds do
      assert(b:wait(lock.LONG))
      assert.equal(i, region:load(2048))
      assert(b:wait(lock.LONG))
    end
    assert.is_true(child.ended())
    assert.same({0, 2}, {b:arrived(), b:parties()})
  end)

  it("tells the last one", function()
    local child <close> = lock.child(function()
      local ok, word = b:wait(lock.LONG)
      assert(ok and word == nil)
    end)
    lock.sleepers(b, 1)
    assert.equal(1, b:arrived())
    assert.same({true, "last"}, {b:wait(lock.LONG)})
    assert.is_true(child.ended())
    local one <close> = assert(shm.barrier.create(region, 2048, 1))
    assert.same({true, "last"}, {one:wait(0)})
  end)

  it("does not count who gave up, was interrupted or died", function()
    lock.refused(lock.ETIMEDOUT, "^barrier%.wait at 0: ", b:wait(0))
    lock.refused(lock.ETIMEDOUT, "^barrier%.wait at 0: ", b:wait(0.02))
    assert.is_true(support.interrupts(function()
      local _, _, errno = b:wait()
      error(errno == lock.EINTR and "interrupted" or "?")
    end))
    local child <close> = lock.child(function() b:wait() end)
    lock.sleepers(b, 1)
    lock.bury(child)
    lock.refused(lock.ETIMEDOUT, "^barrier%.wait at 0: ", b:wait(0.02))
    assert.equal(0, b:arrived())
  end)
end)
