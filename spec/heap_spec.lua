-- The memory of an arena: blocks, whoever takes and gives them, and whatever lies there.
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local LONG = support.LONG
local SIZE, MAX = 1 << 16, 1 << 20
local GUARD <const> = 2560 + 128 * 16 -- whose owners spec/c/fuzz.c invents; then the journal
local HEAP <const> = 64 -- where the first block and the fence lie
local ENOENT, EAGAIN, EBADMSG = 2, 11, 74

describe("memory of an arena", function()
  local r, a

  before_each(function()
    r = assert(shm.anonymous(SIZE, {max = MAX}))
    a = assert(shm.arena(r, {max = MAX}))
  end)

  after_each(function()
    a:close()
    r:close()
    a, r = nil, nil
    collectgarbage()
    assert.equal(0, support.children())
  end)

  local function absent(f, ...)
    local value, message, errno = f(...)
    assert.is_nil(value)
    assert.equal(ENOENT, errno, message)
  end

  it("is taken, kept, seen and freed", function()
    local block = assert(a:allocate(100))
    local offset = block:offset()
    assert.equal(0, offset % 16)
    assert.matches("^shm.block %(anonymous at " .. offset .. "%)$", tostring(block))
    local bytes <close> = a:view(offset)
    assert(#bytes >= 100 and #bytes < 132)
    assert.equal(("\0"):rep(100), bytes:read(0, 100))
    assert.equal(offset, block:keep())
    assert.equal("shm.block (closed)", tostring(block))
    bytes:write(0, "kept")
    local child <close> = assert(process.fork(function()
      local own <close> = shm.arena(r)
      assert(own:view(offset):read(0, 4) == "kept")
      assert(own:free(offset))
    end))
    assert.same({"exit", 0}, {child:wait(LONG)})
    absent(a.free, a, offset)
    absent(a.view, a, offset)
    assert.equal(0, a:stat().used)
  end)

  it("is free again when a block is closed, collected or its process killed", function()
    a:allocate(100):close()
    do local _ <close> = a:allocate(100) end
    a:allocate(100)
    collectgarbage()
    assert.equal(0, a:stat().used)
    local child <close> = assert(process.fork(function()
      local one, two = a:allocate(100), a:allocate(100)
      two:keep()
      process.kill(process.pid(), "KILL")
      one:close()
    end))
    assert.same({"signal", "KILL"}, {child:wait(LONG)})
    local used = a:stat().used
    assert.equal(1, #a:attached())
    assert.equal(used / 2, a:stat().used)
    assert(a:check())
  end)

  it("is a child's to use, and its parent's to give back", function()
    local block = a:allocate(100)
    local child <close> = assert(process.fork(function()
      a:view(block:offset()):write(0, "child")
    end))
    assert.same({"exit", 0}, {child:wait(LONG)})
    assert.equal(1, #a:attached())
    assert.equal("child", a:view(block:offset()):read(0, 5))
    block:close()
    assert.equal(0, a:stat().used)
  end)

  -- What f does in a child, whose end is a good one.
  local function elsewhere(f)
    local child <close> = assert(process.fork(f))
    assert.same({"exit", 0}, {child:wait(LONG)})
  end

  it("is not given back by a child that closes its handle of a parent's block", function()
    local block = a:allocate(100)
    elsewhere(function()
      assert(block:close())
      assert(tostring(block) == "shm.block (closed)")
    end)
    assert(#a:view(block:offset()) >= 100)
    local other = a:allocate(100)
    assert.not_equal(block:offset(), other:offset())
    elsewhere(function()
      block:close()
      other:close()
      collectgarbage()
    end)
    a:view(other:offset()):write(0, "other")
    block:close()
    assert.equal("other", a:view(other:offset()):read(0, 5))
    other:close()
    assert.equal(0, a:stat().used)
  end)

  it("is not given back by a handle that is left of a block, once that is another's", function()
    local ours <close>, theirs = assert(process.socketpair "seqpacket")
    local block = a:allocate(100)
    local offset = block:offset()
    local child <close> = assert(process.fork(function()
      assert(theirs:recv(10, LONG) == "given")
      assert(a:attached())
      local mine = assert(a:allocate(100))
      assert(mine:offset() == offset)
      local kept, _, errno = block:keep() -- its parent's, which is no more
      assert(kept == nil and errno == ENOENT)
      block:close()
      assert(#a:view(offset) >= 100)
      theirs:send "taken"
      assert(theirs:recv(10, LONG) == "freed")
      mine:close()
    end))
    theirs:close()
    block:close()
    ours:send "given"
    assert.equal("taken", ours:recv(10, LONG))
    absent(a.free, a, offset) -- what is not kept yet is its process's
    assert(#a:view(offset) >= 100)
    ours:send "freed"
    assert.same({"exit", 0}, {child:wait(LONG)})
    assert.equal(0, a:stat().used)
  end)

  it("is kept by a child for its parent, who gives it back by its offset then", function()
    local block = a:allocate(100)
    local offset = block:offset()
    elsewhere(function() assert(block:keep() == offset) end)
    absent(block.keep, block)
    block:close()
    assert(a:free(offset))
    assert.equal(0, a:stat().used)
  end)

  it("is freed only once it was kept", function()
    local block = a:allocate(100)
    absent(a.free, a, block:offset())
    local offset = block:keep()
    assert(a:free(offset))
    absent(a.free, a, offset)
    assert.equal(0, a:stat().used)
  end)

  it("is free again when a child dies for which there was no place in the register", function()
    local place <close> = assert(shm.anonymous(MAX))
    local all = {}
    for i = 1, 64 do
      all[i] = assert(shm.arena(place, {processes = 1})) -- which are 64
    end
    local map <close> = assert(all[1]:map "map")
    local used = all[1]:stat().used
    for _ = 1, 3 do
      local child <close> = assert(process.fork(function()
        for _ = 1, 30 do
          assert(all[1]:allocate(100))
        end
        assert(map:set("large", ("x"):rep(5000)) and map:delete "large")
        process.kill(process.pid(), "KILL")
      end))
      assert.same({"signal", "KILL"}, {child:wait(LONG)})
      assert.equal(1, #all[1]:attached())
      assert.equal(used, all[1]:stat().used)
    end
    assert(all[1]:check())
    map:close()
    for _, one in ipairs(all) do
      one:close()
    end
  end)

  it("can be 64 blocks that are not kept yet", function()
    local blocks = {}
    for i = 1, 64 do
      blocks[i] = assert(a:allocate(i))
    end
    local one, message, errno = a:allocate(1)
    assert.is_nil(one)
    assert.equal(EAGAIN, errno, message)
    blocks[7]:close()
    assert(a:allocate(1)):close()
    blocks[8]:keep()
    assert(a:allocate(1)):close()
    for _, block in ipairs(blocks) do
      block:close()
    end
  end)

  it("is given back once, and by an offset that keep gave", function()
    local kept = {}
    for i = 1, 5 do
      kept[i] = a:allocate(200):keep()
    end
    local named <close> = assert(a:bytes("named", 100))
    local used = a:stat().used
    local place = named:address() - r:address()
    assert(a:free(kept[3]))
    for _, offset in ipairs {kept[3], kept[2] + 16, kept[2] + 1, kept[2] - 8, place, place - 8, 0,
                             -1, 16, 2560, GUARD, SIZE, MAX, 1 << 36, 1 << 40, math.maxinteger,
                             math.mininteger} do
      absent(a.free, a, offset)
      absent(a.view, a, offset)
    end
    assert(a:check())
    assert(a:stat().used < used)
    assert.error_matches(function() a:free "1" end, "offset")
    assert.error_matches(function() a:allocate(0) end, "size")
    assert.error_matches(function() a:allocate(1.5) end, "size")
  end)

  it("that was given back, or was its process's who died, is nobody's by its offset", function()
    local front, block = a:allocate(50), a:allocate(200)
    local offset = block:offset()
    front:close()
    block:close() -- which is joined with what is free in front of it
    absent(a.view, a, offset)
    absent(a.free, a, offset)
    assert(a:check())
    local child <close> = assert(process.fork(function()
      local _ = a:allocate(50)
      block = a:allocate(200)
      assert(block:offset() == offset)
      process.kill(process.pid(), "KILL")
    end))
    assert.same({"signal", "KILL"}, {child:wait(LONG)})
    assert(a:attached())
    absent(a.free, a, offset)
    assert(a:check())
    assert.equal(0, a:stat().used)
  end)

  it("that is kept by a closed block is refused", function()
    local block = a:allocate(1)
    block:close()
    assert.is_true(block:close())
    assert.error_matches(function() block:keep() end, "closed")
    assert.error_matches(function() block:offset() end, "closed")
  end)

  -- For so many bytes, with the block's header; and how many units are free.
  for name, ask in pairs {
    ["a block"] = {1200, function(one, _, n) return one:allocate(n - 16) end},
    ["an object"] = {1200, function(one, _, n) return one:bytes("new", n - 72) end},
    ["a large value"] = {1200, function(_, m, n) return m:set(1, ("x"):rep(n - 60)) end},
    ["a small value"] = {150, function(_, m, n) return m:set(1, ("x"):rep(n - 60)) end},
  } do
    it("is not what lies behind it, whatever is said there: " .. name, function()
      local units, f = table.unpack(ask)
      elsewhere(function()
        local place <close> = assert(shm.anonymous(SIZE))
        local one <close> = assert(shm.arena(place))
        local m <close> = assert(one:map "m")
        local hole = assert(one:allocate(400)):keep() -- for what else it takes
        local start, fence = place:get_u32(HEAP), place:get_u32(HEAP + 4)
        assert(one:allocate((fence - start - units) * 16 - one:stat().used - 16)):keep()
        assert(one:free(hole))
        local block, most = (fence - units) * 16, units | (units > 1000 and 127 or 15)
        assert(place:get_u32(block) == units)
        place:set_u32(block, most) -- which is of the same class
        local used = one:stat().used
        support.refused(EBADMSG, "makes no sense", f(one, m, most * 16))
        assert(one:stat().used == used and #m == 0 and m:get(1) == nil)
        place:set_u32(block, units)
        assert(one:check())
      end)
    end)
  end

  it("outlives the arena's handle while there is a block", function()
    local place = assert(shm.anonymous(SIZE))
    local one = assert(shm.arena(place))
    local block = one:allocate(100)
    one:close()
    place:close()
    assert(block:keep() > 0)
  end)

  -- What a block of the model is filled with.
  local function pattern(n, size)
    return string.char(n % 255 + 1):rep(size)
  end

  it("is nobody else's, whatever is taken and given in whatever order", function()
    local seed = os.time() ~ process.pid()
    math.randomseed(seed)
    local kept, private, n = {}, {}, 0

    local function look(offset, one)
      assert.equal(pattern(one.n, one.size), a:view(offset):read(0, one.size), "seed " .. seed)
    end

    local function some(list)
      local offsets = {}
      for offset in pairs(list) do
        offsets[#offsets + 1] = offset
      end
      return offsets[math.random(#offsets)]
    end

    local steps = {
      function()
        local size = math.random(4) == 1 and math.random(20000) or math.random(300)
        local block, message, errno = a:allocate(size)
        if not block then
          assert(errno == 28 or errno == EAGAIN, message)
          return
        end
        n = n + 1
        a:view(block:offset()):write(0, pattern(n, size))
        private[block:offset()] = {n = n, size = size, block = block}
      end,
      function()
        local offset = some(private)
        local one = private[offset]
        look(offset, one)
        assert.equal(offset, assert(one.block:keep()))
        private[offset], kept[offset] = nil, one
      end,
      function()
        local offset = some(private)
        look(offset, private[offset])
        private[offset].block:close()
        private[offset] = nil
      end,
      function()
        local offset = some(kept)
        look(offset, kept[offset])
        assert(a:free(offset))
        kept[offset] = nil
      end,
    }
    local lists = {false, private, private, kept}
    for i = 1, support.rounds(20000) do
      local which = math.random(-1, 4)
      which = which < 1 and 1 or which
      if i % 4000 > 2500 and which == 1 then
        which = 4
      end
      if not lists[which] or next(lists[which]) then
        steps[which]()
      end
      if i % 500 == 0 then
        assert(a:check(), "seed " .. seed)
      end
    end
    for offset, one in pairs(private) do
      look(offset, one)
      one.block:close()
    end
    for offset, one in pairs(kept) do
      look(offset, one)
      assert(a:free(offset))
    end
    assert(a:check())
    assert.equal(0, a:stat().used)
  end)

  -- Every operation, each of which may answer anything.
  local function use(arena, region)
    local answers = 0
    local function try(f, ...)
      local ok, message = pcall(f, ...)
      assert(ok or not tostring(message):match "gone", message)
      answers = answers + 1
    end
    local second = shm.arena(region)
    for _, one in ipairs {arena, second} do
      for _, name in ipairs {"names", "stat", "check", "attached"} do
        try(one[name], one)
      end
      for i, kind in ipairs {"mutex", "rwlock", "semaphore", "event", "condition", "counter"} do
        try(function()
          local object <close> = one[kind](one, kind .. i % 3)
          assert(object or true)
        end)
        try(one.drop, one, kind .. (i + 1) % 3)
      end
      for i = 1, 4 do
        try(function()
          local block <close> = one:allocate(i * 300)
          if block and i % 2 == 0 then
            one:free(block:keep())
          end
        end)
        try(function() one:bytes("bytes" .. i, i * 100):close() end)
        try(one.free, one, math.random(0, 2 * SIZE) & ~15)
        try(one.view, one, math.random(0, 2 * SIZE) & ~15)
      end
    end
    if second then
      second:close()
    end
    return answers
  end

  it("may have anything for its guard's word: who waits gets an answer", function()
    local words = {1, 0x80000001, process.pid(), 0x3fffffff, 0xffffffff, 0x40000000, 0x80000000}
    for _, word in ipairs(words) do
      r:set_u32(GUARD, word)
      local began = process.monotonic()
      local names, _, errno = a:names()
      assert(names or errno == 16)
      assert(process.monotonic() - began < LONG)
      r:set_u32(GUARD, 0)
      assert(a:check())
    end
  end)

  it("may hold anything: no operation crashes, hangs or reaches outside", function()
    local values = {0, 1, 0xffffffff, 0x80000000, 0x80000001, 16, 288, 549, SIZE // 16, 0x7fffffff}
    for round = 1, support.rounds(400) do
      math.randomseed(round)
      local journal = round % 4 == 0 -- which may undo anywhere in the mapping
      local child <close> = assert(process.fork(function()
        local around <close> = assert(shm.anonymous(3 * SIZE))
        local place = around:view(SIZE, SIZE)
        local one = assert(shm.arena(place, {journal = 4096}))
        for i = 1, 8 do
          one:bytes("bytes" .. i % 5, i % 5 * 100 + 1)
          one:mutex("mutex" .. i)
          one:allocate(i * 100):keep()
        end
        local dropped, map = one:bytes("dropped", 100), assert(one:map "map")
        one:drop "dropped"
        for i = 1, 100 do
          map:set(i, ("x"):rep(i))
        end
        for _ = 1, 1 << math.random(0, 10) do
          local at = math.random(3) == 1 and math.random(24, SIZE - 4)
            or math.random(24, 16384)
          at = at & ~3
          if at < GUARD or at >= GUARD + 16 or journal and at >= GUARD + 8 then
            local value = values[math.random(#values * 2)] or math.random(0, 0xffffffff)
            place:set_u32(at, value)
          end
        end
        use(one, place)
        dropped:close()
        map:close()
        pcall(one.drop, one, "map")
        pcall(one.check, one)
        one:close()
        for _, offset in ipairs(journal and {} or {0, 2 * SIZE}) do
          assert(around:read(offset, SIZE) == ("\0"):rep(SIZE), "it wrote outside")
        end
      end))
      local how, code = child:wait(LONG)
      if how ~= "exit" or code ~= 0 then
        child:kill "KILL"
        child:wait()
      end
      assert.equal("exit 0", ("%s %s"):format(how, code), "round " .. round)
    end
  end)
end)
