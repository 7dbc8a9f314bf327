-- shm.semaphore: a count that is taken from.
local lock = require "spec.lock_support"
local shm = require "shm"
local support = require "spec.support"

local LONG, MOST = lock.LONG, 2147483647

describe("a semaphore in a region", function()
  local region, s

  before_each(function()
    region = assert(shm.anonymous(4096))
    s = assert(shm.semaphore.create(region, 0, 2))
  end)

  after_each(function()
    region:close()
  end)

  it("counts down to 0, and up to 2147483647", function()
    assert(s:wait() and s:try())
    assert.equal(0, s:value())
    lock.refused(lock.ETIMEDOUT, "^semaphore%.try at 0: ", s:try())
    lock.refused(lock.ETIMEDOUT, "^semaphore%.wait at 0: ", s:wait(0.02))
    assert(s:post(MOST))
    lock.refused(lock.EOVERFLOW, "^semaphore%.post at 0: ", s:post())
    assert.equal(MOST, s:value())
    assert(s:wait())
    lock.refused(lock.EOVERFLOW, "^semaphore%.post at 0: ", s:post(2))
    lock.refused(lock.EOVERFLOW, "^semaphore%.post at 0: ", s:post(MOST))
    assert.equal(MOST - 1, s:value()) -- none of them was added
  end)

  it("lets as many go on as were posted", function()
    assert(s:wait() and s:wait())
    local one <close> = lock.child(function() assert(s:wait(LONG)) end)
    local two <close> = lock.child(function() assert(s:wait(LONG)) end)
    lock.sleepers(s, 2)
    s:post(3)
    assert.is_true(one.ended() and two.ended())
    assert.equal(1, s:value())
  end)

  it("does not get back what the dead had taken, nor lose what they waited for", function()
    lock.dead(function() s:wait() end)
    assert.equal(1, s:value())
    s:wait()
    local child <close> = lock.child(function() s:wait() end)
    lock.sleepers(s, 1)
    lock.bury(child)
    s:post()
    assert.is_true(s:wait(LONG))
  end)

  it("forgets those who were killed while they slept, also the ones without names", function()
    local children = {}
    for i = 1, 33 do
      children[i] = lock.child(function() s:wait() s:wait() s:wait() end)
    end
    support.eventually(function() return s:waiters() == 33 end)
    for _, child in ipairs(children) do
      lock.bury(child)
    end
    assert.equal(2, s:waiters())
    for _ = 1, 64 do
      s:post()
    end
    assert.equal(0, s:waiters())
    assert.equal(0, region:load32(56), "nobody is in the mask")
  end)

  it("sleeps, and ends on Ctrl-C, where its count is scribble", function()
    region:fill(24, 4, 0xff)
    assert.is_true(support.interrupts(function()
      local _, _, errno = s:wait()
      error(errno == lock.EINTR and "interrupted" or "?")
    end))
  end)

  it("ends its wait on Ctrl-C", function()
    assert(s:wait() and s:wait())
    assert.is_true(support.interrupts(function()
      local _, _, errno = s:wait()
      error(errno == lock.EINTR and "interrupted" or "?")
    end))
  end)
end)
