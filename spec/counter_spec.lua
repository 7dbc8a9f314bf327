-- shm.counter: a number that can be waited for.
local lock = require "spec.lock_support"
local shm = require "shm"
local support = require "spec.support"

describe("a counter", function()
  local region, c

  before_each(function()
    region = assert(shm.anonymous(4096))
    c = assert(shm.counter.create(region, 0, -2))
  end)

  after_each(function()
    region:close()
  end)

  it("counts, and wraps around as integers do", function()
    assert.same({-2, -1, 4, 1}, {c:add(), c:add(5), c:add(-3), c:get()})
    c:set(math.maxinteger)
    assert.equal(math.maxinteger, c:add(1))
    assert.equal(math.mininteger, c:get())
  end)

  it("is waited for until it is at least so much", function()
    assert(c:wait(-2) and c:wait(-3, 0))
    lock.refused(lock.ETIMEDOUT, "^counter%.wait at 0: ", c:wait(-1, 0))
    lock.refused(lock.ETIMEDOUT, "^counter%.wait at 0: ", c:wait(0, 0.02))
    local one <close> = lock.child(function() assert(c:wait(2, lock.LONG)) end)
    local two <close> = lock.child(function() assert(c:wait(100, lock.LONG)) end)
    lock.sleepers(c, 2)
    c:add(4)
    assert.is_true(one.ended())
    c:set(1000)
    assert.is_true(two.ended())
  end)

  it("loses nothing that several add", function()
    local rounds <const> = support.rounds(10000)
    local function add()
      for _ = 1, rounds do c:add() end
    end
    local one <close> = lock.child(add)
    local two <close> = lock.child(add)
    assert(c:wait(2 * rounds - 2, lock.LONG))
    assert.is_true(one.ended() and two.ended())
    assert.equal(2 * rounds - 2, c:get())
  end)

  it("ends its wait on Ctrl-C", function()
    assert.is_true(support.interrupts(function()
      local _, _, errno = c:wait(1)
      error(errno == lock.EINTR and "interrupted" or "?")
    end))
  end)
end)
