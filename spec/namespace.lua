-- What identity_spec runs as the first process of a pid namespace of its own, where it may say
-- which pid comes next: lua5.4 spec/namespace.lua scenario [name of a region].
package.path = "./?.lua;" .. package.path
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local LONG = support.LONG
local QUICK = support.valgrind and LONG or 0.9 -- taken for the first it takes a second, or more
local TICK = 0.011 -- a process's start is known to a clock tick
local READY, LOCKED = 2048, 2056

local scenarios = {}

local function in_time(took)
  assert(took < QUICK, ("it took %g s"):format(took))
end

local function fork_as(pid, f)
  local file <close> = assert(io.open("/proc/sys/kernel/ns_last_pid", "w"))
  assert(file:write(pid - 1))
  assert(file:close())
  local child = assert(process.fork(f))
  assert(child.pid == pid, "it was to be " .. pid .. ", and is " .. child.pid)
  return child
end

-- One that locks and is killed, and then another one with its pid, that lives; while a third
-- one sleeps for the lock already. The pid is that of a thread, whose start makes the difference.
local function reuse(object, lock, take, expected)
  local r = object.region
  local first = fork_as(1000, function()
    assert(lock())
    r:store(LOCKED, 1)
    support.forever()
  end)
  support.eventually(function() return r:load(LOCKED) == 1 end)
  local waiter = fork_as(500, function()
    local ok, word, pid = take(LONG)
    assert(ok and word == expected and (not expected or pid == 1000), word)
    r:set_f64(READY, process.monotonic())
    object.lock:unlock()
  end)
  support.eventually(function() return object.lock:waiters() == 1 end)
  process.sleep(TICK)
  waiter:kill "STOP" -- it is to look only when the pid has its second life
  first:kill "KILL"
  assert(first:wait(LONG) == "signal")
  local second = fork_as(1000, support.forever)
  local began = process.monotonic()
  waiter:kill "CONT"
  local how, code = waiter:wait(LONG)
  assert(how == "exit" and code == 0, "the waiter ended by " .. tostring(how))
  local took = r:get_f64(READY) - began
  in_time(took)
  assert(second:alive())
  assert(object.lock:try())
  object.lock:unlock()
  second:kill "KILL"
  second:wait()
  r:close()
end

local function new(kind)
  local r = assert(shm.anonymous(4096))
  return {region = r, lock = assert(shm[kind].create(r, 0))}
end

function scenarios.mutex()
  local o = new "mutex"
  reuse(o, function() return o.lock:lock() end, function(t) return o.lock:lock(t) end, "recovered")
end

function scenarios.writer()
  for _, take in ipairs {"lock", "lock_shared"} do
    local o = new "rwlock"
    reuse(o, function() return o.lock:lock() end, function(t) return o.lock[take](o.lock, t) end,
          "recovered")
  end
end

function scenarios.reader()
  local o = new "rwlock"
  reuse(o, function() return o.lock:lock_shared() end, function(t) return o.lock:lock(t) end)
end

-- A sleeper's slot, and its arrival at a barrier.
function scenarios.sleeper()
  local r <close> = assert(shm.anonymous(4096))
  local b <close> = assert(shm.barrier.create(r, 0, 2))
  local s <close> = assert(shm.semaphore.create(r, 1024))
  for _, object in ipairs {b, s} do
    local first = fork_as(1000, function() object:wait() end)
    support.eventually(function() return object:waiters() == 1 end)
    process.sleep(TICK)
    first:kill "KILL"
    first:wait()
    local second = fork_as(1000, support.forever)
    assert(object:waiters() == 0)
    if object == b then
      local ok, _, errno = b:wait(0.05)
      assert(not ok and errno == 110)
      assert(b:arrived() == 0)
    end
    second:kill "KILL"
    second:wait()
  end
end

-- One that was making an object.
function scenarios.maker()
  local r <close> = assert(shm.anonymous(4096))
  local chaos = require "shm.core".chaos
  local tally <close> = assert(shm.anonymous(8))
  local first = fork_as(1000, function()
    process.sleep(TICK)
    assert(chaos.arm(tally, 3))
    shm.mutex.create(r, 0)
  end)
  assert(select(2, first:wait(LONG)) == "KILL")
  local second = fork_as(1000, support.forever)
  local began = process.monotonic()
  local m <close> = assert(shm.mutex.create(r, 0))
  in_time(process.monotonic() - began)
  assert(m:try())
  m:unlock()
  second:kill "KILL"
  second:wait()
end

-- Another namespace's objects.
function scenarios.foreign(name)
  local r <close> = assert(shm.attach(name))
  for i, kind in ipairs {"mutex", "rwlock", "semaphore", "event", "condition", "barrier",
                         "counter"} do
    for _, verb in ipairs {"attach", "open"} do
      local argument
      if verb == "open" and kind == "barrier" then
        argument = {2}
      end
      local object, message, errno =
        shm[kind][verb](r, 1024 * (i - 1), table.unpack(argument or {}))
      assert(object == nil and errno == 18, message)
      assert(message:match("^" .. kind .. "%." .. verb .. ".*pid namespace"), message)
    end
  end
  r:set_i64(8 * 1024, 1)
end

assert(process.pid() == 1, "it is not the first of its namespace")
scenarios[arg[1]](arg[2])
print "well"
