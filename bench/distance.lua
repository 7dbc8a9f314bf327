-- How far two cpus are from one another: what a word takes there and back. Those of a virtual
-- machine are two cores, and a second later two threads of one core, as its host likes it; then
-- a word goes to and fro in a sixth of the time, and what sleeps is woken no sooner.
local cpus = require "bench.cpus"
local limits = require "limits"
local process = require "shm.process"
local shm = require "shm"
local team = require "bench.team"

local M = {}
M.__index = M

local PING <const>, PONG <const> = 0, 64
local BATCHES <const>, TIMES <const> = 10, 20

--- Begins what is at the other end; nil where there is only one cpu.
function M.start()
  if cpus.count == 1 then
    return nil
  end
  local region = assert(shm.anonymous(4096, {prefault = true}))
  local function answer(n)
    limits.spin(region, PONG, PING, n, false)
  end
  return setmetatable({region = region, workers = team.start(1, {answer}, "beside")}, M)
end

--- Nanoseconds, of the quickest batch. This process runs on the first cpu then.
function M:measure()
  cpus.stay(cpus.first())
  self.workers:ask(1, BATCHES * TIMES)
  local best = math.huge
  for _ = 1, BATCHES do
    local start = process.monotonic()
    limits.spin(self.region, PING, PONG, TIMES, true)
    best = math.min(best, process.monotonic() - start)
  end
  self.workers:wait()
  return best / TIMES * 1e9
end

function M:stop()
  self.workers:stop()
  self.region:close()
end

return M
