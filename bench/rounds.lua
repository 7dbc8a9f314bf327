-- How a work is measured: ours and all that it is compared with in turns, a few milliseconds
-- each, for several rounds. What disturbs a round disturbs all in it, so that the medians of
-- the rounds' ratios hold on a machine that others use, too.
--
-- A work is a table:
--   name, size, processes, keys   what is done; the latter three where they apply
--   team                          how many processes of bench.team take part, absent for none
--   how                           where they run: see cpus.of
--   share                         how many times one time of an entry counts for, absent for 1
--   clock                         seconds; absent for the time of day, as others take part
--   rounds, passes                in one process, and in how many, at most, where it takes long
--   longer                        times the seconds of others, as it takes long to begin
--   large                         true where there is too much of Lua to collect each time
--   before, after                 functions
-- and a list of entries, the first of them ours:
--   name, kind                    kind is "ours", "limit" or "peer"
--   start, stop                   start gives nil and why where it can not be had
--   run                           function of n: do it n times; may say how many ns one took
--   partner                       function of (n, worker): what each of the team does meanwhile
--   goal                          what ours may take, in times of this
--   times                         n; absent for as many as take the seconds of a round
local cpus = require "bench.cpus"
local distance = require "bench.distance"
local process = require "shm.process"
local summary = require "bench.summary"
local team = require "bench.team"

local M = {}

local MOST <const> = 1 << 30

--- Nanoseconds each, of the median batch of ten: for what other processes answer.
function M.batches(n, f)
  local times, size = {}, math.min(n, 10)
  for i = 1, n // size do
    local start = process.monotonic()
    f(size)
    times[i] = process.monotonic() - start
  end
  if n % size > 0 then
    f(n % size) -- which the other side does, too
  end
  return summary.median(times) / size * 1e9
end

-- Nanoseconds of each of n times.
local function once(work, entry, workers, n)
  local clock = work.clock or process.monotonic
  local start = clock()
  if entry.partner then
    workers:ask(entry.index, n)
  end
  local told, why
  if entry.run then
    told, why = entry.run(n)
  end
  if entry.partner then
    workers:wait()
  end
  if why then
    error(entry.name .. ": " .. why, 0)
  end
  return told or (clock() - start) / (n * (work.share or 1)) * 1e9
end

local function lasts(work, n, ns)
  return ns * n * (work.share or 1) / 1e9
end

-- How often it has to be done to take that long, if that is not known from another process.
local function calibrate(work, entry, workers, seconds, known)
  if entry.times then
    return entry.times
  end
  local n = 1
  once(work, entry, workers, n) -- connects, and touches what is new
  if known then
    once(work, entry, workers, math.ceil(known / 4))
    return known
  end
  while true do
    local took = lasts(work, n, once(work, entry, workers, n))
    if took >= seconds / 2 then -- or something came in between
      took = math.min(took, lasts(work, n, once(work, entry, workers, n)))
    end
    if took >= seconds / 2 or n >= MOST then
      return math.max(1, math.floor(n * math.min(1, seconds / took)))
    end
    n = math.ceil(n * math.min(20, math.max(1.5, seconds / math.max(took, 1e-9))))
  end
end

local function begin(work, said)
  local there = {}
  for _, entry in ipairs(work) do
    local why
    if entry.start then
      local done
      done, why = entry.start(work)
      why = not done and (why or "can not be had") or nil
    end
    if why then
      said(entry, why)
    else
      there[#there + 1] = entry
    end
  end
  return there
end

local function run(work, entries, rounds, seconds, known, progress)
  local functions = {}
  for i, entry in ipairs(entries) do
    entry.index = i
    functions[i] = entry.partner or false
  end
  local workers = work.team and team.start(work.team, functions, work.how)
  local apart = work.team and work.how ~= "same" and distance.start()
  local home = work.how ~= "equals" and cpus.first() or nil
  cpus.stay(home)
  local each, times, best = {}, {}, {}
  each.distances, each.times = apart and {}, times
  if not work.large then
    collectgarbage()
  end
  for i, entry in ipairs(entries) do
    progress(entry.name, 0)
    each[i], times[i] = {}, calibrate(work, entry, workers, seconds, known[entry.name])
  end
  local deadline = process.monotonic() + 1 + 2 * rounds * #entries * seconds
  for round = 1, rounds do
    if round > 3 and process.monotonic() > deadline then
      break -- a machine that others use
    end
    if apart then
      each.distances[round] = apart:measure()
      cpus.stay(home)
    end
    for step = 1, #entries do -- another one begins each round
      local i = (step + round) % #entries + 1
      progress(entries[i].name, round)
      if not work.large then
        collectgarbage()
      end
      local ns = once(work, entries[i], workers, times[i])
      each[i][round], best[i] = ns, math.min(best[i] or ns, ns)
      if not entries[i].times then -- more, if it was disturbed when it was calibrated
        local fit = math.floor(seconds / lasts(work, 1, best[i]))
        times[i] = math.max(times[i], math.min(fit, times[i] * 4))
      end
    end
  end
  if apart then
    apart:stop()
  end
  if workers then
    workers:stop()
  end
  cpus.stay()
  return each
end

--- What was measured of a work, in so many rounds of so many seconds for each entry, in their
-- order: {name, kind, goal, rounds, times, note}, where rounds are nanoseconds of each, times is
-- how often it was done in a round, known by the entry's name if another process told, and note is
-- the entry's word on it; or with why instead, where it was skipped. With distances, of each
-- round, where cpus were apart.
function M.measure(work, rounds, seconds, known, progress)
  local skipped = {}
  if work.before then
    work.before()
  end
  local there = begin(work, function(entry, why) skipped[entry] = why end)
  local each = #there > 0 and run(work, there, rounds, seconds * (work.longer or 1), known,
                                  progress) or {}
  for i = #there, 1, -1 do
    if there[i].stop then
      there[i].stop()
    end
  end
  if work.after then
    work.after()
  end
  local measured, at = {distances = each.distances}, 0
  for i, entry in ipairs(work) do
    local one = {name = entry.name, kind = entry.kind, goal = entry.goal, why = skipped[entry]}
    if not one.why then
      at = at + 1
      one.rounds, one.times = each[at], each.times[at]
      one.note = entry.note and entry.note()
    end
    measured[i] = one
  end
  return measured
end

return M
