-- What a run's file says, asked for by work and entry: what plots and README's tables are made of.
local report = require "bench.report"

local M = {}
M.__index = M

function M.read(path)
  local facts, rows = report.read(path)
  return setmetatable({facts = facts, rows = rows}, M)
end

--- The row of an entry, by the names in the file; other fields only where they are given.
function M:find(against, where)
  for _, row in ipairs(self.rows) do
    local same = row.against == against
    for key, value in pairs(where) do
      same = same and row[key] == value
    end
    if same and row.ns then
      return row
    end
  end
end

--- The first entry of a work, which is ours.
function M:ours(where)
  for _, row in ipairs(self.rows) do
    local same = row.kind == "ours"
    for key, value in pairs(where) do
      same = same and row[key] == value
    end
    if same then
      return row
    end
  end
end

--- Nanoseconds as people say them.
function M.time(ns)
  for _, unit in ipairs {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}} do
    if ns >= unit[1] then
      local n = ns / unit[1]
      return (n < 10 and "%.1f %s" or "%.0f %s"):format(n, unit[2])
    end
  end
  return (ns < 10 and "%.1f ns" or "%.0f ns"):format(ns)
end

return M
