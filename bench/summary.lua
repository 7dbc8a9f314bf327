-- What the rounds of a work say: those of several processes together, and of them what counts.
local M = {}

function M.median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local middle = #sorted // 2
  return #sorted % 2 == 1 and sorted[middle + 1] or (sorted[middle] + sorted[middle + 1]) / 2
end

-- For each of a list of distances, whether it is less than twice as much and as little as the
-- upper quarter begins with. So where cpus were now near and now far, the far ones count, unless
-- they were so for less than a quarter.
local function alike(distances)
  local sorted = table.move(distances, 1, #distances, 1, {})
  table.sort(sorted)
  local far, same = sorted[math.ceil(#sorted * 3 / 4)], {}
  for i, distance in ipairs(distances) do
    same[i] = distance < 2 * far and far < 2 * distance
  end
  return same
end

local function append(list, more)
  table.move(more or {}, 1, #(more or {}), #list + 1, list)
end

-- Of a list those that are to be kept.
local function only(list, keep)
  local kept = {}
  for i, value in ipairs(list) do
    kept[#kept + 1] = keep[i] and value or nil
  end
  return kept
end

--- What several processes measured, as one: a list of what rounds.measure gives, by each. An
-- entry that one of them had to skip is skipped. Where cpus took part that were not always as far
-- from one another, only rounds count in which they were: see bench/distance.lua. With whose, the
-- number of the process that each round is of.
function M.pool(passes)
  local pooled, distances, whose = {}, {}, {}
  for number, pass in ipairs(passes) do
    append(distances, pass.distances)
    for _ = 1, #(pass[1].rounds or {}) do
      whose[#whose + 1] = number
    end
  end
  local same = alike(distances)
  pooled.whose = #distances > 0 and only(whose, same) or whose
  for i, first in ipairs(passes[1]) do
    local one = {name = first.name, kind = first.kind, goal = first.goal, rounds = {}}
    for _, pass in ipairs(passes) do
      one.why, one.note = one.why or pass[i].why, pass[i].note or one.note
      append(one.rounds, pass[i].rounds)
    end
    one.rounds = #distances > 0 and only(one.rounds, same) or one.rounds
    pooled[i] = one
  end
  return pooled
end

-- The median of each process's ratios, sorted.
local function by_process(ratios, whose)
  local each, medians = {}, {}
  for round, ratio in ipairs(ratios) do
    local list = each[whose[round]] or {}
    each[whose[round]] = list
    list[#list + 1] = ratio
  end
  for _, list in pairs(each) do
    medians[#medians + 1] = M.median(list)
  end
  table.sort(medians)
  return medians
end

-- Between which of a sorted list the median of all that could be measured is, 19 times in 20 or
-- more often where they are six or more: it is below the kth or above the kth from the end as
-- often as a coin that is thrown for each of them falls on one side less than k times. All of a
-- shorter list.
local function interval(sorted)
  local n = #sorted
  local k, ways, outside = 0, 1, 2 * 0.5 ^ n -- ways to choose k of n
  while outside <= 0.05 do
    k = k + 1
    ways = ways * (n - k + 1) / k
    outside = outside + 2 * ways * 0.5 ^ n
  end
  k = math.max(k, 1)
  return sorted[k], sorted[n + 1 - k]
end

--- Adds to each what its rounds say: ns, their median; low and high, quarters of them; ratio, how
-- many times it the first one takes in the same round, the median of what the processes say;
-- passes, how many processes that are, and ratio_low and ratio_high, between which it is.
function M.sum_up(measured)
  for _, one in ipairs(measured) do
    if not one.why then
      local ratios = {}
      for round, ns in ipairs(one.rounds) do
        ratios[round] = measured[1].rounds[round] / ns
      end
      local sorted = table.move(one.rounds, 1, #one.rounds, 1, {})
      table.sort(sorted)
      one.ns = M.median(sorted)
      one.low = sorted[math.max(1, #sorted // 4)]
      one.high = sorted[math.ceil(#sorted * 3 / 4)]
      local each = by_process(ratios, measured.whose)
      one.passes, one.ratio = #each, M.median(each)
      one.ratio_low, one.ratio_high = interval(each)
    end
  end
  return measured
end

--- Whether a ratio is known to within a tenth to both sides, as it seems to be by one process.
function M.settled(one)
  return one.ratio_high <= 1.2 * one.ratio_low
end

return M
