-- A service whose servers and clients are killed with -9 at random moments, and started anew:
--   lua5.4 spec/rpc_soak.lua [rounds]      a thousand if absent; make soak runs it
--
-- What is watched: nothing is done twice that may be done once; what was answered was done, and
-- the answer is the call's own; whose server dies is told so, or answered, within a second;
-- nobody waits for ever; and no memory, process or name is left in the end.
local main = (arg and arg[0] or ""):match "rpc_soak%.lua$"
if main then
  package.path = "./?.lua;" .. package.path
end
local process = require "shm.process"
local rpc = require "shm.rpc"
local shm = require "shm"
local support = require "spec.support"

local M = {}

local LONG <const> = support.LONG
local SERVERS <const>, CLIENTS <const> = 3, 6
local PAUSE <const> = 0.08 -- at most, between two strikes: many clients live to hear of a death
local EOWNERDEAD <const>, ETIMEDOUT <const>, ECANCELED <const> = 130, 110, 125
-- The ledger: a few words for all, then one for each call.
local STOP, NEXT, SLOWEST, LATEST <const> = 0, 8, 16, 64
local CALLS <const> = 1 << 21
-- In a call's word: how often it was done, then flags.
local ONCE <const>, ANSWERED <const>, TWICE <const> = 1, 1 << 32, 1 << 40
local TALLY = {"answered", "lost", "again", "late", "cancelled", "cast"}

local function word_of(id)
  return LATEST + 128 + id * 8
end

local function tally_of(what)
  for i, name in ipairs(TALLY) do
    if name == what then
      return LATEST + i * 8
    end
  end
end

local function serve(world, seed)
  math.randomseed(seed)
  local ledger = world.ledger
  local function work(request, id, text)
    ledger:add(word_of(id), ONCE)
    local choice = math.random(20)
    if choice < 4 then
      process.sleep(0.002 * math.random())
    elseif choice == 4 then
      request:cancelled()
    end
    return id, text
  end
  local server <close> = assert(rpc.server(world.arena, "soak", {work = work}))
  assert(server:serve())
end

-- In a client: what it does, until it is told to stop or is killed.
local function call(world, seed)
  math.randomseed(seed)
  local ledger, killed = world.ledger, world.killed
  local client <close> = assert(rpc.client(world.arena, "soak", {timeout = LONG}))
  local again, hasty = client:with {retry = 20}, client:with {timeout = 0.001}

  local function count(what)
    ledger:add(tally_of(what), 1)
  end

  local function new_id(flags)
    local id = ledger:add(NEXT, 1)
    if id >= CALLS then
      error "the ledger is full"
    end
    ledger:add(word_of(id), flags or 0)
    return id
  end

  -- How long after its death the caller heard of a server's.
  local function heard(message)
    local pid = math.tointeger(message:match "its server died, pid (%d+)$")
    local at = pid and killed:get(pid)
    if not at then
      error("nobody killed it: " .. message)
    end
    local late = math.floor((process.monotonic() - at) * 1e6)
    local slowest = ledger:load(SLOWEST)
    while late > slowest do
      slowest = select(2, ledger:cas(SLOWEST, slowest, late))
    end
  end

  local function settle(id, text, may, got, message, errno)
    if got == id then
      if message ~= text then
        error(("call %d has another's answer"):format(id))
      end
      ledger:add(word_of(id), ANSWERED)
      count "answered"
    elseif got == nil and errno == EOWNERDEAD then
      heard(message)
      count "lost"
    elseif got == nil and errno == may then
      count(errno == ECANCELED and "cancelled" or "late")
    else
      error(("call %d: %s, %s, %s"):format(id, got, message, errno))
    end
  end

  local function random_text()
    return ("x"):rep(math.random(10) == 1 and math.random(3000) or math.random(20))
  end

  local deeds = {
    function()
      local id, text = new_id(), random_text()
      settle(id, text, nil, client:call("work", id, text))
    end,
    function()
      local id, text = new_id(TWICE), random_text()
      count "again"
      settle(id, text, nil, again:call("work", id, text))
    end,
    function()
      local id, text = new_id(), random_text()
      settle(id, text, ETIMEDOUT, hasty:call("work", id, text))
    end,
    function()
      local calls, ids, texts = {}, {}, {}
      for i = 1, math.random(20) do
        ids[i], texts[i] = new_id(), random_text()
        calls[i] = assert(client:start("work", ids[i], texts[i]))
      end
      local drop = math.random(3) == 1 and math.random(#calls)
      if drop then
        calls[drop]:cancel()
      end
      while #calls > 0 do
        local i = math.random(#calls)
        local one = table.remove(calls, i)
        settle(table.remove(ids, i), table.remove(texts, i), ECANCELED, one:wait())
      end
    end,
    function()
      count "cast"
      assert(client:cast("work", new_id()))
    end,
  }

  while ledger:load(STOP) == 0 do
    deeds[math.random(#deeds)]()
  end
end

local function start(world, index)
  world.serial = world.serial + 1
  local f = index <= SERVERS and serve or call
  world.workers[index] = assert(process.fork(f, world, world.seed + world.serial))
end

-- Who ended by itself has found something wrong, and has said what.
local function watch(world)
  for _, child in ipairs(world.workers) do
    local how, code = child:wait(0)
    if how then
      error(("worker %d: %s %s"):format(child.pid, how, code), 0)
    end
  end
end

local function kill(world, index)
  local child = world.workers[index]
  if index <= SERVERS then
    assert(world.killed:set(child.pid, process.monotonic(), 60))
  end
  child:kill "KILL"
  if index <= SERVERS then -- it counts from when the signal was sent, at the latest
    assert(world.killed:set(child.pid, process.monotonic(), 60))
  end
  local how, code = child:wait(LONG)
  if how ~= "signal" or code ~= "KILL" then
    error(("worker %d: %s %s"):format(child.pid, how, code), 0)
  end
  child:close()
  world.kills[index <= SERVERS and "servers" or "clients"] =
    world.kills[index <= SERVERS and "servers" or "clients"] + 1
  start(world, index)
end

local function finish(world)
  world.ledger:store(STOP, 1)
  for index = SERVERS + CLIENTS, 1, -1 do -- clients first: what they wait for is done
    local child = table.remove(world.workers, index)
    if index <= SERVERS then
      child:kill "TERM"
    end
    local how, code = child:wait(LONG)
    if how ~= "exit" or code ~= 0 then
      child:kill "KILL"
      child:wait(LONG)
      error(("worker %d in the end: %s %s"):format(child.pid, how or "hangs", code), 0)
    end
    child:close()
  end
end

-- What each call's word says, once nobody does anything any more.
local function audit(world)
  local ledger = world.ledger
  local n, twice = ledger:load(NEXT), 0
  for id = 0, n - 1 do
    local word = ledger:load(word_of(id))
    local done = word & 0xffffffff
    if done > 1 and word & TWICE == 0 then
      error(("call %d was done %d times"):format(id, done), 0)
    elseif done == 0 and word & ANSWERED ~= 0 then
      error(("call %d was answered, and not done"):format(id), 0)
    end
    twice = twice + (done > 1 and 1 or 0)
  end
  return n, twice
end

--- Runs it, and says what happened; throws what went wrong.
-- @tparam table given `rounds`, `seed`, and `pause(seconds)`, which says whether to end
function M.run(given)
  local memory <close> = assert(shm.anonymous(1 << 21))
  local arena <close> = assert(shm.arena(memory))
  local ledger <close> = assert(shm.anonymous(word_of(CALLS)))
  local killed_memory <close> = assert(shm.anonymous(1 << 20))
  local killed_arena <close> = assert(shm.arena(killed_memory))
  local world = {arena = arena, ledger = ledger, workers = {}, serial = 0, seed = given.seed,
                 killed = assert(killed_arena:map("killed", {evict = true})),
                 kills = {servers = 0, clients = 0}}
  local used = arena:stat().used
  local _ <close> = setmetatable({}, {__close = function()
    for _, child in ipairs(world.workers) do
      child:kill "KILL"
      child:wait()
      child:close()
    end
    world.killed:close()
  end})
  math.randomseed(given.seed)
  for index = 1, SERVERS + CLIENTS do
    start(world, index)
  end
  local pause = given.pause or function(seconds) process.sleep(seconds) end
  local interrupted
  local overslept = 0 -- by this process: others here are as late, for reasons of the machine
  local function sleep(seconds)
    local began = process.monotonic()
    interrupted = pause(seconds)
    overslept = math.max(overslept, process.monotonic() - began - seconds)
  end
  for round = 1, given.rounds do
    sleep(PAUSE * math.random())
    if interrupted then
      break
    end
    watch(world)
    kill(world, math.random(4) == 1 and SERVERS + math.random(CLIENTS) or math.random(SERVERS))
    if math.random(20) == 1 then -- all of a kind
      local clients = math.random(4) == 1
      for index = clients and SERVERS + 1 or 1, clients and SERVERS + CLIENTS or SERVERS do
        kill(world, index)
      end
    end
    if given.report and round % 100 == 0 then
      given.report(round)
    end
  end
  finish(world)
  local all = {calls = 0, interrupted = interrupted}
  all.calls, all.twice = audit(world)
  for _, what in ipairs(TALLY) do
    all[what] = ledger:load(tally_of(what))
  end
  all.servers, all.clients = world.kills.servers, world.kills.clients
  all.slowest = ledger:load(SLOWEST) / 1e6
  assert(rpc.remove(arena, "soak"))
  arena:attached()
  all.left = arena:stat().used - used
  if all.left ~= 0 or next(arena:names()) or not arena:check() then
    error(("%d bytes are left, and %s"):format(all.left, next(arena:names())), 0)
  elseif all.slowest > (given.within or 1) + 3 * overslept then
    error(("a caller heard of a death after %.3f s, where sleep was late by %.3f s at most")
      :format(all.slowest, overslept), 0)
  end
  return all
end

--- One line of what happened.
function M.line(all)
  return ("%d servers and %d clients killed; %d calls: %d answered, %d of a server that died, "
    .. "%d late, %d cancelled, %d casts; %d may run twice, %d did; a death was heard of after "
    .. "%.2f s at most; %d bytes left"):format(all.servers, all.clients, all.calls, all.answered,
    all.lost, all.late, all.cancelled, all.cast, all.again, all.twice, all.slowest, all.left)
end

if main then
  local seed = math.tointeger(tonumber(arg[2])) or os.time()
  local signals <close> = assert(process.signals("INT", "TERM"))
  local ok, all = pcall(M.run, {
    rounds = math.tointeger(tonumber(arg[1] or 1000)), seed = seed,
    pause = function(seconds) return signals:wait(seconds) end,
    report = function(round)
      io.write(("%d rounds\n"):format(round))
      io.flush()
    end,
  })
  if not ok then
    io.stderr:write(("rpc_soak: seed %d: %s\n"):format(seed, all))
    os.exit(1, true)
  end
  print(M.line(all))
  if not all.interrupted and not arg[1] then
    local everywhere = require "spec.rpc_everywhere"
    print(("killed before %d stores of a server, %d of a client, %d of who buries them, " ..
           "%d of who removes the service")
      :format(everywhere.server(), everywhere.client(), everywhere.burial(), everywhere.removal()))
  end
  os.exit(all.interrupted and 130 or 0, true)
end

return M
