local process = require "shm.process"
local support = require "spec.support"
local sysv = require "shm.sysv"

local ENOENT, EINTR, EAGAIN, EEXIST, EINVAL, EIDRM, ETIMEDOUT = 2, 4, 11, 17, 22, 43, 110
local PRIVATE = sysv.IPC_PRIVATE
local CREATE = sysv.IPC_CREAT | sysv.IPC_EXCL | tonumber("600", 8)

-- The call answers nil, a message that names it, and the error.
local function refused(errno, name, result, message, number)
  assert.is_nil(result)
  assert.equal(errno, number)
  assert.matches(name, message)
end

describe("ftok", function()
  it("makes the C library's key", function()
    local program = support.compile "spec/textbook/ftok.c"
    local expected = ("%d %d"):format(sysv.ftok(".", 0x66), sysv.ftok("/tmp", 0x6666))
    assert.equal(expected, support.shell(program))
    os.remove(program)
  end)

  it("says which file is missing", function()
    refused(ENOENT, "^sysv%.ftok '/no/such/file': ", sysv.ftok("/no/such/file", 1))
  end)

  it("refuses a path that the kernel would cut", function()
    assert.error_matches(function() sysv.ftok("/tmp\0/x", 1) end, "path: .* NUL")
  end)
end)

describe("a System V segment", function()
  local id

  before_each(function()
    id = assert(sysv.shmget(PRIVATE, 5000, CREATE))
  end)

  after_each(function()
    sysv.shmctl(id.id, sysv.IPC_RMID)
  end)

  it("is what ipcs says it is", function()
    local seg <close> = assert(sysv.shmat(id))
    local stat = assert(sysv.shmctl(id, sysv.IPC_STAT))
    local line
    for _, candidate in ipairs(support.ipcs "-m") do
      if candidate:match("^0x%x+%s+" .. id.id .. "%s") then
        line = candidate
      end
    end
    local key, perms, bytes, nattch = line:match "^0x(%x+)%s+%d+%s+%S+%s+(%d+)%s+(%d+)%s+(%d+)"
    assert.equal(stat.key & 0xffffffff, tonumber(key, 16))
    assert.equal(stat.mode & 511, tonumber(perms, 8))
    assert.equal(stat.segsz, tonumber(bytes))
    assert.equal(stat.nattch, tonumber(nattch))

    local text = support.shell("LC_ALL=C ipcs -m -i " .. id.id)
    stat = assert(sysv.shmctl(id, sysv.IPC_STAT))
    local function field(name)
      return tonumber(text:match("%f[%w]" .. name .. "=(%d+)"))
    end
    for _, name in ipairs {"uid", "gid", "cuid", "cgid", "lpid", "cpid", "nattch"} do
      assert.equal(field(name), stat[name], name)
    end
    assert.equal(field "bytes", stat.segsz)
    assert.equal(tonumber(text:match "mode=(%d+)", 8), stat.mode)
    assert.equal(process.pid(), stat.cpid)
    assert.equal(5000, #seg)
  end)

  it("has every field of struct shmid_ds", function()
    local names = {}
    for name, value in pairs(id:stat()) do
      assert.equal("integer", math.type(value))
      names[#names + 1] = name
    end
    table.sort(names)
    assert.same({"atime", "cgid", "cpid", "ctime", "cuid", "dtime", "gid", "id", "key", "lpid",
                 "mode", "nattch", "segsz", "seq", "uid"}, names)
    assert.equal(0, id:stat().atime)
    local before = os.time()
    sysv.shmat(id):close()
    local stat = id:stat()
    for _, time in ipairs {stat.atime, stat.dtime, stat.ctime} do
      assert.is_true(time >= before - 1 and time <= os.time() + 1)
    end
  end)

  it("is private to its owner unless told otherwise", function()
    local open = assert(sysv.shmget(PRIVATE, 1, sysv.IPC_CREAT))
    assert.equal(tonumber("600", 8), open:stat().mode)
    assert(open:remove())
    local wide = assert(sysv.shmget(PRIVATE, 1, sysv.IPC_CREAT | tonumber("644", 8)))
    assert.equal(tonumber("644", 8), wide:stat().mode)
    assert(wide:remove())
  end)

  it("is found by its key, up to its own size", function()
    local key = support.key()
    refused(ENOENT, "^sysv%.shmget key %d+: ", sysv.shmget(key, 0))
    local made = assert(sysv.shmget(key, 100, CREATE))
    refused(EEXIST, "shmget", sysv.shmget(key, 100, CREATE))
    assert.equal(made, assert(sysv.shmget(key, 0)))
    assert.equal(made.id, assert(sysv.shmget(key, 10)).id)
    refused(EINVAL, "shmget", sysv.shmget(key, 5000))
    assert.equal(key, made:stat().key)
    assert(made:remove())
    refused(ENOENT, "shmget", sysv.shmget(key, 0))
  end)

  it("changes owner and mode with IPC_SET, and nothing else", function()
    assert.is_true(sysv.shmctl(id, sysv.IPC_SET, {mode = tonumber("640", 8)}))
    local stat = id:stat()
    assert.equal(tonumber("640", 8), stat.mode)
    assert.is_true(sysv.shmctl(id, sysv.IPC_SET, {}))
    assert.equal(stat.uid, id:stat().uid)
    assert.error_matches(function() sysv.shmctl(id, sysv.IPC_SET, {segsz = 1}) end,
                         "values: unknown field 'segsz'")
    assert.error_matches(function() sysv.shmctl(id, sysv.IPC_SET, {mode = 512}) end, "mode")
    assert.error_matches(function() sysv.shmctl(id, sysv.IPC_SET) end, "values")
  end)

  it("is marked by IPC_RMID and gone with the last who is attached", function()
    local seg = assert(sysv.shmat(id))
    assert.is_true(id:remove())
    local stat = assert(id:stat())
    assert.equal(sysv.SHM_DEST, stat.mode & sysv.SHM_DEST)
    assert.equal(PRIVATE, stat.key)
    seg:write(0, "still here")
    seg:close()
    refused(EINVAL, "^sysv%.shmctl %d+: ", sysv.shmctl(id, sysv.IPC_STAT))
    refused(EINVAL, "shmctl", id:remove())
    refused(EINVAL, "^sysv%.shmat %d+: ", sysv.shmat(id))
  end)

  it("attaches read-only, at an address, and rounded down to one", function()
    local seg = assert(sysv.shmat(id))
    local address = seg:address()
    assert.is_true(sysv.shmdt(seg))
    assert.error_matches(function() sysv.shmdt(seg) end, "region is closed")
    local there <close> = assert(sysv.shmat(id, address))
    assert.equal(address, there:address())
    refused(EINVAL, "shmat", sysv.shmat(id, address))
    there:close()
    refused(EINVAL, "shmat", sysv.shmat(id, address + 1))
    local rounded <close> = assert(sysv.shmat(id, address + 17, sysv.SHM_RND))
    assert.equal(address, rounded:address())
    local readonly <close> = assert(sysv.shmat(id, nil, sysv.SHM_RDONLY))
    rounded:write(0, "both see it")
    assert.equal("both see it", readonly:read(0, 11))
    assert.error_matches(function() readonly:write(0, "x") end, "read%-only")
  end)

  it("is attached by number, and by the child of who attached it", function()
    local seg <close> = assert(sysv.shmat(id.id))
    local child = assert(process.fork(function()
      seg:write(0, "from the child")
      local again <close> = assert(sysv.shmat(id.id))
      again:write(100, "by number")
    end))
    assert.same({"exit", 0}, {child:wait(5)})
    assert.equal("from the child", seg:read(0, 14))
    assert.equal("by number", seg:read(100, 9))
  end)

  it("detaches when the region is collected, closed by scope, or given to shmdt", function()
    local function attach_and_forget()
      assert(sysv.shmat(id))
    end
    attach_and_forget()
    collectgarbage()
    assert.equal(0, id:stat().nattch)
    do
      local seg <close> = assert(sysv.shmat(id))
      assert.equal(1, id:stat().nattch)
      assert.is_truthy(seg)
    end
    assert.equal(0, id:stat().nattch)
  end)

  it("is never put at address 0", function()
    assert.error_matches(function() sysv.shmat(id, 1, sysv.SHM_RND) end, "address: 1 rounds down")
  end)

  it("has ids that print, compare and close", function()
    assert.equal("shm.sysv.segment (" .. id.id .. ")", tostring(id))
    local key = support.key()
    local one <close> = assert(sysv.shmget(key, 1, CREATE))
    local two = assert(sysv.shmget(key, 1))
    assert.equal(one, two)
    assert.not_equal(one, id)
    assert.is_true(two:remove())
    assert.is_true(two:close())
    assert.equal("shm.sysv.segment (closed)", tostring(two))
    assert.error_matches(function() two:stat() end, "id is closed")
    assert.error_matches(function() return two.id end, "id is closed")
    assert.is_nil(one.nonsense)
  end)

  it("survives ten thousand attachments without a trace", function()
    local mappings, descriptors = support.mappings(), support.descriptors()
    for _ = 1, support.rounds(10000) do
      local seg = assert(sysv.shmat(id))
      seg:set_i64(0, seg:get_i64(0) + 1)
      seg:close()
    end
    local seg = assert(sysv.shmat(id))
    assert.equal(support.rounds(10000), seg:get_i64(0))
    seg:close()
    assert.equal(0, id:stat().nattch)
    assert.equal(mappings, support.mappings())
    assert.equal(descriptors, support.descriptors())
  end)
end)

describe("a System V semaphore set", function()
  local id

  local function op(list, timeout)
    return sysv.semop(id, list, timeout)
  end

  local function values()
    return sysv.semctl(id, 0, sysv.GETALL)
  end

  before_each(function()
    id = assert(sysv.semget(PRIVATE, 3, CREATE))
  end)

  after_each(function()
    sysv.semctl(id.id, 0, sysv.IPC_RMID)
  end)

  it("starts at zero, is set one by one and all at once", function()
    assert.same({0, 0, 0}, values())
    assert.is_true(sysv.semctl(id, 1, sysv.SETVAL, 7))
    assert.equal(7, sysv.semctl(id, 1, sysv.GETVAL))
    assert.is_true(sysv.semctl(id, 0, sysv.SETALL, {1, 2, 3}))
    assert.same({1, 2, 3}, values())
    refused(EINVAL, "^sysv%.semctl %d+: ", sysv.semctl(id, 3, sysv.GETVAL))
    assert.error_matches(function() sysv.semctl(id, 0, sysv.SETALL, {1, 2}) end, "3 values")
    assert.error_matches(function() sysv.semctl(id, 0, sysv.SETALL, {1, 2, -1}) end, "value 3")
    assert.error_matches(function() sysv.semctl(id, 0, sysv.SETVAL, -1) end, "argument")
  end)

  it("does several operations at once or none", function()
    assert.is_true(sysv.semop(id, {{num = 0, op = 2}, {num = 1, op = 1}}))
    assert.same({2, 1, 0}, values())
    local both = {{num = 0, op = -1}, {num = 2, op = -1, flg = sysv.IPC_NOWAIT}}
    refused(EAGAIN, "^sysv%.semop %d+: ", op(both))
    assert.same({2, 1, 0}, values())
    assert.equal(process.pid(), sysv.semctl(id, 0, sysv.GETPID))
  end)

  it("gives up when the time is up", function()
    refused(ETIMEDOUT, "semop", op({{num = 0, op = -1}}, 0))
    refused(ETIMEDOUT, "semop", op({{num = 0, op = -1}}, 0.01))
    assert.is_true(op({{num = 0, op = 0}}, 0))
  end)

  it("wakes who waits for more and who waits for zero, and counts both", function()
    local function waiter(operation)
      return assert(process.fork(function()
        assert(op({operation}, 10))
      end))
    end
    sysv.semctl(id, 1, sysv.SETVAL, 1)
    local more, zero = waiter {num = 0, op = -1}, waiter {num = 1, op = 0}
    support.eventually(function() return sysv.semctl(id, 0, sysv.GETNCNT) == 1 end)
    support.eventually(function() return sysv.semctl(id, 1, sysv.GETZCNT) == 1 end)
    assert.is_true(op {{num = 0, op = 1}, {num = 1, op = -1}})
    assert.same({"exit", 0}, {more:wait(5)})
    assert.same({"exit", 0}, {zero:wait(5)})
  end)

  it("undoes with SEM_UNDO what a killed process had taken", function()
    sysv.semctl(id, 0, sysv.SETVAL, 1)
    local child = assert(process.fork(function()
      assert(op {{num = 0, op = -1, flg = sysv.SEM_UNDO}})
      process.sleep(60)
    end))
    support.eventually(function() return sysv.semctl(id, 0, sysv.GETVAL) == 0 end)
    child:kill "KILL"
    assert.is_true(op({{num = 0, op = -1}}, 5))
    assert.same({"signal", "KILL"}, {child:wait(5)})
  end)

  it("tells a waiter that the set is gone, and one that a signal came", function()
    local function wait_and_tell(expected)
      return assert(process.fork(function()
        local _, _, errno = op({{num = 0, op = -1}}, 10)
        process.exit(errno == expected and 0 or 1)
      end))
    end
    local interrupted = wait_and_tell(EINTR)
    support.eventually(function() return sysv.semctl(id, 0, sysv.GETNCNT) == 1 end)
    interrupted:kill "STOP" -- a stop and a continue interrupt semtimedop, and nothing else happens
    interrupted:kill "CONT"
    assert.same({"exit", 0}, {interrupted:wait(5)})
    local removed = wait_and_tell(EIDRM)
    support.eventually(function() return sysv.semctl(id, 0, sysv.GETNCNT) == 1 end)
    assert.is_true(id:remove())
    assert.same({"exit", 0}, {removed:wait(5)})
  end)

  it("is what ipcs says it is", function()
    sysv.semctl(id, 0, sysv.SETALL, {4, 5, 6})
    local text = support.shell("LC_ALL=C ipcs -s -i " .. id.id)
    assert.equal("3", text:match "nsems = (%d+)")
    local seen = {}
    for value in text:gmatch "\n%d+%s+(%d+)%s+%d+%s+%d+%s+%d+" do
      seen[#seen + 1] = tonumber(value)
    end
    assert.same({4, 5, 6}, seen)
    local stat = assert(id:stat())
    assert.equal(3, stat.nsems)
    assert.equal(0, stat.otime)
    assert.is_true(op {{num = 0, op = -1}})
    assert.is_true(id:stat().otime > 0)
    assert.is_true(sysv.semctl(id, 0, sysv.IPC_SET, {mode = tonumber("640", 8)}))
    assert.equal(tonumber("640", 8), id:stat().mode)
  end)

  it("names what is wrong with an operation", function()
    for _, row in ipairs {
      {nil, "list of operations"}, {{}, "1 to 4096"}, {{1}, "operation 1: table"},
      {{{}}, "num"}, {{{num = 0}}, "op"}, {{{num = -1, op = 1}}, "num"},
      {{{num = 0, op = 40000}}, "op"}, {{{num = 0, op = 1, flg = "x"}}, "flg"},
      {{{num = 1 << 16, op = 1}}, "num"}, {{{num = 0, op = 0.5}}, "op"},
    } do
      assert.error_matches(function() op(row[1]) end, row[2])
    end
    for _, timeout in ipairs {-1, 0 / 0, "1", {}} do
      assert.error_matches(function() op({{num = 0, op = 0}}, timeout) end, "timeout")
    end
    refused(27, "semop", op {{num = 9, op = 1}})
  end)
end)
