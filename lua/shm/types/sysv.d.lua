---@meta

---The module shm.sysv.
---@class shm.sysv
---@field IPC_PRIVATE integer
---@field IPC_CREAT integer
---@field IPC_EXCL integer
---@field IPC_NOWAIT integer
---@field IPC_STAT integer
---@field IPC_SET integer
---@field IPC_RMID integer
---@field IPC_INFO integer
---@field SHM_RDONLY integer
---@field SHM_RND integer
---@field SHMLBA integer
---@field SHM_DEST integer
---@field SHM_LOCKED integer
---@field SHM_EXEC integer
---@field SHM_REMAP integer
---@field SHM_HUGETLB integer
---@field SHM_HUGE_2MB integer
---@field SHM_HUGE_1GB integer
---@field SHM_NORESERVE integer
---@field SHM_LOCK integer
---@field SHM_UNLOCK integer
---@field SHM_STAT integer
---@field SHM_STAT_ANY integer
---@field SHM_INFO integer
---@field SEM_UNDO integer
---@field GETVAL integer
---@field SETVAL integer
---@field GETPID integer
---@field GETNCNT integer
---@field GETZCNT integer
---@field GETALL integer
---@field SETALL integer
---@field SEM_STAT integer
---@field SEM_STAT_ANY integer
---@field SEM_INFO integer
---@field MSG_EXCEPT integer
---@field MSG_NOERROR integer
---@field MSG_COPY integer
---@field MSG_STAT integer
---@field MSG_STAT_ANY integer
---@field MSG_INFO integer
local sysv = {}

---The fields of struct shmid_ds and its ipc_perm.
---@class shm.sysv.shmid_ds
---@field key integer
---@field uid integer
---@field gid integer
---@field cuid integer
---@field cgid integer
---@field mode integer permissions, SHM_DEST and SHM_LOCKED
---@field seq integer
---@field id integer
---@field segsz integer bytes
---@field atime integer seconds since 1970, 0 for never
---@field dtime integer
---@field ctime integer
---@field cpid integer
---@field lpid integer
---@field nattch integer

---The fields of struct semid_ds and its ipc_perm.
---@class shm.sysv.semid_ds
---@field key integer
---@field uid integer
---@field gid integer
---@field cuid integer
---@field cgid integer
---@field mode integer
---@field seq integer
---@field id integer
---@field otime integer seconds since 1970, 0 for never
---@field ctime integer
---@field nsems integer

---@class shm.sysv.segment
---@field id integer
local segment = {}
---@return shm.sysv.shmid_ds|nil
---@return string? message
---@return integer? errno
function segment:stat() end
---@return true|nil
---@return string? message
---@return integer? errno
function segment:remove() end
---@return true
function segment:close() end

---@class shm.sysv.semaphores
---@field id integer
local semaphores = {}
---@return shm.sysv.semid_ds|nil
---@return string? message
---@return integer? errno
function semaphores:stat() end
---@return true|nil
---@return string? message
---@return integer? errno
function semaphores:remove() end
---@return true
function semaphores:close() end

---@param path string
---@param id integer
---@return integer|nil key
---@return string? message
---@return integer? errno
function sysv.ftok(path, id) end

---@param key integer
---@param size integer
---@param flags? integer
---@return shm.sysv.segment|nil
---@return string? message
---@return integer? errno
function sysv.shmget(key, size, flags) end

---@param id shm.sysv.segment|integer
---@param address? integer|shm.region
---@param flags? integer
---@return shm.region|nil
---@return string? message
---@return integer? errno
function sysv.shmat(id, address, flags) end

---@param region shm.region
---@return true|nil
---@return string? message
---@return integer? errno
function sysv.shmdt(region) end

---@param id shm.sysv.segment|integer
---@param command integer
---@param values? {uid: integer?, gid: integer?, mode: integer?}
---@return shm.sysv.shmid_ds|table|true|nil
---@return string? message
---@return integer? errno
function sysv.shmctl(id, command, values) end

---@param key integer
---@param count integer
---@param flags? integer
---@return shm.sysv.semaphores|nil
---@return string? message
---@return integer? errno
function sysv.semget(key, count, flags) end

---@param id shm.sysv.semaphores|integer
---@param ops {num: integer, op: integer, flg: integer?}[]
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function sysv.semop(id, ops, timeout) end

---@param id shm.sysv.semaphores|integer
---@param num integer
---@param command integer
---@param argument? integer|integer[]|table
---@return integer|integer[]|shm.sysv.semid_ds|true|nil
---@return string? message
---@return integer? errno
function sysv.semctl(id, num, command, argument) end

---The fields of struct msqid_ds and its ipc_perm.
---@class shm.sysv.msqid_ds
---@field key integer
---@field uid integer
---@field gid integer
---@field cuid integer
---@field cgid integer
---@field mode integer
---@field seq integer
---@field id integer
---@field stime integer seconds since 1970, 0 for never
---@field rtime integer
---@field ctime integer
---@field cbytes integer bytes in it
---@field qnum integer messages in it
---@field qbytes integer most bytes
---@field lspid integer
---@field lrpid integer

---@class shm.sysv.queue
---@field id integer
local sysv_queue = {}
---@return shm.sysv.msqid_ds|nil
---@return string? message
---@return integer? errno
function sysv_queue:stat() end
---@return true|nil
---@return string? message
---@return integer? errno
function sysv_queue:remove() end
---@return true
function sysv_queue:close() end

---@param key integer
---@param flags? integer
---@return shm.sysv.queue|nil
---@return string? message
---@return integer? errno
function sysv.msgget(key, flags) end

---@param id shm.sysv.queue|integer
---@param type integer
---@param data string
---@param flags? integer
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function sysv.msgsnd(id, type, data, flags, timeout) end

---@param id shm.sysv.queue|integer
---@param size integer
---@param type? integer
---@param flags? integer
---@param timeout? number
---@return string|nil data
---@return integer|string type or the message
---@return integer? errno
function sysv.msgrcv(id, size, type, flags, timeout) end

---@param id shm.sysv.queue|integer
---@param command integer
---@param values? {uid: integer?, gid: integer?, mode: integer?, qbytes: integer?}
---@return shm.sysv.msqid_ds|table|true|nil
---@return string? message
---@return integer? errno
function sysv.msgctl(id, command, values) end

---@param key integer
---@param values integer[]
---@param flags? integer
---@param timeout? number
---@return shm.sysv.semaphores|nil
---@return boolean|string made or the message
---@return integer? errno
function sysv.seminit(key, values, flags, timeout) end

---@class shm.sysv.all
---@field segments shm.sysv.shmid_ds[]
---@field semaphores shm.sysv.semid_ds[]
---@field queues shm.sysv.msqid_ds[]

---@return shm.sysv.all|nil
---@return string? message
---@return integer? errno
function sysv.list() end

---@return table<string, integer>|nil
---@return string? message
---@return integer? errno
function sysv.limits() end
