-- shm.posix: descriptors, mappings, locks, semaphores and message queues of the kernel.
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local EPERM, ENOENT, EAGAIN, EACCES, EBUSY, EEXIST, EINVAL = 1, 2, 11, 13, 16, 17, 22
local EMSGSIZE, ETIMEDOUT, EBADF, ECANCELED = 90, 110, 9, 125
local PAGE = posix.PAGE_SIZE
local RW = posix.PROT_READ | posix.PROT_WRITE
local CREATE = posix.O_RDWR | posix.O_CREAT | posix.O_EXCL
local LONG = support.LONG
local refused = support.refused

local function name()
  return "/shm-spec-" .. support.key()
end

local function memory(size)
  local fd = assert(posix.memfd_create "spec")
  assert(posix.ftruncate(fd, size))
  return fd
end

describe("shm_open", function()
  it("makes an object of no bytes, which ftruncate gives some", function()
    local it_ = name()
    local fd <close> = assert(posix.shm_open(it_, CREATE))
    assert.equal(0, posix.fstat(fd).size)
    assert.equal(tonumber("600", 8), posix.fstat(fd).mode)
    assert(posix.ftruncate(fd, 10000))
    assert.equal(10000, posix.fstat(fd).size)
    assert.equal(0, posix.fstat(fd).used)
    assert(posix.posix_fallocate(fd, 0, 20000))
    assert.equal(20000, posix.fstat(fd).size)
    assert.is_true(posix.fstat(fd).used >= 20000)
    assert(posix.ftruncate(fd, 1))
    assert.equal(1, posix.fstat(fd).size)
    refused(EEXIST, "^posix%.shm_open '/shm", posix.shm_open(it_, CREATE))
    assert.is_true(posix.shm_unlink(it_))
    refused(ENOENT, "^posix%.shm_unlink", posix.shm_unlink(it_))
    refused(ENOENT, "^posix%.shm_open", posix.shm_open(it_, posix.O_RDONLY))
    refused(EINVAL, "^posix%.shm_open", posix.shm_open("a/b", posix.O_RDONLY))
  end)

  it("gives a descriptor that closes itself, and exec does not inherit", function()
    local before = support.descriptors()
    for _ = 1, 10 do
      assert(posix.memfd_create "spec")
    end
    assert.equal(before, support.descriptors())
    local fd <close> = memory(1)
    assert.matches("^shm%.posix%.descriptor %(%d+%)$", tostring(fd))
    local seen = support.shell(("ls -l /proc/self/fd | grep -c memfd:spec"))
    assert.equal("0\n", seen)
    fd:close()
    assert.matches("closed", tostring(fd))
    assert.error_matches(function() fd:fileno() end, "closed")
    refused(EBADF, "^posix%.fstat", posix.fstat(9999))
  end)

  it("is listed with what it takes, semaphores beside it", function()
    local it_ = name()
    local fd <close> = assert(posix.shm_open(it_, CREATE, tonumber("640", 8)))
    local sem <close> = assert(posix.sem_open(it_, CREATE & ~posix.O_RDWR))
    assert(posix.ftruncate(fd, 5))
    local found = {}
    for _, entry in ipairs(posix.list()) do
      if entry.name == it_ then
        found[entry.kind] = entry
      end
    end
    assert.equal(5, found.memory.size)
    assert.equal(tonumber("640", 8), found.memory.mode)
    assert.equal(32, found.semaphore.size)
    assert.equal(0, sem:getvalue())
    posix.shm_unlink(it_)
    posix.sem_unlink(it_)
  end)
end)

describe("a memfd", function()
  it("obeys its seals", function()
    local fd <close> = assert(posix.memfd_create("spec", posix.MFD_ALLOW_SEALING))
    assert(posix.ftruncate(fd, PAGE))
    assert(posix.add_seals(fd, posix.F_SEAL_SHRINK | posix.F_SEAL_GROW))
    assert.equal(posix.F_SEAL_SHRINK | posix.F_SEAL_GROW, posix.get_seals(fd))
    refused(EPERM, "ftruncate", posix.ftruncate(fd, 1))
    refused(EPERM, "posix_fallocate", posix.posix_fallocate(fd, 0, 2 * PAGE))
    local r = assert(posix.mmap(nil, PAGE, RW, posix.MAP_SHARED, fd))
    refused(EBUSY, "add_seals", posix.add_seals(fd, posix.F_SEAL_WRITE))
    r:write(0, "x")
    r:close()
    assert(posix.add_seals(fd, posix.F_SEAL_WRITE | posix.F_SEAL_SEAL))
    refused(EPERM, "mmap", posix.mmap(nil, PAGE, RW, posix.MAP_SHARED, fd))
    refused(EPERM, "add_seals", posix.add_seals(fd, posix.F_SEAL_GROW))
    local look <close> = assert(posix.mmap(nil, PAGE, posix.PROT_READ, posix.MAP_SHARED, fd))
    assert.equal("x", look:read(0, 1))
    local plain <close> = memory(1)
    refused(EPERM, "add_seals", posix.add_seals(plain, posix.F_SEAL_GROW))
    refused(EINVAL, "get_seals", posix.get_seals(0))
  end)

  it("is refused where a region of it would grow against a seal", function()
    local fd <close> = assert(posix.memfd_create("spec", posix.MFD_ALLOW_SEALING))
    assert(posix.ftruncate(fd, PAGE))
    assert(posix.add_seals(fd, posix.F_SEAL_GROW))
    local r <close> = assert(shm.map(fd, {mode = "rw"}))
    refused(EPERM, "^region%.resize", r:resize(2 * PAGE))
    assert.equal(PAGE, #r)
  end)
end)

describe("mmap", function()
  it("maps files, shared and private, from an offset", function()
    local fd <close> = memory(3 * PAGE)
    local all <close> = assert(posix.mmap(nil, 3 * PAGE, RW, posix.MAP_SHARED, fd))
    local part <close> = assert(posix.mmap(nil, PAGE, RW, posix.MAP_SHARED, fd, PAGE))
    local own <close> = assert(posix.mmap(nil, PAGE, RW, posix.MAP_PRIVATE, fd, PAGE))
    all:write(PAGE, "shared")
    assert.equal("shared", part:read(0, 6))
    own:write(0, "own")
    assert.equal("ownred", own:read(0, 6))
    assert.equal("shared", all:read(PAGE, 6))
    refused(EINVAL, "mmap", posix.mmap(nil, PAGE, RW, posix.MAP_SHARED, fd, 1))
    refused(EINVAL, "mmap", posix.mmap(nil, PAGE, RW, 0, fd))
    refused(EBADF, "mmap", posix.mmap(nil, PAGE, RW, posix.MAP_SHARED, 9999))
    assert.is_true(posix.munmap(part))
    assert.error_matches(function() part:read(0, 1) end, "closed")
  end)

  it("maps memory without a file, which children share", function()
    local flags = posix.MAP_SHARED | posix.MAP_ANONYMOUS
    local r <close> = assert(posix.mmap(nil, 100, RW, flags | posix.MAP_POPULATE))
    process.fork(function() r:write(0, "child") end):wait(LONG)
    assert.equal("child", r:read(0, 5))
    assert.equal(100, #r)
  end)

  it("maps where it is told, but over nothing", function()
    if support.valgrind then
      return pending "valgrind takes MAP_FIXED_NOREPLACE for a wish"
    end
    local flags = posix.MAP_PRIVATE | posix.MAP_ANONYMOUS
    local r = assert(posix.mmap(nil, PAGE, RW, flags))
    local address = r:address()
    refused(EEXIST, "mmap", posix.mmap(address, PAGE, RW, flags | posix.MAP_FIXED_NOREPLACE))
    r:close()
    local again <close> = assert(posix.mmap(address, PAGE, RW, flags | posix.MAP_FIXED_NOREPLACE))
    assert.equal(address, again:address())
    assert.error_matches(function() posix.mmap(address, PAGE, RW, flags | 16) end, "MAP_FIXED ")
  end)

  it("maps huge pages where the machine has some", function()
    local free = tonumber(support.read_file "/proc/meminfo":match "HugePages_Free:%s*(%d+)")
    local size = 2 << 20
    local flags = posix.MAP_SHARED | posix.MAP_ANONYMOUS | posix.MAP_HUGETLB
    local r, message, errno = posix.mmap(nil, size, RW, flags)
    if free and free > 0 then
      assert(r, message)
      r:set_i64(size - 8, 1)
      assert.is_true(r:close())
    else
      refused(12, "mmap", r, message, errno) -- ENOMEM
    end
  end)

  it("is an error where a huge page that was promised to nobody is touched", function()
    local free = tonumber(support.read_file "/proc/meminfo":match "HugePages_Free:%s*(%d+)")
    if not free or free > 0 or support.valgrind then
      return pending "there are huge pages, or none at all"
    end
    local flags = posix.MAP_SHARED | posix.MAP_ANONYMOUS | posix.MAP_HUGETLB
    local r = posix.mmap(nil, 4 << 20, RW, flags | posix.MAP_NORESERVE)
    if not r then
      return pending "the kernel gives no address range of huge pages"
    end
    assert.error_matches(function() r:get_u8(3 << 20) end, "gone")
    assert.error_matches(function() r:read(0, 4 << 20) end, "gone")
    assert.is_true(r:close())
  end)

  it("gives regions for msync, madvise, mlock and mprotect", function()
    local path = os.tmpname()
    local fd <close> = assert(posix.open(path, posix.O_RDWR))
    assert(posix.ftruncate(fd, 2 * PAGE))
    local r <close> = assert(posix.mmap(nil, 2 * PAGE, RW, posix.MAP_SHARED, fd))
    r:write(PAGE, "disk")
    assert.is_true(posix.msync(r))
    assert.is_true(posix.msync(r, posix.MS_ASYNC, PAGE, 10))
    assert.is_true(posix.msync(r, posix.MS_SYNC | posix.MS_INVALIDATE))
    assert.equal("disk", support.read_file(path):sub(PAGE + 1, PAGE + 4))
    refused(EINVAL, "msync", posix.msync(r, posix.MS_SYNC | posix.MS_ASYNC))
    refused(EINVAL, "msync", posix.msync(r, posix.MS_SYNC, 1))
    assert.error_matches(function() posix.msync(r, posix.MS_SYNC, PAGE, PAGE + 1) end, "not within")
    assert.is_true(posix.madvise(r, posix.MADV_WILLNEED))
    assert.is_true(posix.madvise(r, posix.MADV_DONTNEED, PAGE))
    assert.equal("disk", r:read(PAGE, 4))
    refused(EINVAL, "madvise", posix.madvise(r, 12345))
    assert.is_true(posix.mlock(r, 0, PAGE))
    assert(support.asan or support.read_file "/proc/self/smaps":match "Locked:%s+4 kB")
    assert.is_true(posix.munlock(r))
    assert.is_true(posix.mprotect(r, posix.PROT_READ))
    os.remove(path)
    local look <close> = assert(posix.mmap(nil, PAGE, posix.PROT_READ, posix.MAP_SHARED, fd))
    assert.error_matches(function() look:write(0, "x") end, "read%-only")
    local read_only <close> = assert(posix.open("/proc/self/exe", posix.O_RDONLY))
    local exe <close> = assert(posix.mmap(nil, PAGE, posix.PROT_READ, posix.MAP_SHARED, read_only))
    refused(EACCES, "mprotect", posix.mprotect(exe, RW))
    refused(EACCES, "mmap", posix.mmap(nil, PAGE, RW, posix.MAP_SHARED, read_only))
    assert.equal("\127ELF", exe:read(0, 4))
  end)

  it("frees pages that madvise removes", function()
    local fd <close> = memory(64 * PAGE)
    local r <close> = assert(posix.mmap(nil, 64 * PAGE, RW, posix.MAP_SHARED, fd))
    r:fill(0, 64 * PAGE, 1)
    assert.equal(64 * PAGE, posix.fstat(fd).used)
    assert.is_true(posix.madvise(r, posix.MADV_REMOVE, PAGE, 32 * PAGE))
    assert.equal(32 * PAGE, posix.fstat(fd).used)
    assert.equal(0, r:get_u8(PAGE))
  end)
end)

describe("a lock on an open file", function()
  local path, mine, other

  before_each(function()
    path = os.tmpname()
    mine = assert(posix.open(path, posix.O_RDWR))
    other = assert(posix.open(path, posix.O_RDWR))
  end)

  after_each(function()
    mine:close()
    other:close()
    os.remove(path)
  end)

  it("keeps others out, of all bytes or of some", function()
    assert.is_true(posix.lock(mine, "write"))
    refused(ETIMEDOUT, "^posix%.lock", posix.lock(other, "read", 0, 0, 0))
    assert.same({"write", 0, 0}, {posix.locked(other, "read")})
    assert.is_true(posix.unlock(mine))
    assert.is_false(posix.locked(other, "write"))
    assert.is_true(posix.lock(mine, "write", 10, 10))
    assert.is_true(posix.lock(other, "write", 20, 5, 0))
    refused(ETIMEDOUT, "lock", posix.lock(other, "write", 19, 1, 0.02))
    assert.same({"write", 10, 10}, {posix.locked(other, "read")})
    assert.is_true(posix.unlock(mine, 15, 5))
    assert.is_true(posix.lock(other, "write", 19, 1, 0))
  end)

  it("lets readers share", function()
    assert(posix.lock(mine, "read"))
    assert(posix.lock(other, "read", 0, 0, 0))
    refused(ETIMEDOUT, "lock", posix.lock(other, "write", 0, 0, 0))
  end)

  it("is waited for, and dropped by the kernel when its holder is killed", function()
    local one, two = process.socketpair()
    local child = process.fork(function()
      local fd = assert(posix.open(path, posix.O_RDWR))
      assert(posix.lock(fd, "write"))
      two:send "x"
      support.forever()
    end)
    one:recv(1, LONG)
    refused(ETIMEDOUT, "lock", posix.lock(mine, "write", 0, 0, 0.05))
    local killer = process.fork(function()
      process.sleep(0.05)
      process.kill(child.pid, "KILL")
    end)
    assert.is_true(posix.lock(mine, "write", 0, 0, LONG))
    child:wait(LONG)
    killer:wait(LONG)
    assert.is_true(posix.lock(mine, "write"))
    one:close()
    two:close()
  end)

  it("belongs to the open file, with all its descriptors", function()
    assert(posix.lock(mine, "write"))
    process.fork(function() mine:close() end):wait(LONG)
    assert.same({"write", 0, 0}, {posix.locked(other, "write")})
    mine:close()
    assert.is_false(posix.locked(other, "write"))
  end)

  it("ends waiting on a signal", function()
    if support.valgrind then
      return pending "valgrind lets no signal end the wait for a lock"
    end
    assert(posix.lock(mine, "write"))
    assert.is_true(support.interrupts(function() posix.lock(other, "write") end))
    refused(EBADF, "lock", posix.lock(io.stdin, "write", 0, 0, 0))
  end)
end)

describe("a named semaphore", function()
  local it_

  before_each(function() it_ = name() end)
  after_each(function() posix.sem_unlink(it_) end)

  it("counts across processes, and waits no longer than it is told", function()
    local sem <close> = assert(posix.sem_open(it_, CREATE & ~posix.O_RDWR, nil, 2))
    assert.equal(2, sem:getvalue())
    assert.is_true(sem:wait(0))
    assert.is_true(posix.sem_wait(sem))
    refused(ETIMEDOUT, "^posix%.sem_wait", sem:wait(0))
    local start = process.monotonic()
    refused(ETIMEDOUT, "sem_wait", sem:wait(0.05))
    assert.is_true(process.monotonic() - start >= 0.05)
    local child = process.fork(function()
      local same = assert(posix.sem_open(it_))
      process.sleep(0.02)
      assert(same:post())
    end)
    assert.is_true(sem:wait(LONG))
    child:wait(LONG)
    assert.equal(0, posix.sem_getvalue(sem))
    assert.is_true(posix.sem_post(sem))
    assert.is_true(posix.sem_close(sem))
    assert.is_true(sem:close())
    assert.matches("closed", tostring(sem))
    assert.error_matches(function() sem:post() end, "closed")
  end)

  it("must exist, or be new, as asked", function()
    refused(ENOENT, "^posix%.sem_open '/shm", posix.sem_open(it_))
    assert(posix.sem_open(it_, posix.O_CREAT)):close()
    refused(EEXIST, "sem_open", posix.sem_open(it_, posix.O_CREAT | posix.O_EXCL))
    assert.equal("600", support.shell("stat -c %a /dev/shm/sem." .. it_:sub(2)):match "%d+")
    assert.is_true(posix.sem_unlink(it_))
    refused(ENOENT, "sem_unlink", posix.sem_unlink(it_))
  end)

  it("ends waiting on a signal", function()
    local sem <close> = assert(posix.sem_open(it_, posix.O_CREAT))
    assert.is_true(support.interrupts(function() sem:wait() end))
    local r <close> = assert(shm.anonymous(64))
    local unnamed <close> = posix.sem_init(r, 0)
    assert.is_true(support.interrupts(function() unnamed:wait() end))
  end)
end)

describe("an unnamed semaphore", function()
  it("lies in shared memory, and keeps it attached", function()
    local r = assert(shm.anonymous(PAGE))
    local sem <close> = posix.sem_init(r, 64, 1)
    assert.equal(32, posix.SEM_SIZE)
    local same <close> = posix.sem_attach(r, 64)
    r:close()
    assert.is_true(same:wait(0))
    assert.equal(0, sem:getvalue())
    local child = process.fork(function() assert(same:post()) end)
    assert.is_true(sem:wait(LONG))
    child:wait(LONG)
  end)

  it("must lie inside, aligned, in memory that can be written", function()
    local r <close> = assert(shm.anonymous(64))
    assert.error_matches(function() posix.sem_init(r, 40) end, "not within")
    assert.error_matches(function() posix.sem_init(r, 4) end, "multiple of 8")
    assert.error_matches(function() posix.sem_init(r, 0, 1 << 31) end, "value")
    local look <close> = assert(shm.map("/proc/self/exe", {size = 64}))
    assert.error_matches(function() posix.sem_attach(look, 0) end, "read%-only")
  end)
end)

describe("a POSIX message queue", function()
  local it_, queue

  before_each(function()
    it_ = name()
    queue = assert(posix.mq_open(it_, CREATE, nil, {maxmsg = 2, msgsize = 16}))
  end)

  after_each(function()
    queue:close()
    posix.mq_unlink(it_)
  end)

  it("gives the oldest message of the highest priority", function()
    assert.is_true(queue:send("low", 1))
    assert.is_true(posix.mq_send(queue, "high", 7))
    assert.same({maxmsg = 2, msgsize = 16, curmsgs = 2, flags = 0}, queue:getattr())
    assert.same({"high", 7}, {queue:receive()})
    assert.is_true(queue:send "")
    assert.same({"low", 1}, {posix.mq_receive(queue)})
    assert.same({"", 0}, {queue:receive(0)})
  end)

  it("waits while it is full or empty, as long as it is told", function()
    refused(ETIMEDOUT, "^posix%.mq_receive", queue:receive(0))
    local start = process.monotonic()
    refused(ETIMEDOUT, "mq_receive", queue:receive(0.05))
    assert.is_true(process.monotonic() - start >= 0.05)
    queue:send "1"
    queue:send "2"
    refused(ETIMEDOUT, "^posix%.mq_send", queue:send("3", 0, 0.05))
    refused(EMSGSIZE, "mq_send", queue:send(("x"):rep(17)))
    local child = process.fork(function()
      process.sleep(0.02)
      local same = assert(posix.mq_open(it_, posix.O_RDONLY))
      assert(same:receive() == "1")
    end)
    assert.is_true(queue:send("3", 0, LONG))
    assert.same({"exit", 0}, {child:wait(LONG)})
    assert.is_true(queue:setattr(posix.O_NONBLOCK))
    assert.equal(posix.O_NONBLOCK, posix.mq_getattr(queue).flags)
    refused(EAGAIN, "mq_send", queue:send "4")
  end)

  it("ends waiting on a signal", function()
    assert.is_true(support.interrupts(function() queue:receive() end))
    local told <close> = assert(queue:notify())
    assert.is_true(support.interrupts(function() told:wait() end))
  end)

  it("can be polled", function()
    local socket = require "socket"
    assert.same({}, (socket.select({queue}, nil, 0)))
    queue:send "x"
    assert.equal(queue, socket.select({queue}, nil, LONG)[1])
    assert.equal("r", queue:events())
  end)

  it("tells once of a message that comes while it is empty", function()
    local told <close> = assert(queue:notify())
    refused(ETIMEDOUT, "wait", told:wait(0.01))
    local socket = require "socket"
    assert.same({}, (socket.select({told}, nil, 0)))
    local child = process.fork(function()
      local _, _, errno = queue:notify()
      assert(errno == EBUSY)
      assert(queue:send "x")
    end)
    assert.is_true(told:wait(LONG))
    assert.same({"exit", 0}, {child:wait(LONG)})
    refused(ETIMEDOUT, "wait", told:wait(0))
    local again <close> = assert(posix.mq_notify(queue))
    told:close() -- takes nothing from the newer one
    assert.equal("x", queue:receive(0))
    queue:send "y"
    assert.equal(again, socket.select({again}, nil, LONG)[1])
    assert.is_true(again:wait(0))
  end)

  it("tells its process, also where a child let the notification go", function()
    local told <close> = assert(queue:notify())
    process.fork(function()
      assert(queue:send "x")
      told:close()
    end):wait(LONG)
    assert.is_true(told:wait(LONG))
  end)

  it("no longer tells a notification that is closed", function()
    queue:notify():close()
    local child = process.fork(function() assert(queue:notify()) end)
    assert.same({"exit", 0}, {child:wait(LONG)})
    local told = assert(queue:notify())
    queue:close()
    refused(ECANCELED, "wait", told:wait(0))
    told:close()
  end)

  it("is there or not as asked, with sound attributes", function()
    refused(EEXIST, "^posix%.mq_open", posix.mq_open(it_, CREATE))
    refused(EINVAL, "mq_open", posix.mq_open(name(), CREATE, nil, {maxmsg = 1 << 40, msgsize = 1}))
    assert.is_true(posix.mq_unlink(it_))
    refused(ENOENT, "mq_unlink", posix.mq_unlink(it_))
    refused(ENOENT, "mq_open", posix.mq_open(it_, posix.O_RDONLY))
    assert.is_true(posix.mq_close(queue))
    assert.error_matches(function() queue:send "x" end, "closed")
  end)
end)
