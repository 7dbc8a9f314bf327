--- One role's process: it takes part in round after round. In each it waits until the round is
-- open, meets the others, all awake, runs its function, and says that it is done; who comes last
-- closes the round and opens the next one.
-- @module shm.lab.run.role
local logs = require "shm.lab.run.log"
local places = require "shm.lab.run.place"
local process = require "shm.process"
local rules = require "shm.lab.run.rules"
local tap = require "shm.lab.run.tap"
local words = require "shm.lab.run.words"
local worlds = require "shm.lab.world"

local M = {}

--- The signal by which a role asks the parent to look.
M.BELL = "RTMIN+9"

local AWAKE <const>, RUNNING <const>, DONE <const> = places.AWAKE, places.RUNNING, places.DONE
local SPINS <const>, YIELDS <const> = 2000, 2000
local SLICE <const>, NAP <const> = 0.2, 200e-6 -- seconds
local JITTERS <const> = {8, 40, 160} -- turns of an empty loop, at most
local SELDOM <const> = 4 -- one operation in so many is delayed

-- A generator of its own, as math.random is the program's.
local function random_of(seed)
  local state = (seed * 2654435761 + 88172645463325252) | 1
  local function random(n)
    state = state ~ state << 13
    state = state ~ state >> 7
    state = state ~ state << 17
    return (state >> 1) % (n // 1 | 0) + 1
  end
  for _ = 1, 8 do
    random(2)
  end
  return random
end
M.random_of = random_of

local function delay_of(most, random, log)
  if most == 0 then
    return nil
  end
  local monotonic, yield = process.monotonic, process.yield
  return function()
    if random(SELDOM) == 1 then
      local till = monotonic() + random(most * 1000) * 1e-9
      repeat
        yield()
      until monotonic() >= till
    end
    if log then
      log.now()
    end
  end
end

--- What a process knows of a run.
-- @tparam table run place, protocol, objects, settings
-- @int index which role it is, 0 for the parent
-- @tparam[opt] boolean new whether it has not been in the open round
-- @treturn table seat
function M.seat(run, index, new)
  local place, settings, protocol = run.place, run.settings, run.protocol
  local seat = {run = run, place = place, protocol = protocol, index = index, now = 0}
  function seat.round() return seat.now end

  --- The role whose process this is, or was.
  function seat.role_of(pid)
    return place:role_of(pid)
  end

  seat.loggable = tap.pack
  seat.random = random_of(settings.seed * 64 + index)
  seat.log = index > 0 and place.log_size > 0 and logs.open(place, index, new) or nil
  seat.delay = index > 0 and delay_of(settings.delays, random_of(settings.seed * 64 + index + 32),
                                      seat.log) or nil
  seat.real = {}
  for _, object in ipairs(run.objects) do
    seat.real[object.name] = object.real.open(seat, object)
  end
  seat.judge = rules.new(protocol, place, seat.real, seat.round, function(number, found)
    if place:break_rule(number, seat.now) then
      local before = place:load "breaker"
      if places.parts(before) ~= seat.now then
        local step = seat.log and seat.log.position() or 0
        place:cas("breaker", before, places.breaker(seat.now, step, number, index))
      end
      if found.kind == "error" then
        place:set_error(math.max(index, 1), seat.now, found.message)
      end
      place:store("broken", seat.now)
    end
  end)
  return seat
end

-- What a role sees.
local function world_of(seat, role)
  local world = words.world(seat)
  local call = seat.call
  for _, real in pairs(seat.real) do
    for name, f in pairs(real.world or {}) do
      world[name] = tap.func(call, nil, name, f)
    end
  end
  return worlds.new(seat.protocol, role, world, function(object)
    seat.real[object.name].methods.name = object.name
    local watched = seat.judge.watched
    local function told(action, name, args, f, ...)
      local function after(...)
        if watched[object.name] then
          seat.judge.object(object.name)
        end
        return ...
      end
      return after(call(action, name, args, f, ...))
    end
    return tap.handle(told, object.name, seat.real[object.name].methods)
  end)
end

--- Opens the next round, its initial state restored; or ends the run.
-- @tparam table seat
-- @int round the next one
function M.open_round(seat, round)
  local place = seat.place
  if round > place:load "rounds" then
    place:store("stopping", 1)
    process.kill(seat.run.parent, M.BELL)
  else
    place:restore()
    for _, object in ipairs(seat.run.objects) do
      seat.real[object.name].reset()
    end
  end
  place.region:store32(0, round)
  if place:load "sleepers" > 0 then
    place.region:wake(0)
  end
end

--- Counts how a round ended, once.
function M.account(seat, round)
  local place = seat.place
  if place:load "accounted" < round then
    if place:load "threw" ~= round then
      seat.judge.at_end()
      for i, object in ipairs(seat.run.objects) do
        local left = seat.real[object.name].left
        if left and left() and place:break_rule(seat.judge.count + i, round) then
          place:store("broken", round)
        end
      end
      place:count_outcome(place:outcome(round))
    end
    place:store("accounted", round)
  end
end

local function close(seat, round)
  local place, settings = seat.place, seat.run.settings
  M.account(seat, round)
  if settings.led or round <= settings.keep or seat.background or
     place:load "threw" == round or
     place:load "broken" == round and place:load "wanted" > 0 then
    place:store("held", round)
    process.kill(seat.run.parent, M.BELL)
  else
    M.open_round(seat, round + 1)
  end
end

--- Closes the round if all are done, and nobody else does.
function M.close_if_over(seat, round)
  local place = seat.place
  local done, count = 4 * round + DONE, #seat.protocol.roles
  for i = 1, count do
    if place:phase(i) < done and not seat.protocol.roles[i].background then
      return false
    end
  end
  for i = count + 1, count + place:load "born" do
    if place:phase(i) < done then
      return false
    end
  end
  local before = place:load "closed"
  if before // 32 < round and place:cas("closed", before, 32 * round + seat.index) then
    close(seat, round)
  end
  return true
end

-- Until a round is open. False when the run is over.
local function await_round(seat, round)
  local place = seat.place
  local region, opened, stopping = place.region, place.region:loader32(0), place:loader "stopping"
  local sleepers, parent = place:adder "sleepers", seat.run.parent
  local spins = 0
  while opened() < round do
    if stopping() ~= 0 then
      return false
    end
    spins = spins + 1
    if spins > SPINS + YIELDS then
      local now = opened()
      if now < round then
        sleepers(1)
        region:wait(0, now, SLICE)
        sleepers(-1)
        if not process.alive(parent) then
          return false
        end
      end
    elseif spins > SPINS then
      process.yield()
    end
  end
  return stopping() == 0
end

-- Until all are awake, so that they begin together.
local function meet(seat, others, round)
  local awake, spins = 4 * round + AWAKE, 0
  for i = 1, #others do
    local phase = others[i]
    while phase() < awake do
      spins = spins + 1
      if spins > SPINS + YIELDS then
        process.sleep(NAP)
        if not process.alive(seat.run.parent) then
          process.exit(0)
        end
      elseif spins > SPINS then
        process.yield()
      end
    end
  end
end

local function traceback(problem)
  return debug.traceback(tostring(problem), 2)
end

--- Runs a role's function, and leaves what it throws.
function M.perform(seat, f, w)
  local ok, problem = xpcall(f, traceback, w)
  if not ok then
    seat.place:set_error(seat.index, seat.now, problem)
    process.kill(seat.run.parent, M.BELL)
  end
end

-- Tells the real objects.
local function each(seat, what)
  for _, real in pairs(seat.real) do
    if real[what] then
      real[what]()
    end
  end
end

-- The world of its parent is a child's own, in its own copy of all.
local function become(world, other)
  for key in pairs(world) do
    rawset(world, key, nil)
  end
  for key, value in pairs(other) do
    rawset(world, key, value)
  end
  setmetatable(world, getmetatable(other))
end

--- A child that a role forks.
-- @treturn shm.process.handle
-- @treturn int which role it is
-- @treturn string its name
function M.spawn(seat, f, name)
  local place = seat.place
  local index = #seat.protocol.roles + place.region:add(places.LINES.born * 64, 1) + 1
  if index > places.MOST then
    error(("w.fork: more than %d roles"):format(places.MOST), 0)
  end
  seat.children = (seat.children or 0) + 1
  name = name or ("%s.%d"):format(seat.name, seat.children)
  place:set_child_name(index, name)
  place:set_pid(index, 0) -- the last round's child is dead, and would be taken for this one
  place:set_phase(index, seat.now, RUNNING)
  local child = assert(process.fork(function()
    local mine = M.seat(seat.run, index, true)
    place:set_pid(index, process.pid())
    mine.now, mine.name, mine.background = seat.now, name, seat.background
    function mine.spawn(given, known_as) return M.spawn(mine, given, known_as) end
    local w = M.world_of(mine, {index = index, name = name})
    become(seat.world, w)
    mine.world = w
    each(mine, "begin")
    mine.judge.at_start(true)
    if mine.log then
      mine.log.begin(mine.now)
    end
    M.perform(mine, f, w)
    each(mine, "finish")
    place:set_phase(index, mine.now, DONE)
    M.close_if_over(mine, mine.now)
  end))
  place:set_pid(index, child.pid)
  return child, index, name
end

--- What a role's process does.
-- @tparam table run
-- @int index
-- @string mode "next": takes part from that round on; "restart": begins anew in it, its log at
-- that place; "done": has been in it
-- @int round
-- @int[opt] cell
-- @int[opt] used
function M.live(run, index, mode, round, cell, used)
  local seat = M.seat(run, index, mode == "next")
  local place, role = run.place, run.protocol.roles[index]
  seat.background = false
  for _, other in ipairs(run.protocol.roles) do
    seat.background = seat.background or other.background
  end
  local w = world_of(seat, role)
  seat.name, seat.world = role.name, w
  function seat.spawn(given, name) return M.spawn(seat, given, name) end
  local set, log, others = place.region:storer(place:phase_at(index)), seat.log, {}
  for i = 1, #run.protocol.roles do
    others[#others + 1] = i ~= index and place.region:loader(place:phase_at(i)) or nil
  end
  local f = mode == "restart" and role.restart or role.run
  seat.now = round
  seat.judge.at_start(true)
  while true do
    seat.now = round
    if mode == "next" then
      if not await_round(seat, round) then
        return
      end
      each(seat, "begin")
      set(4 * round + AWAKE)
      meet(seat, others, round)
      set(4 * round + RUNNING)
      for _ = 1, seat.random(JITTERS[seat.random(#JITTERS)]) do -- else one is always ahead
        local _ = seat.now
      end
    end
    if mode ~= "done" then
      if mode == "restart" then
        each(seat, "begin")
      end
      if log then
        log.begin(round, cell, used)
      end
      M.perform(seat, f, w)
      each(seat, "finish")
      set(4 * round + DONE)
    end
    M.close_if_over(seat, round)
    mode, f, round, cell, used = "next", role.run, round + 1, nil, nil
  end
end

M.world_of = world_of

return M
