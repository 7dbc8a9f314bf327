-- Mutual exclusion in software. spec/model has what is proved of the algorithms; here they run,
-- in processes; lab_exclusion_spec.lua takes their source through every schedule of a model.
local exclusion = require "shm.exclusion"
local lock_support = require "spec.lock_support"
local process = require "shm.process"
local shm = require "shm"
local soak = require "spec.exclusion_soak"
local support = require "spec.support"

local LONG = lock_support.LONG
local refused = lock_support.refused
local EINTR, EOVERFLOW = lock_support.EINTR, lock_support.EOVERFLOW
local ETIMEDOUT = lock_support.ETIMEDOUT
local LINE <const> = 64

-- The error points at the caller, which is here; luassert would take that away.
local function misused(said, call)
  local ok, problem = pcall(call)
  assert.is_false(ok)
  assert.matches("exclusion_spec%.lua:%d+: exclusion%." .. said, problem)
end

describe("exclusion", function()
  local region

  before_each(function()
    region = assert(shm.anonymous(1 << 14))
  end)

  after_each(function()
    region:close()
  end)

  -- No word says that anybody is there; a turn, and who was a victim, may stay.
  local function all_outside(name, n)
    local algorithm = require("shm.exclusion." .. name)
    for i, word in ipairs(algorithm.words(n)) do
      if not word:match "^turn" and not word:match "^victim" then
        assert.equal(0, region:get_i64((i - 1) * LINE), word)
      end
    end
  end

  for _, name in ipairs(soak.LOCKS) do
    local algorithm = require("shm.exclusion." .. name)
    local most = algorithm.most or 8

    describe("by " .. name, function()
      for _, order in ipairs {"atomic", "fence"} do
        it("loses no entry of two, order " .. order, function()
          local lost, collisions = soak.run(name, 2, support.rounds(20000) * 2, order)
          assert.same({0, 0}, {lost, collisions})
        end)
      end

      if most > 2 then
        it("loses no entry of eight", function()
          local lost, collisions = soak.run(name, 8, support.rounds(1000) * 8, "atomic")
          assert.same({0, 0}, {lost, collisions})
        end)
      end

      it("goes on where there is one cpu only", function()
        local script = ([[package.path = "./?.lua;" .. package.path
          print(require("spec.exclusion_soak").run("%s", 2, %d, "atomic"))]])
          :format(name, support.rounds(2000) * 2)
        local said = support.shell(("taskset -c $(taskset -cp $$ | grep -o '[0-9]*$') "
                                    .. "lua5.4 -e '%s' 2>&1"):format(script))
        assert.matches("^0\t0\t[%d.]+\n$", said)
      end)

      it("lets in one after another, whoever was there", function()
        local lock <close> = soak.lock(name, region, 0, most)
        for me = 1, most do
          assert.is_true(lock:enter(me))
          assert.is_true(lock:leave(me))
        end
        for me = most, 1, -1 do
          assert.is_true(lock:enter(me, 0))
          assert.is_true(lock:leave(me, 0))
        end
        all_outside(name, most)
      end)

      it("has a time for waiting, after which one can come again", function()
        local lock <close> = soak.lock(name, region, 0, most)
        assert.is_true(lock:enter(2))
        for _, timeout in ipairs {0, 0.01} do
          local said = ("^exclusion%%.enter '%s' 1: Connection timed out$"):format(name)
          refused(ETIMEDOUT, said, lock:enter(1, timeout))
        end
        assert.is_true(lock:leave(2))
        assert.is_true(lock:enter(1, LONG))
        refused(ETIMEDOUT, "timed out", lock:enter(2, 0))
        assert.is_true(lock:leave(1))
        assert.is_true(lock:enter(2, LONG))
        assert.is_true(lock:leave(2))
        all_outside(name, most)
      end)

      it("waits for as long as it takes, if no time is given, also after one was", function()
        local lock <close> = soak.lock(name, region, 0, most)
        assert.is_true(lock:enter(2))
        refused(ETIMEDOUT, "timed out", lock:enter(1, 0))
        local child <close> = lock_support.child(function()
          assert(lock:enter(1))
          region:store(8192, 1)
          assert(lock:leave(1))
        end)
        support.asleep(child.pid) -- it has spun and yielded enough
        assert.equal(0, region:load(8192))
        assert.is_true(lock:leave(2))
        assert.is_true(child.ended())
        assert.equal(1, region:load(8192))
        all_outside(name, most)
      end)

      it("ends its wait on Ctrl-C, after which leaving takes back what it had begun", function()
        local lock <close> = soak.lock(name, region, 0, most)
        assert.is_true(lock:enter(1))
        assert.is_true(support.interrupts(function()
          local _, problem = pcall(lock.enter, lock, 2)
          if name ~= "szymanski" then -- where nobody can turn back
            assert(lock:leave(2))
          end
          error(problem)
        end))
        assert.is_true(lock:leave(1, LONG))
        if name ~= "szymanski" then
          all_outside(name, most)
        end
      end)

      it("says that a signal ended its wait", function()
        local sleep = process.sleep
        local _ <close> = setmetatable({}, {__close = function() process.sleep = sleep end})
        function process.sleep()
          return nil, "process.sleep: Interrupted system call", EINTR
        end
        local lock <close> = soak.lock(name, region, 0, most)
        assert.is_true(lock:enter(2))
        refused(EINTR, ("^exclusion%%.enter '%s' 1: Interrupted system call$"):format(name),
                lock:enter(1))
      end)

      it("can not outlive its holder, where shm.mutex does", function()
        local lock <close> = soak.lock(name, region, 0, most)
        local mutex <close> = assert(shm.mutex.create(region, 8192))
        lock_support.dead(function()
          assert(lock:enter(1))
          assert(mutex:lock())
        end)
        refused(ETIMEDOUT, "timed out", lock:enter(2, 0.05))
        local ok, word = mutex:lock(LONG)
        assert.same({true, "recovered"}, {ok, word})
        mutex:unlock()
        region:fill(0, exclusion.size(most)) -- as only who knows that all have gone may do
        local again <close> = soak.lock(name, region, 0, most)
        assert.is_true(again:enter(2, 0))
        assert.is_true(again:leave(2))
      end)

      it("is one lock by two names of the memory, and by two handles", function()
        local view <close> = region:view(64, exclusion.size(most))
        local one <close> = soak.lock(name, region, 64, most)
        local other <close> = soak.lock(name, view, 0, most)
        assert.is_true(one:enter(1))
        refused(ETIMEDOUT, "timed out", other:enter(2, 0))
        assert.is_true(one:leave(1))
        assert.is_true(other:enter(2, 0))
        assert.is_true(other:leave(2))
      end)

      it("takes entering twice, and leaving from outside, for mistakes", function()
        local lock <close> = soak.lock(name, region, 0, most)
        misused("leave: process 1 is not inside", function() lock:leave(1) end)
        assert.is_true(lock:enter(1))
        misused("enter: process 1 is inside already", function() lock:enter(1) end)
        assert.is_true(lock:leave(1))
      end)

      it("touches no byte outside its size", function()
        local size = exclusion.size(most)
        region:fill(0, 4096, 0xff)
        region:fill(1024, size)
        local lock <close> = soak.lock(name, region, 1024, most)
        for me = 1, most do
          lock:enter(me)
          lock:leave(me)
        end
        assert.equal(("\xff"):rep(1024), region:read(0, 1024))
        assert.equal(("\xff"):rep(64), region:read(1024 + size, 64))
      end)
    end)
  end

  it("by szymanski keeps the place of who has waited long enough", function()
    local lock <close> = exclusion.szymanski(region, 0, 3)
    assert.is_true(lock:enter(1))
    refused(ETIMEDOUT, "enter 'szymanski' 2: Connection timed out", lock:enter(2, 0))
    assert.equal(1, region:get_i64(LINE)) -- at the door
    assert.is_true(lock:leave(1))
    refused(ETIMEDOUT, "timed out", lock:enter(1, 0)) -- waits in the room for who is at the door
    assert.equal(2, region:get_i64(0))
    assert.is_false(pcall(lock.leave, lock, 3))
    refused(ETIMEDOUT, "timed out", lock:enter(2, 0)) -- has shut it, and lets 1 go first
    assert.equal(4, region:get_i64(LINE))
    assert.is_true(lock:enter(1, 0))
    assert.is_true(lock:leave(1, 0))
    assert.is_true(lock:enter(2, 0))
    assert.is_true(lock:leave(2, 0))
  end)

  it("by szymanski leaves once those in the room have seen the door shut, not before", function()
    local lock <close> = exclusion.szymanski(region, 0, 2)
    assert.is_true(lock:enter(1))
    region:store(LINE, 2) -- 2 is in the room, and has not looked yet
    refused(ETIMEDOUT, "^exclusion%.leave 'szymanski' 1: Connection timed out$", lock:leave(1, 0))
    assert.error_matches(function() lock:enter(1) end, "inside already")
    region:store(LINE, 4)
    assert.is_true(lock:leave(1, 0))
  end)

  it("by szymanski says that a signal ended its wait to leave, and is inside then", function()
    local sleep = process.sleep
    local _ <close> = setmetatable({}, {__close = function() process.sleep = sleep end})
    function process.sleep()
      return nil, "process.sleep: Interrupted system call", EINTR
    end
    local lock <close> = exclusion.szymanski(region, 0, 2)
    assert.is_true(lock:enter(1))
    region:store(LINE, 2) -- 2 is in the room, and has not looked yet
    refused(EINTR, "^exclusion%.leave 'szymanski' 1: Interrupted system call$", lock:leave(1))
    assert.error_matches(function() lock:enter(1) end, "inside already")
    region:store(LINE, 4)
    assert.is_true(lock:leave(1))
  end)

  it("lets others run, then sleeps for longer each time up to some bound", function()
    local real = {sleep = process.sleep, yield = process.yield}
    local _ <close> = setmetatable({}, {__close = function()
      process.sleep, process.yield = real.sleep, real.yield
    end})
    local yields, naps = 0, {}
    function process.yield()
      yields = yields + 1
      assert.equal(0, #naps)
    end
    local lock <close> = exclusion.peterson(region, 0)
    function process.sleep(seconds)
      naps[#naps + 1] = seconds
      if #naps == 20 then
        region:store(0, 0) -- 1 has left
      end
      return true
    end
    assert.is_true(lock:enter(1))
    assert.is_true(lock:enter(2))
    assert(yields > 0 and #naps == 20)
    for i = 2, #naps do
      assert(naps[i] >= naps[i - 1])
    end
    assert(naps[1] < naps[20] and naps[19] == naps[20])
  end)

  it("by szymanski goes through to leave, as nobody can turn back", function()
    local lock <close> = exclusion.szymanski(region, 0, 2)
    assert.is_true(lock:enter(1))
    refused(ETIMEDOUT, "timed out", lock:enter(2, 0))
    refused(ETIMEDOUT, "^exclusion%.leave 'szymanski' 2: Connection timed out$", lock:leave(2, 0))
    assert.is_true(lock:leave(1))
    assert.is_true(lock:leave(2, 0))
    assert.same({0, 0}, {region:get_i64(0), region:get_i64(LINE)})
  end)

  it("by szymanski reads the flags in ascending order, without which two are inside", function()
    local read = {}
    local enter = require("shm.exclusion.szymanski").bind({
      reader = function(name) return function() read[#read + 1] = name return 0 end end,
      writer = function() return function() end end,
      fence = function() end,
      await = function(condition) return condition() end,
    }, 3, 4)
    assert.is_true(enter())
    assert.equal("flag3 flag1 flag2 flag4 flag1 flag2 flag4 flag1 flag2", table.concat(read, " "))
  end)

  it("by bakery serves who came first", function()
    local lock <close> = exclusion.bakery(region, 0, 3)
    assert.is_true(lock:enter(3))
    region:store(4 * LINE, 2) -- number2: 2 came next
    assert.is_true(lock:leave(3))
    refused(ETIMEDOUT, "timed out", lock:enter(1, 0))
    region:store(4 * LINE, 0)
    assert.is_true(lock:enter(1, 0))
  end)

  it("by bakery says when numbers have run out", function()
    local lock <close> = exclusion.bakery(region, 0, 2)
    region:store(3 * LINE, math.maxinteger)
    refused(EOVERFLOW, "^exclusion%.enter 'bakery' 1: Value too large", lock:enter(1))
    assert.same({0, 0}, {region:load(0), region:load(2 * LINE)}) -- it does not stay there
    region:store(3 * LINE, 0)
    assert.is_true(lock:enter(1, 0))
  end)

  it("needs words of zeros in every process alike, and no other preparation", function()
    local name = "shm-spec-" .. support.key()
    local named <close> = assert(shm.create(name, exclusion.size(2)))
    local _ <close> = setmetatable({}, {__close = function() shm.unlink(name) end})
    local lock <close> = exclusion.peterson(named, 0)
    assert.is_true(lock:enter(1))
    local child <close> = lock_support.child(function()
      local attached <close> = assert(shm.attach(name))
      local theirs <close> = exclusion.peterson(attached, 0)
      local ok, _, errno = theirs:enter(2, 0)
      assert(not ok and errno == ETIMEDOUT)
    end)
    assert.is_true(child.ended())
  end)

  it("has functions of one process for those who count nanoseconds", function()
    local lock <close> = exclusion.dekker(region, 0)
    local enter, leave = lock:seat(1)
    assert.is_true(enter(0))
    assert.error_matches(function() lock:enter(1) end, "inside already")
    assert.error_matches(function() enter(0) end, "inside already")
    assert.is_true(leave())
    misused("enter: timeout: seconds expected, got %-1", function() enter(-1) end)
    assert.is_true(lock:enter(1))
    assert.is_true(lock:leave(1))
  end)

  it("refuses what is no place, no number and no order", function()
    local small <close> = assert(shm.anonymous(64))
    local closed = assert(shm.anonymous(4096))
    closed:close()
    local name = "shm-spec-" .. support.key()
    local whole <close> = assert(shm.create(name, 4096))
    local readonly <close> = assert(shm.attach(name, {readonly = true}))
    assert(shm.unlink(name))
    for said, call in pairs {
      ["region: shm.region expected, got table"] = function() exclusion.peterson({}, 0) end,
      ["region is closed"] = function() exclusion.peterson(closed, 0) end,
      ["peterson: .*read%-only"] = function() exclusion.peterson(readonly, 0) end,
      ["offset: integer expected"] = function() exclusion.peterson(whole, "x") end,
      ["4 is not a multiple of 8"] = function() exclusion.peterson(whole, 4) end,
      ["0, and 256 bytes from there, is not within the 64"] = function()
        exclusion.dekker(small, 0)
      end,
      ["3088, and 1024 bytes from there, is not within the 4096"] = function()
        exclusion.bakery(whole, 3088, 8)
      end,
      ["filter: n: integer from 2 to 64 expected, got 1$"] = function()
        exclusion.filter(region, 0, 1)
      end,
      ["got 65"] = function() exclusion.szymanski(region, 0, 65) end,
      ["unknown option 'fence'"] = function() exclusion.dekker(region, 0, {fence = true}) end,
      ["order: 'atomic', 'fence' or 'plain' expected, got 'weak'"] = function()
        exclusion.bakery(region, 0, 2, {order = "weak"})
      end,
      ["me: integer from 1 to 2 expected, got 3"] = function()
        exclusion.dekker(region, 0):enter(3)
      end,
      ["leave: me: integer from 1 to 2 expected, got nil"] = function()
        exclusion.dekker(region, 0):leave()
      end,
      ["seat: me: integer from 1 to 2 expected, got 0"] = function()
        exclusion.dekker(region, 0):seat(0)
      end,
      ["size: n: integer from 2 to 64"] = function() exclusion.size(1.5) end,
    } do
      misused(".*" .. said, call)
    end
  end)

  it("says what it is, and is nothing once it is closed", function()
    local lock = exclusion.bakery(region, 0, 8)
    assert.equal("shm.exclusion (bakery of 8)", tostring(lock))
    assert.is_true(lock:close())
    assert.is_true(lock:close())
    assert.equal("shm.exclusion (closed)", tostring(lock))
    assert.error_matches(function() lock:enter(1) end, "enter: lock is closed")
    assert.error_matches(function() lock:leave(1) end, "leave: lock is closed")
    assert.error_matches(function() lock:seat(1) end, "seat: lock is closed")
  end)

  it("takes plain accesses, too, which collide where the memory lets them", function()
    local lock <close> = exclusion.peterson(region, 0, {order = "plain"})
    assert.is_true(lock:enter(1))
    refused(ETIMEDOUT, "timed out", lock:enter(2, 0)) -- one process has one order
    assert.is_true(lock:leave(1))
  end)
end)
