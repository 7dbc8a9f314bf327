--- When the steps of a recorded trace were, and how that is written.
-- @module shm.lab.draw.timing
local M = {}

-- Their names, how many to a second, for times up to which, and with how many decimals at least.
local UNITS <const> = {{"ns", 1e9, 1e-6, 0}, {"µs", 1e6, 1e-3, 2}, {"ms", 1e3, 1, 2},
                       {"s", 1, math.huge, 2}}

--- The steps' numbers as they come from above, and their times, if the trace was recorded: when
-- they finished, or began where they never did. A role's steps stay in their order.
-- @tparam table steps
-- @treturn table numbers
-- @treturn[opt] table times by number, in seconds
function M.ordered(steps)
  local order, times, latest, recorded = {}, {}, {}, #steps > 0
  for i, step in ipairs(steps) do
    local time = step.finish or step.start
    order[i] = i
    recorded = recorded and type(time) == "number"
    if recorded then
      times[i] = math.max(time, latest[step.role] or time)
      latest[step.role] = times[i]
    end
  end
  if not recorded then
    return order
  end
  table.sort(order, function(a, b)
    return times[a] < times[b] or times[a] == times[b] and a < b
  end)
  return order, times
end

--- How long it mostly takes from one step to the next.
-- @tparam table times
-- @tparam table order
-- @treturn number seconds
function M.median(times, order)
  local all = {}
  for i = 2, #order do
    local between = times[order[i]] - times[order[i - 1]]
    if between > 0 then
      all[#all + 1] = between
    end
  end
  table.sort(all)
  return all[(#all + 1) // 2] or 1
end

--- How times are written: all in the same unit, which the longest asks for, with as many decimals
-- as it takes to tell two steps apart.
-- @number longest in seconds
-- @number between two steps
-- @treturn function that writes seconds
function M.clock(longest, between)
  for _, unit in ipairs(UNITS) do
    if longest < unit[3] then
      local digits = math.ceil(-math.log(between * unit[2], 10))
      local format = ("%%.%df %s"):format(math.max(unit[4], math.min(digits, 9)), unit[1])
      return function(seconds)
        return format:format(seconds * unit[2])
      end
    end
  end
end

return M
