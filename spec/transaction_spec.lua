-- region:transaction: all or nothing.
local lock = require "spec.lock_support"
local chaos = require "shm.chaos"
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local PAGE <const> = posix.PAGE_SIZE

describe("a transaction", function()
  local region, m

  before_each(function()
    region = assert(shm.anonymous(8192))
    m = assert(shm.mutex.create(region, 0, {journal = 1024}))
    region:write(4096, "before")
  end)

  after_each(function()
    pcall(m.unlock, m)
    m:close()
    region:close()
  end)

  local function all_of()
    return region:read(4096, 4096)
  end

  it("keeps what it wrote, and gives what the function gives", function()
    assert.same({1, nil, 3}, {region:transaction(m, function(...)
      assert.equal(process.pid(), m:holder())
      region:write(4096, "behind")
      return ...
    end, 1, nil, 3)})
    assert.equal("behind", region:read(4096, 6))
    assert.is_nil(m:holder())
  end)

  it("undoes all that was written by whatever means when it throws", function()
    local before = all_of()
    local person = shm.record {{"name", "char[4]"}, {"age", "i32"}}
    local view <close> = region:view(4096, 4096)
    local set, store = region:setter_i64(5000), region:storer(5008)
    local source <close> = assert(shm.anonymous(64))
    local add = region:adder(5016)
    local ok, message = pcall(region.transaction, region, m, function()
      region:write(4096, "x")
      region:write(4096, "yyyy")
      region:fill(4200, 10, 7)
      region:set_i8(4300, 1)
      region:add(4400, 1)
      region:cas32(4408, 0, 2)
      region:pack(4500, "z", "text")
      source:write(0, "copied")
      region:copy(4600, source, 0, 6)
      view:set_f64(8, 1.5)
      set(5) store(6) add(7)
      person:at(region, 6000).name = "b"
      assert.not_equal(before, all_of())
      error "on purpose"
    end)
    assert.is_false(ok)
    assert.matches("on purpose", message)
    assert.equal(before, all_of())
    assert.is_nil(m:holder())
  end)

  it("is undone by the next holder when its process is killed", function()
    local before = all_of()
    for _, name in ipairs {"lock", "try"} do
      local ready = lock.child(function()
        region:transaction(m, function()
          region:write(4096, "halfway")
          region:store(7000, 1)
          process.kill(process.pid(), "KILL")
        end)
      end)
      assert.is_false(ready.ended())
      assert.equal("halfway", region:read(4096, 7))
      local ok, word, dead = m[name](m)
      assert.same({true, "recovered", ready.pid}, {ok, word, dead})
      assert.equal(before, all_of())
      m:unlock()
    end
  end)

  it("is whole wherever its process is killed", function()
    local kills, how = chaos.kill_everywhere(function()
      region:transaction(m, function()
        region:store(4096, 1)
        region:store(4104, 1)
      end)
    end, function()
      assert(m:lock(lock.LONG))
      local one, other = region:load(4096), region:load(4104)
      m:unlock()
      assert(one == other, one .. " and " .. other)
    end, {prepare = function() region:fill(4096, 16) end, rounds = 20})
    assert.is_true(kills > 5 or how == "random")
  end)

  it("works under a rwlock, also for readers that come next", function()
    local w <close> = assert(shm.rwlock.create(region, 2048, {journal = 64}))
    local child = lock.child(function()
      region:transaction(w, function()
        region:write(4096, "halfway")
        process.kill(process.pid(), "KILL")
      end)
    end)
    assert.is_false(child.ended())
    assert.same({true, "recovered", child.pid}, {w:lock_shared()})
    assert.equal("before", region:read(4096, 6))
    w:unlock()
    region:transaction(w, function() region:write(4096, "behind") end)
    assert.equal("behind", region:read(4096, 6))
  end)

  it("is undone when the journal is full", function()
    local before = all_of()
    local function much()
      region:write(4096, "some")
      region:write(4200, ("x"):rep(1024))
    end
    assert.error_matches(function() region:transaction(m, much) end,
                         "journal of 1024 bytes is full")
    assert.equal(before, all_of())
    region:transaction(m, function() region:write(4200, ("x"):rep(1008)) end)
  end)

  it("takes of the journal what a write replaces, by 8 bytes, and 16 more", function()
    local function fits(journal, write)
      local memory <close> = assert(shm.anonymous(8192))
      local own <close> = assert(shm.mutex.create(memory, 0, {journal = journal}))
      return pcall(memory.transaction, memory, own, function()
        write(memory)
        write(memory)
      end)
    end
    for bytes, writes in pairs {
      [8] = {function(to) to:set_u8(4097, 1) end, function(to) to:write(4099, "12345678") end,
             function(to) to:add32(4096, 1) end, function(to) to:pack(4096, "i1", 5) end},
      [16] = {function(to) to:write(4096, "123456789") end},
      [1000] = {function(to) to:fill(4200, 993) end, function(to) to:copy(4200, to, 0, 1000) end},
      [0] = {function(to) to:write(4096, "") end},
    } do
      for _, write in ipairs(writes) do
        local room = bytes == 0 and 0 or 2 * (bytes + 16)
        assert.is_true((fits(math.max(room, 8), write)))
        local ok, message = fits(math.max(room - 8, 8), write)
        assert.equal(room == 0, ok)
        assert(ok or message:match "journal of %d+ bytes is full")
      end
    end
  end)

  it("is undone as far as its memory is there, and what is there is no error after it", function()
    region:write(PAGE, "gone")
    local function shrink()
      region:write(PAGE - 4, "lost")
      region:write(PAGE, "lost")
      assert(posix.ftruncate(region:fileno(), PAGE))
      region:write(PAGE, "lost")
    end
    assert.error_matches(function() region:transaction(m, shrink) end, "memory behind this .* gone")
    assert.equal("\0\0\0\0", region:read(PAGE - 4, 4))
    assert.error_matches(function() region:get_u8(PAGE) end, "memory behind this region is gone")
    assert(posix.ftruncate(region:fileno(), 2 * PAGE))
    assert.equal("\0\0\0\0", region:read(PAGE, 4))
    assert.is_nil(m:holder())
    assert.is_true(m:lock(lock.LONG))
    m:unlock()
  end)

  it("undoes what was received, and what came by handles that it made itself", function()
    local before = all_of()
    local person = shm.record {{"name", "char[4]"}, {"age", "i32"}}
    local ours, theirs = assert(process.socketpair())
    assert(theirs:send "received")
    assert.error_matches(function()
      region:transaction(m, function()
        assert.equal(8, region:recv(ours, 4096, 100))
        local view <close> = region:view(5000, 100)
        view:write(0, "view")
        view:setter_u16(50)(7)
        person:array(view, 10, 2)[2] = {name = "b", age = 1}
        assert.not_equal(before, all_of())
        error "on purpose"
      end)
    end, "on purpose")
    assert.equal(before, all_of())
    ours:close()
    theirs:close()
  end)

  it("is its own process's: what a child writes meanwhile stays", function()
    assert.error_matches(function()
      region:transaction(m, function()
        region:write(4096, "parent")
        local child = assert(process.fork(function()
          region:fill(5000, 2000, 65) -- more than the journal has room for
        end))
        assert.same({"exit", 0}, {child:wait(lock.LONG)})
        error "on purpose"
      end)
    end, "on purpose")
    assert.equal("before", region:read(4096, 6))
    assert.equal(("A"):rep(2000), region:read(5000, 2000))
  end)

  it("is one at a time in a region, does not yield, and leaves its size", function()
    for said, f in pairs {
      ["goes on in it already"] = function() region:transaction(m, print) end,
      ["yield"] = coroutine.yield,
      ["a transaction goes on in it"] = function() region:resize(8192) end,
      ["unlock it first"] = function() region:close() end,
    } do
      local co = coroutine.wrap(function()
        return pcall(region.transaction, region, m, function()
          region:write(4096, "x")
          f()
        end)
      end)
      local ok, message = co()
      assert.is_false(ok)
      assert.matches(said, message)
      assert.equal("before", region:read(4096, 6))
    end
  end)

  it("needs a lock of the same memory with a journal, that is free", function()
    local plain <close> = assert(shm.mutex.create(region, 2048))
    local other <close> = assert(shm.anonymous(4096))
    local far <close> = assert(shm.mutex.create(other, 0, {journal = 64}))
    assert.error_matches(function() region:transaction(plain, print) end, "without a journal")
    assert.error_matches(function() region:transaction(far, print) end, "other memory")
    m:lock()
    lock.refused(lock.EDEADLK, "^deadlock", region:transaction(m, error))
    m:unlock()
  end)

  it("keeps its lock until the end", function()
    local again <close> = assert(shm.mutex.attach(region, 0))
    local c <close> = assert(shm.condition.create(region, 2048))
    for _, f in ipairs {
      function() m:unlock() end,
      function() again:unlock() end,
      function() c:wait(m, 0) end,
    } do
      assert.error_matches(function()
        region:transaction(m, function()
          region:write(4096, "x")
          f()
        end)
      end, "a transaction goes on under it")
      assert.equal("before", region:read(4096, 6))
      assert.is_nil(m:holder())
    end
  end)

  it("lets a recursive lock be taken and left inside", function()
    local r <close> = assert(shm.mutex.create(region, 2048, {journal = 64, recursive = true}))
    region:transaction(r, function()
      r:with(function() region:write(4096, "behind") end)
      assert(r:lock())
      r:unlock()
      assert.error_matches(function() r:unlock() end, "a transaction goes on under it")
    end)
    assert.equal("behind", region:read(4096, 6))
    assert.is_nil(r:holder())
  end)
end)

describe("a transaction of one that had more of the object mapped", function()
  local HERE <const>, FAR <const> = 5000, 60000
  local name, path, all

  before_each(function()
    name = "shm-spec-" .. support.key()
    path = "/dev/shm/" .. name
    all = assert(shm.create(name, 8192, {max = 65536}))
  end)

  after_each(function()
    all:close()
    posix.shm_unlink("/" .. name)
  end)

  -- Makes a lock, and one that dies under it after it has written to these places.
  local function torn(kind, offset, places)
    local child = lock.child(function()
      local own = shm[kind].create(all, offset, {journal = 1024}) or
                  assert(shm[kind].attach(all, offset))
      for _, at in ipairs(places) do
        all:store(at, 111)
      end
      all:transaction(own, function()
        for _, at in ipairs(places) do
          all:store(at, 222)
        end
        process.kill(process.pid(), "KILL")
      end)
    end)
    assert.is_false(child.ended())
    assert.equal(222, all:load(places[1]))
    return child.pid
  end

  local function mapped()
    return select(2, support.read_file "/proc/self/maps":gsub(name, ""))
  end

  -- A part of it, by which nothing leads to the rest.
  local function mapped_bare()
    return assert(posix.mmap(nil, 8192, posix.PROT_READ | posix.PROT_WRITE, posix.MAP_SHARED,
      all:fileno()))
  end

  local function assert_whole(places)
    for _, at in ipairs(places) do
      assert.equal(111, all:load(at), "at " .. at)
    end
  end

  it("is undone in all of it by who attached before it grew", function()
    local early <close> = assert(shm.attach(name))
    assert(all:resize(65536))
    for _, places in ipairs {{HERE, FAR}, {FAR, HERE}} do
      for kind, take in pairs {mutex = "lock", rwlock = "lock_shared"} do
        local dead = torn(kind, 0, places)
        local own <close> = assert(shm[kind].attach(early, 0))
        assert.same({true, "recovered", dead}, {own[take](own)})
        assert_whole(places)
        own:unlock()
        own:remove()
      end
    end
  end)

  it("is undone in all of it by who maps a part, wherever that begins", function()
    assert(all:resize(65536))
    local places = {FAR, 16, HERE, 20000}
    for _, begin in ipairs {0, 12288, 12352} do
      local dead = torn("mutex", 16384, places)
      local part <close> = assert(shm.map(path, {mode = "rw", offset = begin, size = 20480}))
      local own <close> = assert(shm.mutex.attach(part, 16384 - begin))
      local before = mapped()
      assert.same({true, "recovered", dead}, {own:try()})
      assert.equal(before, mapped())
      assert_whole(places)
      own:unlock()
    end
  end)

  it("is undone as far as the object still is", function()
    assert(all:resize(65536))
    local dead = torn("mutex", 0, {HERE, FAR, 4000})
    assert(posix.ftruncate(all:fileno(), 8192))
    local early <close> = assert(shm.attach(name))
    local own <close> = assert(shm.mutex.attach(early, 0))
    assert.same({true, "recovered", dead}, {own:lock()})
    assert_whole {HERE, 4000}
    own:unlock()
  end)

  it("is undone in a part of an object that was cut off within the journal", function()
    assert(all:resize(65536))
    for _, places in ipairs {{16, 13000}, {13000, 16}} do
      torn("mutex", 20000, places) -- what is not used of its journal is on the next page
      local part <close> = assert(shm.map(path, {mode = "rw", offset = 12288, size = 20480}))
      local own <close> = assert(shm.mutex.attach(part, 20000 - 12288))
      assert(posix.ftruncate(all:fileno(), 20480))
      assert.is_true(own:lock())
      assert_whole(places)
      own:unlock()
      assert(posix.ftruncate(all:fileno(), 65536))
    end
  end)

  it("leaves what else can be had to who waits for it, too", function()
    assert(all:resize(65536))
    local dead = torn("mutex", 0, {HERE, FAR})
    local part <close> = mapped_bare()
    local own <close> = assert(shm.mutex.attach(part, 0))
    local semaphore <close> = assert(shm.semaphore.create(all, 6000, 1))
    assert.equal(2, shm.wait_any({own, semaphore}, 0))
    lock.refused(lock.ETIMEDOUT, "", shm.wait_any({own, semaphore}, 0))
    lock.refused(95, "^shm.wait_any: what its dead holder began can not be mapped",
                 shm.wait_any({own}, 0))
    local other <close> = assert(shm.mutex.attach(all, 0))
    assert.same({2, "recovered", dead}, {shm.wait_any({own, other})})
    assert_whole {HERE, FAR}
    other:unlock()
  end)

  it("stays to be undone by others where one has its part of mmap, without a descriptor", function()
    assert(all:resize(65536))
    local dead = torn("mutex", 0, {HERE, FAR})
    local part <close> = mapped_bare()
    local own <close> = assert(shm.mutex.attach(part, 0))
    lock.refused(95, "what its dead holder began can not be mapped", own:lock())
    assert.equal(222, part:load(HERE))
    local other <close> = assert(shm.mutex.attach(all, 0))
    assert.same({true, "recovered", dead}, {other:lock()})
    assert_whole {HERE, FAR}
    other:unlock()
  end)

  it("stays to be undone by others where one can map no more", function()
    if support.asan then
      return pending "the sanitizer needs more addresses than a process has here"
    end
    assert(all:resize(65536))
    assert(posix.ftruncate(all:fileno(), 64 << 30))
    for kind, take in pairs {mutex = "lock", rwlock = "lock", ["rwlock "] = "lock_shared"} do
      kind = kind:match "%a+"
      local places = {HERE, FAR, 16384}
      local dead = torn(kind, 0, places)
      assert.equal("12\n222\n12\n", support.shell(([[ulimit -v 8000000; lua5.4 -e '
        local shm = require "shm"
        local part <close> = shm.map("%s", {mode = "rw", size = 8192})
        local own <close> = shm.%s.attach(part, 0)
        local ok, message, errno = own:%s()
        print(ok or message:match "what its dead holder began can not be mapped" and errno)
        print(part:load(%d))
        print(select(3, own:try()))' 2>&1]]):format(path, kind, take, HERE)))
      local own <close> = assert(shm[kind].attach(all, 0))
      assert.same({true, "recovered", dead}, {own[take](own)})
      assert_whole(places)
      own:unlock()
      own:remove()
    end
  end)
end)
