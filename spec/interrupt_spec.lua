-- Ctrl-C a moment before a wait begins to sleep: the handler has run, and asks for attention by a
-- hook, as that of lua(1) does. Here the wait is in such a hook itself, so that nobody hears of it.
local lock = require "spec.lock_support"
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"
local sysv = require "shm.sysv"

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

-- Waits of the kernel's own. Each may be for ever, and then is in a child, which can be killed.
describe("a signal that came just before a wait in the kernel", function()
  local region

  -- What wait gives in a child: 0 for EINTR.
  local function ends_for_ever(wait)
    local child <close> = assert(process.fork(function()
      local _, _, errno = while_signalled(function() return wait() end, "cr", 1)
      process.exit(errno == EINTR and 0 or 1)
    end))
    local how, code = child:wait(support.LONG)
    if not how then
      child:kill "KILL"
      child:wait()
    end
    return how == "exit" and code == 0
  end

  before_each(function() region = assert(shm.anonymous(1 << 16)) end)
  after_each(function() region:close() end)

  local function of(name, prepare)
    it("ends it: " .. name, function()
      local wait <const>, stop = prepare()
      local done, message, errno = while_signalled(function() return wait(5) end, "cr", 1)
      local for_ever, time_out = ends_for_ever(wait), select(3, wait(0))
      stop()
      assert.is_nil(done)
      assert.equal(EINTR, errno, message)
      assert.is_true(for_ever)
      assert.equal(ETIMEDOUT, time_out) -- who only looks has no signal to hear of
    end)
  end

  of("a channel's end", function()
    local ours, theirs = assert(process.socketpair())
    return function(timeout) return ours:recv(1, timeout) end, function()
      ours:close()
      theirs:close()
    end
  end)

  of("a pipe's end", function()
    local path = os.tmpname()
    os.remove(path)
    assert(os.execute("mkfifo " .. path))
    local pipe = assert(posix.open(path, posix.O_RDWR))
    return function(timeout) return region:recv(pipe, 0, 1, timeout) end, function()
      pipe:close()
      os.remove(path)
    end
  end)

  of("room in a pipe", function()
    local path = os.tmpname()
    os.remove(path)
    assert(os.execute("mkfifo " .. path))
    local pipe = assert(posix.open(path, posix.O_RDWR))
    repeat
      local done = region:send(pipe, 0, 4096, 0)
    until not done
    return function(timeout) return region:send(pipe, 0, 4096, timeout) end, function()
      pipe:close()
      os.remove(path)
    end
  end)

  of("signals that are read", function()
    local signals = assert(process.signals "USR2")
    return function(timeout) return signals:wait(timeout) end, function() signals:close() end
  end)

  of("a semaphore of POSIX", function()
    local semaphore = assert(posix.sem_init(region, 0))
    return function(timeout) return posix.sem_wait(semaphore, timeout) end, function() end
  end)

  of("a message queue of POSIX", function()
    local name = "/shm-spec-" .. support.key()
    local queue = assert(posix.mq_open(name, posix.O_CREAT | posix.O_EXCL | posix.O_RDWR))
    assert(posix.mq_unlink(name))
    return function(timeout) return queue:receive(timeout) end, function() queue:close() end
  end)

  of("a message queue of System V", function()
    local queue = assert(sysv.msgget(sysv.IPC_PRIVATE, sysv.IPC_CREAT))
    return function(timeout) return sysv.msgrcv(queue, 100, 0, 0, timeout) end, function()
      queue:remove()
    end
  end)

  of("a semaphore of System V", function()
    local set = assert(sysv.semget(sysv.IPC_PRIVATE, 1, sysv.IPC_CREAT))
    return function(timeout) return sysv.semop(set, {{num = 0, op = -1}}, timeout) end, function()
      set:remove()
    end
  end)

  of("a lock on a file", function()
    local one = assert(posix.memfd_create "interrupt")
    local other = assert(posix.open("/proc/self/fd/" .. one:fileno(), posix.O_RDWR))
    assert(posix.lock(one, "write"))
    return function(timeout) return posix.lock(other, "write", 0, 0, timeout) end, function()
      one:close()
      other:close()
    end
  end)

  it("ends it: a child's end", function()
    local child <close> = assert(process.fork(support.forever))
    local done, message, errno = while_signalled(function() return child:wait(5) end, "cr", 1)
    child:kill "KILL"
    assert.is_nil(done)
    assert.equal(EINTR, errno, message)
    assert.equal("signal", (while_signalled(function() -- which is told of, and not waited for
      support.eventually(function() return not child:alive() end)
      return child:wait()
    end, "cr", 1)))
  end)

  it("ends a sleep", function()
    local done, message, errno = while_signalled(function() return process.sleep(5) end, "cr", 1)
    assert.is_nil(done)
    assert.equal(EINTR, errno, message)
  end)
end)
