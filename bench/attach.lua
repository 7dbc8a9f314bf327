-- Attaching what is large against what is small. Of what is large nothing is touched: it is as
-- long as it says, and takes no memory.
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"

local LARGE <const> = 4 << 30
local NAMES = {}
for _, word in ipairs {"small", "large"} do
  NAMES[word] = ("bench-attach-%s-%d"):format(word, process.pid())
end

local function make(name, size, arena)
  local fd = assert(posix.shm_open("/" .. name, posix.O_CREAT | posix.O_EXCL | posix.O_RDWR,
                                   tonumber("600", 8)))
  assert(posix.ftruncate(fd, size))
  fd:close()
  if arena then
    local region <close> = assert(shm.attach(name))
    assert(shm.arena(region)):close()
  end
end

local function attach(what, name)
  return function(n)
    for _ = 1, n do
      assert(what(name)):close()
    end
  end
end

local function row(name, what, small, arena)
  return {
    name = name .. ", 4 GiB", against = ("%d KiB"):format(small >> 10), goal = 1.5, times = 2000,
    before = function()
      make(NAMES.small, small, arena)
      make(NAMES.large, LARGE, arena)
      return true
    end,
    after = function()
      shm.unlink(NAMES.small)
      shm.unlink(NAMES.large)
    end,
    work = attach(what, NAMES.large),
    baseline = attach(what, NAMES.small),
  }
end

return {
  row("shm.attach", shm.attach, 4096, false),
  row("shm.arena", shm.arena, 32768, true),
}
