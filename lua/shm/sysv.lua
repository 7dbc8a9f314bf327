--- System V shared memory, semaphores and message queues under the kernel's own names.
-- The functions are C, but for those below; their documentation stands in src/bind/sysv*.c.
-- @module shm.sysv
local M = require("shm.core").sysv

-- What there is by index, up to the highest in use. Some go while one looks.
local function all(info, stat_any, stat)
  local list = {}
  for index = 0, info.index do
    local found, _, errno = stat_any(index)
    if not found and errno == 22 then -- before Linux 4.17, or there is nothing: as EINVAL
      found = stat(index)
    end
    list[#list + 1] = found or nil
  end
  return list
end

--- Lists what there is in this IPC namespace, also what this process may not read, as ipcs
-- does.
-- @treturn table `segments`, `semaphores` and `queues`: lists of what `IPC_STAT` gives, with
-- the field `id`
-- @see shmctl(2), semctl(2), msgctl(2)
function M.list()
  return {
    segments = all(M.shmctl(0, M.SHM_INFO),
                   function(index) return M.shmctl(index, M.SHM_STAT_ANY) end,
                   function(index) return M.shmctl(index, M.SHM_STAT) end),
    semaphores = all(M.semctl(0, 0, M.SEM_INFO),
                     function(index) return M.semctl(index, 0, M.SEM_STAT_ANY) end,
                     function(index) return M.semctl(index, 0, M.SEM_STAT) end),
    queues = all(M.msgctl(0, M.MSG_INFO),
                 function(index) return M.msgctl(index, M.MSG_STAT_ANY) end,
                 function(index) return M.msgctl(index, M.MSG_STAT) end),
  }
end

--- The limits of this IPC namespace.
-- @treturn table `shmmax` and `shmmin` (bytes a segment), `shmmni` (segments), `shmall`
-- (pages), `semmni` (sets), `semmsl` (semaphores a set), `semmns` (semaphores), `semopm`
-- (operations a call), `semvmx` (value), `semaem`, `msgmax` (bytes a message), `msgmnb`
-- (bytes a queue), `msgmni` (queues), `page_size`; `math.maxinteger` stands for more than that
-- @see sysctl(8)
function M.limits()
  local limits = {page_size = require("shm.core").posix.PAGE_SIZE}
  for _, part in ipairs {M.shmctl(0, M.IPC_INFO), M.semctl(0, 0, M.IPC_INFO),
                         M.msgctl(0, M.IPC_INFO)} do
    for name, value in pairs(part) do
      limits[name] = value
    end
  end
  limits.index = nil
  return limits
end

return M
