-- Processes that enter and leave by the algorithms of shm.exclusion, and count in plain shared
-- memory, where two that are inside at once lose counts and find each other's mark. What they
-- store before they enter is in the caches of other processors, and takes a while to get from
-- there: the stores of an algorithm come after it, and so would be late for a load.
--   lua5.4 spec/exclusion_soak.lua [share]     10 million entries by 2 processes, 100,000 by 8,
--                                              for each algorithm, and a tenth of that with
--                                              fences; a share leaves 1 in so many of all
-- The last line is of Dekker's without its fences: where there are several processors, it may
-- show what they are for. All else has to be without a collision.
local main = (arg and arg[0] or ""):match "exclusion_soak%.lua$"
if main then
  package.path = "./?.lua;" .. package.path
end
local exclusion = require "shm.exclusion"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local M = {}

local LONG <const> = 600 * support.patience
local COUNTER <const>, INSIDE <const>, READY <const>, COLLISIONS <const> = 0, 64, 128, 192
local LOCK <const> = 256
local BUSY <const>, NOISE <const> = 1 << 14, 2048 -- what all store to, and how much of it
local PAUSE <const> = 100 -- steps, at most

--- The algorithms, and how each makes a lock of n.
M.LOCKS = {"dekker", "peterson", "filter", "szymanski", "bakery"}

function M.lock(name, region, offset, n, order)
  if name == "dekker" or name == "peterson" then
    return exclusion[name](region, offset, {order = order})
  end
  return exclusion[name](region, offset, n, {order = order})
end

-- In a worker: enters so many times, once all are there.
local function work(lock, region, me, n, entries)
  local enter, leave = lock:seat(me)
  local count, set_count = region:getter_i64(COUNTER), region:setter_i64(COUNTER)
  local inside, set_inside = region:getter_i64(INSIDE), region:setter_i64(INSIDE)
  region:add(READY, 1)
  while region:load(READY) < n do
    process.yield()
  end
  local collisions = 0
  local random = math.random
  for _ = 1, entries do
    for _ = 1, random(0, PAUSE) do end -- or else who is outside waits already
    region:fill(BUSY, NOISE)
    assert(enter(LONG))
    local alone = inside() == 0
    set_inside(me)
    set_count(count() + 1)
    alone = inside() == me and alone
    set_inside(0)
    assert(leave(LONG))
    if not alone then
      collisions = collisions + 1
    end
  end
  region:add(COLLISIONS, collisions)
end

--- Runs n processes that enter as many times each as make up the entries.
-- @treturn int how many entries the counter has lost
-- @treturn int how many entries found another inside
-- @treturn number seconds
function M.run(name, n, entries, order)
  local region <close> = assert(shm.anonymous(BUSY + NOISE))
  local lock <close> = M.lock(name, region, LOCK, n, order)
  local each = entries // n
  local children = {}
  local _ <close> = setmetatable({}, {__close = function()
    for _, child in ipairs(children) do
      child:kill "KILL"
      child:wait()
      child:close()
    end
  end})
  local began = process.monotonic()
  for me = 1, n do
    children[me] = assert(process.fork(function()
      work(lock, region, me, n, each)
    end))
  end
  for me, child in ipairs(children) do
    local how, code = child:wait(LONG)
    assert(how == "exit" and code == 0, ("%s: process %d of %d: %s %s"):format(name, me, n,
           how or "is late", code))
  end
  local lost = each * n - region:load(COUNTER)
  return lost, region:load(COLLISIONS), process.monotonic() - began
end

local function report(name, n, entries, order)
  local lost, collisions, seconds = M.run(name, n, entries, order)
  print(("%-9s %-6s  %d processes  %8d entries  %5.1f s  %7.0f a second  %d lost, %d collisions")
    :format(name, order, n, entries // n * n, seconds, entries / seconds, lost, collisions))
  io.stdout:flush()
  return lost == 0 and collisions == 0
end

if main then
  local share = tonumber(arg[1] or 1)
  local held = true
  for _, name in ipairs(M.LOCKS) do
    local less = 1
    for _, order in ipairs {"atomic", "fence"} do
      held = report(name, 2, 10000000 // less // share, order) and held
      if name ~= "dekker" and name ~= "peterson" then
        held = report(name, 8, 100000 // less // share, order) and held
      end
      less = 10
    end
  end
  report("dekker", 2, 10000000 // share, "plain")
  os.exit(held and 0 or 1, true)
end

return M
