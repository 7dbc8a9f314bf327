-- Attaching what is large against what is small. Of what is large nothing is touched: it is as
-- long as it says, and takes no memory.
local boost = require "bench.peers.boost"
local limits = require "limits"
local place = require "bench.place"
local posix = require "shm.posix"
local python = require "bench.peers.python"
local shm = require "shm"

local LARGE <const> = 4 << 30
local NAMES = {small = place.name "small", large = place.name "large"}

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

local function row(name, what, small, arena, ...)
  return {
    name = name .. ", 4 GiB", clock = os.clock,
    before = function()
      make(NAMES.small, small, arena)
      make(NAMES.large, LARGE, arena)
    end,
    after = function()
      shm.unlink(NAMES.small)
      shm.unlink(NAMES.large)
    end,
    {name = name .. ", 4 GiB", kind = "ours", run = attach(what, NAMES.large)},
    {name = ("the same of %d KiB"):format(small >> 10), kind = "ours", goal = 1.5,
     run = attach(what, NAMES.small)},
    ...,
  }
end

return {
  row("shm.attach", shm.attach, 4096, false,
      {name = "shm_open, mmap, munmap in C", kind = "limit",
       run = function(n) limits.maps("/" .. NAMES.small, n) end},
      python.entry("SharedMemory", "attach")),
  row("shm.arena", shm.arena, 32768, true, boost.entry("managed_shared_memory", "attach")),
}
