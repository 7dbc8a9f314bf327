-- A run: all groups of works, each in a process of its own, in turns, so that what a machine is
-- like for a minute is not all that a ratio is made of. When all have had their turns, those have
-- more whose ratios are not settled, until all are or the time is up.
local cpus = require "bench.cpus"
local passes = require "bench.passes"
local place = require "bench.place"
local process = require "shm.process"
local report = require "bench.report"

local M = {}

local EVERY <const> = 20 -- seconds, to say how far it is
local WORKS <const> = {"region", "bytes", "locks", "handover", "queue", "oneway", "trip", "topic",
                       "map", "changing", "survival", "attach", "rpc", "chat"}

local function output(command)
  local pipe <close> = assert(io.popen(command .. " 2>/dev/null"))
  return pipe:read "l" or "?"
end

-- The machine that it is measured on.
local function facts(options)
  local cpu <close> = assert(io.open "/proc/cpuinfo")
  local load <close> = assert(io.open "/proc/loadavg")
  return {
    {"machine", ("%s, %d cpus, Linux %s, %s, %s"):format(
      cpu:read "a":match "model name%s*:%s*([^\n]+)" or "unknown", cpus.count,
      output "uname -r", output "systemd-detect-virt" == "none" and "not virtual" or "virtual",
      _VERSION)},
    {"date", os.date "!%Y-%m-%d"},
    {"load", load:read "a":match "^(%S+ %S+ %S+)"},
    {"rounds", ("%d rounds of %g s for each in each of up to %d processes, no cpu asleep"):format(
      options.rounds, options.seconds, options.most)},
  }
end

-- What is measured, as a table, and as a file under a name that it does not keep.
local function tell(groups, options, known)
  local lines, verdicts = {report.header()}, {}
  local file <close> = report.open(options.csv .. options.new, known)
  for _, group in ipairs(groups) do
    for _, it in ipairs(group:measured()) do
      lines[#lines + 1] = table.concat(report.lines(it.work, it.results, verdicts), "\n")
      report.write(file, it.work, it.results)
    end
  end
  lines[#lines + 1] = report.LEGEND
  lines[#lines + 1] = ("%d goals met, %d missed, %d undecided"):format(
    verdicts.met or 0, verdicts.missed or 0, verdicts.undecided or 0)
  return table.concat(lines, "\n")
end

-- How far it is, for who has no terminal to see each round on.
local function progress(groups, seconds)
  local all, open = 0, 0
  for _, group in ipairs(groups) do
    all, open = all + #group:measured(), open + group:open()
  end
  io.stderr:write(("bench: %.0f s, %d of %d works are settled\n"):format(seconds, all - open, all))
end

-- The group that is measured next, with so many seconds left: the one that had the fewest of its
-- turns; and when all had theirs, the one that has most open for the time that it takes.
local function next_of(groups, left)
  local best, fewest, most = nil, math.huge, 0
  for _, group in ipairs(groups) do
    local open = group.passes == 0 and 1 or group.seconds < left and group:open() or 0
    local worth = open / group.seconds / group.passes
    if open > 0 and group.passes < group.options.least then
      if group.passes < fewest then
        best, fewest = group, group.passes
      end
    elseif fewest == math.huge and worth > most then
      best, most = group, worth
    end
  end
  return best
end

--- Measures, and has the table in the run's folder after each group; prints it in the end, and
-- gives the file its name.
function M.run(options)
  local began, said, groups, known = process.monotonic(), 0, {}, facts(options)
  local text
  local function seconds()
    return process.monotonic() - began
  end
  for i, name in ipairs(WORKS) do
    groups[i] = passes.group(name, options)
  end
  cpus.keep_awake()
  local group = groups[1]
  repeat
    group:measure()
    text = tell(groups, options, known)
    place.keep("table", ("after %.0f s:\n%s"):format(seconds(), text))
    if not options.terminal and seconds() > said + EVERY then
      said = seconds()
      progress(groups, said)
    end
    group = next_of(groups, options.all - seconds())
  until not group
  assert(os.rename(options.csv .. options.new, options.csv))
  print(text)
  print(("%.0f s; written to %s"):format(seconds(), options.csv))
end

return M
