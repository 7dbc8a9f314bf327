--- The real set: System V semaphores under a key of this run's own, absent at first.
-- @module shm.lab.run.set
local patiently = require("shm.lab.run.words").patiently
local sysv = require "shm.sysv"

local M = {name = "set"}

local MODE <const> = tonumber("600", 8)
local TRIES <const> = 1000

-- A key that nobody uses.
function M.create(_, object)
  local pid = require("shm.process").pid()
  for i = 1, TRIES do
    local key = 0x4c000000 | (pid * 31 + i * 7919) & 0xffffff
    if not sysv.semget(key, 0) then
      object.key = key
      return
    end
  end
  error("lab.run: no free key for a set", 0)
end

function M.open(_, object)
  local real, key = {}, object.key
  local id

  local function known()
    return id or error("this role has neither created nor opened it", 0)
  end

  local function get(...)
    local set, message, errno = sysv.semget(...)
    if not set then
      return nil, message, errno
    end
    id = set.id
    return true
  end

  real.methods = {
    create = function(_, n) return get(key, n, sysv.IPC_CREAT | sysv.IPC_EXCL | MODE) end,
    open = function() return get(key, 0) end,
    setval = function(_, i, value) return sysv.semctl(known(), i, sysv.SETVAL, value) end,
    getval = function(_, i) return sysv.semctl(known(), i, sysv.GETVAL) end,
    op = function(_, i, delta, options, timeout)
      local ops = {{num = i, op = delta, flg = options and options.undo and sysv.SEM_UNDO or 0}}
      return patiently(function(left) return sysv.semop(known(), ops, left) end, timeout)
    end,
    otime = function()
      local stat, message, errno = sysv.semctl(known(), 0, sysv.IPC_STAT)
      if not stat then
        return nil, message, errno
      end
      return stat.otime > 0 and 1 or 0
    end,
    remove = function() return sysv.semctl(known(), 0, sysv.IPC_RMID) end,
  }

  function real.reset()
    local set = sysv.semget(key, 0)
    if set then
      set:remove()
    end
  end
  real.close = real.reset

  function real.begin() id = nil end

  function real.left()
    return sysv.semget(key, 0) and "a set of semaphores" or nil
  end

  function real.show()
    local set = sysv.semget(key, 0)
    local stat = set and set:stat()
    local values = stat and sysv.semctl(set, 0, sysv.GETALL)
    return {exists = stat ~= nil, otime = stat and (stat.otime > 0 and 1 or 0),
            values = values and table.move(values, 1, #values, 0, {})}
  end
  return real
end

return M
