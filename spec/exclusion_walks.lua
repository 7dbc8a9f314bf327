-- The algorithms of shm.exclusion, their very source, on words that are no shared memory: each
-- process is a coroutine with a store buffer of its own, as a processor has one, and chance
-- decides at each access who goes on, and whose oldest store reaches memory. spec/model looks
-- at all there is to see of a copy; this at some of the original.
local M = {}

local BURST <const> = 4    -- steps of one process on end, on average
local STEPS <const> = 3000 -- in which a walk ends, unless nobody can go on

-- The words as one process sees them. `fence(line)` says whether the one in that line is there;
-- `walk.patience` how many waits of all end early.
local function words_of(memory, buffer, walk)
  local yield = coroutine.yield
  return {
    reader = function(name)
      return function()
        yield()
        for i = #buffer, 1, -1 do
          if buffer[i].name == name then
            return buffer[i].value
          end
        end
        return memory[name]
      end
    end,
    writer = function(name)
      return function(value)
        yield()
        buffer[#buffer + 1] = {name = name, value = value}
      end
    end,
    fence = function()
      local line = debug.getinfo(2, "l").currentline
      walk.fences[line] = true
      while walk.fence(line) and #buffer > 0 do
        yield()
      end
    end,
    await = function(condition)
      while not condition() do
        if walk.patience > 0 and math.random(2) == 1 then
          walk.patience = walk.patience - 1
          return nil, "tired", 110
        end
      end
      return true
    end,
  }
end

-- What a process does: it enters so many times, and sees whether it is alone.
local function live(walk, enter, leave, withdraw)
  for _ = 1, walk.rounds do
    if enter() then
      walk.inside = walk.inside + 1
      walk.collided = walk.collided or walk.inside > 1
      coroutine.yield()
      walk.inside = walk.inside - 1
      leave()
    else
      withdraw()
    end
  end
end

local function take(walk, algorithm, n)
  local memory, processes = {}, {}
  for _, name in ipairs(algorithm.words(n)) do
    memory[name] = 0
  end
  walk.inside, walk.collided, walk.patience = 0, false, walk.give_up
  for me = 1, n do
    local buffer = {}
    local enter, leave, withdraw = algorithm.bind(words_of(memory, buffer, walk), me, n)
    processes[me] = {buffer = buffer, run = coroutine.wrap(function()
      live(walk, enter, leave, withdraw)
      return "over"
    end)}
  end
  local i = 1
  for _ = 1, STEPS do
    if i > #processes or math.random(BURST) == 1 then
      i = math.random(#processes)
    end
    local one = processes[i]
    if #one.buffer > 0 and (one.over or math.random(4) == 1) then
      local store = table.remove(one.buffer, 1)
      memory[store.name] = store.value
    elseif not one.over then
      one.over = one.run() == "over"
    elseif #processes > 1 then
      table.remove(processes, i)
    else
      return nil
    end
    if walk.collided then
      return "collided"
    end
  end
  return "stuck"
end

--- Takes walks, until two are inside in one of them.
-- @tparam table algorithm
-- @int n processes
-- @int walks how many at most
-- @tparam[opt] table options `fence(line)`: whether the fence in this line of the source is
-- there, as all are if absent; `give_up`: how many waits end because their time is up
-- @treturn string|nil "collided" when two were inside, "stuck" when a walk never ended
-- @treturn {int,...} the lines of the source that have a fence
function M.take(algorithm, n, walks, options)
  options = options or {}
  local walk = {rounds = 3, fences = {}, fence = options.fence or function() return true end,
                give_up = options.give_up or 0}
  local wrong
  for _ = 1, walks do
    wrong = take(walk, algorithm, n) or wrong
    if wrong == "collided" then
      break
    end
  end
  local lines = {}
  for line in pairs(walk.fences) do
    lines[#lines + 1] = line
  end
  table.sort(lines)
  return wrong, lines
end

return M
