-- shm.event: set or not.
local lock = require "spec.lock_support"
local shm = require "shm"
local support = require "spec.support"

describe("an event", function()
  local region, auto, manual

  before_each(function()
    region = assert(shm.anonymous(4096))
    auto = assert(shm.event.create(region, 0))
    manual = assert(shm.event.create(region, 1024, {manual = true}))
  end)

  after_each(function()
    region:close()
  end)

  it("lets one go on, or all until it is reset", function()
    auto:set()
    auto:set()
    assert.is_true(auto:is_set())
    assert(auto:wait())
    assert.is_false(auto:is_set())
    lock.refused(lock.ETIMEDOUT, "^event%.try at 0: ", auto:try())
    lock.refused(lock.ETIMEDOUT, "^event%.wait at 0: ", auto:wait(0.02))
    auto:set()
    auto:reset()
    lock.refused(lock.ETIMEDOUT, "^event%.try at 0: ", auto:try())
    auto:reset()
    assert.is_false(auto:is_set())
    manual:set()
    assert(manual:wait() and manual:try() and manual:is_set())
    manual:reset()
    lock.refused(lock.ETIMEDOUT, "^event%.wait at 1024: ", manual:wait(0))
  end)

  it("wakes others: one, or all", function()
    for _, e in ipairs {auto, manual} do
      local one <close> = lock.child(function() assert(e:wait(lock.LONG)) end)
      local two <close> = lock.child(function() assert(e:wait(lock.LONG)) end)
      lock.sleepers(e, 2)
      e:set()
      if e == auto then
        lock.sleepers(e, 1)
        e:set()
      end
      assert.is_true(one.ended() and two.ended())
    end
  end)

  it("ends its wait on Ctrl-C", function()
    assert.is_true(support.interrupts(function()
      local _, _, errno = auto:wait()
      error(errno == lock.EINTR and "interrupted" or "?")
    end))
  end)
end)
