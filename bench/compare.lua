-- Two files of runs: which ratios are more than a fifth apart, as they are stated, and what they
-- came from. A ratio of two numbers is anything between them.
--   lua5.4 bench/compare.lua ONE.csv OTHER.csv
package.path = "./?.lua;" .. package.path
local report = require "bench.report"
local summary = require "bench.summary"

local function by_name(path)
  local found = {}
  for _, row in ipairs(select(2, report.read(path))) do
    local name = table.concat({row.work, row.size or "", row.processes or "", row.keys or "",
                               row.against}, ", ")
    found[name] = row
    found[#found + 1] = name
  end
  return found
end

-- What a ratio is said to be, at least and at most.
local function said(row)
  if summary.settled(row) then
    return row.ratio, row.ratio
  end
  return row.ratio_low, row.ratio_high
end

if not arg[2] then
  io.stderr:write "usage: lua5.4 bench/compare.lua ONE.csv OTHER.csv\n"
  os.exit(2)
end

local one, other = by_name(arg[1]), by_name(arg[2])
local all, apart, wide = 0, 0, 0
for _, name in ipairs(one) do
  local a, b = one[name], other[name]
  if a.ratio and b and b.ratio and not (a.kind == "ours" and a.ratio == 1) then
    all = all + 1
    wide = wide + (summary.settled(a) and summary.settled(b) and 0 or 1)
    local low, high = said(a)
    local from, to = said(b)
    if low > 1.2 * to or from > 1.2 * high then
      apart = apart + 1
      print(("%-78s %9s %9s   %8.4g ns %8.4g ns"):format(
        name, report.times(a, "%.2f", "-"), report.times(b, "%.2f", "-"), a.ns, b.ns))
    end
  end
end
print(("%d of %d ratios are apart; %d have two numbers in one of the runs or in both"):format(
  apart, all, wide))
