-- Arenas, when who uses them is killed before each store of each operation.
local chaos = require "shm.chaos"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local LONG = support.LONG
local QUICK = support.valgrind and LONG or support.asan and 2 or 0.9 -- seconds for a survivor
local SIZE, MAX = 1 << 16, 1 << 18

local PASSES = 3 -- a survivor is in time in one of them; who waits for a time-out is in none

local kills, slowest, slow = 0, 0, 0
local r, a

local function quickly(f, ...)
  local began = process.monotonic()
  local results = table.pack(f(...))
  slow = math.max(slow, process.monotonic() - began)
  return table.unpack(results, 1, results.n)
end

-- As shm.chaos does it, with survivors that are in time; returns what it returns.
local function kill_everywhere(...)
  for _ = 1, PASSES do
    slow = 0
    local count, how = chaos.kill_everywhere(...)
    if slow < QUICK then
      slowest = math.max(slowest, slow)
      return count, how
    end
  end
  error(("a survivor had to wait for %g s"):format(slow))
end

local function fresh()
  if r then
    r:close()
  end
  r = assert(shm.anonymous(SIZE, {max = MAX}))
end

local function open()
  return assert(shm.arena(r, {max = MAX}))
end

-- What can be told of the arena once the dead were reaped.
local function state()
  local attached = assert(quickly(a.attached, a))
  if #attached ~= 1 then
    error(("%d are still attached, the last is %d, and this is %d"):format(#attached,
      attached[#attached].pid, process.pid()), 0)
  end
  assert(a:check())
  local names, count = {}, 0
  for name, kind in pairs(assert(a:names())) do
    names[#names + 1] = name .. " " .. kind
    count = count + 1
  end
  table.sort(names)
  local stat = a:stat()
  assert.equal(stat.objects, count)
  return stat.used .. ": " .. table.concat(names, ", ")
end

local function let_go()
  if a then
    a:close()
    a = nil
  end
end

-- Kills an operation everywhere: what is left is what was there before, or what is there after,
-- and the operation is done then.
local function everywhere(given)
  local before, after
  local function prepare()
    if before and given.release then
      given.release()
    end
    let_go()
    fresh()
    a = open()
    given.prepare()
  end
  prepare()
  before = state()
  local child = assert(process.fork(given.operation))
  assert.same({"exit", 0}, {child:wait(LONG)})
  after = state()
  local found = {}
  local count, how = kill_everywhere(given.operation, function(_, survived)
    kills = kills + (survived and 0 or 1)
    if given.orphans then -- whose parent was killed live for a little longer
      support.eventually(function() return #a:attached() == 1 end)
    end
    local now = state()
    assert(now == before or now == after,
           ("%s\nis neither\n%s\nnor\n%s"):format(now, before, after))
    assert(not survived or now == after, "what was done is gone")
    found[now] = true
    if given.again then
      quickly(given.again, now == after)
      assert(a:check())
    end
    if given.finish then
      assert.equal(given.finish(), state())
    end
  end, {prepare = prepare, timeout = LONG, rounds = support.rounds(20), mode = support.chaos_mode})
  assert(count > 0 or how == "random")
  assert(how == "random" or found[after])
  if given.release then
    given.release()
  end
end

describe("who is killed before any store to an arena", function()
  before_each(fresh)

  after_each(function()
    let_go()
    r:close()
    r = nil
    collectgarbage()
  end)

  teardown(function()
    io.write(("\nkilled at %d stores; the slowest survivor waited for %.1f ms\n")
      :format(kills, slowest * 1000))
  end)

  it("leaves memory in which it can be made, or is", function()
    kill_everywhere(open, function(_, survived)
      kills = kills + (survived and 0 or 1)
      local made
      a, made = quickly(open)
      assert(not (survived and made))
      assert.equal("0: ", state())
      assert.is_true(select(2, a:mutex "m"))
    end, {prepare = function() let_go() fresh() end, timeout = LONG, rounds = support.rounds(20),
        mode = support.chaos_mode})
  end)

  it("leaves a name under which it can be made, or is", function()
    local name = "shm-spec-" .. support.key()
    kill_everywhere(function()
      assert(shm.arena(name, {size = SIZE, max = MAX}))
    end, function(_, survived)
      kills = kills + (survived and 0 or 1)
      local made
      a, made = quickly(shm.arena, name, {size = SIZE, max = MAX})
      assert(a, made)
      assert(not (survived and made))
      assert.equal("0: ", state())
      assert.equal(MAX, a:stat().max)
      assert(a:bytes("more", SIZE + 1)) -- it grows
    end, {prepare = function()
      let_go()
      shm.unlink(name)
    end, timeout = LONG, rounds = support.rounds(20), mode = support.chaos_mode})
    shm.unlink(name)
  end)

  local function nothing() end

  it("leaves no process: attaching", function()
    everywhere {prepare = nothing, operation = open}
  end)

  it("leaves no process: attaching and closing", function()
    everywhere {prepare = nothing, operation = function() open():close() end}
  end)

  it("leaves no process: closing what a child has from its parent", function()
    local m
    everywhere {
      prepare = function() m = a:mutex "m" end,
      operation = function() m:close() a:close() end,
      again = function() m:lock() m:unlock() end,
      release = function() m:close() end,
    }
  end)

  it("leaves no process: forking", function()
    local m
    everywhere {
      orphans = true,
      prepare = function() m = a:mutex "m" end,
      operation = function()
        local child = assert(process.fork(function() m:lock() m:unlock() end))
        assert(child:wait(LONG))
      end,
      release = function() m:close() end,
    }
  end)

  local MAKE = {
    mutex = {}, rwlock = {}, semaphore = {3}, event = {{manual = true}}, condition = {},
    barrier = {2}, counter = {7}, bytes = {1000, 5},
  }
  for kind, arguments in pairs(MAKE) do
    it("leaves a " .. kind .. " that is there whole, or not at all", function()
      local function make()
        return assert(a[kind](a, "made", table.unpack(arguments)))
      end
      everywhere {
        prepare = function() a:counter("other", 1):close() end,
        operation = make,
        again = function(there)
          local one <close>, made = a[kind](a, "made", table.unpack(arguments))
          assert(one, made)
          assert.equal(not there, made)
          if kind == "bytes" then
            assert.equal(("\0"):rep(1000), one:read(0, 1000))
          end
        end,
      }
    end)
  end

  it("leaves an object that was found", function()
    everywhere {
      prepare = function() a:counter("found", 7):close() end,
      operation = function() assert(a:counter "found") end,
      again = function() assert.equal(7, a:counter("found"):get()) end,
    }
  end)

  -- Free blocks of many sizes, so that links lead through what is taken.
  local function fragment()
    local kept = {}
    for i = 1, 40 do
      kept[i] = a:allocate(i % 8 * 40 + 100):keep()
    end
    for i = 1, 40, 2 do
      assert(a:free(kept[i]))
    end
    return kept
  end

  it("leaves free memory free: between blocks that are linked", function()
    everywhere {
      prepare = fragment,
      operation = function() assert(a:bytes("made", 200)):write(0, ("x"):rep(200)) end,
      again = function() assert(a:bytes("next", 220)) end,
    }
  end)

  it("leaves an object for which the arena had to grow, or not", function()
    everywhere {
      prepare = function() a:bytes("first", SIZE // 2):close() end,
      operation = function() assert(a:bytes("second", SIZE)) end,
      again = function() assert(a:bytes("third", SIZE // 2)) end,
    }
  end)

  it("leaves what is dropped, or is not", function()
    everywhere {
      prepare = function()
        for i = 1, 4 do
          a:bytes("b" .. i, 300 * i):close()
        end
      end,
      operation = function() assert(a:drop "b3") end,
      again = function(gone)
        local done, _, errno = a:drop "b3"
        assert.same({not gone or nil, gone and 2 or nil}, {done, errno})
      end,
    }
  end)

  it("leaves what is dropped and open elsewhere to those", function()
    local kept
    everywhere {
      prepare = function()
        kept = a:bytes("kept", 300)
        kept:write(0, "here")
      end,
      operation = function() assert(a:drop "kept") end,
      again = function(gone)
        assert.equal("here", kept:read(0, 4))
        assert(gone or a:drop "kept")
        assert(a:bytes("another", 300)):fill(0, 300, 255)
        assert(a:drop "another")
        assert.equal("here", kept:read(0, 4))
      end,
      finish = function()
        kept:close()
        collectgarbage()
        return "0: "
      end,
      release = function() kept:close() end,
    }
  end)

  it("leaves what was dropped: closing it", function()
    local kept
    everywhere {
      prepare = function()
        kept = a:mutex "kept"
        assert(a:drop "kept")
      end,
      operation = function() kept:close() end,
      finish = function()
        kept:close()
        return "0: "
      end,
      release = function() kept:close() end,
    }
  end)

  it("leaves what was dropped: closing the last handle", function()
    everywhere {
      prepare = function() a:bytes("kept", 300):close() end,
      operation = function()
        local one = a:bytes("kept", 300)
        a:drop "kept"
        one:close()
      end,
      again = function(gone)
        assert(gone or a:drop "kept")
        assert.equal("0: ", state())
      end,
    }
  end)

  it("leaves no block that nobody knows: allocating", function()
    everywhere {
      prepare = fragment,
      operation = function() assert(a:allocate(150)) end,
      again = function() a:allocate(150):close() end,
    }
  end)

  it("leaves no block that nobody knows: allocating where it has to grow", function()
    everywhere {
      prepare = fragment,
      operation = function() assert(a:allocate(SIZE)) end,
      again = function() a:allocate(SIZE):close() end,
    }
  end)

  it("leaves no block that nobody knows: closing it", function()
    everywhere {
      prepare = fragment,
      operation = function() assert(a:allocate(150)):close() end,
    }
  end)

  it("leaves a block that is kept, or free", function()
    everywhere {
      prepare = fragment,
      operation = function() assert(assert(a:allocate(150)):keep()) end,
    }
  end)

  it("leaves a block that is freed, or not", function()
    local kept
    everywhere {
      prepare = function() kept = fragment() end,
      operation = function() assert(a:free(kept[20])) end,
      again = function(gone) assert.equal(not gone or nil, (a:free(kept[20]))) end,
    }
  end)

  it("leaves the dead to the next who reaps", function()
    everywhere {
      prepare = function()
        local child = assert(process.fork(function()
          for i = 1, 10 do
            assert(a:allocate(i * 100))
            assert(a:counter("counter" .. i))
          end
          local dropped = assert(a:bytes("dropped", 500))
          a:drop "dropped"
          process.kill(process.pid(), "KILL")
          dropped:close()
        end))
        assert.same({"signal", "KILL"}, {child:wait(LONG)})
        child:close()
      end,
      operation = function() assert(a:attached()) end,
    }
  end)
end)
