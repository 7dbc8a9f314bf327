-- What a signal does to whom it finds waiting, and what can be done about signals.
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"
local sysv = require "shm.sysv"

local EINTR = 4
local LONG, INF = support.LONG, math.huge
local PRIVATE, CREATE = sysv.IPC_PRIVATE, sysv.IPC_CREAT

-- The errno that f gives where a handler runs, and runs again until f is over.
local function signalled(f, ...)
  local arguments = table.pack(...)
  local how, code = support.signalled(function()
    process.exit(select(3, f(table.unpack(arguments, 1, arguments.n))) or 0)
  end)
  assert.equal("exit", how)
  return code
end

-- Whether what f waits for goes on though a handler has run, and is had after give().
local function resumes(f, give)
  local child <close> = support.counting(function()
    process.exit(f() and process.handled "USR1" > 0 and 42 or 1)
  end)
  local function status(pattern)
    return support.read_file("/proc/" .. child.pid .. "/status"):match(pattern)
  end
  support.eventually(function() return status "State:%s+S" end)
  for _ = 1, 3 do
    child:kill "USR1"
    support.eventually(function()
      return not child:alive() or status "ShdPnd:%s+0+\n" and status "State:%s+S"
    end)
  end
  give()
  return table.concat({child:wait(LONG)}, " ") == "exit 42"
end

describe("a handler that counts ends", function()
  local open

  before_each(function() open = {} end)
  after_each(function()
    for i = #open, 1, -1 do
      open[i]()
    end
  end)

  local function keep(object, method)
    assert(object)
    open[#open + 1] = function() object[method or "close"](object) end
    return object
  end

  it("what waits in a System V queue and set", function()
    local q = keep(sysv.msgget(PRIVATE, CREATE), "remove")
    local set = keep(sysv.semget(PRIVATE, 1, CREATE), "remove")
    local full = keep(sysv.msgget(PRIVATE, CREATE), "remove")
    assert(sysv.msgctl(full, sysv.IPC_SET, {qbytes = 8}))
    assert(sysv.msgsnd(full, 1, "12345678"))
    for _, timeout in ipairs {false, LONG, INF} do
      timeout = timeout or nil
      assert.equal(EINTR, signalled(sysv.msgrcv, q, 100, 0, 0, timeout))
      assert.equal(EINTR, signalled(sysv.msgsnd, full, 1, "x", 0, timeout))
      assert.equal(EINTR, signalled(sysv.semop, set, {{num = 0, op = -1}}, timeout))
    end
    assert.equal(1, full:stat().qnum)
    assert.same({0}, sysv.semctl(set, 0, sysv.GETALL))
  end)

  it("what waits at a lock with a timeout, and for a semaphore", function()
    local sem = keep(posix.sem_init(keep(shm.anonymous(64)), 0))
    local path = os.tmpname()
    open[#open + 1] = function() os.remove(path) end
    local mine, other = keep(posix.open(path, posix.O_RDWR)), keep(posix.open(path, posix.O_RDWR))
    assert(posix.lock(mine, "write"))
    assert.equal(EINTR, signalled(posix.lock, other, "read", 0, 0, LONG))
    for _, timeout in ipairs {false, LONG, INF} do
      assert.equal(EINTR, signalled(posix.sem_wait, sem, timeout or nil))
    end
  end)

  it("what waits at a channel, for signals, messages, children, and for nothing", function()
    local one, other = assert(process.socketpair())
    keep(one)
    keep(other)
    local signals = keep(process.signals "USR2")
    local name = "/shm-spec-" .. support.key()
    local queue = keep(posix.mq_open(name, posix.O_RDWR | posix.O_CREAT))
    posix.mq_unlink(name)
    local told = keep(queue:notify())
    for _, timeout in ipairs {false, LONG, INF} do
      timeout = timeout or nil
      assert.equal(EINTR, signalled(one.recv, one, 1, timeout))
      assert.equal(EINTR, signalled(one.recvfd, one, timeout))
      assert.equal(EINTR, signalled(signals.wait, signals, timeout))
      assert.equal(EINTR, signalled(told.wait, told, timeout))
      assert.equal(EINTR, signalled(process.sleep, timeout or INF))
      assert.equal(EINTR, signalled(one.send, one, ("x"):rep(1 << 22), timeout)) -- it is full then
      assert.equal(EINTR, signalled(one.sendfd, one, 0, timeout))
      assert.equal(EINTR, signalled(function()
        local child = assert(process.fork(support.forever))
        local answer = table.pack(child:wait(timeout))
        child:kill "KILL"
        child:wait()
        return table.unpack(answer, 1, answer.n)
      end))
    end
  end)

  it("no wait that the kernel resumes", function()
    if support.valgrind then
      return pending "valgrind resumes what it likes"
    end
    local name, path = "/shm-spec-" .. support.key(), os.tmpname()
    open[#open + 1] = function() os.remove(path) end
    local queue = keep(posix.mq_open(name, posix.O_RDWR | posix.O_CREAT, nil,
                                     {maxmsg = 1, msgsize = 1}))
    posix.mq_unlink(name)
    local mine, other = keep(posix.open(path, posix.O_RDWR)), keep(posix.open(path, posix.O_RDWR))
    for _, timeout in ipairs {false, LONG, INF} do
      timeout = timeout or nil
      assert.is_true(resumes(function() return queue:receive(timeout) end,
                             function() assert(queue:send "x") end))
      assert(queue:send "x")
      assert.is_true(resumes(function() return queue:send("y", 0, timeout) end,
                             function() assert(queue:receive()) end))
      assert.equal("y", (queue:receive(0)))
    end
    assert(posix.lock(mine, "write"))
    assert.is_true(resumes(function() return posix.lock(other, "write") end,
                           function() assert(posix.unlock(mine)) end))
  end)
end)

describe("a signal's action", function()
  local function outcome(f)
    local child <close> = assert(process.fork(f))
    return table.concat({child:wait(LONG)}, " ")
  end

  it("is not to be set where the kernel or memory that goes away needs it", function()
    for _, name in ipairs {"KILL", "STOP", "BUS", "SIGSEGV"} do
      for _, action in ipairs {"ignore", "count"} do
        assert.error_matches(function() process.signal(name, action) end, "can not be set")
      end
    end
  end)

  it("counts on in children from where the parent was, each for itself", function()
    assert.equal("exit 42", outcome(function()
      assert(process.signal("USR1", "count"))
      process.kill(process.pid(), "USR1")
      process.kill(process.pid(), "USR1")
      assert(outcome(function()
        process.kill(process.pid(), "USR1")
        process.exit(process.handled "USR1")
      end) == "exit 3")
      assert(process.handled "USR1" == 2)
      assert(process.signal("USR1", "ignore"))
      process.kill(process.pid(), "USR1")
      assert(process.handled(10) == 2)
      process.exit(42)
    end))
  end)
end)

describe("signals that are read", function()
  it("come from nobody where the kernel sent them", function()
    assert.equal("XCPU\t0\n", support.shell [[ulimit -S -t 1; exec lua5.4 -e '
      local signals = require("shm.process").signals "XCPU"
      local name, sender
      repeat name, sender = signals:wait(0) until name
      print(name, sender)' 2>&1]])
  end)

  it("reach a whole group of processes", function()
    assert.equal("TERM TERM\n", support.shell [[exec setsid --wait lua5.4 -e '
      local process = require "shm.process"
      local signals = process.signals "TERM"
      local child = process.fork(function() assert(signals:wait(60) == "TERM") end)
      assert(process.kill(0, "TERM"))
      assert(child:wait(60) == "exit")
      io.write((signals:wait(0)), " ")
      assert(process.kill(-process.pid(), "TERM"))
      print((signals:wait(0)))' 2>&1]])
  end)
end)
