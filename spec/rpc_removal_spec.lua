-- A service that is removed while others open it.
local core = require "shm.core"
local process = require "shm.process"
local registers = require "shm.rpc.register"
local rpc = require "shm.rpc"
local rpcs = require "spec.rpc_support"
local support = require "spec.support"

local LONG, refused, child = rpcs.LONG, rpcs.refused, rpcs.child
local ENOENT, EBUSY = 2, 16

describe("rpc.remove", function()
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

  local METHODS = {
    add = function(_, x, y)
      return x + y
    end,
  }

  -- Calls f, once, before the nth thing of the arena is dropped in this process.
  local function before_drop(n, f)
    local methods = core.arena.methods
    local drop = methods.drop
    function methods.drop(...)
      n = n - 1
      if n == 0 then
        methods.drop = drop
        f()
      end
      return drop(...)
    end
  end

  local function table_of()
    return assert(arena:bytes("rpc:calc", nil, registers.LAYOUT))
  end

  local function answers(client, server)
    local call = assert(client:start("add", 1, 2))
    assert.is_true(server:step(LONG))
    assert.equal(3, call:wait(LONG))
  end

  it("leaves the service to who opens it meanwhile, before any of its steps", function()
    for n = 1, 2 do
      assert(rpc.server(arena, "calc", METHODS)):close()
      local server
      before_drop(n, function()
        server = child(function()
          local one <close> = assert(rpc.server(arena, "calc", METHODS))
          assert(one:step(LONG))
        end)
        process.sleep(0.05) -- it waits for its place
      end)
      assert.is_true(rpc.remove(arena, "calc"))
      do
        local client <close> = assert(rpc.client(arena, "calc", {timeout = LONG}))
        assert.equal(3, client:call("add", 1, 2))
      end
      assert.is_true(server.ended())
      rpcs.nothing_left(arena, "calc", used)
    end
  end)

  it("is finished, or undone, by the next one where it was killed", function()
    for n = 1, 2 do
      assert(rpc.server(arena, "calc", METHODS)):close()
      rpcs.killed(function()
        before_drop(n, function() process.kill(process.pid(), "KILL") end)
        rpc.remove(arena, "calc")
      end)
      do
        local server <close> = assert(rpc.server(arena, "calc", METHODS))
        local client <close> = assert(rpc.client(arena, "calc"))
        answers(client, server)
      end
      rpcs.nothing_left(arena, "calc", used)
    end
  end)

  it("does not go on for ever before who is stopped in it", function()
    assert(rpc.server(arena, "calc", METHODS)):close()
    local one <close> = child(function()
      before_drop(1, support.forever)
      rpc.remove(arena, "calc")
    end)
    local lock <close> = assert(core.sync.mutex.open(table_of(), 64 + 127 * 336))
    support.eventually(function() return lock:holder() == one.pid end)
    local began = process.monotonic()
    refused(EBUSY, ("^rpc%%.server 'calc': pid %d removes it, and does not go on$"):format(one.pid),
            rpc.server(arena, "calc", METHODS))
    refused(EBUSY, ("^rpc%%.remove 'calc': pid %d has to do with it, and does not go on$")
      :format(one.pid), rpc.remove(arena, "calc"))
    assert.is_true(process.monotonic() - began >= 2)
  end)

  it("takes no service from those who come, serve, leave and remove all at once", function()
    local children = {}
    for i = 1, 3 do
      children[i] = child(function()
        for _ = 1, support.rounds(200) do
          local server = assert(rpc.server(arena, "calc", METHODS))
          local client <close> = assert(rpc.client(arena, "calc", {timeout = LONG}))
          local found
          for _, pid in ipairs(client:servers()) do
            found = found or pid == process.pid()
          end
          assert(found, "its clients are others'")
          local call <close> = assert(client:start("add", ("x"):rep(1000), 1)) -- it has room for it
          assert(call:cancel())
          server:step(0)
          client:close()
          server:close()
          local removed, why, errno = rpc.remove(arena, "calc")
          assert(removed or errno == EBUSY or errno == ENOENT, why)
        end
      end)
    end
    for _, one in ipairs(children) do
      assert.is_true(one.ended())
    end
    rpc.remove(arena, "calc")
    assert.same({}, (assert(arena:names())))
    assert.equal(used, arena:stat().used)
  end)

  it("lets all in who wait for it, once it is done, or given up", function()
    for _, how in ipairs {"drop", "close"} do
      assert(rpc.server(arena, "calc", METHODS)):close()
      local register <close> = assert(registers.find(arena, "calc"))
      assert(register:close_off())
      local servers = {}
      for i = 1, 4 do
        servers[i] = child(function()
          local server <close> = assert(rpc.server(arena, "calc", METHODS))
          assert(server:step(LONG))
        end)
      end
      process.sleep(0.05)
      register[how](register)
      register:close()
      do
        local client <close> = assert(rpc.client(arena, "calc", {timeout = LONG}))
        support.eventually(function() return #client:servers() == 4 end)
        for _ = 1, 4 do
          assert(client:cast("add", 1, 2))
        end
        for i = 1, 4 do
          assert.is_true(servers[i].ended())
        end
      end
      rpcs.nothing_left(arena, "calc", used)
    end
  end)

  it("says of no dead one that it serves or calls, and is done by several at once", function()
    for _ = 1, support.rounds(30) do
      rpcs.killed(function()
        assert(rpc.server(arena, "calc", METHODS))
        for _ = 1, 8 do
          assert(rpc.client(arena, "calc", {answers = 1024}))
        end
      end)
      local children = {}
      for i = 1, 3 do
        children[i] = child(function()
          local removed, message, errno = rpc.remove(arena, "calc")
          assert(removed or errno == ENOENT, message)
        end)
      end
      for _, one in ipairs(children) do
        assert.is_true(one.ended())
      end
      assert.same({}, (assert(arena:names())))
    end
  end)

  it("takes a queue away to which nobody made a table", function()
    assert(arena:queue "rpc:calc:requests"):close()
    assert.is_true(rpc.remove(arena, "calc"))
    assert.same({}, (assert(arena:names())))
    refused(ENOENT, "^rpc%.remove 'calc': there is no such service$", rpc.remove(arena, "calc"))
  end)

  -- As Ctrl-C does: the hook's error comes at any instruction.
  local function interrupted(n, f)
    local co = coroutine.create(f)
    debug.sethook(co, function()
      debug.sethook(co)
      error "interrupted"
    end, "", n)
    local ok = coroutine.resume(co)
    coroutine.close(co)
    return not ok
  end

  for what, f in pairs {
    server = function() rpc.server(arena, "calc", METHODS):close() end,
    client = function() rpc.client(arena, "calc"):close() end,
    remove = function() rpc.remove(arena, "calc") end,
  } do
    it("is possible after an error, at any instruction, in who goes on: " .. what, function()
      local n, times, factor = 1, 0, 1 + 4 / support.rounds(100)
      repeat
        assert(rpc.server(arena, "calc", METHODS)):close()
        local ended = not interrupted(n, f)
        collectgarbage()
        collectgarbage()
        local other <close> = child(function()
          local removed, message, errno = rpc.remove(arena, "calc")
          assert(removed or errno == ENOENT, message)
        end)
        assert.is_true(other.ended(), "after " .. n)
        times, n = times + 1, math.max(n + 1, n * factor // 1 | 0)
      until ended
      assert.is_true(times > 3) -- hundreds, where nothing watches
    end)
  end
end)
