-- Memory that is not there, or may not be touched so, is an error, and the process lives on.
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"
local sysv = require "shm.sysv"

local PAGE = posix.PAGE_SIZE
local RW = posix.PROT_READ | posix.PROT_WRITE
local LONG = support.LONG

describe("a file of 5000 bytes", function()
  local path, file

  before_each(function()
    path = os.tmpname()
    file = assert(posix.open(path, posix.O_RDWR))
    assert(posix.ftruncate(file, 5000))
  end)

  after_each(function()
    file:close()
    os.remove(path)
  end)

  -- The four cases of the text, with pages of 4096 bytes.
  it("mapped at 5000 bytes ends there, where C reads zeros up to 8191", function()
    local r <close> = assert(posix.mmap(nil, 5000, RW, posix.MAP_SHARED, file))
    assert.equal(0, r:get_u8(0))
    assert.equal(0, r:get_u8(4999))
    for _, offset in ipairs {5000, 8191, 8192, 12287, 12288} do
      assert.error_matches(function() r:get_u8(offset) end, "not within the 5000 bytes")
    end
  end)

  it("mapped at 12288 bytes reads zeros up to the end of its last page", function()
    local r <close> = assert(posix.mmap(nil, 12288, RW, posix.MAP_SHARED, file))
    for _, offset in ipairs {0, 4999, 5000, 8191} do
      assert.equal(0, r:get_u8(offset))
    end
  end)

  it("mapped at 12288 bytes has nothing behind that, where C gets SIGBUS", function()
    local r <close> = assert(posix.mmap(nil, 12288, RW, posix.MAP_SHARED, file))
    assert.error_matches(function() r:get_u8(8192) end, "memory behind this region is gone")
    assert.error_matches(function() r:get_u8(12287) end, "memory behind this region is gone")
    assert.equal(0, r:get_u8(8191))
  end)

  it("mapped at 12288 bytes ends there, where C gets SIGSEGV", function()
    local r <close> = assert(posix.mmap(nil, 12288, RW, posix.MAP_SHARED, file))
    assert.error_matches(function() r:get_u8(12288) end, "not within the 12288 bytes")
    assert.error_matches(function() r:get_u8(16384) end, "not within the 12288 bytes")
  end)

  it("has what it grows by, also where that was touched in vain", function()
    local r <close> = assert(shm.map(path, {mode = "rw", size = 8 * PAGE}))
    for n = 2, 7 do
      assert.error_matches(function() r:get_u8(n * PAGE) end, "gone")
      assert(posix.ftruncate(file, (n + 1) * PAGE))
      r:set_u8(n * PAGE, n)
      assert.equal(n, r:get_u8(n * PAGE))
    end
    assert.equal(string.char(7), support.read_file(path):sub(7 * PAGE + 1, 7 * PAGE + 1))
  end)
end)

describe("memory that another process takes away", function()
  local r, file

  before_each(function()
    file = assert(posix.memfd_create "spec")
    assert(posix.ftruncate(file, 4 * PAGE))
    r = assert(shm.map(file, {mode = "rw"}))
    r:write(0, ("x"):rep(4 * PAGE))
  end)

  after_each(function()
    r:close()
    file:close()
  end)

  local other <const> = assert(shm.anonymous(4 * PAGE))
  local calls = {
    read = {0, 8}, write = {0, "12345678"}, fill = {0, 8}, copy = {0, other, 0, 8},
    pack = {0, "i8", 1}, unpack = {0, "i8"}, compare = {0, "12345678", 0, 8},
    find = {0, "no such"}, wait = {0, 0, 10},
  }
  for _, kind in ipairs {"i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64"} do
    calls["get_" .. kind], calls["set_" .. kind] = {0}, {0, 1}
  end
  for _, suffix in ipairs {"", "32"} do
    calls["load" .. suffix], calls["cas" .. suffix] = {0}, {0, 0, 0}
    for _, name in ipairs {"store", "add", "swap", "band", "bor", "bxor"} do
      calls[name .. suffix] = {0, 1}
    end
  end

  it("is an error of every method, each time, until it is there again", function()
    assert(posix.ftruncate(file, 0))
    for name, arguments in pairs(calls) do
      for _ = 1, 2 do
        assert.error_matches(function() r[name](r, table.unpack(arguments)) end,
                             "memory behind this region is gone")
      end
    end
    assert.error_matches(function() other:copy(0, r, 0, 8) end, "gone")
    assert.error_matches(function() other:compare(0, r, 0, 8) end, "gone")
    assert.equal(0, other:get_i64(0))
    assert(posix.ftruncate(file, 4 * PAGE))
    for name, arguments in pairs(calls) do
      if name ~= "wait" then
        r[name](r, table.unpack(arguments))
      end
    end
    r:set_i64(0, 5)
    assert.equal(5, r:get_i64(0))
  end)

  it("is an error of bound accessors", function()
    local accessors = {r:getter_i32(0), r:setter_f64(0), r:loader(0), r:storer(0), r:adder(0),
                       r:adder(0, 1), r:loader32(0), r:storer32(0), r:adder32(0)}
    assert(posix.ftruncate(file, 0))
    for _, accessor in ipairs(accessors) do
      assert.error_matches(function() accessor(1) end, "gone")
    end
    assert(posix.ftruncate(file, PAGE))
    for _, accessor in ipairs(accessors) do
      accessor(1)
    end
  end)

  it("is an error where it reaches over several pages and mappings", function()
    local views = {}
    for i = 0, 3 do
      views[i] = r:view(i * PAGE, PAGE)
    end
    assert(posix.ftruncate(file, PAGE + 1))
    assert.error_matches(function() r:read(0, 4 * PAGE) end, "gone")
    assert.error_matches(function() r:write(PAGE, ("y"):rep(3 * PAGE)) end, "gone")
    assert.equal("xx", r:read(0, 2))
    assert.equal("yy", views[1]:read(0, 1) .. "y")
    assert.error_matches(function() views[2]:get_u8(0) end, "gone")
    assert.equal(120, views[0]:get_u8(0))
  end)

  it("is EFAULT to the kernel", function()
    local one, two = process.socketpair()
    assert(posix.ftruncate(file, 0))
    local sent, _, errno = r:send(one, 0, 8)
    assert.is_nil(sent)
    assert.equal(14, errno)
    two:send "12345678"
    local got
    got, _, errno = r:recv(one, 0, 8)
    assert.is_nil(got)
    assert.equal(14, errno)
    one:close()
    two:close()
  end)

  it("is an error of a queue and a topic that lie in it, also while one waits", function()
    local size <const>, me <const> = 1 << 18, process.pid()
    for name, prepare in pairs {
      pop = function(region) return assert(shm.queue.create(region, 0)) end,
      next = function(region) return assert(shm.topic.create(region, 0):subscribe()) end,
      push = function(region)
        local queue = assert(shm.queue.create(region, 0, {capacity = 64}))
        while queue:push("x", 0) do
          queue:used()
        end
        return queue
      end,
    } do
      local fd <close> = assert(posix.memfd_create "fault")
      assert(posix.ftruncate(fd, size))
      local region = assert(posix.mmap(nil, size, RW, posix.MAP_SHARED, fd))
      local waits = prepare(region)
      local child <close> = assert(process.fork(function()
        support.asleep(me)
        posix.ftruncate(fd, 0)
      end))
      local ok, message = pcall(function()
        if name == "push" then
          return waits:push("x", LONG)
        end
        return waits[name](waits, LONG)
      end)
      assert.same({"exit", 0}, {child:wait(LONG)})
      assert.is_false(ok, name)
      assert.matches("gone", message)
    end
  end)

  it("is an error of a semaphore that lies in it, also while one waits", function()
    local sem = posix.sem_init(r, 0)
    local child = process.fork(function()
      process.sleep(0.1)
      posix.ftruncate(file, 0)
    end)
    assert.error_matches(function() sem:wait(LONG) end, "gone")
    assert.error_matches(function() sem:post() end, "gone")
    assert.error_matches(function() sem:getvalue() end, "gone")
    child:wait(LONG)
    sem:close()
  end)

  it("leaves no mapping behind", function()
    assert(posix.ftruncate(file, 0))
    local function maps()
      return select(2, support.read_file "/proc/self/maps":gsub("memfd:spec", ""))
    end
    pcall(r.get_u8, r, 0)
    local before = maps()
    for _ = 1, support.rounds(1000) do
      pcall(r.read, r, 0, 4 * PAGE)
    end
    assert.is_true(maps() <= before + 1)
  end)

  it("is an error in a child as well", function()
    assert(posix.ftruncate(file, 0))
    local child = process.fork(function()
      local ok, message = pcall(r.get_u8, r, 0)
      assert(not ok and message:match "gone")
    end)
    assert.same({"exit", 0}, {child:wait(LONG)})
  end)
end)

describe("memory that comes and goes", function()
  it("is not dead for good after an access that went backward", function()
    local size = 1024 * PAGE
    local r <close> = assert(shm.anonymous(size))
    for _ = 1, 3 do
      assert(posix.ftruncate(r:fileno(), PAGE))
      assert.error_matches(function() r:copy(PAGE, r, 0, size - PAGE) end, "gone")
      assert.error_matches(function() r:read(0, size) end, "gone")
      assert(posix.ftruncate(r:fileno(), size))
      r:set_u8(size - 1, 1)
      assert.equal(1, r:get_u8(size - 1))
    end
  end)

  it("is not read as zeros because a finalizer touched it meanwhile", function()
    local size = 8 * PAGE
    local r <close> = assert(shm.anonymous(size))
    r:fill(0, size, 65)
    assert(posix.ftruncate(r:fileno(), PAGE))
    collectgarbage("incremental", 10, 1000)
    for _ = 1, support.rounds(200) do
      for _ = 1, 3 do
        setmetatable({}, {__gc = function() pcall(r.get_u8, r, size - 1) end})
      end
      assert.is_false((pcall(r.read, r, 0, size)))
    end
    collectgarbage("incremental", 200, 100) -- as it was
  end)

  it("is forgotten on both sides of a copy", function()
    local a <close>, b = assert(shm.anonymous(PAGE)), assert(shm.anonymous(PAGE))
    assert(posix.ftruncate(a:fileno(), 0))
    assert(posix.ftruncate(b:fileno(), 0))
    assert.error_matches(function() a:copy(0, b, 0, PAGE) end, "gone")
    assert(posix.ftruncate(b:fileno(), PAGE))
    assert.equal(0, b:get_u8(0))
    assert(posix.ftruncate(b:fileno(), 0))
    assert.error_matches(function() a:compare(0, b, 0, PAGE) end, "gone")
    local id = assert(sysv.shmget(sysv.IPC_PRIVATE, PAGE, sysv.IPC_CREAT))
    local r <close> = assert(sysv.shmat(id, b, sysv.SHM_REMAP))
    r:write(0, "segment")
    assert.equal("segment", r:read(0, 7))
    assert.equal(1, id:stat().nattch)
    id:remove()
  end)

  it("gives unpack no more than is left, whatever length lies behind the end", function()
    local r <close> = assert(shm.anonymous(8192, {max = 8192}))
    local all <close> = assert(posix.mmap(nil, 8192, RW, posix.MAP_SHARED, r:fileno()))
    assert(posix.ftruncate(r:fileno(), 100))
    all:set_u64(200, 50 << 20)
    assert.error_matches(function() r:unpack(200, "s8") end, "not within the 100 bytes")
    assert.error_matches(function() r:unpack(200, "i8") end, "not within the 100 bytes")
  end)

  it("is an error of a named semaphore whose memory another process takes", function()
    local name = "/shm-spec-" .. support.key()
    local sem <close> = assert(posix.sem_open(name, posix.O_CREAT, nil, 1))
    local same <close> = assert(posix.sem_open(name))
    io.open("/dev/shm/sem." .. name:sub(2), "w"):close()
    for _, one in ipairs {sem, same, sem} do
      assert.error_matches(function() one:post() end, "semaphore is gone")
      assert.error_matches(function() one:wait(LONG) end, "semaphore is gone")
    end
    posix.sem_unlink(name)
  end)

  it("is an error where huge pages can not be had, for odd sizes as well", function()
    local free = tonumber(support.read_file "/proc/meminfo":match "HugePages_Free:%s*(%d+)")
    if not free or free > 0 or support.valgrind then
      return pending "there are huge pages, or none at all"
    end
    local flags = posix.MAP_PRIVATE | posix.MAP_ANONYMOUS | posix.MAP_HUGETLB
    local r <close> = posix.mmap(nil, PAGE, RW, flags | posix.MAP_NORESERVE)
    if r then
      assert.error_matches(function() r:set_u8(0, 1) end, "could not be had")
    end
    local keep, small = {}, posix.MAP_PRIVATE | posix.MAP_ANONYMOUS
    local another <close> = posix.mmap(nil, PAGE, RW, flags | posix.MAP_NORESERVE)
    if another then -- where what is mapped next would lie as a huge page does
      repeat
        keep[#keep + 1] = assert(posix.mmap(nil, PAGE, RW, small))
        keep[#keep]:fill(0, PAGE, 7)
      until keep[#keep]:address() % (2 << 20) == PAGE or #keep == 2000
      assert.error_matches(function() another:get_u8(0) end, "could not be had")
      for _, one in ipairs(keep) do
        assert.equal(7, one:get_u8(PAGE - 1))
        one:close()
      end
    end
    local id = sysv.shmget(sysv.IPC_PRIVATE, PAGE,
                           sysv.IPC_CREAT | sysv.SHM_HUGETLB | sysv.SHM_NORESERVE)
    if id then
      local segment <close> = assert(sysv.shmat(id))
      assert.error_matches(function() segment:set_u8(0, 1) end, "could not be had")
      local anonymous = posix.MAP_PRIVATE | posix.MAP_ANONYMOUS | posix.MAP_FIXED_NOREPLACE
      local base = 0x200000000000
      local place <close> = assert(posix.mmap(base, PAGE, RW, anonymous))
      local neighbour <close> = assert(posix.mmap(base + PAGE, PAGE, RW, anonymous))
      neighbour:write(0, "neighbour")
      local remapped, _, errno = sysv.shmat(id, place, sysv.SHM_REMAP)
      assert.is_nil(remapped)
      assert.equal(22, errno)
      assert.equal("neighbour", neighbour:read(0, 9))
      place:set_u8(0, 1)
      id:remove()
    end
  end)
end)

describe("memory that is protected", function()
  it("can not be written where it is read-only, nor touched where it is nothing", function()
    local r <close> = assert(shm.anonymous(4 * PAGE))
    r:write(0, ("x"):rep(4 * PAGE))
    assert(posix.mprotect(r, posix.PROT_NONE, PAGE, PAGE))
    assert(posix.mprotect(r, posix.PROT_READ, 3 * PAGE, PAGE))
    assert.error_matches(function() r:get_u8(PAGE) end, "memory behind this region is protected")
    assert.error_matches(function() r:read(0, 4 * PAGE) end, "protected")
    assert.error_matches(function() r:write(3 * PAGE, "y") end, "protected")
    assert.equal("x", r:read(3 * PAGE, 1))
    assert(posix.mprotect(r, RW))
    assert.equal(("x"):rep(4 * PAGE), r:read(0, 4 * PAGE))
    r:write(PAGE, "y")
    assert.equal("y", r:read(PAGE, 1))
  end)

  it("keeps what private memory has", function()
    local flags = posix.MAP_PRIVATE | posix.MAP_ANONYMOUS
    local r <close> = assert(posix.mmap(nil, 64 * PAGE, RW, flags))
    for n = 0, 63 do
      r:set_u8(n * PAGE, n + 1)
      if n % 2 == 1 then
        assert(posix.mprotect(r, posix.PROT_NONE, n * PAGE, PAGE))
      end
    end
    assert.error_matches(function() r:get_u8(PAGE) end, "protected")
    assert.error_matches(function() r:read(0, 6 * PAGE) end, "protected")
    assert(posix.mprotect(r, RW))
    for n = 0, 63 do
      assert.equal(n + 1, r:get_u8(n * PAGE))
    end
  end)

  it("is read-only to the methods where all of it is", function()
    local r <close> = assert(shm.anonymous(PAGE))
    assert(posix.mprotect(r, posix.PROT_READ))
    assert.error_matches(function() r:set_u8(0, 1) end, "read%-only")
    assert(posix.mprotect(r, RW))
    r:set_u8(0, 1)
  end)

  it("is an error in SysV segments, too", function()
    local id = assert(sysv.shmget(sysv.IPC_PRIVATE, 2 * PAGE, sysv.IPC_CREAT))
    local r <close> = assert(sysv.shmat(id))
    id:remove()
    r:set_u8(PAGE, 5)
    assert(posix.mprotect(r, posix.PROT_NONE, PAGE, PAGE))
    assert.error_matches(function() r:get_u8(PAGE) end, "protected")
    assert(posix.mprotect(r, RW))
    assert.equal(5, r:get_u8(PAGE))
  end)
end)

describe("other faults and signals", function()
  local function ends_by(f)
    local child = process.fork(function()
      local _ <close> = assert(shm.anonymous(10)) -- the handlers are in place
      f()
      process.sleep(10)
    end)
    return {child:wait(LONG)}
  end

  it("kill the process as they would have", function()
    if support.asan then
      return pending "AddressSanitizer ends the process itself"
    end
    assert.same({"signal", "BUS"}, ends_by(function() process.kill(process.pid(), "BUS") end))
    assert.same({"signal", "SEGV"}, ends_by(function() process.kill(process.pid(), "SEGV") end))
  end)

  it("can not be taken away from under the regions", function()
    for _, name in ipairs {"BUS", "SEGV"} do
      assert.error_matches(function() process.signal(name, "default") end, "can not be set")
    end
    local r <close> = assert(shm.anonymous(PAGE))
    assert.error_matches(function() posix.madvise(r, 10) end, "advice") -- MADV_DONTFORK
  end)

  it("find a handler when the Lua state is closed, and its module with it", function()
    local source, program = support.tmpname ".c", os.tmpname()
    local file <close> = assert(io.open(source, "w"))
    file:write [[
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static void handler(int signo) { (void)signo; _exit(42); }
int main(void)
{
    signal(SIGSEGV, handler);
    for (int i = 0; i < 2; i++) {
        lua_State *L = luaL_newstate();
        luaL_openlibs(L);
        if (luaL_dostring(L, "local shm = require 'shm'; local r = shm.anonymous(10);"
                             "shm.posix.ftruncate(r:fileno(), 0);"
                             "assert(not pcall(r.get_u8, r, 0))"))
            return puts(lua_tostring(L, -1)), 1;
        lua_close(L);
    }
    *(volatile char *)(long)(getpid() % 2 + 8) = 1;
    return 0;
}
]]
    file:close()
    local build = "gcc -I/usr/include/lua5.4 -o %s %s -rdynamic -llua5.4 2>&1"
    assert.equal("", support.shell(build:format(program, source)))
    assert.equal("42\n", support.shell(program .. "; echo $?"))
    os.remove(source)
    os.remove(program)
  end)

  it("go to whoever handled them before", function()
    local library = support.tmpname ".so"
    local source = support.tmpname ".c"
    local file <close> = assert(io.open(source, "w"))
    file:write [[
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
static void handler(int signo) { _exit(signo == SIGSEGV ? 42 : 43); }
int luaopen_handler(void *L)
{ (void)L; signal(SIGSEGV, handler); signal(SIGBUS, handler); return 0; }
int luaopen_fault(void *L) { (void)L; *(volatile char *)(long)(getpid() % 2 + 8) = 1; return 0; }
]]
    file:close()
    assert.equal("", support.shell(("gcc -shared -fPIC -o %s %s 2>&1"):format(library, source)))
    local script = ([[
      package.loadlib(%q, "luaopen_handler")()
      local shm = require "shm"
      local r = shm.anonymous(10)
      shm.posix.ftruncate(r:fileno(), 0)
      io.write(tostring(pcall(r.get_u8, r, 0)), "\n")
      io.stdout:flush()
      package.loadlib(%q, "luaopen_fault")()
    ]]):format(library, library)
    local path = os.tmpname()
    local out <close> = assert(io.open(path, "w"))
    out:write(script)
    out:close()
    assert.equal("false\n42\n", support.shell("lua5.4 " .. path .. "; echo $?"))
    for _, name in ipairs {library, source, path} do
      os.remove(name)
    end
  end)
end)
