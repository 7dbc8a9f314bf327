-- What shm.sysv answers when the kernel says no, who may what, and what is seen from outside.
local process = require "shm.process"
local support = require "spec.support"
local sysv = require "shm.sysv"

local EPERM, E2BIG, ENOMEM, EACCES, EINVAL, ERANGE, ENOMSG, EIDRM = 1, 7, 12, 13, 22, 34, 42, 43
local LONG = support.LONG
local PRIVATE <const>, CREATE <const> = sysv.IPC_PRIVATE, sysv.IPC_CREAT | sysv.IPC_EXCL
local refused = support.refused

local function as_nobody(code, ...)
  return support.as_nobody("local sysv = require 'shm.sysv' " .. code:format(...))
end

describe("ftok", function()
  it("makes of a path a key as long as the file is the same, of the low 8 bits", function()
    local path = os.tmpname()
    local key = assert(sysv.ftok(path, 0x66))
    assert.equal(key, sysv.ftok(path, 0x166))
    assert.equal(key, sysv.ftok(path, 0x66 - 0x100))
    assert.not_equal(key, sysv.ftok(path, 0x67))
    local other = os.tmpname()
    assert(os.rename(other, path))
    assert.not_equal(key, sysv.ftok(path, 0x66))
    os.remove(path)
  end)
end)

describe("a System V object", function()
  local segment, set, queue

  before_each(function()
    local key = support.key()
    segment = assert(sysv.shmget(key, 4096, CREATE))
    set = assert(sysv.semget(key, 3, CREATE))
    queue = assert(sysv.msgget(key, CREATE))
  end)

  after_each(function()
    for _, one in ipairs {segment, set, queue} do
      one:remove()
      one:close()
    end
  end)

  it("that is removed has its key no longer, and its number is none, or another's", function()
    local key = segment:stat().key
    local region <close> = assert(sysv.shmat(segment))
    assert.is_true(segment:remove())
    local heir = assert(sysv.shmget(key, 10, CREATE))
    assert.equal(4096, #region)
    assert.equal(10, heir:stat().segsz)
    assert(heir:remove())
    local gone = queue.id
    assert.is_true(queue:remove())
    queue = assert(sysv.msgget(PRIVATE, CREATE))
    local errno = select(3, sysv.msgctl(gone, sysv.IPC_STAT))
    assert.is_true(errno == EINVAL or errno == EIDRM)
    if gone & 0x7fff == queue.id & 0x7fff then -- it has the place
      assert.equal(EIDRM, errno)
      refused(EIDRM, "^sysv%.msgsnd %d+: ", sysv.msgsnd(gone, 1, "x"))
    end
  end)

  it("is found by its place among all, up to the highest in use", function()
    for _, row in ipairs {
      {segment, sysv.shmctl, sysv.SHM_INFO, sysv.SHM_STAT, sysv.SHM_STAT_ANY},
      {set, function(id, command) return sysv.semctl(id, 0, command) end,
       sysv.SEM_INFO, sysv.SEM_STAT, sysv.SEM_STAT_ANY},
      {queue, sysv.msgctl, sysv.MSG_INFO, sysv.MSG_STAT, sysv.MSG_STAT_ANY},
    } do
      local object, control, info, stat, stat_any = table.unpack(row)
      local highest, seen = control(0, info).index, 0
      assert.equal(highest, control(0, sysv.IPC_INFO).index)
      assert.same(control(7, info), control(0, info))
      for index = 0, highest do
        local one = control(index, stat)
        if one and one.id == object.id then
          assert.same(one, object:stat())
          assert.same(one, control(index, stat_any) or one)
          seen = seen + 1
        end
      end
      assert.equal(1, seen)
      refused(EINVAL, "^sysv%.%w+ ", control(highest + 1, stat))
    end
  end)

  it("is counted by what tells of all", function()
    local sets, messages = sysv.semctl(0, 0, sysv.SEM_INFO), sysv.msgctl(0, sysv.MSG_INFO)
    local segments = sysv.shmctl(0, sysv.SHM_INFO)
    local more = assert(sysv.semget(PRIVATE, 5, CREATE))
    local another = assert(sysv.shmget(PRIVATE, 3 * 4096, CREATE))
    assert(sysv.msgsnd(queue, 1, "12345"))
    local function grown(before, now, by)
      for name, n in pairs(by) do
        by[name] = nil
        assert.equal(before[name] + n, now[name], name)
      end
    end
    grown(sets, sysv.semctl(0, 0, sysv.SEM_INFO), {sets = 1, semaphores = 5})
    grown(messages, sysv.msgctl(0, sysv.MSG_INFO), {queues = 0, messages = 1, bytes = 5})
    grown(segments, sysv.shmctl(0, sysv.SHM_INFO), {used_ids = 1, tot = 3, rss = 0, swp = 0})
    assert(more:remove())
    assert(another:remove())
  end)

  it("is what somebody else may see in the list, and not touch", function()
    local said = as_nobody([[
      local n = 0
      for _, all in pairs(sysv.list()) do
        for _, one in ipairs(all) do n = n + (one.key == %d and 1 or 0) end
      end
      print(n)
      local function errno(f, ...) return select(3, f(...)) end
      print(errno(sysv.shmget, %d, 0, 256), errno(sysv.shmat, %d))
      print(errno(sysv.shmctl, %d, sysv.IPC_STAT), errno(sysv.shmctl, %d, sysv.IPC_RMID),
            errno(sysv.shmctl, %d, sysv.SHM_LOCK))
      print(errno(sysv.semctl, %d, 0, sysv.GETALL), errno(sysv.semctl, %d, 0, sysv.IPC_RMID),
            errno(sysv.semop, %d, {{num = 0, op = 1}}))
      print(errno(sysv.msgrcv, %d, 1, 0, sysv.IPC_NOWAIT), errno(sysv.msgctl, %d, sysv.IPC_RMID))
      print(sysv.shmget(%d, 0) ~= nil, sysv.shmget(%d, 0, sysv.IPC_CREAT) ~= nil)]],
      segment:stat().key, segment:stat().key, segment.id, segment.id, segment.id, segment.id,
      set.id, set.id, set.id, queue.id, queue.id, segment:stat().key, segment:stat().key)
    if not said then
      return pending(support.NOT_NOBODY)
    end
    assert.equal(("3\n13\t13\n13\t1\t1\n13\t1\t13\n13\t1\ntrue\ttrue\n"), said)
    assert.same({EPERM, EACCES}, {1, 13})
  end)

  it("has limits for who is not root", function()
    local said = as_nobody [[
      local function errno(f, ...) return select(3, f(...)) end
      local queue = assert(sysv.msgget(0, 512))
      local most = queue:stat().qbytes
      print(errno(sysv.msgctl, queue, sysv.IPC_SET, {qbytes = most + 1}),
            queue:stat().qbytes == most)
      queue:remove()]]
    if not said then
      return pending(support.NOT_NOBODY)
    end
    assert.equal(EPERM .. "\ttrue\n", said)
    said = support.shell(support.AS_NOBODY .. [[sh -c 'ulimit -l 4; exec lua5.4 -e "
      local sysv = require [=[shm.sysv]=]
      local large = assert(sysv.shmget(0, 1 << 20, 512))
      print(select(3, sysv.shmctl(large, sysv.SHM_LOCK)))
      print(large:stat().mode & sysv.SHM_LOCKED)
      large:remove()"']])
    assert.equal(ENOMEM .. "\n0\n", said)
  end)

  it("takes values that are whole where they may be changed and not read", function()
    local said = as_nobody [[
      local one = assert(sysv.semget(0, 1, 512))
      print(sysv.semctl(one, 0, sysv.IPC_SET, {mode = 0}))
      print(select(3, sysv.semctl(one, 0, sysv.IPC_SET, {mode = 384})))
      print(sysv.semctl(one, 0, sysv.IPC_SET, {uid = 65534, gid = 65534, mode = 384}))
      print(one:stat().mode)
      one:remove()]]
    if not said then
      return pending(support.NOT_NOBODY)
    end
    assert.equal("true\n" .. EACCES .. "\ntrue\n384\n", said)
  end)

  it("says what is too much, and stays as it was", function()
    refused(ERANGE, "^sysv%.semctl %d+: ", sysv.semctl(set, 0, sysv.SETVAL, 40000))
    refused(ERANGE, "^sysv%.semctl %d+: ", sysv.semctl(set, 0, sysv.SETALL, {1, 2, 40000}))
    refused(EINVAL, "^sysv%.semctl %d+: ", sysv.semctl(set, 3, sysv.SETVAL, 1))
    assert.is_true(sysv.semctl(set, 1, sysv.SETVAL, 32767))
    refused(ERANGE, "^sysv%.semop %d+: ", sysv.semop(set, {{num = 0, op = 1}, {num = 1, op = 1}}))
    local many = {}
    for i = 1, sysv.limits().semopm + 1 do
      many[i] = {num = 0, op = 1}
    end
    refused(E2BIG, "^sysv%.semop %d+: ", sysv.semop(set, #many <= 4096 and many or {many[1]}))
    assert.same({0, 32767, 0}, sysv.semctl(set, 0, sysv.GETALL))
    refused(EINVAL, "^sysv%.semget key ", sysv.semget(set:stat().key, 4))
    refused(EINVAL, "^sysv%.semget key ", sysv.semget(PRIVATE, 0, CREATE))
    refused(EINVAL, "^sysv%.shmget key ", sysv.shmget(PRIVATE, 0, CREATE))
    assert.is_nil((sysv.shmget(PRIVATE, math.maxinteger, CREATE)))
    local qbytes = queue:stat().qbytes
    for _, wrong in ipairs {-1, 1 << 31, (1 << 32) + 1} do
      assert.error_matches(function() sysv.msgctl(queue, sysv.IPC_SET, {qbytes = wrong}) end,
                           "qbytes")
    end
    assert.equal(qbytes, queue:stat().qbytes)
    refused(EINVAL, "^sysv%.msgrcv %d+: ", sysv.msgrcv(queue, 1, 0, sysv.MSG_COPY))
    refused(ENOMSG, "^sysv%.msgrcv %d+: ", sysv.msgrcv(queue, 1, math.mininteger, sysv.IPC_NOWAIT))
  end)

  it("keeps a region where another could not take its place", function()
    local region <close> = assert(sysv.shmat(segment))
    region:write(0, "stays")
    refused(EINVAL, "^sysv%.shmat %d+: ", sysv.shmat(0x7fffffff, region, sysv.SHM_REMAP))
    assert.equal("stays", region:read(0, 5))
    assert.equal(1, segment:stat().nattch)
  end)

  it("tells who waits that it is gone, with a time-out or without", function()
    for _, timeout in ipairs {false, LONG, math.huge} do
      local own = assert(sysv.msgget(PRIVATE, CREATE))
      local child <close> = assert(process.fork(function()
        process.exit(select(3, sysv.msgrcv(own, 1, 0, 0, timeout or nil)))
      end))
      support.eventually(function() -- in the kernel's wait, or between two of ours
        return support.read_file("/proc/" .. child.pid .. "/wchan"):match "msgrcv"
          or support.read_file("/proc/" .. child.pid .. "/wchan"):match "nanosleep"
      end)
      assert(own:remove())
      assert.same({"exit", EIDRM}, {child:wait(LONG)})
    end
  end)
end)

describe("the limits of System V", function()
  it("are all there, as numbers", function()
    local limits, names = assert(sysv.limits()), {}
    for name, value in pairs(limits) do
      assert.equal("integer", math.type(value))
      names[#names + 1] = name
    end
    table.sort(names)
    assert.equal("msgmax msgmnb msgmni page_size semaem semmni semmns semmsl semopm semvmx "
      .. "shmall shmmax shmmin shmmni", table.concat(names, " "))
    assert.equal(32767, limits.semvmx)
    assert.equal(1, limits.shmmin)
  end)
end)
