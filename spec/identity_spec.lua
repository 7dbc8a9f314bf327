-- Who a holder is: not another one that has got its pid, and the same one when it was stopped.
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local LONG = support.LONG
local ETIMEDOUT = 110
local UNSHARE = "unshare --pid --fork --mount-proc "

local function why_not()
  if support.shell "id -u" ~= "0\n" then
    return "only root can make a pid namespace"
  elseif support.shell(UNSHARE .. "test -w /proc/sys/kernel/ns_last_pid 2>&1 && echo well")
         ~= "well\n" then
    return "here no pid namespace can be made whose pids can be chosen"
  end
end

local function inside(scenario, name)
  local command = UNSHARE .. "lua5.4 spec/namespace.lua %s %s 2>&1"
  return support.shell(command:format(scenario, name or ""))
end

describe("a pid namespace", function()
  local reason

  setup(function()
    reason = why_not()
  end)

  local function within(name, f)
    it(name, function()
      if reason then
        return pending(reason)
      end
      f()
    end)
  end

  local SCENARIOS = {
    mutex = "a mutex's dead holder",
    writer = "a readers-writer lock's dead writer",
    reader = "a readers-writer lock's dead reader",
    sleeper = "a dead sleeper, or a dead party of a barrier",
    maker = "who died making an object",
  }

  for scenario, whom in pairs(SCENARIOS) do
    within("gives a pid again, and its second owner is not taken for " .. whom, function()
      if scenario == "maker" and (support.valgrind or support.shell "uname -m" ~= "x86_64\n") then
        return pending "stores can not be found here, as under valgrind"
      end
      local said
      for _ = 1, 5 do -- where the machine has much to do, it is in time once
        said = inside(scenario)
        if not said:match "it took" then
          break
        end
      end
      assert.equal("well\n", said)
    end)
  end

  within("refuses another one's objects, and says why", function()
    local name = "shm-spec-" .. support.key()
    local r <close> = assert(shm.create(name, 16 * 1024))
    local _ <close> = setmetatable({}, {__close = function() shm.unlink(name) end})
    for i, kind in ipairs {"mutex", "rwlock", "semaphore", "event", "condition", "barrier",
                           "counter"} do
      local parties = kind == "barrier" and {2} or {}
      assert(shm[kind].create(r, 1024 * (i - 1), table.unpack(parties))):close()
    end
    assert.equal("well\n", inside("foreign", name))
    assert.equal(1, r:get_i64(8 * 1024)) -- raw memory does not care
  end)
end)

describe("who is stopped", function()
  local r, m, l, s, before, children

  -- A child that says when it is here, and can be stopped.
  local function child(f)
    local one = assert(process.fork(f))
    children[#children + 1] = one
    return one
  end

  local function stop(one)
    support.stop(one.pid)
  end

  local function well(one)
    one:kill "CONT"
    assert.same({"exit", 0}, {one:wait(LONG)})
  end

  local function refused(ok, _, errno)
    assert.is_nil(ok)
    assert.equal(ETIMEDOUT, errno)
  end

  before_each(function()
    before, children = support.children(), {}
    r = assert(shm.anonymous(8192))
    m = assert(shm.mutex.create(r, 0))
    l = assert(shm.rwlock.create(r, 1024))
    s = assert(shm.semaphore.create(r, 2048))
  end)

  after_each(function()
    for _, one in ipairs(children) do
      one:kill "KILL"
      one:wait()
      one:close()
    end
    for _, one in ipairs {m, l, s, r} do
      one:close()
    end
    assert.equal(before, support.children())
  end)

  -- Holds until the semaphore says so.
  local function holder(lock, object)
    local one = child(function()
      assert(lock(object))
      r:store(4096, 1)
      assert(s:wait(LONG))
      object:unlock()
    end)
    support.eventually(function() return r:load(4096) == 1 end)
    stop(one)
    return one
  end

  -- The holder goes on and lets go: who has it then is told of no death.
  local function hands_on(one, lock, object)
    s:post()
    refused(lock(object, 0.05)) -- it is stopped still
    one:kill "CONT"
    assert.same({true}, {lock(object, LONG)})
    object:unlock()
    well(one)
  end

  it("keeps a mutex, and others time out", function()
    local one = holder(m.lock, m)
    refused(m:lock(0.1))
    refused(m:try())
    assert.equal(one.pid, (m:holder()))
    hands_on(one, m.lock, m)
  end)

  it("goes on writing, and others time out", function()
    local one = holder(l.lock, l)
    refused(l:lock(0.1))
    refused(l:lock_shared(0.1))
    hands_on(one, l.lock_shared, l)
  end)

  it("goes on reading, and writers time out while readers come in", function()
    local one = holder(l.lock_shared, l)
    refused(l:lock(0.1))
    assert.is_true(l:lock_shared(LONG))
    l:unlock()
    assert.same({one.pid}, l:readers())
    hands_on(one, l.lock, l)
  end)

  it("is dead as soon as it is killed", function()
    local one = holder(m.lock, m)
    one:kill "KILL"
    assert.same({true, "recovered", one.pid}, {m:lock(LONG)})
    m:unlock()
  end)

  it("has arrived at a barrier all the same", function()
    local b <close> = assert(shm.barrier.create(r, 4104, 3))
    local one = child(function() assert(b:wait(LONG)) end)
    support.eventually(function() return b:waiters() == 1 end)
    stop(one)
    refused(b:wait(0.1))
    assert.equal(1, b:arrived())
    local other = child(function() assert(b:wait(LONG)) end)
    assert.is_true(b:wait(LONG))
    well(other)
    assert.is_true(one:alive())
    well(one)
    assert.equal(0, b:arrived())
  end)

  -- Stopped while it sleeps, and woken meanwhile: it takes its turn when it goes on.
  local function sleeper(object, f)
    local one = child(f)
    support.eventually(function() return object:waiters() == 1 end)
    stop(one)
    return one
  end

  it("while it waits for a mutex, keeps nobody from it, and has it afterwards", function()
    assert.is_true(m:lock())
    local one = sleeper(m, function()
      assert(m:lock(LONG))
      m:unlock()
    end)
    m:unlock()
    for _ = 1, 10 do
      assert.is_true(m:lock(LONG))
      m:unlock()
    end
    local other = child(function()
      assert(m:lock(LONG))
      m:unlock()
    end)
    assert.same({"exit", 0}, {other:wait(LONG)})
    well(one)
  end)

  it("while it waits for a semaphore, takes no post from others", function()
    local one = sleeper(s, function() assert(s:wait(LONG)) end)
    s:post() -- may wake the one that is stopped
    assert.is_true(s:wait(LONG))
    s:post()
    well(one)
    assert.equal(0, s:value())
  end)

  it("beside another one that sleeps, takes no wake-up along", function()
    local one = sleeper(s, function() assert(s:wait(LONG)) end)
    local other = child(function() assert(s:wait(LONG)) end)
    support.eventually(function() return s:waiters() == 2 end)
    s:post()
    assert.same({"exit", 0}, {other:wait(LONG)})
    s:post()
    well(one)
    assert.equal(0, s:value())
  end)

  it("while it waits for an event or a counter, finds what it waited for", function()
    local e <close> = assert(shm.event.create(r, 4104))
    local n <close> = assert(shm.counter.create(r, 5128))
    local one = sleeper(e, function() assert(e:wait(LONG)) end)
    e:set()
    well(one)
    assert.is_false(e:is_set())
    one = sleeper(n, function() assert(n:wait(3, LONG)) end)
    n:add(5)
    well(one)
  end)

  it("while it waits at a condition, keeps its signal", function()
    local c <close> = assert(shm.condition.create(r, 4104))
    local one = child(function()
      assert(m:lock(LONG))
      assert(c:wait(m, LONG))
      m:unlock()
    end)
    -- It is counted before it lets go of the mutex: who has that after it, has it asleep.
    support.eventually(function() return c:waiters() == 1 end)
    assert.is_true(m:lock(LONG))
    stop(one)
    assert.is_true(c:signal())
    m:unlock()
    assert.is_true(m:lock(LONG))
    assert.is_false(c:signal())
    m:unlock()
    well(one)
    assert.equal(0, (c:waiters()))
  end)

  -- Who comes to read has a record, before it finds that somebody writes and takes it back.
  it("when it has just come to read, closes no circle", function()
    local READER, SLOT = 320, 64
    assert.is_true(l:lock())
    local one = sleeper(l, function()
      assert(l:lock_shared(LONG))
      l:unlock()
    end)
    r:store(1024 + READER, r:load(1024 + SLOT))
    l:unlock()
    refused(l:lock(0.1))
    r:store(1024 + READER, 0)
    assert.is_true(l:lock(LONG))
    l:unlock()
    well(one)
  end)

  it("while it waits to write, keeps readers out, and writes afterwards", function()
    assert.is_true(l:lock_shared())
    local one = sleeper(l, function()
      assert(l:lock(LONG))
      l:unlock()
    end)
    l:unlock()
    refused(l:lock_shared(0.1))
    one:kill "CONT"
    assert.is_true(l:lock_shared(LONG))
    l:unlock()
    well(one)
  end)
end)
