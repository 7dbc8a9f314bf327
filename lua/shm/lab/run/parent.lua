--- The parent of a run: makes the roles' processes, and does what only it can: keeps traces,
-- kills, notices who died, and ends rounds in which nobody moves any more. It sleeps until a
-- signal: a child's end, a role's bell, Ctrl-C.
--
-- If it is killed itself, its warden ends the roles.
-- @module shm.lab.run.parent
local keeper = require "shm.lab.run.keeper"
local kills = require "shm.lab.run.kills"
local logs = require "shm.lab.run.log"
local places = require "shm.lab.run.place"
local process = require "shm.process"
local roles = require "shm.lab.run.role"
local traces = require "shm.lab.run.trace"
local warden = require "shm.lab.run.warden"

local M = {}

local RUNNING <const>, DONE <const> = places.RUNNING, places.DONE
local PERIOD <const> = 1     -- seconds from one report of progress to the next
local GRACE <const> = 0.1    -- seconds that others have after one threw an error
local LOOK <const> = 0.02    -- seconds between looks whether a forked child lives
local ETIMEDOUT <const> = 110

local Parent = {}
Parent.__index = Parent

--- The parent of a run, before it.
function M.new(run, result)
  local signals, message = process.signals("CHLD", "INT", roles.BELL)
  if not signals then
    run.place.mutex:close()
    run.place.region:close()
  end
  local self = setmetatable({
    run = run, place = run.place, settings = run.settings, result = result, children = {},
    protocol = run.protocol, count = #run.protocol.roles, violations = 0,
    random = roles.random_of(run.settings.seed * 64 + 63),
    signals = places.need(signals, message),
  }, Parent)
  return self
end

function Parent:fork(index, mode, round, cell, used)
  local run = self.run
  local child = places.need(process.fork(function()
    self.line:close()
    run.place:set_pid(index, process.pid())
    if mode == "restart" then
      run.place:doom(index, 0)
    end
    roles.live(run, index, mode, round, cell, used)
  end))
  self.children[index] = child
end

-- Takes away the names that objects have.
local function let_go(self)
  for _, object in ipairs(self.run.objects) do
    local real = self.seat and self.seat.real[object.name]
    if real and real.close then
      real.close()
    end
  end
end

-- The processes that roles have forked and that still are.
local function forked(self)
  local list = {}
  for i = self.count + 1, math.min(self.count + self.place:load "born", places.MOST) do
    local pid = self.place:pid(i)
    if pid > 0 then
      list[#list + 1] = {index = i, pid = pid}
    end
  end
  return list
end

-- Ends all roles and what they have forked.
local function end_all(self)
  for _, child in pairs(self.children) do
    child:kill "KILL"
  end
  for _, one in ipairs(forked(self)) do
    if self.place:phase(one.index) & 3 ~= DONE then
      process.kill(one.pid, "KILL")
    end
    self.place:set_pid(one.index, 0)
  end
  for index, child in pairs(self.children) do
    child:wait()
    child:close()
    self.children[index] = nil
  end
end

local function is_over(self) return self.place:load "stopping" ~= 0 end

-- Opens the round after one that the parent has closed.
local function open_next(self, round)
  self.place:store("closed", 32 * round)
  roles.open_round(self.seat, round + 1)
end

-- All begins anew, with the round after this one.
local function renew(self, round)
  end_all(self)
  self.place:store("closed", 32 * round)
  self.place:store("accounted", round)
  self.place:store("sleepers", 0)
  self.place.mutex:lock()
  self.place.mutex:unlock()
  for i = 1, self.count do
    self.place:set_phase(i, round + 1, places.AWAIT)
  end
  open_next(self, round)
  if not is_over(self) then
    for i = 1, self.count do
      self:fork(i, "next", round + 1)
    end
  end
end

-- The parent has to close a round.
local function close(self, round)
  self.seat.now = round
  roles.account(self.seat, round)
  local verdict = self.place:load "threw" == round and keeper.errors(self, round) or
                  keeper.rule(self, round)
  if keeper.wants(self, round, verdict) or verdict then
    keeper.keep(self, round, verdict)
  end
  for i, role in ipairs(self.protocol.roles) do
    if role.background and self.place:phase(i) < 4 * round + DONE then
      return renew(self, round)
    end
  end
  open_next(self, round)
end

-- Nobody moves any more.
local function give_up(self, round)
  self.seat.now = round
  local verdict = self.place:load "threw" == round and keeper.errors(self, round)
  local place = self.place
  if not verdict then
    local waiting, names = {}, {}
    for i, name in ipairs(traces.roles(place)) do
      if place:phase(i) & 3 ~= DONE then
        waiting[#waiting + 1], names[#names + 1] = i, name
      end
    end
    self.result.stuck = self.result.stuck + 1
    verdict = {kind = "stuck", roles = waiting, message =
      ("stuck: nobody has moved for %g s, and not at their end: %s"):format(
        self.settings.timeout, table.concat(names, ", "))}
  end
  keeper.keep(self, round, verdict)
  renew(self, round)
end

-- Which round is open.
local function current(self) return self.place.region:load32(0) end

-- One of the roles has died.
local function bury(self, index)
  local place, now = self.place, process.monotonic()
  local child = self.children[index]
  local how, code = child:wait()
  child:close()
  self.children[index] = nil
  if is_over(self) then
    return
  end
  local phase = place:phase(index)
  local round, what = phase >> 2, phase & 3
  if how == "signal" and what == places.AWAKE and current(self) == round then
    what = RUNNING -- others have begun, and it was about to
  end
  if how == "exit" and what == RUNNING then
    place:set_error(index, round, ("the process ended with exit code %d"):format(code))
  end
  if what == RUNNING then
    local role = self.protocol.roles[index]
    self.result.killed = self.result.killed + (how == "signal" and 1 or 0)
    place:doom(index, -round)
    place:take_out(index, round)
    if self.settings.trace then
      logs.append(place, index, round, "crash", nil, now)
    end
    if role.restart and how == "signal" then
      local cell, used = 0, 0
      if self.settings.trace then
        logs.append(place, index, round, "restart", now, now)
        local _
        _, cell, used = logs.entries(place, index, round, function() end)
      end
      place:set_phase(index, round, RUNNING)
      self:fork(index, "restart", round, cell, used)
      return
    end
    place:set_phase(index, round, DONE)
    self:fork(index, "done", round)
  elseif what == DONE then
    local closed = place:load "closed"
    if closed // 32 == round and closed & 31 == index and place:load "held" ~= round and
       current(self) == round then -- it died as it closed the round
      place:store("held", round)
    end
    if current(self) > round then
      self:fork(index, "next", round + 1)
    else
      self:fork(index, "done", round)
    end
  else
    self:fork(index, "next", round)
  end
end

local function bury_dead(self)
  local dead = {}
  for index, child in pairs(self.children) do
    if not child:alive() then
      dead[#dead + 1] = index
    end
  end
  table.sort(dead)
  for _, index in ipairs(dead) do
    bury(self, index)
  end
end

-- Children that roles have forked and that were killed.
local function bury_forked(self)
  local place, round = self.place, current(self)
  for _, one in ipairs(forked(self)) do
    local phase = place:phase(one.index)
    if phase == 4 * round + RUNNING and not process.alive(one.pid) and
       place:phase(one.index) == phase then
      local now = process.monotonic()
      place:take_out(one.index, round)
      self.result.killed = self.result.killed + 1
      if self.settings.trace then
        logs.append(place, one.index, round, "crash", nil, now)
      end
      place:set_phase(one.index, round, DONE)
      roles.close_if_over(self.seat, round)
    end
  end
end

-- Whether anybody has moved since it was last asked.
local function has_moved(self)
  local place, round = self.place, current(self)
  local moved = self.seen_round ~= round
  if moved then
    self.seen, self.seen_cells, self.seen_round = {}, {}, round
  end
  for i = 1, math.min(self.count + place:load "born", places.MOST) do
    local phase = place:phase(i)
    moved = moved or phase ~= self.seen[i]
    self.seen[i] = phase
    if self.settings.trace and (moved or phase == 4 * round + RUNNING) then
      local before = self.seen_cells[i] or 0
      local cells = logs.cells(place, i, round, before)
      moved = moved or cells ~= before
      self.seen_cells[i] = cells
    end
  end
  return moved
end

local function report(self, began)
  local now, rounds = process.monotonic(), self.place:load "accounted"
  self.settings.progress {rounds = rounds, seconds = now - began, rate = rounds / (now - began),
                          done = rounds / self.settings.rounds}
end

--- Goes through all rounds.
function Parent:lead()
  local place, settings = self.place, self.settings
  place:store("rounds", settings.rounds)
  place:store("wanted", settings.trace and 1 or 0)
  for _, object in ipairs(self.run.objects) do
    if object.real.create then
      object.real.create(place, object)
    end
  end
  self.seat = roles.seat(self.run, 0)
  self.seat.now = 1
  self.seat.judge.at_start()
  for i = 1, self.count do
    place:set_phase(i, 1, places.AWAIT)
  end
  place:restore()
  self.warden, self.line = warden.fork(self.run, function() let_go(self) end)
  for i = 1, self.count do
    self:fork(i, "next", 1)
  end
  place.region:store32(0, 1)
  place.region:wake(0)
  local began = process.monotonic()
  local moved_at, reported = began, began
  while not is_over(self) do
    local round = current(self)
    if settings.led then
      kills.somebody(self)
    end
    local pace = place:load "born" > 0 and LOOK or math.min(settings.timeout / 4, PERIOD)
    if place:load "threw" == round then
      pace = GRACE / 4
    end
    local name, message, errno
    if not self.rang then
      name, message, errno = self.signals:wait(pace)
    end
    self.rang = false
    if name == "INT" then
      self.result.interrupted = true
      break
    elseif not name and errno and errno ~= ETIMEDOUT and errno ~= 4 then
      error(message, 0)
    end
    bury_dead(self)
    local held = place:load "held"
    if held == current(self) and held > 0 and not is_over(self) then
      close(self, held)
    end
    local now = process.monotonic()
    if not name then
      bury_forked(self)
    end
    if has_moved(self) then
      moved_at = now
    elseif now - moved_at >= (place:load "threw" == current(self) and GRACE or settings.timeout)
           and not is_over(self) then
      give_up(self, current(self))
      moved_at = now
    end
    if settings.seconds and now - began >= settings.seconds then
      self.result.stopped = ("%g s"):format(settings.seconds)
      break
    elseif settings.progress and now - reported >= PERIOD then
      reported = now
      report(self, began)
    end
  end
end

--- Ends all processes; the result can be read from the place then.
function Parent:finish()
  if not self.finished then
    self.finished = true
    self.place:store("stopping", 1)
    end_all(self)
    if self.warden then
      self.warden:kill "KILL"
      self.warden:wait()
      self.warden:close()
      self.line:close()
    end
    let_go(self)
    repeat -- a bell that came too late would end the program
      local name = self.signals:wait(0)
      self.result.interrupted = self.result.interrupted or name == "INT" or nil
    until not name
    self.signals:close()
  end
end

function Parent:__close()
  self:finish()
  self.place.region:close()
end

return M
