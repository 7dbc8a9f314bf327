-- Ctrl-C a moment before a wait begins to sleep: the handler has run, and asks for attention by a
-- hook, as that of lua(1) does. Here the wait is in such a hook itself, so that nobody hears of it.
local lock = require "spec.lock_support"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local EINTR <const>, ETIMEDOUT <const> = lock.EINTR, lock.ETIMEDOUT

-- What f gives while a signal waits to be heard of.
local function while_signalled(f, mask, count)
  local result
  debug.sethook(function()
    result = result or table.pack(pcall(f))
    debug.sethook()
  end, mask, count)
  for _ = 1, 3 do
    math.abs(1)
  end
  debug.sethook()
  assert(result and result[1], result and result[2])
  return table.unpack(result, 2, result.n)
end

describe("a signal that came just before a wait", function()
  local region, other, held

  before_each(function()
    region = assert(shm.anonymous(1 << 16))
  end)

  after_each(function()
    if held then
      held:unlock()
      held = nil
    end
    if other then
      other:kill "KILL"
      other:wait()
      other:close()
      other = nil
    end
    region:close()
  end)

  local WAITS = {
    word = function()
      return function(timeout) return region:wait(0, 0, timeout) end
    end,
    queue = function()
      local q = assert(shm.queue.create(region, 0, {capacity = 64}))
      return function(timeout) return q:pop(timeout) end
    end,
    semaphore = function()
      local semaphore = assert(shm.semaphore.create(region, 0))
      return function(timeout) return semaphore:wait(timeout) end
    end,
    several = function()
      local one = assert(shm.semaphore.create(region, 0))
      local event = assert(shm.event.create(region, 1024))
      return function(timeout) return shm.wait_any({one, event}, timeout) end
    end,
    condition = function()
      local mutex = assert(shm.mutex.create(region, 0))
      local condition = assert(shm.condition.create(region, 2048))
      assert(mutex:lock())
      held = mutex
      return function(timeout) return condition:wait(mutex, timeout) end
    end,
    mutex = function()
      local mutex = assert(shm.mutex.create(region, 0))
      local ours, theirs = assert(process.socketpair())
      other = assert(process.fork(function()
        assert(mutex:lock())
        theirs:send "held"
        support.forever()
      end))
      assert(ours:recv(4, support.LONG))
      ours:close()
      theirs:close()
      return function(timeout) return mutex:lock(timeout) end
    end,
  }

  for name, prepare in pairs(WAITS) do
    it("ends it: " .. name, function()
      local wait = prepare()
      local value, message, errno = while_signalled(function() return wait(5) end, "cr", 1)
      assert.is_nil(value)
      assert.equal(EINTR, errno, message)
    end)

    it("is no other hook: " .. name, function()
      local wait = prepare()
      local _, message, errno = while_signalled(function() return wait(0.03) end, "cr", 0)
      assert.equal(ETIMEDOUT, errno, message)
      _, message, errno = while_signalled(function() return wait(0.03) end, "l", 1)
      assert.equal(ETIMEDOUT, errno, message)
    end)
  end

  it("is no end to who only looks at a word", function()
    local _, message, errno = while_signalled(function() return region:wait(0, 0, 0) end, "cr", 1)
    assert.equal(ETIMEDOUT, errno, message)
    assert.is_true((while_signalled(function() return region:wait(0, 1) end, "cr", 1)))
  end)
end)
