-- A run: every work that is wanted, one after the other, each printed when it is done.
local cpus = require "bench.cpus"
local passes = require "bench.passes"
local process = require "shm.process"
local report = require "bench.report"

local M = {}

local PASSES <const> = 5 -- in how many processes each group is measured
local FEWER <const> = {map = 3, changing = 3} -- where it takes seconds to begin
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
    {"rounds", ("up to %d rounds of %g s for each, in up to %d processes, no cpu asleep"):format(
      options.rounds, options.seconds, math.min(PASSES, options.rounds))},
  }
end

--- Measures, prints, and writes the file.
function M.run(options)
  io.stdout:setvbuf "line"
  local path = options.csv .. options.new
  local file = report.open(path, facts(options))
  local met, missed = 0, 0
  options.began = process.monotonic()
  cpus.keep_awake()
  print(report.header())
  for _, group in ipairs(WORKS) do
    local count = math.min(FEWER[group] or PASSES, options.rounds)
    passes.run(group, count, options, function(work, results)
      local lines, good, bad = report.lines(work, results)
      print(table.concat(lines, "\n"))
      report.write(file, work, results)
      met, missed = met + good, missed + bad
    end)
  end
  file:close()
  assert(os.rename(path, options.csv))
  print(report.LEGEND)
  print(("%d goals met, %d missed; %.0f s; written to %s"):format(
    met, missed, process.monotonic() - options.began, options.csv))
end

return M
