-- A group of works, measured several times, each time in a process that was begun for it: what
-- lies where in memory makes the same code up to half as fast again, and is decided when a
-- program begins. What the processes tell is pooled. Whether glibc gives the heap's top back with
-- each large string, and takes it again for the next, is decided then, too, and makes 64 KiB take
-- up to twice as long or not: it keeps what it has.
local place = require "bench.place"
local process = require "shm.process"
local summary = require "bench.summary"

local M = {}

local COMMAND <const> = "exec env MALLOC_TRIM_THRESHOLD_=1073741824 "
                        .. "MALLOC_MMAP_THRESHOLD_=33554432 lua5.4 bench/pass.lua %s"

-- Lua that makes the value again: of strings, numbers, booleans, and tables of those.
local function literal(value)
  if type(value) ~= "table" then
    return ("%q"):format(value)
  end
  local fields = {}
  for key, inner in pairs(value) do
    fields[#fields + 1] = ("[%q]=%s"):format(key, literal(inner))
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

--- Measures a group in that many processes, and calls each(work, results) when a work of it is
-- done: with what it is called by, and what summary.sum_up gives.
function M.run(group, count, options, each)
  local told = {}
  for pass = 1, count do
    local path = place.folder .. "/pass"
    local file <close> = assert(io.open(path, "w"))
    local id, folder = place.whose()
    M.write(file, {group = group, pass = pass, passes = count, options = options, id = id,
                   folder = folder, parent = process.pid()})
    file:close()
    local pipe <close> = assert(io.popen(COMMAND:format(path)))
    for line in pipe:lines() do
      local work = M.read(line)
      told[work.index] = told[work.index] or {}
      table.insert(told[work.index], work.measured)
      if work.last then
        each(work, summary.sum_up(summary.pool(told[work.index])))
      end
    end
    assert(pipe:close(), "who measured " .. group .. " has ended")
  end
end

return M
