local peer = require "shm.peer"
local process = require "shm.process"
local support = require "spec.support"
local sysv = require "shm.sysv"

local ENOENT, ESRCH, EINTR, EEXIST, EINVAL, EPIPE, EDEADLK = 2, 3, 4, 17, 22, 32, 35
local EOPNOTSUPP, EADDRINUSE, ECONNRESET, ETIMEDOUT = 95, 98, 104, 110
local TIMEOUT = support.LONG
local refused = support.refused

-- Runs f in a child; a failed assertion there is the child's exit code 1.
local function child(f)
  return assert(process.fork(f))
end

local function segment(key)
  return sysv.shmget(key, 0)
end

-- Waits until the key's segment shows who serves there.
local function shows_a_pid(key)
  support.eventually(function()
    local id = segment(key)
    local region <close> = id and sysv.shmat(id)
    return region and region:load32(0) ~= 0
  end)
end

-- A link of ours with a client that runs f(link) in a child.
local function pair(f)
  local key = support.key()
  local link = assert(peer.serve(key))
  local client = child(function()
    f(assert(peer.connect(key)), link)
  end)
  assert.equal(client.pid, link:accept(TIMEOUT))
  return link, client, key
end

local function ended(handle, how, code)
  assert.same({how or "exit", code or 0}, {handle:wait(TIMEOUT)})
end

describe("a link between peers", function()
  it("joins two programs that know no more than a path", function()
    local path = os.tmpname()
    local server = ([[
      local link <close> = assert(require("shm.peer").serve("%s"))
      local pid = assert(link:accept(20))
      assert(link:send("your pid is " .. pid, 20))
      io.write(assert(link:receive(20)))]]):format(path)
    local client = ([[
      local process = require "shm.process"
      local link <close> = assert(require("shm.peer").connect("%s", {timeout = 20}))
      assert(link:receive(20) == "your pid is " .. process.pid())
      assert(link:send("mine is " .. process.pid() .. ", yours is " .. link.peer, 20))]])
      :format(path)
    local command = [[lua5.4 -e '%s' & server=$!; lua5.4 -e '%s'; wait $server; echo " $server"]]
    local said = support.shell(command:format(server, client))
    local yours, pid = said:match "^mine is %d+, yours is (%d+) (%d+)\n$"
    assert.equal(pid, yours)
    assert.is_nil((segment(sysv.ftok(path, 0x66))))
    os.remove(path)
  end)

  it("carries any bytes up to its length, either way, several times", function()
    local all = {}
    for byte = 0, 255 do
      all[#all + 1] = string.char(byte)
    end
    local messages = {"", "x", "\0", ("\0"):rep(124), table.concat(all):sub(1, 124),
                      table.concat(all):sub(-124)}
    local link <close>, client = (function()
      local l, c = pair(function(mine)
        for _, message in ipairs(messages) do
          assert(mine:receive(TIMEOUT) == message)
          assert(mine:send(message, TIMEOUT))
        end
        assert(mine:send("one of several in a row", TIMEOUT))
        assert(mine:send("another", TIMEOUT))
      end)
      return l, c
    end)()
    for _, message in ipairs(messages) do
      assert.is_true(link:send(message, TIMEOUT))
      assert.equal(message, link:receive(TIMEOUT))
    end
    assert.equal("one of several in a row", link:receive(TIMEOUT))
    assert.equal("another", link:receive(TIMEOUT))
    ended(client)
  end)

  it("loses no wake-up in many hand-overs", function()
    local rounds = support.rounds(20000)
    local link, client = pair(function(mine)
      for i = 1, rounds do
        assert(mine:send(tostring(i), TIMEOUT))
        assert(mine:receive(TIMEOUT) == tostring(-i))
      end
    end)
    for i = 1, rounds do
      assert.equal(tostring(i), link:receive(TIMEOUT))
      assert(link:send(tostring(-i), TIMEOUT))
    end
    ended(client)
    link:close()
  end)

  it("hears of a message that was announced before anyone waited", function()
    local link, client = pair(function(mine)
      assert(mine:send("early", TIMEOUT))
    end)
    ended(client) -- its signal came while we were here, not waiting for it
    assert.equal("early", link:receive(0))
    refused(ECONNRESET, "^peer%.receive: pid %d+ has ended$", link:receive(TIMEOUT))
    refused(ECONNRESET, "^peer%.send: ", link:send("too late", TIMEOUT))
    link:close()
  end)

  it("waits no longer than it is told", function()
    local link, client = pair(support.forever)
    refused(ETIMEDOUT, "^peer%.receive: ", link:receive(0))
    refused(ETIMEDOUT, "receive", link:receive(0.01))
    assert.is_true(link:send("fits", 0))
    refused(ETIMEDOUT, "^peer%.send: ", link:send("does not", 0.01))
    client:kill "KILL"
    ended(client, "signal", "KILL")
    link:close()
    local lonely <close> = assert(peer.serve(support.key()))
    refused(ETIMEDOUT, "^peer%.accept: ", lonely:accept(0.01))
    refused(ETIMEDOUT, "^peer%.send: ", lonely:send("x", 0))
    refused(ETIMEDOUT, "^peer%.receive: ", lonely:receive(0))
  end)

  it("reports the other side's close, after its last message", function()
    local link, client = pair(function(mine)
      assert(mine:send("goodbye", TIMEOUT))
      mine:close()
      support.forever()
    end)
    assert.equal("goodbye", link:receive(TIMEOUT))
    refused(EPIPE, "^peer%.receive: pid %d+ has closed the link$", link:receive(TIMEOUT))
    refused(EPIPE, "^peer%.send: ", link:send("x", TIMEOUT))
    link:close()
    client:kill "KILL"
    ended(client, "signal", "KILL")
  end)

  it("reports a killed peer to both sides in under a second", function()
    support.soon(2 * support.patience, function(from_here)
      local link, client = pair(support.forever)
      client:kill "KILL"
      from_here()
      refused(ECONNRESET, "has ended", link:receive(TIMEOUT))
      ended(client, "signal", "KILL")
      link:close()
    end)
    support.soon(2 * support.patience, function(from_here)
      local key = support.key()
      local server = child(function()
        local mine = assert(peer.serve(key))
        assert(mine:accept(TIMEOUT))
        support.forever()
      end)
      local mine = assert(peer.connect(key, {timeout = TIMEOUT}))
      refused(ETIMEDOUT, "receive", mine:receive(0.3))
      server:kill "KILL"
      from_here()
      refused(ECONNRESET, "has ended", mine:receive(TIMEOUT))
      ended(server, "signal", "KILL")
      mine:close()
      assert.is_nil((segment(key)))
    end)
  end)

  it("leaves no segment whatever ends the two, once they have met", function()
    local link, client, key = pair(support.forever)
    assert.is_nil((segment(key)))
    local id = link.id
    client:kill "KILL"
    ended(client, "signal", "KILL")
    link:close()
    assert.is_nil((sysv.shmctl(id, sysv.IPC_STAT)))
  end)

  it("is closed once, by its owner alone, and can not be used after", function()
    local link, client = pair(function(mine, servers)
      servers:close() -- the child's copy of the parent's end
      local ok, why = pcall(servers.send, servers, "x")
      assert(not ok and why:match "link is closed")
      assert(mine:receive(TIMEOUT) == "still open")
    end)
    assert.is_true(link:send("still open", TIMEOUT))
    ended(client)
    assert.matches("^shm%.peer %(server, pid %d+%)$", tostring(link))
    assert.is_true(link:close())
    assert.is_true(link:close())
    assert.equal("shm.peer (closed)", tostring(link))
    for _, method in ipairs {"send", "receive", "accept"} do
      assert.error_matches(function() link[method](link, "x") end, "link is closed")
    end
    local lonely <close> = assert(peer.serve(support.key()))
    ended(child(function()
      local ok, why = pcall(lonely.accept, lonely, 0)
      assert(not ok and why:match "belongs to process")
    end))
    assert.is_truthy(sysv.shmctl(lonely.id, sysv.IPC_STAT))
  end)
end)

describe("serving and connecting", function()
  it("finds nobody, and says so at once or when the time is up", function()
    local key = support.key()
    refused(ENOENT, "^peer%.connect key 0x%x+: nobody serves there$",
            peer.connect(key, {timeout = 0}))
    refused(ENOENT, "nobody", peer.connect(key, {timeout = 0.05}))
    refused(ENOENT, "^peer%.connect.*/no/such/file", peer.connect("/no/such/file", {timeout = 0}))
    refused(ENOENT, "^peer%.serve.*/no/such/file", peer.serve "/no/such/file")
    refused(ENOENT, "^peer%.connect %., key 0x%x+: nobody", peer.connect(".", {timeout = 0}))
  end)

  it("is interrupted while nobody is there", function()
    local said, log = support.strace(
      "-e trace=clock_nanosleep -e inject=clock_nanosleep:error=EINTR", ([[
        local peer = require "shm.peer"
        print(peer.connect(%d, {timeout = 60}))
        print(peer.dial(%d, {timeout = 60}))]]):format(support.key(), support.key()))
    if not said then
      return pending(log)
    end
    assert.matches("INJECTED", log)
    assert.equal("nil\tpeer.connect: Interrupted system call\t4\n"
                 .. "nil\tpeer.dial: Interrupted system call\t4\n", said)
  end)

  it("meets at any key of 32 bits, signed or not, and at any project of a path", function()
    local key, path = 0x80000000 | support.key(), os.tmpname()
    for _, it in ipairs {{key, key - (1 << 32)}, {key - (1 << 32), key}, {path, path, 1},
                         {path, path, 255}} do
      local link <close> = assert(peer.serve(it[1], {project = it[3]}))
      refused(EADDRINUSE, "serves there already", peer.serve(it[2], {project = it[3]}))
      local client = child(function()
        assert(assert(peer.connect(it[2], {project = it[3]})):send("found you", TIMEOUT))
      end)
      assert.equal("found you", link:receive(TIMEOUT))
      ended(client)
    end
    refused(ENOENT, "nobody", peer.connect(path, {project = 2, timeout = 0}))
    os.remove(path)
  end)

  it("waits for a server that comes later", function()
    local key = support.key()
    local client = child(function()
      local mine = assert(peer.connect(key, {timeout = TIMEOUT}))
      assert(mine:send("found you", TIMEOUT))
    end)
    process.sleep(0.02)
    local link <close> = assert(peer.serve(key))
    assert.equal("found you", link:receive(TIMEOUT))
    ended(client)
  end)

  it("admits one server and one client", function()
    local key = support.key()
    local link <close> = assert(peer.serve(key))
    refused(EADDRINUSE, "pid " .. process.pid() .. " serves there already", peer.serve(key))
    refused(EDEADLK, "^peer%.connect key 0x%x+: this process serves there itself$",
            peer.connect(key))
    local client = child(function()
      local mine = assert(peer.connect(key))
      assert.same({"client", link.id, link.owner}, {mine.role, mine.id, mine.peer})
      assert.equal(link.owner, mine:accept(0)) -- which is the server's to wait for
      assert.equal("end", mine:receive(TIMEOUT))
    end)
    local region <close> = assert(sysv.shmat(link.id))
    support.eventually(function() return region:load32(0) == client.pid end)
    refused(EADDRINUSE, "pid " .. client.pid .. " is its client already",
            peer.connect(key, {timeout = 0}))
    assert.is_nil(link.peer)
    assert.equal(client.pid, link:accept(TIMEOUT))
    assert.equal(client.pid, link:accept(0)) -- and again
    assert.same({"server", client.pid}, {link.role, link.peer})
    refused(ENOENT, "nobody", peer.connect(key, {timeout = 0}))
    link:send("end", TIMEOUT)
    ended(client)
  end)

  it("keeps off another program's segment", function()
    local key = support.key()
    local id = assert(sysv.shmget(key, 4096, sysv.IPC_CREAT))
    refused(EEXIST, "another program's segment of 4096 bytes", peer.serve(key))
    assert.is_truthy(id:stat())
    assert(id:remove())
    id = assert(sysv.shmget(key, 10, sysv.IPC_CREAT))
    refused(EINVAL, "too small", peer.connect(key, {timeout = 0}))
    assert(id:remove())
  end)

  it("detects a stale pid, signals nobody, and replaces what a killed server left", function()
    local key = support.key()
    local server = child(function()
      local mine = assert(peer.serve(key))
      support.forever()
      mine:close()
    end)
    shows_a_pid(key)
    server:kill "KILL"
    ended(server, "signal", "KILL")
    assert.is_truthy(segment(key))
    refused(ESRCH, "pid " .. server.pid .. " is stale: that process is dead",
            peer.connect(key, {timeout = 0}))
    local link <close> = assert(peer.serve(key))
    local client = child(function()
      assert(assert(peer.connect(key)):send("hello again", TIMEOUT))
    end)
    assert.equal("hello again", link:receive(TIMEOUT))
    ended(client)
    link:close()
    assert.is_nil((segment(key)))
  end)

  it("keeps off a textbook server that has its client, or found its segment", function()
    local key = support.key()
    local id = assert(sysv.shmget(key, 128, sysv.IPC_CREAT))
    local region <close> = assert(sysv.shmat(id))
    local other = child(support.forever)
    region:store32(0, other.pid) -- our child, as the client of us, the creator
    refused(EADDRINUSE, "is its client already", peer.connect(key, {timeout = 0}))
    assert.is_true(other:alive())
    assert(id:remove())
    ended(child(function() assert(sysv.shmget(key, 128, sysv.IPC_CREAT)) end))
    local found <close> = assert(sysv.shmat(assert(segment(key)))) -- its creator is dead
    found:store32(0, process.pid())
    refused(EADDRINUSE, "pid " .. process.pid() .. " serves there already", peer.serve(key))
    assert(segment(key):remove())
    other:kill "KILL"
    ended(other, "signal", "KILL")
  end)

  it("does not take the heir of a dead server's pid for the server", function()
    local key = support.key()
    ended(child(function() assert(sysv.shmget(key, 128, sysv.IPC_CREAT)) end))
    local id = assert(segment(key)) -- as a textbook server leaves it
    local region <close> = assert(sysv.shmat(id))
    local innocent = child(function()
      region:close()
      support.forever()
    end)
    support.eventually(function() return id:stat().nattch == 1 end)
    region:store32(0, innocent.pid)
    refused(ESRCH, "stale: another process has it now", peer.connect(key, {timeout = 0}))
    assert.is_true(innocent:alive())
    assert.equal(innocent.pid, region:load32(0))
    innocent:kill "KILL"
    ended(innocent, "signal", "KILL")
    assert(id:remove())
  end)

  it("replaces no living server of whom the kernel just now says nothing", function()
    local key = support.key()
    local server = child(function()
      assert(peer.serve(key)):accept()
    end)
    shows_a_pid(key)
    local flags <const> = "-P /proc/%d/maps -e trace=read -e inject=read:error=ENOMEM"
    local said, log = support.strace(flags:format(server.pid), ([[
      print(require "shm.peer".serve(%d))]]):format(key))
    server:kill "TERM"
    ended(server, "signal", "TERM")
    if not said then
      return pending(log)
    end
    assert.matches("INJECTED", log)
    assert.matches("pid " .. server.pid .. " serves there already\t98\n", said)
  end)

  it("replaces no textbook server whose segment can just now not be read", function()
    local key = support.key()
    ended(child(function() assert(sysv.shmget(key, 128, sysv.IPC_CREAT)) end))
    local id = assert(segment(key)) -- its creator is dead
    local found <close> = assert(sysv.shmat(id))
    found:store32(0, process.pid())
    local said, log = support.strace("-e trace=shmat -e inject=shmat:error=ENOMEM", ([[
      print(require "shm.peer".serve(%d))]]):format(key))
    assert.is_truthy(segment(key))
    assert(id:remove())
    if not said then
      return pending(log)
    end
    assert.matches("INJECTED", log)
    assert.matches("Cannot allocate memory\t12\n", said)
  end)

  it("goes on serving when a client dies on the way in", function()
    local key = support.key()
    local link <close> = assert(peer.serve(key))
    for _, step in ipairs {"left its pid", "said that it knows more words"} do
      ended(child(function()
        local region = assert(sysv.shmat(assert(segment(key))))
        assert(region:cas32(0, link.owner, process.pid()))
        if step ~= "left its pid" then
          region:store32(132, process.pid())
        end
      end))
      refused(ETIMEDOUT, "accept", link:accept(0))
    end
    local client = child(function()
      assert(assert(peer.connect(key, {timeout = TIMEOUT})):send("whole", TIMEOUT))
    end)
    assert.equal("whole", link:receive(TIMEOUT))
    ended(client)
  end)

  it("takes another client when one closes before it is accepted", function()
    local key = support.key()
    local link <close> = assert(peer.serve(key))
    ended(child(function()
      assert(peer.connect(key)):close()
    end))
    refused(ETIMEDOUT, "accept", link:accept(0))
    local client = child(function()
      assert(assert(peer.connect(key, {timeout = TIMEOUT})):send("fine", TIMEOUT))
    end)
    assert.equal("fine", link:receive(TIMEOUT))
    ended(client)
  end)

  it("tells a client that it has never accepted of its close", function()
    for _, method in ipairs {"receive", "send"} do
      local key = support.key()
      local link = assert(peer.serve(key))
      local region <close> = assert(sysv.shmat(link.id))
      local client = child(function()
        local mine = assert(peer.connect(key))
        refused(EPIPE, "pid %d+ has closed the link$",
                mine[method](mine, method == "send" and "x" or TIMEOUT, TIMEOUT))
      end)
      support.eventually(function() return region:load32(132) == client.pid end)
      link:close()
      ended(client)
      assert.is_nil((segment(key)))
    end
  end)

  it("says that a server is dead even if its client has died too", function()
    local key = support.key()
    local server = child(function()
      assert(peer.serve(key))
      support.forever()
    end)
    ended(child(function()
      assert(peer.connect(key, {timeout = TIMEOUT}))
    end))
    server:kill "KILL"
    ended(server, "signal", "KILL")
    refused(ESRCH, "stale", peer.connect(key, {timeout = 0}))
    assert(peer.serve(key)):close()
  end)

  it("ends by a signal while it waits for another link", function()
    local key = support.key()
    local server = child(function()
      process.signal("INT", "default")
      local one = assert(peer.serve(key))
      one:accept(TIMEOUT)
      local _ = assert(peer.serve(key))
      one:receive(TIMEOUT)
    end)
    local mine <close> = assert(peer.connect(key, {timeout = TIMEOUT}))
    support.eventually(function() return mine.region:load32(136) ~= 0 and segment(key) end)
    server:kill "TERM"
    ended(server, "signal", "TERM")
    assert.is_nil((segment(key)))
  end)

  it("neither hangs at a segment that it may not look at, nor runs over it", function()
    local key = support.key()
    local id = assert(sysv.shmget(key, 192, sysv.IPC_CREAT | tonumber("600", 8)))
    local script = [[
      local done, _, errno = require("shm.peer").serve(%d)
      print(done, errno)]]
    local said = support.as_nobody(script:format(key))
    assert(id:remove())
    if not said then
      return pending(support.NOT_NOBODY)
    end
    assert.equal("nil\t13\n", said)
  end)

  it("lets one of many clients in, undisturbed by the others", function()
    local key = support.key()
    for _ = 1, support.rounds(50) do
      local link <close> = assert(peer.serve(key))
      local clients = {}
      for i = 1, 4 do
        clients[i] = child(function()
          local mine, _, errno = peer.connect(key, {timeout = 0})
          if not mine then
            process.exit(errno)
          end
          assert(mine:send("in", TIMEOUT))
          assert(mine:receive(TIMEOUT) == "out")
        end)
      end
      assert.equal("in", link:receive(TIMEOUT))
      assert(link:send("out", TIMEOUT))
      local served = 0
      for i = 1, 4 do
        local _, code = clients[i]:wait(TIMEOUT)
        served = served + (code == 0 and 1 or 0)
        assert(code == 0 or code == EADDRINUSE or code == ENOENT, code)
      end
      assert.equal(1, served)
    end
  end)

  for _, name in ipairs {"TERM", "INT", "HUP"} do
    it("removes the segment on SIG" .. name .. ", which then does what it does", function()
      for _, waiting in ipairs {true, false} do
        local key = support.key()
        local server = child(function()
          process.signal(name, "default") -- lua5.4 itself handles SIGINT
          local link <close> = assert(peer.serve(key))
          if waiting then
            link:accept()
          else
            process.sleep(0.2) -- held back until the link is closed
            link:close()
          end
          support.forever()
        end)
        support.eventually(function() return segment(key) end)
        server:kill(name)
        ended(server, "signal", name)
        assert.is_nil((segment(key)))
      end
    end)
  end

  it("leaves a signal that ends a process to who keeps it, and is closed", function()
    for _, name in ipairs {"TERM", "INT", "HUP"} do
      local key = support.key()
      local kept <close> = assert(process.signals(name))
      local link = assert(peer.serve(key))
      process.kill(process.pid(), name)
      refused(EINTR, "^peer%.receive: interrupted by SIG" .. name .. "$", link:receive(TIMEOUT))
      assert.equal("shm.peer (closed)", tostring(link))
      assert.is_nil((segment(key)))
      assert.equal(name, (kept:wait(TIMEOUT)))
    end
  end)

  it("does not end a process that a late signal reaches after it has closed", function()
    local link, client = pair(function(mine)
      assert(mine:receive(TIMEOUT) == "x")
      mine:close()
      process.kill(process.pid(), "USR1")
      process.kill(process.pid(), "USR2")
    end)
    assert(link:send("x", TIMEOUT))
    ended(client)
    link:close()
  end)

  it("takes only sound arguments, and blocks no signal when it refuses", function()
    local function blocked()
      return support.read_file "/proc/self/status":match "SigBlk:%s*(%x+)"
    end
    local before = blocked()
    for _, call in ipairs {peer.serve, peer.connect} do
      for _, wrong in ipairs {1.5, true, {}, 0 / 0, io.stdout} do
        assert.error_matches(function() call(wrong) end, "key or path expected")
      end
      assert.error_matches(function() call() end, "key or path expected")
      assert.error_matches(function() call(0) end, "IPC_PRIVATE")
      assert.error_matches(function() call "x\0y" end, "^peer%.%l+: path: it contains a NUL$")
      assert.error_matches(function() call(1 << 40) end, "key")
      assert.error_matches(function() call(1, 2) end, "table of options")
      assert.error_matches(function() call(1, {colour = "red"}) end, "unknown option 'colour'")
      assert.error_matches(function() call(1, {project = 256}) end, "project: 256")
      assert.error_matches(function() call(1, {project = "x"}) end, "project: integer")
    end
    assert.error_matches(function() peer.serve(1, {mode = 512}) end, "mode: 512")
    assert.equal(before, blocked())
    for _, wrong in ipairs {-1, 0 / 0, "1"} do
      assert.error_matches(function() peer.connect(1, {timeout = wrong}) end, "timeout")
    end
    local link <close> = assert(peer.serve(support.key()))
    for _, wrong in ipairs {1, {}, true} do
      assert.error_matches(function() link:send(wrong) end, "data: string expected")
    end
    assert.error_matches(function() link:send(("x"):rep(125)) end, "data: 125 bytes")
    for _, wrong in ipairs {-1, 0 / 0, "1"} do
      assert.error_matches(function() link:send("x", wrong) end, "timeout")
      assert.error_matches(function() link:receive(wrong) end, "timeout")
      assert.error_matches(function() link:accept(wrong) end, "timeout")
    end
    assert.error_matches(function() link.send({}, "x") end, "link expected")
    assert.error_matches(function() link.receive() end, "link expected")
  end)
end)

describe("a textbook program in C", function()
  local program

  setup(function()
    program = support.compile "spec/textbook/pidexchange.c"
  end)

  teardown(function()
    os.remove(program)
  end)

  local function run(...)
    return assert(io.popen(program .. " " .. table.concat({...}, " ") .. " 2>&1"))
  end

  it("reads what our server sends", function()
    local key = support.key()
    local link <close> = assert(peer.serve(key))
    local reader <close> = run(key, "read", 3)
    for _, message in ipairs {"one", "two", ("x"):rep(124)} do
      assert.is_true(link:send(message, TIMEOUT))
    end
    assert.equal("one\ntwo\n" .. ("x"):rep(124) .. "\n", reader:read "a")
    refused(EINVAL, "NUL", link:send("a\0b", TIMEOUT))
    refused(EOPNOTSUPP, "does not send", link:receive(TIMEOUT))
    refused(ECONNRESET, "has ended", link:send("x", TIMEOUT))
  end)

  it("serves our client", function()
    local key = support.key()
    local server <close> = run(key, "serve", "one", "two", "three")
    local link <close> = assert(peer.connect(key, {timeout = TIMEOUT}))
    for _, message in ipairs {"one", "two", "three"} do
      assert.equal(message, link:receive(TIMEOUT))
    end
    assert.equal("", server:read "a")
    refused(ECONNRESET, "has ended", link:receive(TIMEOUT))
    refused(EOPNOTSUPP, "does not receive", link:send("x", TIMEOUT))
    assert.is_nil((segment(key)))
  end)
end)
