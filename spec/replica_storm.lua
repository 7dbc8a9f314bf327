-- Three nodes of a replicated map under load, of which the primary is killed with -9, or stopped
-- and replaced, again and again, and the others are killed, too. Each notes what was
-- acknowledged and what was refused.
--   lua5.4 spec/replica_storm.lua [rounds]      1000 if absent; make soak runs it
local main = (arg and arg[0] or ""):match "replica_storm%.lua$"
if main then
  package.path = "./?.lua;" .. package.path
end
local process = require "shm.process"
local replica = require "shm.replica"
local shm = require "shm"
local support = require "spec.support"

local M = {}

local LONG <const> = support.LONG
local IDS = {"a", "b", "c"}
local KEPT <const> = 256    -- of the last changes, who made them
local TERMS <const> = 8192
local ESTALE <const>, EROFS <const>, ETIMEDOUT <const> = 116, 30, 110
local OPTIONS = {size = 1 << 20, max = 1 << 22, log = 1 << 18}

-- What all processes note: words.
local STOP, ACKED, FENCED, STARTS, ORDER, REFUSED, MADE, WINNER, SIZE = 0, 8, 16, 24, 64, 128,
  1 << 14, 1 << 15, (1 << 15) + 8 * TERMS

local function most(w, at, value)
  repeat
    local now = w:load(at)
  until now >= value or w:cas(at, now, value)
end

-- The change of that number, by this attempt: several keys in one step.
local function change(view, number, attempt)
  view:set("n", number)
  view:set("made" .. number % KEPT, {number, attempt})
  view:delete("text" .. number - 3)
  view:set("text" .. number, ("x"):rep(number * 7 % 400))
  view:incr(number % 5, 1, 0)
end

-- A life of a node: it writes as long as it may, and follows otherwise.
local function live(name, i, w)
  local given = {id = IDS[i]}
  for key, value in pairs(OPTIONS) do
    given[key] = value
  end
  local node <close> = assert(replica.open(name, given))
  w:add(STARTS, 1)
  local attempt, known = process.pid() << 24, 0
  while w:load(STOP) == 0 do
    if w:load(ORDER + 8 * i) == 1 then
      assert(node:takeover(LONG))
      w:store(ORDER + 8 * i, 0)
    end
    local acked = w:load(ACKED)
    local number = (node:get "n" or 0) + 1
    attempt = attempt + 1
    local done, message, errno = node:transaction(function(view)
      change(view, number, attempt)
      return true
    end)
    if done then
      -- By now the term may be another's; this node's has had no other primary.
      local term = node.copy.term
      if term ~= known then
        assert(w:cas(WINNER + term % TERMS * 8, 0, term << 8 | i), "two primaries in one term")
        assert(number > acked, "an acknowledged change was lost")
        known = term
      end
      w:store(MADE + number % KEPT * 16 + 8, attempt)
      w:store(MADE + number % KEPT * 16, number)
      most(w, ACKED, number)
    elseif errno == ESTALE then
      assert(message:match "fenced", message)
      w:store(REFUSED + w:add(FENCED, 1) % 1024 * 8, attempt)
      assert(node:role() == "replica")
      node:step(LONG) -- from here on it follows
    elseif errno == EROFS then
      local n, why, code = node:step(0.05)
      assert(n or code == ETIMEDOUT, why)
    else
      error(message)
    end
  end
  repeat
    local n, why, code = node:step(0.2)
    assert(n or code == ETIMEDOUT, why)
  until w:load(STOP) == 2
end

local function contents(name, id)
  local node <close> = assert(replica.open(name, {id = id, readonly = true}))
  local all, n = {}, 0
  for key, value in pairs(node) do
    all[key], n = value, n + 1
  end
  assert(n == #node)
  local arena <close> = assert(shm.arena(name .. "." .. id))
  assert(arena:check())
  return all, node:seq()
end

local function same(one, other)
  if type(one) ~= "table" or type(other) ~= "table" then
    return one == other
  end
  for key, value in pairs(one) do
    if not same(value, other[key]) then
      return false
    end
  end
  for key in pairs(other) do
    if one[key] == nil then
      return false
    end
  end
  return true
end

-- What was acknowledged is there, and what was refused is not.
local function explained(all, w)
  assert((all.n or 0) >= w:load(ACKED), "an acknowledged change was lost")
  local refused = {}
  for i = 0, math.min(w:load(FENCED), 1024) - 1 do
    refused[w:load(REFUSED + i * 8)] = true
  end
  local sum = 0
  for i = 0, KEPT - 1 do
    local made = all["made" .. i]
    local number, attempt = w:load(MADE + i * 16), w:load(MADE + i * 16 + 8)
    assert(not made or not refused[made[2]], "a refused change was made")
    assert(number == 0 or made[1] >= number, "an acknowledged change was lost")
    assert(number == 0 or made[1] > number or made[2] == attempt, "another change was made")
  end
  for i = 0, 4 do
    sum = sum + (all[i] or 0)
  end
  assert(sum == (all.n or 0), "a step was half made")
end

--- Runs it. `pause(seconds)` sleeps, and gives the name of a signal that ends it. Returns kills,
-- stops, take-overs, refused writes, changes, and the seconds until a new primary was there: a
-- list.
function M.run(rounds, pause)
  pause = pause or function(seconds) process.sleep(seconds) end
  local name = "shm-spec-" .. support.key()
  local w <close> = assert(shm.anonymous(SIZE))
  local children, counts, times = {}, {kills = 0, stops = 0, terms = 0}, {}
  local eye
  local tidy <close> = setmetatable({}, {__close = function()
    for _, child in pairs(children) do
      child:kill "KILL"
      child:wait()
      child:close()
    end
    if eye then
      eye:close()
    end
    replica.unlink(name)
  end})
  local function start(i)
    children[i] = assert(process.fork(live, name, i, w))
  end
  local function check_alive()
    for i, child in pairs(children) do
      local how, code = child:wait(0)
      if how then
        children[i] = nil
        child:close()
        error(("%s ended: %s %s"):format(IDS[i], how, code), 0)
      end
    end
  end
  local function kill(i)
    children[i]:kill "KILL"
    assert(children[i]:wait(LONG))
    children[i]:close()
    children[i] = nil
    counts.kills = counts.kills + 1
  end
  local function state()
    local words = {("term %s of %s"):format(eye:term())}
    for _, node in ipairs(eye:nodes()) do
      words[#words + 1] = ("%s: %s, pid %s, seq %s, whole %s"):format(node.id, node.role, node.pid,
        node.seq, node.whole)
    end
    return table.concat(words, "; ")
  end
  local function eventually(f, what)
    local deadline = process.monotonic() + LONG
    repeat
      local result = f()
      if result then
        return result
      end
      check_alive()
      local signal = pause(0.0005)
      if signal then
        error("interrupted by SIG" .. signal, 0)
      end
    until process.monotonic() > deadline
    error(("it did not happen: %s; %s"):format(what, state()), 0)
  end
  local started = 0
  local function all_started()
    eventually(function() return w:load(STARTS) >= started end, "a node is open")
  end
  for i = 1, 3 do
    start(i)
    started = started + 1
    all_started()
  end
  eye = assert(replica.open(name, {id = "a", readonly = true}))
  local function primary()
    for i, node in ipairs(eye:nodes()) do
      if node.role == "primary" and node.pid then
        return i
      end
    end
  end
  -- The terms that had a primary that wrote.
  local function winners()
    local n = 0
    for term = 0, TERMS - 1 do
      n = n + (w:load(WINNER + term * 8) ~= 0 and 1 or 0)
    end
    return n
  end
  local function progress(changes)
    local from = w:load(ACKED)
    eventually(function() return w:load(ACKED) >= from + changes end, "the primary writes")
  end
  -- A new primary that has written, in one new term.
  local function succession(before, began, term)
    eventually(function()
      local now = primary()
      return now and eye:term() > term and now
    end, "another takes over")
    times[#times + 1] = process.monotonic() - began
    eventually(function() return winners() > before end, "the new primary writes")
    assert(winners() == before + 1, "exactly one takes over")
  end
  for _ = 1, rounds do
    eventually(primary, "there is a primary")
    progress(math.random(200))
    local i, before, term = eventually(primary, "there is a primary"), winners(), eye:term()
    local began = process.monotonic()
    if math.random(3) == 1 then -- stopped, replaced on request, and continued
      local other = i % 3 + 1
      local fenced = w:load(FENCED)
      children[i]:kill "STOP"
      counts.stops = counts.stops + 1
      w:store(ORDER + 8 * other, 1)
      succession(before, began, term)
      progress(10)
      children[i]:kill "CONT"
      eventually(function() return w:load(FENCED) > fenced end, "the old one is fenced")
    else
      local also = math.random(4) == 1 and i % 3 + 1 or nil
      if also then
        kill(also)
      end
      began = process.monotonic()
      kill(i)
      succession(before, began, term)
      for _, dead in pairs {i, also} do
        start(dead)
        started = started + 1
      end
      all_started()
    end
    counts.terms = winners()
  end
  progress(10)
  w:store(STOP, 1)
  eventually(function()
    local seqs = {}
    for _, node in ipairs(eye:nodes()) do
      seqs[node.whole and node.seq or -1] = true
    end
    return next(seqs, next(seqs)) == nil and not seqs[-1]
  end, "all are as far")
  w:store(STOP, 2)
  for i, child in pairs(children) do
    local how, code = child:wait(LONG)
    assert(how == "exit" and code == 0, ("%s ended: %s %s"):format(IDS[i], how, code))
    child:close()
    children[i] = nil
  end
  local first, seq = contents(name, "a")
  explained(first, w)
  for _, id in ipairs {"b", "c"} do
    local other, its = contents(name, id)
    assert(its == seq and same(first, other), "the copies are not equal")
  end
  counts.changes, counts.refused, counts.times = w:load(ACKED), w:load(FENCED), times
  assert(tidy)
  return counts
end

--- One line of what happened.
function M.line(all)
  local times = all.times
  table.sort(times)
  return ("%d kills, %d stops, %d take-overs, %d changes acknowledged and none lost, %d refused; "
    .. "another was primary after %.1f ms (median), %.0f ms (longest)"):format(all.kills, all.stops,
    #times, all.changes, all.refused, times[(#times + 1) // 2] * 1000, times[#times] * 1000)
end

if main then
  math.randomseed(process.pid())
  local signals <close> = assert(process.signals("INT", "TERM"))
  local ok, all = pcall(M.run, math.tointeger(arg[1] or 1000), function(seconds)
    return signals:wait(seconds)
  end)
  if not ok then
    io.stderr:write("replica_storm: ", all, "\n")
    os.exit(1, true)
  end
  print(M.line(all))
end

return M
