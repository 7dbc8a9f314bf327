--- Makes a violating schedule shorter, and calmer: leaves out what it does not need, and lets
-- who goes on go on for longer.
-- @module shm.lab.shorten
local replay = require "shm.lab.replay"

local M = {}

local MOST_STEPS <const> = 400000 -- of the model, for all that is tried

local function same(one, other)
  return one and one.kind == other.kind and one.name == other.name
end

local function switches(path)
  local n = 0
  for i = 2, #path do
    n = n + ((path[i].slot + 2) // 3 ~= (path[i - 1].slot + 2) // 3 and 1 or 0)
  end
  return n
end

local function without(path, from, to)
  local rest = table.move(path, 1, from - 1, 1, {})
  return table.move(path, to + 1, #path, from, rest)
end

-- The steps from..to, put in front of position `at`.
local function moved(path, from, to, at)
  local result = table.move(path, 1, at - 1, 1, {})
  table.move(path, from, to, at, result)
  table.move(path, at, from - 1, at + to - from + 1, result)
  return table.move(path, to + 1, #path, to + 1, result)
end

-- The runs of steps of one role: first and last index of each.
local function runs_of(path)
  local runs, from = {}, 1
  for i = 1, #path do
    if i == #path or (path[i + 1].slot + 2) // 3 ~= (path[i].slot + 2) // 3 then
      runs[#runs + 1] = {from, i}
      from = i + 1
    end
  end
  return runs
end

--- Shortens a path that violates.
-- @tparam table stage see shm.lab.replay
-- @tparam {table,...} path
-- @tparam table wrong what is wrong with it
-- @treturn {table,...} one as wrong, of no more steps and switches
-- @treturn table what is wrong with that
function M.shorten(stage, path, wrong)
  local best, verdict = path, wrong
  local budget = MOST_STEPS
  local function try(candidate)
    budget = budget - #candidate
    local found, made = replay.take(stage, candidate, nil, true)
    if same(found, wrong) and
       (#made < #best or #made == #best and switches(made) < switches(best)) then
      best, verdict = made, found
      return true
    end
  end
  repeat
    local better = false
    local i = #best
    while i >= 1 and budget > 0 do
      if try(without(best, i, i)) then
        better = true
        i = math.min(i, #best + 1)
      end
      i = i - 1
    end
    local runs = runs_of(best)
    for r = 3, #runs do
      for at = 1, r - 1 do
        if budget > 0 and try(moved(best, runs[r][1], runs[r][2], runs[at][1])) then
          better = true
          break
        end
      end
      if better then
        break
      end
    end
  until not better or budget <= 0
  return best, verdict
end

return M
