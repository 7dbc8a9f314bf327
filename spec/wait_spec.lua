-- region:wait and wake: sleeping on a word until it is another.
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local EFAULT <const>, ETIMEDOUT <const> = 14, 110
local LONG <const> = support.LONG

describe("a word to sleep on", function()
  local r, children

  before_each(function()
    r, children = assert(shm.anonymous(posix.PAGE_SIZE)), {}
  end)

  after_each(function()
    for _, child in ipairs(children) do
      child:kill "KILL"
      child:wait()
      child:close()
    end
    r:close()
  end)

  -- A child that sleeps while the word at an offset is 0; it ends well if it is 7 then.
  local function sleeper(offset, region)
    children[#children + 1] = assert(process.fork(function()
      assert(region:wait(offset, 0, LONG))
      process.exit(region:load32(offset) == 7 and 0 or 1)
    end))
  end

  -- Who was woken in vain sleeps again: so they can be counted, as often as one likes.
  local function asleep(n, offset)
    support.eventually(function()
      local woken = assert(r:wake(offset or 0))
      assert(woken <= n)
      return woken == n
    end)
  end

  local function all_end(offset)
    r:store32(offset or 0, 7)
    r:wake(offset or 0)
    for _, child in ipairs(children) do
      assert.same({"exit", 0}, {child:wait(LONG)})
    end
  end

  it("keeps who is woken in vain", function()
    sleeper(0, r)
    for _ = 1, 3 do
      asleep(1)
    end
    all_end()
  end)

  it("wakes as many as it is told, and says how many there were", function()
    for _ = 1, 3 do
      sleeper(0, r)
    end
    asleep(3)
    for n = 0, 2 do
      support.eventually(function()
        local woken = r:wake(0, n)
        assert(woken <= n)
        return woken == n
      end)
    end
    asleep(3)
    assert.equal(0, r:wake(0, 0))
    assert.equal(0, r:wake(4)) -- which is another word
    all_end()
    assert.equal(0, r:wake(0))
  end)

  it("is the same through every mapping, one that can only be read as well", function()
    local path = os.tmpname()
    local shared <close> = assert(shm.map(path, {mode = "rw", create = true, size = 16384}))
    local look <close> = assert(shm.map(path, {offset = 8192}))
    os.remove(path)
    sleeper(4, look)
    sleeper(0, look:view(4, 4))
    support.eventually(function() return shared:wake(8196) == 2 end)
    support.eventually(function() return look:wake(4) == 2 end)
    shared:store32(8196, 7)
    shared:wake(8196)
    for _, child in ipairs(children) do
      assert.same({"exit", 0}, {child:wait(LONG)})
    end
  end)

  it("is compared by either reading, and not slept on where it is another", function()
    r:store32(8, -1)
    for _, expected in ipairs {-1, 0xffffffff} do
      for _, timeout in ipairs {0, 0.001} do
        local done, message, errno = r:wait(8, expected, timeout)
        assert.is_nil(done)
        assert.equal(ETIMEDOUT, errno)
        assert.equal("region.wait: Connection timed out", message)
      end
    end
    for _, timeout in ipairs {false, 0, math.huge, 1e300} do
      assert.is_true(r:wait(8, 0x7fffffff, timeout or nil))
      assert.is_true(r:wait(8, -(1 << 31), timeout or nil))
    end
  end)

  it("is nobody's to wake on where its memory is gone", function()
    assert(posix.ftruncate(r:fileno(), 0))
    local woken, message, errno = r:wake(0)
    assert.is_nil(woken)
    assert.equal(EFAULT, errno)
    assert.equal("region.wake: Bad address", message)
    assert.error_matches(function() r:wait(0, 0, 0) end, "gone")
    assert(posix.ftruncate(r:fileno(), posix.PAGE_SIZE))
    assert.equal(0, r:wake(0))
  end)
end)
