-- Two-way talks of shm.peer: listen and dial.
local cqueues = require "cqueues"
local door = require "shm.peer.door"
local peer = require "shm.peer"
local process = require "shm.process"
local shm = require "shm"
local soak = require "spec.soak_peer"
local support = require "spec.support"
local sysv = require "shm.sysv"

local ENOENT, EBUSY, EPIPE, EBADMSG, EOPNOTSUPP, EADDRINUSE = 2, 16, 32, 74, 95, 98
local EAGAIN, EMFILE, ECONNRESET, ETIMEDOUT = 11, 24, 104, 110
local TIMEOUT = support.LONG
local WITHIN = 10 * support.patience -- a second, and some for a machine that others use
local refused = support.refused

local children = {}

local function child(f)
  local handle = assert(process.fork(f))
  children[#children + 1] = handle
  return handle
end

local function ended(handle, how, code)
  assert.same({how or "exit", code or 0}, {handle:wait(TIMEOUT)})
end

local function kill(handle)
  handle:kill "KILL"
  ended(handle, "signal", "KILL")
end

-- Who listens, a talk, and the child on its other side, which runs f(talk).
local function pair(f, opts)
  local key = support.key()
  local server = assert(peer.listen(key, opts))
  local client = child(function()
    f(assert(peer.dial(key, {timeout = TIMEOUT})), key)
  end)
  local talk = assert(server:accept(TIMEOUT))
  assert.equal(client.pid, talk.peer)
  return talk, client, server, key
end

local function close(...)
  for _, handle in ipairs {...} do
    handle:close()
  end
end

-- The talk of a client that only waits to be killed.
local function idle(opts)
  return pair(support.forever, opts)
end

-- A child that listens, and accepts nobody.
local function deaf(key)
  local server = child(function()
    assert(peer.listen(key))
    support.forever()
  end)
  support.eventually(function() return door.find(key) end)
  return server
end

-- Within a second, f gives an error.
local function soon(f)
  local began = process.monotonic()
  local result, message, errno = f()
  assert.is_true(process.monotonic() - began < WITHIN)
  return result, message, errno
end

local before

before_each(function()
  before = support.belongings()
  before[#before + 1] = support.mappings()
  before[#before + 1] = support.ipcs "-m -s -q"
end)

after_each(function()
  for _, handle in ipairs(children) do -- what a failed test has left running
    if handle:alive() then
      handle:kill "KILL"
    end
    handle:wait(TIMEOUT)
  end
  children = {}
  local after = support.belongings()
  after[#after + 1] = support.mappings()
  after[#after + 1] = support.ipcs "-m -s -q"
  assert.same(before, after)
end)

for _, wake in ipairs(soak.WAKES) do
  describe("a talk woken by " .. wake, function()
    local opts = {wake = wake}

    it("says who it is with, and by what they wake", function()
      local parent = process.pid()
      local talk, client, server = pair(function(mine)
        assert.same({"client", wake, parent}, {mine.role, mine.wake, mine.peer})
      end, {wake = wake})
      assert.same({"server", wake, client.pid}, {talk.role, talk.wake, talk.peer})
      assert.same({wake, parent},
                  {server.wake, assert(sysv.shmctl(server.id, sysv.IPC_STAT)).cpid})
      ended(client)
      close(talk, server)
    end)

    it("carries several messages in a row, both ways at once, of any length and bytes", function()
      local all = {}
      for byte = 0, 255 do
        all[#all + 1] = string.char(byte)
      end
      local bytes = table.concat(all)
      local function messages(chunk)
        local list = {"", "\0", bytes, "ünï"}
        for _, n in ipairs {chunk - 1, chunk, chunk + 1, 2 * chunk, 2 * chunk + 1, 65536, 99999} do
          list[#list + 1] = bytes:rep(n // 256 + 1):sub(1, n)
        end
        return list
      end
      local talk, client, server = pair(function(mine)
        local list = messages(mine.chunk)
        for _, message in ipairs(list) do -- short ones fit before anybody receives
          assert(mine:send(message, TIMEOUT))
        end
        for _, message in ipairs(list) do
          assert(mine:receive(TIMEOUT) == message)
        end
      end, opts)
      local list = messages(talk.chunk)
      for _, message in ipairs(list) do
        assert.is_true(talk:receive(TIMEOUT) == message)
      end
      for _, message in ipairs(list) do
        assert.same({n = 1, true}, table.pack(talk:send(message, TIMEOUT)))
      end
      ended(client)
      close(talk, server)
    end)

    it("loses no wake-up in many hand-overs, though nobody looks unasked", function()
      soak.hand_over(wake, support.rounds(20000))
    end)

    it("carries 10 MB through 64 KiB", function()
      local much = ("0123456789abcde\n"):rep(10 * 65536)
      local talk, client, server = pair(function(mine)
        assert(mine:send(much, 6 * TIMEOUT))
        assert(assert(mine:receive(6 * TIMEOUT)) == much)
      end, opts)
      local stat = assert(sysv.shmctl(tonumber(tostring(talk.inward):match "%d+"), sysv.IPC_STAT))
      assert.is_true(stat.segsz <= 65536)
      assert.is_true(talk:receive(6 * TIMEOUT) == much)
      assert.same({n = 1, true}, table.pack(talk:send(much, 6 * TIMEOUT)))
      ended(client)
      close(talk, server)
    end)

    it("delivers nothing of what was not sent to its end", function()
      local step <close> = assert(shm.anonymous(64)) -- nobody receives before the step is done
      local function give_up(mine, byte, n)
        local ok, message, errno = mine:send(byte:rep(1 << 20), 0.01)
        assert(not ok and errno == ETIMEDOUT, message)
        step:store32(0, n)
        step:wake(0)
      end
      local talk, client, server = pair(function(mine)
        give_up(mine, "x", 1)
        assert(mine:send("whole", TIMEOUT))
        assert(mine:send(("y"):rep(1 << 20), TIMEOUT))
        give_up(mine, "z", 2) -- and it ends in the middle of that
      end, opts)
      assert(step:wait(0, 0, TIMEOUT))
      assert.equal("whole", talk:receive(TIMEOUT))
      assert.is_true(talk:receive(TIMEOUT) == ("y"):rep(1 << 20))
      assert(step:wait(0, 1, TIMEOUT))
      ended(client)
      refused(ECONNRESET, "pid " .. client.pid .. " has ended", talk:receive(TIMEOUT))
      close(talk, server)
    end)

    it("joins many clients to one server, each with a talk of its own", function()
      local key, n, rounds = support.key(), 8, support.rounds(200)
      local server = assert(peer.listen(key, opts))
      local clients = {}
      for i = 1, n do
        clients[i] = child(function()
          local mine <close> = assert(peer.dial(key, {timeout = TIMEOUT}))
          for round = 1, rounds do
            assert(mine:send(("%d %d"):format(i, round), TIMEOUT))
            assert(mine:receive(TIMEOUT) == ("you are %d, %d"):format(process.pid(), round))
          end
        end)
      end
      local seen, done = {}, 0
      while done < n do
        local talk, what = server:wait(TIMEOUT)
        assert(talk, what)
        if what == "new" then
          assert.is_nil(seen[talk])
          seen[talk] = 0
        elseif what == "message" then
          seen[talk] = seen[talk] + 1
          assert.matches("^%d " .. seen[talk] .. "$", talk:receive(0))
          assert(talk:send(("you are %d, %d"):format(talk.peer, seen[talk]), TIMEOUT))
        else
          assert.equal("ended", what)
          assert.equal(rounds, seen[talk])
          refused(EPIPE, "pid " .. talk.peer .. " has closed the talk", talk:receive(0))
          talk:close()
          done = done + 1
        end
      end
      for i = 1, n do
        ended(clients[i])
      end
      refused(ETIMEDOUT, "^peer%.wait: Connection timed out$", server:wait(0))
      close(server)
    end)

    it("names who was killed, on either side, after what that had sent", function()
      local talk, client, server, key = pair(function(mine)
        assert(mine:send("last words", TIMEOUT))
        support.forever()
      end, opts)
      support.eventually(function() return talk.inbox:used() > 0 end)
      kill(client)
      local pattern = ": pid " .. client.pid .. " has ended$"
      assert.equal("last words", talk:receive(TIMEOUT))
      refused(ECONNRESET, "^peer%.receive" .. pattern,
              soon(function() return talk:receive(TIMEOUT) end))
      refused(ECONNRESET, "^peer%.send" .. pattern, talk:send "x")
      assert.equal("ended", talk:state())
      close(talk, server)

      local other = child(function()
        local mine = assert(assert(peer.listen(key, opts)):accept(TIMEOUT))
        mine:receive(60)
      end)
      local dialled = assert(peer.dial(key, {timeout = TIMEOUT}))
      local killer = child(function()
        process.sleep(0.05) -- while the other side sleeps
        process.kill(other.pid, "KILL")
      end)
      refused(ECONNRESET, "^peer%.receive: pid " .. other.pid .. " has ended$",
              soon(function() return dialled:receive(TIMEOUT) end))
      ended(killer)
      ended(other, "signal", "KILL")
      refused(ENOENT, "nobody listens there", peer.dial(key, {timeout = 0}))
      close(dialled)
    end)

    it("tells of a death while it waits for room, and where it waits for all", function()
      local talk, client, server = idle(opts)
      local killer = child(function()
        process.sleep(0.05)
        process.kill(client.pid, "KILL")
      end)
      refused(ECONNRESET, "^peer%.send: pid " .. client.pid .. " has ended$",
              soon(function() return talk:send(("x"):rep(1 << 20), TIMEOUT) end))
      ended(killer)
      ended(client, "signal", "KILL")
      assert.same({talk, "ended"}, {soon(function() return server:wait(TIMEOUT) end)})
      talk:close()
      refused(ETIMEDOUT, "^peer%.wait: ", server:wait(0))
      close(server)
    end)

    it("tells one that is stopped from one that is dead, and goes on with it", function()
      local talk, client, server = pair(function(mine)
        for _ = 1, 2 do
          assert(mine:send(assert(mine:receive(TIMEOUT)), TIMEOUT))
        end
        support.forever()
      end, opts)
      assert.equal("open", talk:state())
      assert(talk:send("one", TIMEOUT))
      assert.equal("one", talk:receive(TIMEOUT))
      client:kill "STOP"
      support.eventually(function() return talk:state() == "stopped" end)
      assert(talk:send("two", TIMEOUT))
      local pattern = "pid " .. client.pid .. " is stopped$"
      refused(ETIMEDOUT, "^peer%.receive: Connection timed out: " .. pattern, talk:receive(0.01))
      refused(ETIMEDOUT, "^peer%.receive: Connection timed out: " .. pattern, talk:receive(0))
      refused(EBUSY, "^peer%.receive: " .. pattern,
              soon(function() return talk:receive(TIMEOUT) end))
      refused(EBUSY, "^peer%.send: " .. pattern,
              soon(function() return talk:send(("x"):rep(1 << 20), TIMEOUT) end))
      client:kill "CONT"
      assert.equal("two", talk:receive(TIMEOUT))
      assert.equal("open", talk:state())
      support.stop(client.pid)
      kill(client)
      refused(ECONNRESET, "has ended", talk:receive(TIMEOUT))
      close(talk, server)
    end)

    it("is not disturbed by those who gave up dialling", function()
      local key = support.key()
      local server = assert(peer.listen(key, opts))
      for _ = 1, 20 do -- more than there are slots
        ended(child(function()
          local talk, _, errno = peer.dial(key, {timeout = 0})
          assert(not talk and errno == ETIMEDOUT)
        end))
      end
      refused(ETIMEDOUT, "^peer%.accept: ", server:accept(0))
      local client = child(function()
        assert(peer.dial(key, {timeout = TIMEOUT})):close()
      end)
      local talk = assert(server:accept(TIMEOUT))
      ended(client)
      close(talk, server)
    end)

    it("is interrupted by Ctrl-C, on either side and where it listens", function()
      assert.is_true(support.interrupts(function()
        assert(assert(peer.listen(support.key(), opts)):wait(60))
      end))
      local step <close> = assert(shm.anonymous(64))
      local talk, client, server = pair(function(mine)
        step:store32(0, 1)
        step:wake(0)
        local ok, why = pcall(mine.receive, mine, 60)
        process.exit(not ok and tostring(why):match "interrupted" and 42 or 1)
      end, opts)
      assert(step:wait(0, 0, TIMEOUT))
      support.asleep(client.pid)
      client:kill "INT"
      ended(client, "exit", 42)
      close(talk, server)
    end)
  end)
end

describe("a side that is killed at any moment", function()
  for _, side in ipairs {"client", "server"} do
    it("as a " .. side .. " leaves nothing, and the other goes on", function()
      local n = support.rounds(9)
      local all = soak.kill(side, n)
      assert.equal(n, all.rounds)
      io.write(("\n%s\n"):format(soak.line(side, all)))
    end)
  end
end)

describe("who listens", function()
  it("has its key alone, until it closes or dies", function()
    local key = support.key()
    local server = assert(peer.listen(key))
    local pattern = "^peer%.listen key 0x%x+: pid " .. process.pid() .. " listens there already$"
    refused(EADDRINUSE, pattern, peer.listen(key))
    close(server)
    server = deaf(key)
    refused(EADDRINUSE, "pid " .. server.pid .. " listens", peer.listen(key))
    kill(server)
    close(assert(peer.listen(key)))
  end)

  it("is found by any key of 32 bits, signed or not, and any project of a path", function()
    local key, path = 0x80000000 | support.key(), os.tmpname()
    for _, it in ipairs {{key, key}, {key, key - (1 << 32)}, {key - (1 << 32), key},
                         {path, path, 1}, {path, path, 128}, {path, path, 255}} do
      local server = assert(peer.listen(it[1], {project = it[3]}))
      refused(EADDRINUSE, "listens there already", peer.listen(it[2], {project = it[3]}))
      local client = child(function()
        assert(peer.dial(it[2], {project = it[3], timeout = TIMEOUT})):receive(TIMEOUT)
      end)
      close(assert(server:accept(TIMEOUT)), server)
      ended(client)
    end
    refused(ENOENT, "nobody", peer.dial(path, {project = 2, timeout = 0}))
    os.remove(path)
  end)

  it("has its key alone also where there is no descriptor for who asks", function()
    local key = support.key()
    local server = deaf(key)
    local opened = process.open
    process.open = function() return nil, "Too many open files", EMFILE end -- luacheck: ignore
    local second = table.pack(peer.listen(key))
    local talk = table.pack(peer.dial(key, {timeout = 0}))
    process.open = opened -- luacheck: ignore
    kill(server)
    refused(EMFILE, "^peer%.listen key 0x%x+: Too many open files$", table.unpack(second, 1, 3))
    refused(EMFILE, "^peer%.dial key 0x%x+: Too many open files$", table.unpack(talk, 1, 3))
  end)

  it("leaves no name in ipcs while it lives", function()
    local server <close> = assert(peer.listen(support.key(), {mode = tonumber("640", 8)}))
    local stat = sysv.shmctl(server.id, sysv.IPC_STAT)
    assert.equal(sysv.SHM_DEST | tonumber("640", 8), stat.mode)
    assert.equal(0, stat.key)
  end)

  it("closes without ending its talks", function()
    local talk, client, server, key = pair(function(mine)
      assert(mine:send(assert(mine:receive(TIMEOUT)), TIMEOUT))
    end)
    server:close()
    refused(ENOENT, "nobody listens there", peer.dial(key, {timeout = 0}))
    assert(talk:send("still here", TIMEOUT))
    assert.equal("still here", talk:receive(TIMEOUT))
    ended(client)
    assert.is_true(server:close())
    assert.equal("shm.peer.listener (closed)", tostring(server))
    for _, method in ipairs {"accept", "wait", "fileno", "timeout", "events"} do
      assert.error_matches(function() server[method](server) end, "listener is closed")
    end
    close(talk)
  end)

  it("says that a server is stopped, or does not accept, to who dials", function()
    local key = support.key()
    local server = deaf(key)
    refused(ETIMEDOUT, "^peer%.dial key 0x%x+: pid " .. server.pid .. " does not accept$",
            peer.dial(key, {timeout = 0.05}))
    support.stop(server.pid)
    refused(EBUSY, "pid " .. server.pid .. " is stopped$",
            soon(function() return peer.dial(key, {timeout = TIMEOUT}) end))
    kill(server)
    refused(ENOENT, "nobody listens there$", peer.dial(key, {timeout = 0}))
  end)

  it("has sixteen places for who dials, and for the next one when one of them is free", function()
    local key = support.key()
    local server = assert(peer.listen(key))
    local clients = {}
    for i = 1, 16 do
      clients[i] = child(function()
        assert(peer.dial(key, {timeout = TIMEOUT})):receive(TIMEOUT)
      end)
    end
    support.eventually(function() return server.region:load32(door.ARRIVALS) == 16 end)
    refused(EAGAIN, "^peer%.dial key 0x%x+: pid " .. process.pid() .. " has too many at its door$",
            peer.dial(key, {timeout = 0}))
    local patient = child(function()
      assert(peer.dial(key, {timeout = TIMEOUT})):receive(TIMEOUT)
    end)
    local talks = {}
    for i = 1, 17 do
      talks[i] = assert(server:accept(TIMEOUT))
    end
    refused(ETIMEDOUT, "accept", server:accept(0))
    close(server, table.unpack(talks))
    for i = 1, 16 do
      ended(clients[i])
    end
    ended(patient)
  end)

  it("is replaced by the next, which who dials finds by itself", function()
    local key = support.key()
    local function serve()
      local server = assert(peer.listen(key))
      local talk = assert(server:accept(TIMEOUT))
      talk:send(tostring(process.pid()), TIMEOUT)
      support.forever()
    end
    for _ = 1, 2 do
      local server = child(serve)
      local talk = assert(peer.dial(key, {timeout = TIMEOUT}))
      assert.equal(server.pid, talk.peer)
      assert.equal(tostring(server.pid), talk:receive(TIMEOUT))
      kill(server)
      refused(ECONNRESET, "pid " .. server.pid .. " has ended", talk:receive(TIMEOUT))
      close(talk)
    end
  end)

  it("keeps off other programs' segments, and removes what was left at the key", function()
    local key = support.key()
    local id = assert(sysv.shmget(key, 4096, sysv.IPC_CREAT))
    refused(17, "another program's segment", peer.listen(key))
    refused(ENOENT, "nobody", peer.dial(key, {timeout = 0}))
    assert.is_truthy(id:stat())
    id:remove()
    local function die() -- as one that was killed before it could mark its door
      ended(child(function()
        assert(sysv.shmget(key, 1536, sysv.IPC_CREAT | sysv.IPC_EXCL))
      end))
    end
    die()
    close(assert(peer.listen(key)))
    die()
    refused(ENOENT, "nobody", peer.dial(key, {timeout = 0}))
    assert.is_nil((sysv.shmget(key, 0)))
  end)

  it("removes what was left by who was killed as it dialled", function()
    local key = support.key()
    local server = assert(peer.listen(key))
    local function die()
      local one = child(function()
        local region = door.find(key)
        assert(door.claim(region))
        assert(sysv.shmget(sysv.IPC_PRIVATE, region:load(door.LENGTH), sysv.IPC_CREAT))
      end)
      ended(one)
      return one
    end
    local dead = die()
    local function left()
      for _, info in ipairs(sysv.list().segments) do
        if info.cpid == dead.pid then
          return info
        end
      end
    end
    assert.is_truthy(left())
    refused(ETIMEDOUT, "wait", server:wait(0))
    assert.is_nil(left())
    assert.equal(0, server.region:load(door.slot(0)))
    dead = die()
    assert.is_truthy(left())
    close(server)
    assert.is_nil(left())
  end)

  it("attaches nothing that the client did not make", function()
    local server = assert(peer.listen(support.key()))
    local mine = assert(sysv.shmget(sysv.IPC_PRIVATE, server.length, sysv.IPC_CREAT))
    local kept <close> = assert(sysv.shmat(mine))
    mine:remove()
    local function present(pid, up, down)
      local region = server.region
      assert.is_true(region:cas(door.slot(3), 0, door.word(door.CLAIMED, pid)))
      region:set_i32(door.slot(3) + door.UP, up)
      region:set_i32(door.slot(3) + door.DOWN, down)
      region:store(door.slot(3), door.word(door.READY, pid))
      region:add32(door.ARRIVALS, 1)
      refused(ETIMEDOUT, "accept", server:accept(0))
      assert.equal(0, region:load(door.slot(3)))
    end
    local client = child(function()
      kept:close()
      support.forever()
    end)
    support.eventually(function() return mine:stat().nattch == 1 end)
    present(client.pid, mine.id, mine.id)
    present(process.pid(), mine.id, -1)
    present(process.pid(), 1 << 30, 1 << 30)
    present(process.pid(), mine.id, mine.id) -- but there is no queue in it
    kill(client)
    -- Two that have all that they must have, but for who made them.
    local talk, owner, other = idle()
    local ids = {}
    for i, region in ipairs {talk.inward, talk.outward} do
      ids[i] = tonumber(tostring(region):match "%d+")
    end
    local step <close> = assert(shm.anonymous(64))
    client = child(function()
      local up, down = assert(sysv.shmat(ids[1])), assert(sysv.shmat(ids[2]))
      step:store32(0, #up > 0 and #down > 0 and 1 or 2)
      step:wake(0)
      support.forever()
    end)
    assert(step:wait(0, 0, TIMEOUT))
    present(client.pid, ids[1], ids[2])
    kill(client)
    kill(owner)
    close(talk, server, other)
  end)

  it("gives each its turn, of those who have several messages there", function()
    local key = support.key()
    local server = assert(peer.listen(key))
    local clients, heard = {}, {}
    for i = 1, 3 do
      clients[i] = child(function()
        local mine = assert(peer.dial(key, {timeout = TIMEOUT}))
        for n = 1, 4 do
          assert(mine:send(tostring(n), TIMEOUT))
        end
        assert(mine:send("all", TIMEOUT))
        assert.equal("bye", mine:receive(TIMEOUT))
      end)
      heard[i] = assert(server:accept(TIMEOUT))
    end
    for _, talk in ipairs(heard) do
      support.eventually(function() return #talk.inbox == 5 end)
    end
    for n = 1, 5 do
      local turns = {}
      for _ = 1, 3 do
        local talk, what = server:wait(0)
        assert.equal("message", what)
        assert.is_nil(turns[talk])
        turns[talk] = true
        assert.equal(n < 5 and tostring(n) or "all", talk:receive(0))
      end
    end
    for i, talk in ipairs(heard) do
      assert(talk:send("bye", TIMEOUT))
      ended(clients[i])
      talk:close()
    end
    close(server)
  end)

  it("hears of a death while another keeps it busy", function()
    local talk, client, server, key = idle()
    local busy = child(function()
      local mine = assert(peer.dial(key, {timeout = TIMEOUT}))
      while mine:send("and another thing", TIMEOUT) do end
    end)
    local other = assert(server:accept(TIMEOUT))
    local function turn()
      local with, what = server:wait(TIMEOUT)
      assert(what == "message" and with == other or what == "ended" and with == talk, what)
      return what == "ended" or not assert(with:receive(0))
    end
    for _ = 1, 100 do
      assert.is_false(turn())
    end
    kill(client)
    local deadline = process.monotonic() + WITHIN
    repeat
      assert(process.monotonic() < deadline, "nobody has looked after the other one")
    until turn()
    close(talk, other, server)
    ended(busy)
  end)

  it("is not kept from those who are here by one for whom there is no descriptor", function()
    local go <close> = assert(shm.anonymous(64))
    local talk, client, server, key = pair(function(mine)
      assert(go:wait(0, 0, TIMEOUT))
      assert(mine:send("here", TIMEOUT))
      assert.equal("bye", mine:receive(TIMEOUT))
    end)
    local arrivals = server.region:load32(door.ARRIVALS)
    local other = child(function()
      assert(peer.dial(key, {timeout = TIMEOUT})):close()
    end)
    support.eventually(function() return server.region:load32(door.ARRIVALS) ~= arrivals end)
    local open = process.open
    process.open = function() return nil, "Too many open files", EMFILE end
    refused(EMFILE, "Too many open files", server:wait(0))
    go:store32(0, 1)
    go:wake(0)
    support.eventually(function() return talk.inbox:used() > 0 end)
    local with, what = server:wait(TIMEOUT)
    process.open = open
    assert.same({talk, "message"}, {with, what})
    assert.equal("here", talk:receive(0))
    assert(talk:send("bye", TIMEOUT))
    local new = assert(server:accept(TIMEOUT))
    ended(client)
    ended(other)
    close(talk, new, server)
  end)

  it("is not kept from others by one whose segments are scribbled over", function()
    local server = assert(peer.listen(support.key()))
    local length = server.length
    local client = child(function()
      math.randomseed(1)
      for _ = 1, support.rounds(100) do
        local region = server.region
        local ids = {}
        local regions = {}
        for i = 1, 2 do
          regions[i], ids[i] = door.make(length, 384)
          assert(shm.queue.create(regions[i], 512, {capacity = 1024})):close()
          assert(shm.event.create(regions[i], 128)):close()
          if math.random(4) > 1 then
            regions[i]:store32(0, 0x316b6c74) -- it goes further
          end
          for _ = 1, math.random(8) do
            regions[i]:set_u8(math.random(0, 1023), math.random(0, 255))
          end
        end
        local at = assert(door.claim(region))
        region:set_i32(at + door.UP, ids[1])
        region:set_i32(at + door.DOWN, ids[2])
        region:store(at, door.word(door.READY, process.pid()))
        region:add32(door.ARRIVALS, 1)
        support.eventually(function() return region:load(at) == 0 end, TIMEOUT)
      end
    end)
    repeat
      local talk, message, errno = server:wait(0.001)
      if talk then
        talk:receive(0)
        talk:send("x", 0)
        talk:close()
      else
        assert.equal(ETIMEDOUT, errno, message)
      end
    until not client:alive()
    ended(client)
    close(server)
  end)

  it("stands in an event loop, with all its talks", function()
    for _, wake in ipairs {"futex", "signal"} do
      local key, n = support.key(), 4
      local server = assert(peer.listen(key, {wake = wake}))
      local clients = {}
      for i = 1, n do
        clients[i] = child(function()
          local mine <close> = assert(peer.dial(key, {timeout = TIMEOUT}))
          local loop = cqueues.new()
          loop:wrap(function()
            for round = 1, 50 do
              assert(mine:send(tostring(round), TIMEOUT))
              local answer
              repeat
                answer = mine:receive(0)
                if not answer then
                  assert(cqueues.poll({pollfd = mine:pollfd(), events = "r"}, TIMEOUT)
                         ~= TIMEOUT, "it was not told")
                end
              until answer
              assert(answer == tostring(-round))
            end
            cqueues.cancel(mine:fileno())
          end)
          assert(loop:loop())
        end)
      end
      local loop, done = cqueues.new(), 0
      loop:wrap(function()
        while done < n do
          local talk, what = server:wait(0)
          if what == "message" then
            talk:send(tostring(-tonumber(talk:receive(0))), 0)
          elseif what == "ended" then
            talk:close()
            done = done + 1
          elseif not talk then
            assert(cqueues.poll(server, TIMEOUT) ~= TIMEOUT, "it was not told")
          end
        end
        cqueues.cancel(server:fileno())
      end)
      assert(loop:loop())
      for i = 1, n do
        ended(clients[i])
      end
      close(server)
    end
  end)

  it("is told again of what a talk's wait has heard of others", function()
    for _, wake in ipairs {"futex", "signal"} do
      local key = support.key()
      local server = assert(peer.listen(key, {wake = wake}))
      local function client(word)
        local one = child(function()
          local mine = assert(peer.dial(key, {timeout = TIMEOUT}))
          if mine:receive(TIMEOUT) == "go" then
            assert(mine:send(word, TIMEOUT))
            mine:receive(TIMEOUT)
          end
        end)
        return one, assert(server:accept(TIMEOUT))
      end
      local first, talk = client "first"
      local second, other = client "second"
      local poll = cqueues.new()
      assert(server:fileno())
      repeat until not server:wait(0)
      assert(other:send("go", TIMEOUT))
      refused(ETIMEDOUT, "receive", talk:receive(0.15)) -- hears the bell for the other one
      local told
      poll:wrap(function()
        told = cqueues.poll({pollfd = server:pollfd(), events = "r"}, TIMEOUT) ~= TIMEOUT
        cqueues.cancel(server:fileno())
      end)
      assert(poll:loop())
      assert.is_true(told)
      assert.same({other, "message"}, {server:wait(0)})
      assert.equal("second", other:receive(0))
      close(talk, other, server)
      ended(first)
      ended(second)
    end
  end)

  it("is told again of what its wait for a new client has heard of others", function()
    for _, wake in ipairs {"futex", "signal"} do
      local talk, client, server = pair(function(mine)
        assert(mine:receive(TIMEOUT))
        assert(mine:send("heard", TIMEOUT))
        mine:receive(TIMEOUT)
      end, {wake = wake})
      assert(server:fileno())
      repeat until not server:wait(0)
      assert(talk:send("go", TIMEOUT))
      repeat
        refused(ETIMEDOUT, "accept", server:accept(0.15)) -- hears the bell for the other one
      until talk.inbox:used() > 0
      local poll = cqueues.new()
      local function told(seconds)
        local result
        poll:wrap(function()
          result = cqueues.poll({pollfd = server:pollfd(), events = "r"}, seconds) ~= seconds
          cqueues.cancel(server:fileno())
        end)
        assert(poll:loop())
        return result
      end
      assert.is_true(told(TIMEOUT))
      refused(ETIMEDOUT, "accept", server:accept(0))
      assert.is_true(told(TIMEOUT)) -- still
      assert.same({talk, "message"}, {server:wait(0)})
      assert.equal("heard", talk:receive(0))
      refused(ETIMEDOUT, "accept", server:accept(0))
      assert.is_false(told(0)) -- and not for ever
      close(talk, server)
      ended(client)
    end
  end)

  it("has one descriptor under three names, or says why it has none", function()
    local key = support.key()
    local server = child(function()
      assert(assert(peer.listen(key)):accept(TIMEOUT)):receive(TIMEOUT)
    end)
    local talk = assert(peer.dial(key, {timeout = TIMEOUT}))
    local listener = assert(peer.listen(support.key()))
    for _, it in ipairs {talk, listener} do
      local object = it.bell.object
      it.bell.object = {fileno = function() return nil, "Too many open files", EMFILE end}
      for _, name in ipairs {"fileno", "getfd", "pollfd"} do
        refused(EMFILE, "^peer%.fileno: Too many open files$", it[name](it))
      end
      it.bell.object = object
      local fd = assert(it:fileno())
      assert.same({fd, fd, "r"}, {it:getfd(), it:pollfd(), it:events()})
      assert.is_true(it:timeout() > 0 and it:timeout() <= 1)
    end
    close(talk, listener)
    ended(server)
  end)

  it("has no descriptor where semaphores wake, nor for one talk of many", function()
    local server = assert(peer.listen(support.key(), {wake = "semaphore"}))
    refused(EOPNOTSUPP, "^peer%.fileno: a semaphore has no descriptor", server:fileno())
    close(server)
    local talk, client, other = idle()
    refused(EOPNOTSUPP, "where it listens", talk:fileno())
    assert.equal("r", talk:events())
    assert.is_true(talk:timeout() < 1)
    kill(client)
    close(talk, other)
  end)
end)

describe("a talk", function()
  it("is closed once, by its owner alone, and can not be used after", function()
    local talk, client, server = pair(function(mine)
      assert(mine:receive(TIMEOUT) == "still open")
      mine:close()
      support.forever()
    end)
    ended(child(function()
      local ok, why = pcall(talk.send, talk, "x")
      assert(not ok and why:match "belongs to process")
      talk:close()
      server:close()
    end))
    assert(talk:send("still open", TIMEOUT))
    refused(EPIPE, "pid " .. client.pid .. " has closed the talk$", talk:receive(TIMEOUT))
    refused(EPIPE, "^peer%.send: ", talk:send "x")
    assert.equal("closed", talk:state())
    assert.matches("^shm%.peer%.talk %(server, pid %d+%)$", tostring(talk))
    assert.matches("^shm%.peer%.listener %(futex, 1 talks%)$", tostring(server))
    assert.is_true(talk:close())
    assert.is_true(talk:close())
    assert.equal("shm.peer.talk (closed)", tostring(talk))
    for _, method in ipairs {"send", "receive", "state", "fileno", "timeout", "events"} do
      assert.error_matches(function() talk[method](talk, "x") end, "talk is closed")
    end
    kill(client)
    close(server)
  end)

  it("leaves what it has sent to the other side when it closes, but nothing half", function()
    local talk, client, server = pair(function(mine)
      for i = 1, 3 do
        assert(mine:send("word " .. i, TIMEOUT))
      end
      refused(ETIMEDOUT, "send", mine:send(("and so on "):rep(20000), 0))
      mine:close()
    end)
    ended(client)
    for i = 1, 3 do
      assert.same({talk, "message"}, {server:wait(0)})
      assert.equal("word " .. i, talk:receive(0))
    end
    assert.equal("closed", talk:state())
    refused(EPIPE, "has closed the talk$", talk:receive(TIMEOUT))
    assert.same({talk, "ended"}, {server:wait(0)})
    close(talk, server)
  end)

  it("does not end a process that a signal reaches which comes late to wake", function()
    local key = support.key()
    local server = child(function()
      local listener = assert(peer.listen(key, {wake = "signal"}))
      local talk = assert(listener:accept(TIMEOUT))
      refused(EPIPE, "has closed the talk", talk:receive(TIMEOUT))
      close(talk, listener)
      process.kill(process.pid(), "USR2")
    end)
    local client = child(function()
      assert(peer.dial(key, {timeout = TIMEOUT})):close()
      process.kill(process.pid(), "USR1")
    end)
    ended(client)
    ended(server)
  end)

  it("is let go of when nobody has it any more", function()
    local key = support.key()
    local server = child(function()
      local listener = assert(peer.listen(key))
      local talk = assert(listener:accept(TIMEOUT))
      local got, _, errno = talk:receive(TIMEOUT)
      assert(not got and errno == EPIPE)
    end)
    do
      local talk = assert(peer.dial(key, {timeout = TIMEOUT}))
      assert.equal(server.pid, talk.peer)
    end
    collectgarbage()
    collectgarbage()
    ended(server)
  end)

  it("does not believe what is no message", function()
    for _, wrong in ipairs {0, -1, 1.5, true, {}, math.mininteger} do
      local talk, client, server = pair(function(mine)
        assert(mine.outbox:push(wrong, 0))
        mine.ring()
        mine:receive(60)
      end)
      refused(EBADMSG, "pid " .. client.pid .. " sends what is no message", talk:receive(TIMEOUT))
      close(talk, server)
      ended(client)
    end
  end)

  it("takes only sound arguments, and names them where they were given", function()
    for _, call in ipairs {peer.listen, peer.dial} do
      for _, wrong in ipairs {1.5, true, {}, 0 / 0, io.stdout} do
        assert.error_matches(function() call(wrong) end, "key or path expected")
      end
      local ok, message = pcall(function()
        local result = call(0) -- this line
        return result
      end)
      assert.is_false(ok)
      assert.matches("peer_duplex_spec%.lua:%d+: peer%.%l+: key: IPC_PRIVATE", message)
      assert.error_matches(function() call "x\0y" end, "^peer%.%l+: path: it contains a NUL$")
      assert.error_matches(function() call(1, 2) end, "table of options")
      assert.error_matches(function() call(1, {colour = "red"}) end, "unknown option 'colour'")
      assert.error_matches(function() call(1, {project = 256}) end, "project: 256")
    end
    for _, wrong in ipairs {"pause", "", "futex semaphore", " "} do
      assert.error_matches(function() peer.listen(1, {wake = wrong}) end, "wake: '" .. wrong)
    end
    for _, wrong in ipairs {1, true, {}} do
      assert.error_matches(function() peer.listen(1, {wake = wrong}) end, "wake: string")
    end
    for _, wrong in ipairs {16383, (1 << 30) + 1} do
      assert.error_matches(function() peer.listen(1, {size = wrong}) end,
                           "size: " .. wrong .. " is not within 16384 and 1073741824$")
    end
    assert.error_matches(function() peer.listen(1, {mode = 512}) end, "mode: 512")
    local talk, client, server = idle()
    for _, wrong in ipairs {-1, 0 / 0, "1"} do
      assert.error_matches(function() peer.dial(1, {timeout = wrong}) end, "timeout")
      assert.error_matches(function() server:accept(wrong) end, "timeout")
      assert.error_matches(function() server:wait(wrong) end, "timeout")
      assert.error_matches(function() talk:send("x", wrong) end, "timeout")
      assert.error_matches(function() talk:receive(wrong) end, "timeout")
    end
    for _, wrong in ipairs {1, {}, true} do
      assert.error_matches(function() talk:send(wrong) end, "data: string expected")
    end
    assert.error_matches(function() talk.send({}, "x") end, "talk expected")
    assert.error_matches(function() server.wait {} end, "listener expected")
    kill(client)
    close(talk, server)
  end)
end)
