-- Keys and values that processes share: ours, and what there is else. Each is
--   name, kind
--   prepare(n)              if it has one: what goes on elsewhere while others start
--   start(n)                begins with n keys; nil and why where it can not be had
--   stop()
--   some(word, order)       what a process of the team does: a function of (from, to), which are
--                           places in the order of keys; called in that process
-- or instead of the last, as they have processes of their own,
--   all(word, among, n, workers)   all of it, n times each; may say how many ns one took
-- The words are get, set, incr, and mixed, where every tenth is a change. Values are integers.
local boost = require "bench.peers.boost"
local cpus = require "bench.cpus"
local keys = require "bench.keys"
local nginx = require "bench.peers.nginx"
local place = require "bench.place"
local python = require "bench.peers.python"
local redis = require "bench.peers.redis"
local shm = require "shm"

local M = {}

-- Ours.
do
  local arena, map
  M.ours = {
    name = "map", kind = "ours",
    start = function(n)
      local name = place.name "map"
      arena = assert(shm.arena(name, {size = 1 << 20, max = 1 << 30}))
      shm.unlink(name)
      map = assert(arena:map "map")
      for i, key in ipairs(keys.strings(n)) do
        assert(map:set(key, i))
      end
      return true
    end,
    stop = function()
      map:close()
      arena:close()
    end,
    some = function(word, order)
      local m = map
      return ({
        get = function(from, to) for i = from, to do m:get(order[i]) end end,
        set = function(from, to) for i = from, to do m:set(order[i], i) end end,
        incr = function(from, to) for i = from, to do m:incr(order[i], 1) end end,
        mixed = function(from, to)
          for i = from, to do
            if i % 10 == 0 then
              m:set(order[i], i)
            else
              m:get(order[i])
            end
          end
        end,
      })[word]
    end,
  }
end

-- A table of Lua's own, which nobody else sees.
do
  local plain
  M.table = {
    name = "a plain Lua table", kind = "limit",
    start = function(n)
      plain = {}
      for i, key in ipairs(keys.strings(n)) do
        plain[key] = i
      end
      return true
    end,
    stop = function() plain = nil end,
    some = function(word, order)
      local t, sum = plain, 0
      return ({
        get = function(from, to) for i = from, to do sum = t[order[i]] end end,
        set = function(from, to) for i = from, to do t[order[i]] = i end end,
        incr = function(from, to)
          for i = from, to do
            local key = order[i]
            t[key] = t[key] + 1
          end
        end,
        mixed = function(from, to)
          for i = from, to do
            if i % 10 == 0 then
              t[order[i]] = sum
            else
              sum = t[order[i]]
            end
          end
        end,
      })[word]
    end,
  }
end

-- LMDB, from C. The keys are copied into C once for each order; the processes inherit them.
do
  local there, lmdb = pcall(require, "lmdb")
  local folder, taken
  M.lmdb = {
    name = "LMDB in C", kind = "peer",
    start = function(n)
      if not there then
        return nil, "LMDB was not there to build with"
      end
      folder = "/dev/shm/" .. place.name "lmdb"
      assert(os.execute("mkdir -m 700 " .. folder))
      taken = keys.strings(n)
      lmdb.keys(taken)
      lmdb.fill(folder)
      return true
    end,
    stop = function()
      lmdb.keys {}
      taken = nil
      os.execute("rm -rf " .. folder)
    end,
    take = function(order)
      if taken ~= order then
        taken = order
        lmdb.keys(order)
      end
    end,
    some = function(word)
      lmdb.attach(folder)
      local f = lmdb[word]
      return function(from, to) f(from - 1, to - from + 1) end
    end,
  }
end

M.nginx = {
  name = "ngx.shared.DICT", kind = "peer",
  prepare = function(n) nginx.prepare(keys.file(n)) end,
  start = nginx.start,
  stop = nginx.stop,
  all = function(word, among, n, workers) nginx.run(word, among, workers, n) end,
}

-- Redis. It is filled from inside, as a million commands of a client would take eight seconds.
local FILL <const> = [[
local i = 0
for key in ARGV[1]:gmatch "[^\n]+" do
  i = i + 1
  redis.call("SET", key, i)
end]]

M.redis = {
  name = "Redis", kind = "peer",
  start = function(n)
    local ok, why = redis.start()
    if not ok then
      return nil, why
    end
    redis.client():call("EVAL", FILL, 0, table.concat(keys.strings(n), "\n"))
    return true
  end,
  stop = function() redis.client():call "FLUSHALL" end,
  some = function(word, order)
    local client = redis.client()
    return ({
      get = function(from, to) for i = from, to do client:call("GET", order[i]) end end,
      set = function(from, to) for i = from, to do client:call("SET", order[i], i) end end,
      incr = function(from, to) for i = from, to do client:call("INCR", order[i]) end end,
      mixed = function(from, to)
        for i = from, to do
          if i % 10 == 0 then
            client:call("SET", order[i], i)
          else
            client:call("GET", order[i])
          end
        end
      end,
    })[word]
  end,
}

-- Python and Boost: programs that are told.
local function told(name, peer)
  return {
    name = name, kind = "peer",
    prepare = function(n) peer.tell("fill", keys.file(n)) end,
    start = peer.answer,
    stop = function() peer.ask "empty" end,
    all = function(word, among, n, workers)
      local where = {}
      for i = 1, workers do
        where[i] = cpus.of(i, "equals")
      end
      return peer.ask("table", word, among, table.concat(where, ","), n)
    end,
  }
end

M.boost = told("Boost's managed map", boost)
M.python = told("Python's Manager().dict()", python)

return M
