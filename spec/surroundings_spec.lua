-- The same in other surroundings: a private IPC namespace, a small /dev/shm, an ordinary user.
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local ROOT = support.shell "id -u" == "0\n"

-- Runs a script, under a command that changes the surroundings; gives what it printed.
local function run(command, script)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(script)
  file:close()
  os.execute("chmod 644 " .. path)
  local said = support.shell(("%s lua5.4 %s 2>&1"):format(command, path))
  os.remove(path)
  return said
end

local as_nobody = support.AS_NOBODY

-- Whether the command can be had at all.
local function works(command)
  return support.shell(command .. " echo yes 2>/dev/null") == "yes\n"
end

local ALL = [[
local posix, process, shm, sysv = require "shm.posix", require "shm.process", require "shm",
  require "shm.sysv"
local name = "shm-spec-" .. process.pid()
local made = assert(shm.create(name, 5000))
made:write(4000, "by name")
assert(assert(shm.attach(name)):read(4000, 7) == "by name")
assert(made:resize(20000))
assert(shm.unlink(name))
local anonymous = assert(shm.anonymous(100))
process.fork(function() anonymous:set_i64(0, 7) end):wait(10)
assert(anonymous:get_i64(0) == 7)
local id = assert(sysv.shmget(sysv.IPC_PRIVATE, 4096, sysv.IPC_CREAT))
local region = assert(sysv.shmat(id))
region:set_i64(8, 9)
local set = assert(sysv.seminit(sysv.IPC_PRIVATE, {1}))
assert(sysv.semop(set, {{num = 0, op = -1}}, 1))
local queue = assert(sysv.msgget(sysv.IPC_PRIVATE, sysv.IPC_CREAT))
assert(sysv.msgsnd(queue, 1, "message"))
assert(sysv.msgrcv(queue, 100) == "message")
local all = sysv.list()
for _, one in ipairs {id, set, queue} do
  assert(one:remove())
end
local sem = assert(posix.sem_open("/" .. name, posix.O_CREAT, nil, 1))
assert(posix.sem_unlink("/" .. name))
assert(sem:wait(0))
local mq = assert(posix.mq_open("/" .. name, posix.O_RDWR | posix.O_CREAT))
assert(posix.mq_unlink("/" .. name))
assert(mq:send "x" and mq:receive() == "x")
local path = os.tmpname()
local file = assert(shm.map(path, {mode = "rw", create = true, size = 10000}))
file:write(9990, "file")
assert(file:sync())
assert(posix.lock(file:fileno(), "write", 0, 0, 0))
os.remove(path)
local ok, message = pcall(assert(posix.mmap(nil, 4096, 0, 0x22)).get_u8, region, 0)
assert(ok, message)
print("all of it works", #all.segments, #all.semaphores, #all.queues)
]]

describe("everything works", function()
  it("in a private IPC namespace, which has nothing of anybody else's", function()
    if not works "unshare --ipc" then
      return pending "unshare --ipc is not allowed here"
    end
    assert.equal("all of it works\t1\t1\t1\n", run("unshare --ipc", ALL))
  end)

  it("as an ordinary user", function()
    if ROOT and not works(as_nobody) then
      return pending "there is no setpriv to become another user with"
    elseif ROOT and not works(as_nobody .. " test -r spec/run.lua &&") then
      return pending "another user can not read this folder"
    end
    assert.matches("^all of it works", run(ROOT and as_nobody or "", ALL))
  end)

  it("in a namespace without privileges and without other users", function()
    local command = as_nobody .. " unshare --user --map-current-user --ipc"
    if not works(command) then
      return pending "user namespaces are not allowed here"
    end
    assert.equal("all of it works\t1\t1\t1\n", run(command, ALL))
  end)
end)

describe("a standard stream that is closed", function()
  it("is no shared memory: what is printed is lost, and nothing is read", function()
    local name = ("shm-spec-%d"):format(process.pid())
    for _, closed in ipairs {"<&-", ">&-", "2>&-", "<&- >&- 2>&-"} do
      local path = os.tmpname()
      local file <close> = assert(io.open(path, "w"))
      file:write(([[
        local shm = require "shm"
        local a = assert(shm.arena "%s")
        local queue = a:queue "jobs"
        assert((io.read "a" or "") == "")
        print(("printed "):rep(1000))
        io.stdout:flush()
        io.stderr:write(("told "):rep(1000))
        assert(a:check() and queue:push(...))]]):format(name))
      file:close()
      assert.is_true(os.execute(("lua5.4 %s '%s' </dev/null >/dev/null 2>&1 %s")
        :format(path, closed, closed)))
      os.remove(path)
      local a <close> = assert(shm.arena(name))
      assert.is_true(a:check())
      assert.equal(closed, a:queue("jobs"):pop(0))
      assert(shm.unlink(name))
    end
  end)
end)

describe("a /dev/shm of 64 KiB", function()
  local mounted = "unshare --mount sh -c 'mount -t tmpfs -o size=64k tmpfs /dev/shm && \"$@\"' sh"

  local function small(script)
    if not works(mounted) then
      return nil
    end
    return run(mounted, "local posix, shm = require 'shm.posix', require 'shm'\n" .. script)
  end

  it("is enough for what fits", function()
    local said = small(ALL)
    if not said then
      return pending "takes root to mount a small /dev/shm"
    end
    assert.matches("^all of it works", said)
  end)

  it("is full for create and resize, and never a dead process", function()
    local said = small [[
      print(shm.create("large", 100000))
      local r = assert(shm.create("fits", 40000))
      r:fill(0, 40000, 1)
      print(shm.create("second", 40000))
      print(r:resize(80000))
      print(#r, r:get_u8(39999))
      print(#posix.list())
      shm.unlink "fits"
      r:close()
      assert(shm.create("second", 40000))]]
    if not said then
      return pending "takes root to mount a small /dev/shm"
    end
    assert.equal("nil\tshm.create '/large': No space left on device\t28\n"
                 .. "nil\tshm.create '/second': No space left on device\t28\n"
                 .. "nil\tregion.resize /fits: No space left on device\t28\n"
                 .. "40000\t1\n1\n", said)
  end)

  it("is an error where memory was promised and not reserved", function()
    local said = small [[
      local fd = assert(posix.shm_open("/promised", posix.O_CREAT | posix.O_RDWR))
      assert(posix.ftruncate(fd, 1 << 20))
      local r = assert(shm.map(fd, {mode = "rw"}))
      local written = 0
      for offset = 0, (1 << 20) - 1, 4096 do
        local ok, message = pcall(r.set_u8, r, offset, 1)
        if not ok then
          print(written, message:match "%((.*)%)")
          break
        end
        written = written + 4096
      end
      print(r:get_u8(0), pcall(r.fill, r, 0, 1 << 20, 2))
      print(r:get_u8(0))
      print(posix.posix_fallocate(fd, 0, 1 << 20))]]
    if not said then
      return pending "takes root to mount a small /dev/shm"
    end
    assert.matches("^65536\tmemory behind this region is gone, or could not be had\n"
                   .. "1\tfalse\t[^\n]*gone[^\n]*\n2\n"
                   .. "nil\tposix.posix_fallocate: No space left on device\t28\n$", said)
  end)
end)

describe("a limit on the size of files", function()
  it("is an answer, and no signal that kills", function()
    local said = run("ulimit -f 8;", [[
      local posix, shm = require "shm.posix", require "shm"
      local name = "shm-spec-" .. require "shm.process".pid()
      local function errno(_, _, number) return number end
      local path = os.tmpname()
      local r = assert(shm.anonymous(100))
      local file = assert(io.open(path, "w"))
      print(errno(shm.create(name, 1 << 20)), errno(shm.anonymous(1 << 20)),
            errno(r:resize(1 << 20)), errno(posix.ftruncate(r:fileno(), 1 << 20)),
            errno(posix.posix_fallocate(r:fileno(), 0, 1 << 20)),
            errno(shm.map(path, {mode = "rw", create = true, size = 1 << 20})),
            (r:send(file, 0, 100)))
      file:seek("set", 1 << 20)
      print(errno(r:send(file, 0, 100)))
      os.remove(path)]])
    assert.equal("27\t27\t27\t27\t27\t27\t100\n27\n", said)
  end)
end)
