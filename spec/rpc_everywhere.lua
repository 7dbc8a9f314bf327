-- A server, a client, who buries the dead and who removes the service, killed before each of their
-- stores: what must hold wherever it was. The spec does it, and spec/rpc_soak.lua where it takes
-- longer.
local assert = require "luassert"
local chaos = require "shm.chaos"
local registers = require "shm.rpc.register"
local rpc = require "shm.rpc"
local rpcs = require "spec.rpc_support"
local support = require "spec.support"

local M = {}

local EOWNERDEAD <const>, ETIMEDOUT <const> = 130, 110
-- Little memory, as each page of it costs time at each store.
local SIZE <const> = 1 << 17
local SMALL <const> = {timeout = rpcs.LONG, capacity = 256, answers = 1024}

-- An arena, a counter in it of what was done, and methods that count.
local function setting()
  local arena = rpcs.arena(SIZE)
  local done = assert(arena:counter "done")
  local methods = {
    add = function(_, x, y)
      done:add(1)
      return x + y
    end,
  }
  local used = arena:stat().used
  local self = {arena = arena, done = done}

  function self.client()
    return assert(rpc.client(arena, "calc", SMALL))
  end

  function self.server()
    return assert(rpc.server(arena, "calc", methods, {capacity = 256}))
  end

  -- A call is done, whoever was killed before; and then nothing is left.
  function self.goes_on(client, server)
    local before = done:get()
    local call = assert(client:start("add", 5, 6))
    local result
    support.eventually(function()
      result = call:wait(0)
      return result or not server:step(0) and nil
    end)
    assert.equal(11, result)
    assert.equal(before + 1, done:get())
    client:close()
    server:close()
    done:set(0)
    rpcs.nothing_left(arena, "calc", used, {done = "counter"})
  end

  return setmetatable(self, {__close = function()
    done:close()
    arena:close()
  end})
end

local function run(operation, verify, prepare, rounds, mode)
  local count, how = chaos.kill_everywhere(operation, verify, {
    prepare = prepare, timeout = rpcs.LONG, rounds = rounds, mode = mode,
  })
  assert.is_true(count > 0 or how == "random")
  return count
end

--- A server that comes, does one request, and leaves. The number of kills.
function M.server(rounds, mode)
  local it <close> = setting()
  local client, call
  return run(function()
    local server <close> = it.server()
    assert(server:step(0))
  end, function(_, survived)
    assert.is_true(it.done:get() <= 1)
    local server = it.server()
    local results
    support.eventually(function()
      client.state.tended = 0 -- it need not wait for its next look
      results = table.pack(call:wait(0))
      server:step(0)
      return results[3] ~= ETIMEDOUT
    end)
    if results[1] == nil then
      assert.equal(EOWNERDEAD, results[3])
      assert.is_false(survived)
    else
      assert.equal(3, results[1])
      assert.equal(1, it.done:get())
    end
    assert.is_true(it.done:get() <= 1)
    it.goes_on(client, server)
  end, function()
    if client then -- also of a run that was not to be, where stores can not be found
      client:close()
    end
    client = it.client()
    call = assert(client:start("add", 1, 2))
  end, rounds, mode)
end

--- A client that comes, calls, casts, gives up, and leaves. The number of kills.
function M.client(rounds, mode)
  local it <close> = setting()
  local server
  return run(function()
    local client <close> = it.client()
    local call = assert(client:start("add", 1, 2))
    assert(client:cast("add", 1, 2))
    assert(select(3, call:wait(0)) == ETIMEDOUT)
    call:cancel()
    assert(client:start("add", 1, 2))
  end, function()
    while server:step(0) do
      assert.is_true(it.done:get() <= 3)
    end
    it.goes_on(it.client(), server)
  end, function()
    if server then
      server:close()
    end
    server = it.server()
  end, rounds, mode)
end

--- Who opens a service and finds the dead there. The number of kills.
function M.burial(rounds, mode)
  local it <close> = setting()
  return run(function()
    local server <close> = it.server()
    assert(#server:callers() == 0)
  end, function()
    it.goes_on(it.client(), it.server())
  end, function()
    rpcs.killed(function()
      it.client()
      it.server()
    end)
  end, rounds, mode)
end

--- Who removes a service that somebody is about to serve. The number of kills.
function M.removal(rounds, mode)
  local it <close> = setting()
  local opened
  return run(function()
    assert(rpc.remove(it.arena, "calc"))
  end, function()
    local place, _, errno = opened:take "server"
    if place then -- then it is where clients push what they want
      local client <close> = it.client()
      assert(client:cast("add", 1, 2))
      assert.equal("add", opened.requests:pop(0)[2])
      opened:leave(place)
    else
      assert.equal(registers.ESTALE, errno)
    end
    opened:close()
    it.goes_on(it.client(), it.server())
  end, function()
    if opened then
      pcall(opened.close, opened)
    end
    opened = assert(registers.open(it.arena, "calc", {capacity = 256}))
  end, rounds, mode)
end

return M
