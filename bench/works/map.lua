-- Maps of a thousand and of a million keys, used by one to four processes, beside others that
-- processes share. Every process begins at another key. What is hot are ten keys of the million.
local keys = require "bench.keys"
local maps = require "bench.peers.maps"
local scale = require "bench.scale"

local SIDES <const> = {"ours", "table", "lmdb", "nginx", "redis", "boost", "python"}
local MANY <const>, FEW <const>, HOT <const> = scale.of(1000000, 2000), 1000, 10

-- All sides know the same keys, for as many works in a row as want that many.
local known, there = nil, {}

local function close()
  for name in pairs(there) do
    maps[name].stop()
  end
  known, there = nil, {}
  keys.forget()
  collectgarbage "restart"
  collectgarbage()
end

local why_not = {}

local function open(n)
  if known ~= n then
    if known then
      close()
    end
    known, why_not = n, {}
    for _, name in ipairs(SIDES) do
      if maps[name].prepare then
        maps[name].prepare(n)
      end
    end
    for _, name in ipairs(SIDES) do
      local done, why = maps[name].start(n)
      there[name] = done and true or nil
      why_not[name] = why
    end
    collectgarbage()
    collectgarbage "stop" -- they hold millions of strings, and make few
  end
end

-- What one process does: from is the first place, and as round the order goes.
local function round(f, length, from, n)
  while n > 0 do
    local some = math.min(n, length - from + 1)
    f(from, from + some - 1)
    from, n = from + some, n - some
    from = from > length and 1 or from
  end
end

local function entry(name, word, work)
  local side, f = maps[name], nil
  local made = {name = side.name, kind = side.kind, start = function()
    return there[name], why_not[name]
  end}
  if side.all then
    function made.run(n)
      return side.all(word, work.among, n, work.team)
    end
  else
    function made.partner(n, me)
      f = f or side.some(word, work.order)
      local length = #work.order
      round(f, length, (me - 1) * length // work.team + 1, n)
    end
  end
  return made
end

local list = {finish = function() return known and close() end}

local function row(n, word, team, hot)
  local work = {
    name = "map:" .. word .. (hot and ", 10 hot" or ""), keys = n, processes = team,
    counted = "process", team = team, share = team, how = "equals", large = true,
    among = hot and HOT or n,
  }
  function work.before()
    open(n)
    work.order = hot and keys.hot(n, HOT) or keys.strings(n)
    if there.lmdb then
      maps.lmdb.take(work.order)
    end
  end
  function work.after()
    work.order = nil
  end
  for _, name in ipairs(SIDES) do
    if name ~= "table" or team == 1 then
      local made = entry(name, word, work)
      made.goal = (name == "nginx" or name == "lmdb") and team == 1 and not hot
                  and (word == "get" or word == "set") and 1
                  or name == "table" and word == "get" and n == MANY and not hot and 2.6 or nil
      work[#work + 1] = made
    end
  end
  list[#list + 1] = work
end

for _, word in ipairs {"get", "set", "incr", "mixed"} do
  row(FEW, word, 1)
end
for _, word in ipairs {"get", "set", "incr", "mixed"} do
  for team = 1, 4 do
    row(MANY, word, team)
  end
end
for _, word in ipairs {"get", "set", "incr", "mixed"} do
  for _, team in ipairs {1, 4} do
    row(MANY, word, team, true)
  end
end

return list
