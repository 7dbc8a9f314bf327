--- Kills an operation at each instant that matters, for those who build protocols: whatever a
-- process was doing when it was killed with -9, those who share memory with it must be able to
-- go on.
-- @module shm.chaos
local core = require "shm.core"
local options = require "shm.options"
local process = require "shm.process"

local M = {}

local EINTR, ENOTSUP = 4, 95
local LONGEST_REPORT = 4000 -- bytes, which the child can send without waiting
local MEASUREMENTS = 3
local GRACE = 1 -- seconds
local BEYOND = 1.5 -- random kills come in so many times the operation's duration

local OPTIONS = {
  prepare = {type = "function"},
  timeout = {type = "number", default = 10, least = 0},
  limit = {integer = true, default = 100000, least = 0, most = 1 << 53},
  mode = {type = "string"},
  rounds = {integer = true, default = 200, least = 1},
}

local function fail(format, ...)
  error("chaos.kill_everywhere: " .. format:format(...), 0)
end

-- What the machine has none of left is no line's of ours.
local function need(value, message)
  if not value then
    fail("%s", message)
  end
  return value, message
end

-- The child ends with the scope that this is closed by, whatever ends that.
local function leash(child)
  return setmetatable({}, {__close = function()
    child:kill "KILL"
    repeat
      local how, _, errno = child:wait()
    until how or errno ~= EINTR
    child:close()
  end})
end

-- Ctrl-C ends this, as an error comes from where the call was interrupted.
local function wait(child, timeout)
  local deadline = process.monotonic() + timeout
  local how, code, errno
  repeat
    how, code, errno = child:wait(math.max(0, deadline - process.monotonic()))
  until how or errno ~= EINTR
  return how, code
end

-- In the child: what it says is a word, and more. Where even the parent was killed, the child
-- ends by itself.
local function act(operation, begin, channel, timeout)
  core.chaos.kill_after(timeout + GRACE)
  local ok, message = begin()
  if not ok then
    return channel:send("not begun: " .. message)
  end
  local began = process.monotonic()
  ok, message = pcall(operation)
  local took = process.monotonic() - began
  local stores, why = core.chaos.disarm()
  if not ok then
    channel:send("failed: " .. tostring(message):sub(1, LONGEST_REPORT))
  elseif not stores then
    channel:send("failed: " .. why)
  else
    channel:send(("survived: %.9f"):format(took))
  end
end

-- One life of a child that has something to do before the operation. Returns whether it
-- survived, and how long the operation took it; or nil and why it could not begin.
local function live(job, n, begin)
  if job.prepare then
    job.prepare(n)
  end
  job.tally:set_i64(0, 0)
  local ours <close>, other = need(process.socketpair "seqpacket")
  local theirs <close> = other
  local child = need(process.fork(act, job.operation, begin, theirs, job.timeout))
  local _ <close> = leash(child)
  local over = process.monotonic() + job.timeout + GRACE
  local how, code = wait(child, job.timeout)
  local stores = job.tally:get_i64(0)
  local killed = how == "signal" and code == "KILL"
  local itself = killed and process.monotonic() >= over -- while this process stood still
  if not how or itself and not job.killed(n, stores) then
    fail("the operation hung in run %d, after %d stores: no end within %g seconds",
         n, stores, job.timeout)
  end
  local report = ours:recv(LONGEST_REPORT + 100, 0)
  local word, rest = (report or ""):match "^([%l ]+): (.*)$"
  if word == "survived" then
    return true, tonumber(rest)
  elseif word == "not begun" then
    return nil, rest
  elseif word == "failed" then
    fail("the operation failed in run %d, after %d stores: %s", n, stores, rest)
  elseif killed and job.killed(n, stores) then
    return false
  end
  fail("the operation ended its process in run %d, after %d stores: %s %s",
       n, stores, how, code)
end

local function check(job, n, survived, where)
  local ok, message = pcall(job.verify, n, survived)
  if not ok then
    fail("verify failed after %s: %s",
         survived and "the operation had survived" or "the kill " .. where, tostring(message))
  end
end

local function at_stores(job)
  function job.killed(n, stores)
    return n == stores
  end
  for n = 1, job.limit + 1 do
    local survived, why = live(job, n, function() return core.chaos.arm(job.tally, n) end)
    if survived == nil then
      return nil, "stores can not be found: " .. why
    elseif not survived and n > job.limit then
      break
    end
    check(job, n, survived, "before store " .. n)
    if survived then
      return n - 1
    end
  end
  fail("the operation makes more than %d stores, the limit", job.limit)
end

local function at_random(job, why)
  function job.killed(n)
    return n > 0
  end
  local duration = math.huge
  for _ = 1, MEASUREMENTS do
    local _, took = live(job, 0, function() return true end)
    duration = math.min(duration, took)
    check(job, 0, true)
  end
  local kills = 0
  for n = 1, job.rounds do
    local delay = (n - math.random()) / job.rounds * BEYOND * duration
    local survived, message = live(job, n, function() return core.chaos.kill_after(delay) end)
    if survived == nil then
      fail("no kill at random: %s", message)
    end
    check(job, n, survived, ("in round %d, %.9f s after it began"):format(n, delay))
    kills = kills + (survived and 0 or 1)
  end
  return kills, "random", why
end

--- Runs an operation in a child that is killed with -9 before its first store to shared memory,
-- then in another one that is killed before the second, and so on until it survives; after each,
-- calls `verify` in this process, which must find everything usable.
--
-- In run n the child has made n - 1 stores when it is killed. The survivor's run is the last:
-- the operation has returned, and its process has ended with whatever it held. A store is an
-- instruction that writes to shared memory of this process's regions, also of those that the
-- operation makes; one that writes what was there before, as a failed `cas`, too. How many make
-- up a `write` is libc's choice. A string instruction, which large copies are made of, counts as
-- stores before its 1st, 2nd, 3rd, 5th, 9th, 17th … part. What the kernel writes counts once for
-- each `recv` of a region and each MADV_REMOVE. What else it changes does not: semaphores,
-- sizes of files; and other libraries' calls that have the kernel write into a region give
-- EFAULT.
--
-- The operation should do the same each time, in one thread; children of its own are not killed.
-- N stores take N + 1 children and N * N / 2 stores that are looked for one by one, so an operation
-- of many stores takes long.
--
-- Where stores can not be found, on other processors than x86-64 and under emulators, kills come
-- at random times instead, spread over 1.5 times the duration of the operation, which is
-- measured first: these runs have the number 0. A child that has been killed then may have
-- made all its stores. The second result says so.
-- @tparam function operation what is to be killed; its error is one here, with its message
-- @tparam function verify called with n and whether the child survived; where it throws, the
-- error here says at which store the operation had been killed
-- @tparam[opt] table options `prepare(n)`, called in this process before each run; `timeout` in
-- seconds for each run, 10 if absent: a child that takes longer is killed, and that is an error;
-- `limit`, how many stores there may be, 100000 if absent: more are an error; `mode`, "random"
-- or "stores" for nothing else; `rounds` of random kills, 200 if absent
-- @treturn int how many times it was killed
-- @treturn string "stores" or "random"
-- @treturn ?string why not "stores", where that was not asked for
-- @treturn[2] nil with the mode "stores", where stores can not be found
-- @treturn[2] string message
-- @treturn[2] int ENOTSUP
-- @raise what went wrong, and in which run; or that no descriptors, no processes or no memory are
-- left; no child is left
function M.kill_everywhere(operation, verify, given)
  for i, f in ipairs {operation or false, verify or false} do
    if type(f) ~= "function" then
      error(("chaos.kill_everywhere: %s: function expected, got %s")
        :format(i == 1 and "operation" or "verify", f and type(f) or "nil"), 2)
    end
  end
  local job = options.read(given, OPTIONS, "chaos.kill_everywhere")
  if job.mode and job.mode ~= "stores" and job.mode ~= "random" then
    error(("chaos.kill_everywhere: mode: %s is neither stores nor random"):format(job.mode), 2)
  end
  local tally <close> = need(core.object.anonymous(8))
  job.operation, job.verify, job.tally = operation, verify, tally
  local why
  if job.mode ~= "random" then
    local kills, message = at_stores(job)
    if kills then
      return kills, "stores"
    elseif job.mode then
      return nil, "chaos.kill_everywhere: " .. message, ENOTSUP
    end
    why = message
  end
  return at_random(job, why)
end

return M
