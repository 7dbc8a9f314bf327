-- Processes that do the other side of a work, or their part of it. Each sleeps until it is told
-- which function to do how often. They end with the process that began them, and an error in
-- one ends that process, which would wait for ever.
local cpus = require "bench.cpus"
local limits = require "limits"
local process = require "shm.process"
local shm = require "shm"

local M = {}
M.__index = M

local STRIDE <const>, WORK <const>, TIMES <const> = 4096, 3072, 3080

local function work(self, functions, me, parent)
  limits.tie(parent)
  local ok, message = xpcall(function()
    local at = me * STRIDE
    while true do
      assert(self.go[me]:wait())
      functions[self.region:load(at + WORK)](self.region:load(at + TIMES), me)
      self.done:post()
    end
  end, debug.traceback)
  if not ok then
    io.stderr:write("bench: a worker: ", message, "\n")
    process.kill(parent, "KILL")
  end
end

--- count workers that know these functions of (times, worker), each where cpus.of says.
function M.start(count, functions, how)
  local self = setmetatable({go = {}, children = {}}, M)
  self.region = assert(shm.anonymous((count + 1) * STRIDE, {prefault = true}))
  self.done = assert(shm.semaphore.create(self.region, 0, 0))
  local parent = process.pid()
  for i = 1, count do
    self.go[i] = assert(shm.semaphore.create(self.region, i * STRIDE, 0))
  end
  for i = 1, count do
    self.children[i] = assert(process.fork(work, self, functions, i, parent))
    cpus.pin(self.children[i].pid, cpus.of(i, how))
  end
  return self
end

--- All of them begin.
function M:ask(which, times)
  for i = 1, #self.children do
    self.region:store(i * STRIDE + WORK, which)
    self.region:store(i * STRIDE + TIMES, times)
  end
  for i = 1, #self.children do
    self.go[i]:post()
  end
end

--- Until all have done it.
function M:wait()
  for _ = 1, #self.children do
    assert(self.done:wait())
  end
end

function M:stop()
  for _, child in ipairs(self.children) do
    child:kill "KILL"
    child:wait()
    child:close()
  end
  self.region:close()
end

return M
