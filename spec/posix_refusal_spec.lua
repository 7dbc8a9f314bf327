-- What shm.posix answers when the kernel says no, and what is then as it was.
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local socket = require "socket"
local support = require "spec.support"

local ENOENT, EBADF, EAGAIN, EACCES, EEXIST, EINVAL, EMFILE = 2, 9, 11, 13, 17, 22, 24
local EFBIG, ENOSPC, ELOOP, EOVERFLOW, ETIMEDOUT = 27, 28, 40, 75, 110
local LONG = support.LONG
local CREATE <const> = posix.O_RDWR | posix.O_CREAT | posix.O_EXCL
local refused = support.refused

local function name()
  return "/shm-spec-" .. support.key()
end

-- What a process prints that has no descriptor left, or whatever else the shell was told before.
local function bounded(limit, code)
  return support.shell(("%s; exec lua5.4 -e '%s' 2>&1"):format(limit, code))
end

describe("what is opened", function()
  local path

  before_each(function()
    path = os.tmpname()
    os.remove(path)
  end)

  after_each(function() os.remove(path) end)

  it("is there, new, emptied, and no link, as asked", function()
    refused(ENOENT, "^posix%.open '/tmp/", posix.open(path, posix.O_RDONLY))
    local fd <close> = assert(posix.open(path, CREATE))
    assert.equal(tonumber("600", 8), posix.fstat(fd).mode)
    refused(EEXIST, "^posix%.open", posix.open(path, CREATE))
    assert(posix.ftruncate(fd, 5))
    local same <close> = assert(posix.open(path, posix.O_WRONLY | posix.O_TRUNC))
    assert.equal(0, posix.fstat(fd).size)
    assert.equal(posix.fstat(fd).ino, posix.fstat(same).ino)
    support.shell(("ln -s %s %s.link"):format(path, path))
    refused(ELOOP, "open", posix.open(path .. ".link", posix.O_RDONLY | posix.O_NOFOLLOW))
    assert(posix.open(path .. ".link", posix.O_RDONLY)):close()
    os.remove(path .. ".link")
  end)

  it("has the mode less the umask's bits, whatever it is", function()
    local it_ = name()
    assert.equal("640 640 640 640\n", bounded("umask 027", ([[
      local posix = require "shm.posix"
      local new, all, modes = posix.O_RDWR | posix.O_CREAT | posix.O_EXCL, tonumber("666", 8), {}
      local function mode(fd) return ("%%o"):format(posix.fstat(fd).mode) end
      local file = assert(posix.open("%s", new, all))
      local memory = assert(posix.shm_open("%s", new, all))
      local queue = assert(posix.mq_open("%s", new, all))
      assert(posix.sem_open("%s", posix.O_CREAT, all))
      for _, one in ipairs(posix.list()) do
        if one.kind == "semaphore" and one.name == "%s" then
          io.write(("%%o "):format(one.mode))
        end
      end
      print(mode(file), mode(memory), mode(queue))
      posix.shm_unlink "%s"
      posix.mq_unlink "%s"
      posix.sem_unlink "%s"]]):format(path, it_, it_, it_, it_, it_, it_, it_))
      :gsub("\t", " "))
  end)

  it("is nothing where there is no number for it", function()
    assert.equal(("24\n"):rep(7), bounded("ulimit -n 30", [[
      local posix, process, shm = require "shm.posix", require "shm.process", require "shm"
      local queue = assert(posix.mq_open("/shm-spec-" .. process.pid(), 66))
      assert(posix.mq_unlink("/shm-spec-" .. process.pid()))
      collectgarbage "stop"
      repeat until not posix.open("/dev/null", posix.O_RDONLY)
      print(select(3, posix.open("/dev/null", posix.O_RDONLY)))
      print(select(3, posix.shm_open("/shm-spec", posix.O_RDONLY)))
      print(select(3, posix.memfd_create "x"))
      print(select(3, posix.mq_open("/shm-spec", posix.O_RDONLY)))
      print(select(3, posix.list()))
      print(select(3, queue:notify()))
      print(select(3, process.fork(print)))]]))
    assert.equal(24, EMFILE)
  end)
end)

describe("a size", function()
  it("that is too large is an error, and no signal", function()
    local path = os.tmpname()
    assert.equal("27\n27\n0\n", bounded("ulimit -f 1", ([[
      local posix = require "shm.posix"
      local fd = assert(posix.open("%s", posix.O_RDWR))
      print(select(3, posix.ftruncate(fd, 1 << 20)))
      print(select(3, posix.posix_fallocate(fd, 0, 1 << 20)))
      print(posix.fstat(fd).size)]]):format(path)))
    os.remove(path)
    assert.equal(27, EFBIG)
    local memory <close> = assert(posix.memfd_create "spec")
    refused(EFBIG, "^posix%.posix_fallocate: ", posix.posix_fallocate(memory, math.maxinteger, 1))
    refused(EINVAL, "posix_fallocate", posix.posix_fallocate(memory, 0, 0))
    assert.equal(0, posix.fstat(memory).size)
  end)

  it("that there is no memory for is an error, where ftruncate reserves none", function()
    if support.shell "stat -f -c %b /dev/shm":match "^0" then
      return pending "here /dev/shm has no bound"
    end
    local it_ = name()
    local fd <close> = assert(posix.shm_open(it_, CREATE))
    assert(posix.shm_unlink(it_))
    refused(ENOSPC, "^posix%.posix_fallocate: ", posix.posix_fallocate(fd, 0, 1 << 50))
    assert.equal(0, posix.fstat(fd).used)
    assert.is_true(posix.ftruncate(fd, 1 << 50))
    assert.equal(0, posix.fstat(fd).used)
  end)

  it("is none of a descriptor that is not open, or not for writing", function()
    local look <close> = assert(posix.open("/proc/self/exe", posix.O_RDONLY))
    refused(EINVAL, "^posix%.ftruncate: ", posix.ftruncate(look, 0))
    refused(EBADF, "^posix%.posix_fallocate: ", posix.posix_fallocate(look, 0, 1))
    for _, f in ipairs {posix.ftruncate, posix.add_seals} do
      refused(EBADF, "^posix%.", f(1 << 20, 1))
    end
    refused(EBADF, "^posix%.get_seals: ", posix.get_seals(1 << 20))
    refused(EBADF, "^posix%.unlock: ", posix.unlock(1 << 20))
    refused(EBADF, "^posix%.locked: ", posix.locked(1 << 20, "read"))
    refused(EBADF, "^posix%.flock: ", posix.flock(1 << 20, "read"))
  end)
end)

describe("a name", function()
  it("of a memfd has up to 249 bytes, and need not be its own", function()
    local one <close> = assert(posix.memfd_create(("x"):rep(249)))
    local other <close> = assert(posix.memfd_create(("x"):rep(249)))
    assert.not_equal(posix.fstat(one).ino, posix.fstat(other).ino)
    refused(EINVAL, "^posix%.memfd_create 'x+': ", posix.memfd_create(("x"):rep(250)))
    refused(EINVAL, "memfd_create", posix.memfd_create("x", 1 << 31))
  end)

  it("that can not be one is refused, or not found", function()
    for _, wrong in ipairs {"", "/a/b", "a/b"} do
      refused(EINVAL, "^posix%.shm_open '", posix.shm_open(wrong, CREATE))
      refused(EINVAL, "^posix%.sem_open '", posix.sem_open(wrong, posix.O_CREAT))
      refused(ENOENT, "^posix%.shm_unlink '", posix.shm_unlink(wrong))
      refused(ENOENT, "^posix%.sem_unlink '", posix.sem_unlink(wrong))
      local errno = wrong == "/a/b" and EACCES or EINVAL
      refused(errno, "^posix%.mq_open '", posix.mq_open(wrong, CREATE))
      refused(errno, "^posix%.mq_unlink '", posix.mq_unlink(wrong))
    end
    for _, directory in ipairs {"/.", "/..", ".", "//.."} do
      refused(EINVAL, "^posix%.shm_open '", posix.shm_open(directory, posix.O_RDONLY))
    end
  end)

  it("goes, and who has the object open keeps it", function()
    local it_ = name()
    local memory <close> = assert(posix.shm_open(it_, CREATE))
    local semaphore <close> = assert(posix.sem_open(it_, posix.O_CREAT, nil, 1))
    local queue <close> = assert(posix.mq_open(it_, CREATE))
    assert.is_true(posix.shm_unlink(it_))
    assert.is_true(posix.sem_unlink(it_))
    assert.is_true(posix.mq_unlink(it_))
    assert.is_true(posix.ftruncate(memory, 10))
    assert.is_true(semaphore:wait(0))
    assert.is_true(queue:send "x")
    assert.equal("x", queue:receive(0))
  end)
end)

describe("a POSIX semaphore", function()
  it("is full at SEM_VALUE_MAX", function()
    local r <close> = assert(shm.anonymous(64))
    local semaphore <close> = posix.sem_init(r, 0, posix.SEM_VALUE_MAX)
    refused(EOVERFLOW, "^posix%.sem_post: ", semaphore:post())
    assert.equal(posix.SEM_VALUE_MAX, semaphore:getvalue())
    assert.is_true(semaphore:wait(0))
    assert.is_true(semaphore:post())
  end)

  it("that is opened twice is one, until both are closed", function()
    local it_ = name()
    local one = assert(posix.sem_open(it_, posix.O_CREAT))
    local other <close> = assert(posix.sem_open(it_, posix.O_CREAT, nil, 7)) -- it has its value
    assert(posix.sem_unlink(it_))
    assert.is_true(one:post())
    assert.is_true(one:close())
    assert.equal(1, other:getvalue())
    assert.is_true(other:wait(0))
    assert.is_true(one:close())
  end)

  it("whose object is too short for one is an error when it is used", function()
    local it_ = name()
    assert(posix.shm_open("/sem." .. it_:sub(2), CREATE)):close()
    local semaphore = posix.sem_open(it_) -- some libraries look, and refuse it
    assert.is_true(posix.sem_unlink(it_))
    if semaphore then
      for _, method in ipairs {"getvalue", "wait", "post"} do
        assert.error_matches(function() semaphore[method](semaphore) end,
                             "memory behind this semaphore is gone")
      end
      assert.is_true(semaphore:close())
    end
  end)
end)

describe("a POSIX message queue that is open", function()
  local it_, queue

  before_each(function()
    it_ = name()
    queue = assert(posix.mq_open(it_, CREATE, nil, {maxmsg = 1, msgsize = 8}))
  end)

  after_each(function()
    queue:close()
    posix.mq_unlink(it_)
  end)

  it("for one direction refuses the other", function()
    local reader <close> = assert(posix.mq_open(it_, posix.O_RDONLY))
    local writer <close> = assert(posix.mq_open(it_, posix.O_WRONLY))
    refused(EBADF, "^posix%.mq_send: ", reader:send("x", 0, 0))
    refused(EBADF, "^posix%.mq_receive: ", writer:receive(0))
    assert.is_true(writer:send("x", 32767, 0))
    assert.same({"x", 32767}, {reader:receive(0)})
  end)

  it("waits for nothing with O_NONBLOCK, which its children have as well", function()
    local own <close> = assert(posix.mq_open(it_, posix.O_RDWR | posix.O_NONBLOCK))
    refused(EAGAIN, "^posix%.mq_receive: ", own:receive())
    refused(EAGAIN, "^posix%.mq_receive: ", own:receive(LONG))
    assert.is_true(own:send "1")
    refused(EAGAIN, "^posix%.mq_send: ", own:send("2", 0, LONG))
    refused(ETIMEDOUT, "^posix%.mq_send: ", queue:send("2", 0, 0)) -- another open queue
    assert.is_true(own:setattr(0))
    assert.equal(0, own:getattr().flags)
    process.fork(own.setattr, own, posix.O_NONBLOCK):wait(LONG)
    assert.equal(posix.O_NONBLOCK, own:getattr().flags)
    refused(EINVAL, "^posix%.mq_setattr: ", own:setattr(posix.O_CREAT))
    assert.equal(posix.O_NONBLOCK, own:getattr().flags)
  end)

  it("tells of no message that goes to who waits for it", function()
    local child = assert(process.fork(function()
      assert(queue:receive() == "waited")
    end))
    support.eventually(function()
      return support.read_file("/proc/" .. child.pid .. "/wchan"):match "wq_sleep"
    end)
    local told <close> = assert(queue:notify())
    assert.is_true(queue:send("waited", 0, LONG))
    assert.same({"exit", 0}, {child:wait(LONG)})
    refused(ETIMEDOUT, "^notification%.wait: ", told:wait(0))
    assert.same({}, (socket.select({told}, nil, 0)))
    assert.is_true(queue:send "y")
    assert.is_true(told:wait(LONG))
  end)

  it("is what a notification of it keeps", function()
    local told
    do
      local own = assert(posix.mq_open(it_, posix.O_RDWR))
      told = assert(own:notify())
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(queue:send "x")
    assert.is_true(told:wait(LONG))
    assert.is_true(told:close())
    assert.is_true(told:close())
    assert.error_matches(function() told:wait(0) end, "notification is closed")
  end)
end)

describe("a lock", function()
  it("finds no circle: who waits in one waits until a holder is gone", function()
    local path = os.tmpname()
    local ours <close>, theirs = assert(process.socketpair "seqpacket")
    local function holder(first, second)
      return assert(process.fork(function()
        local fd = assert(posix.open(path, posix.O_RDWR))
        assert(posix.lock(fd, "write", first, 1))
        theirs:send "held"
        ours:close()
        assert(theirs:recv(1))
        local ok = posix.lock(fd, "write", second, 1)
        process.exit(ok and 42 or 1)
      end))
    end
    local one, other = holder(0, 1), holder(1, 0)
    for _ = 1, 2 do
      assert.equal("held", ours:recv(4, LONG))
    end
    assert(ours:send "1")
    assert(ours:send "2")
    for _, child in ipairs {one, other} do
      support.eventually(function()
        return support.read_file("/proc/" .. child.pid .. "/wchan"):match "lk"
      end)
    end
    one:kill "KILL"
    assert.same({"exit", 42}, {other:wait(LONG)})
    assert.same({"signal", "KILL"}, {one:wait(LONG)})
    theirs:close()
    os.remove(path)
  end)

  it("can not reach past the last byte that a file can have", function()
    local fd <close> = assert(posix.memfd_create "spec")
    refused(EOVERFLOW, "^posix%.lock: ", posix.lock(fd, "write", math.maxinteger, 2))
    assert.is_true(posix.lock(fd, "write", math.maxinteger, 1))
  end)
end)
