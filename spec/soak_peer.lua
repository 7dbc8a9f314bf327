-- shm.peer's talks in large numbers: lua5.4 spec/soak_peer.lua [hand-overs [rounds]]
--
-- For each way of waking 100,000 hand-overs there and back, and as many messages in a row, each
-- of which would be waited for for ever if its wake-up were lost: who sleeps is kept from looking
-- by itself. Then 1,000 rounds in which the
-- client is killed with -9, and 1,000 in which the server is, at any moment between its first
-- call and the middle of messages both ways, some stopped and continued before that. The other
-- side must get whole messages in order, and then go on or have an error with the dead one's
-- pid, within a second; and nothing may be left behind. spec/peer_duplex_spec.lua runs the same
-- with smaller numbers.
package.path = "./?.lua;" .. package.path
local peer = require "shm.peer"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"
local sysv = require "shm.sysv"

local main = (arg and arg[0] or ""):match "soak_peer%.lua$"

local M = {}

M.WAKES = {"futex", "semaphore", "signal"}

local LONG = support.LONG
local NEVER = 1e6                  -- seconds between a sleeper's own looks
local WITHIN = 1 * support.patience
local ETIMEDOUT, EBUSY, ENOENT = 110, 16, 2
local LEAST = 16384                -- bytes of a small segment
local KILLED, VICTIM = 0, 8        -- where it is written down, when and who

local function message_of(i, from)
  local size = i % 7 == 0 and 40000 or i * 37 % 900
  return ("%s %d "):format(from, i) .. string.char(65 + i % 26):rep(size)
end

-- Whoever takes part, by pid.
local everybody = {[process.pid()] = true}

local function fork(f, ...)
  local handle = assert(process.fork(f, ...))
  everybody[handle.pid] = true
  return handle
end

-- In the child: it ends when the talk does.
local function answer(key, n)
  local talk <close> = assert(peer.dial(key, {timeout = LONG}))
  talk.bell.slice = NEVER
  for i = 1, n do
    assert(assert(talk:receive(LONG)) == "ping " .. i)
    assert(talk:send("pong " .. i, LONG))
  end
  for i = 1, n do -- in a row, of which some thirty fit: it sleeps for room
    assert(talk:send(message_of(7 * i + 1, "row"), LONG))
  end
  assert(talk:receive(LONG) == "end")
end

--- Hands a message over n times each way, then n in a row, woken by nothing but the bell.
-- @return seconds that the first took
function M.hand_over(wake, n)
  local key = support.key()
  local server <close> = assert(peer.listen(key, {wake = wake}))
  server.bell.slice = NEVER
  local child <close> = fork(answer, key, n)
  local talk <close> = assert(server:accept(LONG))
  local began = process.monotonic()
  for i = 1, n do
    assert(talk:send("ping " .. i, LONG))
    assert(assert(talk:receive(LONG)) == "pong " .. i)
  end
  local took = process.monotonic() - began
  for i = 1, n do
    assert(assert(talk:receive(LONG)) == message_of(7 * i + 1, "row"))
  end
  assert(talk:send("end", LONG))
  local how, code = child:wait(LONG)
  assert(how == "exit" and code == 0, code)
  return took
end

-- How many segments those have made and left; there is nothing else that they make.
local function left_by(pids)
  local n = 0
  for _, info in ipairs(sysv.list().segments) do
    n = n + (pids[info.cpid] and 1 or 0)
  end
  return n
end

-- Sends and receives at once until the other side is gone: what ended it, errno, when. The
-- numbers of what comes must be those that follow. Who is to be killed waits for a moment each
-- time, the other now and then as long as it takes: otherwise it would wait for its like.
local function chatter(talk, mine, theirs, patient)
  local sent, got = 0, 0
  local function over(message, errno)
    return message, errno, process.monotonic(), got
  end
  while true do
    local ok, message, errno = talk:send(message_of(sent + 1, mine), 0.001)
    if ok then
      sent = sent + 1
    elseif errno ~= ETIMEDOUT and errno ~= EBUSY then
      return over(message, errno)
    end
    repeat
      ok, message, errno = talk:receive(patient and math.random(3) == 1 and LONG or 0.001)
      if ok then
        got = got + 1
        assert(ok == message_of(got, theirs), "a message is torn, lost or out of order")
      elseif errno ~= ETIMEDOUT and errno ~= EBUSY then
        return over(message, errno)
      end
    until not ok
  end
end

-- A process that kills the one whose pid it is told, at some moment of what that does first or
-- of the talk, and writes down when.
local function executioner(note)
  local seconds = math.random(2) == 1 and 0.002 * math.random() or 0.03 * math.random()
  local stop = math.random(10) == 1
  note:store32(VICTIM, 0)
  return fork(function()
    assert(note:wait(VICTIM, 0, LONG))
    local pid = note:load32(VICTIM)
    process.sleep(seconds)
    if stop then
      process.kill(pid, "STOP")
      process.sleep(0.02)
      process.kill(pid, "CONT")
      process.sleep(0.005)
    end
    note:set_f64(KILLED, process.monotonic())
    process.kill(pid, "KILL")
  end)
end

local function condemn(note, victim)
  note:store32(VICTIM, victim.pid)
  note:wake(VICTIM)
end

local SIDES = {}

-- The client is killed; the server is this process.
function SIDES.client(wake, note, tally)
  local key = support.key()
  local server <close> = assert(peer.listen(key, {wake = wake, size = LEAST}))
  local killer <close> = executioner(note)
  local victim <close> = fork(function()
    local talk = assert(peer.dial(key, {timeout = LONG}))
    chatter(talk, "client", "server")
  end)
  condemn(note, victim)
  local talk, message, errno
  repeat
    local dead = not victim:alive()
    talk, message, errno = server:accept(dead and 0 or 0.05)
  until talk or dead
  local seen, got, _ = nil, 0, nil
  if talk then
    assert(talk.peer == victim.pid)
    message, _, seen, got = chatter(talk, "server", "client", true)
    assert(message:find("pid " .. victim.pid .. " has ended", 1, true), message)
    talk:close()
  else
    assert(errno == ETIMEDOUT, message)
  end
  assert(killer:wait(LONG))
  assert(select(2, victim:wait(LONG)) == "KILL")
  server:wait(0) -- looks at what is left
  assert(left_by {[victim.pid] = true} == 0, "the client has left something")
  -- It goes on: another client comes in.
  local other <close> = fork(function()
    local mine <close> = assert(peer.dial(key, {timeout = LONG}))
    assert(mine:send("still there?", LONG))
    assert(mine:receive(LONG) == "yes")
  end)
  local second <close> = assert(server:accept(LONG))
  assert(second:receive(LONG) == "still there?")
  assert(second:send("yes", LONG))
  assert(select(2, other:wait(LONG)) == 0)
  tally(seen, got)
end

-- The server is killed; the client is this process.
function SIDES.server(wake, note, tally)
  local key = support.key()
  local killer <close> = executioner(note)
  local victim <close> = fork(function()
    local server = assert(peer.listen(key, {wake = wake, size = LEAST}))
    local talk = assert(server:accept(LONG))
    chatter(talk, "server", "client")
  end)
  condemn(note, victim)
  local talk, message, errno
  repeat
    local dead = not victim:alive()
    talk, message, errno = peer.dial(key, {timeout = dead and 0 or 0.05})
  until talk or dead
  local seen, got, _ = nil, 0, nil
  if talk then
    assert(talk.peer == victim.pid)
    message, _, seen, got = chatter(talk, "client", "server", true)
    assert(message:find("pid " .. victim.pid .. " has ended", 1, true), message)
    talk:close()
  else
    assert(errno == ENOENT, message)
  end
  assert(killer:wait(LONG))
  assert(select(2, victim:wait(LONG)) == "KILL")
  talk, message, errno = peer.dial(key, {timeout = 0}) -- looks at what is left
  assert(not talk and errno == ENOENT, message)
  assert(left_by {[victim.pid] = true} == 0, "the server has left something")
  -- It goes on: with a server that takes the dead one's place.
  local heir <close> = fork(function()
    local server <close> = assert(peer.listen(key, {wake = wake}))
    local mine <close> = assert(server:accept(LONG))
    assert(mine:send("here again", LONG))
    assert(not mine:receive(LONG))
  end)
  local second = assert(peer.dial(key, {timeout = LONG}))
  assert(second.peer == heir.pid and second:receive(LONG) == "here again")
  second:close()
  assert(select(2, heir:wait(LONG)) == 0)
  tally(seen, got)
end

--- Kills one side in each of n rounds.
-- @string side "client" or "server"
-- @return table `rounds`, `talking` (it was killed in the middle of a talk), `messages`, and
-- `slowest` (seconds from a kill to the other side's error)
function M.kill(side, n)
  local note <close> = assert(shm.anonymous(64))
  local all = {rounds = 0, talking = 0, messages = 0, slowest = 0}
  for i = 1, n do
    local wake = M.WAKES[i % #M.WAKES + 1]
    SIDES[side](wake, note, function(seen, got)
      all.rounds = all.rounds + 1
      all.messages = all.messages + got
      if seen then
        local took = seen - note:get_f64(KILLED)
        assert(took < WITHIN, ("the death of a %s was seen after %.2f s"):format(side, took))
        all.talking = all.talking + 1
        all.slowest = math.max(all.slowest, took)
      end
    end)
  end
  return all
end

--- One line of what happened.
function M.line(side, all)
  return ("%d kills of the %s, %d of them in a talk, %d whole messages, seen in %.0f ms at most")
    :format(all.rounds, side, all.talking, all.messages, 1000 * all.slowest)
end

if main then
  local hand_overs = math.tointeger(arg[1] or 100000)
  local rounds = math.tointeger(arg[2] or 1000)
  math.randomseed(process.pid())
  local before = #support.ipcs "-s -q"
  for _, wake in ipairs(M.WAKES) do
    local took = M.hand_over(wake, hand_overs)
    print(("%-9s %d hand-overs each way, as many in a row, none lost; %.0f round trips a second")
          :format(wake, hand_overs, hand_overs / took))
  end
  for _, side in ipairs {"client", "server"} do
    print(M.line(side, M.kill(side, rounds)))
  end
  assert(left_by(everybody) == 0, "a segment is left")
  assert(#support.ipcs "-s -q" == before, "a semaphore or a queue is left")
  assert(support.children() == 0, "a process is left")
  print "no segment, no semaphore, no queue and no process is left"
end

return M
