-- Maps against a table of Lua's own, against themselves while another process changes what is
-- read, and against two others that processes share: nginx's dictionary, from Lua as well, and
-- LMDB, from C. Keys are short strings, values integers.
local dict = require "bench.dict"
local keys = require "bench.keys"
local partner = require "bench.partner"
local process = require "shm.process"
local shm = require "shm"

local MANY <const> = 1000000
local NAME = ("bench-map-%d"):format(process.pid())

local arena, map

-- A map of n keys in an arena of its own, which has no name any more once it is there.
local function open(n)
  arena = assert(shm.arena(NAME, {size = 1 << 20, max = 1 << 30}))
  shm.unlink(NAME)
  map = assert(arena:map "map")
  for i, key in ipairs(keys.strings(n)) do
    assert(map:set(key, i))
  end
  collectgarbage()
end

local function close()
  map:close()
  arena:close()
  keys.forget()
  map, arena = nil, nil
  collectgarbage()
end

-- The first n of so many keys.
local function get(of)
  return function(n)
    local m, order = map, keys.strings(of)
    for i = 1, n do
      m:get(order[i])
    end
  end
end

local function set(of)
  return function(n)
    local m, order = map, keys.strings(of)
    for i = 1, n do
      m:set(order[i], i)
    end
  end
end

-- f for n keys, again and again.
local function repeated(f, n, times)
  while times > 0 do
    f(math.min(n, times))
    times = times - n
  end
end

local list = {}

-- Beside a plain table.
do
  local plain
  list[#list + 1] = {
    name = "map:get, 1 million keys", against = "a plain table", goal = 2.6, times = MANY,
    before = function()
      open(MANY)
      plain = {}
      for i, key in ipairs(keys.strings(MANY)) do
        plain[key] = i
      end
    end,
    after = function()
      plain = nil
      close()
    end,
    work = get(MANY),
    baseline = function(n)
      local t, order, _ = plain, keys.strings(MANY), nil
      for i = 1, n do
        _ = t[order[i]]
      end
      return nil, _
    end,
  }
end

-- The hot keys of a small map and of a large one.
do
  local HOT <const> = 10
  local small, small_arena

  local function turns(f, which)
    return function(n)
      local m, order = which(), keys.strings(HOT)
      for i = 1, n // HOT do
        f(m, order, i)
      end
    end
  end

  local function get_each(m, order)
    for at = 1, HOT do
      m:get(order[at])
    end
  end

  local function set_each(m, order, i)
    for at = 1, HOT do
      m:set(order[at], i)
    end
  end

  for _, word in ipairs {"get", "set"} do
    local each = word == "get" and get_each or set_each
    list[#list + 1] = {
      name = ("map:%s, 10 of 1 million"):format(word), against = "10 of 10", goal = 1.5,
      times = word == "get" and 1000000 or 400000,
      before = function()
        small_arena = assert(shm.arena(NAME))
        shm.unlink(NAME)
        small = assert(small_arena:map "map")
        for i, key in ipairs(keys.strings(HOT)) do
          small:set(key, i)
        end
        open(MANY)
      end,
      after = function()
        small:close()
        small_arena:close()
        close()
      end,
      work = turns(each, function() return map end),
      baseline = turns(each, function() return small end),
    }
  end
end

-- Read while another process rewrites what is read, and while it rests.
do
  local SOME <const> = 10000
  local GO <const>, SEEN <const> = 0, 64
  local control, child

  local function rewrite()
    local order = keys.strings(SOME)
    while true do
      local now = control:load32(GO)
      control:store32(SEEN, now)
      if now == 0 then
        control:wait(GO, 0)
      else
        for i = 1, SOME do
          map:set(order[i], i)
          if control:load32(GO) == 0 then
            break
          end
        end
      end
    end
  end

  local function tell(what)
    control:store32(GO, what)
    control:wake(GO)
    while control:load32(SEEN) ~= what do
      process.sleep(0.0001)
    end
  end

  local some = get(SOME)

  list[#list + 1] = {
    name = "map:get, being rewritten", against = "the same at rest", goal = 2, times = 1000000,
    before = function()
      open(SOME)
      control = assert(shm.anonymous(4096, {prefault = true}))
      child = assert(process.fork(rewrite))
      partner.apart(child.pid)
    end,
    after = function()
      child:kill "KILL"
      child:wait()
      partner.apart(nil)
      control:close()
      close()
    end,
    work = function(n)
      tell(1)
      local start = os.clock()
      repeated(some, SOME, n)
      start = os.clock() - start
      tell(0)
      return start / n * 1e9
    end,
    baseline = function(n) repeated(some, SOME, n) end,
  }
end

-- Beside others that processes share: where all lies in caches, and where little does.
local function beside(known, against, start, stop, measured)
  for _, n in ipairs {1000, MANY} do
    for _, word in ipairs {"get", "set"} do
      local each = (word == "get" and get or set)(n)
      list[#list + 1] = {
        name = ("map:%s, %d keys"):format(word, n), against = against, goal = 1,
        times = word == "get" and MANY or MANY // 5,
        before = function()
          if not known then
            return nil, against .. " can not be had"
          end
          local done, why = start(keys.strings(n))
          if done then
            open(n)
          end
          return done, why
        end,
        after = function()
          stop()
          close()
        end,
        work = function(times) repeated(each, n, times) end,
        baseline = function(times) return measured(word, n, times) end,
      }
    end
  end
end

beside(true, "ngx.shared.DICT", dict.start, dict.stop, dict.run)

do
  local known, lmdb = pcall(require, "lmdb")
  local folder
  beside(known, "LMDB in C", function(all)
    folder = io.popen("mktemp -d -p /dev/shm"):read "l"
    lmdb.open(folder, all)
    return true
  end, function()
    lmdb.close()
    os.execute("rm -rf " .. folder)
  end, function(word, n, times)
    repeated(lmdb[word], n, times)
  end)
end

-- Many more.
do
  local MOST <const> = 10000000
  local STEP <const> = 7654321 -- which has no divisor in common with it
  list[#list + 1] = {
    name = "map, 10 million keys",
    say = function()
      arena = assert(shm.arena(NAME, {size = 1 << 20, max = 2 << 30}))
      shm.unlink(NAME)
      map = assert(arena:map "map")
      local start = os.clock()
      for i = 1, MOST do
        local done, why = map:set(i, i)
        if not done then
          close()
          return "skipped: " .. why
        end
      end
      local middle, at, wrong = os.clock(), 0, 0
      for _ = 1, MOST do
        at = (at + STEP) % MOST
        wrong = map:get(at + 1) == at + 1 and wrong or wrong + 1
      end
      local stop, used = os.clock(), arena:stat().used
      close()
      local set_one, get_one = (middle - start) / MOST * 1e9, (stop - middle) / MOST * 1e9
      return ("%.0f ns to set, %.0f ns to get, %.1f bytes a key, %d wrong")
             :format(set_one, get_one, used / MOST, wrong)
    end,
  }
end

return list
