-- A run: every work that is wanted, one after the other, each printed when it is done.
local process = require "shm.process"
local report = require "bench.report"
local rounds = require "bench.rounds"

local M = {}

local WORKS <const> = {"region", "bytes", "locks", "handover", "queue", "oneway", "trip", "topic",
                       "map", "changing", "survival", "attach", "rpc", "chat"}

-- Seconds after which each work gets three rounds, and after 100 more one: others use the machine.
local LATE <const> = 400

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
      cpu:read "a":match "model name%s*:%s*([^\n]+)" or "unknown", require "bench.cpus".count,
      output "uname -r", output "systemd-detect-virt" == "none" and "not virtual" or "virtual",
      _VERSION)},
    {"date", os.date "!%Y-%m-%d"},
    {"load", load:read "a":match "^(%S+ %S+ %S+)"},
    {"rounds", ("up to %d rounds of %g s for each"):format(options.rounds, options.seconds)},
  }
end

local function wanted(title, words)
  for _, word in ipairs(words) do
    if title:find(word, 1, true) then
      return true
    end
  end
  return #words == 0
end

-- Where it is, on the last line of a terminal.
local function progress(title, options)
  if not options.terminal then
    return function() end
  end
  return function(name, round)
    local line = ("%s: %s, round %d"):format(title, name, round)
    io.stderr:write("\r\27[K", line:sub(1, 78))
    if not name then
      io.stderr:write "\r\27[K"
    end
  end
end

--- Measures, prints, and writes the file.
function M.run(options)
  io.stdout:setvbuf "line"
  local file = report.open(options.csv .. options.new, facts(options))
  local began, met, missed = process.monotonic(), 0, 0
  print(report.header())
  for _, name in ipairs(WORKS) do
    local group = require("bench.works." .. name)
    for _, work in ipairs(group) do
      local title = report.title(work)
      if wanted(title, options.words) then
        local told = progress(title, options)
        local elapsed = process.monotonic() - began
        options.rounds = math.min(options.rounds, elapsed > LATE + 100 and 1
                                                  or elapsed > LATE and 3 or options.rounds)
        local results = rounds.measure(work, options, told)
        if options.terminal then
          io.stderr:write "\r\27[K"
        end
        local lines, good, bad = report.lines(work, results)
        print(table.concat(lines, "\n"))
        report.write(file, work, results)
        met, missed = met + good, missed + bad
      end
    end
    if group.finish then
      group.finish()
    end
  end
  file:close()
  assert(os.rename(options.csv .. options.new, options.csv))
  print(("%d goals met, %d missed; %.0f s; written to %s"):format(
    met, missed, process.monotonic() - began, options.csv))
end

return M
