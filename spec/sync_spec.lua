-- What all objects in regions have in common: how they are made, found, removed and refused.
local lock = require "spec.lock_support"
local posix = require "shm.posix"
local shm = require "shm"
local support = require "spec.support"

local refused = lock.refused
local ARGUMENTS = {mutex = {}, rwlock = {}, semaphore = {3}, event = {{manual = true}},
                   condition = {}, barrier = {2}, counter = {-5}}

for kind, arguments in pairs(ARGUMENTS) do
  describe("a " .. kind, function()
    local module, region = shm[kind], nil

    before_each(function()
      region = assert(shm.anonymous(8192))
    end)

    after_each(function()
      region:close()
    end)

    local function create(offset)
      return module.create(region, offset, table.unpack(arguments))
    end

    local function open(offset)
      return module.open(region, offset, table.unpack(arguments))
    end

    it("is made once, found by others, and removed for good", function()
      refused(lock.ENOENT, "^" .. kind .. "%.attach at 64: there is none, so it is refused$",
              module.attach(region, 64))
      assert(create(64)):close()
      refused(lock.EEXIST, "^" .. kind .. "%.create at 64: File exists$", create(64))
      local two, made = module.open(region, 64, table.unpack(arguments))
      assert.is_false(made)
      local three <close> = assert(module.attach(region, 64))
      assert.matches("^shm%." .. kind .. " %(anonymous at 64%)$", tostring(three))
      assert.same({0, {}}, {three:waiters()})
      assert.is_true(two:remove())
      assert.matches("closed", tostring(two))
      refused(lock.ENOENT, "there is none", module.attach(region, 64))
      two, made = module.open(region, 64, table.unpack(arguments))
      assert.is_true(made)
      assert.is_true(two:close() and two:close())
      assert.error_matches(function() two:waiters() end, "closed")
    end)

    it("takes no other object's place", function()
      local other = kind == "mutex" and "event" or "mutex"
      local there <close> = assert(shm[other].create(region, 0))
      assert.is_userdata(there)
      refused(lock.ENOTEMPTY, "something else", create(0))
      refused(lock.ENOTEMPTY, "something else", module.open(region, 0, table.unpack(arguments)))
      refused(lock.ENOENT, "there is none", module.attach(region, 0))
    end)

    it("is made over garbage, but not found in it", function()
      region:fill(0, 4096, 0x5a)
      refused(lock.ENOENT, "there is none", module.attach(region, 0))
      local one <close> = assert(create(0))
      assert.equal(0, (one:waiters()))
    end)

    it("is refused when version, byte order, size or namespace are others", function()
      assert(create(0)):close()
      local whole = region:read(0, 24)
      region:set_u16(0, 2)
      refused(lock.EPROTO, "another version's", module.attach(region, 0))
      refused(lock.ENOTEMPTY, "something else", create(0))
      refused(lock.ENOTEMPTY, "something else", open(0))
      region:write(0, whole:sub(1, 8):reverse())
      refused(lock.EPROTO, "another version's", module.attach(region, 0))
      refused(lock.ENOTEMPTY, "something else", create(0))
      region:write(0, whole)
      region:add(8, 1)
      refused(lock.EXDEV, "pid namespace", module.attach(region, 0))
      refused(lock.EXDEV, "^" .. kind .. "%.open at 0: .*pid namespace", open(0))
      region:write(0, whole)
      for _, size in ipairs {0, 8, 319, 1 << 31} do
        region:set_u32(16, size)
        refused(lock.ENOENT, "there is none", module.attach(region, 0))
      end
      region:write(0, whole)
      assert(module.attach(region, 0)):close()
    end)

    it("lies inside of the region, at a multiple of 8", function()
      local size = module.size(table.unpack(arguments))
      for _, offset in ipairs {1, 4, 7, 12} do
        assert.error_matches(function() create(offset) end, "not a multiple of 8")
        assert.error_matches(function() module.attach(region, offset) end, "multiple of 8")
      end
      for _, offset in ipairs {8192, 8192 - size + 8, 8184, -8, math.mininteger} do
        assert.error_matches(function() create(offset) end, "offset")
      end
      assert(create(8192 - size)):close()
      local short <close> = region:view(8192 - size, size - 8)
      local ok, found = pcall(module.attach, short, 0)
      assert.is_true(not ok or found == nil)
    end)

    it("is not for who may only look", function()
      local path = os.tmpname()
      shm.map(path, {mode = "rw", create = true, size = 4096}):close()
      local look <close> = assert(shm.map(path))
      assert.error_matches(function() module.attach(look, 0) end, "read%-only")
      os.remove(path)
      region:close()
      assert.error_matches(function() module.attach(region, 0) end, "closed")
    end)

    it("raises, and never crashes, when its memory is truncated away", function()
      local path = os.tmpname()
      local r <close> = assert(shm.map(path, {mode = "rw", create = true, size = 4096}))
      local one <close> = assert(module.create(r, 0, table.unpack(arguments)))
      local fd <close> = assert(posix.open(path, posix.O_RDWR))
      assert(posix.ftruncate(fd, 0))
      os.remove(path)
      for name, f in pairs(debug.getmetatable(one).__index) do
        if name ~= "close" and name ~= "remove" and name ~= "parties"
           and not name:match "^hold" and not name:match "^with" then
          local ok, result = pcall(f, one, name:match "^wait$" and 0 or nil)
          assert(not ok or not result, name)
        end
      end
    end)
  end)
end

describe("who sleeps at an object", function()
  it("may be the thread behind its descriptor", function()
    local region <close> = assert(shm.anonymous(4096))
    local s <close> = assert(shm.semaphore.create(region, 0))
    assert(s:fileno())
    lock.sleepers(s, 1)
    assert.equal(1, #select(2, s:waiters()))
    s:close()
    local same <close> = assert(shm.semaphore.attach(region, 0))
    assert.same({0, {}}, {same:waiters()})
  end)
end)

describe("a maker that is stopped", function()
  it("is waited for, and then an error of who makes, finds or opens", function()
    local region <close> = assert(shm.anonymous(1 << 19))
    local maker <close> = lock.parked(print)
    support.stop(maker.pid)
    region:set_i64(0, 0x4c53486d << 32 | maker.pid)
    local children = {}
    for name, module in pairs {mutex = shm.mutex, queue = shm.queue} do
      for _, f in ipairs {"create", "attach", "open"} do
        children[#children + 1] = lock.child(function()
          refused(lock.ETIMEDOUT, "^" .. name .. "%." .. f .. " at 0: Connection timed out$",
                  module[f](region, 0))
        end)
      end
    end
    for _, child in ipairs(children) do
      assert.is_true(child.ended())
    end
  end)
end)

describe("a maker that dies", function()
  it("is in nobody's way", function()
    local region <close> = assert(shm.anonymous(4096))
    local pid = lock.dead(print)
    region:set_i64(0, 0x4c53486d << 32 | pid)
    refused(lock.ENOENT, "there is none", shm.mutex.attach(region, 0))
    local m <close> = assert(shm.mutex.create(region, 0))
    assert(m:try())
    m:unlock()
    assert.is_false(support.asan and m == nil)
  end)
end)
