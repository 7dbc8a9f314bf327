--- Kills roles at random moments, from the parent.
-- @module shm.lab.run.kills
local places = require "shm.lab.run.place"
local process = require "shm.process"

local AWAKE <const>, RUNNING <const> = places.AWAKE, places.RUNNING

local SPINS <const> = 1000

local M = {}

--- Kills somebody at a random moment of the round that has just been opened.
function M.somebody(self)
  local settings, place = self.settings, self.place
  local round = place.region:load32(0)
  if self.killed_in ~= round then
    self.killed_in = round
    local kills = settings.kills
    if kills <= 1 then
      self.kills_left = self.random(1000000) <= kills * 1000000 and 1 or 0
    else
      self.kills_left = self.random(kills // 1 + 1) - 1
    end
    self.victims = {}
    for i, role in ipairs(self.protocol.roles) do
      if not role.spared then
        self.victims[#self.victims + 1] = i
      end
    end
  end
  if self.kills_left < 1 or #self.victims == 0 then
    return
  end
  self.kills_left = self.kills_left - 1
  local index = self.victims[self.random(#self.victims)]
  local span = self.span or 100e-6 -- in which a kill hits a round, more often than not
  local running = 4 * round + AWAKE
  local spins = 0
  while place:phase(index) < running and place:load "stopping" == 0 do -- it has to begin first
    spins = spins + 1
    if spins < SPINS then
      process.yield()
    elseif self.signals:wait(50e-6) then
      self.rang = true
      return
    end
  end
  local till = process.monotonic() + self.random(1000) * 1e-3 * span
  while process.monotonic() < till do
    process.yield()
  end
  if place:phase(index) == 4 * round + RUNNING then
    place:doom(index, round)
    self.children[index]:kill "KILL"
    self.span = math.min(span * 1.25, 0.1)
  else -- too late
    self.span = span * 0.8
  end
end

return M
