-- Requests and responses while everybody lives: what arrives, what is refused, who waits.
local cqueues = require "cqueues"
local process = require "shm.process"
local registers = require "shm.rpc.register"
local rpc = require "shm.rpc"
local rpcs = require "spec.rpc_support"
local shm = require "shm"
local socket = require "socket"
local support = require "spec.support"

local LONG, refused = rpcs.LONG, rpcs.refused
local EBUSY, ENOENT, ENOSYS, EPIPE, EMSGSIZE, ENOBUFS = 16, 2, 38, 32, 90, 105
local ETIMEDOUT, EREMOTEIO, ECANCELED, EUSERS = 110, 121, 125, 87
local EINVAL, ENOTEMPTY, EBADMSG = 22, 39, 74

local TEXT = setmetatable({}, {__tostring = function() return "T" end})
local NO_TEXT = setmetatable({}, {__tostring = error})

local function add(_, x, y)
  return x + y
end

-- What is thrown says whose fault it is.
local function blames(f, pattern)
  local ok, message = pcall(f)
  assert.is_false(ok)
  assert.matches("^spec/rpc_spec%.lua:%d+: .*" .. pattern, message)
end

describe("rpc", function()
  local before, arena, used

  before_each(function()
    before = rpcs.outside()
    arena = rpcs.arena()
    used = arena:stat().used
  end)

  after_each(function()
    arena:close()
    assert.same(before, rpcs.outside())
  end)

  -- A server and a client in this process: what is asked for is done by step.
  local function pair(methods, opts)
    local server = assert(rpc.server(arena, "calc", methods))
    return server, assert(rpc.client(arena, "calc", opts or {timeout = LONG}))
  end

  it("carries arguments and results of every kind, and how many they are", function()
    local child <close> = rpcs.serve(arena, "calc", {
      echo = function(_, ...) return ... end,
      count = function(_, ...) return select("#", ...) end,
    })
    local client <close> = assert(rpc.client(arena, "calc", {timeout = LONG}))
    local function same(...)
      assert.same(table.pack(...), table.pack(client:call("echo", ...)))
      assert.equal(select("#", ...), client:call("count", ...))
    end
    same()
    same(nil)
    same(nil, nil, nil)
    same(1, nil, "x", nil, false)
    same(1.5, math.mininteger, "\0\255", "ä", {1, {x = {}}, "y"}, true)
    same(("x"):rep(16350))
    local most = {}
    for i = 1, 250 do
      most[i] = i
    end
    same(table.unpack(most))
    assert.same({child.pid}, client:servers())
    rpcs.finish(child)
    client:close()
    rpcs.nothing_left(arena, "calc", used)
  end)

  it("tells a method who calls it, and how", function()
    local child <close> = rpcs.serve(arena, "calc", {
      who = function(request) return request.client, request.method, tostring(request),
                                     request:cancelled(), request.nothing end,
    })
    local client <close> = assert(rpc.client(arena, "calc", {timeout = LONG}))
    assert.same({process.pid(), "who", "shm.rpc.request (who)", false, n = 5},
                table.pack(client:call "who"))
    rpcs.finish(child)
  end)

  it("carries errors, by their message", function()
    local child <close> = rpcs.serve(arena, "calc", {
      throw = function() error "it went wrong" end,
      throw_bare = function() error("bare", 0) end,
      throw_table = function() error(TEXT) end,
      throw_worse = function() error(NO_TEXT) end,
      throw_nil = function() error(nil) end,
      throw_long = function() error(("x"):rep(100000), 0) end,
      refuse = function() return nil, "the world says no", 5 end,
      share = function() return 1, {print} end,
      long = function() return ("x"):rep(16384) end,
      many = function() return table.unpack({}, 1, 251) end,
      not_a_function = 5,
    })
    local client <close> = assert(rpc.client(arena, "calc", {timeout = LONG}))
    refused(EREMOTEIO, "^rpc%.call 'calc%.throw': spec/rpc_spec%.lua:%d+: it went wrong$",
            client:call "throw")
    refused(EREMOTEIO, "^rpc%.call 'calc%.throw_bare': bare$", client:call "throw_bare")
    refused(EREMOTEIO, ": T$", client:call "throw_table")
    refused(EREMOTEIO, ": table$", client:call "throw_worse")
    refused(EREMOTEIO, ": nil$", client:call "throw_nil")
    refused(EREMOTEIO, "'calc%.throw_long': x+ …$", client:call "throw_long")
    assert.same({nil, "the world says no", 5, n = 3}, table.pack(client:call "refuse"))
    refused(EREMOTEIO, ": result 2%[1%]: a function can not be shared$", client:call "share")
    refused(EMSGSIZE, "^rpc%.call 'calc%.long': the answer is too long$", client:call "long")
    refused(EREMOTEIO, "251 results, where 250 can be$", client:call "many")
    for _, name in ipairs {"nothing", "not_a_function", "__index", ""} do
      refused(ENOSYS, ("^rpc%%.call 'calc%%.%s': there is no such method$"):format(name),
              client:call(name))
    end
    assert.same({nil, "the world says no", 5}, {client:start("refuse"):wait()})
    refused(EREMOTEIO, "^rpc%.wait 'calc%.throw_bare': bare$", client:start("throw_bare"):wait())
    rpcs.finish(child)
  end)

  it("refuses what can not be sent, and goes on", function()
    local server <close>, client = pair {add = add}
    local _ <close> = client
    refused(EMSGSIZE, "^rpc%.call 'calc%.add': the request is too long$",
            client:call("add", ("x"):rep(65536)))
    refused(EMSGSIZE, "^rpc%.cast 'calc%.add': ", client:cast("add", ("x"):rep(70000)))
    refused(EMSGSIZE, "^rpc%.start 'calc%.add': ", client:start("add", ("x"):rep(70000)))
    blames(function() client:call("add", 1, print) end, "rpc%.call: argument 2: a function can")
    blames(function() client:start("add", {{print}}) end,
           "rpc%.start: argument 1%[1%]%[1%]: a function")
    blames(function() client:cast("add", print) end, "rpc%.cast: argument 1: a function")
    blames(function() client:call("add", table.unpack({}, 1, 251)) end,
           "rpc%.call: 251 arguments, where 250 can be")
    for _, what in ipairs {"call", "start", "cast"} do
      for _, wrong in ipairs {false, 1, {}, print} do
        blames(function() client[what](client, wrong) end,
               ("rpc%%.%s: method: string"):format(what))
      end
    end
    refused(ETIMEDOUT, "", server:step(0)) -- nothing of all that is in the queue
    local long = assert(client:start("add", ("x"):rep(65500)))
    assert.is_true(server:step(LONG))
    refused(EREMOTEIO, "attempt to add", long:wait())
    local call = assert(client:start("add", 1, 2))
    assert.is_true(server:step(LONG))
    assert.equal(3, call:wait())
  end)

  it("has several calls in flight, whose answers come in any order", function()
    local child <close> = rpcs.serve(arena, "calc", {add = add})
    local other <close> = rpcs.serve(arena, "calc", {add = add})
    local client <close> = assert(rpc.client(arena, "calc", {timeout = LONG}))
    local calls = {}
    for i = 1, 256 do
      calls[i] = assert(client:start("add", i, 1000))
    end
    refused(ENOBUFS, "^rpc%.call 'calc%.add': 256 calls are in flight$", client:call("add", 1, 1))
    refused(ENOBUFS, "^rpc%.start 'calc%.add': 256 calls", client:start("add", 1, 1))
    assert.equal("shm.rpc.call (calc.add, in flight)", tostring(calls[7]))
    for i = 256, 1, -3 do
      assert.equal(i + 1000, calls[i]:wait())
    end
    assert.equal(5, client:call("add", 2, 3))
    for i = 1, 256 do
      assert.equal(i + 1000, calls[i]:wait(0)) -- all were before the last, and some are asked twice
    end
    assert.equal("shm.rpc.call (calc.add, answered)", tostring(calls[7]))
    assert.is_false(calls[7]:cancel())
    assert.equal(1007, calls[7]:wait(0))
    rpcs.finish(child)
    rpcs.finish(other)
  end)

  it("has each request done by one of several servers, for several clients", function()
    local counts = assert(arena:map "counts")
    local methods = {
      add = function(_, x, y)
        counts:incr(process.pid(), 1, 0)
        return x + y
      end,
    }
    local one <close> = rpcs.serve(arena, "calc", methods)
    local other <close> = rpcs.serve(arena, "calc", methods)
    local rounds = support.rounds(2000)
    local function work(from)
      local client <close> = assert(rpc.client(arena, "calc", {timeout = LONG}))
      for i = from, from + rounds - 1, 4 do
        local calls = {}
        for j = i, i + 3 do
          calls[j] = assert(client:start("add", j, j))
        end
        for j = i + 3, i, -1 do
          assert(calls[j]:wait() == 2 * j)
        end
      end
    end
    local a <close> = rpcs.child(work, 1)
    local b <close> = rpcs.child(work, 10000)
    assert.is_true(a.ended() and b.ended())
    local first, second = counts:get(one.pid) or 0, counts:get(other.pid) or 0
    assert.equal(2 * ((rounds + 3) // 4 * 4), first + second)
    rpcs.finish(one)
    rpcs.finish(other)
    counts:close()
  end)

  it("waits no longer than it is told, and throws away what comes later", function()
    local server <close>, client = pair {add = add}
    local _ <close> = client
    local hasty = client:with {timeout = 0.01}
    refused(ETIMEDOUT, "^rpc%.call 'calc%.add': Connection timed out$", hasty:call("add", 1, 1))
    refused(ETIMEDOUT, "", client:with({timeout = 0}):call("add", 1, 2))
    local call = assert(client:start("add", 1, 3))
    refused(ETIMEDOUT, "^rpc%.wait 'calc%.add': Connection timed out$", call:wait(0))
    refused(ETIMEDOUT, "", call:wait(0.01))
    assert.is_true(server:step(0)) -- what was given up before is dropped
    assert.is_true(server:step(0))
    assert.is_true(server:step(0))
    assert.equal(4, call:wait(0))
    refused(ETIMEDOUT, "^rpc%.step 'calc': Connection timed out$", server:step(0))
    assert.equal(0, client.state.box:used())
    server:close()
    refused(ETIMEDOUT, "'calc%.add': Connection timed out, nobody serves it$",
            hasty:call("add", 1, 1))
    assert.same({}, client:servers())
  end)

  it("has calls given up, before and while they are done", function()
    local ran, cancelled, call = 0, nil, nil
    local server <close> = assert(rpc.server(arena, "calc", {
      slow = function(request)
        ran = ran + 1
        assert(not request:cancelled())
        if call then
          assert.is_true(call:cancel())
        end
        cancelled = request:cancelled()
        return "late"
      end,
      keep = function(request)
        cancelled = request
      end,
    }))
    local client = assert(rpc.client(arena, "calc", {timeout = LONG}))
    local first = assert(client:start "slow")
    assert.is_true(first:cancel())
    assert.is_false(first:cancel())
    refused(ECANCELED, "^rpc%.wait 'calc%.slow': it was cancelled$", first:wait())
    assert.is_true(server:step(0))
    assert.equal(0, ran) -- nobody waited for it
    call = assert(client:start "slow")
    assert.is_true(server:step(0))
    assert.equal(1, ran)
    assert.is_true(cancelled)
    assert.equal(0, #client.state.box) -- there is no answer that nobody waits for
    refused(ECANCELED, "", call:wait())
    do
      local scoped <close> = assert(client:start "slow")
      assert.equal("shm.rpc.call (calc.slow, in flight)", tostring(scoped))
      call = nil
    end
    client:start "slow" -- and this one is forgotten
    collectgarbage()
    collectgarbage()
    assert.equal(256, client.state.n_free)
    assert.is_true(server:step(0) and server:step(0))
    assert.equal(1, ran)
    call = assert(client:start "keep")
    assert.is_true(server:step(0))
    assert.is_true(cancelled:cancelled()) -- it is over
    assert.is_nil(call:wait())
    client:close()
  end)

  it("casts: without an answer, and without anybody who waits", function()
    local got = {}
    local server <close>, client = pair {
      note = function(request, ...)
        got = table.pack(request.client or "nobody", request:cancelled(), ...)
      end,
      throw = function() error "unheard" end,
    }
    local _ <close> = client
    assert.is_true(client:cast("note", 1, nil))
    assert.is_true(client:cast "throw")
    assert.is_true(client:cast "nothing")
    for _ = 1, 3 do
      assert.is_true(server:step(0))
    end
    assert.same({"nobody", false, 1, nil, n = 4}, got)
    assert.equal(0, #client.state.box)
  end)

  it("begins its numbers of calls again after the last one", function()
    local server <close>, client = pair {add = add}
    local _ <close> = client
    for _, sequence in ipairs {(1 << 25) - 2, (1 << 26) - 2} do -- before the sign, and the end
      for slot = 0, 255 do
        client.state.sequences[slot] = sequence << 38
      end
      for i = 1, 4 do
        local given_up = assert(client:start("add", i, i))
        local call = assert(client:start("add", i, 1000))
        given_up:cancel()
        assert.is_true(server:step(0) and server:step(0))
        assert.equal(i + 1000, call:wait(0))
      end
    end
    refused(ETIMEDOUT, "", server:step(0))
  end)

  it("begins its numbers of clients and servers again after the last one", function()
    local first <close> = assert(rpc.server(arena, "calc", {}))
    for from = (1 << 14) - 4, (1 << 14) - 1 do
      first.register.region:store(8, from) -- how many there were
      local clients, servers = {}, {}
      for i = 1, 3 do
        clients[i] = assert(rpc.client(arena, "calc", {timeout = LONG}))
        servers[i] = assert(rpc.server(arena, "calc", {add = add}))
      end
      for _, server in ipairs(servers) do
        for i, client in ipairs(clients) do
          local call = assert(client:start("add", i, 1000))
          assert.is_true(server:step(0))
          assert.equal(i + 1000, call:wait(0))
        end
        server:close()
      end
      for _, client in ipairs(clients) do
        client:close()
      end
    end
    first:close()
    rpcs.nothing_left(arena, "calc", used)
  end)

  it("is full at some time, and says so", function()
    local client <close> = assert(rpc.client(arena, "block", {timeout = LONG, capacity = 256}))
    local hasty = client:with {timeout = 0.01}
    local calls = {}
    repeat
      local call, message, errno = hasty:start("add", ("x"):rep(100))
      calls[#calls + 1] = call
      if not call then
        refused(ETIMEDOUT, "^rpc%.start 'block%.add': the service is full$", call, message, errno)
      end
    until not call
    assert.is_true(#calls > 0)
    refused(ETIMEDOUT, "^rpc%.call 'block%.add': the service is full$",
            hasty:call("add", ("x"):rep(100)))
    local rejecting <close> = assert(rpc.client(arena, "reject", {overflow = "reject",
                                                                capacity = 256}))
    repeat
      local done, message, errno = rejecting:cast("add", ("x"):rep(100))
      if not done then
        refused(ENOBUFS, "^rpc%.cast 'reject%.add': the service is full$", done, message, errno)
      end
    until not done
    refused(ENOBUFS, "the service is full$", rejecting:call("add", ("x"):rep(100)))
    -- Room is waited for, and the call's time goes on from there.
    local server <close> = rpcs.serve(arena, "block", {add = function(_, x) return #x end})
    assert.equal(100, client:call("add", ("x"):rep(100)))
    for _, call in ipairs(calls) do
      assert.equal(100, call:wait(LONG))
    end
    rpcs.finish(server)
  end)

  it("has a server wait for nobody who does not look at answers", function()
    local server <close> = assert(rpc.server(arena, "calc", {
      long = function() return ("x"):rep(900) end,
    }))
    local lazy = assert(rpc.client(arena, "calc", {timeout = LONG, answers = 1024}))
    local other <close> = assert(rpc.client(arena, "calc", {timeout = LONG}))
    local calls = {}
    for i = 1, 20 do
      calls[i] = assert(lazy:start "long")
    end
    local last = assert(other:start "long")
    for _ = 1, 21 do
      assert.is_true(server:step(0))
    end
    assert.equal(900, #last:wait(0)) -- though the lazy one's answers have no room
    assert.is_true(#server.outbox > 10)
    calls[20]:cancel()
    for i = 1, 19 do
      refused(ETIMEDOUT, "", server:step(0))
      assert.equal(900, #calls[i]:wait(0)) -- in order
    end
    refused(ETIMEDOUT, "", server:step(0))
    assert.equal(0, #server.outbox)
    assert.equal(0, #lazy.state.box) -- of the one that was given up there is nothing
    for i = 1, 20 do
      calls[i] = assert(lazy:start "long")
      assert.is_true(server:step(0))
    end
    lazy:close()
    refused(ETIMEDOUT, "", server:step(0))
    assert.equal(0, #server.outbox)
  end)

  it("gives all its memory back", function()
    do
      local server <close>, client = pair {add = add}
      local _ <close> = client
      refused(EBUSY, ("^rpc%%.remove 'calc': pid %d is its server$"):format(process.pid()),
              rpc.remove(arena, "calc"))
      for _ = 1, 100 do
        local more <close> = assert(rpc.client(arena, "calc"))
        local call <close> = assert(more:start("add", 1, 2))
        assert.is_true(server:step(0))
        assert.equal(3, call:wait())
      end
      assert.same({process.pid(), process.pid()}, (function()
        local more <close> = assert(rpc.client(arena, "calc"))
        return {server:callers()[1], more:servers()[1]}
      end)())
      client:close()
      client:close()
      server:close()
      server:close()
    end
    rpcs.nothing_left(arena, "calc", used)
    refused(ENOENT, "^rpc%.remove 'calc': there is no such service$", rpc.remove(arena, "calc"))
  end)

  -- What counts who takes a place.
  local function counted()
    return assert(arena:bytes("rpc:calc", nil, registers.LAYOUT))
  end

  it("knows a client from the one before whose number it has", function()
    local server <close> = assert(rpc.server(arena, "calc", {add = add}))
    local it <close> = counted()
    for _, bits in ipairs {14, 22} do
      local first = assert(rpc.client(arena, "calc"))
      local call = assert(first:start("add", 1, 2))
      assert.is_true(server:step(LONG)) -- from here on it is known to the server
      assert.equal(3, call:wait(LONG))
      local key = first.state.key
      first:close()
      it:add(8, (1 << bits) - 1) -- so many others were here during a call
      local again <close> = assert(rpc.client(arena, "calc"))
      assert.equal(bits == 22, again.state.key == key)
      call = assert(again:start("add", 3, 4))
      assert.is_true(server:step(LONG))
      assert.equal(7, call:wait(LONG))
    end
  end)

  it("does no request of a client for one that comes 16384 others later", function()
    local server <close> = assert(rpc.server(arena, "calc", {add = add}))
    local it <close> = counted()
    local first = assert(rpc.client(arena, "calc"))
    assert(first:start("add", 10, 20))
    first:close() -- its request is in the queue
    it:add(8, (1 << 14) - 1)
    local again <close> = assert(rpc.client(arena, "calc"))
    local call = assert(again:start("add", 1, 2))
    assert.is_true(server:step(LONG))
    refused(ETIMEDOUT, "", call:wait(0))
    assert.is_true(server:step(LONG))
    assert.equal(3, call:wait(LONG))
  end)

  it("is removed with what waits, but not while somebody calls", function()
    local client = assert(rpc.client(arena, "calc", {timeout = 0.01}))
    assert(client:cast("add", 1, 2))
    refused(EBUSY, ("^rpc%%.remove 'calc': pid %d is its client$"):format(process.pid()),
            rpc.remove(arena, "calc"))
    client:close()
    assert.is_true(rpc.remove(arena, "calc"))
    local server <close> = assert(rpc.server(arena, "calc", {add = add}))
    refused(ETIMEDOUT, "", server:step(0))
    server:close()
    rpcs.nothing_left(arena, "calc", used)
  end)

  it("has none of the names that another service needs", function()
    local server <close> = assert(rpc.server(arena, "calc", {}))
    for _, f in ipairs {rpc.server, rpc.client} do
      refused(ENOTEMPTY, "'calc:requests': .*: it is of another kind$",
              f(arena, "calc:requests", {}))
    end
    assert.is_true(server:close())
  end)

  it("says of what a server had begun when it was closed that it died", function()
    local function opened()
      local server = assert(rpc.server(arena, "calc", {
        wait = function() coroutine.yield() return "late" end,
        add = add,
      }))
      return server, coroutine.wrap(function() return server:step(LONG) end)
    end
    local client <close> = assert(rpc.client(arena, "calc", {timeout = LONG}))
    local call = assert(client:start "wait")
    local server, step = opened()
    step()
    local again = assert(client:with {retry = 1}:start "wait")
    local other = coroutine.wrap(function() return server:step(LONG) end)
    other()
    server:close()
    refused(130, ("^rpc%%.wait 'calc%%.wait': its server died, pid %d$"):format(process.pid()),
            call:wait())
    assert.is_true(step() and other()) -- to their ends, for nobody
    refused(ETIMEDOUT, "", again:wait(0.01))
    local another, first = opened()
    first() -- it is begun anew
    assert.is_true(first())
    assert.equal("late", again:wait())
    another:close()
  end)

  it("has other limits for some calls, and closes with them", function()
    local server <close> = assert(rpc.server(arena, "calc", {
      yield = function() coroutine.yield() end, add = add,
    }))
    local client = assert(rpc.client(arena, "calc", {timeout = 0.01, retry = 1}))
    local patient = client:with {timeout = LONG}
    local once = patient:with {retry = 0}
    refused(ETIMEDOUT, "", client:with {retry = 0}:call "add") -- as it is there
    refused(ETIMEDOUT, "", client:with {}:call "add")
    refused(ETIMEDOUT, "", client:start("add"):wait()) -- the client's
    repeat until not server:step(0)
    local calls = {}
    for i, it in ipairs {patient, once} do
      calls[i] = assert(it:start "yield")
      coroutine.wrap(function() server:step(LONG) end)()
    end
    server:close()
    refused(130, "its server died", calls[2]:wait())
    refused(ETIMEDOUT, "", calls[1]:wait(0)) -- it waits for the next one
    once:close()
    for _, it in ipairs {client, patient, once} do
      assert.equal("shm.rpc.client (closed)", tostring(it))
    end
  end)

  it("lets a server forget who has left", function()
    local server <close> = assert(rpc.server(arena, "calc", {add = add}))
    local client = assert(rpc.client(arena, "calc", {timeout = LONG}))
    local call = assert(client:start("add", 1, 2))
    assert.is_true(server:step(0))
    assert.equal(3, call:wait())
    assert.is_truthy(next(server.clients))
    client:close()
    support.eventually(function()
      server:step(0)
      return not next(server.clients)
    end)
  end)

  it("is another service in another arena, and by another name", function()
    local second = rpcs.arena()
    local servers, clients = {}, {}
    for i, it in ipairs {{arena, "calc"}, {second, "calc"}, {arena, "other"}} do
      servers[i] = assert(rpc.server(it[1], it[2], {which = function() return i end}))
      clients[i] = assert(rpc.client(it[1], it[2], {timeout = LONG}))
    end
    for i = 1, 3 do
      local call = assert(clients[i]:start "which")
      assert.is_true(servers[i]:step(0))
      assert.equal(i, call:wait(0))
    end
    servers[1]:close()
    clients[1]:close()
    assert.same({process.pid()}, clients[2]:servers())
    second:close() -- before what was opened in it, and now its names stay
    for i = 2, 3 do
      clients[i]:close()
      servers[i]:close()
    end
  end)

  it("has places for 32 servers and 96 clients", function()
    local big = rpcs.arena(1 << 24)
    local all = {}
    for i = 1, 32 do
      all[i] = assert(rpc.server(big, "calc", {}))
    end
    refused(EUSERS, "^rpc%.server 'calc': 32 servers are there already$",
            rpc.server(big, "calc", {}))
    for i = 33, 128 do
      all[i] = assert(rpc.client(big, "calc"))
    end
    refused(EUSERS, "^rpc%.client 'calc': 96 clients are there already$", rpc.client(big, "calc"))
    all[5]:close()
    all[5] = assert(rpc.server(big, "calc", {}))
    for _, one in ipairs(all) do
      one:close()
    end
    assert(rpc.remove(big, "calc"))
    big:close()
  end)

  it("says no where there is no room, and leaves nothing", function()
    local small <close> = rpcs.arena(1 << 16)
    local before_it = small:stat().used
    refused(28, "^rpc%.client 'calc': arena%.[%a]+ 'rpc:calc.*: the arena is full$",
            rpc.client(small, "calc"))
    refused(28, "^rpc%.client 'calc': ", rpc.client(small, "calc",
                                                  {capacity = 64, answers = 16384}))
    collectgarbage()
    assert(rpc.remove(small, "calc"))
    assert.equal(before_it, small:stat().used)
  end)

  it("ends with SIGTERM, with Ctrl-C and with stop, once what was begun is answered", function()
    local methods = {
      term = function(request, signal)
        process.kill(process.pid(), signal)
        return "answered all the same", request.method
      end,
      stop = function(request)
        request.server:stop()
        return "stopped"
      end,
    }
    local client <close> = assert(rpc.client(arena, "calc", {timeout = LONG}))
    for method, how in pairs {TERM = "TERM", INT = "INT", stop = "stop"} do
      local child <close> = rpcs.child(function()
        local server <close> = assert(rpc.server(arena, "calc", methods))
        assert(select(2, assert(server:serve())) == how)
      end)
      if method == "stop" then
        assert.equal("stopped", client:call "stop")
      else
        assert.equal("answered all the same", (client:call("term", method)))
      end
      assert.is_true(child.ended())
      assert.same({}, client:servers())
    end
  end)

  it("has what its methods fork not end by the signals that it reads", function()
    local child <close> = rpcs.serve(arena, "calc", {
      fork = function()
        local ours <close>, other = assert(process.socketpair())
        local theirs <close> = other
        local forked = assert(process.fork(function()
          process.kill(process.pid(), "TERM")
          process.kill(process.pid(), "INT")
          theirs:send "alive"
        end))
        local how, code = forked:wait(LONG)
        return ours:recv(10, 0), how, code
      end,
    })
    local client <close> = assert(rpc.client(arena, "calc", {timeout = LONG}))
    assert.same({"alive", "exit", 0}, {client:call "fork"})
    rpcs.finish(child)
  end)

  it("ends by stop before it has begun, and by a close", function()
    local server = assert(rpc.server(arena, "calc", {
      close = function(request) request.server:close() return "closed" end,
    }))
    local client <close> = assert(rpc.client(arena, "calc", {timeout = LONG}))
    local call = assert(client:start "close")
    server:stop()
    assert.same({true, "stop"}, {server:serve()})
    assert.same({true, "stop"}, {server:serve()})
    assert.equal("closed", call:wait(0))
    assert.equal("shm.rpc.server (closed)", tostring(server))
  end)

  it("ends when its queue is shut down", function()
    local server <close>, client = pair {add = add}
    local _ <close> = client
    assert(arena:queue("rpc:calc:requests")):shutdown()
    refused(EPIPE, "^rpc%.serve 'calc': ", server:serve())
    refused(EPIPE, "^rpc%.step 'calc': ", server:step())
    refused(EPIPE, "^rpc%.call 'calc%.add': the service was shut down$", client:call("add"))
  end)

  it("lets Ctrl-C through to who waits for an answer", function()
    assert.is_true(support.interrupts(function()
      local client <close> = assert(rpc.client(arena, "calc"))
      client:call "nobody"
    end))
    assert.is_true(support.interrupts(function()
      local server <close> = assert(rpc.server(arena, "other", {}))
      server:step()
    end))
  end)

  it("gives up what Ctrl-C ends, so that nobody does it", function()
    assert.is_true(support.interrupts(function()
      local client <close> = assert(rpc.client(arena, "calc"))
      local ok, why = pcall(client.call, client, "run")
      assert(not ok and client.state.n_free == 256)
      local ran = false
      local server <close> = assert(rpc.server(arena, "calc", {run = function() ran = true end}))
      assert(server:step(0) and not ran)
      error(why, 0)
    end))
    assert.is_true(support.interrupts(function()
      local client <close> = assert(rpc.client(arena, "full", {capacity = 64}))
      local hasty = client:with {timeout = 0}
      repeat until not hasty:cast("run", "x")
      local ok, why = pcall(client.start, client, "run", "x")
      assert(not ok and client.state.n_free == 256)
      error(why, 0)
    end))
  end)

  it("belongs to the process that made it", function()
    local server <close>, client = pair {add = add}
    local _ <close> = client
    local call = assert(client:start("add", 1, 2))
    local child <close> = rpcs.child(function()
      for _, f in ipairs {
        function() client:call("add", 1, 2) end, function() client:start("add", 1, 2) end,
        function() client:cast("add", 1, 2) end, function() client:servers() end,
        function() call:wait(0) end, function() call:cancel() end,
        function() server:step(0) end, function() server:serve() end,
      } do
        local ok, message = pcall(f)
        assert(not ok and message:match "belongs to process %d+$", message)
      end
      client:close()
      server:close()
      call = nil
      collectgarbage()
    end)
    assert.is_true(child.ended())
    assert.is_true(server:step(0))
    assert.equal(3, call:wait(0)) -- what the child closed was its own
    assert.equal(1, #client:servers())
  end)

  it("refuses wrong arguments, and closed handles, and says how it is", function()
    local server, client = pair {add = add}
    local call = assert(client:start "add")
    assert.equal("shm.rpc.client (calc)", tostring(client))
    assert.equal("shm.rpc.server (calc)", tostring(server))
    blames(function() call:wait(-1) end, "rpc%.wait: timeout")
    blames(function() call:wait "1" end, "rpc%.wait: timeout: seconds expected")
    blames(function() server:step(0 / 0) end, "rpc%.step: timeout: seconds")
    for _, wrong in ipairs {{timeout = -1}, {timeout = "1"}, {retry = 0.5}, {retry = -1}, {x = 1},
                            5} do
      blames(function() client:with(wrong) end, "rpc%.with: ")
      blames(function() rpc.client(arena, "calc", wrong) end, "rpc%.client: ")
    end
    for _, wrong in ipairs {{capacity = 63}, {capacity = "1"}, {overflow = "drop"}, {x = 1},
                            true} do
      blames(function() rpc.server(arena, "calc", {}, wrong) end, "rpc%.server: ")
    end
    blames(function() rpc.server(arena, "calc") end, "methods: table exp")
    for _, f in ipairs {rpc.server, rpc.client, rpc.remove} do
      for _, wrong in ipairs {false, "x", {}, io.stdout} do
        blames(function() f(wrong, "calc", {}) end, "arena: shm.arena")
      end
      for _, wrong in ipairs {false, 1, "", ("x"):rep(201)} do
        blames(function() f(arena, wrong, {}) end, "name: ")
      end
    end
    client:close()
    server:close()
    assert.equal("shm.rpc.client (closed)", tostring(client))
    assert.equal("shm.rpc.server (closed)", tostring(server))
    assert.equal("shm.rpc.call (calc.add, closed)", tostring(call))
    local handles = {{client, "client"}, {server, "server"}, {call, "c%a+"}}
    for _, it in ipairs(handles) do
      local handle, kind = it[1], it[2]
      for name, f in pairs(getmetatable(handle).__index) do
        if type(f) == "function" and not name:match "^__" then
          if name ~= "close" then
            blames(function() f(handle, "x") end, name .. ": .* is closed$")
          end
          for _, wrong in ipairs {"x", 1, {}, io.stdout} do
            blames(function() f(wrong, "x") end,
                   ("rpc%%.%s: %s expected, got "):format(name, kind))
          end
        end
      end
    end
  end)

  it("stands in cqueues: a server, and calls beside each other, that yield", function()
    local loop = cqueues.new()
    local log, server = {}, nil
    server = assert(rpc.server(arena, "calc", {
      slow = function(request)
        cqueues.sleep(0.05)
        return request.method
      end,
      add = add,
      stop = function()
        cqueues.cancel(server:fileno()) -- as of all that is closed
        server:close()
        server = nil
      end,
    }))
    local client <close> = assert(rpc.client(arena, "calc"))
    assert.is_nil(client:timeout())
    loop:wrap(function()
      while server do
        if not server:step(0) then
          cqueues.poll(server)
        elseif server then -- what yields does not keep others waiting
          loop:wrap(function() return server and server:step(0) end)
        end
      end
    end)
    local function ask(...)
      local call = assert(client:start(...))
      local results
      repeat
        results = table.pack(call:wait(0))
        if results[3] == ETIMEDOUT then
          assert.is_true(client:timeout() <= 1)
          cqueues.poll(call)
        end
      until results[3] ~= ETIMEDOUT
      log[#log + 1] = results[1]
    end
    local asking = 0
    for _, it in ipairs {{"slow"}, {"add", 1, 2}, {"add", 3, 4}} do
      asking = asking + 1
      loop:wrap(function()
        ask(table.unpack(it))
        asking = asking - 1
        if asking == 0 then
          client:cast "stop"
        end
      end)
    end
    assert(loop:loop(LONG))
    assert.equal(0, asking)
    table.sort(log, function(a, b) return tostring(a) < tostring(b) end)
    assert.same({3, 7, "slow"}, log)
    cqueues.cancel(client:fileno())
  end)

  it("says in poll when an answer has come, and when somebody died", function()
    local client <close> = assert(rpc.client(arena, "calc"))
    local server <close> = assert(rpc.server(arena, "calc", {add = add}))
    assert.equal("r", client:events())
    assert.equal("r", server:events())
    local first, second = assert(client:start("add", 1, 1)), assert(client:start("add", 2, 2))
    assert.equal(client:fileno(), second:fileno())
    assert.equal(client:getfd(), second:pollfd())
    local function readable(object, seconds)
      return #socket.select({object}, nil, seconds) == 1
    end
    assert.is_true(readable(server, LONG))
    assert.is_true(first:timeout() > 0 and client:timeout() == first:timeout())
    assert.is_true(server:step(0) and server:step(0))
    refused(ETIMEDOUT, "", server:step(0))
    assert.is_false(readable(server, 0))
    assert.is_true(readable(client, LONG))
    assert.equal(4, second:wait(0))
    assert.equal(0, first:timeout()) -- its answer came with the other's
    assert.equal(0, client:timeout())
    assert.equal(2, first:wait(0))
    assert.is_nil(client:timeout())
    assert.is_nil(first:fileno())
    assert.equal(0, first:timeout())
    local died = assert(client:start("add", 1, 1))
    rpcs.killed(function()
      local other = assert(rpc.server(arena, "calc", {
        add = function() process.kill(process.pid(), "KILL") end,
      }))
      other:step()
    end)
    local message
    support.eventually(function()
      readable(died, died:timeout()) -- at first it may be, of what came before
      local _, said, errno = died:wait(0)
      message = said
      return errno ~= ETIMEDOUT
    end)
    assert.matches("its server died, pid %d+$", message)
  end)

  it("stays open for a call that is waited for, when nobody has the client any more", function()
    local server <close> = assert(rpc.server(arena, "calc", {add = add}))
    local function start()
      local client = assert(rpc.client(arena, "calc"))
      return assert(client:with {timeout = LONG}:start("add", 1, 2))
    end
    local call = start()
    collectgarbage()
    collectgarbage()
    assert.is_true(server:step(LONG))
    assert.equal(3, call:wait())
    call = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.same({}, server:callers())
  end)

  it("answers a call of what a table of methods throws when it is asked for it", function()
    local server <close>, client = pair(setmetatable({}, {
      __index = function(_, name) error("what is " .. name .. "?", 0) end,
    }))
    local _ <close> = client
    local call = assert(client:start("it"))
    assert(client:cast "it")
    assert.is_true(server:step(LONG))
    assert.is_true(server:step(LONG))
    refused(121, "^rpc%.wait 'calc%.it': what is it%?$", call:wait(LONG))
  end)

  it("fails one call alone whose arguments became what can not be sent", function()
    local server <close>, client = pair {add = add}
    local _ <close> = client
    local arguments = {1}
    local changed = assert(client:start("add", arguments))
    arguments[1] = print
    do
      local leaving <close> = assert(rpc.server(arena, "calc", {add = add}))
      assert(leaving.pop(0)) -- it goes with it in its hands, and it is pushed again
    end
    local call = assert(client:start("add", 1, 2))
    assert.is_true(server:step(LONG))
    assert.equal(3, call:wait(LONG))
    refused(EINVAL, "^rpc%.wait 'calc%.add': argument 1%[1%]: a function can not be shared$",
            changed:wait(LONG))
  end)

  it("says why a request can not be pushed", function()
    local server <close>, client = pair {add = add}
    local _ <close> = client
    local push = client.state.push
    client.state.push = function() return nil, "pid 1 holds it", EBUSY end
    refused(EBUSY, "^rpc%.call 'calc%.add': pid 1 holds it$", client:call("add", 1, 2))
    client.state.push = push
    local call = assert(client:start("add", 1, 2))
    assert.is_true(server:step(LONG))
    assert.equal(3, call:wait(LONG))
  end)

  it("leaves what it can not answer, as its arena is closed, to others", function()
    local region <close> = assert(shm.anonymous(1 << 21))
    local ours <close> = assert(shm.arena(region))
    local client <close> = assert(rpc.client(ours, "calc", {timeout = LONG}))
    local closed = assert(shm.arena(region))
    local server <close> = assert(rpc.server(closed, "calc", {add = add}))
    closed:close()
    local call = assert(client:start("add", 1, 2))
    assert.error_matches(function() server:step(0) end, "arena is closed")
    refused(ETIMEDOUT, "", call:wait(0)) -- it has pushed it again
    server:close()
    local other <close> = assert(rpc.server(ours, "calc", {add = add}))
    assert.is_true(other:step(0))
    assert.equal(3, call:wait())
  end)

  it("loses no more than the message that was scribbled over", function()
    local region <close> = assert(shm.anonymous(1 << 21))
    local open <close> = assert(shm.arena(region))
    local methods = {echo = function(_, ...) return ... end}
    local server <close> = assert(rpc.server(open, "calc", methods))
    local client <close> = assert(rpc.client(open, "calc", {timeout = LONG}))
    local function scribble(word)
      region:set_u8(assert(region:find(0, word)) - 1, 0xc1) -- no value begins so
    end
    local lost = assert(client:start("echo", "requests lie here"))
    scribble "requests lie here"
    refused(EBADMSG, "^rpc%.step 'calc': .*: Bad message$", server:step(0))
    client:cast("echo", "and this is another")
    scribble "and this is another"
    refused(EBADMSG, "^rpc%.serve 'calc': .*: Bad message$", server:serve())
    refused(ETIMEDOUT, "", server:step(0))
    local call = assert(client:start("echo", "answers lie there"))
    assert.is_true(server:step(0))
    region:fill(region:find(0, "answers lie there"), #"answers lie there") -- the request's
    scribble "answers lie there"
    refused(EBADMSG, "^rpc%.wait 'calc%.echo': .*: Bad message$", call:wait())
    refused(ETIMEDOUT, "", call:wait(0))
    assert.is_true(lost:cancel() and call:cancel())
    call = assert(client:start("echo", 1))
    assert.is_true(server:step(0))
    assert.equal(1, call:wait())
  end)

  it("takes no harm from what is no request, and no answer", function()
    local server <close>, client = pair {add = add}
    local _ <close> = client
    local requests <close> = assert(arena:queue "rpc:calc:requests")
    local call = assert(client:start("add", 1, 2))
    local id = call.state.pending[call.slot][1]
    local junk = {false, 1, "x", {}, {id}, {id, "add"}, {id, "add", -1}, {id, "add", 251},
                  {id, "add", 1.5}, {"x", "add", 0}, {id, 1, 0}, {1 << 40, "add", 0},
                  {id ~ 0xff00, "add", 0}, {id ~ 0x10000, "add", 0}, {1.5, "add", 0}, {x = 1},
                  {id ~ 1, "add", 0}}
    for _, it in ipairs(junk) do
      assert(requests:push(it))
    end
    requests:push(nil)
    for _ = 1, #junk + 2 do
      assert.is_true(server:step(0))
    end
    local box = client.state.box
    for _, it in ipairs {false, {}, {id}, {id, "x"}, {id, 1 << 40}, {id, -5}, {id ~ 1, 0},
                         {id ~ 1 << 60, 0}, "x"} do
      assert(box:push(it))
    end
    assert.equal(3, call:wait(LONG))
    assert.equal(256, client.state.n_free + 0)
    local again = assert(client:start("add", 2, 2))
    assert.is_true(server:step(0))
    assert.equal(4, again:wait(LONG))
  end)
end)
