-- Measures each work beside its baseline, in turns and in one process, and prints the medians,
-- their ratio and its goal. No run fails for being slow: machines are shared.
local USAGE = [[
usage: lua5.4 bench/run.lua [-r ROUNDS] [WORD ...]
  WORD       only what has one of these words in its name
  -r ROUNDS  how often each is measured; the median counts (15)]]

local rounds, words = 15, {}
do
  local i = 1
  while arg[i] do
    if arg[i] == "-r" then
      rounds = math.tointeger(tonumber(arg[i + 1]))
      i = i + 1
    elseif arg[i] == "-h" or arg[i] == "--help" then
      print(USAGE)
      os.exit(0)
    elseif arg[i]:match "^%-" then
      rounds = nil
    else
      words[#words + 1] = arg[i]
    end
    i = i + 1
  end
  if not rounds or rounds < 1 then
    io.stderr:write(USAGE, "\n")
    os.exit(2)
  end
end

local function wanted(name)
  for _, word in ipairs(words) do
    if name:find(word, 1, true) then
      return true
    end
  end
  return #words == 0
end

-- Nanoseconds for each of n times: of processor time, or on the clock that the work names,
-- as where two processes take turns; or what the work says itself, as others may do it.
local function measure(f, n, clock)
  collectgarbage()
  local start = clock()
  local told = f(n)
  return told or (clock() - start) / n * 1e9
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

-- The ratio is the median of the rounds' ratios: what disturbs a round disturbs both. Nil and
-- why, where there is nothing to compare with.
local function compare(it)
  local works, baselines, ratios = {}, {}, {}
  local clock = it.clock or os.clock
  if it.before then
    local _, why = it.before()
    if why then
      return nil, why
    end
  end
  it.work(it.times // 10)
  it.baseline(it.times // 10)
  for round = 1, it.rounds or rounds do
    local first, second = it.work, it.baseline
    if round % 2 == 0 then
      first, second = second, first
    end
    local one = measure(first, it.times, clock)
    local other = measure(second, it.times, clock)
    works[round], baselines[round] = one, other
    if round % 2 == 0 then
      works[round], baselines[round] = other, one
    end
    ratios[round] = works[round] / baselines[round]
  end
  if it.after then
    it.after()
  end
  return median(works), median(baselines), median(ratios)
end

local LINE <const> = "%-26s %9.1f  %-38s %9.1f %6.2fx  %s"
local over = 0

-- What is printed of one work.
local function report(it)
  if it.say then
    return ("%-26s %s"):format(it.name, it.say())
  end
  local work, baseline, ratio = compare(it)
  if not work then
    return ("%-26s %9s  %-38s skipped: %s"):format(it.name, "", it.against, baseline)
  end
  local verdict = ""
  if it.goal then
    verdict = ("%.2fx %s"):format(it.goal, ratio <= it.goal and "met" or "missed")
    over = over + (ratio <= it.goal and 0 or 1)
  end
  verdict = verdict .. (it.note and it.note() or "")
  return LINE:format(it.name, work, it.against, baseline, ratio, verdict)
end

print(("%-26s %9s  %-38s %9s %7s  %s"):format("work", "ns", "against", "ns", "ratio", "goal"))
io.stdout:setvbuf "line"
for _, file in ipairs {"region", "turns", "queue", "topic", "map", "attach", "rpc", "chat"} do
  for _, it in ipairs(require("bench." .. file)) do
    if wanted(it.name) then
      print(report(it))
    end
  end
end
print(over == 0 and "Every goal is met in this run." or over .. " goals are missed in this run.")
