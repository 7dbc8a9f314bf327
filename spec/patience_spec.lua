-- Guards that stay taken: by who was stopped inside, and by scribble that names a living thread.
-- Who has a time-out ends by it, and is told who holds the guard.
local lock = require "spec.lock_support"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local EBUSY <const>, ETIMEDOUT <const> = lock.EBUSY, lock.ETIMEDOUT
local PATIENCE <const> = 1 -- what the guard's own is, in seconds
local SHORT <const> = 0.1
local ARENA <const> = 2560 + 128 * 16       -- where an arena's guard is
local PUSH <const>, POP <const> = 64, 448  -- those of a queue
local TOPIC <const>, OLDEST <const> = 64, 88
local BARRIER <const> = 56 + 256 + 8 -- behind those who sleep there

-- Who waits for the guard's patience is never in time.
local function soon(f)
  return support.soon(0.9 * PATIENCE, f)
end

local function names(pid, value, message, errno)
  assert.is_nil(value)
  assert.equal(EBUSY, errno, message)
  assert.matches("held by " .. pid .. ": ", message)
end

-- With what is left for others: a time-out, and trying.
local function ends(pid, f)
  names(pid, soon(function() return f(SHORT) end))
  names(pid, soon(function() return f(0) end))
end

-- A child that does f again and again, and is stopped where inside(pid) says so.
local function stopped(f, inside)
  local child = lock.child(function()
    while true do
      f()
    end
  end)
  support.eventually(function()
    support.stop(child.pid)
    if inside(child.pid) then
      return true
    end
    child:kill "CONT"
  end)
  return child
end

describe("a guard that stays taken", function()
  local before, region, open

  local function keep(object)
    open[#open + 1] = object
    return object
  end

  local function held(at)
    return function(pid) return region:load32(at) & 0x3fffffff == pid end
  end

  before_each(function()
    before = support.belongings()
    region, open = assert(shm.anonymous(1 << 20)), {}
  end)

  after_each(function()
    for i = #open, 1, -1 do
      open[i]:close()
    end
    region:close()
    assert.same(before, support.belongings())
  end)

  -- Each kind of holder: stopped in the middle of f, or anybody whose id stands there.
  local KINDS = {
    ["by one that was stopped"] = function(at, f)
      return stopped(f, held(at))
    end,
    ["by scribble"] = function(at)
      local child = lock.parked(function() end)
      region:store32(at, child.pid)
      return child
    end,
  }

  for said, holder in pairs(KINDS) do
    it(said .. " keeps nobody from pushing longer than its time-out", function()
      for _, overflow in ipairs {"block", "reject"} do
        local q = keep(assert(shm.queue.create(region, 0, {overflow = overflow})))
        local child <close> = holder(PUSH, function()
          q:push("x", 0)
          q:pop(0)
        end)
        ends(child.pid, function(timeout) return q:push("x", timeout) end)
        ends(child.pid, function(timeout) return q:pusher()("x", timeout) end)
        ends(child.pid, function(timeout) return q:push_many({"x", "y"}, timeout) end)
        ends(child.pid, function(timeout) return q:loan(10, timeout) end)
        soon(function() return shm.wait_any({q}, SHORT) end)
        lock.bury(child)
        assert(q:push("x", overflow == "reject" and 0 or lock.LONG))
        region:fill(0, 4096)
      end
    end)

    it(said .. " keeps nobody from popping longer than its time-out", function()
      local q = keep(assert(shm.queue.create(region, 0)))
      assert(q:push "first")
      local child <close> = holder(POP, function()
        q:pop(0)
        q:push("x", 0)
      end)
      ends(child.pid, function(timeout) return q:pop(timeout) end)
      ends(child.pid, function(timeout) return q:popper()(timeout) end)
      ends(child.pid, function(timeout) return q:pop_many(10, timeout) end)
      ends(child.pid, function(timeout) return q:view(timeout) end)
      names(child.pid, soon(function() return q:peek() end))
      soon(function() return shm.wait_any({q}, SHORT) end)
      lock.bury(child)
      assert(q:push("last", lock.LONG))
      assert(q:pop(lock.LONG))
    end)

    it(said .. " keeps nobody from publishing longer than its time-out", function()
      for _, overflow in ipairs {"block", "drop"} do
        local t = keep(assert(shm.topic.create(region, 0, {overflow = overflow})))
        local child <close> = holder(TOPIC, function() t:publish("x", 0) end)
        ends(child.pid, function(timeout) return t:publish("y", timeout) end)
        lock.bury(child)
        assert(t:publish("x", lock.LONG))
        region:fill(0, 4096)
      end
    end)
  end

  it("keeps no subscriber that was overtaken longer than its time-out", function()
    local t = keep(assert(shm.topic.create(region, 0, {overflow = "drop"})))
    local s = keep(assert(t:subscribe()))
    assert(t:publish "x")
    local child <close> = lock.parked(function() end)
    region:store(OLDEST, 1 << 40) -- as if all had been overwritten, and more
    region:store32(TOPIC, child.pid)
    ends(child.pid, function(timeout) return s:next(timeout) end)
    names(child.pid, soon(function() return s:try() end))
    soon(function() return shm.wait_any({s}, SHORT) end)
    lock.bury(child)
    assert(t:publish "y")
  end)

  it("keeps nobody who waits for a key longer than its time-out", function()
    local a = keep(assert(shm.arena(region)))
    local m = keep(assert(a:map "m"))
    assert(m:set("key", 0))
    local long = ("x"):rep(200)
    -- Inside, and so far that the key's bucket is being changed: who reads would mend it.
    local child <close> = stopped(function() m:set("key", long) end, function(pid)
      return held(ARENA)(pid) and select(3, m:wait("key", 1, 0)) == EBUSY
    end)
    ends(child.pid, function(timeout) return m:wait("key", 1, timeout) end)
    ends(child.pid, function(timeout) return m:claim("key", timeout) end)
    ends(child.pid, function(timeout) return m:lookup("key", timeout) end)
    ends(child.pid, function(timeout)
      return m:get_or("key", function() return 1 end, nil, timeout)
    end)
    soon(function() return shm.wait_any({m}, SHORT) end)
    lock.bury(child)
    assert.is_not_nil(m:get "key")
  end)

  it("lets who waits at a barrier give up, who does not count from then on", function()
    local b = keep(assert(shm.barrier.create(region, 0, 2)))
    local run <const> = process.pid()
    local child <close> = lock.child(function()
      while process.alive(run) do -- takes the guard while the other one waits
        if b:arrived() == 1 then
          region:cas32(BARRIER, 0, process.pid())
        end
        process.sleep(0.001)
      end
    end)
    local answer
    support.eventually(function()
      answer = table.pack(b:wait(SHORT))
      return answer[3] == EBUSY
    end)
    names(child.pid, table.unpack(answer, 1, 3))
    assert.equal(0, b:arrived())
    ends(child.pid, function(timeout) return b:wait(timeout) end) -- it has not arrived at all
    assert.equal(0, b:arrived())
    lock.bury(child)
    local _, _, errno = b:wait(0)
    assert.equal(ETIMEDOUT, errno)
  end)

  it("keeps who gives no time-out for a second, and then says who it is", function()
    local a = keep(assert(shm.arena(region)))
    local m = keep(assert(a:map "m"))
    local child <close> = lock.parked(function() end)
    region:store32(ARENA, child.pid)
    for _, f in ipairs {
      function() return a:queue "q" end, function() return m:set("key", 1) end,
      function() return m:get_or("key", function() return 1 end, nil, 2 * lock.LONG) end,
    } do
      local began = process.monotonic()
      names(child.pid, f())
      assert.is_true(process.monotonic() - began < lock.LONG)
    end
    region:store32(ARENA, 0)
    assert(m:set("key", 1))
  end)

  it("is none while its holder runs: who only tries does not fail for that", function()
    local q = keep(assert(shm.queue.create(region, 0)))
    local t = keep(assert(shm.topic.create(region, 1 << 19, {overflow = "drop"})))
    local rounds, busy <close> = support.rounds(50000), assert(shm.anonymous(8))
    local function expected(_, _, errno)
      if errno == EBUSY then -- of one that runs and has no turn for a tenth of a second
        busy:add(0, 1)
      end
      return errno == nil or errno == ETIMEDOUT or errno == EBUSY
    end
    local children = {}
    for i = 1, 3 do
      children[i] = assert(process.fork(function()
        for n = 1, rounds do
          assert(expected(q:push(n, 0)), "push")
          assert(expected(q:pop(0)), "pop")
          assert(expected(t:publish(n, 0)), "publish")
        end
      end))
    end
    local ends_well = true
    for _, child in ipairs(children) do
      local how, code = child:wait(6 * lock.LONG)
      if not how then
        child:kill "KILL"
        child:wait()
      end
      child:close()
      ends_well = ends_well and how == "exit" and code == 0
    end
    assert.is_true(ends_well)
    assert.is_true(busy:load(0) <= 3 + rounds // 1000, busy:load(0) .. " times")
  end)
end)
