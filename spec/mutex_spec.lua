-- shm.mutex: one at a time, whoever dies.
local lock = require "spec.lock_support"
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local LONG, refused = lock.LONG, lock.refused

describe("a mutex", function()
  local region, m

  before_each(function()
    region = assert(shm.anonymous(8192))
    m = assert(shm.mutex.create(region, 0))
  end)

  after_each(function()
    pcall(m.unlock, m)
    m:close()
    region:close()
  end)

  it("is one thread's at a time, which can tell", function()
    assert.equal(0, select("#", m:holder()))
    assert.same({true}, {m:lock()})
    assert.equal(process.pid(), (m:holder()))
    local other <close> = lock.child(function()
      refused(lock.ETIMEDOUT, "^mutex%.try at 0: Connection timed out$", m:try())
      refused(lock.ETIMEDOUT, "^mutex%.lock at 0: ", m:lock(0))
      refused(lock.ETIMEDOUT, "^mutex%.lock at 0: ", m:lock(0.03))
      refused(lock.ETIMEDOUT, "^mutex%.hold at 0: ", m:hold(0.03))
      assert.error_matches(function() m:unlock() end, "not held by this thread")
    end)
    assert.is_true(other.ended())
    m:unlock()
    assert.equal(0, select("#", m:holder()))
    assert.error_matches(function() m:unlock() end, "not held by this thread")
  end)

  it("tells since when it is held, to a few milliseconds", function()
    for _, inherits in ipairs {false, true} do
      support.eventually(function() -- the kernel's coarse clock stands still with the machine
        local dead = inherits and lock.dead(function() m:lock() end) or nil
        local before = process.monotonic()
        assert.same({true, dead and "recovered", dead}, {m:lock()})
        local since, after = select(2, m:holder()), process.monotonic()
        m:unlock()
        return since > before - 0.02 and since <= after
      end)
    end
  end)

  it("excludes others, also while they crowd", function()
    local rounds <const> = support.rounds(2000)
    local children <close> = setmetatable({}, {__close = function(list)
      for _, child in ipairs(list) do
        getmetatable(child).__close()
      end
    end})
    for i = 1, 4 do
      children[i] = lock.child(function()
        for _ = 1, rounds do
          assert(m:lock(LONG))
          region:set_i64(4096, region:get_i64(4096) + 1)
          m:unlock()
        end
      end)
    end
    for _, child in ipairs(children) do
      assert.is_true(child.ended())
    end
    assert.equal(4 * rounds, region:get_i64(4096))
    assert.equal(0, m:waiters())
  end)

  it("tells who sleeps, and wakes one when it is left", function()
    m:lock()
    local one <close> = lock.child(function() assert(m:lock(LONG)) m:unlock() end)
    local two <close> = lock.child(function() assert(m:lock(LONG)) m:unlock() end)
    lock.sleepers(m, 2)
    local n, pids = m:waiters()
    table.sort(pids)
    local expected = {one.pid, two.pid}
    table.sort(expected)
    assert.equal(2, n)
    assert.same(expected, pids)
    m:unlock()
    assert.is_true(one.ended() and two.ended())
    assert.equal(0, m:waiters())
  end)

  it("goes to the next one when its holder is killed, who is told", function()
    local pid = lock.dead(function() m:lock() end)
    assert.equal(pid, m:holder())
    assert.same({true, "recovered", pid}, {m:try()})
    m:unlock()
    assert.same({true}, {m:lock()})
    m:unlock()
    pid = lock.dead(function() m:lock() end)
    local held <close>, word, dead = m:hold()
    assert.matches("^shm%.held", tostring(held))
    assert.same({"recovered", pid}, {word, dead})
  end)

  it("goes to one that sleeps already when its holder is killed", function()
    local holder <close> = lock.parked(function() m:lock() end)
    local pid = holder.pid
    local other <close> = lock.child(function()
      local ok, word, dead = m:lock(LONG)
      assert(ok and word == "recovered" and dead == pid)
      m:unlock()
    end)
    lock.sleepers(m, 1)
    lock.bury(holder)
    assert.is_true(other.ended())
  end)

  it("is not taken from one that was stopped", function()
    local holder <close> = lock.parked(function() m:lock() end)
    support.stop(holder.pid)
    refused(lock.ETIMEDOUT, "^mutex", m:lock(0.1))
    assert.equal(holder.pid, m:holder())
  end)

  it("forgets who died asleep", function()
    m:lock()
    local child <close> = lock.child(function() m:lock() end)
    lock.sleepers(m, 1)
    lock.bury(child)
    assert.same({0, {}}, {m:waiters()})
  end)

  it("refuses to be locked twice, with all that locks", function()
    m:lock()
    refused(lock.EDEADLK, "^deadlock: %d+ %-> %d+$", m:lock())
    refused(lock.EDEADLK, "^deadlock: ", m:try())
    refused(lock.EDEADLK, "^deadlock: ", m:hold())
    refused(lock.EDEADLK, "^deadlock: ", m:with(error))
    assert.equal(process.pid(), m:holder())
  end)

  it("counts when it is recursive", function()
    local r <close> = assert(shm.mutex.create(region, 1024, {recursive = true}))
    assert(r:lock() and r:try() and r:lock(1))
    assert.equal("x", r:with(function() return "x" end))
    local function free()
      local other <close> = lock.child(function() assert(r:try()) r:unlock() end)
      return other.ended()
    end
    local quiet <close> = setmetatable({}, {__close = function() pcall(r.unlock, r) end})
    assert.is_table(quiet)
    r:unlock()
    r:unlock()
    refused(lock.ETIMEDOUT, "", (function()
      local ours <close>, theirs = process.socketpair()
      local other <close> = lock.child(function()
        theirs:send(tostring(select(3, r:try())))
      end)
      local errno = tonumber((ours:recv(9, LONG)))
      theirs:close()
      assert.is_true(other.ended())
      return nil, "", errno
    end)())
    r:unlock()
    assert.is_true(free())
    assert.error_matches(function() r:unlock() end, "not held")
  end)

  it("is left when with's function returns, throws, or leaves it itself", function()
    assert.same({1, nil, 3}, {m:with(function(...)
      assert.equal(process.pid(), m:holder())
      return ...
    end, 1, nil, 3)})
    assert.is_nil(m:holder())
    local thrown = {}
    local ok, message = pcall(m.with, m, function() error(thrown) end)
    assert.is_false(ok)
    assert.equal(thrown, message)
    assert.is_nil(m:holder())
    m:with(function() m:unlock() end)
    m:with(function() m:unlock() m:lock() end)
    assert.is_nil(m:holder())
    assert.equal(0, select("#", m:with(function() end)))
    lock.dead(function() m:lock() end)
    assert.same({"of f"}, {m:with(function() return "of f" end)}) -- and of the death nothing
    assert.is_nil(m:holder())
    for _, wrong in ipairs {1, "x", {}, false} do
      assert.error_matches(function() m:with(wrong) end, "f: function")
    end
    assert.error_matches(function() m:with() end, "f: function")
  end)

  it("is left when hold's scope ends by return, break or error", function()
    local function returns()
      local held <close> = m:hold()
      return held and m:holder()
    end
    assert.equal(process.pid(), returns())
    assert.is_nil(m:holder())
    for _ = 1, 3 do
      local held <close> = m:hold()
      if held then break end
    end
    assert.is_nil(m:holder())
    assert.is_false(pcall(function()
      local held <close> = m:hold()
      error(held)
    end))
    assert.is_nil(m:holder())
    do
      local held <close> = m:hold()
      assert.is_userdata(held)
      m:unlock()
    end
    assert.is_nil(m:holder())
  end)

  it("stays locked while a coroutine yields inside with and hold", function()
    local function body(...)
      local got = coroutine.yield(...)
      return got, "end"
    end
    local co = coroutine.wrap(function() return m:with(body, "a", "b") end)
    assert.same({"a", "b"}, {co()})
    assert.equal(process.pid(), m:holder())
    assert.same({"c", "end"}, {co "c"})
    assert.is_nil(m:holder())
    co = coroutine.wrap(function()
      m:with(function() coroutine.yield() error "after" end)
    end)
    co()
    assert.error_matches(co, "after")
    assert.is_nil(m:holder())
    local thread = coroutine.create(function()
      local held <close> = m:hold()
      coroutine.yield(held)
    end)
    assert(coroutine.resume(thread))
    assert.equal(process.pid(), m:holder())
    assert.is_true(coroutine.close(thread))
    assert.is_nil(m:holder())
    thread = coroutine.create(function() m:with(coroutine.yield) end)
    assert(coroutine.resume(thread))
    coroutine.close(thread)
    m:unlock() -- which with could not do any more
  end)

  it("ends its wait on Ctrl-C", function()
    m:lock()
    assert.is_true(support.interrupts(function()
      local ok, message, errno = m:lock()
      assert(not ok and errno == lock.EINTR, message)
      error "interrupted"
    end))
    assert.is_true(support.interrupts(function()
      local ok, _, errno = m:with(print)
      assert(not ok and errno == lock.EINTR)
      error "interrupted"
    end))
  end)

  it("can not be closed nor removed while it is held here, nor can its region", function()
    m:lock()
    assert.error_matches(function() m:close() end, "unlock it first")
    assert.error_matches(function() m:remove() end, "unlock it first")
    assert.error_matches(function() region:close() end, "unlock it first")
    assert.error_matches(function() posix.munmap(region) end, "unlock it first")
    region:view(0, 8):close()
    m:unlock()
    local holder <close> = lock.parked(function() m:lock() end)
    m:close() -- as it is held elsewhere
    m = assert(shm.mutex.attach(region, 0))
    assert.equal(holder.pid, m:holder())
  end)

  it("keeps its memory when the region is closed", function()
    region:close()
    assert(m:lock())
    m:unlock()
    assert.matches("^shm%.mutex %(anonymous at 0%)$", tostring(m))
    m:close()
    m:close()
    assert.equal("shm.mutex (closed)", tostring(m))
    assert.error_matches(function() m:lock() end, "closed")
    assert.error_matches(function() m:unlock() end, "closed")
    assert.error_matches(function() m:with(print) end, "closed")
  end)

  it("stays locked, and its memory there, when its handle is collected", function()
    do
      local r = assert(shm.anonymous(4096))
      assert(shm.mutex.create(r, 0)):lock()
    end
    collectgarbage()
    collectgarbage()
    m:lock()
    m:hold() -- refused: nothing to collect
    m:unlock()
    m:hold()
    collectgarbage()
    collectgarbage()
    assert.equal(process.pid(), m:holder()) -- collected, which is not closed
    m:unlock()
  end)

  it("is a forked child's like anybody's", function()
    m:lock()
    local child <close> = lock.child(function()
      assert(not pcall(m.unlock, m))
      assert(not m:try())
      m:close()
    end)
    assert.is_true(child.ended())
    assert.equal(process.pid(), m:holder())
    local copy = m:hold(0)
    assert.is_nil(copy)
  end)

  it("is shared with a program that knows only the region's name", function()
    local name = "shm-spec-" .. support.key()
    local r <close> = assert(shm.create(name, 4096))
    local shared <close> = assert(shm.mutex.create(r, 64))
    local code = [[
      local shm = require "shm"
      local r = assert(shm.attach "%s")
      local m = assert(shm.mutex.attach(r, 64))
      if m:holder() then print(m:holder(), m:try()) end
      r:close()
      print(shm.process.pid(), m:lock(tonumber "%g"))
      os.exit(0, %s)]]
    local pid = process.pid()
    shared:lock()
    local said = lock.stranger(code, name, 0.1, "true")
    shared:unlock()
    assert.matches("^" .. pid .. "\tnil\t[^\n]+110\n%d+\tnil\t[^\n]*110\n$", said)
    for _, how in ipairs {"true", "false"} do -- its state is closed while it holds, or not
      local other = tonumber(lock.stranger(code, name, 5, how):match "^(%d+)\ttrue\n$")
      assert.same({true, "recovered", other}, {shared:lock(LONG)})
      shared:unlock()
    end
    shm.unlink(name)
  end)

  it("lies where the mapping's offset puts it", function()
    local path = os.tmpname()
    local options = {mode = "rw", create = true, size = 3 * 4096}
    local whole <close> = assert(shm.map(path, options))
    local part <close> = assert(shm.map(path, {mode = "rw", offset = 4096 + 64, size = 4096}))
    local view <close> = whole:view(4096, 4096)
    local one <close> = assert(shm.mutex.create(whole, 4096 + 128))
    local two <close> = assert(shm.mutex.attach(part, 64))
    local three <close> = assert(shm.mutex.attach(view, 128))
    one:lock()
    assert.equal(process.pid(), two:holder())
    assert.matches("at 64%)$", tostring(two))
    assert.matches("at 4224%)$", tostring(three))
    two:unlock()
    three:lock()
    one:unlock()
    os.remove(path)
  end)

  it("raises when its memory is truncated away", function()
    local path = os.tmpname()
    local r = assert(shm.map(path, {mode = "rw", create = true, size = 4096}))
    local gone = assert(shm.mutex.create(r, 0, {journal = 64}))
    gone:lock()
    local fd <close> = assert(posix.open(path, posix.O_RDWR))
    assert(posix.ftruncate(fd, 0))
    for _, f in ipairs {
      function() gone:unlock() end, function() gone:lock() end, function() gone:holder() end,
      function() gone:waiters() end, function() gone:with(print) end,
      function() gone:hold() end, function() shm.mutex.attach(r, 0) end,
      function() shm.mutex.create(r, 0) end,
    } do
      assert.error(f)
    end
    gone:close()
    r:close()
    os.remove(path)
  end)

  it("that is waited for ends the wait when its memory goes", function()
    local path = os.tmpname()
    local r <close> = assert(shm.map(path, {mode = "rw", create = true, size = 4096}))
    local gone <close> = assert(shm.mutex.create(r, 0))
    local holder <close> = lock.parked(function() gone:lock() end)
    local child <close> = lock.child(function()
      process.exit(pcall(gone.lock, gone) and 1 or 0)
    end)
    lock.sleepers(gone, 1)
    local fd <close> = assert(posix.open(path, posix.O_RDWR))
    assert(posix.ftruncate(fd, 0))
    assert.is_true(child.ended())
    assert.is_table(holder)
    os.remove(path)
  end)

  it("makes no system call that wakes when nobody sleeps", function()
    local said, log = support.strace("-e trace=futex", [[
      local shm = require "shm"
      local r = shm.anonymous(8192)
      local m, s = shm.mutex.create(r, 0), shm.semaphore.create(r, 1024)
      local e, c = shm.event.create(r, 2048, {manual = true}), shm.counter.create(r, 3072)
      local w = shm.rwlock.create(r, 4096)
      local q = shm.condition.create(r, 6144)
      for _ = 1, 100 do
        m:lock() m:unlock() s:post() s:wait() e:set() e:wait() c:add() c:wait(1)
        w:lock() w:unlock() w:lock_shared() w:unlock() q:signal() q:broadcast()
      end
      print "done"]])
    if not said then
      return pending(log)
    end
    assert.equal("done\n", said)
    assert.equal(0, select(2, log:gsub("FUTEX_WAKE,", "")))
  end)

  it("is not recovered from a holder whom the kernel just now says nothing of", function()
    local name = "shm-spec-" .. support.key()
    local shared_region <close> = assert(shm.create(name, 4096))
    local shared <close> = assert(shm.mutex.create(shared_region, 0))
    local child <close> = lock.parked(function() assert(shared:lock()) end)
    local flags <const> = "-P /proc/%d/stat -e trace=read -e inject=read:error=ENOMEM"
    local said, log = support.strace(flags:format(child.pid), ([[
      local shm = require "shm"
      print(shm.mutex.attach(shm.attach "%s", 0):lock(0.2))]]):format(name))
    shm.unlink(name)
    if not said then
      return pending(log)
    end
    assert.matches("INJECTED", log)
    assert.matches("timed out\t110\n", said)
  end)

  it("is made for its pid namespace, though the kernel does not say it at once", function()
    local name = "shm-spec-" .. support.key()
    local shared_region <close> = assert(shm.create(name, 4096))
    local flags <const> = "-P /proc/self/ns/pid -P /proc/self/ns/time "
      .. "-e inject=newfstatat,stat:error=ENOMEM:when=1..2"
    local said, log = support.strace(flags, ([[
      print((require "shm".mutex.create(require "shm".attach "%s", 0)))]]):format(name))
    shm.unlink(name)
    if not said then
      return pending(log)
    end
    assert.equal(2, select(2, log:gsub("INJECTED", "")))
    assert.matches("^shm%.mutex", said)
    assert(shm.mutex.attach(shared_region, 0)):close()
  end)

  it("has a layout that Python reads", function()
    local name = "shm-spec-" .. support.key()
    local r <close> = assert(shm.create(name, 4096))
    local shared <close> = assert(shm.mutex.create(r, 0))
    assert.equal(320, shm.mutex.size())
    shared:lock()
    local child <close> = lock.child(function() shared:lock(LONG) end)
    lock.sleepers(shared, 1)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(([[
import os, struct
data = open("/dev/shm/%s", "rb").read()
mark, home, size, extra = struct.unpack_from("<QQII", data, 0)
assert mark == 0x4c53484d << 32 | 1 << 16 | 1, hex(mark)
space = os.stat("/proc/self/ns/time").st_ino << 32 | os.stat("/proc/self/ns/pid").st_ino
assert home == space & (1 << 64) - 1, (home, space)
assert (size, extra) == (320, 0), (size, extra)
owner, following, since, depth = struct.unpack_from("<QqQI", data, 24)
def started(pid):
    return int(open("/proc/%%d/stat" %% pid).read().rsplit(")", 1)[1].split()[19])
assert owner & 0x3fffff == %d, owner & 0x3fffff
assert owner >> 32 == started(%d) & 0xffffffff
assert (following, depth) == (0, 1)
sleeping, more = struct.unpack_from("<II", data, 56)
assert (sleeping, more) == (1, 0), (sleeping, more)
slot, = struct.unpack_from("<Q", data, 64)
assert slot == %d | (started(%d) & 0xffffffff) << 32
print("as it should be")
]]):format(name, process.pid(), process.pid(), child.pid, child.pid))
    file:close()
    local said = support.shell("python3 " .. path .. " 2>&1")
    os.remove(path)
    shared:unlock()
    assert.is_true(child.ended())
    shm.unlink(name)
    assert.equal("as it should be\n", said)
  end)
end)
