---@meta

---What blocks takes a final timeout in seconds: absent for ever, 0 to try.
---What the world refuses is `nil, message, errno`; misuse throws.

---@class shm
---@field _VERSION string
---@field sysv shm.sysv
---@field process shm.process

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

-- System V -----------------------------------------------------------------------------------

---@class shm.sysv
---@field IPC_PRIVATE integer
---@field IPC_CREAT integer
---@field IPC_EXCL integer
---@field IPC_NOWAIT integer
---@field IPC_STAT integer
---@field IPC_SET integer
---@field IPC_RMID integer
---@field SHM_RDONLY integer
---@field SHM_RND integer
---@field SHMLBA integer
---@field SHM_DEST integer
---@field SHM_LOCKED integer
---@field SEM_UNDO integer
---@field GETVAL integer
---@field SETVAL integer
---@field GETPID integer
---@field GETNCNT integer
---@field GETZCNT integer
---@field GETALL integer
---@field SETALL integer
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
---@param address? integer
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
---@return shm.sysv.shmid_ds|true|nil
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
