-- Arenas: made once, of every kind of memory; who is attached; growth.
local others = require "spec.arena_support"
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"
local sysv = require "shm.sysv"

local LONG = support.LONG
local SIZE, MAX = 1 << 16, 1 << 20
local GUARD <const> = 2560 + 128 * 16 -- where the guard's word lies: behind the register
local ENOENT, EBUSY, ENOSPC, ERANGE, ENOTEMPTY, EPROTO = 2, 16, 28, 34, 39, 71

local elsewhere, other, refused = others.elsewhere, others.other, others.refused

describe("an arena", function()
  local before, r, a, names

  -- A name that is gone after the test, also where that fails.
  local function fresh_name()
    names[#names + 1] = "shm-spec-" .. support.key()
    return names[#names]
  end

  before_each(function()
    before, names = support.belongings(), {}
    r = assert(shm.anonymous(SIZE, {max = MAX}))
    a = assert(shm.arena(r, {max = MAX}))
  end)

  after_each(function()
    for _, name in ipairs(names) do
      shm.unlink(name)
    end
    a:close()
    r:close()
    a, r = nil, nil
    collectgarbage()
    assert.same(before, support.belongings())
  end)

  describe("is made", function()
    local function works(arena)
      assert(arena:check())
      local m <close> = assert(arena:mutex "m")
      elsewhere(function() assert(m:with(function() return arena:check() end)) end)
      assert(m:lock(1))
      m:unlock()
      assert(arena:allocate(100)):close()
    end

    it("in anonymous memory", function()
      assert.matches("^shm.arena %(anonymous%)$", tostring(a))
      works(a)
      local again <close>, made = shm.arena(r)
      assert.is_false(made)
      works(again)
    end)

    it("under a name, and found there", function()
      local name = fresh_name()
      local one <close>, made = shm.arena(name, {size = SIZE, max = MAX})
      assert.is_true(made)
      local two <close>, again = shm.arena(name)
      assert.is_false(again)
      assert(shm.unlink(name))
      assert.equal(MAX, two:stat().max)
      works(one)
      works(two)
      assert(one:bytes("much", SIZE))
      assert.equal(SIZE, #two:bytes "much")
      assert(two:bytes("more", 2 * SIZE))
      assert.equal(2 * SIZE, #one:bytes "more")
    end)

    it("in a file", function()
      local path = os.tmpname()
      for i = 1, 2 do
        local file <close> = assert(shm.map(path, {mode = "rw", create = true, size = SIZE}))
        local one <close>, made = shm.arena(file)
        assert.equal(i == 1, made)
        local number <close> = one:counter("n", 7)
        assert.equal(i + 6, number:add())
        works(one)
      end
      os.remove(path)
    end)

    it("in a System V segment", function()
      local id = assert(sysv.shmget(sysv.IPC_PRIVATE, SIZE, sysv.IPC_CREAT | 384))
      local one <close> = assert(sysv.shmat(id))
      local two <close> = assert(sysv.shmat(id))
      id:remove()
      local first <close>, made = shm.arena(one, {max = MAX})
      local second <close>, again = shm.arena(two)
      assert.same({true, false}, {made, again})
      assert.equal(SIZE, first:stat().max)
      works(first)
      works(second)
      refused(ENOSPC, first.bytes, first, "much", SIZE)
    end)

    it("in a part of a region, and stays there", function()
      local whole <close> = assert(shm.anonymous(4 * SIZE))
      whole:fill(0, #whole, 0x55)
      local part <close> = whole:view(SIZE, SIZE)
      part:fill(0, SIZE, 0)
      local one <close> = assert(shm.arena(part, {max = MAX}))
      assert.equal(SIZE, one:stat().max)
      works(one)
      refused(ENOSPC, one.bytes, one, "much", SIZE)
      while one:allocate(500) do end
      for _, offset in ipairs {0, 2 * SIZE} do
        assert.equal(("\x55"):rep(SIZE), whole:read(offset, SIZE))
      end
    end)

    it("by one of those who open it at once", function()
      local name = fresh_name()
      local desk <close> = assert(shm.anonymous(64))
      for _ = 1, support.rounds(20) do
        desk:fill(0, 64)
        local children = {}
        for i = 1, 6 do
          children[i] = assert(process.fork(function()
            desk:wait(0, 0, LONG)
            local one, made = shm.arena(name, {size = SIZE, max = i % 2 * MAX + SIZE})
            assert(one, made)
            desk:add(8, made and 1 or 0)
            assert(one:bytes("b" .. i, SIZE // 8))
            local number = assert(one:counter "n")
            desk:add(16, number:add() == 5 and 1 or 0)
          end))
        end
        desk:store32(0, 1)
        desk:wake(0)
        for _, child in ipairs(children) do
          assert.same({"exit", 0}, {child:wait(LONG)})
          child:close()
        end
        assert.same({1, 1}, {desk:load(8), desk:load(16)})
        assert(shm.unlink(name))
      end
    end)

    it("by the next one when its maker was stopped and killed", function()
      local place <close> = assert(shm.anonymous(SIZE))
      local finish, child = other(function(wait) wait() end)
      place:store(0, 0x4c53486d << 32 | child.pid) -- as the maker's claim is
      finish "KILL"
      local one <close>, made = shm.arena(place)
      assert.is_true(made)
      assert(one:check())
    end)
  end)

  describe("is refused", function()
    it("where there is too little memory, and leaves no name", function()
      for _, size in ipairs {64, 4096, 32767} do
        local small <close> = assert(shm.anonymous(size))
        refused(ENOSPC, shm.arena, small)
        local name = fresh_name()
        refused(ENOSPC, shm.arena, name, {size = size})
        refused(ENOSPC, shm.arena, name, {size = SIZE, journal = SIZE})
        refused(ENOENT, shm.attach, name)
      end
      local least <close> = assert(shm.anonymous(32768))
      assert(shm.arena(least)):close()
      refused(ENOSPC, shm.arena, assert(shm.anonymous(SIZE)), {journal = SIZE})
    end)

    it("where something else is, which stays", function()
      local place <close> = assert(shm.anonymous(SIZE))
      for _, bytes in ipairs {"#!/bin/sh\n", ("\255"):rep(64), "\1"} do
        place:fill(0, SIZE, 0)
        place:write(0, bytes)
        refused(ENOTEMPTY, shm.arena, place)
        assert.equal(bytes, place:read(0, #bytes))
      end
      place:fill(0, SIZE, 0)
      local m <close> = shm.mutex.create(place, 0)
      refused(ENOTEMPTY, shm.arena, place)
      m:lock()
      m:unlock()
    end)

    it("when it is of another version, layout, byte order or pid namespace", function()
      local mark, home, extra = r:load(0), r:load(8), r:load32(20)
      r:store(0, mark + 1)
      refused(EPROTO, shm.arena, r)
      r:store(0, mark)
      r:store32(20, extra ~ 1)
      refused(EPROTO, shm.arena, r)
      r:store32(20, extra)
      r:store(8, home + 1)
      refused(18, shm.arena, r)
      r:store(8, home)
      assert(shm.arena(r)):close()
    end)

    it("when it may grow beyond what is mapped", function()
      local path = os.tmpname()
      local options = {mode = "rw", create = true, size = SIZE, max = MAX}
      local wide <close> = assert(shm.map(path, options))
      local one <close> = assert(shm.arena(wide, {max = MAX}))
      local narrow <close> = assert(shm.map(path, {mode = "rw"}))
      refused(ERANGE, shm.arena, narrow)
      assert(one:check())
      os.remove(path)
    end)

    it("in what is read-only, private, closed, crooked or no region", function()
      local path = os.tmpname()
      local file <close> = assert(shm.map(path, {mode = "rw", create = true, size = SIZE}))
      for _, mode in ipairs {"r", "private"} do
        local one <close> = assert(shm.map(path, {mode = mode}))
        assert.error_matches(function() shm.arena(one) end, "region")
      end
      os.remove(path)
      local part <close> = file:view(8, SIZE - 8)
      assert.error_matches(function() shm.arena(part) end, "multiple of 64")
      part:close()
      assert.error_matches(function() shm.arena(part) end, "closed")
      for _, wrong in ipairs {1, {}, print, a, "a/b", ""} do -- which is told where it was given
        local what = type(wrong) == "string" and "name" or "region"
        local _, told = pcall(function() shm.arena(wrong) end)
        assert.matches("^spec/arena_spec%.lua:%d+: shm%.arena: .*" .. what, told)
      end
      assert.error_matches(function() shm.arena(r, {colour = 1}) end, "colour")
    end)

    it("when the journal's length is scribble, which says where the register lies", function()
      a:close()
      local journal = r:get_u32(40)
      for _, length in ipairs {journal + 1, journal + 8, journal | 1 << 31, 0xffffffff} do
        r:set_u32(40, length)
        refused(74, shm.arena, r)
      end
      r:set_u32(40, journal)
      a = assert(shm.arena(r))
    end)

    it("when 128 processes are attached already", function()
      local more = {}
      for i = 1, 127 do
        more[i] = assert(shm.arena(r))
      end
      assert.matches("all places are taken that its maker gave it %(see processes%): Too many",
                     refused(87, shm.arena, r))
      assert.equal(1, #a:attached()) -- each process once
      more[1]:close()
      more[1] = assert(shm.arena(r))
      for _, one in ipairs(more) do
        one:close()
      end
    end)

    it("when as many are attached as it was made for", function()
      local region <close> = assert(shm.anonymous(1 << 20))
      local more = {(assert(shm.arena(region, {processes = 200})))} -- 256, in sixty-fours
      for i = 2, 256 do
        more[i] = assert(shm.arena(region)) -- what is asked for counts only once
      end
      refused(87, shm.arena, region, {processes = 1000})
      for _, it in ipairs(more) do
        it:close()
      end
      for _, wrong in ipairs {0, -1, 8193, 1.5, "1"} do
        assert.error_matches(function() shm.arena(region, {processes = wrong}) end, "processes")
      end
      local small <close> = assert(shm.anonymous(1 << 16))
      refused(28, shm.arena, small, {processes = 8192}) -- the register alone is 128 KiB
    end)

    it("once it is closed", function()
      a:close()
      assert.is_true(a:close())
      assert.equal("shm.arena (closed)", tostring(a))
      for _, method in ipairs {"names", "stat", "check", "attached", "mutex", "allocate"} do
        assert.error_matches(function() a[method](a, 1) end, "closed")
      end
    end)
  end)

  describe("knows who is attached", function()
    it("since when, forked children too, and the dead no more", function()
      local now = os.time()
      local list = assert(a:attached())
      assert.equal(process.pid(), list[1].pid)
      assert(math.abs(list[1].since - now) < 60)
      local finish, child = other(function(wait) wait() end)
      local pids = {}
      for _, one in ipairs(a:attached()) do
        pids[one.pid] = true
      end
      assert.same({[process.pid()] = true, [child.pid] = true}, pids)
      finish "KILL"
      assert.equal(1, #a:attached())
    end)

    it("when there are hundreds of children", function()
      local region <close> = assert(shm.anonymous(1 << 20))
      local arena <close> = assert(shm.arena(region, {processes = 320}))
      local q <close> = assert(arena:queue "q")
      local word <close> = assert(shm.anonymous(4096))
      local children, n = {}, math.max(150, support.rounds(300))
      for i = 1, n do
        children[i] = assert(process.fork(function()
          assert(q:push(process.pid()))
          word:wait(0, 0)
        end))
      end
      local pids = {[process.pid()] = true}
      for _ = 1, n do
        pids[assert(q:pop(support.LONG))] = true
      end
      local attached = assert(arena:attached())
      for _, it in ipairs(attached) do
        assert(pids[it.pid], it.pid)
      end
      assert.equal(n + 1, #attached)
      assert(arena:drop "q")
      for i = 1, n // 2 do -- what a child has open, in whichever slot, it has until its end
        assert(children[i]:kill "KILL")
        assert(children[i]:wait(10))
      end
      local used = arena:stat().used
      q:close()
      assert.equal(n - n // 2 + 1, #arena:attached())
      assert.equal(used, arena:stat().used)
      word:store32(0, 1)
      word:wake(0)
      for i = n // 2 + 1, n do
        assert(children[i]:wait(support.LONG))
      end
      assert.equal(1, #arena:attached())
      assert(arena:stat().used < used)
      assert(arena:check())
    end)

    it("when a child closes what its parent has open", function()
      elsewhere(function()
        a:close()
        local own <close> = assert(shm.arena(r))
        assert(#own:attached() == 2)
      end)
      assert.equal(1, #a:attached())
      assert(a:check())
    end)

    it("when several arenas are open at a fork", function()
      local place <close> = assert(shm.anonymous(SIZE))
      local second <close> = assert(shm.arena(place))
      local again <close> = assert(shm.arena(place))
      elsewhere(function()
        assert(#a:attached() == 2 and #second:attached() == 2 and #again:attached() == 2)
        elsewhere(function()
          assert(#a:attached() == 3 and #second:attached() == 3)
          again:close()
          assert(#second:attached() == 3)
        end)
      end)
      assert.same({1, 1}, {#a:attached(), #again:attached()})
    end)

    it("and who had more open than the journal has room for", function()
      local place <close> = assert(shm.anonymous(4 * SIZE))
      local one <close> = assert(shm.arena(place, {journal = 2048}))
      local finish = other(function(wait)
        for i = 1, 64 do
          assert(one:allocate(100))
          assert(one:counter("c" .. i))
          assert(one:counter("d" .. i))
        end
        wait()
      end)
      local kept = {}
      for i = 1, 64 do
        kept[i] = assert(one:counter("c" .. i))
      end
      finish "KILL"
      assert.equal(1, #assert(one:attached()))
      elsewhere(function() assert(#assert(one:attached()) == 2) end)
      for i = 1, 64 do
        kept[i]:close()
        assert(one:drop("c" .. i))
        assert(one:drop("d" .. i))
      end
      assert.equal(0, one:stat().used)
    end)
  end)

  describe("grows", function()
    it("in place, while others stay attached and see it", function()
      local finish = other(function(wait)
        wait()
        assert(a:bytes("by parent"):read(0, 4) == "grew")
        assert(a:bytes("by child", 4 * SIZE)):write(4 * SIZE - 5, "again")
      end)
      local size = a:stat().size
      assert(a:bytes("by parent", 2 * SIZE)):write(0, "grew")
      assert(a:stat().size > size)
      assert.same({"exit", 0}, {finish()})
      assert.equal("again", a:bytes("by child"):read(4 * SIZE - 5, 5))
      assert(a:stat().size <= MAX)
      assert(a:check())
    end)

    it("up to max, and is full then, and goes on", function()
      local blocks = 0
      while true do
        local one, message, errno = a:bytes("b" .. blocks, 10000)
        if not one then
          assert.equal(ENOSPC, errno)
          assert.matches("full", message)
          break
        end
        blocks = blocks + 1
      end
      local stat = a:stat()
      assert.equal(MAX, stat.size)
      assert(blocks > 95 and stat.free < 20000)
      refused(ENOSPC, a.allocate, a, 20000)
      refused(ENOSPC, a.array, a, "x", shm.record {{"x", "f64"}}, 1 << 20)
      assert(a:check())
      collectgarbage()
      for i = 0, blocks - 1 do
        assert(a:drop("b" .. i))
      end
      assert.equal(0, a:stat().used)
      assert(a:bytes("all", MAX - SIZE // 4))
    end)

    it("by several at once", function()
      local children = {}
      for i = 1, 4 do
        children[i] = assert(process.fork(function()
          for j = 1, 20 do
            assert(a:bytes(i .. " " .. j, 10000)):fill(0, 10000, i)
          end
        end))
      end
      for _, child in ipairs(children) do
        assert.same({"exit", 0}, {child:wait(LONG)})
        child:close()
      end
      assert(a:check())
      for i = 1, 4 do
        for j = 1, 20 do
          assert.equal(string.char(i):rep(10000), a:bytes(i .. " " .. j):read(0, 10000))
        end
      end
    end)

    it("not before the dead have given back what they had", function()
      local place <close> = assert(shm.anonymous(SIZE))
      local one <close> = assert(shm.arena(place))
      for _, f in ipairs {
        function() assert(one:bytes("b", 30000)) assert(one:drop "b") end,
        function() assert(one:allocate(30000)) end,
      } do
        local finish = other(function(wait)
          f()
          wait()
        end)
        refused(ENOSPC, one.bytes, one, "c", 40000)
        finish "KILL"
        assert(one:bytes("c", 40000)):close()
        assert(one:drop "c")
      end
    end)
  end)

  it("answers who waits for one that is stopped in its guard", function()
    local finish, child = other(function(wait) wait() end)
    local began = process.monotonic()
    r:store32(GUARD, child.pid)
    for _, f in ipairs {a.names, a.check, function() return a:counter "c" end,
                        function() return a:allocate(1) end} do
      assert.matches("held by " .. child.pid, refused(EBUSY, f, a))
    end
    assert(process.monotonic() - began < LONG)
    finish "KILL" -- that it is dead is found, though no kernel tells
    assert(a:check())
    assert.is_true(select(2, a:counter "c"))
  end)

  it("says when its memory is gone", function()
    local fd = assert(posix.memfd_create "spec")
    assert(posix.ftruncate(fd, SIZE))
    local place <close> = assert(shm.map(fd, {mode = "rw"}))
    local one <close> = assert(shm.arena(place))
    assert(posix.ftruncate(fd, 0))
    assert.error_matches(function() one:names() end, "gone")
    assert.error_matches(function() one:counter "c" end, "gone")
    fd:close()
  end)
end)
