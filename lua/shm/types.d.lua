---@meta

---What blocks takes a final timeout in seconds: absent for ever, 0 to try.
---What the world refuses is `nil, message, errno`; misuse throws.

---@class shm
---@field _VERSION string
---@field sysv shm.sysv
---@field posix shm.posix
---@field process shm.process
---@field mutex shm.mutex.module
---@field rwlock shm.rwlock.module
---@field semaphore shm.semaphore.module
---@field event shm.event.module
---@field condition shm.condition.module
---@field barrier shm.barrier.module
---@field counter shm.counter.module
local shm = {}

---@class shm.anonymous.options
---@field max? integer bytes that it may grow to in place
---@field prefault? boolean all pages at once

---@class shm.create.options: shm.anonymous.options
---@field mode? integer permission bits, exactly; absent for 0600

---@class shm.attach.options: shm.anonymous.options
---@field readonly? boolean only look at it
---@field owner? integer whose it must be; absent for this process's user, -1 for anybody's

---@class shm.open.options: shm.create.options
---@field owner? integer whose it must be; absent for this process's user, -1 for anybody's

---@class shm.map.options
---@field mode? "r"|"rw"|"private" absent for "r"
---@field offset? integer bytes from 0
---@field size? integer bytes, absent for up to the file's end
---@field create? boolean make and reserve it (mode "rw", with size)
---@field max? integer bytes that it may grow to in place
---@field prefault? boolean all pages at once

---@param name string
---@param size integer
---@param options? shm.create.options
---@return shm.region|nil
---@return string? message
---@return integer? errno
function shm.create(name, size, options) end

---@param name string
---@param options? shm.attach.options
---@return shm.region|nil
---@return string? message
---@return integer? errno
function shm.attach(name, options) end

---@param name string
---@param size integer
---@param options? shm.open.options
---@return shm.region|nil
---@return boolean|string created or the message
---@return integer? errno
function shm.open(name, size, options) end

---@param name string
---@return true|nil
---@return string? message
---@return integer? errno
function shm.unlink(name) end

---@param size integer
---@param options? shm.anonymous.options
---@return shm.region|nil
---@return string? message
---@return integer? errno
function shm.anonymous(size, options) end

---@param path string|integer|file*|shm.posix.descriptor
---@param options? shm.map.options
---@return shm.region|nil
---@return string? message
---@return integer? errno
function shm.map(path, options) end

---@param objects (shm.mutex|shm.semaphore|shm.event)[] 64 at most
---@param timeout? number
---@return integer|nil index
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function shm.wait_any(objects, timeout) end

---@param fields table a list of {name, type[, n][, align = n]}; name, packed, align
---@return shm.record
function shm.record(fields) end

---A C struct's layout.
---@class shm.record
local record = {}

---@return integer bytes
function record:size() end

---@return integer bytes
function record:alignment() end

---@param path string "age", "position.x", "scores[2]"
---@return integer bytes
function record:offset(path) end

---@param region shm.region
---@param offset? integer absent for 0
---@return table fields by name
function record:at(region, offset) end

---@param region shm.region
---@param offset integer
---@param n integer
---@return table records by index, from 1
function record:array(region, offset, n) end

---@param name? string
---@return string C
function record:c_header(name) end


-- Regions ------------------------------------------------------------------------------------

---Shared bytes. Offsets count from 0. Collecting or closing a region detaches it.
---@class shm.region
---@operator len: integer
local region = {}

---@param offset integer
---@param n integer
---@return string
function region:read(offset, n) end

---@param offset integer
---@param data string
function region:write(offset, data) end

---@param offset integer
---@param n integer
---@param byte? integer 0 to 255, absent for 0
function region:fill(offset, n, byte) end

---@param offset integer
---@param source shm.region
---@param source_offset integer
---@param n integer
function region:copy(offset, source, source_offset, n) end

---@param offset integer
---@param format string as for string.pack
---@param ... any
---@return integer behind the offset behind what was written
function region:pack(offset, format, ...) end

---@param offset integer
---@param format string as for string.unpack
---@return any ... the values, then the offset behind them
function region:unpack(offset, format) end

---@param lock shm.mutex|shm.rwlock in the same memory, with a journal
---@param f function
---@param ... any
---@return any ... what f returns, or nil, message, errno
function region:transaction(lock, f, ...) end

---@param offset integer
---@param n integer
---@return shm.region
function region:view(offset, n) end

---@return integer
function region:address() end

---@return true|nil
---@return string? message
---@return integer? errno
function region:close() end

---@param offset integer
---@return integer
function region:get_i8(offset) end
---@param offset integer
---@return integer
function region:get_u8(offset) end
---@param offset integer
---@return integer
function region:get_i16(offset) end
---@param offset integer
---@return integer
function region:get_u16(offset) end
---@param offset integer
---@return integer
function region:get_i32(offset) end
---@param offset integer
---@return integer
function region:get_u32(offset) end
---@param offset integer
---@return integer
function region:get_i64(offset) end
---@param offset integer
---@return integer value 2^63 and above as negative numbers
function region:get_u64(offset) end
---@param offset integer
---@return number
function region:get_f32(offset) end
---@param offset integer
---@return number
function region:get_f64(offset) end

---@param offset integer
---@param value integer
function region:set_i8(offset, value) end
---@param offset integer
---@param value integer
function region:set_u8(offset, value) end
---@param offset integer
---@param value integer
function region:set_i16(offset, value) end
---@param offset integer
---@param value integer
function region:set_u16(offset, value) end
---@param offset integer
---@param value integer
function region:set_i32(offset, value) end
---@param offset integer
---@param value integer
function region:set_u32(offset, value) end
---@param offset integer
---@param value integer
function region:set_i64(offset, value) end
---@param offset integer
---@param value integer 2^63 and above as negative numbers
function region:set_u64(offset, value) end
---@param offset integer
---@param value number
function region:set_f32(offset, value) end
---@param offset integer
---@param value number
function region:set_f64(offset, value) end

---Atomic, on an aligned 64-bit word.
---@param offset integer
---@return integer
function region:load(offset) end
---@param offset integer
---@param value integer
function region:store(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:add(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:swap(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:band(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:bor(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:bxor(offset, value) end
---@param offset integer
---@param expected integer
---@param value integer
---@return boolean replaced
---@return integer before
function region:cas(offset, expected, value) end

---Atomic, on an aligned 32-bit word.
---@param offset integer
---@return integer
function region:load32(offset) end
---@param offset integer
---@param value integer
function region:store32(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:add32(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:swap32(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:band32(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:bor32(offset, value) end
---@param offset integer
---@param value integer
---@return integer before
function region:bxor32(offset, value) end
---@param offset integer
---@param expected integer
---@param value integer
---@return boolean replaced
---@return integer before
function region:cas32(offset, expected, value) end

---@param offset integer
---@param expected integer
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function region:wait(offset, expected, timeout) end

---@param offset integer
---@param n? integer absent for all
---@return integer|nil woken
---@return string? message
---@return integer? errno
function region:wake(offset, n) end

---@param offset integer
---@param other shm.region|string
---@param other_offset integer
---@param n integer
---@return integer order -1, 0 or 1
---@return integer? difference where the first lies, from offset
function region:compare(offset, other, other_offset, n) end

---@param offset integer
---@param data string
---@param n? integer absent for all behind offset
---@return integer|nil offset
function region:find(offset, data, n) end

---@param offset? integer
---@param n? integer
---@return true|nil
---@return string? message
---@return integer? errno
function region:sync(offset, n) end

---@param n? integer absent for the object's present size
---@return true|nil
---@return string? message
---@return integer? errno
function region:resize(n) end

---@return integer|nil descriptor
---@return string? message
---@return integer? errno
function region:fileno() end

---@param fd integer|file*|table|userdata
---@param offset integer
---@param n integer
---@param timeout? number
---@return integer|nil got 0 at the end
---@return string? message
---@return integer? errno
function region:recv(fd, offset, n, timeout) end

---@param fd integer|file*|table|userdata
---@param offset integer
---@param n integer
---@param timeout? number
---@return integer|nil n
---@return string? message
---@return integer? errno
---@return integer? sent
function region:send(fd, offset, n, timeout) end

---Bound to one place: closures for those who count nanoseconds.
---@param offset integer
---@return fun(): integer
function region:getter_i8(offset) end
---@param offset integer
---@return fun(value: integer)
function region:setter_i8(offset) end
---@param offset integer
---@return fun(): integer
function region:getter_u8(offset) end
---@param offset integer
---@return fun(value: integer)
function region:setter_u8(offset) end
---@param offset integer
---@return fun(): integer
function region:getter_i16(offset) end
---@param offset integer
---@return fun(value: integer)
function region:setter_i16(offset) end
---@param offset integer
---@return fun(): integer
function region:getter_u16(offset) end
---@param offset integer
---@return fun(value: integer)
function region:setter_u16(offset) end
---@param offset integer
---@return fun(): integer
function region:getter_i32(offset) end
---@param offset integer
---@return fun(value: integer)
function region:setter_i32(offset) end
---@param offset integer
---@return fun(): integer
function region:getter_u32(offset) end
---@param offset integer
---@return fun(value: integer)
function region:setter_u32(offset) end
---@param offset integer
---@return fun(): integer
function region:getter_i64(offset) end
---@param offset integer
---@return fun(value: integer)
function region:setter_i64(offset) end
---@param offset integer
---@return fun(): integer
function region:getter_u64(offset) end
---@param offset integer
---@return fun(value: integer)
function region:setter_u64(offset) end
---@param offset integer
---@return fun(): number
function region:getter_f32(offset) end
---@param offset integer
---@return fun(value: number)
function region:setter_f32(offset) end
---@param offset integer
---@return fun(): number
function region:getter_f64(offset) end
---@param offset integer
---@return fun(value: number)
function region:setter_f64(offset) end
---@param offset integer
---@return fun(): integer
function region:loader(offset) end
---@param offset integer
---@return fun(value: integer)
function region:storer(offset) end
---@param offset integer
---@param value? integer absent for a function that is told each time
---@return fun(value: integer?): integer before
function region:adder(offset, value) end
---@param offset integer
---@return fun(): integer
function region:loader32(offset) end
---@param offset integer
---@return fun(value: integer)
function region:storer32(offset) end
---@param offset integer
---@param value? integer absent for a function that is told each time
---@return fun(value: integer?): integer before
function region:adder32(offset, value) end

-- System V -----------------------------------------------------------------------------------

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

---@return shm.sysv.all
function sysv.list() end

---@return table<string, integer>
function sysv.limits() end

-- Processes ----------------------------------------------------------------------------------

---@class shm.process
---@field SOL_SOCKET integer
---@field SO_SNDBUF integer
---@field SO_RCVBUF integer
local process = {}

---Has a descriptor for event loops.
---@class shm.process.pollable
local pollable = {}
---@return integer
function pollable:fileno() end
---@return integer
function pollable:getfd() end
---@return integer
function pollable:pollfd() end
---@return string
function pollable:events() end
---@return nil
function pollable:timeout() end

---@class shm.process.handle: shm.process.pollable
---@field pid integer
local handle = {}
---@param timeout? number
---@return "exit"|"signal"|nil
---@return integer|string code_or_signal
---@return integer? errno
function handle:wait(timeout) end
---@param signal string|integer
---@return true|nil
---@return string? message
---@return integer? errno
function handle:kill(signal) end
---@return boolean
function handle:alive() end
---@return true
function handle:close() end

---@class shm.process.signals: shm.process.pollable
local signals = {}
---@param timeout? number
---@return string|nil name
---@return integer|string sender_or_message
---@return integer? errno
function signals:wait(timeout) end
---@return true
function signals:close() end

---@class shm.process.channel: shm.process.pollable
local channel = {}
---@param data string
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
---@return integer? sent
function channel:send(data, timeout) end
---@param n integer
---@param timeout? number
---@return string|nil
---@return string? message
---@return integer? errno
function channel:recv(n, timeout) end
---@return true|nil
---@return string? message
---@return integer? errno
function channel:shutdown() end

---@param fd shm.posix.fd|shm.region
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function channel:sendfd(fd, timeout) end

---@param timeout? number
---@return shm.posix.descriptor|nil
---@return string? message
---@return integer? errno
function channel:recvfd(timeout) end
---@return true
function channel:close() end

---@return integer
function process.pid() end

---@param f function
---@param ... any
---@return shm.process.handle|nil
---@return string? message
---@return integer? errno
function process.fork(f, ...) end

---@param pid integer
---@return shm.process.handle|nil
---@return string? message
---@return integer? errno
function process.open(pid) end

---@param pid integer
---@return boolean|nil
---@return string? message
---@return integer? errno
function process.alive(pid) end

---@param pid integer
---@param signal string|integer
---@return true|nil
---@return string? message
---@return integer? errno
function process.kill(pid, signal) end

---@param code? integer
function process.exit(code) end

---@param seconds number
---@return true|nil
---@return string? message
---@return integer? errno
function process.sleep(seconds) end

---@return number seconds
function process.monotonic() end

---@param ... string|integer
---@return shm.process.signals|nil
---@return string? message
---@return integer? errno
function process.signals(...) end

---@param signal string|integer
---@param action "ignore"|"default"
---@return true
function process.signal(signal, action) end

---@param kind? "stream"|"seqpacket"
---@return shm.process.channel|nil
---@return shm.process.channel|string
---@return integer? errno
function process.socketpair(kind) end

---@param fd integer
---@return shm.process.channel|nil
---@return string? message
---@return integer? errno
function process.channel(fd) end

---@param first integer
---@param last? integer
---@return true|nil
---@return string? message
---@return integer? errno
function process.close_range(first, last) end

---@param fd integer
---@param level integer
---@param option integer
---@param value integer
---@return true|nil
---@return string? message
---@return integer? errno
function process.setsockopt(fd, level, option, value) end

-- POSIX ---------------------------------------------------------------------------------------

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

---@class shm.posix.semaphore
local semaphore = {}
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function semaphore:wait(timeout) end

---@return true|nil
---@return string? message
---@return integer? errno
function semaphore:post() end

---@return integer|nil
---@return string? message
---@return integer? errno
function semaphore:getvalue() end

---@return true|nil
---@return string? message
---@return integer? errno
function semaphore:close() end

---@class shm.posix.queue: shm.process.pollable
local queue = {}
---@param data string
---@param priority? integer
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function queue:send(data, priority, timeout) end

---@param timeout? number
---@return string|nil data
---@return integer|string priority or the message
---@return integer? errno
function queue:receive(timeout) end

---@return {maxmsg: integer, msgsize: integer, curmsgs: integer, flags: integer}|nil
---@return string? message
---@return integer? errno
function queue:getattr() end

---@param flags integer
---@return true|nil
---@return string? message
---@return integer? errno
function queue:setattr(flags) end

---@return shm.posix.notification|nil
---@return string? message
---@return integer? errno
function queue:notify() end

---@return true
function queue:close() end

---@class shm.posix.notification: shm.process.pollable
local notification = {}
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function notification:wait(timeout) end

---@return true
function notification:close() end

-- Locks, and other objects to take turns by ---------------------------------------------------

---What hold gives: it unlocks when it is closed.
---@class shm.held

---@class shm.object
local object = {}
---@return true
function object:close() end
---@return true
function object:remove() end
---@return integer sleepers
---@return integer[] pids of 31 of them at most
function object:waiters() end

---The same with a descriptor that is readable when the object may be had.
---@class shm.waitable
local waitable = {}
---@return true
function waitable:close() end
---@return true
function waitable:remove() end
---@return integer sleepers
---@return integer[] pids of 31 of them at most
function waitable:waiters() end
---@return integer|nil descriptor
---@return string? message
---@return integer? errno
function waitable:fileno() end
---@return integer|nil descriptor
function waitable:getfd() end
---@return integer|nil descriptor
function waitable:pollfd() end
---@return "r"
function waitable:events() end
---@return nil
function waitable:timeout() end

---One at a time.
---@class shm.mutex: shm.waitable
local mutex_object = {}
---@param timeout? number
---@return true|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function mutex_object:lock(timeout) end
---@return true|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function mutex_object:try() end
function mutex_object:unlock() end
---@param f function
---@param ... any
---@return any ... what f returns, or nil, message, errno
function mutex_object:with(f, ...) end
---@param timeout? number
---@return shm.held|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function mutex_object:hold(timeout) end
---@return integer? pid
---@return number? since on the clock of process.monotonic
function mutex_object:holder() end

---The module shm.mutex.
---@class shm.mutex.module
local mutex = {}
---@param region shm.region
---@param offset integer a multiple of 8
---@param options? {recursive: boolean?, journal: integer?}
---@return shm.mutex|nil
---@return string? message
---@return integer? errno
function mutex.create(region, offset, options) end
---@param region shm.region
---@param offset integer
---@return shm.mutex|nil
---@return string? message
---@return integer? errno
function mutex.attach(region, offset) end
---@param region shm.region
---@param offset integer
---@param options? {recursive: boolean?, journal: integer?}
---@return shm.mutex|nil
---@return boolean|string made or the message
---@return integer? errno
function mutex.open(region, offset, options) end
---@param options? {recursive: boolean?, journal: integer?}
---@return integer bytes
function mutex.size(options) end

---One that writes, or 31 that read.
---@class shm.rwlock: shm.waitable
local rwlock_object = {}
---@param timeout? number
---@return true|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function rwlock_object:lock(timeout) end
---@return true|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function rwlock_object:try() end
function rwlock_object:unlock() end
---@param f function
---@param ... any
---@return any ... what f returns, or nil, message, errno
function rwlock_object:with(f, ...) end
---@param timeout? number
---@return shm.held|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function rwlock_object:hold(timeout) end
---@return integer? pid
---@return number? since on the clock of process.monotonic
function rwlock_object:holder() end
---@param timeout? number
---@return true|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function rwlock_object:lock_shared(timeout) end
---@return true|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function rwlock_object:try_shared() end
---@param f function
---@param ... any
---@return any ... what f returns, or nil, message, errno
function rwlock_object:with_shared(f, ...) end
---@param timeout? number
---@return shm.held|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function rwlock_object:hold_shared(timeout) end
---@return integer[] pids
function rwlock_object:readers() end

---The module shm.rwlock.
---@class shm.rwlock.module
local rwlock = {}
---@param region shm.region
---@param offset integer a multiple of 8
---@param options? {journal: integer?}
---@return shm.rwlock|nil
---@return string? message
---@return integer? errno
function rwlock.create(region, offset, options) end
---@param region shm.region
---@param offset integer
---@return shm.rwlock|nil
---@return string? message
---@return integer? errno
function rwlock.attach(region, offset) end
---@param region shm.region
---@param offset integer
---@param options? {journal: integer?}
---@return shm.rwlock|nil
---@return boolean|string made or the message
---@return integer? errno
function rwlock.open(region, offset, options) end
---@param options? {journal: integer?}
---@return integer bytes
function rwlock.size(options) end

---A count that is taken from.
---@class shm.semaphore: shm.waitable
local semaphore_object = {}
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function semaphore_object:wait(timeout) end
---@return true|nil
---@return string? message
---@return integer? errno
function semaphore_object:try() end
---@param n? integer absent for 1
---@return true|nil
---@return string? message
---@return integer? errno
function semaphore_object:post(n) end
---@return integer
function semaphore_object:value() end

---The module shm.semaphore.
---@class shm.semaphore.module
local semaphore_module = {}
---@param region shm.region
---@param offset integer a multiple of 8
---@param value? integer absent for 0
---@return shm.semaphore|nil
---@return string? message
---@return integer? errno
function semaphore_module.create(region, offset, value) end
---@param region shm.region
---@param offset integer
---@return shm.semaphore|nil
---@return string? message
---@return integer? errno
function semaphore_module.attach(region, offset) end
---@param region shm.region
---@param offset integer
---@param value? integer absent for 0
---@return shm.semaphore|nil
---@return boolean|string made or the message
---@return integer? errno
function semaphore_module.open(region, offset, value) end
---@param value? integer absent for 0
---@return integer bytes
function semaphore_module.size(value) end

---Set or not.
---@class shm.event: shm.waitable
local event_object = {}
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function event_object:wait(timeout) end
---@return true|nil
---@return string? message
---@return integer? errno
function event_object:try() end
function event_object:set() end
function event_object:reset() end
---@return boolean
function event_object:is_set() end

---The module shm.event.
---@class shm.event.module
local event = {}
---@param region shm.region
---@param offset integer a multiple of 8
---@param options? {manual: boolean?}
---@return shm.event|nil
---@return string? message
---@return integer? errno
function event.create(region, offset, options) end
---@param region shm.region
---@param offset integer
---@return shm.event|nil
---@return string? message
---@return integer? errno
function event.attach(region, offset) end
---@param region shm.region
---@param offset integer
---@param options? {manual: boolean?}
---@return shm.event|nil
---@return boolean|string made or the message
---@return integer? errno
function event.open(region, offset, options) end
---@param options? {manual: boolean?}
---@return integer bytes
function event.size(options) end

---Waiting until somebody says that something changed.
---@class shm.condition: shm.object
local condition_object = {}
---@param mutex shm.mutex held
---@param timeout? number
---@return true|nil
---@return "recovered"|string? recovered or the message
---@return integer? pid the dead holder's, or errno
function condition_object:wait(mutex, timeout) end
---@return boolean woken
function condition_object:signal() end
---@return integer woken
function condition_object:broadcast() end

---The module shm.condition.
---@class shm.condition.module
local condition = {}
---@param region shm.region
---@param offset integer a multiple of 8
---@return shm.condition|nil
---@return string? message
---@return integer? errno
function condition.create(region, offset) end
---@param region shm.region
---@param offset integer
---@return shm.condition|nil
---@return string? message
---@return integer? errno
function condition.attach(region, offset) end
---@param region shm.region
---@param offset integer
---@return shm.condition|nil
---@return boolean|string made or the message
---@return integer? errno
function condition.open(region, offset) end
---@return integer bytes
function condition.size() end

---So many wait for each other.
---@class shm.barrier: shm.object
local barrier_object = {}
---@param timeout? number
---@return true|nil
---@return "last"|string? last or the message
---@return integer? errno
function barrier_object:wait(timeout) end
---@return integer
function barrier_object:arrived() end
---@return integer
function barrier_object:parties() end

---The module shm.barrier.
---@class shm.barrier.module
local barrier = {}
---@param region shm.region
---@param offset integer a multiple of 8
---@param parties integer 1 to 64
---@return shm.barrier|nil
---@return string? message
---@return integer? errno
function barrier.create(region, offset, parties) end
---@param region shm.region
---@param offset integer
---@return shm.barrier|nil
---@return string? message
---@return integer? errno
function barrier.attach(region, offset) end
---@param region shm.region
---@param offset integer
---@param parties integer 1 to 64
---@return shm.barrier|nil
---@return boolean|string made or the message
---@return integer? errno
function barrier.open(region, offset, parties) end
---@param parties integer 1 to 64
---@return integer bytes
function barrier.size(parties) end

---A number that can be waited for.
---@class shm.counter: shm.waitable
local counter_object = {}
---@param n? integer absent for 1
---@return integer before
function counter_object:add(n) end
---@return integer
function counter_object:get() end
---@param value integer
function counter_object:set(value) end
---@param least integer
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function counter_object:wait(least, timeout) end

---The module shm.counter.
---@class shm.counter.module
local counter = {}
---@param region shm.region
---@param offset integer a multiple of 8
---@param value? integer absent for 0
---@return shm.counter|nil
---@return string? message
---@return integer? errno
function counter.create(region, offset, value) end
---@param region shm.region
---@param offset integer
---@return shm.counter|nil
---@return string? message
---@return integer? errno
function counter.attach(region, offset) end
---@param region shm.region
---@param offset integer
---@param value? integer absent for 0
---@return shm.counter|nil
---@return boolean|string made or the message
---@return integer? errno
function counter.open(region, offset, value) end
---@param value? integer absent for 0
---@return integer bytes
function counter.size(value) end

-- Protocols ----------------------------------------------------------------------------------

---The module shm.peer.
---@class shm.peer.module
---@field LONGEST integer
local peer = {}

---@class shm.peer
---@field id integer the segment
---@field role "server"|"client"
---@field peer integer? the other side's pid
local link = {}
---@param timeout? number
---@return integer|nil pid
---@return string? message
---@return integer? errno
function link:accept(timeout) end
---@param data string
---@param timeout? number
---@return true|nil
---@return string? message
---@return integer? errno
function link:send(data, timeout) end
---@param timeout? number
---@return string|nil
---@return string? message
---@return integer? errno
function link:receive(timeout) end
---@return true
function link:close() end

---@param where integer|string
---@param opts? {project: integer?, mode: integer?}
---@return shm.peer|nil
---@return string? message
---@return integer? errno
function peer.serve(where, opts) end

---@param where integer|string
---@param opts? {project: integer?, timeout: number?}
---@return shm.peer|nil
---@return string? message
---@return integer? errno
function peer.connect(where, opts) end

---The module shm.chat.
---@class shm.chat
local chat = {}

---@class shm.chat.options
---@field host string?
---@field port integer?
---@field limit integer?
---@field backlog integer?
---@field grace number?
---@field log fun(line: string)?
---@field ready fun(host: string, port: integer)?

---@param opts? shm.chat.options
---@return true|nil
---@return string? message
---@return integer? errno
function chat.serve(opts) end

---The module shm.chaos.
---@class shm.chaos
local chaos = {}

---@class shm.chaos.options
---@field prepare? fun(n: integer) called before each run
---@field timeout? number seconds for each run, absent for 10
---@field limit? integer how many stores there may be, absent for 100000
---@field mode? "stores"|"random" absent for stores, or random where they can not be found
---@field rounds? integer of random kills, absent for 200

---@param operation function
---@param verify fun(n: integer, survived: boolean)
---@param options? shm.chaos.options
---@return integer|nil kills
---@return "stores"|"random"|string how or the message
---@return string|integer? why not stores, or errno
function chaos.kill_everywhere(operation, verify, options) end
