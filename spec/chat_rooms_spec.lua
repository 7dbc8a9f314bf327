-- The chat's rooms, private messages and history; other ways to it; and what outlasts a server.
local board = require "shm.chat.board"
local chat_support = require "spec.chat_support"
local errors = require "cqueues.errno"
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local socket = require "cqueues.socket"
local support = require "spec.support"

local connect, together = chat_support.connect, chat_support.together
local LONG <const> = support.LONG

describe("the chat", function()
  local servers, names

  local function serve(opts)
    local server = chat_support.serve(opts or {})
    servers[#servers + 1] = server
    return server
  end

  local function keep()
    local name = "shm-spec-" .. support.key()
    names[#names + 1] = name
    return name
  end

  before_each(function()
    servers, names = {}, {}
  end)

  after_each(function()
    for _, server in ipairs(servers) do
      server.stop "KILL"
    end
    for _, name in ipairs(names) do
      shm.unlink(name)
    end
  end)

  -- What was said before, as who joins reads it.
  local function history(client)
    local n = tonumber((client:expect "^%* said before, (%d+) line"))
    local lines = {}
    for i = 1, n do
      lines[i] = client:read()
    end
    return lines
  end

  describe("shows who joins what was said before:", function()
    it("the last lines, whole and in order, and then what comes, without a gap", function()
      local server = serve {history = 3}
      local ann = connect(server)
      ann:write "one\ntwo\nthree\nfour\n/who\n"
      ann:expect "^%* (1) here"
      local bob = connect(server)
      assert.same({"guest1: two", "guest1: three", "guest1: four"}, history(bob))
      ann:say "five"
      assert.equal("guest1: five", bob:read())
    end)

    it("nothing where nothing was said, or none is wanted", function()
      local server = serve()
      local ann, bob = connect(server), connect(server)
      ann:say "hello"
      assert.equal("guest1: hello", bob:read())
      server.stop()
      server = serve {history = 0}
      ann = connect(server)
      ann:write "hello\n/who\n"
      ann:expect "^%* (1) here"
      bob = connect(server)
      ann:say "again"
      assert.equal("guest1: again", bob:read())
    end)

    it("each line once while all talk, in history or after it", function()
      local server = serve {history = 1000}
      local talkers, jobs, late, joined = {}, {}, math.max(4, support.rounds(16)), 0
      for i = 1, 4 do
        talkers[i] = connect(server)
      end
      -- Reads from wherever its history begins, and then all, until the talkers have ended.
      local function reader(client, missing)
        local counts = {}
        while missing > 0 do
          local line = assert(client:read())
          local n, name = line:match "^guest%d+: (%d+) of (guest%d+)$"
          if n then
            counts[name] = (counts[name] or tonumber(n) - 1) + 1
            assert.equal(counts[name], tonumber(n))
          elseif line:match ": the last$" then
            missing = missing - 1
          end
        end
      end
      for _, client in ipairs(talkers) do
        jobs[#jobs + 1] = function()
          local n = 0
          repeat
            n = n + 1
            client:say(n .. " of " .. client.name)
            require("cqueues").sleep(n % 4 == 0 and 0.001 or 0)
          until joined == late
          client:say "the last"
        end
        jobs[#jobs + 1] = function() reader(client, #talkers - 1) end
      end
      for i = 1, late do
        jobs[#jobs + 1] = function()
          require("cqueues").sleep(0.01 * i)
          local client = connect(server)
          joined = joined + 1
          reader(client, #talkers)
        end
      end
      together(table.unpack(jobs))
    end)
  end)

  describe("has rooms", function()
    it("each with its own lines, joins, leaves, names and history", function()
      local server = serve()
      local ann, bob, eve = connect(server), connect(server), connect(server)
      bob:say "/join den"
      assert.equal("den; 1 here", bob:expect "^%* this is (.*)$")
      ann:expect "^%* guest2 goes to (den)$"
      ann:say "in the lobby"
      eve:expect "^guest1: (in the lobby)$"
      bob:say "alone"
      bob:say "/who" -- so that it has been said
      bob:expect "^%* 1 here"
      eve:say "/join den"
      assert.equal("den; 2 here", eve:expect "^%* this is (.*)$")
      assert.same({"guest2: alone"}, history(eve))
      assert.equal("* guest3 joined", bob:read())
      eve:say "hello"
      assert.equal("guest3: hello", bob:read())
      eve:say "/nick eve"
      assert.equal("* guest3 is now eve", bob:read())
      eve:say "/who"
      assert.equal("guest2, eve", eve:expect "^%* 2 here: (.*)$")
      ann:say "/who"
      assert.equal("guest1", ann:expect "^%* 1 here: (.*)$")
      eve:say "/join den"
      assert.equal("* this is den", eve:read())
      bob:say "/join no room"
      bob:expect "^%* (a name) has"
      eve:say "/quit"
      assert.equal("* eve left", bob:read())
      bob:write "/join lobby\nhello again\n" -- the line is for the room that it was typed in
      assert.equal("hello again", ann:expect "^guest2: (.*)$")
      assert.same({"guest1: in the lobby"}, history(bob))
      bob:say "/join den"
      bob:say "/join lobby"
      assert.equal("lobby; 2 here", bob:expect "^%* this is (lobby.*)$")
    end)

    it("up to a thousand, which stay", function()
      local name = keep()
      local memory = assert(board.open {keep = name, limit = 2, memory = 1 << 16})
      for i = 1, 999 do
        assert.is_number(memory:room("room" .. i))
      end
      local last = memory:room "room999"
      memory:close()
      local server = serve {keep = name, limit = 2, memory = 1 << 16} -- the lobby is one more
      local ann = connect(server)
      ann:write "/join room1000\n/join room999\n"
      ann:expect "^%* there are (too many rooms)$"
      ann:expect "^%* this is (room999); 1 here$"
      ann:close()
      assert.same({"exit", 0}, {server.stop()})
      memory = assert(board.open {keep = name, limit = 2, memory = 1 << 16})
      assert.equal(last, memory:room "room999")
      assert.is_nil(memory:room "room1000")
      memory:close()
    end)

    it("and says to one, in whatever room, what no other reads", function()
      local server = serve()
      local ann, bob, eve = connect(server), connect(server), connect(server)
      bob:say "/join den"
      bob:expect "^%* this is (den)"
      ann:say "/msg guest2 psst:  two  blanks "
      assert.equal("guest1 to you: psst:  two  blanks ", bob:read())
      ann:expect "^%* told (guest2)$"
      ann:say "/msg guest2"
      ann:expect "^%* (/msg NAME TEXT) says"
      ann:say "/msg nobody hello"
      ann:expect "^%* nobody is called (nobody)$"
      ann:say "/msg guest1 to myself"
      ann:expect "^guest1 to you: (to myself)$"
      ann:say "for all"
      eve:expect "^%* guest2 goes to (den)$"
      assert.equal("guest1: for all", eve:read())
      assert.same({"guest1: for all"}, history(connect(server)))
    end)
  end)

  describe("listens on a Unix-domain socket", function()
    it("beside TCP or alone, which only its owner may enter, and leaves none", function()
      local path = os.tmpname()
      os.remove(path)
      local server = serve {path = path}
      assert.equal("600", support.shell("stat -c %a " .. path):match "%d+")
      local ann, bob = connect(server), connect({path = path})
      bob:say "hello"
      assert.equal("hello", ann:expect "^guest2: (.*)$")
      local done, message, errno = require("shm.chat").serve {path = path, tcp = false}
      assert.is_nil(done)
      assert.equal(98, errno)
      assert.matches("^chat%.serve " .. path .. ": Address already in use", message)
      ann:say "/who"
      assert.equal("guest1, guest2", ann:expect "^%* 2 here: (.*)$")
      assert.same({"signal", "KILL"}, {server.stop "KILL"})
      assert.is_nil(bob:read())
      server = serve {path = path, tcp = false} -- in place of the dead one's
      bob = connect({path = path})
      bob:close()
      assert.same({"exit", 0}, {server.stop()})
      assert.is_nil(io.open(path))
      assert.matches("No such file", support.shell("ls " .. path .. " 2>&1"))
    end)

    it("where nothing else is, of which it removes none", function()
      local folder = os.tmpname()
      os.remove(folder)
      local path = folder .. "/it's here"
      for what, make in pairs {regular = "touch", fifo = "mkfifo", directory = "mkdir"} do
        support.shell(("mkdir %s; %s '%s/it'\\''s here'"):format(folder, make, folder))
        local done, message, errno = require("shm.chat").serve {
          path = path, tcp = false, ready = function() process.kill(process.pid(), "TERM") end,
        }
        assert.is_nil(done, what)
        assert.equal(98, errno)
        assert.matches(": Address already in use %(choose another path%)$", message)
        assert.matches(what, support.shell(("stat -c %%F %s/*"):format(folder)))
        support.shell("rm -r " .. folder)
      end
    end)

    it("and leaves another server's in its place alone when it ends", function()
      local path = os.tmpname()
      os.remove(path)
      local server = serve {path = path}
      os.remove(path)
      local other = serve {path = path, tcp = false}
      assert.same({"exit", 0}, {server.stop()})
      connect({path = path}):close()
      assert.same({"exit", 0}, {other.stop()})
      assert.matches("No such file", support.shell("ls " .. path .. " 2>&1"))
    end)

    -- One that another server has bound, and does not listen on yet, looks like a dead one's.
    it("and leaves one alone while another server looks after those beside it", function()
      local folder = os.tmpname()
      os.remove(folder)
      support.shell("mkdir " .. folder)
      local path = folder .. "/chat"
      local server = serve {path = path}
      server.stop "KILL"
      local function bound()
        return support.shell("stat -c %z " .. path)
      end
      local before = bound()
      local lock = assert(posix.open(folder, posix.O_RDONLY))
      assert(posix.flock(lock, "write"))
      local child = assert(process.fork(function()
        require("shm.chat").serve {path = path, tcp = false}
      end))
      servers[#servers + 1] = {stop = function() return child:kill "KILL" and child:wait() end}
      process.sleep(0.2)
      assert.equal(before, bound())
      assert(posix.flock(lock, "none"))
      lock:close()
      support.eventually(function() return bound() ~= before end)
      child:kill "TERM"
      assert.same({"exit", 0}, {child:wait(support.LONG)})
      support.shell("rmdir " .. folder)
    end)

    it("by a name as long as there can be, and no longer", function()
      local path = os.tmpname()
      os.remove(path)
      path = path .. ("x"):rep(107 - #path)
      local server = serve {path = path, tcp = false}
      connect({path = path}):close()
      server.stop "KILL"
      server = serve {path = path, tcp = false} -- in place of the dead one's
      assert.same({"exit", 0}, {server.stop()})
      assert.matches("No such file", support.shell("ls " .. path .. " 2>&1"))
      for _, f in ipairs {require("shm.chat").serve, require("shm.chat.client").run} do
        for _, wrong in ipairs {"", path .. "x", "\0x", "x\0"} do
          local ok, why = pcall(f, {path = wrong})
          assert.is_false(ok)
          assert.matches("^chat%.%a+: path: 1 to 107 bytes, and no NUL, expected$", why)
        end
      end
    end)
  end)

  describe("goes on with what was said", function()
    it("after SIGHUP, on the same sockets", function()
      local server = serve()
      local ann = connect(server)
      ann:write "hello\n/who\n"
      ann:expect "^%* (1) here"
      for _ = 1, support.rounds(5) do
        assert(server.child:kill "HUP")
        ann:expect "^%* (the server restarts)"
        assert.is_nil(ann:read())
        ann = connect(server)
        assert.equal("guest1", ann.name)
        assert.same({"guest1: hello"}, history(ann))
        assert.equal(1, #chat_support.children(server))
      end
      assert.same({"exit", 0}, {server.stop()})
    end)

    it("in a kept arena, however a server ends; and one at a time has it", function()
      local name = keep()
      local server = serve {keep = name}
      local ann = connect(server)
      ann:write "before\n/join den\nin the den\n/who\n"
      ann:expect "^%* (1) here"
      local done, message, errno = require("shm.chat").serve {keep = name, port = 0}
      assert.same({nil, ("chat.serve '%s': another server has it"):format(name), 16},
                  {done, message, errno})
      server.stop "KILL"
      server = serve {keep = name}
      ann = connect(server)
      assert.equal("guest1", ann.name) -- nobody is there but those who are
      assert.same({"guest1: before"}, history(ann))
      ann:say "/join den"
      assert.same({"guest1: in the den"}, history(ann))
      ann:write "after\n/who\n"
      ann:expect "^%* (1) here"
      assert.same({"exit", 0}, {server.stop()})
      assert.same({nil, 22}, {(function()
        local ok, _, code = require("shm.chat").serve {keep = name, port = 0, limit = 65}
        return ok, code
      end)()})
      server = serve {keep = name, limit = 10}
      ann = connect(server)
      assert.same({"guest1: before"}, history(ann))
      ann:say "/join den"
      assert.same({"guest1: in the den", "guest1: after"}, history(ann))
      assert.same({"exit", 0}, {server.stop()})
      assert.is_true(shm.unlink(name))
    end)

    it("in a kept arena of less memory than is asked for, which nobody blocks", function()
      local name, grace = keep(), 2 * support.patience
      assert.same({"exit", 0}, {serve {keep = name, memory = 1 << 16}.stop()})
      local server = serve {keep = name, memory = 1 << 20, grace = grace}
      local ann, bob, eve = connect(server), connect(server), connect(server)
      support.stop(chat_support.pid_of(server, "guest3"))
      chat_support.overfill(ann, "guest1", bob)
      assert.matches("ending guest3: its process did not go on", server.log())
      for _, client in ipairs {ann, bob, eve} do
        client:close()
      end
      assert.same({"exit", 0}, {server.stop()})
    end)

    it("but in no arena that is another's, has too little room, or can not be called so", function()
      local path = os.tmpname()
      local function refuses(errno, pattern, name, make)
        local arena <close> = assert(shm.arena(name, {size = 1 << 16}))
        assert(make(arena)):close()
        local before = arena:names()
        os.remove(path)
        local done, message, code = require("shm.chat").serve {
          keep = name, path = path, port = 0,
          ready = function() process.kill(process.pid(), "TERM") end,
        }
        assert.same({nil, errno}, {done, code}, message)
        assert.matches("^chat%.serve '" .. name:gsub("%p", "%%%0") .. "': " .. pattern, message)
        assert.matches("No such file", support.shell("ls " .. path .. " 2>&1"))
        return before, arena:names()
      end
      local before, after = refuses(39, "what is in it is not a chat's$", keep(), function(arena)
        return arena:map "names"
      end)
      assert.same(before, after)
      refuses(39, "arena%.mutex 'server': it is of another kind$", keep(), function(arena)
        return arena:map "server"
      end)
      refuses(28, "arena%.topic 'said': the arena is full$", keep(), function(arena)
        return arena:mutex "server"
      end)
      for _, wrong in ipairs {"", "a/b", "..", "x\0", ("x"):rep(256)} do
        local ok, why = pcall(function()
          require("shm.chat").serve {keep = wrong, path = path, port = 0}
        end)
        assert.is_false(ok)
        assert.matches("chat_rooms_spec%.lua:%d+: chat%.serve: keep: name: ", why)
        assert.matches("No such file", support.shell("ls " .. path .. " 2>&1"))
      end
    end)

    it("killed at random under load, children and server, all acknowledged", function()
      local deaths = require "spec.chat_deaths"
      local said = deaths.run(keep(), math.max(3, support.rounds(20)), LONG)
      assert.is_true(said.kills > 0 and said.restarts > 0)
    end)
  end)

  it("ends with all its children by what log and ready throw", function()
    local path = os.tmpname()
    os.remove(path)
    local function serve_here(opts)
      local ok, why = pcall(require("shm.chat").serve, opts)
      assert.is_false(ok)
      assert.matches("No such file", support.shell("ls " .. path .. " 2>&1"))
      return why
    end
    local before, mode = support.belongings(), collectgarbage "incremental"
    assert.equal("unready", serve_here {
      path = path, tcp = false,
      ready = function(...)
        assert.same({n = 2}, table.pack(...))
        error("unready", 0)
      end,
    })
    local client
    assert.matches("^guest1 joined from this machine, served by pid %d+$", serve_here {
      path = path, tcp = false,
      ready = function()
        client = socket.connect {path = path}
        client:onerror(function(_, _, why) return why end)
        assert(client:connect(LONG))
      end,
      log = function(line)
        if line:match "joined" then
          error(line, 0)
        end
      end,
    })
    client:settimeout(LONG)
    repeat
      local line, why = client:read "*l"
      assert.is_not_equal(errors.ETIMEDOUT, why)
    until not line
    client:close()
    assert.same(before, support.belongings())
    assert.equal("incremental", collectgarbage(mode)) -- as it was
  end)

  it("keeps descriptors and memory for as many as it may", function()
    local before = posix.fstat(0) and support.belongings()
    local server = serve {limit = 150}
    local clients = {}
    for i = 1, 150 do
      clients[i] = connect(server)
    end
    clients[150]:say "all here"
    for i = 1, 149 do
      clients[i]:expect "^guest150: (all here)$"
    end
    for _, client in ipairs(clients) do
      client:close()
    end
    support.eventually(function() return #chat_support.children(server) == 0 end, LONG)
    assert.same({"exit", 0}, {server.stop()})
    assert.same(before, support.belongings())
    assert(process.pid())
  end)
end)
