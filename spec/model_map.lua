-- Maps beside what they should be: random operations, of one process beside a plain table, and of
-- four that are killed with -9, each of which notes what was acknowledged.
--   lua5.4 spec/model_map.lua [operations]      a million if absent; make soak runs it
local main = (arg and arg[0] or ""):match "model_map%.lua$"
if main then
  package.path = "./?.lua;" .. package.path
end
local process = require "shm.process"
local shm = require "shm"
local workers = require "spec.model_workers"

local M = {}

local WORKERS <const> = 4
local OWN <const> = 64    -- keys that only one process changes
local SHARED <const> = 8  -- counters that all add to
-- In a process's log: how many operations were acknowledged; of each of its keys the number of
-- the last one that was, and of the one that goes on; how often each counter was added to, and how
-- often that was begun.
local DONE, KEYS, COUNTERS, LOG <const> = 0, 64, 64 + OWN * 16, 64 + (OWN + SHARED) * 16

local function same(one, other)
  if type(one) ~= "table" or type(other) ~= "table" then
    return one == other and math.type(one) == math.type(other)
  end
  for key, value in pairs(one) do
    if not same(value, other[key]) then
      return false
    end
  end
  return #one == #other
end

local function random_key()
  local n = math.random(300)
  local kind = n % 3
  return kind == 0 and n or kind == 1 and "key " .. n or ("k"):rep(n)
end

local function random_value()
  local kind = math.random(20)
  if kind < 8 then
    return math.random(-10, 10)
  elseif kind < 12 then
    return ("v"):rep(math.random(0, 300))
  elseif kind == 12 then
    return ("large"):rep(math.random(2000))
  elseif kind < 16 then
    return {math.random(9), ("t"):rep(math.random(50)), {x = true}}
  elseif kind == 16 then
    return math.random() - 0.5
  end
  return math.random(2) == 1
end

-- What each operation does to the map, and to the table that is the model.
local STEPS = {
  function(m, t, key)
    local value = random_value()
    assert(m:set(key, value))
    t[key] = value
  end,
  function(m, t, key)
    assert(same(m:get(key), t[key]))
  end,
  function(m, t, key)
    assert(m:delete(key) == (t[key] ~= nil))
    t[key] = nil
  end,
  function(m, t, key)
    local value = random_value()
    if t[key] == nil then
      assert(m:add(key, value))
      t[key] = value
    else
      assert(select(3, m:add(key, value)) == 17)
      assert(m:replace(key, value))
      t[key] = value
    end
  end,
  function(m, t, key)
    local sum = m:incr(key, 3, 4)
    if t[key] == nil or type(t[key]) == "number" then
      t[key] = (t[key] or 4) + 3
      assert(same(sum, t[key]))
    else
      assert(sum == nil)
    end
  end,
  function(m, t, key)
    local old, new = t[key], random_value()
    assert(not m:cas(key, "something else", new))
    assert(m:cas(key, type(old) == "table" and m:get(key) or old, new) or type(old) == "table")
    t[key] = m:get(key)
    assert(type(old) == "table" or same(t[key], new))
  end,
  function(m, t, key)
    local value, version = m:lookup(key)
    assert(same(value, t[key]) and version == m:version(key))
    assert(not m:set_if(key, version + 1, 1))
    local new = math.random(3) > 1 and random_value() or nil
    assert(m:set_if(key, version, new))
    t[key] = new
  end,
  function(m, t, key)
    local value = random_value()
    if t[key] == nil then
      t[key] = value
    end
    assert(same(m:get_or(key, function() return value end), t[key]))
  end,
  function(m, t, key)
    local other, value = random_key(), random_value()
    m:transaction(function(view)
      assert(same(view:get(key), t[key]))
      view:set(other, value)
      view:delete(key)
    end)
    t[other] = value
    t[key] = nil
  end,
  function(m, t, key)
    local value = random_value()
    assert(same(m:update(key, function(old)
      assert(same(old, t[key]))
      return value
    end), value))
    t[key] = value
  end,
}

local function compare(m, t)
  local n = 0
  for key, value in pairs(m) do
    n = n + 1
    assert(same(value, t[key]), tostring(key))
  end
  assert(n == #m)
  for _ in pairs(t) do
    n = n - 1
  end
  assert(n == 0)
end

--- One process and a table: n operations.
function M.alone(n)
  local region <close> = assert(shm.anonymous(1 << 20, {max = 1 << 24}))
  local a <close> = assert(shm.arena(region, {max = 1 << 24}))
  local m <close> = assert(a:map("model"))
  local t = {}
  for i = 1, n do
    STEPS[math.random(#STEPS)](m, t, random_key())
    if i % 10000 == 0 then
      compare(m, t)
      assert(a:check())
    end
  end
  compare(m, t)
  assert(a:check())
end

-- The value of a worker's key after its operation of that number: none, short or long.
local function value_of(number)
  local kind = number % 7
  if number == 0 or kind == 0 then
    return nil
  elseif kind == 6 then
    return {number, ("x"):rep(number % 9000)}
  end
  return {number, ("x"):rep(number % 100)}
end

--- Memory for what so many workers acknowledge, each of which writes its own.
function M.logs(n)
  local logs = setmetatable({}, {__close = function(list)
    for _, log in ipairs(list) do
      log:close()
    end
  end})
  for i = 1, n do
    logs[i] = assert(shm.anonymous(LOG))
  end
  return logs
end

--- One operation of a worker, of whose name its keys are.
function M.step(m, log, name)
  local number = log:load(DONE) + 1
  if number % 8 == 0 then
    local at = COUNTERS + number // 8 % SHARED * 16
    log:add(at + 8, 1)
    assert(m:incr("counter" .. number // 8 % SHARED, 1, 0))
    log:add(at, 1)
  else
    local i = number * 7 % OWN
    local key, value, at = name .. i, value_of(number), KEYS + i * 16
    log:store(at + 8, number)
    if value == nil then
      assert(m:delete(key) ~= nil)
    elseif number % 3 == 0 then
      assert(m:update(key, function() return value end))
    elseif number % 11 == 0 then
      m:transaction(function(view)
        view:set(name .. "pair", number)
        view:set(name .. "other", ("p"):rep(number % 50) .. number)
        view:set(key, value)
      end)
    else
      assert(m:set(key, value))
    end
    log:store(at, number)
  end
  log:store(DONE, number)
end

local function is_value(found, number)
  local value = value_of(number)
  return value == nil and found == nil or value ~= nil and found ~= nil and same(found, value)
end

--- What a worker's log explains, when it is dead: what was acknowledged is there; what went on, or
-- not.
function M.explained(m, log, name)
  for i = 0, OWN - 1 do
    local at = KEYS + i * 16
    local found = m:get(name .. i)
    assert(is_value(found, log:load(at)) or is_value(found, log:load(at + 8)),
           ("%s%d: %d, %d, and there is %s"):format(name, i, log:load(at), log:load(at + 8),
                                                   found and found[1]))
    local number = is_value(found, log:load(at)) and log:load(at) or log:load(at + 8)
    log:store(at, number) -- from here on it is known
    log:store(at + 8, number)
  end
  local pair, other = m:get(name .. "pair"), m:get(name .. "other")
  assert(pair == nil and other == nil or other == ("p"):rep(pair % 50) .. pair)
end

--- The counters, when all are dead: each was added to as often as was acknowledged, or began.
function M.counted(m, logs)
  for i = 0, SHARED - 1 do
    local at, least, most = COUNTERS + i * 16, 0, 0
    for _, log in ipairs(logs) do
      least, most = least + log:load(at), most + log:load(at + 8)
    end
    local n = m:get("counter" .. i) or 0
    assert(least <= n and n <= most, ("counter %d: %d <= %d <= %d"):format(i, least, n, most))
    -- Who of them it was is not known: the first one has the rest.
    for k, log in ipairs(logs) do
      if k > 1 then
        log:store(at + 8, log:load(at))
        n = n - log:load(at)
      end
    end
    logs[1]:store(at, n)
    logs[1]:store(at + 8, n)
  end
end

--- Four processes that are killed again and again, until they have done n operations. Returns how
-- many, and how many kills.
function M.together(n)
  local region <close> = assert(shm.anonymous(1 << 20, {max = 1 << 24}))
  local a <close> = assert(shm.arena(region, {max = 1 << 24}))
  local m <close> = assert(a:map "model")
  local logs <close> = M.logs(WORKERS)
  return workers.run({
    workers = WORKERS,
    work = function(i)
      return function() M.step(m, logs[i], "w" .. i .. ".") end
    end,
    settle = function(i)
      M.explained(m, logs[i], "w" .. i .. ".")
    end,
    check = function()
      M.counted(m, logs)
      assert(a:check())
    end,
  }, n)
end

if main then
  local n = math.tointeger(arg[1] or 1000000)
  math.randomseed(process.pid())
  M.alone(n // 4)
  local done, kills = M.together(n - n // 4)
  print(("%d operations, %d kills: all that was acknowledged was there"):format(n // 4 + done,
                                                                               kills))
end

return M
