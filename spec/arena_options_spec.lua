-- What an arena is asked for when it is made or attached: each option does what it says, and what
-- can not be had is refused, and leaves nothing.
local others = require "spec.arena_support"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local LONG = support.LONG
local refused = others.refused
local KIB <const>, MIB <const> = 1 << 10, 1 << 20
local ENOENT <const>, EPERM <const>, EBUSY <const>, ETIMEDOUT <const> = 2, 1, 16, 110
local GUARD <const> = 2560 + 128 * 16 -- where the guard's word lies: behind the register

describe("an arena's options", function()
  local before, name

  before_each(function()
    before, name = support.belongings(), "shm-spec-" .. support.key()
  end)

  after_each(function()
    shm.unlink(name)
    collectgarbage()
    assert.same(before, support.belongings())
  end)

  -- The bytes that are the arena's own: all others are used or free.
  local function own(options)
    local a <close> = assert(shm.arena(name, options))
    local stat = a:stat()
    assert(shm.unlink(name))
    assert.same({0, 0}, {stat.used, stat.objects})
    return stat.size - stat.free
  end

  it("are a size of 1 MiB, which is the most as well, and the mode 0600, if absent", function()
    local a, made = shm.arena(name)
    assert.is_true(made)
    local stat = a:stat()
    assert.same({MIB, MIB, 0, 0}, {stat.size, stat.max, stat.used, stat.objects})
    assert.equal("600\n", support.shell("stat -c %a /dev/shm/" .. name))
    a:close()
    assert(shm.unlink(name))
    a = assert(shm.arena(name, {size = 64 * KIB, max = 3 * MIB, mode = tonumber("640", 8)}))
    stat = a:stat()
    assert.same({64 * KIB, 3 * MIB}, {stat.size, stat.max})
    assert.equal("640\n", support.shell("stat -c %a /dev/shm/" .. name))
    a:close()
  end)

  it("are a journal of a sixteenth of the size, from 4 to 64 KiB, unless it is given", function()
    local base = own {size = 64 * KIB, journal = 2048} - 2048
    for size, journal in pairs {[32 * KIB] = 4 * KIB, [64 * KIB] = 4 * KIB, [256 * KIB] = 16 * KIB,
                                [MIB] = 64 * KIB, [16 * MIB] = 64 * KIB} do
      assert.equal(journal, own {size = size} - base, size)
    end
    assert.equal(512 * KIB, own {size = 4 * MIB, journal = 512 * KIB} - base)
  end)

  it("are processes in sixty-fours, of 16 bytes each, and each name has a bit of each", function()
    local base = own {processes = 64}
    for asked, places in pairs {[1] = 64, [65] = 128, [128] = 128, [129] = 192, [8192] = 8192} do
      assert.equal(16 * (places - 64), own {processes = asked} - base, asked)
    end
    assert.equal(own {processes = 128}, own {})
    local used = {}
    for i, processes in ipairs {64, 8192} do
      local a <close> = assert(shm.arena(name, {processes = processes}))
      a:counter("n"):close()
      used[i] = a:stat().used
      assert(shm.unlink(name))
    end
    assert(math.abs(used[2] - used[1] - (8192 - 64) // 8) <= 16, used[2] - used[1])
  end)

  it("have all pages at once with prefault, for who makes it and who attaches it", function()
    local function resident() -- of shared memory
      return tonumber(support.read_file "/proc/self/status":match "RssShmem:%s+(%d+)") * KIB
    end
    for _, max in ipairs {4 * MIB, 8 * MIB} do
      for _, prefault in ipairs {false, true, false, true} do
        local least = resident()
        local a <close> = assert(shm.arena(name, {size = 4 * MIB, max = max, prefault = prefault}))
        assert(tostring(a))
        assert.equal(prefault, resident() - least >= 4 * MIB - 64 * KIB)
      end
      assert(shm.unlink(name))
      local least = resident()
      local a <close> = assert(shm.arena(name, {size = 4 * MIB, max = max, prefault = true}))
      assert(resident() - least >= 4 * MIB - 64 * KIB)
      assert(a:check() and shm.unlink(name))
    end
  end)

  it("refuse what is another user's, unless that is named", function()
    if support.shell "id -u" ~= "0\n" then
      return pending "takes root to give memory to another user"
    end
    shm.arena(name, {mode = tonumber("666", 8)}):close()
    support.shell("chown 65534 /dev/shm/" .. name)
    assert.matches("belongs to user 65534", refused(EPERM, shm.arena, name))
    refused(EPERM, shm.arena, name, {owner = 1})
    for _, owner in ipairs {65534, -1} do
      local a <close>, made = shm.arena(name, {owner = owner})
      assert.is_false(made)
      assert(a:check())
    end
  end)

  it("that make no sense throw at the caller's, before anything is made", function()
    local region <close> = assert(shm.anonymous(64 * KIB))
    local function throws(what, where, options)
      local ok, message = pcall(function() shm.arena(where, options) end)
      assert.is_false(ok)
      assert.matches("arena_options_spec%.lua:%d+: shm%.arena: " .. what, message)
    end
    for option, wrong in pairs {
      size = {0, -1, 1.5, "1", true}, max = {0, 1 << 36, math.maxinteger, MIB - 1},
      mode = {-1, 512, 1 << 40}, owner = {-2, 1 << 32}, journal = {2047, (1 << 30) + 1, 1 << 40},
      processes = {0, 8193}, prefault = {1},
    } do
      for _, value in ipairs(wrong) do
        throws(option .. ": ", name, {[option] = value})
        refused(ENOENT, shm.attach, name)
      end
    end
    throws("unknown option 'colour'", name, {colour = "red"})
    throws("max: ", name, {size = 2 * MIB, max = MIB})
    for option, value in pairs {size = 64 * KIB, mode = 384, owner = -1, prefault = false} do
      throws(option .. ": a region has its own", region, {[option] = value})
      assert.equal(("\0"):rep(64), region:read(0, 64))
    end
  end)

  it("do not help where it is being made by one that was stopped: that is a time-out", function()
    local place <close> = assert(shm.anonymous(64 * KIB))
    local finish, child = others.other(function(wait) wait() end)
    place:store(0, 0x4c53486d << 32 | child.pid) -- as the maker's claim is
    refused(ETIMEDOUT, shm.arena, place)
    finish "KILL"
    local a <close>, made = shm.arena(place)
    assert(a and made)
  end)

  it("do not help where its guard is held by one that was stopped: who attaches is told", function()
    local place <close> = assert(shm.anonymous(64 * KIB))
    local a <close> = assert(shm.arena(place))
    local finish, child = others.other(function(wait) wait() end)
    place:store32(GUARD, child.pid)
    refused(EBUSY, shm.arena, place)
    finish "KILL"
    assert(shm.arena(place)):close()
    assert.equal(1, #a:attached())
  end)
end)

describe("an arena's bytes", function()
  it("are cleared while others do what they like", function()
    local size <const> = 16 * MIB
    local region <close> = assert(shm.anonymous(2 * size))
    local a <close> = assert(shm.arena(region))
    local child <close> = assert(process.fork(function()
      while true do
        local bytes <close> = assert(a:bytes("many", size))
        bytes:fill(0, size, 1)
        assert(a:drop "many")
      end
    end))
    local held, rounds = 0, support.rounds(40)
    for _ = 1, rounds do
      process.sleep(0.005)
      support.stop(child.pid)
      held = held + (region:load32(GUARD) & 0x3fffffff == child.pid and 1 or 0)
      child:kill "CONT"
    end
    child:kill "KILL"
    child:wait(LONG)
    assert(held <= rounds // 10, held .. " times")
    a:drop "many"
    local bytes <close> = assert(a:bytes("many", size))
    assert.is_nil((bytes:find(0, "\1")))
    assert(a:check())
  end)

  it("are its own, used or free, also while it grows", function()
    local region <close> = assert(shm.anonymous(64 * KIB, {max = MIB}))
    local a <close> = assert(shm.arena(region, {max = MIB}))
    local function its_own()
      local stat = a:stat()
      return stat.size - stat.used - stat.free
    end
    local first, most = its_own(), a:stat().max
    for i = 1, 20 do
      assert(a:bytes("b" .. i, 30000)):close()
      assert.same({first, i, most}, {its_own(), a:stat().objects, a:stat().max})
      assert(a:stat().used >= i * 30000)
    end
    assert(a:stat().size > 600000)
    for i = 1, 20 do
      assert(a:drop("b" .. i))
      assert.same({first, 20 - i}, {its_own(), a:stat().objects})
    end
    assert.equal(0, a:stat().used)
  end)
end)
