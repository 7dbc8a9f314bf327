---@meta

---The module shm.posix.
---@class shm.posix
---@field O_RDONLY integer
---@field O_WRONLY integer
---@field O_RDWR integer
---@field O_CREAT integer
---@field O_EXCL integer
---@field O_TRUNC integer
---@field O_NONBLOCK integer
---@field O_NOFOLLOW integer
---@field MFD_CLOEXEC integer
---@field MFD_ALLOW_SEALING integer
---@field MFD_HUGETLB integer
---@field F_SEAL_SEAL integer
---@field F_SEAL_SHRINK integer
---@field F_SEAL_GROW integer
---@field F_SEAL_WRITE integer
---@field F_SEAL_FUTURE_WRITE integer
---@field PAGE_SIZE integer
---@field PROT_NONE integer
---@field PROT_READ integer
---@field PROT_WRITE integer
---@field PROT_EXEC integer
---@field MAP_SHARED integer
---@field MAP_PRIVATE integer
---@field MAP_ANONYMOUS integer
---@field MAP_POPULATE integer
---@field MAP_LOCKED integer
---@field MAP_NORESERVE integer
---@field MAP_HUGETLB integer
---@field MAP_FIXED_NOREPLACE integer
---@field MS_SYNC integer
---@field MS_ASYNC integer
---@field MS_INVALIDATE integer
---@field MADV_NORMAL integer
---@field MADV_RANDOM integer
---@field MADV_SEQUENTIAL integer
---@field MADV_WILLNEED integer
---@field MADV_DONTNEED integer
---@field MADV_HUGEPAGE integer
---@field MADV_NOHUGEPAGE integer
---@field MADV_DONTDUMP integer
---@field MADV_DODUMP integer
---@field MADV_REMOVE integer
---@field MADV_POPULATE_READ integer
---@field MADV_POPULATE_WRITE integer
---@field SEM_SIZE integer
---@field SEM_VALUE_MAX integer
local posix = {}

---@alias shm.posix.fd integer|file*|shm.posix.descriptor|table|userdata

---What fstat and list tell.
---@class shm.posix.stat
---@field size integer bytes that it has
---@field used integer bytes that it takes
---@field mode integer permission bits
---@field uid integer
---@field gid integer
---@field nlink integer
---@field ino integer
---@field atime integer seconds since 1970
---@field mtime integer
---@field ctime integer
---@field name? string in list
---@field kind? "memory"|"semaphore"|"other" in list

---@class shm.posix.descriptor
local descriptor = {}
---@return integer
function descriptor:fileno() end
---@return true|nil
---@return string? message
---@return integer? errno
function descriptor:clofork() end
---@return true
function descriptor:close() end

---@param path string
---@param flags integer
---@param mode? integer
---@return shm.posix.descriptor|nil
---@return string? message
---@return integer? errno
function posix.open(path, flags, mode) end

---@param name string
---@param flags integer
---@param mode? integer
---@return shm.posix.descriptor|nil
---@return string? message
---@return integer? errno
function posix.shm_open(name, flags, mode) end

---@param name string
---@return true|nil
---@return string? message
---@return integer? errno
function posix.shm_unlink(name) end

---@param name string
---@param flags? integer
---@return shm.posix.descriptor|nil
---@return string? message
---@return integer? errno
function posix.memfd_create(name, flags) end

---@param fd shm.posix.fd
---@param size integer
---@return true|nil
---@return string? message
---@return integer? errno
function posix.ftruncate(fd, size) end

---@param fd shm.posix.fd
---@param offset integer
---@param n integer
---@return true|nil
---@return string? message
---@return integer? errno
function posix.posix_fallocate(fd, offset, n) end

---@param fd shm.posix.fd
---@return true|nil
---@return string? message
---@return integer? errno
function posix.fsync(fd) end

---@param fd shm.posix.fd
---@return shm.posix.stat|nil
---@return string? message
---@return integer? errno
function posix.fstat(fd) end

---@param fd shm.posix.fd
---@param seals integer
---@return true|nil
---@return string? message
---@return integer? errno
function posix.add_seals(fd, seals) end

---@param fd shm.posix.fd
---@return integer|nil
---@return string? message
---@return integer? errno
function posix.get_seals(fd) end

---@param fd shm.posix.fd
---@param kind "read"|"write"
---@param offset? integer
---@param n? integer
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function posix.lock(fd, kind, offset, n, timeout) end

---@param fd shm.posix.fd
---@param offset? integer
---@param n? integer
---@return true|nil
---@return string? message
---@return integer? errno
function posix.unlock(fd, offset, n) end

---@return shm.posix.stat[]|nil
---@return string? message
---@return integer? errno
function posix.list() end

---@param address integer?
---@param size integer
---@param protection integer
---@param flags integer
---@param fd? shm.posix.fd
---@param offset? integer
---@return shm.region|nil
---@return string? message
---@return integer? errno
function posix.mmap(address, size, protection, flags, fd, offset) end

---@param region shm.region
---@return true|nil
---@return string? message
---@return integer? errno
function posix.munmap(region) end

---@param region shm.region
---@param flags? integer
---@param offset? integer
---@param n? integer
---@return true|nil
---@return string? message
---@return integer? errno
function posix.msync(region, flags, offset, n) end

---@param region shm.region
---@param protection integer
---@param offset? integer
---@param n? integer
---@return true|nil
---@return string? message
---@return integer? errno
function posix.mprotect(region, protection, offset, n) end

---@param region shm.region
---@param advice integer
---@param offset? integer
---@param n? integer
---@return true|nil
---@return string? message
---@return integer? errno
function posix.madvise(region, advice, offset, n) end

---@param region shm.region
---@param offset? integer
---@param n? integer
---@return true|nil
---@return string? message
---@return integer? errno
function posix.mlock(region, offset, n) end

---@param region shm.region
---@param offset? integer
---@param n? integer
---@return true|nil
---@return string? message
---@return integer? errno
function posix.munlock(region, offset, n) end

---@param name string
---@param flags? integer
---@param mode? integer
---@param value? integer
---@return shm.posix.semaphore|nil
---@return string? message
---@return integer? errno
function posix.sem_open(name, flags, mode, value) end

---@param name string
---@return true|nil
---@return string? message
---@return integer? errno
function posix.sem_unlink(name) end

---@param region shm.region
---@param offset integer
---@param value? integer
---@return shm.posix.semaphore|nil
---@return string? message
---@return integer? errno
function posix.sem_init(region, offset, value) end

---@param sem shm.posix.semaphore
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function posix.sem_wait(sem, timeout) end

---@param sem shm.posix.semaphore
---@return true|nil
---@return string? message
---@return integer? errno
function posix.sem_post(sem) end

---@param sem shm.posix.semaphore
---@return integer|nil
---@return string? message
---@return integer? errno
function posix.sem_getvalue(sem) end

---@param sem shm.posix.semaphore
---@return true|nil
---@return string? message
---@return integer? errno
function posix.sem_close(sem) end

---@param name string
---@param flags integer
---@param mode? integer
---@param attributes? {maxmsg: integer, msgsize: integer}
---@return shm.posix.queue|nil
---@return string? message
---@return integer? errno
function posix.mq_open(name, flags, mode, attributes) end

---@param name string
---@return true|nil
---@return string? message
---@return integer? errno
function posix.mq_unlink(name) end

---@param queue shm.posix.queue
---@param data string
---@param priority? integer
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function posix.mq_send(queue, data, priority, timeout) end

---@param queue shm.posix.queue
---@return {maxmsg: integer, msgsize: integer, curmsgs: integer, flags: integer}|nil
---@return string? message
---@return integer? errno
function posix.mq_getattr(queue) end

---@param queue shm.posix.queue
---@param flags integer
---@return true|nil
---@return string? message
---@return integer? errno
function posix.mq_setattr(queue, flags) end

---@param queue shm.posix.queue
---@return shm.posix.notification|nil
---@return string? message
---@return integer? errno
function posix.mq_notify(queue) end

---@param fd shm.posix.fd
---@param kind "read"|"write"
---@param offset? integer
---@param n? integer
---@return "read"|"write"|false|nil held
---@return integer|string? offset or the message
---@return integer? n or the errno
function posix.locked(fd, kind, offset, n) end

---@param fd shm.posix.fd
---@param kind "read"|"write"|"none"
---@param timeout? number seconds
---@return true|nil
---@return string? message
---@return integer? errno
function posix.flock(fd, kind, timeout) end

---@param region shm.region
---@param offset integer
---@return shm.posix.semaphore
function posix.sem_attach(region, offset) end

---@param queue shm.posix.queue
---@param timeout? number
---@return string|nil data
---@return integer|string priority or the message
---@return integer? errno
function posix.mq_receive(queue, timeout) end

---@param queue shm.posix.queue
---@return true
function posix.mq_close(queue) end
