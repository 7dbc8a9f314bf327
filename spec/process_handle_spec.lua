-- Handles of processes: who may wait, kill and ask, also where they came by fork.
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local EPERM, ESRCH, ECHILD, EAGAIN, ETIMEDOUT = 1, 3, 10, 11, 110
local LONG = support.LONG
local refused = support.refused

-- How a child ends that runs f.
local function outcome(f, ...)
  local child <close> = assert(process.fork(f, ...))
  return table.concat({child:wait(LONG)}, " ")
end

describe("the handle of a process", function()
  local child

  before_each(function()
    child = assert(process.fork(support.forever))
  end)

  after_each(function()
    child:kill "KILL"
    child:wait(LONG)
    child:close()
  end)

  it("kills nobody who has ended, reaped or not", function()
    local other <close> = assert(process.open(child.pid))
    assert.is_true(child:kill "KILL")
    support.eventually(function() return not child:alive() end)
    refused(ESRCH, "^process%.kill %d+: ", child:kill "TERM")
    refused(ESRCH, "^process%.kill %d+: ", other:kill(15))
    assert.same({"signal", "KILL"}, {child:wait(0)})
  end)

  it("tells a sibling at once that it may not wait, and else what it tells the parent", function()
    assert.equal("exit 42", outcome(function()
      local how, message, errno = child:wait() -- not until it ends, which it does not
      assert(how == nil and errno == ECHILD, message)
      assert(child:alive())
      assert(child:kill "STOP")
      assert(child:kill "KILL")
      support.eventually(function() return not child:alive() end)
      assert(select(3, child:wait(0)) == ECHILD)
      assert(select(3, child:kill "KILL") == ESRCH)
      assert(child:close() and child:close())
      process.exit(42)
    end))
    assert.same({"signal", "KILL"}, {child:wait(LONG)})
  end)

  it("tells a sibling so also without pidfd", function()
    local library = support.without("SYS_pidfd_open", "SYS_pidfd_send_signal")
    local script = [[
      local process = require "shm.process"
      local ours, theirs = process.socketpair()
      local child = assert(process.fork(function()
        theirs:close()
        ours:recv(1)
      end))
      local sibling = assert(process.fork(function()
        assert(select(3, child:wait()) == 10)
        assert(child:alive())
        assert(child:kill "KILL")
        while child:alive() do process.yield() end
        assert(select(3, child:kill "KILL") == 3)
        process.exit(42)
      end))
      print(sibling:wait())
      print(child:wait())]]
    local preload = (os.getenv "LD_PRELOAD" or "") .. ":" .. library
    local command = ("LD_PRELOAD=%s lua5.4 -e '%s' 2>&1"):format(preload, script)
    assert.equal("exit\t42\nsignal\tKILL\n", support.shell(command))
    os.remove(library)
  end)

  it("has no signal 0 to send, which kill by pid asks with", function()
    assert.error_matches(function() child:kill(0) end, "signal: ")
    assert.is_true(process.kill(child.pid, 0))
    assert.is_true(process.kill(child.pid, 0.0))
  end)

  it("waits as long as it is told, up to for ever, and ends on a signal", function()
    refused(ETIMEDOUT, "^process%.wait %d+: ", child:wait(0))
    assert.is_true(support.interrupts(function()
      local own = assert(process.fork(support.forever))
      local _ <close> = setmetatable({}, {__close = function()
        own:kill "KILL"
        own:wait()
      end})
      own:wait(math.huge)
    end))
  end)

  it("is let go of while the process goes on, which is a zombie when it ends", function()
    assert.equal("exit 42", outcome(function() -- with which the zombie goes
      local own = assert(process.fork(support.forever))
      local pid = own.pid
      assert(own:close() == true)
      assert(process.alive(pid) and own.pid == pid)
      assert(tostring(own) == "shm.process.handle (closed)")
      assert(not pcall(own.wait, own, 0) and not pcall(own.alive, own))
      own = assert(process.open(pid))
      assert(own:kill "KILL")
      support.eventually(function() return not own:alive() end)
      own:close()
      assert(process.kill(pid, 0)) -- it is there, and nobody has waited
      assert(support.read_file("/proc/" .. pid .. "/stat"):match "%) Z ")
      process.exit(42)
    end))
  end)
end)

describe("a child", function()
  it("has its parent's signal mask, and reads what is sent to itself", function()
    local signals <close> = assert(process.signals "USR2")
    assert.equal("exit 42", outcome(function()
      assert(select(3, signals:wait(0)) == ETIMEDOUT)
      process.kill(process.pid(), "USR2")
      local name, sender = signals:wait(0)
      assert(name == "USR2" and sender == process.pid())
      process.exit(42)
    end))
    refused(ETIMEDOUT, "^signals%.wait: ", signals:wait(0))
  end)

  it("is none where the kernel has no process left, which is said", function()
    local said, log = support.strace("-e trace=clone,clone3,fork "
      .. "-e inject=clone,clone3,fork:error=EAGAIN", [[
      local process = require "shm.process"
      for _ = 1, 3 do print(process.fork(print)) end]])
    if not said then
      return pending(log)
    end
    local no = "nil\tprocess%.fork: [^\n]*unavailable\t" .. EAGAIN .. "\n"
    assert.matches("^" .. no .. no .. no .. "$", said)
  end)
end)

describe("a process that is somebody else's", function()
  it("is signalled by nobody but him, and lives", function()
    local said = support.as_nobody [[
      local process = require "shm.process"
      local init = assert(process.open(1))
      print(init:alive(), process.alive(1))
      print(select(3, process.kill(1, 0)), select(3, process.kill(1, "TERM")))
      print(select(3, init:kill "TERM"))]]
    if not said then
      return pending(support.NOT_NOBODY)
    end
    assert.equal(("true\ttrue\n%d\t%d\n%d\n"):format(EPERM, EPERM, EPERM), said)
  end)
end)

describe("a thread's number", function()
  it("is no process's", function()
    if support.asan then
      return pending "its threads are not to be had"
    end
    local r <close> = assert(shm.anonymous(4096))
    local semaphore <close> = assert(shm.semaphore.create(r, 0))
    assert(semaphore:fileno()) -- which takes a thread
    local thread
    for tid in support.shell("ls /proc/" .. process.pid() .. "/task"):gmatch "%d+" do
      thread = tonumber(tid) ~= process.pid() and tonumber(tid) or thread
    end
    refused(ESRCH, "^process%.open %d+: ", process.open(thread))
    assert.is_false(process.alive(thread))
  end)
end)
