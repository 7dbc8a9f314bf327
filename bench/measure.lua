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
local FEWER <const> = {map = 3, changing = 3} -- turns, where it takes seconds to begin
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

-- The groups that are measured in this turn, with so many seconds left: all that have something
-- open, and when they have had their turns, the one that has most for the time that it takes.
local function chosen(groups, turn, left)
  local all, best, most = {}, nil, 0
  for _, group in ipairs(groups) do
    if turn == 1 or group:open() > 0 and group.seconds < left then
      all[#all + 1] = turn <= group.least and group or nil
      local worth = group:open() / group.seconds / group.passes
      if worth > most then
        best, most = group, worth
      end
    end
  end
  return all[1] and all or {best}
end

--- Measures, and has the table in the run's folder after each turn; prints it in the end, and
-- gives the file its name.
function M.run(options)
  local began, groups, known, turn = process.monotonic(), {}, facts(options), 0
  local last, said, text = began + options.all, began, nil
  for i, name in ipairs(WORKS) do
    groups[i] = passes.group(name, options, FEWER[name])
  end
  cpus.keep_awake()
  while true do
    turn = turn + 1
    local now = chosen(groups, turn, last - process.monotonic())
    if #now == 0 then
      break
    end
    for _, group in ipairs(now) do
      if turn == 1 or process.monotonic() + group.seconds < last then
        group:measure()
      end
    end
    text = tell(groups, options, known)
    place.keep("table", ("after %d turns:\n%s"):format(turn, text))
    if not options.terminal and process.monotonic() > said + EVERY then
      said = process.monotonic()
      progress(groups, said - began)
    end
  end
  assert(os.rename(options.csv .. options.new, options.csv))
  print(text)
  print(("%.0f s; written to %s"):format(process.monotonic() - began, options.csv))
end

return M
