-- A server of accounts that is killed with -9 at random moments, or stops, and is started anew:
-- lua5.4 spec/durable_soak.lua [kills]
--
-- Its parent keeps what it acknowledged, and compares: no acknowledged change is lost, none is
-- there by half. With a file the machine goes down, too: then the state is as of the last sync
-- that was acknowledged, or later. It ends with one line for each kind, or says what went wrong.
package.path = "./?.lua;" .. package.path
local chaos = require "shm.chaos"
local d = require "spec.durable_support"
local durable = require "shm.durable"
local process = require "shm.process"
local shm = require "shm"

local M = {}

local ACCOUNTS, EACH = 20, 100
local EADDRINUSE = 98
local SLOW = 0.012 -- seconds from a fork to a kill, at most, where that is timed
local record = shm.record {{"count", "i64"}, {"twice", "i64"}}

local function init(state)
  for i = 1, ACCOUNTS do
    assert(state.map:set(i, EACH))
  end
  assert(state.map:set("seq", 0))
end

local function options(job)
  return {file = job.file, init = init, timeout = d.LONG, size = 1 << 16, max = 1 << 20}
end

-- In a server: what it finds, then one change after another, each acknowledged.
local function serve(job, channel, seed)
  math.randomseed(seed)
  local state = assert(durable.open(job.name, options(job)))
  local totals, change = assert(state:record("totals", record))
  local map, sum = state.map, 0
  for i = 1, ACCOUNTS do
    sum = sum + map:get(i)
  end
  local n = map:get "seq"
  channel:send(("began %s %d %d %d %d"):format(state.began, n, sum, totals.count, totals.twice))
  while true do
    n = n + 1
    local from, to, amount = math.random(ACCOUNTS), math.random(ACCOUNTS), math.random(50)
    assert(map:transaction(function(t)
      t:incr(from, -amount)
      t:incr(to, amount)
      t:set("seq", n)
      t:set("note", ("x"):rep(math.random(300)))
      return true
    end))
    change(function(t)
      t.count = n
      t.twice = 2 * n
    end)
    channel:send("did " .. n)
    if job.file and math.random(10) == 1 then
      assert(state:sync())
      channel:send("synced " .. n)
    elseif math.random(60) == 1 then
      channel:send("stopping " .. n)
      local keep = not job.file or math.random(2) == 1
      if math.random(3) == 1 then
        state:close()
      else
        assert(state:stop(keep))
        if job.file then
          channel:send("synced " .. n)
        end
      end
      process.exit(0)
    end
  end
end

local function fail(job, format, ...)
  error(("round %d, seed %d: "):format(job.round, job.seed) .. format:format(...), 0)
end

-- What a server found: compared with what had been acknowledged.
local function began(job, said)
  local how, n, sum, count, double = said:match "^(%l+) (%d+) (%-?%d+) (%d+) (%d+)$"
  n, count = math.tointeger(n), math.tointeger(count)
  if not job.allowed[how] then
    fail(job, "it began as %s", how)
  elseif math.tointeger(sum) ~= ACCOUNTS * EACH then
    fail(job, "the accounts sum up to %s", sum)
  elseif math.tointeger(double) ~= 2 * count or count ~= n and count ~= n - 1 then
    fail(job, "the record is %d and %s, where %d changes were made", count, double, n)
  elseif n < job.least or n > job.did + 1 then
    fail(job, "%d changes are there, of at least %d and at most %d", n, job.least, job.did + 1)
  end
  job[how] = (job[how] or 0) + 1
  if how == "restored" or how == "new" then
    job.synced = n
  end
  job.did, job.least, job.has_begun = n, n, true
  job.allowed = {recovered = true}
end

local function note(job, said)
  local word, rest = said:match "^(%l+) (.*)$"
  if word == "began" then
    began(job, rest)
  elseif word == "did" then
    job.did = math.tointeger(rest)
    job.least = job.did
  elseif word == "synced" then
    job.synced, job.syncs = math.tointeger(rest), job.syncs + 1
  elseif word == "stopping" then
    job.allowed = {recovered = true, resumed = true}
  end
end

-- Nobody else can serve meanwhile, unless the server has stopped by itself.
local function contend(job, server)
  local other <close>, message, errno, pid = durable.open(job.name, {file = job.file})
  if other and server:wait(d.LONG) == "exit" then
    return
  elseif other or errno ~= EADDRINUSE or pid ~= server.pid then
    fail(job, "another server: %s", message)
  end
  job.contended = job.contended + 1
end

local function listen(job, channel, server, patience, acknowledgements)
  local deadline = process.monotonic() + patience
  local contends = math.random(10) == 1
  repeat
    local said, _, errno = channel:recv(100, math.max(0, deadline - process.monotonic()))
    if not said then
      return
    elseif said == "" then
      return
    end
    note(job, said)
    if said:match "^did" then
      acknowledgements = acknowledgements - 1
      if contends then
        contends = false
        contend(job, server)
      end
    end
    assert(not errno)
  until acknowledgements <= 0
end

local function round(job)
  local ours <close>, theirs = assert(process.socketpair "seqpacket")
  local server <close> = assert(process.fork(function()
    ours:close()
    serve(job, theirs, job.seed + job.round)
  end))
  theirs:close()
  job.has_begun = false
  if math.random(2) == 1 then
    listen(job, ours, server, math.random() * SLOW, math.huge)
  else
    listen(job, ours, server, 3 * d.LONG, math.random(40))
  end
  server:kill "KILL"
  local how, code = server:wait(d.LONG)
  repeat -- what was acknowledged and not heard yet
    local said = ours:recv(100, 0)
    if said and said ~= "" then
      note(job, said)
    end
  until not said or said == ""
  if how == "signal" then
    job.kills = job.kills + 1
    if not job.has_begun then
      job.early = job.early + 1
      job.allowed.recovered = true
      job.allowed.resumed = job.allowed.resumed or job.allowed.new
    end
  elseif how == "exit" and code == 0 then
    job.stops = job.stops + 1
    job.allowed.recovered = nil
  else
    fail(job, "the server ended by %s %s", how, code)
  end
  if job.file and math.random(8) == 1 then
    d.scribble(job.file .. ".live")
    job.reboots = job.reboots + 1
    d.reboot(("boot %d"):format(job.reboots))
    job.allowed = {restored = true, resumed = true, new = job.allowed.new}
    job.least = math.min(job.least, job.synced)
  end
end

--- Kills a server so many times.
-- @tparam table given `kills`, `name`, `file` if it is to have one, `seed`
-- @treturn table what happened
function M.run(given)
  local job = {kills = 0, stops = 0, early = 0, reboots = 0, syncs = 0, contended = 0, round = 0,
               did = 0, least = 0, synced = 0, allowed = {new = true},
               name = given.name, file = given.file, seed = given.seed or os.time()}
  math.randomseed(job.seed)
  while job.kills < given.kills do
    job.round = job.round + 1
    round(job)
  end
  d.child(function() assert(assert(durable.open(job.name, options(job))):stop()) end)
  return job
end

--- Kills a server before each store of its first begin and its end.
-- @string name
-- @string[opt] mode
-- @int[opt] rounds
-- @treturn int kills
function M.everywhere(name, mode, rounds)
  local given = {size = 1 << 16, journal = 2048, timeout = d.LONG, init = function(state)
    state.map:set("a", 1)
    state.map:set("b", 2)
  end}
  return (chaos.kill_everywhere(function()
    assert(assert(durable.open(name, given)):stop())
  end, function()
    local state <close> = assert(durable.open(name, given))
    assert(state.map:get "a" == 1 and state.map:get "b" == 2 and state.arena:check())
    assert(state:stop())
  end, {timeout = d.LONG, mode = mode, rounds = rounds}))
end

--- One line of what happened.
function M.line(job)
  return ("%d kills, %d before it had begun; %d stops, %d reboots, %d syncs, %d others refused; "
    .. "recovered %d, resumed %d, restored %d; seed %d"):format(job.kills, job.early, job.stops,
    job.reboots, job.syncs, job.contended, job.recovered or 0, job.resumed or 0,
    job.restored or 0, job.seed)
end

if arg and arg[0] and arg[0]:match "durable_soak%.lua$" then
  local places = d.places()
  local ok = true
  for _, place in ipairs(places) do
    local job
    ok, job = pcall(M.run, {kills = tonumber(arg[1] or 1000), name = place.name,
                            file = place.file})
    local message = ok and M.line(job) or job
    print(("durable states %s: %s"):format(place.how, message))
    if not ok then
      break
    end
  end
  local stores = M.everywhere(places.name)
  print(("durable states: killed at %d moments of the first begin and the end"):format(stores))
  local left = table.concat(d.files(places), " ")
  d.remove(places)
  if left ~= "state" then
    print("left behind: " .. left)
    ok = false
  end
  os.exit(ok and 0 or 1, true)
end

return M
