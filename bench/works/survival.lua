-- What outlives its process: changes of a group, and until another node has them; a state that
-- is written to the disk, and one that goes on after its server was killed.
local cpus = require "bench.cpus"
local durable = require "shm.durable"
local place = require "bench.place"
local posix = require "shm.posix"
local process = require "shm.process"
local replica = require "shm.replica"
local rounds = require "bench.rounds"
local scale = require "bench.scale"
local shm = require "shm"

local KEYS <const> = 1000
local list = {}

-- Changes, alone and with another node.
do
  local GROUP <const> = place.name "group"
  local node, arena, map, control, here, there

  local function before()
    node = assert(replica.open(GROUP, {id = "a", size = 1 << 22}))
    arena = assert(shm.arena(assert(shm.anonymous(1 << 22))))
    map = assert(arena:map "map")
    control = assert(shm.anonymous(4096))
    here = assert(shm.semaphore.create(control, 0, 0))
    there = assert(shm.semaphore.create(control, 1024, 0))
  end

  local function after()
    for _, handle in ipairs {node, map, arena, here, there, control} do
      handle:close()
    end
    replica.unlink(GROUP)
  end

  list[1] = {
    name = "replica:set", before = before, after = after, clock = os.clock,
    {name = "set", kind = "ours", run = function(n)
      for i = 1, n do
        node:set(i % KEYS, i)
      end
    end},
    {name = "map:transaction of one key", kind = "ours", run = function(n)
      local key, value
      local function change(view) view:set(key, value) end
      for i = 1, n do
        key, value = i % KEYS, i
        map:transaction(change)
      end
    end},
    {name = "map:set", kind = "ours", run = function(n)
      for i = 1, n do
        map:set(i % KEYS, i)
      end
    end},
  }

  local other
  list[2] = cpus.count > 1 and {
    name = "replica:set, until another has it", team = 1, how = "beside", before = before,
    after = after,
    {name = "set and a semaphore back", kind = "ours",
     run = function(n)
       control:store(2048, node:seq())
       here:post()
       assert(there:wait())
       return rounds.batches(n, function(size)
         for i = 1, size do
           node:set(i, i)
           assert(there:wait())
         end
       end)
     end,
     partner = function(n)
       other = other or assert(replica.open(GROUP, {id = "b", size = 1 << 22}))
       assert(here:wait())
       local seq = control:load(2048)
       assert(other:wait_for(seq))
       there:post()
       for i = 1, n do
         assert(other:wait_for(seq + i))
         there:post()
       end
     end},
  } or nil
end

-- States.
do
  local NAME <const>, SIZE <const> = place.name "state", scale.of(16 << 20, 1 << 20)
  local state, options
  local text = ("x"):rep(SIZE)

  list[#list + 1] = {
    name = "durable sync", size = SIZE,
    before = function()
      options = {file = place.folder .. "/state", size = SIZE}
      state = assert(durable.open(NAME, options))
    end,
    after = function() state:stop() end,
    {name = "sync", kind = "ours", run = function(n)
      for _ = 1, n do
        assert(state:sync())
      end
    end},
    {name = "io.write of as much, and fsync", kind = "limit", run = function(n)
      for _ = 1, n do
        local path = place.folder .. "/plain"
        local file = assert(io.open(path, "w"))
        file:write(text)
        file:close()
        local fd <close> = assert(posix.open(path, posix.O_RDWR))
        assert(posix.fsync(fd))
      end
    end},
  }

  -- A server, killed once it has said that it is there.
  local function killed()
    local told, tells = assert(process.socketpair())
    local child = assert(process.fork(function()
      local own <const> = assert(durable.open(NAME, options))
      own.map:incr("n", 1, 0)
      tells:send "there"
      process.sleep(1000)
    end))
    assert(told:recv(10, 10))
    child:kill "KILL"
    child:wait()
    for _, handle in ipairs {child, told, tells} do
      handle:close()
    end
  end

  list[#list + 1] = {
    name = "durable.open after a death", size = SIZE,
    before = function() options = {size = SIZE} end,
    after = function() assert(durable.open(NAME, options)):stop() end,
    {name = "open", kind = "ours", run = function(n)
      local took = 0
      for _ = 1, n do
        killed()
        local start = process.monotonic()
        local own = assert(durable.open(NAME, options))
        took = took + process.monotonic() - start
        assert(own.began == "recovered")
        own:close()
      end
      return took / n * 1e9
    end},
  }
end

return list
