-- A group of works, measured several times, each time in a process that was begun for it: what
-- lies where in memory makes the same code up to half as fast again, and is decided when a
-- program begins. What the processes tell is pooled. Whether glibc gives the heap's top back with
-- each large string, and takes it again for the next, is decided then, too, and makes 64 KiB take
-- up to twice as long or not: it keeps what it has.
local place = require "bench.place"
local process = require "shm.process"
local summary = require "bench.summary"

local M = {}
M.__index = M

local COMMAND <const> = "exec env MALLOC_TRIM_THRESHOLD_=1073741824 "
                        .. "MALLOC_MMAP_THRESHOLD_=33554432 lua5.4 bench/pass.lua %s"

-- Lua that makes the value again: of strings, numbers, booleans, and tables of those.
local function literal(value)
  if type(value) ~= "table" then
    return ("%q"):format(value)
  end
  local fields = {}
  for key, inner in pairs(value) do
    fields[#fields + 1] = ("[%s]=%s"):format(literal(key), literal(inner))
  end
  return "{" .. table.concat(fields, ",") .. "}"
end

--- Writes a value as one line, and reads it.
function M.write(file, value)
  file:write(literal(value):gsub("\\\n", "\\n"), "\n")
end

function M.read(line)
  return load("return " .. line, "=pass", "t", {})()
end

--- A group by its name, of which nothing is measured yet. Has passes, how many processes have
-- measured; seconds, what the last one took; and works, by their place in the group, of {work,
-- told, results}: what it is called by, what each process told of it, and what summary.sum_up
-- makes of that.
function M.group(name, options)
  return setmetatable({name = name, options = options, passes = 0, seconds = 0, works = {}}, M)
end

-- Whether one more process could make a work's ratios better known. Of one that has measured,
-- no round may count.
local function open(self, work)
  local settled = true
  for _, one in ipairs(work.results) do
    settled = settled and (one.why or one.passes >= self.options.least and summary.settled(one))
  end
  return not settled and #work.told < (work.work.passes or self.options.most)
end

--- How many of its works another process is to measure.
function M:open()
  local count = 0
  for _, work in pairs(self.works) do
    count = count + (open(self, work) and 1 or 0)
  end
  return count
end

--- Its works of which something is known, in their order.
function M:measured()
  local list, works = {}, self.works
  for index in pairs(works) do
    list[#list + 1] = index
  end
  table.sort(list)
  for i, index in ipairs(list) do
    list[i] = works[index]
  end
  return list
end

-- Of those that another process is to measure, how often each entry was done in a round.
local function times(self)
  local known = {}
  for index, work in pairs(self.works) do
    if open(self, work) then
      known[index] = {}
      for _, one in ipairs(work.told[1]) do
        known[index][one.name] = one.times
      end
    end
  end
  return known
end

--- Measures in one more process what is left; at first all that is wanted.
function M:measure()
  local began = process.monotonic()
  self.passes = self.passes + 1
  local path = place.folder .. "/pass"
  local file <close> = assert(io.open(path, "w"))
  local id, folder = place.whose()
  M.write(file, {group = self.name, pass = self.passes, options = self.options,
                 times = self.passes > 1 and times(self) or nil, id = id, folder = folder,
                 parent = process.pid()})
  file:close()
  local pipe <close> = assert(io.popen(COMMAND:format(path)))
  for line in pipe:lines() do
    local said = M.read(line)
    local work = self.works[said.index] or {work = said.work, told = {}}
    self.works[said.index] = work
    work.told[#work.told + 1] = said.measured
    work.results = summary.sum_up(summary.pool(work.told))
  end
  assert(pipe:close(), "who measured " .. self.name .. " has ended")
  self.seconds = process.monotonic() - began
end

return M
