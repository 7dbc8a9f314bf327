-- Which cpus there are, and which of them a process may run on. What takes turns between
-- processes is measured with each of them on a cpu of its own, or all on the same one.
--
-- None of them sleeps meanwhile. How long one takes to come back is the machine's, and of a
-- virtual one its neighbours': a pipe took 55 to 410 us there and back, minutes apart, and 45
-- where the cpus were awake.
local limits = require "limits"
local process = require "shm.process"

local M = {}

local all = {}
do
  local file <close> = assert(io.open "/proc/self/status")
  local list = file:read "a":match "Cpus_allowed_list:%s*(%S+)"
  for first, last in list:gmatch "(%d+)%-?(%d*)" do
    for cpu = tonumber(first), tonumber(last) or tonumber(first) do
      all[#all + 1] = cpu
    end
  end
end

M.count = #all

--- The cpu of a worker, from 1: on one cpu with who asks it, beside it, or one of equals.
function M.of(worker, how)
  if how == "same" then
    return all[1]
  elseif how == "equals" then
    return all[(worker - 1) % #all + 1]
  end
  return all[#all > 1 and (worker - 1) % (#all - 1) + 2 or 1]
end

--- The cpu of who asks.
function M.first()
  return all[1]
end

--- Lets a process run on one cpu only; without one, anywhere again.
function M.pin(pid, cpu)
  limits.pin(pid, table.unpack(cpu and {cpu} or all))
end

--- This process.
function M.stay(cpu)
  M.pin(process.pid(), cpu)
end

--- Keeps them awake for as long as this process lives.
function M.keep_awake()
  local parent = process.pid()
  for _, cpu in ipairs(all) do
    local child = assert(process.fork(function()
      limits.tie(parent)
      limits.awake()
    end))
    M.pin(child.pid, cpu)
  end
end

return M
