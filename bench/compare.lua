-- Two files of runs: which ratios are more than a fifth apart, and what they came from.
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
local all, apart = 0, 0
for _, name in ipairs(one) do
  local a, b = one[name], other[name]
  if a.ratio and b and b.ratio and not (a.kind == "ours" and a.ratio == 1) then
    all = all + 1
    local times = math.max(a.ratio / b.ratio, b.ratio / a.ratio)
    if times > 1.2 then
      apart = apart + 1
      print(("%5.2f  %-70s %8.4g %8.4g   %8.4g ns %8.4g ns"):format(times, name, a.ratio, b.ratio,
                                                                  a.ns, b.ns))
    end
  end
end
print(("%d of %d ratios are more than a fifth apart"):format(apart, all))
