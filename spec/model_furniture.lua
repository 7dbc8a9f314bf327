-- All furniture of one arena beside what it should be: random operations of four processes that are
-- killed with -9, on queues, topics, names, blocks and a map; and in the end no memory is missing.
--   lua5.4 spec/model_furniture.lua [operations]      a million if absent; make soak runs it
local main = (arg and arg[0] or ""):match "model_furniture%.lua$"
if main then
  package.path = "./?.lua;" .. package.path
end
local map = require "spec.model_map"
local process = require "shm.process"
local shm = require "shm"
local workers = require "spec.model_workers"

local M = {}

local WORKERS <const> = 4
local GENERATION <const> = 50000 -- operations, after which all is given back

-- The map's part, in the shape of the others.
local function map_of(arena, n)
  local m, logs = assert(arena:map "model"), map.logs(n)
  local function name(i)
    return ("w%d."):format(i)
  end
  return {
    work = function(i)
      return function() map.step(m, logs[i], name(i)) end
    end,
    settle = function(_, i) map.explained(m, logs[i], name(i)) end,
    check = function() map.counted(m, logs) end,
    close = function()
      for _, log in ipairs(logs) do
        log:close()
      end
      m:close()
      assert(arena:drop "model")
    end,
  }
end

local function generation(n)
  local region <close> = assert(shm.anonymous(1 << 20, {max = 1 << 24}))
  local arena <close> = assert(shm.arena(region, {max = 1 << 24}))
  local used = arena:stat().used
  local topics = require("spec.model_topic").new(arena, WORKERS)
  local parts = {
    require("spec.model_queue").new(arena, WORKERS), topics,
    require("spec.model_arena").new(arena, WORKERS), map_of(arena, WORKERS),
  }
  local done, kills = workers.run({
    workers = WORKERS,
    work = function(i)
      local steps = {}
      for k, part in ipairs(parts) do
        steps[k] = part.work(i)
      end
      return function() steps[math.random(#steps)]() end
    end,
    settle = function(i)
      for _, part in ipairs(parts) do
        part:settle(i)
      end
    end,
    check = function()
      for _, part in ipairs(parts) do
        part:check()
      end
      assert(arena:check())
    end,
    watch = function() topics:watch() end,
  }, n)
  for _, part in ipairs(parts) do
    part.close()
  end
  collectgarbage() -- arrays let go
  arena:close()    -- and so do children that were killed before they were in the register
  local again <close> = assert(shm.arena(region))
  assert(again:check())
  local left = again:stat()
  assert(left.used == used and left.objects == 0,
         ("%d bytes and %d objects are left"):format(left.used - used, left.objects))
  return done, kills
end

--- Four processes that are killed again and again, until they have done n operations. Returns how
-- many, and how many kills.
function M.together(n)
  local done, kills = 0, 0
  repeat
    local more, others = generation(math.min(n - done, GENERATION))
    done, kills = done + more, kills + others
  until done >= n
  return done, kills
end

if main then
  math.randomseed(process.pid())
  local done, kills = M.together(math.tointeger(arg[1] or 1000000))
  print(("%d operations on all furniture, %d kills: what was acknowledged explains what is there")
    :format(done, kills))
end

return M
