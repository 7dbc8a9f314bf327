--- What can be done to the shared words of a run, and what else a role does that is no object's:
-- the same functions as shm.lab.model.words gives, on real memory.
--
-- A word is 64 bits of the segment, alone on its cache line. Reads and writes are plain loads
-- and stores, which the processor may let change places as it likes (on x86-64: a store and a
-- later load of another word); cas, add and swap are locked instructions, and so full fences.
-- `enter`, `leave` are plain and shared with nobody unless a rule may look at sections: then they
-- are locked additions, and so fences as well. A rule that looks at several words, of which a
-- role has just stored one, is asked once that store has reached memory: that is a fence, too.
--
-- `await` looks again and again: some times at once, then lets others run, then sleeps for up to
-- a millisecond at a time. `wait` sleeps as region:wait does: whoever wakes must have changed the
-- word.
-- @module shm.lab.run.words
local core = require "shm.core"
local options = require "shm.options"
local process = require "shm.process"

local M = {}

local SPINS <const>, YIELDS <const> = 100, 200
local FIRST_NAP <const>, LONGEST_NAP <const> = 50e-6, 1e-3 -- seconds
local ETIMEDOUT <const>, EINTR <const> = 110, 4
local LOW <const> = 0xffffffff

local fence, monotonic = core.fence, process.monotonic
local math_type = math.type

local function value_of(name, value)
  if math_type(value) ~= "integer" then
    error(("%s: a word holds an integer, got %s"):format(name, type(value)), 4)
  end
  return value
end

--- Calls what may be interrupted by a signal until it is not: how a role waits, whom signals do
-- not keep from it.
-- @tparam function f called with what is left of the timeout
-- @tparam[opt] number timeout
function M.patiently(f, timeout)
  local deadline = timeout and monotonic() + timeout
  local left = timeout
  while true do
    local result, more, errno, extra = f(left)
    if result ~= nil or errno ~= EINTR then
      return result, more, errno, extra
    end
    left = deadline and math.max(0, deadline - monotonic())
  end
end

-- Looks until a condition is true: gives what one pass gave, when that was.
local function looking(condition, pass)
  for _ = 1, SPINS do
    pass()
    if condition() then
      return
    end
  end
  local yields, nap = 0, FIRST_NAP
  repeat
    if yields < YIELDS then
      yields = yields + 1
      process.yield()
    else
      process.sleep(nap)
      nap = math.min(2 * nap, LONGEST_NAP)
    end
    pass()
  until condition()
end

--- The functions of one role's world.
-- @tparam table seat place, index, protocol; log, or nil without a trace; judge, see
-- shm.lab.run.rules; wait, which is called before each operation, or nil; random(n); round
-- @treturn table the world's functions
function M.world(seat)
  local place, log, judge, delay = seat.place, seat.log, seat.judge, seat.delay
  local region = place.region
  local watched = judge.watched
  local world, reads, writes, index_of = {}, {}, {}, {}
  local pass -- of an await: what it has read; nil outside
  local shift = 4 * (seat.index - 1)

  for i, name in ipairs(seat.protocol.words) do
    index_of[name] = i
    local at = place.words[name]
    local get, set = region:getter_i64(at), region:setter_i64(at)
    if log then
      local note_read, note_write, done = log.read, log.write, log.done
      reads[name] = function()
        if pass then
          local n, value = pass.n + 1, get()
          pass.n, pass.words[n], pass.values[n] = n, i, value
          return value
        end
        if delay then
          delay()
        end
        local value = get()
        note_read(i, value)
        return value
      end
      writes[name] = function(value)
        if math_type(value) ~= "integer" then
          value_of(name, value)
        elseif pass then
          error("the condition of await may only read words", 0)
        end
        if delay then
          delay()
        end
        local cell = note_write(i, value)
        set(value)
        done(cell)
        if watched[name] then
          judge.word(name, value, true)
        end
      end
    else
      reads[name] = not delay and get or function()
        if not pass then
          delay()
        end
        return get()
      end
      writes[name] = function(value)
        if math_type(value) ~= "integer" then
          value_of(name, value)
        elseif delay then
          delay()
        end
        set(value)
        if watched[name] then
          judge.word(name, value, true)
        end
      end
    end
  end

  function world.read(name) return reads[name]() end

  function world.write(name, value) writes[name](value) end

  function world.reader(name) return reads[name] end

  function world.writer(name) return writes[name] end

  function world.fence()
    if log then
      local cell = log.operation("fence", 0)
      fence()
      log.done(cell)
    else
      fence()
    end
  end

  function world.await(condition)
    if delay then
      delay()
    end
    if not log then
      pass = {n = 0, words = {}, values = {}}
      looking(condition, function() end)
      pass = nil
      return true
    end
    local cell, began = log.await(), nil
    local mine = {n = 0, words = {}, values = {}}
    pass = mine
    local ok, problem = pcall(looking, condition, function()
      mine.n, began = 0, monotonic()
    end)
    pass = nil
    if not ok then
      error(problem, 0)
    end
    log.awaited(cell, began, mine.words, mine.values, mine.n)
    return true
  end

  -- An operation that is one locked instruction; f gives its two results, and what is then there.
  local function locked(action, name, a, b, f)
    if delay then
      delay()
    end
    local cell = log and log.operation(action, index_of[name], a, b)
    local r1, r2, now = f(place.words[name])
    if log then
      log.results(cell, r1 == true and 1 or r1 or 0, r2)
      log.done(cell)
    end
    if now ~= nil and watched[name] then
      judge.word(name, now)
    end
    return r1, r2
  end

  function world.cas(name, expected, value)
    value_of(name, expected)
    value_of(name, value)
    return locked("cas", name, expected, value, function(at)
      local ok, before = region:cas(at, expected, value)
      return ok, before, ok and value or nil
    end)
  end

  function world.add(name, value)
    return (locked("add", name, value_of(name, value), nil, function(at)
      local before = region:add(at, value)
      return before, nil, before + value
    end))
  end

  function world.swap(name, value)
    return (locked("swap", name, value_of(name, value), nil, function(at)
      return region:swap(at, value), nil, value
    end))
  end

  local heard = {inside = {}, observed = {}}
  local function hear(part, name)
    if not heard[part][name] then
      heard[part][name] = true
      judge.hear(part, name)
    end
  end

  local function section(action, name, step)
    local at = place:name(name)
    hear("inside", name)
    local cell = log and log.operation(action, (at - place.names_at) // 512 + 1)
    local key = "inside " .. name
    if watched[key] then
      local before = region:add(at + 128, step << shift)
      if log then
        log.done(cell)
      end
      judge.inside(name, before + (step << shift))
    elseif log then
      log.done(cell)
    end
  end

  function world.enter(name) section("enter", name, 1) end

  function world.leave(name) section("leave", name, -1) end

  --- A call of anything else: written down with its arguments and results.
  local function call(action, object, args, f, ...)
    if pass then
      error("the condition of await may only read words", 0)
    end
    if delay then
      delay()
    end
    if not log then
      return f(...)
    end
    local cell = log.call(action, object, args)
    local function finish(ok, ...)
      if not ok then
        log.returned(cell, {n = 0, threw = true})
        error(..., 0)
      end
      log.returned(cell, seat.loggable(...))
      return ...
    end
    return finish(pcall(f, ...))
  end
  seat.call = call

  function world.observe(name, value)
    call("observe", name, seat.loggable(value), function()
      place:observe(seat.round(), name, value)
    end)
    hear("observed", name)
    judge.observed(name)
  end

  function world.note(text)
    call("note", nil, {n = 1, tostring(text)}, function() end)
  end

  function world.choose(n)
    return call("choose", nil, {n = 1, n}, function() return seat.random(n) end)
  end

  function world.futex()
    error("w.futex: only the model has it; here w.wait sleeps until the word changes", 2)
  end

  function world.wait(name, expected, timeout)
    value_of(name, expected)
    if timeout then
      options.deadline(timeout, "w.wait")
    end
    return call("wait", name, {n = 2, expected, timeout}, function()
      local at = place.words[name]
      local ok, _, errno = M.patiently(function(left)
        if region:load(at) ~= expected then
          return true
        end
        return region:wait(at, expected & LOW, left)
      end, timeout)
      if ok then
        return true
      end
      return nil, "Connection timed out", errno or ETIMEDOUT
    end)
  end

  function world.wake(name, most)
    return call("wake", name, {n = 1, most}, function()
      return region:wake(place.words[name], most)
    end)
  end

  return world
end

return M
