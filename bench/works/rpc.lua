-- Calls: a round trip against two hand-overs of plain queues, and against a request and its
-- response over a socketpair, all in Lua and between the same two processes.
local cpus = require "bench.cpus"
local process = require "shm.process"
local rounds = require "bench.rounds"
local rpc = require "shm.rpc"
local shm = require "shm"

local arena, there, back, near, far, client

local function before()
  arena = assert(shm.arena(assert(shm.anonymous(1 << 21))))
  there, back = assert(arena:queue "there"), assert(arena:queue "back")
  near, far = assert(process.socketpair "seqpacket")
  client = assert(rpc.client(arena, "bench"))
end

local function after()
  for _, handle in ipairs {client, there, back, near, far, arena} do
    handle:close()
  end
end

-- In batches, f(i) is one of them.
local function each(f)
  return function(n)
    return rounds.batches(n, function(size)
      for i = 1, size do
        f(i)
      end
    end)
  end
end

local calls = {
  name = "rpc", kind = "ours",
  run = each(function(i) client:call("add", i, 1) end),
  partner = function(n)
    local server <close> = assert(rpc.server(arena, "bench", {
      add = function(_, x, y) return x + y end,
    }))
    for _ = 1, n do
      server:step()
    end
  end,
}

local strings = {
  name = "queues there and back, strings", kind = "ours",
  run = each(function(i)
    there:push(string.pack("i8i8", i, 1))
    return string.unpack("i8", (back:pop()))
  end),
  partner = function(n)
    local push, pop = back:pusher(), there:popper()
    for _ = 1, n do
      local x, y = string.unpack("i8i8", (pop()))
      push(string.pack("i8", x + y))
    end
  end,
}

local tables = {
  name = "queues there and back, tables", kind = "ours",
  run = each(function(i)
    there:push {i, "add", 2, i, 1}
    back:pop()
  end),
  partner = function(n)
    local push, pop = back:pusher(), there:popper()
    for _ = 1, n do
      local message = pop()
      push {message[1], message[2], message[4] + message[5]}
    end
  end,
}

local socketpair = {
  name = "a socketpair, strings", kind = "peer",
  run = each(function(i)
    near:send(string.pack("i8i8", i, 1))
    return string.unpack("i8", near:recv(64))
  end),
  partner = function(n)
    for _ = 1, n do
      local x, y = string.unpack("i8i8", far:recv(64))
      far:send(string.pack("i8", x + y))
    end
  end,
}

local function row(name, how)
  return {name = name, team = 1, how = how, before = before, after = after,
          calls, strings, tables, socketpair}
end

return {row("rpc call, one cpu", "same"),
        cpus.count > 1 and row("rpc call, two cpus", "beside") or nil}
