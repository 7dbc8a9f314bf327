-- A process that does the other side of whatever is measured between two, on a cpu of its own or
-- on the same one.
local process = require "shm.process"
local shm = require "shm"

local M = {}

local region = assert(shm.anonymous(4096, {prefault = true}))
local go = assert(shm.semaphore.create(region, 0))
local WORK <const>, TIMES <const> = 2048, 2056
local child
-- Lets a process run there only, as taskset writes it.
local function pin(pid, cpus)
  os.execute(("taskset -p -c %s %d >/dev/null"):format(cpus, pid))
end

-- The cpus that this process may run on.
function M.cpus()
  local list = io.open("/proc/self/status"):read "a":match "Cpus_allowed_list:%s*(%S+)"
  local found = {}
  for first, last in list:gmatch "(%d+)%-?(%d*)" do
    for cpu = tonumber(first), tonumber(last) or tonumber(first) do
      found[#found + 1] = cpu
    end
  end
  return found
end

local all = M.cpus() -- before anybody is pinned

-- What begins and what ends it, for works that name one of these functions of n.
function M.of(functions, n_cpus)
  local usable = M.cpus()
  return function()
    child = assert(process.fork(function()
      while true do
        go:wait()
        functions[region:load(WORK)](region:load(TIMES))
      end
    end))
    pin(process.pid(), usable[1])
    pin(child.pid, usable[n_cpus] or usable[1])
  end, function()
    child:kill "KILL"
    child:wait()
    pin(process.pid(), table.concat(usable, ","))
  end
end

-- f beside the partner's function of that number.
function M.with(which, f)
  return function(n)
    region:store(WORK, which)
    region:store(TIMES, n)
    go:post()
    return f(n)
  end
end

-- Puts this process and another on cpus of their own, if there are two; without another this
-- one may run anywhere again.
function M.apart(pid)
  local usable = M.cpus()
  if pid then
    pin(process.pid(), usable[1])
    pin(pid, usable[2] or usable[1])
  else
    pin(process.pid(), table.concat(all, ","))
  end
end

return M
