-- shm.chaos: what an operation leaves when it is killed before each store, and at random.
local chaos = require "shm.chaos"
local core = require "shm.core"
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"
local sysv = require "shm.sysv"

local EALREADY, ENOTSUP = 114, 95
local PAGE = posix.PAGE_SIZE
local RW = posix.PROT_READ | posix.PROT_WRITE

local function nothing() end

-- The states in which verify found something, in order.
local function states(operation, look, options)
  local seen = {}
  local kills, how = chaos.kill_everywhere(operation, function(n, survived)
    assert.equal(#seen + 1, n)
    seen[n] = look()
    assert(seen.survived == nil, "a run after the survivor's")
    seen.survived = survived or nil
  end, options)
  assert.equal("stores", how)
  assert.equal(kills + 1, #seen)
  assert.is_true(seen.survived)
  seen.survived = nil
  return seen
end

local function stores(operation, options)
  return #states(operation, function() return true end, options) - 1
end

-- Valgrind knows no trap flag.
local FOUND = not support.valgrind and support.shell "uname -m" == "x86_64\n"

local function at_stores(name, f)
  it(name, FOUND and f or function() pending "stores can not be found here, as under valgrind" end)
end

-- The lowest number that a descriptor can have: what is left open makes it higher.
local function lowest()
  collectgarbage()
  collectgarbage()
  local one <close> = assert(posix.open("/dev/null", posix.O_RDONLY))
  return one:fileno()
end

describe("an operation that is killed before each of its stores", function()
  local r, before

  before_each(function()
    r = assert(shm.anonymous(4 * PAGE))
    before = {support.children(), lowest()}
  end)

  after_each(function()
    assert.same(before, {support.children(), lowest()})
    r:close()
  end)

  at_stores("leaves each state between two stores once, and no other", function()
    local seen = states(function()
      r:set_i64(0, r:get_i64(0) + 1)
      r:set_i64(8, r:get_i64(8) + 1)
      r:set_i64(16, r:get_i64(16) + 1)
    end, function()
      local state = ("%d %d %d"):format(r:get_i64(0), r:get_i64(8), r:get_i64(16))
      r:fill(0, 24)
      return state
    end)
    assert.same({"0 0 0", "1 0 0", "1 1 0", "1 1 1"}, seen)
  end)

  at_stores("is not killed where it stores nothing", function()
    assert.same({5}, states(function() return r:read(0, 100) end, function() return 5 end))
  end)

  at_stores("is killed once for each number and each atomic word that is written", function()
    for _, kind in ipairs {"i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64"} do
      assert.equal(1, stores(function() r["set_" .. kind](r, 0, 1) end), kind)
      assert.equal(1, stores(function() r["setter_" .. kind](r, 0)(1) end), kind)
    end
    for _, suffix in ipairs {"", "32"} do
      for _, name in ipairs {"store", "add", "swap", "band", "bor", "bxor"} do
        assert.equal(1, stores(function() r[name .. suffix](r, 0, 3) end), name .. suffix)
      end
      r:set_i64(0, 0)
      assert.equal(1, stores(function() r["cas" .. suffix](r, 0, 0, 1) end))
      assert.equal(1, stores(function() r["cas" .. suffix](r, 0, 9, 1) end), "that fails")
      assert.equal(0, stores(function() r["load" .. suffix](r, 0) end))
      assert.equal(1, stores(function() r["adder" .. suffix](r, 0, 1)() end))
    end
  end)

  at_stores("is killed in the middle of writing bytes", function()
    for _, size in ipairs {1, 8, 16, 100, 300, 9000} do
      local old, new = ("a"):rep(size), ("b"):rep(size)
      for _, offset in ipairs {0, 5, PAGE - 1} do
        local seen = states(function() r:write(offset, new) end, function()
          local bytes = r:read(offset, size)
          assert.is_nil(bytes:match "[^ab]")
          r:write(offset, old)
          return bytes
        end, {prepare = function() r:write(offset, old) end})
        assert.equal(old, seen[1])
        assert.equal(new, seen[#seen])
        assert.is_true(#seen < 100)
        if size > 64 then
          assert.matches("a", seen[2])
          assert.matches("b", seen[2])
        end
      end
    end
  end)

  at_stores("is killed between the fields of a record", function()
    local person = shm.record {{"name", "char[8]"}, {"age", "i32"}, {"size", "f64"}}
    local one = person:at(r, 64)
    local seen = states(function() one.age, one.size = 20, 1.5 end, function()
      local state = ("%d %g"):format(one.age, one.size)
      one.age, one.size = 0, 0
      return state
    end)
    assert.same({["0 0"] = true, ["1 1"] = nil}, {[seen[1]] = true})
    assert.equal("20 1.5", seen[3])
    assert.equal(3, #seen)
  end)

  at_stores("is killed in every kind of shared memory", function()
    local id = assert(sysv.shmget(sysv.IPC_PRIVATE, 100, sysv.IPC_CREAT))
    local name, path = "shm-spec-" .. support.key(), os.tmpname()
    local segment <close> = assert(sysv.shmat(id))
    id:remove()
    local named <close> = assert(shm.create(name, 100))
    local same <close> = assert(shm.attach(name, {max = 1 << 20}))
    shm.unlink(name)
    local file <close> = assert(io.open(path, "w"))
    file:write(("x"):rep(3 * PAGE)):close()
    local mapped <close> = assert(shm.map(path, {mode = "rw", offset = PAGE + 24}))
    local own <close> = assert(shm.map(path, {mode = "private"}))
    os.remove(path)
    local plain <close> = assert(posix.mmap(nil, 100, RW, posix.MAP_SHARED | posix.MAP_ANONYMOUS))
    for _, one in ipairs {segment, named, same, mapped, plain, r, r:view(8, 8)} do
      assert.equal(2, stores(function()
        one:set_i64(0, 1)
        own:set_i64(0, 1)
        one:set_i32(0, 2)
      end), tostring(one))
      assert.equal(2, one:get_i64(0))
    end
    assert.not_equal(1, own:get_i64(0))
  end)

  at_stores("is killed in semaphores, of the region and by name", function()
    local name = "/shm-spec-" .. support.key()
    local one = posix.sem_init(r, 0)
    local two <close> = assert(posix.sem_open(name, posix.O_CREAT))
    posix.sem_unlink(name)
    for _, sem in ipairs {one, two} do
      local seen = states(function()
        sem:post()
        assert(sem:wait(5))
        sem:post()
      end, function()
        local value = sem:getvalue()
        while sem:wait(0) do end
        return value
      end)
      assert.same({0, 1, 0, 1}, seen)
    end
    one:close()
  end)

  at_stores("is killed in memory that it makes, maps and grows itself", function()
    local name = "shm-spec-" .. support.key()
    finally(function() shm.unlink(name) end)
    assert(shm.create(name, 16)):close()
    local seen = states(function()
      local one = assert(shm.attach(name))
      one:set_i64(0, 1)
      assert(one:resize(3 * PAGE)) -- which moves it
      one:set_i64(2 * PAGE, 2)
      one:close()
      local other <close> = assert(shm.attach(name))
      other:set_i64(8, 3)
      r:set_i64(0, 1)
    end, function()
      local one <close> = assert(shm.attach(name))
      local state = ("%d %d %d %d"):format(#one, one:get_i64(0), one:get_i64(8), r:get_i64(0))
      one:fill(0, 16)
      assert(one:resize(16))
      return state
    end)
    assert.same({"16 0 0 0", "12288 1 0 0", "12288 1 0 0", "12288 1 3 0", "12288 1 3 1"}, seen)
  end)

  at_stores("is killed in any of many regions, some of which go meanwhile", function()
    local many = {}
    for i = 1, 64 do
      many[i] = assert(shm.anonymous(16))
    end
    assert.equal(48, stores(function()
      for i = 1, 64 do
        if i % 4 == 0 then
          many[i]:close()
        else
          many[i]:set_i64(8, i)
        end
      end
    end))
    for i = 1, 64 do
      assert.equal(i % 4 == 0 and 0 or i, many[i]:get_i64(8))
      many[i]:close()
    end
  end)

  at_stores("is killed once for what the kernel writes", function()
    local one, other = process.socketpair()
    finally(function() one:close() other:close() end)
    local seen = states(function() assert(r:recv(other, 0, 8, 5)) end, function()
      local bytes = r:unpack(0, "z")
      r:fill(0, 9)
      return bytes
    end, {prepare = function(n) one:send(("run %d"):format(n)) end})
    assert.same({"", "run 1run"}, seen)
    other:recv(100)
    r:write(0, "x")
    assert.equal(1, stores(function()
      assert(posix.madvise(r, posix.MADV_REMOVE))
      assert(posix.madvise(r, posix.MADV_POPULATE_WRITE))
    end))
    assert.equal(0, r:get_u8(0))
  end)

  at_stores("sleeps and wakes as ever", function()
    local child = process.fork(function()
      for _ = 1, 20000 do
        r:store32(0, 1)
        r:wake(0)
        process.sleep(0.001)
      end
    end)
    finally(function()
      child:kill "KILL"
      child:wait()
      child:close()
    end)
    assert.equal(1, stores(function()
      assert(r:wait(64, 1) or true)
      while r:load32(0) ~= 1 do
        r:wait(0, 0, 5)
      end
      r:store32(4, 1)
      r:wake(4)
    end))
  end)

  at_stores("has the memory that it had protected itself still protected", function()
    assert(posix.mprotect(r, posix.PROT_READ, PAGE, PAGE))
    local function refused(offset)
      local ok, message = pcall(r.set_i64, r, offset, 1)
      assert(not ok and message:match "protected", message)
    end
    assert.equal(4, stores(function()
      refused(PAGE)
      r:set_i64(0, 1)
      assert(posix.mprotect(r, posix.PROT_READ, 2 * PAGE, PAGE))
      refused(2 * PAGE)
      r:set_i64(PAGE - 8, 1)
      assert(posix.mprotect(r, RW))
      r:set_i64(PAGE, 1)
      r:set_i64(2 * PAGE, 1)
    end))
    assert.equal(1, r:get_i64(2 * PAGE))
  end)

  at_stores("gets the errors of memory that is not there", function()
    local function gone(f, ...)
      local ok, message = pcall(f, ...)
      assert(not ok and message:match "gone", message)
    end
    local seen = states(function()
      assert(posix.ftruncate(r:fileno(), PAGE))
      gone(r.set_i64, r, PAGE, 1)
      gone(r.get_i64, r, 2 * PAGE)
      gone(r.write, r, PAGE - 100, ("x"):rep(2 * PAGE))
      assert(posix.ftruncate(r:fileno(), 4 * PAGE))
      r:set_i64(PAGE, 2)
      r:set_i64(8, 3)
    end, function()
      return posix.fstat(r:fileno()).size .. " " .. r:get_i64(8)
    end, {prepare = function()
      assert(posix.ftruncate(r:fileno(), 4 * PAGE))
      r:set_i64(8, 0)
    end})
    assert.equal(PAGE .. " 0", seen[1])
    assert.equal(4 * PAGE .. " 0", seen[#seen - 1])
    assert.equal(4 * PAGE .. " 3", seen[#seen])
    assert.equal(2, r:get_i64(PAGE))
  end)

  -- Functions in C, by name: what is behind luaopen_.
  local function compiled(code, ...)
    local library, source = support.tmpname ".so", support.tmpname ".c"
    finally(function() os.remove(library) os.remove(source) end)
    local file <close> = assert(io.open(source, "w"))
    file:write(code)
    file:close()
    local build = "gcc -shared -fPIC -I/usr/include/lua5.4 -o %s %s 2>&1"
    assert.equal("", support.shell(build:format(library, source)))
    local functions = {}
    for _, name in ipairs {...} do
      functions[name] = assert(package.loadlib(library, "luaopen_" .. name))
    end
    return functions
  end

  at_stores("is killed before some parts of a string instruction", function()
    local c = compiled([[
#include <lua.h>
int luaopen_fill(lua_State *L)
{
    void *to = (void *)lua_tointeger(L, 1);
    unsigned long n = lua_tointeger(L, 2);
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"('x') : "memory");
    return 0;
}
]], "fill")
    local address = r:address()
    local seen = states(function() c.fill(address, 40) end, function()
      local bytes = r:read(0, 41)
      r:fill(0, 41)
      return #bytes:match "^x*"
    end)
    assert.same({0, 1, 2, 4, 8, 16, 32, 40}, seen) -- before the 1st, 2nd, 3rd, 5th, 9th … part
  end)

  at_stores("gets EFAULT of other libraries' calls that have the kernel write there", function()
    local c = compiled([[
#include <errno.h>
#include <lua.h>
#include <unistd.h>
int luaopen_take(lua_State *L)
{
    long n = read((int)lua_tointeger(L, 1), (void *)lua_tointeger(L, 2), 1);
    lua_pushinteger(L, n < 0 ? errno : 0);
    return 1;
}
]], "take")
    local EFAULT = 14
    local fd <close> = assert(posix.open("/dev/zero", posix.O_RDONLY))
    local number = fd:fileno()
    r:set_u8(0, 7)
    assert.equal(0, stores(function()
      assert(c.take(number, r:address()) == EFAULT and r:get_u8(0) == 7)
    end))
    assert.equal(0, c.take(number, r:address()))
    assert.equal(0, r:get_u8(0))
  end)

  at_stores("leaves robust mutexes of libc to the next", function()
    local mutex = compiled([[
#include <lua.h>
#include <pthread.h>
#define MUTEX ((pthread_mutex_t *)lua_tointeger(L, 1))
int luaopen_init(lua_State *L)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    return pthread_mutex_init(MUTEX, &a);
}
int luaopen_lock(lua_State *L)
{
    int error = pthread_mutex_trylock(MUTEX);
    lua_pushinteger(L, error);
    if (error)
        pthread_mutex_consistent(MUTEX);
    return 1;
}
int luaopen_unlock(lua_State *L) { pthread_mutex_unlock(MUTEX); return 0; }
]], "init", "lock", "unlock")
    local address, recovered = r:address(), 0
    mutex.init(address)
    local kills = chaos.kill_everywhere(function()
      assert(mutex.lock(address) == 0)
      r:set_i64(PAGE, 1)
      mutex.unlock(address)
    end, function(n)
      local said = mutex.lock(address)
      assert(said == 0 or said == 130, "EBUSY at store " .. n) -- EOWNERDEAD
      recovered = recovered + (said == 130 and 1 or 0)
      mutex.unlock(address)
    end)
    assert.is_true(kills > 4 and recovered > 2 and recovered < kills)
  end)

  at_stores("is prepared for in its parent, before each run", function()
    local prepared = {}
    assert.equal(2, stores(function()
      r:set_i64(0, #prepared)
      r:set_i64(8, #prepared)
    end, {prepare = function(n) prepared[#prepared + 1] = n end}))
    assert.same({1, 2, 3}, prepared)
    assert.equal(3, r:get_i64(8))
  end)

  at_stores("has children that are not", function()
    assert.equal(1, stores(function()
      r:set_i64(0, 1)
      local child = process.fork(function()
        for _ = 1, 10 do
          r:add(8, 1)
        end
      end)
      assert(child:wait(10))
    end))
    assert.equal(10, r:get_i64(8))
  end)

  at_stores("may look for other operations' stores", function()
    local inner = {}
    local kills = chaos.kill_everywhere(function()
      local n = chaos.kill_everywhere(function()
        r:set_i64(0, 1)
        r:set_i64(0, 2)
      end, nothing)
      assert(n == 2)
      r:set_i64(8, 1)
    end, function(n) inner[n] = r:get_i64(8) end)
    assert.equal(1, table.remove(inner)) -- its counters are shared memory, too
    assert.equal(kills, #inner)
    assert.same({0, 0}, {inner[1], inner[kills]})
  end)

  at_stores("takes signals as ever", function()
    local signals <close> = assert(process.signals "USR1")
    assert.equal(2, stores(function()
      process.kill(process.pid(), "USR1")
      r:set_i64(0, 1)
      assert(signals:wait(5) == "USR1")
      r:set_i64(0, 2)
    end))
  end)

  at_stores("says where it failed", function()
    local ok, message = pcall(chaos.kill_everywhere, function()
      r:set_i64(0, 1)
      r:set_i64(8, 1)
      error(r:get_i64(16) == 2 and "no more" or "less", 0)
    end, function(n) r:set_i64(16, n) end)
    assert.is_false(ok)
    assert.equal("chaos.kill_everywhere: the operation failed in run 3, after 2 stores: no more",
                 message)
    ok, message = pcall(chaos.kill_everywhere, function() error(("x"):rep(1 << 20), 0) end, nothing)
    assert.is_false(ok)
    assert.matches("run 1, after 0 stores: x+$", message)
    ok, message = pcall(chaos.kill_everywhere, function() error "mine" end, nothing)
    assert.is_false(ok)
    assert.matches("run 1, after 0 stores: [^\n]*chaos_spec.lua:%d+: mine$", message)
  end)

  at_stores("says after which store the survivors could not go on", function()
    local function operation()
      r:set_i64(0, 1)
      r:set_i64(8, 1)
    end
    local ok, message = pcall(chaos.kill_everywhere, operation, function()
      assert(r:get_i64(0) == r:get_i64(8), "unlike")
    end)
    assert.is_false(ok)
    assert.matches("^chaos.kill_everywhere: verify failed after the kill before store 2: .*unlike$",
                   message)
    ok, message = pcall(chaos.kill_everywhere, operation, function(_, survived)
      assert.is_false(survived)
    end)
    assert.is_false(ok)
    assert.matches("verify failed after the operation had survived: .*Expected", message)
  end)

  at_stores("says where it hung", function()
    assert.error_matches(function()
      chaos.kill_everywhere(function()
        r:set_i64(0, 1)
        while r:get_i64(0) == 1 do
          process.sleep(1)
        end
      end, nothing, {timeout = 2 * support.patience})
    end, "the operation hung in run 2, after 1 stores: no end within")
  end)

  at_stores("says that it ended its process itself", function()
    assert.error_matches(function()
      chaos.kill_everywhere(function() process.exit(3) end, nothing)
    end, "ended its process in run 1, after 0 stores: exit 3")
    assert.error_matches(function()
      chaos.kill_everywhere(function()
        r:set_i64(0, 1)
        process.kill(process.pid(), "KILL")
      end, nothing)
    end, "ended its process in run 2, after 1 stores: signal KILL")
  end)

  at_stores("says that there are more stores than the limit", function()
    local function operation()
      for i = 1, 4 do
        r:set_i64(0, i)
      end
    end
    assert.equal(4, stores(operation, {limit = 4}))
    assert.equal(4, stores(operation, {limit = 1 << 53}))
    assert.error_matches(function() stores(operation, {limit = math.maxinteger}) end, "limit: 92")
    assert.error_matches(function() stores(operation, {limit = 3}) end, "more than 3 stores")
  end)

  at_stores("can be told that nothing else will do", function()
    assert.equal(1, stores(function() r:set_i64(0, 1) end, {mode = "stores"}))
  end)

  it("ends with the process that looks at it", function()
    local one, other = process.socketpair()
    finally(function() one:close() other:close() end)
    local function hang()
      chaos.kill_everywhere(function()
        other:send(("%10d"):format(process.pid()))
        support.forever()
      end, nothing, {timeout = 60})
    end
    assert.is_true(support.interrupts(hang))
    local said = one:recv(10, 0)
    assert.is_true(not said or not process.alive(math.tointeger(said)))
  end)

  it("counts its stores where nobody else does", function()
    local child = process.fork(function()
      local tally = assert(shm.anonymous(8))
      local armed, message, errno = core.chaos.arm(tally, 1000)
      if not FOUND then
        return assert(not armed and errno == ENOTSUP and message:match "supported")
      end
      assert(select(3, core.chaos.arm(tally, 1000)) == EALREADY)
      for i = 1, 10 do
        r:set_i64(0, i)
        tally:get_i64(0)
      end
      assert(tally:get_i64(0) == 10)
      assert(core.chaos.disarm() == 10)
      r:set_i64(0, 1)
      assert(core.chaos.disarm() == 0)
    end)
    assert.same({"exit", 0}, {child:wait(support.LONG)})
    assert.error_matches(function() core.chaos.arm(r:view(4, 8), 1) end, "tally: it has no")
    assert.error_matches(function() core.chaos.arm(r:view(0, 7), 1) end, "tally: it has no")
  end)
end)

describe("an operation that is killed at random", function()
  local r

  before_each(function()
    r = assert(shm.anonymous(PAGE))
  end)

  after_each(function()
    assert.equal(0, support.children())
    r:close()
  end)

  it("is found in many states", function()
    local rounds = support.rounds(100)
    local expected, seen, ends = 0, {}, 0
    local kills, how, why = chaos.kill_everywhere(function()
      for i = 1, 20 do
        r:set_i64(0, i)
        process.sleep(0.0002)
      end
    end, function(n, survived)
      assert.equal(math.max(0, expected - 2), n) -- three measurements have the number 0
      expected = expected + 1
      local state = r:get_i64(0)
      assert(not survived or state == 20)
      seen[state] = true
      ends = ends + (survived and n > 0 and 1 or 0)
      r:set_i64(0, 0)
    end, {mode = "random", rounds = rounds, timeout = support.LONG})
    assert.equal("random", how)
    assert.is_nil(why)
    assert.equal(rounds + 3, expected)
    assert.equal(rounds, kills + ends)
    if rounds >= 100 then
      local states_seen = 0
      for _ in pairs(seen) do
        states_seen = states_seen + 1
      end
      assert.is_true(states_seen > 2, states_seen .. " states")
    end
  end)

  it("gives its errors and those of verify", function()
    local options = {mode = "random", rounds = 20, timeout = 2 * support.patience}
    local ok, message = pcall(chaos.kill_everywhere, function() error "mine" end, nothing, options)
    assert.is_false(ok)
    assert.matches("failed in run 0, after 0 stores: .*mine", message)
    ok, message = pcall(chaos.kill_everywhere, function() process.sleep(0.01) end,
                        function(_, survived) assert(survived, "theirs") end, options)
    assert.is_false(ok)
    assert.matches("verify failed after the kill in round %d+, 0%.%d+ s after .*theirs", message)
    assert.error_matches(function()
      chaos.kill_everywhere(support.forever, nothing, options)
    end, "hung in run 0")
  end)

  it("is so where stores can not be found, and that is said", function()
    if FOUND then
      return pending "they can be found"
    end
    local kills, how, why = chaos.kill_everywhere(function() r:set_i64(0, 1) end, nothing,
                                                  {rounds = 3})
    assert.is_true(kills <= 3)
    assert.equal("random", how)
    assert.matches("stores can not be found: .*not supported", why)
    local none, message, errno = chaos.kill_everywhere(nothing, nothing, {mode = "stores"})
    assert.is_nil(none)
    assert.matches("^chaos.kill_everywhere: stores can not", message)
    assert.equal(ENOTSUP, errno)
  end)

  it("is asked for in words that there are", function()
    assert.error_matches(function()
      chaos.kill_everywhere(nothing, nothing, {mode = "x"})
    end, "mode: x is neither")
  end)

  it("says what the machine has too few of, at no line of its own", function()
    support.starved("chaos%.kill_everywhere", [[
      local chaos = require "shm.chaos"
      local function nothing() end
      local function call() return chaos.kill_everywhere(nothing, nothing) and nil end
    ]])
  end)
end)
