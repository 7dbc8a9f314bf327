--- System V shared memory, semaphores and message queues under the kernel's own names.
-- The functions are C, but for those below; their documentation stands in src/bind/sysv*.c.
-- @module shm.sysv
local M = require("shm.core").sysv

-- What is listed, the call that tells, and how it is asked: how many there are; for one of them,
-- also one that this process may not read; and for one of them.
local KINDS <const> = {
  {"segments", M.shmctl, M.SHM_INFO, M.SHM_STAT_ANY, M.SHM_STAT},
  {"semaphores", function(id, command) return M.semctl(id, 0, command) end,
   M.SEM_INFO, M.SEM_STAT_ANY, M.SEM_STAT},
  {"queues", M.msgctl, M.MSG_INFO, M.MSG_STAT_ANY, M.MSG_STAT},
}

-- What there is by index, up to the highest in use. Some go while one looks.
local function all(highest, tell, stat_any, stat)
  local list = {}
  for index = 0, highest do
    local found, _, errno = tell(index, stat_any)
    if not found and errno == 22 then -- before Linux 4.17, or there is nothing: as EINVAL
      found = tell(index, stat)
    end
    list[#list + 1] = found or nil
  end
  return list
end

--- Lists what there is in this IPC namespace, also what this process may not read, as ipcs
-- does.
-- @treturn table `segments`, `semaphores` and `queues`: lists of what `IPC_STAT` gives, with
-- the field `id`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOSYS, or what a sandbox refuses by
-- @see shmctl(2), semctl(2), msgctl(2)
function M.list()
  local lists = {}
  for _, kind in ipairs(KINDS) do
    local name, tell, how_many, stat_any, stat = table.unpack(kind)
    local info, message, errno = tell(0, how_many)
    if not info then
      return nil, message, errno
    end
    lists[name] = all(info.index, tell, stat_any, stat)
  end
  return lists
end

--- The limits of this IPC namespace.
-- @treturn table `shmmax` and `shmmin` (bytes a segment), `shmmni` (segments), `shmall`
-- (pages), `semmni` (sets), `semmsl` (semaphores a set), `semmns` (semaphores), `semopm`
-- (operations a call), `semvmx` (value), `semaem`, `msgmax` (bytes a message), `msgmnb`
-- (bytes a queue), `msgmni` (queues), `page_size`; `math.maxinteger` stands for more than that
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOSYS, or what a sandbox refuses by
-- @see sysctl(8)
function M.limits()
  local limits = {page_size = require("shm.core").posix.PAGE_SIZE}
  for _, kind in ipairs(KINDS) do
    local part, message, errno = kind[2](0, M.IPC_INFO)
    if not part then
      return nil, message, errno
    end
    for name, value in pairs(part) do
      limits[name] = value
    end
  end
  limits.index = nil
  return limits
end

return M
