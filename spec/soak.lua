-- Processes that take turns at everything there is, while one after another is killed with -9
-- or stopped for a moment, and started anew: lua5.4 spec/soak.lua [--seconds 60] [--help]
--
-- What is watched: what a lock guards is whole whenever it is had; nobody waits for long; and
-- nothing is left behind. It ends with one line of what happened, or says what went wrong.
local process = require "shm.process"
local shm = require "shm"
package.path = "./?.lua;" .. package.path
local support = require "spec.support"

local M = {}

local ETIMEDOUT, EDEADLK = 110, 35
local LONG = support.LONG
local SHORT = 0.2
local STOPPED = 0.03
local PAUSE = 0.01 -- between two strikes, on average
local PARTIES = 3

-- The region: what belongs to each process, then what belongs to all, then objects.
local EACH, DOING, FAILURE = 256, 8, 16
local STOP, TURN = 0, 8
local TOTALS = {locks = 64, recoveries = 72, deadlocks = 80}
local PLACE = 2048 -- for an object and, at its end, for a pair
local PAIR = PLACE - 16
local SLEEPING = 56 -- where an object has its sleepers' mask

local USAGE = [[
usage: lua5.4 spec/soak.lua [options]

Runs processes that lock, wait and signal at random in one region, kills them with -9 and
starts others, and says what became of it.

  --seconds N     how long (60, or the environment's SOAK_SECONDS)
  --processes N   how many at once (8)
  --seed N        for random choices (the time)
  --quiet         no line every 10 seconds
  --help          this text

Exit status: 0 when all held, 1 when not, 2 for wrong options, 130 when interrupted.]]

-- Every object, by name. All see the same places.
local function objects(r, verb, base)
  local at, world = base, {pairs = {}}
  local function add(name, kind, ...)
    if verb == "attach" then
      world[name] = assert(shm[kind].attach(r, at))
    else
      world[name] = assert(shm[kind].create(r, at, ...))
    end
    world.pairs[name] = at + PAIR
    world[#world + 1] = world[name]
    at = at + PLACE
  end
  for i = 1, 4 do
    add("mutex" .. i, "mutex")
  end
  add("recursive", "mutex", {recursive = true})
  for i = 1, 2 do
    add("journaled" .. i, "mutex", {journal = 256})
  end
  for i = 1, 2 do
    add("rwlock" .. i, "rwlock", {journal = 256})
  end
  add("guard", "mutex")
  add("condition", "condition")
  add("semaphore", "semaphore", 0)
  add("event", "event")
  add("manual", "event", {manual = true})
  add("counter", "counter")
  add("barrier", "barrier", PARTIES)
  world.size = at
  return world
end

-- In a worker: what it does, one thing after another, until it is told to stop or is killed.
local function work(name, base, index, seed, parent)
  local r <close> = assert(shm.attach(name))
  local world = objects(r, "attach", base)
  local mine = EACH * index
  math.randomseed(seed)

  local function count(what)
    r:add(TOTALS[what], 1)
  end

  -- Something that takes a moment, or more.
  local function linger()
    local choice = math.random(20)
    if choice == 1 then
      process.sleep(0.001)
    elseif choice < 4 then
      process.sleep(0)
    end
  end

  local function had(what, ok, word, errno)
    if not ok then
      error(("%s: %s (%s)"):format(what, word, errno))
    end
    count "locks"
    if word == "recovered" then
      count "recoveries"
    end
    return word == "recovered"
  end

  local function is_whole(at, what)
    local one, other = r:get_i64(at), r:get_i64(at + 8)
    if one ~= other then
      error(("%s: its pair is %d and %d"):format(what, one, other))
    end
    return one
  end

  -- Changes a pair as nobody may see it, and finds that nobody else did.
  local function change(at, what)
    local n = is_whole(at, what)
    r:set_i64(at, n + 1)
    linger()
    if r:get_i64(at) ~= n + 1 or r:get_i64(at + 8) ~= n then
      error(what .. ": another one is inside")
    end
    r:set_i64(at + 8, n + 1)
  end

  local function write(key, recovered)
    local at = world.pairs[key]
    if recovered then
      r:set_i64(at + 8, r:get_i64(at))
    end
    change(at, key)
  end

  local function lock(key, timeout)
    return world[key]:lock(timeout or LONG)
  end

  local deeds = {}

  function deeds.mutex()
    local key = "mutex" .. math.random(4)
    write(key, had(key, lock(key)))
    world[key]:unlock()
  end

  function deeds.recursive()
    local m = world.recursive
    local recovered = had("recursive", m:lock(LONG))
    had("recursive", m:lock(LONG))
    write("recursive", recovered)
    m:unlock()
    m:unlock()
  end

  function deeds.hold()
    local key = "mutex" .. math.random(4)
    local held <close>, word, errno = world[key]:hold(LONG)
    write(key, had(key, held, word, errno))
  end

  function deeds.transaction()
    local key = math.random(2) == 1 and "journaled" or "rwlock"
    key = key .. math.random(2)
    local fails = math.random(4) == 1
    local ok, message = pcall(r.transaction, r, world[key], function()
      change(world.pairs[key], key)
      count "locks"
      if fails then
        error "changed my mind"
      end
    end)
    if ok == fails or not ok and not message:match "changed my mind" then
      error(("%s: %s"):format(key, message))
    end
  end

  function deeds.read()
    local key = "rwlock" .. math.random(2)
    had(key, world[key]:lock_shared(LONG))
    local n = is_whole(world.pairs[key], key)
    linger()
    if math.random(4) == 1 then
      had(key, world[key]:lock_shared(LONG))
      world[key]:unlock()
    end
    if n ~= is_whole(world.pairs[key], key) then
      error(key .. ": one wrote while others read")
    end
    world[key]:unlock()
  end

  -- Two locks in whatever order. Who would close a circle is told, and begins anew.
  local LOCKS = {"mutex1", "mutex2", "mutex3", "mutex4", "rwlock1", "rwlock2"}
  local function take(key, shared)
    if shared then
      return world[key]:lock_shared(LONG)
    end
    return lock(key)
  end
  function deeds.two()
    local first, second = math.random(#LOCKS), math.random(#LOCKS - 1)
    second = second >= first and second + 1 or second
    first, second = LOCKS[first], LOCKS[second]
    local shared = {math.random(3) == 1 and first:match "rwlock",
                    math.random(3) == 1 and second:match "rwlock"}
    local recovered = had(first, take(first, shared[1]))
    if first:match "mutex" then
      write(first, recovered)
    end
    linger()
    local ok, word, errno = take(second, shared[2])
    if not ok and errno == EDEADLK then
      count "deadlocks"
    else
      recovered = had(second, ok, word, errno)
      if second:match "mutex" then
        write(second, recovered)
      else
        is_whole(world.pairs[second], second)
      end
      world[second]:unlock()
    end
    world[first]:unlock()
  end

  -- Its own post comes first, so that there is one for everybody who waits.
  function deeds.semaphore()
    world.semaphore:post()
    if math.random(2) == 1 then
      linger()
    end
    had("semaphore", world.semaphore:wait(LONG))
  end

  -- The parent sets both events, adds and broadcasts, again and again.
  function deeds.event()
    had("event", world[math.random(2) == 1 and "event" or "manual"]:wait(LONG))
  end

  function deeds.counter()
    had("counter", world.counter:wait(world.counter:get() + 1, LONG))
  end

  function deeds.condition()
    local seen = had("guard", lock "guard")
    write("guard", seen)
    local turn = r:load(TURN)
    local deadline = process.monotonic() + LONG
    while r:load(TURN) == turn do
      local left = math.max(0, deadline - process.monotonic())
      if had("condition", world.condition:wait(world.guard, left)) then
        write("guard", true)
      end
    end
    world.guard:unlock()
  end

  function deeds.signal()
    write("guard", had("guard", lock "guard"))
    world.condition:signal()
    world.guard:unlock()
  end

  -- Others may have stopped already: who waits gives up and comes again.
  function deeds.barrier()
    local deadline = process.monotonic() + LONG
    repeat
      local ok, word, errno = world.barrier:wait(SHORT * math.random())
      if ok then
        return count "locks"
      elseif errno ~= ETIMEDOUT then
        error(("barrier: %s"):format(word))
      end
    until r:load(STOP) == 1 or process.monotonic() > deadline
    if r:load(STOP) == 0 then
      error "barrier: nobody came"
    end
  end

  function deeds.any()
    world.semaphore:post()
    local which, word = shm.wait_any({world.mutex1, world.semaphore}, LONG)
    if not which then
      error(word)
    end
    local recovered = had("any", true, word)
    if which == 1 then
      write("mutex1", recovered)
      world.mutex1:unlock()
      had("semaphore", world.semaphore:wait(LONG))
    end
  end

  local names = {"mutex", "mutex", "transaction", "read", "two", "two", "two", "recursive", "hold",
                 "semaphore", "event", "counter", "condition", "signal", "barrier", "any"}
  local rounds = 0
  local ok, message = pcall(function()
    while r:load(STOP) == 0 do
      local deed = names[math.random(#names)]
      r:write(mine + DOING, deed .. "\0")
      deeds[deed]()
      r:add(mine, 1)
      rounds = rounds + 1
      if rounds % 100 == 0 and not process.alive(parent) then
        process.exit(0)
      end
    end
  end)
  if not ok then
    r:write(mine + FAILURE, tostring(message):sub(1, EACH - FAILURE - 1))
    process.exit(3)
  end
end

-- A worker's place, and who works there.
local function start(world, index)
  local one = world.workers[index] or {}
  world.serial = world.serial + 1
  one.child = assert(process.fork(work, world.name, world.base, index,
                                  world.seed + world.serial, process.pid()))
  one.rounds, one.since, one.stopped = nil, nil, nil
  world.workers[index] = one
end

local function read_word(r, at, n)
  return (r:read(at, n):match "^[^%z]*")
end

local function fail_of(world, index, how, code)
  local words = read_word(world.r, EACH * index + FAILURE, EACH - FAILURE)
  error(("worker %d ended by %s %s, doing %s: %s")
    :format(index, how, code, read_word(world.r, EACH * index + DOING, DOING), words), 0)
end

-- What each kind of wait but the locks' needs from others. Who holds the guard may have been
-- stopped, and waits for this process to go on.
local function encourage(world)
  world.event:set()
  if math.random(2) == 1 then
    world.manual:set()
  else
    world.manual:reset()
  end
  world.counter:add(1)
  world.r:add(TURN, 1)
  local ok, word, errno = world.guard:lock(PAUSE)
  local now = process.monotonic()
  if not ok and errno == ETIMEDOUT and now < (world.missed or now) + LONG then
    world.missed = world.missed or now
    return
  elseif not ok then
    error(("the parent's guard: %s (%s)"):format(word, errno), 0)
  elseif word == "recovered" then
    world.recovered = world.recovered + 1
    world.r:set_i64(world.pairs.guard + 8, world.r:get_i64(world.pairs.guard))
  end
  world.missed = nil
  world.condition:broadcast()
  world.guard:unlock()
end

local function strike(world, index)
  local one = world.workers[index]
  if math.random(10) == 1 then
    one.child:kill "STOP"
    one.stopped = process.monotonic() + STOPPED
    world.stops = world.stops + 1
    return
  end
  one.child:kill "KILL"
  local how, code = one.child:wait(LONG)
  if how ~= "signal" then
    fail_of(world, index, how, code)
  end
  one.child:close()
  world.kills = world.kills + 1
  start(world, index)
end

-- Nobody may have failed, or stand still.
local function watch(world)
  local now = process.monotonic()
  for index, one in ipairs(world.workers) do
    if one.stopped and now >= one.stopped then
      one.child:kill "CONT"
      one.stopped = nil
    end
    local how, code = one.child:wait(0)
    if how then
      fail_of(world, index, how, code)
    end
    local rounds = world.r:get_i64(EACH * index)
    if rounds ~= one.rounds then
      one.rounds, one.since = rounds, now
    elseif now > one.since + 2 * LONG then
      error(("worker %d has stood still for %d s, doing %s"):format(index, 2 * LONG,
        read_word(world.r, EACH * index + DOING, DOING)), 0)
    end
  end
end

-- All end by themselves, and leave everything free and whole.
local function finish(world)
  local r = world.r
  r:store(STOP, 1)
  for _, one in ipairs(world.workers) do
    one.child:kill "CONT"
  end
  for index, one in ipairs(world.workers) do
    local how, code
    local deadline = process.monotonic() + 2 * LONG
    repeat
      encourage(world)
      how, code = one.child:wait(0.01)
    until how or process.monotonic() > deadline
    if how ~= "exit" or code ~= 0 then
      fail_of(world, index, how, code)
    end
    one.child:close()
  end
  world.workers = {}
  local function free(key, ok, word)
    if not ok then
      error(("%s is not free at the end: %s"):format(key, word), 0)
    end
    if word ~= "recovered" or key:match "journaled" or key:match "rwlock" then
      local at = world.pairs[key]
      if r:get_i64(at) ~= r:get_i64(at + 8) then
        error(key .. ": its pair is half done at the end", 0)
      end
    end
    world[key]:unlock()
  end
  for key, at in pairs(world.pairs) do
    if world[key].holder then
      free(key, world[key]:try())
    end
    local n, who = world[key]:waiters()
    if n > 0 then
      error(("%s: %d still wait, the first is %s"):format(key, n, who[1]), 0)
    elseif r:load32(at - PAIR + SLEEPING) ~= 0 then
      error(key .. ": a sleeper's slot is left", 0)
    end
  end
  for i = 1, 2 do
    if #world["rwlock" .. i]:readers() > 0 then
      error("rwlock" .. i .. ": somebody reads at the end", 0)
    end
  end
  if world.barrier:wait(0) or world.barrier:arrived() > 0 then
    error("barrier: somebody has arrived at the end", 0)
  end
end

--- Runs it, and says what happened: {seconds, kills, restarts, stops, locks, recoveries,
-- deadlocks, interrupted}; throws what went wrong. `pause(seconds)` sleeps, and says whether
-- to end.
function M.run(given)
  local base = EACH * (given.processes + 1)
  base = (base + 7) // 8 * 8
  local name = "shm-soak-" .. process.pid()
  local world = {name = name, base = base, seed = given.seed, serial = 0, workers = {},
                 kills = 0, stops = 0, recovered = 0}
  local pause = given.pause or function(seconds) process.sleep(seconds) end
  local _ <close> = setmetatable({}, {__close = function()
    for _, one in ipairs(world.workers) do
      one.child:kill "KILL"
      one.child:wait()
      one.child:close()
    end
    for _, object in ipairs(world) do
      object:close()
    end
    if world.r then
      world.r:close()
      shm.unlink(name)
    end
  end})
  math.randomseed(given.seed)
  world.r = assert(shm.create(name, base + 32 * PLACE))
  for key, value in pairs(objects(world.r, "create", base)) do
    world[key] = value
  end
  for index = 1, given.processes do
    start(world, index)
  end
  local function sum()
    local all = {kills = world.kills, restarts = world.serial - given.processes,
                 stops = world.stops}
    for key, at in pairs(TOTALS) do
      all[key] = world.r:load(at)
    end
    all.recoveries = all.recoveries + world.recovered
    return all
  end
  local began, reported, interrupted, past = process.monotonic(), 0
  repeat
    encourage(world)
    watch(world)
    local index = math.random(given.processes)
    if not world.workers[index].stopped or math.random(3) == 1 then
      strike(world, index)
    end
    interrupted = pause(2 * PAUSE * math.random())
    past = process.monotonic() - began
    if given.report and past // 10 > reported then
      reported = past // 10
      given.report(reported * 10, sum())
    end
  until interrupted or past >= given.seconds
  finish(world)
  local all = sum()
  all.seconds, all.interrupted = process.monotonic() - began, interrupted
  return all
end

--- One line of what happened.
function M.line(all)
  return ("%d kills, %d restarts, %d stops, %d locks taken, %d recoveries, %d deadlocks")
    :format(all.kills, all.restarts, all.stops, all.locks, all.recoveries, all.deadlocks)
end

local function main(words)
  local given = {seconds = tonumber(os.getenv "SOAK_SECONDS" or 60), processes = 8,
                 seed = os.time()}
  local quiet
  local function wrong(format, ...)
    io.stderr:write("soak: ", format:format(...), "; see --help\n")
    os.exit(2)
  end
  local i = 1
  while i <= #words do
    local key = words[i]:match "^%-%-(%l+)$"
    if key == "help" then
      print(USAGE)
      os.exit(0)
    elseif key == "quiet" then
      quiet = true
    elseif key and given[key] then
      i = i + 1
      given[key] = tonumber(words[i]) or wrong("--%s: a number expected", key)
    else
      wrong("%s: unknown", words[i])
    end
    i = i + 1
  end
  if not given.seconds or given.seconds <= 0 then
    wrong "seconds: more than 0 expected"
  end
  given.seed, given.processes = given.seed // 1 | 0, given.processes // 1 | 0
  if given.processes < PARTIES or given.processes > 30 then
    wrong("--processes: %d to 30 expected", PARTIES)
  end
  -- The workers inherit that the signals wait here, and so end with their parent.
  local signals <close> = assert(process.signals("INT", "TERM"))
  function given.pause(seconds)
    return signals:wait(seconds)
  end
  if not quiet then
    function given.report(past, all)
      io.write(("%3d s: %s\n"):format(past, M.line(all)))
      io.flush()
    end
  end
  local ok, all = pcall(M.run, given)
  if not ok then
    io.stderr:write(("soak: seed %d: %s\n"):format(given.seed, all))
    os.exit(1, true)
  end
  print(("%.0f s: %s"):format(all.seconds, M.line(all)))
  if all.interrupted then
    os.exit(130, true)
  end
end

if (arg and arg[0] or ""):match "soak%.lua$" then
  main(arg)
end

return M
