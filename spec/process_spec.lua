local process = require "shm.process"
local support = require "spec.support"
local sysv = require "shm.sysv"

local ESRCH, ECHILD, EPIPE, ETIMEDOUT = 3, 10, 32, 110
local LONG = support.LONG
local refused = support.refused

local function sleeper()
  return assert(process.fork(process.sleep, 60))
end

local function shared()
  local id = assert(sysv.shmget(sysv.IPC_PRIVATE, 4096, sysv.IPC_CREAT))
  local region = assert(sysv.shmat(id))
  assert(id:remove())
  return region
end

describe("fork", function()
  it("runs the function with its arguments, and leaves with 0 when it returns", function()
    local region <close> = shared()
    local child = assert(process.fork(function(a, b, ...)
      region:set_i32(0, a + b + select("#", ...))
    end, 1, 2, nil, nil))
    assert.same({"exit", 0}, {child:wait(LONG)})
    assert.equal(5, region:get_i32(0))
  end)

  it("leaves with 1 and the error on stderr when the function throws", function()
    local script = [[require("shm.process").fork(function() error "on purpose" end):wait()]]
    local output = support.shell("lua5.4 -e '" .. script .. "' 2>&1")
    assert.matches("^lua: .*on purpose\nstack traceback:\n", output)
    local child = assert(process.fork(function() error(setmetatable({}, {
      __tostring = function() process.exit(42) end, })) end))
    assert.same({"exit", 42}, {child:wait(LONG)})
  end)

  it("writes buffered output once", function()
    local script = [[
      local process = require "shm.process"
      io.stdout:setvbuf "full"
      io.write "parent "
      process.fork(function() io.write "child " end):wait()
      process.fork(function() io.write "exit "; process.exit() end):wait()]]
    assert.equal("parent child exit ", support.shell("lua5.4 -e '" .. script .. "' | cat"))
  end)

  it("runs no finalizer of the parent's in the child", function()
    local region <close> = shared()
    local object = setmetatable({}, {__gc = function() region:add(0, 1) end})
    assert.same({"exit", 3}, {assert(process.fork(process.exit, 3)):wait(LONG)})
    assert.same({"exit", 0}, {assert(process.fork(function() end)):wait(LONG)})
    assert.equal(0, region:load(0))
    assert.is_table(object)
  end)

  it("works inside a coroutine", function()
    local result = coroutine.wrap(function()
      return table.pack(assert(process.fork(function() process.exit(9) end)):wait(LONG))
    end)()
    assert.same({"exit", 9, n = 2}, result)
  end)

  it("gives a handle that waits, again and again", function()
    local child = sleeper()
    assert.equal("shm.process.handle (" .. child.pid .. ")", tostring(child))
    refused(ETIMEDOUT, "^process%.wait %d+: ", child:wait(0))
    refused(ETIMEDOUT, "wait", child:wait(0.01))
    assert.is_true(child:alive())
    assert.is_true(child:kill "TERM")
    assert.same({"signal", "TERM"}, {child:wait(LONG)})
    assert.same({"signal", "TERM"}, {child:wait()})
    assert.is_false(child:alive())
    refused(ESRCH, "^process%.kill %d+: ", child:kill "TERM")
    assert.is_true(child:close())
    assert.same({"signal", "TERM"}, {child:wait()})
    assert.error_matches(function() child:kill "TERM" end, "handle is closed")
    assert.error_matches(function() child:fileno() end, "handle is closed")
  end)

  -- In an interpreter of its own: what a fork costs grows with the memory that it copies.
  it("leaves nothing of ten thousand children that hold handles", function()
    local script = [[
      package.path = "./?.lua;" .. package.path
      local process, sysv = require "shm.process", require "shm.sysv"
      local support = require "spec.support"
      local id = assert(sysv.shmget(sysv.IPC_PRIVATE, 8, sysv.IPC_CREAT))
      local region = assert(sysv.shmat(id))
      assert(id:remove())
      local signals = assert(process.signals "USR1")
      local one, other = assert(process.socketpair())
      local function traces()
        return support.mappings(), support.descriptors(), support.children(), id:stat().nattch
      end
      print(traces())
      for _ = 1, support.rounds(10000) do
        local child = assert(process.fork(function()
          region:add(0, 1)
          if region:load(0) % 2 == 0 then -- half of them let the kernel close what they hold
            signals:close()
            one:close()
            region:close()
          end
        end))
        assert(child:wait(30) == "exit")
        child:close()
      end
      print(traces())
      print(region:load(0))]]
    local before, after, count = support.shell("lua5.4 -e '" .. script .. "' 2>&1")
      :match "^([^\n]+)\n([^\n]+)\n(%d+)\n$"
    assert.matches("^1\t%d+\t0\t1$", before)
    assert.equal(before, after)
    assert.equal(support.rounds(10000), tonumber(count))
  end)

  it("holds on to children even where SIGCHLD is ignored", function()
    local script = [[
      local process = require "shm.process"
      process.signal("CHLD", "ignore")
      local statuses = 0
      for _ = 1, 300 do
        local child = assert(process.fork(process.exit, 3))
        local how, code, errno = child:wait(5)
        assert(how == "exit" and code == 3 or errno == 10) -- ECHILD: the kernel reaped it
        assert(not child:alive())
        child:close()
      end
      local pipe = io.popen "kill -l"
      assert(pipe:read "a" ~= "")]]
    assert.equal("", support.shell("lua5.4 -e '" .. script .. "' 2>&1"))
  end)

  it("reaps a child that has ended when its handle is collected", function()
    -- In a coroutine, so that no register of ours holds on to it.
    coroutine.wrap(function()
      local child = assert(process.fork(process.exit))
      support.eventually(function() return not child:alive() end)
    end)()
    collectgarbage()
    collectgarbage()
    assert.equal(0, support.children())
  end)
end)

describe("another process", function()
  it("is held by its pid, and neither waited for nor mistaken for its heir", function()
    local child = sleeper()
    local other = assert(process.open(child.pid))
    assert.is_true(other:alive())
    assert.equal(child.pid, other.pid)
    refused(ECHILD, "^process%.wait %d+: ", other:wait()) -- at once
    assert.is_true(other:kill "KILL")
    assert.same({"signal", "KILL"}, {child:wait(LONG)})
    assert.is_false(other:alive())
    refused(ESRCH, "kill", other:kill "KILL")
    refused(ESRCH, "^process%.open %d+: ", process.open(child.pid))
    other:close()
    assert.error_matches(function() other:alive() end, "closed")
  end)

  it("lives also where there is no descriptor to look by, and is dead", function()
    assert.equal("true\tfalse\tnil\n", support.shell [[
      ulimit -n 30; lua5.4 -e '
        local process, posix = require "shm.process", require "shm.posix"
        local child = process.fork(function() end)
        child:wait()
        repeat until not posix.open("/dev/null", posix.O_RDONLY)
        local me = process.pid()
        print(process.alive(me), process.alive(child.pid), (process.open(me)))' 2>&1]])
  end)

  it("lives, and says nothing, while signals come to who asks", function()
    local asker = assert(process.fork(function()
      assert(process.signal("USR1", "count"))
      local me, one = process.pid(), assert(process.open(process.pid()))
      local ours <close>, theirs = assert(process.socketpair())
      local _ <close> = theirs
      local other = assert(process.fork(function() while process.kill(me, "USR1") do end end))
      for _ = 1, support.rounds(200000) do
        assert(one:alive() and select(3, ours:recv(1, 0)) == ETIMEDOUT)
      end
      other:kill "KILL"
      other:wait()
    end))
    assert.same({"exit", 0}, {asker:wait(LONG)})
  end)

  it("is not left behind where there is no descriptor for it, though a signal comes", function()
    local said, log = support.strace("-e trace=pidfd_open,wait4 -e inject=wait4:error=EINTR:when=1 "
      .. "-e inject=pidfd_open:error=EMFILE:when=2", [[
      local process = require "shm.process"
      print(select(2, process.fork(function() process.sleep(60) end)))
      local file <close> = io.open(("/proc/self/task/%d/children"):format(process.pid()))
      print(file:read "a")]])
    if not said then
      return pending(log)
    end
    assert.matches("INJECTED", log)
    assert.equal("process.fork: Too many open files\t24\n\n", said)
  end)

  it("leaves a child's status to the handle that fork gave", function()
    local ours <close>, theirs = assert(process.socketpair())
    local child = assert(process.fork(function()
      theirs:recv(1, LONG)
      process.exit(7)
    end))
    local other = assert(process.open(child.pid)) -- which is none of one that has ended
    assert(ours:send "x")
    theirs:close()
    support.eventually(function() return not child:alive() end)
    refused(ECHILD, "wait", other:wait(0))
    other:close()
    assert.same({"exit", 7}, {child:wait(0)})
  end)

  it("lives until it has exited, reaped or not", function()
    local child = sleeper()
    assert.is_true(process.alive(child.pid))
    assert.is_true(process.kill(child.pid, 0))
    assert.is_true(process.kill(child.pid, "SIGKILL"))
    support.eventually(function() return not process.alive(child.pid) end)
    assert.is_true(process.kill(child.pid, 0)) -- a zombie still takes signals
    assert.same({"signal", "KILL"}, {child:wait(LONG)})
    refused(ESRCH, "^process%.kill %d+: ", process.kill(child.pid, 0))
    assert.is_true(process.alive(process.pid()))
    assert.is_true(process.alive(1))
    assert.is_false(process.alive(0x7fffffff))
  end)
end)

describe("without pidfd", function()
  -- What takes its place, everywhere else under valgrind only. This refuses pidfd_open as a
  -- sandbox does, whose programs are not under our control either.
  it("children are held by a socket, and others by their start time", function()
    local library = support.without("SYS_pidfd_open", "SYS_pidfd_send_signal")
    local script = [[
      local process = require "shm.process"
      for i = 1, 200 do
        local child = assert(process.fork(process.exit, i % 256))
        while child:alive() do end
        local how, code = child:wait(0)
        assert(how == "exit" and code == i % 256)
        child:close()
      end
      local child = assert(process.fork(process.sleep, 60))
      local other = assert(process.open(child.pid))
      assert(child:alive() and other:alive() and process.alive(child.pid))
      assert(select(3, other:wait()) == 10)
      assert(not pcall(other.fileno, other))
      assert(other:kill "TERM")
      local how, name = child:wait(5)
      assert(how == "signal" and name == "TERM")
      assert(not child:alive() and not other:alive() and not process.open(child.pid))
      for _ = 1, 50 do
        local one = assert(process.fork(process.exit))
        while one:alive() do end
        one:close()
      end
      local children = io.open("/proc/self/task/" .. process.pid() .. "/children"):read "a"
      print(children .. "all reaped")]]
    -- The sanitizers want to be loaded first, and do so by themselves.
    local preload = (os.getenv "LD_PRELOAD" or "") .. ":" .. library
    local command = ("LD_PRELOAD=%s lua5.4 -e '%s' 2>&1"):format(preload, script)
    assert.equal("all reaped\n", support.shell(command))
    os.remove(library)
  end)
end)

describe("sleep", function()
  it("takes its time, and ends early on a signal", function()
    assert.is_true(process.sleep(0))
    assert.is_true(process.sleep(0.001))
    -- lua5.4 handles SIGINT: sleep returns, and the interpreter raises its error then.
    local child = assert(process.fork(function()
      local _, why = pcall(process.sleep, 60)
      process.exit(tostring(why):match "interrupted!" and 0 or 1)
    end))
    support.eventually(function()
      return support.read_file("/proc/" .. child.pid .. "/wchan"):match "nanosleep"
    end)
    child:kill "INT"
    assert.same({"exit", 0}, {child:wait(LONG)})
  end)

  it("refuses what is no time", function()
    for _, wrong in ipairs {-1, 0 / 0, "1", {}, -math.huge} do
      assert.error_matches(function() process.sleep(wrong) end, "seconds: ")
    end
    assert.error_matches(function() process.sleep() end, "seconds: ")
  end)
end)

describe("yield", function()
  it("lets another process run on the same cpu", function()
    local script = [[
      local process, shm = require "shm.process", require "shm"
      local region = shm.anonymous(8)
      local child = process.fork(function() region:store(0, 1) end)
      local left = 1000000
      while region:load(0) == 0 and left > 0 do
        assert(select("#", process.yield()) == 0)
        left = left - 1
      end
      print(region:load(0), child:wait(60))]]
    local said = support.shell("taskset -c $(taskset -cp $$ | grep -o '[0-9]*$') lua5.4 -e '"
                               .. script .. "' 2>&1")
    assert.equal("1\texit\t0\n", said)
  end)
end)

describe("signals", function()
  it("are kept from before anyone waits, one of each kind, with their sender", function()
    local signals <close> = assert(process.signals("USR1", "SIGUSR2", 1))
    assert.equal("shm.process.signals (HUP USR1 USR2)", tostring(signals))
    refused(ETIMEDOUT, "^signals%.wait: ", signals:wait(0))
    local child = assert(process.fork(function(parent)
      process.kill(parent, "USR1")
      process.kill(parent, "USR2")
    end, process.pid()))
    assert.same({"exit", 0}, {child:wait(LONG)})
    local seen = {}
    for _ = 1, 2 do
      local name, sender = signals:wait(0)
      assert.equal(child.pid, sender)
      seen[name] = true
    end
    assert.same({USR1 = true, USR2 = true}, seen)
    refused(ETIMEDOUT, "wait", signals:wait(0.01))
  end)

  it("are counted by a handler, and end a pause that they find asleep", function()
    local here, there = process.socketpair()
    local child = assert(process.fork(function()
      assert(process.signal("USR1", "count"))
      assert(process.handled "USR1" == 0 and process.handled "USR2" == 0)
      process.kill(process.pid(), "USR1") -- before the pause: it wakes nobody
      assert(process.handled "SIGUSR1" == 1)
      local woken, message, errno = process.pause(0.01)
      assert(woken == nil and message:match "^process%.pause: " and errno == ETIMEDOUT)
      assert(there:send "x")
      assert(process.pause(LONG) == true)
      assert(there:send "y")
      assert(process.pause() == true)
      process.exit(process.handled "USR1" > 2 and 42 or 1)
    end))
    assert.equal("x", here:recv(1, LONG))
    support.eventually(function() -- one that comes too early is lost: again
      child:kill "USR1"
      return here:recv(1, 0) == "y"
    end)
    support.eventually(function()
      child:kill "USR1"
      return not child:alive()
    end)
    assert.same({"exit", 42}, {child:wait(LONG)})
    here:close()
    there:close()
    assert.has_error(function() process.signal("USR1", "both") end)
    assert.has_error(function() process.handled "NONE" end)
    assert.has_error(function() process.pause(-1) end)
  end)

  it("queue when they are real-time signals", function()
    local signals <close> = assert(process.signals("RTMIN", "RTMIN+3"))
    for _ = 1, 5 do
      process.kill(process.pid(), "RTMIN+3")
    end
    process.kill(process.pid(), "RTMIN")
    assert.equal("RTMIN", (signals:wait(0)))
    for _ = 1, 5 do
      assert.equal("RTMIN+3", (signals:wait(0)))
    end
    refused(ETIMEDOUT, "wait", signals:wait(0))
  end)

  it("tell of children, named by the kernel", function()
    local signals <close> = assert(process.signals "CHLD")
    local child = assert(process.fork(process.exit))
    local name, sender = signals:wait(LONG)
    assert.same({"CHLD", child.pid}, {name, sender})
    assert.same({"exit", 0}, {child:wait(LONG)})
  end)

  it("do what they did before once the last handle is closed", function()
    local function outcome(f)
      return table.concat({assert(process.fork(function()
        process.signal("USR1", "default") -- another spec's links leave them ignored
        process.signal("USR2", "default")
        f()
      end)):wait(LONG)}, " ")
    end
    assert.equal("signal USR1", outcome(function()
      local one, two = process.signals "USR1", process.signals "USR1"
      one:close()
      process.kill(process.pid(), "USR1")
      assert(two:wait(0) == "USR1")
      two:close()
      two:close()
      process.kill(process.pid(), "USR1")
      process.sleep(5)
    end))
    assert.equal("signal USR2", outcome(function()
      local signals = process.signals "USR2"
      process.kill(process.pid(), "USR2")
      signals:close() -- still unread: it meets its default action
      process.sleep(5)
    end))
    assert.equal("exit 0", outcome(function()
      process.signal("USR2", "ignore")
      local signals = process.signals "USR2"
      process.kill(process.pid(), "USR2")
      assert(signals:wait(0) == "USR2")
      process.kill(process.pid(), "USR2")
      signals:close()
      process.kill(process.pid(), "USR2")
    end))
    assert.equal("signal USR2", outcome(function()
      process.signal("USR2", "ignore")
      process.signal("USR2", "default")
      process.kill(process.pid(), "USR2")
    end))
  end)

  it("refuse names that are none and signals that can not be read", function()
    for _, wrong in ipairs {"", "NONSENSE", "SIG", "RTMIN+99", "RTMIN+", "RTMINx", 0, 65, -1,
                            1.5, {}, true} do
      assert.error_matches(function() process.signals(wrong) end, "signal: ")
      assert.error_matches(function() process.signals("TERM", wrong) end, "#2 .*signal: ")
    end
    for name, synonym in pairs {IO = "POLL", CLD = "CHLD", IOT = "ABRT", RTMAX = "RTMIN+30",
                                ["RTMAX-2"] = "RTMIN+28"} do
      local signals <close> = assert(process.signals(name))
      local _ <close> = assert(process.signals(synonym))
      assert.equal(tostring(process.signals(synonym)), tostring(signals))
    end
    assert.error_matches(function() process.kill(process.pid(), "TERM\0x") end, "NUL")
    for _, never in ipairs {"KILL", "STOP", "SEGV", "BUS", "FPE", "ILL"} do
      assert.error_matches(function() process.signals(never) end, "can not be read")
    end
    assert.error_matches(function() process.signals() end, "at least one")
    assert.error_matches(function() process.signal("KILL", "ignore") end, "can not be set")
    assert.error_matches(function() process.signal("TERM", "explode") end, "explode")
    local signals = process.signals "USR1"
    signals:close()
    assert.error_matches(function() signals:wait(0) end, "handle is closed")
    assert.equal("shm.process.signals (closed)", tostring(signals))
  end)
end)

describe("a channel", function()
  it("carries bytes both ways between relatives", function()
    local ours, theirs = assert(process.socketpair())
    local _ <close> = ours
    local _ <close> = theirs
    local child = assert(process.fork(function()
      ours:close()
      assert(theirs:send((assert(theirs:recv(100, LONG)):reverse())))
      assert(theirs:recv(100, LONG) == "end")
    end))
    theirs:close()
    assert.is_true(ours:send "hello")
    assert.equal("olleh", ours:recv(100, LONG))
    assert.is_true(ours:send "end")
    assert.same({"exit", 0}, {child:wait(LONG)})
    refused(EPIPE, "^channel%.recv: ", ours:recv(1, LONG))
    refused(EPIPE, "^channel%.send: ", ours:send "x")
  end)

  it("ends one direction before the other", function()
    local one, other = assert(process.socketpair())
    local _ <close> = one
    local _ <close> = other
    one:send "last"
    assert.is_true(one:shutdown())
    assert.equal("last", other:recv(10, 0))
    refused(EPIPE, "recv", other:recv(10, 0))
    other:send "answer"
    assert.equal("answer", one:recv(10, 0))
    refused(EPIPE, "send", one:send "x")
  end)

  it("keeps messages apart when told to", function()
    local one, other = assert(process.socketpair "seqpacket")
    local _ <close> = one
    local _ <close> = other
    one:send "first"
    one:send "second"
    assert.equal("first", other:recv(100, 0))
    assert.equal("sec", other:recv(3, 0))
    refused(ETIMEDOUT, "recv", other:recv(100, 0))
  end)

  it("waits for room, and tells how far it came", function()
    local one, other = assert(process.socketpair())
    local _ <close> = one
    local _ <close> = other
    local much = ("x"):rep(10 << 20)
    local result, _, errno, sent = one:send(much, 0.01)
    assert.is_nil(result)
    assert.equal(ETIMEDOUT, errno)
    assert.is_true(sent > 0 and sent < #much)
    local child = assert(process.fork(function()
      local got = 0
      while got < sent + #much do
        got = got + #assert(other:recv(1 << 20, LONG))
      end
    end))
    assert.is_true(one:send(much, LONG))
    assert.same({"exit", 0}, {child:wait(LONG)})
  end)

  it("refuses what makes no sense", function()
    local one <close>, other = assert(process.socketpair())
    assert.matches("^shm%.process%.channel %(%d+%)$", tostring(one))
    for _, wrong in ipairs {0, -1, 1.5, "1"} do
      assert.error_matches(function() one:recv(wrong, 0) end, "n: ")
    end
    for _, wrong in ipairs {1, {}, true, ""} do
      assert.error_matches(function() one:send(wrong) end, "data: ")
    end
    for _, wrong in ipairs {-1, 0 / 0, "1"} do
      assert.error_matches(function() one:send("x", wrong) end, "timeout: ")
      assert.error_matches(function() one:recv(1, wrong) end, "timeout: ")
    end
    other:close()
    assert.equal("shm.process.channel (closed)", tostring(other))
    assert.error_matches(function() other:send "x" end, "channel is closed")
    assert.error_matches(function() other:recv(1) end, "channel is closed")
    assert.error_matches(function() other:pollfd() end, "handle is closed")
    assert.error_matches(function() process.socketpair "datagram" end, "datagram")
  end)
end)

describe("close_range", function()
  it("closes what a child inherited, and the parent still notices its end", function()
    local ours <close>, theirs = assert(process.socketpair())
    local child = assert(process.fork(function()
      process.close_range(3)
      support.forever()
    end))
    theirs:close()
    refused(EPIPE, "recv", ours:recv(1, LONG))
    refused(ETIMEDOUT, "wait", child:wait(0))
    child:kill "KILL"
    assert.same({"signal", "KILL"}, {child:wait(LONG)})
    assert.error_matches(function() process.close_range(5, 4) end, "last")
    assert.error_matches(function() process.close_range(-1) end, "first")
  end)
end)

describe("in event loops", function()
  local handles

  before_each(function()
    local one, other = assert(process.socketpair())
    handles = {
      signals = assert(process.signals "USR1"), channel = one, peer = other, child = sleeper(),
    }
  end)

  after_each(function()
    handles.child:kill "KILL"
    handles.child:wait(LONG)
    for _, handle in pairs(handles) do
      handle:close()
    end
  end)

  -- Makes each handle ready in turn, and returns the names in that order.
  local steps = {
    {"signals", function() process.kill(process.pid(), "USR1") end,
     function() handles.signals:wait(0) end},
    {"channel", function() handles.peer:send "x" end, function() handles.channel:recv(1, 0) end},
    {"child", function() handles.child:kill "KILL" end, function() end},
  }

  it("they stand in a poll of cqueues", function()
    local cqueues = require "cqueues"
    local loop = cqueues.new()
    local seen = {}
    loop:wrap(function()
      for _, step in ipairs(steps) do
        assert.equal(0.001, (cqueues.poll(handles.signals, handles.channel, handles.child, 0.001)))
        step[2]()
        local ready = cqueues.poll(handles.signals, handles.channel, handles.child, 5)
        assert.equal(handles[step[1]], ready)
        seen[#seen + 1] = step[1]
        step[3]()
      end
    end)
    assert(loop:loop(20))
    assert.same({"signals", "channel", "child"}, seen)
    for _, handle in pairs(handles) do
      cqueues.cancel(handle)
    end
  end)

  it("they stand in LuaSocket's select", function()
    local socket = require "socket"
    local all = {handles.signals, handles.channel, handles.child}
    for _, step in ipairs(steps) do
      assert.same({}, {table.unpack((socket.select(all, nil, 0)))})
      step[2]()
      local ready = socket.select(all, nil, LONG)
      assert.equal(handles[step[1]], ready[1])
      step[3]()
    end
  end)

  it("they have a number for everyone else", function()
    for _, handle in pairs(handles) do
      local fd = handle:fileno()
      assert.equal("integer", math.type(fd))
      assert.equal(fd, handle:getfd())
      assert.equal(fd, handle:pollfd())
      assert.equal("r", handle:events())
      assert.is_nil(handle:timeout())
    end
  end)
end)
