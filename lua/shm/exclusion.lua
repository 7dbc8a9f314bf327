--- Mutual exclusion in software: Dekker's, Peterson's, the filter lock, Szymanski's and Lamport's
-- bakery, on words that are only read and written. For study: shm.mutex
-- sleeps until it is woken, and outlives the death of its holder, as none of these can.
--
-- In shared memory lie 2 n words of 64 bits, one on each 64 bytes from the offset on; which of
-- them is what, the file of each algorithm says (lua/shm/exclusion/). All are 0 when nobody is
-- inside or about to enter, so memory that is new is a lock, and whoever has the region makes
-- the same lock with the same call. Processes have numbers from 1 to n, and each its own.
--
-- Who dies inside, or while it enters, keeps the others waiting until their time is up: its
-- words say what they said. Only who knows that all have gone may fill the words with 0. An
-- error that is thrown through `enter`, as by Ctrl-C, leaves its words as well; `leave` takes
-- that back, and so does the next `enter`.
--
-- What they need of memory is `order`, which all processes have to choose alike:
--
--   "atomic"  every access sequentially consistent; right on any machine, and the default
--   "fence"   plain accesses, with a fence at each place that the algorithm's file names; right
--             where only stores and later loads change places, as on x86-64
--   "plain"   no fence at all, to see what goes wrong
--
-- Who waits spins for a moment, then lets others run, then sleeps and looks again, for longer each
-- time up to some bound; nobody is woken.
-- @module shm.exclusion
local bakery = require "shm.exclusion.bakery"
local dekker = require "shm.exclusion.dekker"
local filter = require "shm.exclusion.filter"
local options = require "shm.options"
local peterson = require "shm.exclusion.peterson"
local szymanski = require "shm.exclusion.szymanski"
local words = require "shm.exclusion.words"

local M = {}

local MOST <const> = 64
local OUTSIDE <const>, ENTERING <const>, INSIDE <const> = 1, 2, 3
local OPTIONS = {order = {type = "string", default = "atomic"}}

local Lock = {__name = "shm.exclusion"}
Lock.__index = Lock

-- For one process: what it calls, with what it has done so far. Errors point at the caller, as
-- the methods of the lock call these last.
local function sit(lock, me)
  local algorithm, n = lock.algorithm, lock.n
  local own = words.bind(lock.region, lock.offset, algorithm.words(n), lock.order)
  local enter, leave, withdraw = algorithm.bind(own, me, n)
  local limit, limited, where = own.limit, false, OUTSIDE

  local function misuse(action, what)
    error(("exclusion.%s: process %d %s"):format(action, me, what), 3)
  end

  local function fail(action, message, errno)
    return nil, ("exclusion.%s '%s' %d: %s"):format(action, algorithm.name, me, message), errno
  end

  local function check(timeout, action)
    if timeout ~= nil and not (type(timeout) == "number" and timeout >= 0) then
      error(("exclusion.%s: timeout: seconds expected, got %s"):format(action, tostring(timeout)),
            3)
    end
    limit(timeout)
    limited = timeout ~= nil
  end

  local function seat_enter(timeout)
    if timeout ~= nil or limited then
      check(timeout, "enter")
    end
    if where == INSIDE then
      misuse("enter", "is inside already")
    end
    if where == ENTERING and withdraw then -- an error was thrown through it
      withdraw()
    end
    where = ENTERING
    local ok, message, errno = enter()
    if ok then
      where = INSIDE
      return true
    elseif withdraw then
      withdraw()
      where = OUTSIDE
    end
    return fail("enter", message, errno)
  end

  local function seat_leave(timeout)
    if timeout ~= nil or limited then
      check(timeout, "leave")
    end
    if where == OUTSIDE then
      misuse("leave", "is not inside")
    end
    local ok, message, errno = true, nil, nil
    if where == INSIDE then
      ok, message, errno = leave()
    elseif withdraw then
      withdraw()
    else -- who can not turn back goes through
      ok, message, errno = enter()
      if ok then
        where = INSIDE
        ok, message, errno = leave()
      end
    end
    if not ok then
      return fail("leave", message, errno)
    end
    where = OUTSIDE
    return true
  end

  lock.enters[me], lock.leaves[me] = seat_enter, seat_leave
end

-- Makes the functions of a process, when they are first asked for, or says what is wrong.
local function seated(lock, me, action)
  if getmetatable(lock) ~= Lock then
    error(("exclusion.%s: lock expected, got %s"):format(action, type(lock)), 3)
  elseif not lock.region then
    error(("exclusion.%s: lock is closed"):format(action), 3)
  elseif math.type(me) ~= "integer" or me < 1 or me > lock.n then
    error(("exclusion.%s: me: integer from 1 to %d expected, got %s")
      :format(action, lock.n, tostring(me)), 3)
  elseif not lock.enters[me] then
    sit(lock, me)
  end
end

--- Enters: from then on until `leave` nobody else does. What changes in between is there for who
-- enters next.
-- @int me which process this is, from 1 to n
-- @number[opt] timeout in seconds, absent for ever, 0 to try
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT, EINTR after a signal, EOVERFLOW where the bakery has no number left.
-- This process is outside then, and has not been there; but with Szymanski's algorithm it keeps
-- its place, and others wait for it until it has called `enter` again, or `leave`.
-- @raise when this process is inside already
function Lock:enter(me, timeout)
  local enters = self.enters
  local enter = enters and enters[me]
  if not enter then
    seated(self, me, "enter")
    enter = self.enters[me]
  end
  return enter(timeout)
end

--- Leaves. With Szymanski's algorithm this waits as well, until those who wait have seen that it
-- was inside.
-- @int me which process this is, from 1 to n
-- @number[opt] timeout in seconds, absent for ever, 0 to try
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT, EINTR after a signal; it is still inside then, or still entering
-- @raise when this process is not inside, and has not been entering either when an error was
-- thrown or its time was up
function Lock:leave(me, timeout)
  local leaves = self.leaves
  local leave = leaves and leaves[me]
  if not leave then
    seated(self, me, "leave")
    leave = self.leaves[me]
  end
  return leave(timeout)
end

--- The functions of one process, for those who count nanoseconds.
-- @int me which process this is, from 1 to n
-- @treturn function enter, of the timeout
-- @treturn function leave, of the timeout
function Lock:seat(me)
  seated(self, me, "seat")
  return self.enters[me], self.leaves[me]
end

--- Lets go of the region. Who is inside stays there.
-- @treturn boolean true
function Lock:close()
  if getmetatable(self) ~= Lock then
    error("exclusion.close: lock expected, got " .. type(self), 2)
  end
  self.region, self.enters, self.leaves = nil, nil, nil
  return true
end

Lock.__close = Lock.close

function Lock:__tostring()
  if not self.region then
    return "shm.exclusion (closed)"
  end
  return ("shm.exclusion (%s of %d)"):format(self.algorithm.name, self.n)
end

--- How many bytes the words of any of these locks take at most.
-- @int n processes, from 2 to 64
-- @treturn int bytes
function M.size(n)
  if math.type(n) ~= "integer" or n < 2 or n > MOST then
    error(("exclusion.size: n: integer from 2 to %d expected, got %s"):format(MOST, tostring(n)), 2)
  end
  return 2 * n * words.LINE
end

-- Called last by the functions below, so that errors point at their callers.
local function new(algorithm, region, offset, n, order)
  local function misuse(what, ...)
    error(("exclusion.%s: "):format(algorithm.name) .. what:format(...), 3)
  end
  if not words.is_order(order) then
    misuse("order: 'atomic', 'fence' or 'plain' expected, got '%s'", order)
  elseif getmetatable(region) ~= "shm.region" then
    misuse("region: shm.region expected, got %s", type(region))
  elseif math.type(n) ~= "integer" or n < 2 or n > MOST then
    misuse("n: integer from 2 to %d expected, got %s", MOST, tostring(n))
  end
  local ok, problem = pcall(region.storer, region, offset)
  if not ok then -- closed, read-only, misaligned, outside
    misuse("%s", problem:match "^bad argument #%d+ to '[^']*' %((.*)%)$" or problem)
  elseif offset + M.size(n) > #region then
    misuse("offset: %d, and %d bytes from there, is not within the %d bytes of %s", offset,
           M.size(n), #region, tostring(region))
  end
  return setmetatable({algorithm = algorithm, region = region, offset = offset, n = n,
                       order = order, enters = {}, leaves = {}}, Lock)
end

--- Dekker's algorithm, for two processes: the first that there was.
-- @tparam shm.region region
-- @int offset of the words, a multiple of 8; they take `size(2)` bytes, of zeros at first
-- @tparam[opt] table options `order`: "atomic" if absent, "fence" or "plain"
-- @treturn shm.exclusion the lock
-- @raise when the words reach outside the region, or it is read-only
function M.dekker(region, offset, given)
  local order = options.read(given, OPTIONS, "exclusion.dekker").order
  return new(dekker, region, offset, 2, order)
end

--- Peterson's algorithm, for two processes: the shortest.
-- @tparam shm.region region
-- @int offset of the words, a multiple of 8; they take `size(2)` bytes, of zeros at first
-- @tparam[opt] table options `order`: "atomic" if absent, "fence" or "plain"
-- @treturn shm.exclusion the lock
-- @raise when the words reach outside the region, or it is read-only
function M.peterson(region, offset, given)
  local order = options.read(given, OPTIONS, "exclusion.peterson").order
  return new(peterson, region, offset, 2, order)
end

--- The filter lock, Peterson's algorithm for n processes: nobody waits for ever, but others may
-- overtake as often as they like.
-- @tparam shm.region region
-- @int offset of the words, a multiple of 8; they take `size(n)` bytes, of zeros at first
-- @int n processes, from 2 to 64
-- @tparam[opt] table options `order`: "atomic" if absent, "fence" or "plain"
-- @treturn shm.exclusion the lock
-- @raise when the words reach outside the region, or it is read-only
function M.filter(region, offset, n, given)
  local order = options.read(given, OPTIONS, "exclusion.filter").order
  return new(filter, region, offset, n, order)
end

--- Szymanski's algorithm, for n processes: those who come together go in in ascending order, and
-- nobody who comes later does before them.
-- @tparam shm.region region
-- @int offset of the words, a multiple of 8; they take `size(n)` bytes, of zeros at first
-- @int n processes, from 2 to 64
-- @tparam[opt] table options `order`: "atomic" if absent, "fence" or "plain"
-- @treturn shm.exclusion the lock
-- @raise when the words reach outside the region, or it is read-only
function M.szymanski(region, offset, n, given)
  local order = options.read(given, OPTIONS, "exclusion.szymanski").order
  return new(szymanski, region, offset, n, order)
end

--- Lamport's bakery, for n processes: first come, first served.
-- @tparam shm.region region
-- @int offset of the words, a multiple of 8; they take `size(n)` bytes, of zeros at first
-- @int n processes, from 2 to 64
-- @tparam[opt] table options `order`: "atomic" if absent, "fence" or "plain"
-- @treturn shm.exclusion the lock
-- @raise when the words reach outside the region, or it is read-only
function M.bakery(region, offset, n, given)
  local order = options.read(given, OPTIONS, "exclusion.bakery").order
  return new(bakery, region, offset, n, order)
end

return M
