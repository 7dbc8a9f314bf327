-- Circles of waiting are refused, and chains are not.
local lock = require "spec.lock_support"
local process = require "shm.process"
local shm = require "shm"

local LONG = lock.LONG

-- Each process takes the i-th, and when all have, wants the next one's. Returns their answers.
local function circle(n, takes, wants)
  local region <close> = assert(shm.anonymous(4096))
  local together <close> = assert(shm.barrier.create(region, 0, n))
  local children = {}
  local list <close> = setmetatable({}, {__close = function(all)
    for _, child in ipairs(all) do
      getmetatable(child).__close()
    end
  end})
  local ours <close>, other = process.socketpair "seqpacket"
  local theirs <close> = other
  for i = 1, n do
    children[i] = lock.child(function()
      takes(i)
      assert(together:wait(LONG))
      local ok, message, errno, leave = wants(i % n + 1)
      theirs:send(("%s %s %s"):format(process.pid(), errno or ok, message or ""))
      if ok then leave() end
      takes(i, true)
    end)
    list[i] = children[i]
  end
  local refused, pids = {}, {}
  for i = 1, n do
    local said = assert(ours:recv(2000, LONG))
    if said:match "^%d+ 35 " then
      refused[#refused + 1] = said
    else
      assert.matches("^%d+ true", said)
    end
    pids[children[i].pid] = true
  end
  for _, child in ipairs(children) do
    assert.is_true(child.ended())
  end
  return refused, pids
end

local function check(n, refused, pids)
  assert(#refused >= 1 and #refused <= n, #refused .. " of " .. n)
  for _, said in ipairs(refused) do
    local first, path = said:match "^(%d+) 35 deadlock: ([%d >-]+)$"
    local list = {}
    for pid in path:gmatch "%d+" do
      assert.is_true(pids[tonumber(pid)], said)
      list[#list + 1] = pid
    end
    assert.equal(first, list[1])
    assert.equal(first, list[#list])
    assert.equal(n + 1, #list)
  end
end

describe("a circle", function()
  local region, m, w

  before_each(function()
    region, m, w = assert(shm.anonymous(32768)), {}, {}
    for i = 1, 20 do
      m[i] = assert(shm.mutex.create(region, 16384 + i * 512))
    end
    for i = 1, 4 do
      w[i] = assert(shm.rwlock.create(region, 4096 + i * 1024))
    end
  end)

  after_each(function()
    region:close()
  end)

  for _, n in ipairs {1, 2, 3, 4, 20} do
    it("of " .. n .. " processes and mutexes is refused, and named", function()
      check(n, circle(n, function(i, leave)
        if leave then m[i]:unlock() else assert(m[i]:lock(LONG)) end
      end, function(i)
        local ok, message, errno = m[i]:lock(LONG)
        return ok, message, errno, function() m[i]:unlock() end
      end))
    end)
  end

  it("of writers is refused", function()
    check(3, circle(3, function(i, leave)
      if leave then w[i]:unlock() else assert(w[i]:lock(LONG)) end
    end, function(i)
      local ok, message, errno = w[i]:lock(LONG)
      return ok, message, errno, function() w[i]:unlock() end
    end))
  end)

  it("of readers that want to write is refused", function()
    check(2, circle(2, function(i, leave)
      if leave then w[i]:unlock() else assert(w[i]:lock_shared(LONG)) end
    end, function(i)
      local ok, message, errno = w[i]:lock(LONG)
      return ok, message, errno, function() w[i]:unlock() end
    end))
  end)

  it("of a mutex and a rwlock is refused", function()
    local all = {m[1], w[1]}
    check(2, circle(2, function(i, leave)
      if leave then all[i]:unlock() else assert(all[i]:lock(LONG)) end
    end, function(i)
      local ok, message, errno = (all[i].lock_shared or all[i].lock)(all[i], LONG)
      return ok, message, errno, function() all[i]:unlock() end
    end))
  end)

  it("of one process is refused: what it reads it can not write", function()
    assert(w[1]:lock_shared())
    lock.refused(lock.EDEADLK, "^deadlock: %d+ %-> %d+$", w[1]:lock(LONG))
    w[1]:unlock()
    assert(w[1]:lock())
    lock.refused(lock.EDEADLK, "^deadlock: ", w[1]:lock_shared(LONG))
    w[1]:unlock()
  end)

  it("of two processes is refused across two regions", function()
    local other <close> = assert(shm.anonymous(4096))
    local far <close> = assert(shm.mutex.create(other, 0))
    local all = {m[1], far}
    check(2, circle(2, function(i, leave)
      if leave then all[i]:unlock() else assert(all[i]:lock(LONG)) end
    end, function(i)
      local ok, message, errno = all[i]:lock(LONG)
      return ok, message, errno, function() all[i]:unlock() end
    end))
  end)

  it("is none where a chain ends", function()
    m[2]:lock()
    m[3]:lock()
    local first <close> = lock.child(function()
      assert(m[1]:lock(LONG))
      assert(m[2]:lock(LONG))
      m[2]:unlock()
      m[1]:unlock()
    end)
    lock.sleepers(m[2], 1)
    local second <close> = lock.child(function()
      assert(m[1]:lock(LONG))
      m[1]:unlock()
    end)
    lock.sleepers(m[1], 1)
    lock.refused(lock.ETIMEDOUT, "^mutex", (function()
      local third <close> = lock.parked(function() m[4]:lock() end)
      assert.is_table(third)
      return m[4]:lock(0.05)
    end)())
    m[3]:unlock()
    m[2]:unlock()
    assert.is_true(first.ended() and second.ended())
  end)

  it("is none where who waits has a time-out of 0", function()
    m[2]:lock()
    local child <close> = lock.child(function()
      m[1]:lock()
      m[2]:lock(LONG)
    end)
    lock.sleepers(m[2], 1)
    lock.refused(lock.ETIMEDOUT, "^mutex", m[1]:lock(0))
    m[2]:unlock()
    assert.is_true(child.ended())
  end)
end)
