-- Ways for messages from a Lua process to another: ours, and what there is else. Each is
--   name, kind
--   open(size, links)  a link or nil and why, for messages of that size, and one way or two
-- and a link has, for each way from 1,
--   sender(way)        a function of a string
--   receiver(way)      a function that returns one
--   within(f)          calls f, in which those functions may be called
--   close()
-- Both ends are made before the processes are, except those that connect.
local limits = require "limits"
local place = require "bench.place"
local posix = require "shm.posix"
local process = require "shm.process"
local redis = require "bench.peers.redis"
local shm = require "shm"
local sysv = require "shm.sysv"

local M = {}

-- A ring larger than what one cpu caches keeps the two sides off each other's lines.
local CAPACITY <const> = 4 << 20

local function each(n, f)
  local list = {}
  for i = 1, n do
    list[i] = f(i)
  end
  return list
end

local function close_all(list)
  for _, one in ipairs(list) do
    one:close()
  end
end

local function call(f)
  return f()
end

local function queue(mode)
  return {
    name = "queue, " .. mode, kind = "ours",
    open = function(_, ways)
      local size = (shm.queue.size {capacity = CAPACITY} + 4095) // 4096 * 4096
      local region = assert(shm.anonymous(ways * size, {prefault = true}))
      local queues = each(ways, function(i)
        return assert(shm.queue.create(region, (i - 1) * size, {capacity = CAPACITY, mode = mode}))
      end)
      return {
        sender = function(way) return queues[way]:pusher() end,
        receiver = function(way) return queues[way]:popper() end,
        within = call,
        close = function()
          close_all(queues)
          region:close()
        end,
      }
    end,
  }
end

M.spsc, M.mpmc = queue "spsc", queue "mpmc"

-- In a controller of this process's own: the one that cqueues makes for who has none would be
-- inherited, with an epoll that both processes change.
local function controlled(f)
  local controller, result = require "cqueues".new(), nil
  controller:wrap(function() result = f() end)
  assert(controller:loop())
  controller:close()
  return result
end

-- Sockets of cqueues, a pair for each way: {reading, writing}.
local function cqueues(name, pair)
  return {
    name = name, kind = "peer",
    open = function(size, ways)
      local there, socket = pcall(require, "cqueues.socket")
      if not there then
        return nil, "cqueues is not there"
      end
      local pairs_of = each(ways, function()
        local reading, writing = pair(socket)
        reading:setmode("bn", "bn")
        writing:setmode("bn", "bn")
        return {reading, writing}
      end)
      return {
        sender = function(way)
          local to = pairs_of[way][2]
          return function(text) assert(to:write(text)) end
        end,
        receiver = function(way)
          local from = pairs_of[way][1]
          return function() return from:read(size) end
        end,
        within = controlled,
        close = function()
          for _, ends in ipairs(pairs_of) do
            close_all(ends)
          end
        end,
      }
    end,
  }
end

M.pipe = cqueues("a pipe, cqueues", function(socket)
  local reading, writing = limits.pipe()
  return socket.fdopen(reading), socket.fdopen(writing)
end)

M.socketpair = cqueues("a socketpair, cqueues", function(socket) return socket.pair() end)

M.luasocket = {
  name = "a Unix socket, LuaSocket", kind = "peer",
  open = function(size, ways)
    local there, unix = pcall(require, "socket.unix")
    if not there then
      return nil, "LuaSocket is not there"
    end
    local path = place.folder .. "/socket"
    local door = assert(unix.stream())
    assert(door:bind(path))
    assert(door:listen())
    local sockets = each(ways, function()
      local writing = assert(unix.stream())
      assert(writing:connect(path))
      return {assert(door:accept()), writing}
    end)
    door:close()
    os.remove(path)
    return {
      sender = function(way)
        local to = sockets[way][2]
        return function(text) assert(to:send(text)) end
      end,
      receiver = function(way)
        local from = sockets[way][1]
        return function() return from:receive(size) end
      end,
      within = call,
      close = function()
        for _, ends in ipairs(sockets) do
          close_all(ends)
        end
      end,
    }
  end,
}

M.posix = {
  name = "a POSIX message queue", kind = "peer",
  open = function(size, ways)
    local made = {}
    for way = 1, ways do
      local name = place.queue(way)
      local one, why = posix.mq_open(name, posix.O_CREAT | posix.O_EXCL | posix.O_RDWR,
                                     tonumber("600", 8), {maxmsg = 10, msgsize = size})
      posix.mq_unlink(name)
      if not one then
        close_all(made)
        return nil, why:match "Invalid argument" and "msgsize_max is less" or why
      end
      made[way] = one
    end
    return {
      sender = function(way)
        local to = made[way]
        return function(text) assert(to:send(text)) end
      end,
      receiver = function(way)
        local from = made[way]
        return function() return from:receive() end
      end,
      within = call,
      close = function() close_all(made) end,
    }
  end,
}

M.sysv = {
  name = "a System V message queue", kind = "peer",
  open = function(size, ways)
    local made = each(ways, function(way)
      return assert(sysv.msgget(place.key(way), sysv.IPC_CREAT | sysv.IPC_EXCL
                                                | tonumber("600", 8)))
    end)
    local function close()
      for _, id in ipairs(made) do
        id:remove()
      end
    end
    local fits, why = sysv.msgsnd(made[1], 1, ("x"):rep(size), sysv.IPC_NOWAIT)
    if not fits then
      close()
      return nil, why:match "Invalid argument" and "msgmax is less" or why
    end
    assert(sysv.msgrcv(made[1], size))
    return {
      sender = function(way)
        local to = made[way]
        return function(text) assert(sysv.msgsnd(to, 1, text)) end
      end,
      receiver = function(way)
        local from = made[way]
        return function() return (sysv.msgrcv(from, size)) end
      end,
      within = call,
      close = close,
    }
  end,
}

M.channel = {
  name = "a socketpair, shm.process", kind = "peer",
  open = function(size, ways)
    local channels = each(ways, function() return {assert(process.socketpair "seqpacket")} end)
    return {
      sender = function(way)
        local to = channels[way][1]
        return function(text) assert(to:send(text)) end
      end,
      receiver = function(way)
        local from = channels[way][2]
        return function() return from:recv(size) end
      end,
      within = call,
      close = function()
        for _, ends in ipairs(channels) do
          close_all(ends)
        end
      end,
    }
  end,
}

M.redis = {
  name = "Redis", kind = "peer",
  open = function()
    local ok, why = redis.start()
    if not ok then
      return nil, why
    end
    return {
      sender = function(way)
        local client, key = redis.client(), "queue " .. way
        return function(text) client:call("LPUSH", key, text) end
      end,
      receiver = function(way)
        local client, key = redis.client(), "queue " .. way
        return function() return client:call("BRPOP", key, 0)[2] end
      end,
      within = call,
      close = function() redis.client():call "FLUSHALL" end,
    }
  end,
}

return M
