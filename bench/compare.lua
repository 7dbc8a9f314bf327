-- Two files of runs: which ratios are more than a fifth apart, and what they came from. Marked are
-- those that were so within a run, too.
--   lua5.4 bench/compare.lua ONE.csv OTHER.csv
package.path = "./?.lua;" .. package.path
local report = require "bench.report"

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

if not arg[2] then
  io.stderr:write "usage: lua5.4 bench/compare.lua ONE.csv OTHER.csv\n"
  os.exit(2)
end

local one, other = by_name(arg[1]), by_name(arg[2])
local all, apart, marked = 0, 0, 0
for _, name in ipairs(one) do
  local a, b = one[name], other[name]
  if a.ratio and b and b.ratio and not (a.kind == "ours" and a.ratio == 1) then
    all = all + 1
    local times, mark = math.max(a.ratio / b.ratio, b.ratio / a.ratio), report.mark(a)
    mark = mark == "" and report.mark(b) or mark
    if report.apart(times) then
      apart, marked = apart + 1, marked + #mark
      print(("%1s%5.2f  %-70s %8.4g %8.4g   %8.4g ns %8.4g ns"):format(mark, times, name, a.ratio,
                                                                     b.ratio, a.ns, b.ns))
    end
  end
end
print(("%d of %d ratios are more than a fifth apart; %d of these are marked, as they were so "
       .. "within a run, too"):format(apart, all, marked))
