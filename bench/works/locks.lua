-- A lock that nobody else wants.
local boost = require "bench.peers.boost"
local limits = require "limits"
local place = require "bench.place"
local posix = require "shm.posix"
local python = require "bench.peers.python"
local shm = require "shm"
local sysv = require "shm.sysv"

local region = assert(shm.anonymous(1 << 16, {prefault = true}))
local mutex = assert(shm.mutex.create(region, 0))
local named, set

return {{
  name = "mutex lock, unlock", clock = os.clock,
  {name = "mutex lock, unlock", kind = "ours", run = function(n)
    for _ = 1, n do
      mutex:lock()
      mutex:unlock()
    end
  end},
  {name = "two empty methods, a bare lock in C", kind = "limit", goal = 1.2, run = function(n)
    for _ = 1, n do
      region:empty()
      region:empty()
    end
    limits.locks(n)
  end},
  {name = "a robust mutex in C", kind = "limit",
   run = function(n) limits.robust(region, 8192, n) end},
  {
    name = "a POSIX semaphore", kind = "peer",
    start = function()
      named = assert(posix.sem_init(region, 16384, 1))
      return true
    end,
    run = function(n)
      for _ = 1, n do
        posix.sem_wait(named)
        posix.sem_post(named)
      end
    end,
    stop = function() named:close() end,
  },
  {
    name = "a System V semaphore, SEM_UNDO", kind = "peer",
    start = function()
      set = assert(sysv.semget(place.key(1), 1, sysv.IPC_CREAT | sysv.IPC_EXCL
                                                | tonumber("600", 8)))
      assert(sysv.semop(set, {{num = 0, op = 1}}))
      return true
    end,
    run = function(n)
      local down = {{num = 0, op = -1, flg = sysv.SEM_UNDO}}
      local up = {{num = 0, op = 1, flg = sysv.SEM_UNDO}}
      for _ = 1, n do
        sysv.semop(set, down)
        sysv.semop(set, up)
      end
    end,
    stop = function() set:remove() end,
  },
  boost.entry("interprocess_mutex", "locks"),
  python.entry("Lock", "locks"),
}}
