-- Requests and responses whose server or client is killed: before each of its stores, at the
-- moments that matter, and at random.
local everywhere = require "spec.rpc_everywhere"
local process = require "shm.process"
local rpc = require "shm.rpc"
local rpcs = require "spec.rpc_support"
local soak = require "spec.rpc_soak"
local support = require "spec.support"

local LONG, refused, killed = rpcs.LONG, rpcs.refused, rpcs.killed
local EOWNERDEAD, ETIMEDOUT = 130, 110

describe("rpc", function()
  local before, arena, used, done

  before_each(function()
    before = rpcs.outside()
    arena = rpcs.arena()
    done = assert(arena:counter "done")
    used = arena:stat().used
  end)

  after_each(function()
    done:close()
    arena:close()
    assert.same(before, rpcs.outside())
  end)

  local METHODS = {
    add = function(_, x, y)
      done:add(1)
      return x + y
    end,
    die = function()
      done:add(1)
      process.kill(process.pid(), "KILL")
    end,
    die_once = function()
      if done:add(1) == 0 then
        process.kill(process.pid(), "KILL")
      end
      return "done"
    end,
  }

  local function nothing_left()
    rpcs.nothing_left(arena, "calc", used, {done = "counter"})
  end

  local function client_of(opts)
    return assert(rpc.client(arena, "calc", opts or {timeout = LONG}))
  end

  it("names the server that died, to that one's own child as well", function()
    local ours <close>, other = assert(process.socketpair())
    local pid = killed(function()
      local server = assert(rpc.server(arena, "calc", METHODS))
      assert(process.fork(function()
        local client = client_of()
        local _, message = client:call("die")
        client:close()
        other:send(process.pid() .. " " .. message)
      end))
      server:step(LONG)
    end)
    other:close()
    local asker, message = ours:recv(100, LONG):match "^(%d+) (.*)$"
    assert.equal("rpc.call 'calc.die': its server died, pid " .. pid, message)
    -- What the child had from its parent is given back when it ends.
    support.eventually(function() return not process.alive(math.tointeger(asker)) end)
    nothing_left()
  end)

  it("names the server that died with a request, and does it no second time", function()
    local client <close> = client_of()
    local other <close> = client_of()
    local server <close> = rpcs.serve(arena, "calc", METHODS)
    local calls = {}
    for i = 1, 3 do
      calls[i] = assert(client:start("add", i, i))
    end
    local said = ("^rpc%%.call 'calc%%.die': its server died, pid %d$"):format(server.pid)
    refused(EOWNERDEAD, said, client:call "die")
    for i = 1, 3 do -- what was answered before is
      assert.equal(2 * i, calls[i]:wait(0))
    end
    assert.equal(4, done:get())
    assert.same({}, client:servers())
    refused(ETIMEDOUT, "nobody serves it$", client:with({timeout = 0.01}):call("add", 1, 1))
    -- What nobody has begun waits for the next server.
    local waiting = assert(other:start("add", 20, 1))
    local next_one <close> = rpcs.serve(arena, "calc", METHODS)
    assert.equal(21, waiting:wait())
    assert.same({next_one.pid}, other:servers())
    assert.equal(5, done:get())
    rpcs.finish(next_one)
    client:close()
    other:close()
    nothing_left()
  end)

  it("tells each of several whose calls are in flight at once", function()
    local client <close> = client_of()
    local die, more = assert(client:start "die"), {}
    local pid = killed(function()
      local server = assert(rpc.server(arena, "calc", METHODS))
      server:step()
    end)
    for i = 1, 5 do
      more[i] = assert(client:start("add", i, i))
    end
    local server <close> = rpcs.serve(arena, "calc", METHODS)
    for i = 5, 1, -1 do
      assert.equal(2 * i, more[i]:wait())
    end
    refused(EOWNERDEAD, ("^rpc%%.wait 'calc%%.die': its server died, pid %d$"):format(pid),
            die:wait())
    rpcs.finish(server)
  end)

  it("begins anew where that is asked for, so often", function()
    local client <close> = client_of {timeout = LONG, retry = 1}
    local servers = {}
    for i = 1, 3 do
      servers[i] = rpcs.serve(arena, "calc", METHODS)
    end
    assert.equal("done", client:call "die_once")
    assert.equal(2, done:get())
    refused(EOWNERDEAD, "its server died, pid %d+$", client:call "die")
    assert.equal(4, done:get()) -- once, and once more
    assert.same({}, client:servers())
    for _, child in ipairs(servers) do
      child.ended()
      getmetatable(child).__close()
    end
  end)

  it("loses no request that a server has taken and not begun", function()
    local client <close> = client_of()
    local call = assert(client:start("add", 1, 2))
    killed(function()
      local server = assert(rpc.server(arena, "calc", METHODS))
      assert(server.pop(0)) -- from here on it is in these hands only
    end)
    assert.equal(0, #client.state.register.requests)
    local server <close> = rpcs.serve(arena, "calc", METHODS)
    assert.equal(3, call:wait())
    assert.equal(1, done:get())
    -- The same when it has left, and has not died.
    rpcs.finish(server)
    call = assert(client:start("add", 2, 2))
    do
      local leaving <close> = assert(rpc.server(arena, "calc", METHODS))
      assert(leaving.pop(0))
    end
    local another <close> = rpcs.serve(arena, "calc", METHODS)
    assert.equal(4, call:wait())
    assert.equal(2, done:get())
    rpcs.finish(another)
  end)

  it("does once what is in the queue twice", function()
    local client <close> = client_of()
    local call = assert(client:start("add", 1, 2))
    killed(function() assert(rpc.server(arena, "calc", METHODS)) end)
    refused(ETIMEDOUT, "", call:wait(0)) -- it sees that somebody departed, and pushes again
    assert.equal(2, #client.state.register.requests)
    local server <close> = assert(rpc.server(arena, "calc", METHODS))
    assert.is_true(server:step(0) and server:step(0))
    assert.equal(1, done:get())
    assert.equal(3, call:wait(0))
  end)

  it("finds the answer that was a server's last act", function()
    local client <close> = client_of()
    local call = assert(client:start("add", 1, 2))
    local other = assert(client:start("add", 2, 2))
    killed(function()
      local server = assert(rpc.server(arena, "calc", METHODS))
      assert(server:step(0) and server:step(0))
    end)
    assert.equal(4, other:wait(0))
    assert.equal(3, call:wait(0))
  end)

  it("drops what the dead have asked for, and gives their memory back", function()
    local server <close> = assert(rpc.server(arena, "calc", METHODS))
    local before_them = arena:stat().used
    killed(function()
      local mine = client_of()
      for i = 1, 10 do
        assert(mine:start("add", i, i))
      end
    end)
    assert.is_true(server:step(0)) -- before anybody knows: it is done for nobody
    assert.equal(1, done:get())
    assert.equal(1, #server.register:pids "client" + 1) -- now everybody does
    for _ = 1, 9 do
      assert.is_true(server:step(0))
    end
    assert.equal(1, done:get())
    refused(ETIMEDOUT, "", server:step(0))
    assert(arena:attached())
    assert.equal(before_them, arena:stat().used)
    server:close()
    nothing_left()
  end)

  it("lets a method see that its caller is dead", function()
    local server <close> = rpcs.serve(arena, "calc", {
      wait = function(request)
        support.eventually(function() return request:cancelled() end)
        done:add(1)
      end,
    })
    killed(function()
      local mine = client_of()
      local call = assert(mine:start "wait")
      support.eventually(function() return mine.state.region:load(call.slot * 8) & 3 == 2 end)
    end)
    assert.is_true(done:wait(1, LONG))
    rpcs.finish(server)
  end)

  local kills = 0

  local function report(n)
    kills = kills + n
  end

  it("outlives a server that is killed before any of its stores", function()
    report(everywhere.server(support.rounds(60), support.chaos_mode))
  end)

  -- Before each of their stores: that takes a minute, and spec/rpc_soak.lua does it.
  it("outlives a client that is killed at any time", function()
    report(everywhere.client(support.rounds(50), "random"))
  end)

  it("outlives who is killed while it buries the dead", function()
    report(everywhere.burial(support.rounds(50), "random"))
  end)

  -- As of a client: it makes the mutexes of all places.
  it("outlives who is killed at any time while it removes a service", function()
    report(everywhere.removal(support.rounds(50), "random"))
    io.write(("\nkilled at %d moments of services\n"):format(kills))
  end)

  it("goes on while servers and clients are killed at random", function()
    if support.valgrind then
      return pending "one thread at a time, under valgrind, hears of little within a second"
    end
    local all = soak.run {rounds = support.rounds(30), seed = os.time(),
                          within = 10 * support.patience}
    assert.is_true(all.answered > 0)
    io.write(("\n%s\n"):format(soak.line(all)))
  end)
end)
