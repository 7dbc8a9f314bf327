-- Descriptors: what children have of them, and what waits for the disk.
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local EINVAL, EBADF, EMFILE, ETIMEDOUT = 22, 9, 24, 110
local LONG = support.LONG

describe("a descriptor", function()
  local path, mine, other

  before_each(function()
    path = os.tmpname()
    mine = assert(posix.open(path, posix.O_RDWR))
    other = assert(posix.open(path, posix.O_RDWR))
  end)

  after_each(function()
    mine:close()
    other:close()
    os.remove(path)
  end)

  -- Whether a lock outlives the process that took it while its child lives.
  local function outlives(keep)
    local ours <close>, theirs = assert(process.socketpair "seqpacket")
    local server = assert(process.fork(function()
      local fd = assert(posix.open(path, posix.O_RDWR))
      assert(posix.lock(fd, "write"))
      if keep then
        assert(fd:clofork())
        assert(fd:clofork()) -- twice is once
      end
      assert(process.fork(function()
        local device = assert(posix.fstat(fd)).size -- it is open, on something
        theirs:send(("%d %d"):format(process.pid(), device))
        support.forever()
      end))
      support.forever()
    end))
    local child = assert(process.open(tonumber(ours:recv(20, LONG):match "^(%d+) 0$")))
    assert.equal("write", (posix.locked(other, "write")))
    server:kill "KILL"
    assert.equal("signal", (server:wait(LONG)))
    assert.is_true(child:alive())
    local held = posix.locked(other, "write")
    child:kill "KILL"
    support.eventually(function() return not child:alive() end)
    for _, handle in ipairs {server, child, theirs} do
      handle:close()
    end
    return held
  end

  it("is kept from children, and a lock goes with its process", function()
    assert.equal("write", outlives(false))
    assert.is_false(outlives(true))
  end)

  it("is locked as a whole, be it a directory's, until its process has ended", function()
    assert.is_true(posix.lock(mine, "write")) -- of another kind
    assert.is_true(posix.flock(mine, "read"))
    assert.is_true(posix.flock(other, "read", 0))
    support.refused(ETIMEDOUT, "^posix%.flock: ", posix.flock(other, "write", 0.01))
    assert.is_true(posix.flock(mine, "none"))
    assert.is_true(posix.flock(other, "write", 0))
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    local ours <close>, theirs = assert(process.socketpair())
    local holder <close> = assert(process.fork(function()
      assert(posix.flock(assert(posix.open(folder, posix.O_RDONLY)), "write"))
      theirs:send "x"
      support.forever()
    end))
    assert.equal("x", ours:recv(1, LONG))
    theirs:close()
    local directory <close> = assert(posix.open(folder, posix.O_RDONLY))
    support.refused(ETIMEDOUT, "^posix%.flock: ", posix.flock(directory, "read", 0))
    holder:kill "KILL"
    assert.is_true(posix.flock(directory, "write", LONG))
    assert(os.execute("rmdir " .. folder))
  end)

  it("that was closed is not taken from children by its number", function()
    assert(mine:clofork())
    local number = mine:fileno()
    mine:close()
    mine = assert(posix.open(path, posix.O_RDWR))
    assert.equal(number, mine:fileno())
    local ino = assert(posix.fstat(mine)).ino
    local child <close> = assert(process.fork(function()
      process.exit(posix.fstat(number).ino == ino and 0 or 1)
    end))
    assert.same({"exit", 0}, {child:wait(LONG)})
  end)

  it("is named with why it has no number, whatever has been closed", function()
    local region, channel = assert(shm.anonymous(4096)), assert(process.socketpair())
    local _, other_end <close> = assert(process.socketpair())
    for _, case in ipairs {
      {mine, "shm.posix.descriptor (closed) has no descriptor: descriptor is closed"},
      {region, "shm.region (closed) has no descriptor: region is closed"},
      {channel, "shm.process.channel (closed) has no descriptor: handle is closed"},
    } do
      local handle, message = table.unpack(case)
      handle:close()
      for argument, call in pairs {
        fd = function() posix.fstat(handle) end,
        path = function() shm.map(handle) end,
        ["#1 to 'sendfd' (fd"] = function() other_end:sendfd(handle) end,
      } do
        local ok, problem = pcall(call)
        assert.is_false(ok)
        assert(problem:find(argument .. ": " .. message, 1, true), problem)
        assert.is_nil(problem:find "to '%?'")
      end
    end
    assert.error_matches(function()
      posix.fstat(setmetatable({}, {
        __name = "one of mine", __index = {fileno = function() error("not now", 0) end},
      }))
    end, "fd: one of mine: 0x%x+ has no descriptor: not now")
  end)

  it("is one of 64 at most that are kept", function()
    local all = {}
    for i = 1, 64 do
      all[i] = assert(posix.open(path, posix.O_RDWR))
      assert(all[i]:clofork())
    end
    local done, message, errno = mine:clofork()
    assert.is_nil(done)
    assert.matches("^descriptor%.clofork", message)
    assert.equal(EMFILE, errno)
    all[7]:close()
    assert.is_true(mine:clofork())
    for _, fd in ipairs(all) do
      fd:close()
    end
  end)

  it("waits for the disk, if that is behind it", function()
    local file <close> = assert(io.open(path, "w"))
    file:write "in a buffer"
    assert.is_true(posix.fsync(file))
    assert.equal("in a buffer", support.read_file(path))
    assert.is_true(posix.fsync(mine))
    local directory <close> = assert(posix.open("/tmp", posix.O_RDONLY))
    assert.is_true(posix.fsync(directory))
    local one <close>, two = assert(process.socketpair())
    local done, message, errno = posix.fsync(one)
    assert.is_nil(done)
    assert.matches("^posix%.fsync", message)
    assert.equal(EINVAL, errno)
    assert.equal(EBADF, select(3, posix.fsync(1 << 20)))
    two:close()
  end)
end)
