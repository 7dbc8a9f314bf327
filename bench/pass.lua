-- One process's part of a group: lua5.4 bench/pass.lua FILE, where bench/passes.lua has written
-- what to do. Tells a line for each work.
package.path = "./?.lua;" .. package.path
package.cpath = "./build/bench/?.so;" .. package.cpath

local process = require "shm.process"
local limits = require "limits" -- gives regions methods, and comes after them
local passes = require "bench.passes"
local place = require "bench.place"
local report = require "bench.report"
local rounds = require "bench.rounds"

-- Seconds after which each work gets three rounds, and after 80 more one: others use the machine.
local LATE <const> = 460

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
  local pass = task.passes > 1 and (", pass %d"):format(task.pass) or ""
  return function(name, round)
    local line = ("%s: %s%s, round %d"):format(title, name, pass, round)
    io.stderr:write("\r\27[K", line:sub(1, 78))
  end
end

-- How many of so many rounds are this pass's. One of a few is the last that has any.
local function share(all)
  return all * task.pass // task.passes - all * (task.pass - 1) // task.passes
end

local group = require("bench.works." .. task.group)
for index, work in ipairs(group) do
  local title = report.title(work)
  local elapsed = process.monotonic() - options.began
  local all = math.min(work.rounds or options.rounds, options.rounds)
  local mine = share(all)
  if elapsed > LATE then
    mine = math.min(mine, elapsed > LATE + 80 and 1 or 3)
  end
  if wanted(title) and mine > 0 then
    local measured = rounds.measure(work, {rounds = mine, seconds = options.seconds},
                                    progress(title))
    if options.terminal then
      io.stderr:write "\r\27[K"
    end
    passes.write(io.stdout, {
      index = index, name = work.name, size = work.size, processes = work.processes,
      keys = work.keys, counted = work.counted, last = task.pass == task.passes,
      measured = measured,
    })
  end
end
if group.finish then
  group.finish()
end
