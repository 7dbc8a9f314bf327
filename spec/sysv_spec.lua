local process = require "shm.process"
local support = require "spec.support"
local sysv = require "shm.sysv"

local ENOENT, EINTR, EAGAIN, EEXIST, EINVAL, EIDRM, ETIMEDOUT = 2, 4, 11, 17, 22, 43, 110
local PRIVATE = sysv.IPC_PRIVATE
local CREATE = sysv.IPC_CREAT | sysv.IPC_EXCL | tonumber("600", 8)
local LONG = support.LONG

-- The call answers nil, a message that names it, and the error.
local refused = support.refused

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
    assert.same({"exit", 0}, {child:wait(LONG)})
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
        assert(op({operation}, LONG))
      end))
    end
    sysv.semctl(id, 1, sysv.SETVAL, 1)
    local more, zero = waiter {num = 0, op = -1}, waiter {num = 1, op = 0}
    support.eventually(function() return sysv.semctl(id, 0, sysv.GETNCNT) == 1 end)
    support.eventually(function() return sysv.semctl(id, 1, sysv.GETZCNT) == 1 end)
    assert.is_true(op {{num = 0, op = 1}, {num = 1, op = -1}})
    assert.same({"exit", 0}, {more:wait(LONG)})
    assert.same({"exit", 0}, {zero:wait(LONG)})
  end)

  it("undoes with SEM_UNDO what a killed process had taken", function()
    sysv.semctl(id, 0, sysv.SETVAL, 1)
    local child = assert(process.fork(function()
      assert(op {{num = 0, op = -1, flg = sysv.SEM_UNDO}})
      support.forever()
    end))
    support.eventually(function() return sysv.semctl(id, 0, sysv.GETVAL) == 0 end)
    child:kill "KILL"
    assert.is_true(op({{num = 0, op = -1}}, LONG))
    assert.same({"signal", "KILL"}, {child:wait(LONG)})
  end)

  it("tells a waiter that the set is gone, and one that a signal came", function()
    local function wait_and_tell(expected)
      return assert(process.fork(function()
        local _, _, errno = op({{num = 0, op = -1}}, LONG)
        process.exit(errno == expected and 0 or 1)
      end))
    end
    local interrupted = wait_and_tell(EINTR)
    support.eventually(function() return sysv.semctl(id, 0, sysv.GETNCNT) == 1 end)
    interrupted:kill "STOP" -- a stop and a continue interrupt semtimedop, and nothing else happens
    interrupted:kill "CONT"
    assert.same({"exit", 0}, {interrupted:wait(LONG)})
    local removed = wait_and_tell(EIDRM)
    support.eventually(function() return sysv.semctl(id, 0, sysv.GETNCNT) == 1 end)
    assert.is_true(id:remove())
    assert.same({"exit", 0}, {removed:wait(LONG)})
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
      {{{num = 0, op = 0}, {num = 0, op = 0, flag = 0}}, "#2.*operation 2: unknown field 'flag'"},
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

describe("a set with values", function()
  local key

  before_each(function()
    key = support.key()
  end)

  after_each(function()
    for _, set in ipairs(sysv.list().semaphores) do
      if set.key == key then
        sysv.semctl(set.id, 0, sysv.IPC_RMID)
      end
    end
  end)

  local function values(id)
    return sysv.semctl(id, 0, sysv.GETALL)
  end

  it("is made once and then found, its values as they are by then", function()
    local id, made = assert(sysv.seminit(key, {3, 0, 32767}))
    assert.is_true(made)
    assert.same({3, 0, 32767}, values(id))
    assert.is_true(id:stat().otime > 0)
    assert.equal(tonumber("600", 8), id:stat().mode)
    assert(sysv.semop(id, {{num = 0, op = -2}}))
    local same, again = assert(sysv.seminit(key, {3, 0, 32767}))
    assert.is_false(again)
    assert.equal(id, same)
    assert.same({1, 0, 32767}, values(same))
    refused(EEXIST, "^sysv%.seminit", sysv.seminit(key, {1}, sysv.IPC_EXCL))
    refused(EINVAL, "^sysv%.seminit", sysv.seminit(key, {1, 1, 1, 1}))
    local before = #sysv.list().semaphores
    refused(34, "^sysv%.seminit", sysv.seminit(sysv.IPC_PRIVATE, {40000})) -- ERANGE
    assert.equal(before, #sysv.list().semaphores)
    assert.is_true(id:remove())
  end)

  it("takes no lock where none is needed", function()
    assert(sysv.seminit(key, {1}))
    local lock = io.popen("exec flock /proc/self/ns/ipc cat", "w") -- until its input ends
    support.eventually(function()
      return not os.execute "flock --nonblock /proc/self/ns/ipc true"
    end)
    local own = assert(sysv.seminit(PRIVATE, {1}, 0, 0))
    assert(sysv.seminit(key, {1}, 0, 0))
    refused(ETIMEDOUT, "seminit", sysv.seminit(key + 1, {1}, 0, 0.02))
    own:remove()
    lock:close()
  end)

  it("is never seen without them, by any of many that begin together", function()
    for _ = 1, support.rounds(30) do
      local children = {}
      for i = 1, 6 do
        children[i] = process.fork(function()
          local id = assert(sysv.seminit(key, {2, 0}, nil, 10))
          assert(sysv.semop(id, {{num = 0, op = -1}}, 10)) -- two at a time hold one
          assert(sysv.semop(id, {{num = 0, op = 1}, {num = 1, op = 1}}))
        end)
      end
      for _, child in ipairs(children) do
        assert.same({"exit", 0}, {child:wait(LONG)})
      end
      local id, made = assert(sysv.seminit(key, {2, 0}))
      assert.is_false(made)
      assert.same({2, 6}, values(id))
      id:remove()
    end
  end)

  it("is waited for where another program makes it, and finished where that died", function()
    local id, found, made
    for _ = 1, 5 do -- a machine that has much to do may take its second, once
      id = assert(sysv.semget(key, 2, CREATE)) -- a textbook's maker, slow
      local child = process.fork(function()
        process.sleep(0.05)
        assert(sysv.semctl(id, 0, sysv.SETALL, {9, 9}))
        assert(sysv.semop(id, {{num = 0, op = 1}}))
      end)
      found, made = assert(sysv.seminit(key, {1, 1}))
      local given = values(found)
      child:wait()
      id:remove()
      if not made then
        assert.same({10, 9}, given)
        break
      end
    end
    assert.is_false(made)
    id = assert(sysv.semget(key, 200, CREATE)) -- one of more than are given values
    refused(EINVAL, "seminit", sysv.seminit(key, {1}))
    id:remove()
    assert(sysv.semget(key, 2, CREATE)) -- and one that is dead
    refused(ETIMEDOUT, "seminit", sysv.seminit(key, {1, 1}, 0, 0.05))
    found, made = assert(sysv.seminit(key, {1, 5}))
    assert.is_true(made)
    assert.same({1, 5}, values(found))
  end)

  it("survives makers that are killed at any time", function()
    for round = 1, support.rounds(40) do
      local child = process.fork(function()
        while true do
          local id = sysv.seminit(key, {1, 2})
          if id then
            id:remove()
          end
        end
      end)
      process.sleep(0.0003 * (round % 10 + 1))
      child:kill "KILL"
      child:wait(LONG)
      local id = assert(sysv.seminit(key, {1, 2}, 0, LONG))
      assert.same({1, 2}, values(id))
      id:remove()
    end
  end)
end)

describe("a System V message queue", function()
  local q

  before_each(function() q = assert(sysv.msgget(PRIVATE, CREATE)) end)
  after_each(function() q:remove() end)

  local function take(...)
    return {sysv.msgrcv(q, 100, ...)}
  end

  it("gives the first message, or the one of a type", function()
    for i, type in ipairs {3, 1, 2, 3, 1} do
      assert.is_true(sysv.msgsnd(q, type, "m" .. i))
    end
    assert.same({"m3", 2}, take(2))
    assert.same({"m1", 3}, take())
    assert.same({"m2", 1}, take(-2))
    assert.same({"m4", 3}, take(1, sysv.MSG_EXCEPT))
    refused(42, "^sysv%.msgrcv", sysv.msgrcv(q, 100, 7, sysv.IPC_NOWAIT)) -- ENOMSG
    assert.same({"m5", 1}, take(0, sysv.IPC_NOWAIT))
  end)

  it("counts the text alone", function()
    sysv.msgsnd(q, 1, "12345678")
    sysv.msgsnd(q, math.maxinteger, "")
    assert.equal(8, q:stat().cbytes)
    assert.equal(2, q:stat().qnum)
    refused(7, "msgrcv", sysv.msgrcv(q, 7)) -- E2BIG: it stays
    assert.same({"12345678", 1}, {sysv.msgrcv(q, 8)})
    assert.same({"", math.maxinteger}, {sysv.msgrcv(q, 0)})
    sysv.msgsnd(q, 1, "12345678")
    assert.same({"1234", 1}, {sysv.msgrcv(q, 4, 0, sysv.MSG_NOERROR)})
    local most = sysv.limits().msgmax
    assert.is_true(sysv.msgsnd(q, 1, ("x"):rep(most)))
    assert.equal(("x"):rep(most), (sysv.msgrcv(q, most)))
    refused(EINVAL, "msgsnd", sysv.msgsnd(q, 1, ("x"):rep(most + 1)))
  end)

  it("copies a message by its place where the kernel can", function()
    sysv.msgsnd(q, 5, "first")
    sysv.msgsnd(q, 6, "second")
    local data, type, errno = sysv.msgrcv(q, 100, 1, sysv.MSG_COPY | sysv.IPC_NOWAIT)
    if errno == 38 then -- ENOSYS
      return pending "the kernel has no MSG_COPY"
    end
    assert.same({"second", 6}, {data, type})
    assert.equal(2, q:stat().qnum)
    refused(42, "msgrcv", sysv.msgrcv(q, 100, 2, sysv.MSG_COPY | sysv.IPC_NOWAIT))
  end)

  it("waits while it is empty or full, as long as it is told", function()
    local start = process.monotonic()
    refused(ETIMEDOUT, "msgrcv", sysv.msgrcv(q, 100, 0, 0, 0.05))
    assert.is_true(process.monotonic() - start >= 0.05)
    refused(ETIMEDOUT, "msgrcv", sysv.msgrcv(q, 100, 0, 0, 0))
    assert(sysv.msgctl(q, sysv.IPC_SET, {qbytes = 10}))
    assert.is_true(sysv.msgsnd(q, 1, "12345678"))
    refused(ETIMEDOUT, "msgsnd", sysv.msgsnd(q, 1, "12345678", 0, 0.02))
    refused(EAGAIN, "msgsnd", sysv.msgsnd(q, 1, "12345678", sysv.IPC_NOWAIT))
    local child = process.fork(function()
      process.sleep(0.02)
      assert(sysv.msgrcv(q.id, 100))
    end)
    assert.is_true(sysv.msgsnd(q, 1, "abcdefgh", 0, LONG))
    assert.same({"exit", 0}, {child:wait(LONG)})
    assert.same({"abcdefgh", 1}, {sysv.msgrcv(q, 100)})
    assert.is_true(support.interrupts(function() sysv.msgrcv(q, 100) end))
    for _, timeout in ipairs {false, 20} do
      local waiter = process.fork(function()
        local _, _, errno = sysv.msgrcv(q, 100, 0, 0, timeout or nil)
        process.exit(errno)
      end)
      process.sleep(0.05)
      q:remove()
      local how, code = waiter:wait(LONG)
      assert.equal("exit", how)
      assert.is_true(code == EIDRM or code == EINVAL) -- or it had not begun
      q = assert(sysv.msgget(PRIVATE, CREATE))
    end
  end)

  it("is what ipcs says it is", function()
    sysv.msgsnd(q, 1, "12345")
    local text = support.shell("LC_ALL=C ipcs -q -i " .. q.id)
    local stat = q:stat()
    assert.equal(tonumber(text:match "cbytes=(%d+)"), stat.cbytes)
    assert.equal(tonumber(text:match "qbytes=(%d+)"), stat.qbytes)
    assert.equal(tonumber(text:match "qnum=(%d+)"), stat.qnum)
    assert.equal(tonumber(text:match "lspid=(%d+)"), stat.lspid)
    assert.equal(process.pid(), stat.lspid)
    assert.equal(q.id, stat.id)
    assert.is_true(stat.stime > 0)
    assert.is_true(sysv.msgctl(q, sysv.IPC_SET, {mode = tonumber("640", 8), qbytes = 100}))
    assert.equal(tonumber("640", 8), q:stat().mode)
    assert.equal(100, q:stat().qbytes)
    assert.is_true(sysv.msgctl(q.id, sysv.IPC_RMID))
    refused(EINVAL, "msgctl", q:stat())
    q = assert(sysv.msgget(PRIVATE, CREATE))
  end)

  it("is found by its key", function()
    local key = support.key()
    refused(ENOENT, "^sysv%.msgget key", sysv.msgget(key))
    local one = assert(sysv.msgget(key, CREATE))
    refused(EEXIST, "msgget", sysv.msgget(key, CREATE))
    assert.equal(one, assert(sysv.msgget(key)))
    local other = assert(sysv.msgget(PRIVATE, sysv.IPC_CREAT))
    assert.equal(tonumber("600", 8), other:stat().mode)
    other:remove()
    one:remove()
  end)
end)

describe("looking at System V from outside", function()
  it("lists what ipcs lists", function()
    local key = support.key()
    local seg = assert(sysv.shmget(key, 12345, CREATE))
    local set = assert(sysv.semget(key, 4, CREATE))
    local q = assert(sysv.msgget(key, CREATE))
    local region <close> = assert(sysv.shmat(seg))
    local all = sysv.list()
    local function find(list)
      for _, one in ipairs(list) do
        if one.key == key then
          return one
        end
      end
    end
    local segment = find(all.segments)
    assert.equal(12345, segment.segsz)
    assert.equal(12345, #region)
    assert.equal(1, segment.nattch)
    assert.equal(seg.id, segment.id)
    assert.equal(process.pid(), segment.cpid)
    assert.equal(4, find(all.semaphores).nsems)
    assert.equal(q.id, find(all.queues).id)
    for flag, list in pairs {["-m"] = all.segments, ["-s"] = all.semaphores, ["-q"] = all.queues} do
      assert.equal(#support.ipcs(flag), #list, flag)
    end
    assert.is_true(sysv.shmctl(0, sysv.SHM_INFO).used_ids >= 1)
    assert.is_true(sysv.semctl(0, 0, sysv.SEM_INFO).semaphores >= 4)
    assert.is_true(sysv.msgctl(0, sysv.MSG_INFO).queues >= 1)
    for _, id in ipairs {seg, set, q} do
      assert(id:remove())
    end
    assert.is_nil(find(sysv.list().semaphores))
  end)

  it("says why there is nothing to see where the calls are refused", function()
    for _, call in ipairs {"shmctl", "semctl", "msgctl"} do
      local flags = ("-e trace=%s -e inject=%s:error=EPERM"):format(call, call)
      local said, log = support.strace(flags, [[
        local sysv, peer = require "shm.sysv", require "shm.peer"
        print(sysv.list())
        print(sysv.limits())
        print(peer.dial(0x5e1f, {timeout = 0.1}))]])
      if not said then
        return pending(log)
      end
      local no = "nil\t[^\n]*not permitted\t1\n"
      assert.matches("^" .. no .. no .. "nil\t", said)
    end
  end)

  it("gives the limits that the kernel shows", function()
    local limits = sysv.limits()
    local function shown(name)
      return tonumber((support.read_file("/proc/sys/kernel/" .. name):match "%d+"))
    end
    assert.equal(shown "shmmni", limits.shmmni)
    assert.equal(shown "msgmax", limits.msgmax)
    assert.equal(shown "msgmnb", limits.msgmnb)
    assert.equal(shown "msgmni", limits.msgmni)
    assert.equal(math.min(math.maxinteger, shown "shmmax"), limits.shmmax)
    local sem = support.read_file "/proc/sys/kernel/sem"
    assert.same({sem:match "(%d+)%s+(%d+)%s+(%d+)%s+(%d+)"},
                {tostring(limits.semmsl), tostring(limits.semmns), tostring(limits.semopm),
                 tostring(limits.semmni)})
    assert.equal(tonumber((support.shell "getconf PAGESIZE")), limits.page_size)
  end)
end)

describe("a segment's finer points", function()
  it("takes the place of a region with SHM_REMAP", function()
    local small = assert(sysv.shmget(PRIVATE, 100, CREATE))
    local large = assert(sysv.shmget(PRIVATE, 3 * 4096, CREATE))
    local place, before = assert(sysv.shmat(large)), support.mappings()
    local address = place:address()
    local view = place:view(0, 1)
    local function remap(id) return sysv.shmat(id, place, sysv.SHM_REMAP) end
    assert.error_matches(function() remap(small) end, "views")
    view:close()
    collectgarbage()
    local r = assert(remap(small))
    assert.equal(address, r:address())
    assert.error_matches(function() place:get_u8(0) end, "closed")
    r:write(96, "last")
    assert.equal(before, support.mappings())
    assert.equal(0, large:stat().nattch)
    refused(EINVAL, "shmat", sysv.shmat(large, r, sysv.SHM_REMAP))
    assert.equal("last", r:read(96, 4))
    r:close()
    assert.equal(before - 1, support.mappings())
    assert.error_matches(function() sysv.shmat(small, 4096, sysv.SHM_REMAP) end, "address")
    small:remove()
    large:remove()
  end)

  it("is kept in memory by SHM_LOCK", function()
    local id = assert(sysv.shmget(PRIVATE, 4096, CREATE))
    assert.is_true(sysv.shmctl(id, sysv.SHM_LOCK))
    assert.is_true(id:stat().mode & sysv.SHM_LOCKED ~= 0)
    assert.is_true(sysv.shmctl(id, sysv.SHM_UNLOCK))
    assert.equal(0, id:stat().mode & sysv.SHM_LOCKED)
    id:remove()
  end)

  it("may be of huge pages, or promised to nobody", function()
    local id = assert(sysv.shmget(PRIVATE, 1 << 30, CREATE | sysv.SHM_NORESERVE))
    local r = assert(sysv.shmat(id, nil, sysv.SHM_EXEC))
    r:set_i64((1 << 30) - 8, 5)
    r:close()
    id:remove()
    local sizes = support.valgrind and {} or {sysv.SHM_HUGE_2MB, sysv.SHM_HUGE_1GB}
    for _, size in ipairs(sizes) do
      local huge, message, errno = sysv.shmget(PRIVATE, 1 << 30, CREATE | sysv.SHM_HUGETLB | size)
      if huge then
        local all = assert(sysv.shmat(huge))
        all:set_i64((1 << 30) - 8, 5)
        assert.is_true(all:close())
        huge:remove()
      else -- the machine has none set aside, or no such size
        assert.matches("^sysv%.shmget", message)
        assert.is_true(errno == 12 or errno == EINVAL or errno == 2)
      end
    end
  end)
end)
