-- One process's part of a group: lua5.4 bench/pass.lua FILE, where bench/passes.lua has written
-- what to do. Tells a line for each work.
package.path = "./?.lua;" .. package.path
package.cpath = "./build/bench/?.so;" .. package.cpath

require "shm"
local limits = require "limits" -- gives regions methods, and comes after them
local passes = require "bench.passes"
local place = require "bench.place"
local report = require "bench.report"
local rounds = require "bench.rounds"

local file <close> = assert(io.open((assert(arg[1], "bench/passes.lua runs this"))))
local task = passes.read(file:read "a")
local options = task.options
limits.tie(task.parent)
place.share(task.id, task.folder)
require "bench.scale".small = options.small
io.stdout:setvbuf "line"

local function wanted(title)
  for _, word in ipairs(options.words) do
    if title:find(word, 1, true) then
      return true
    end
  end
  return #options.words == 0
end

-- Where it is, on the last line of a terminal.
local function progress(title)
  if not options.terminal then
    return function() end
  end
  return function(name, round)
    local line = ("turn %d, %s: %s, round %d"):format(task.pass, title, name, round)
    io.stderr:write("\r\27[K", line:sub(1, 78))
  end
end

local group = require("bench.works." .. task.group)
for index, work in ipairs(group) do
  local title = report.title(work)
  local times = task.times and task.times[index] or {}
  if task.times and task.times[index] or not task.times and wanted(title) then
    local count = math.min(work.rounds or options.rounds, options.rounds)
    local measured = rounds.measure(work, count, options.seconds, times, progress(title))
    if options.terminal then
      io.stderr:write "\r\27[K"
    end
    passes.write(io.stdout, {
      index = index, measured = measured,
      work = {name = work.name, size = work.size, processes = work.processes, keys = work.keys,
              counted = work.counted, passes = work.passes},
    })
  end
end
if group.finish then
  group.finish()
end
