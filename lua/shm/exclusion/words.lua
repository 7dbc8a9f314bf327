--- The words that the algorithms of shm.exclusion run on: here those of a region, one on each
-- cache line, so that who writes one does not slow down who reads its neighbour.
--
-- An algorithm knows no more of them than this, and so runs on any others that have it, as on
-- those of a model:
--
--   words.reader(name)      a function that gives the word's value
--   words.writer(name)      a function that stores a value
--   words.fence()           all accesses before it come before all after it
--   words.await(condition)  waits until condition() is true, which looks at words and changes
--                           none: true; or nil, message, errno, and then the algorithm ends
-- @module shm.exclusion.words
local core = require "shm.core"
local process = require "shm.process"

local M = {}

--- Bytes from word to word.
M.LINE = 64

-- Who waits looks for a microsecond or two, which is how long a hand-over between two cpus takes;
-- then lets others run, of whom one may be the one that it waits for, on a machine with one cpu
-- it has to be; and then sleeps, as nobody wakes it, for longer and longer.
local SPINS <const>, YIELDS <const> = 30, 200
local FIRST_NAP <const>, LONGEST_NAP <const> = 50e-6, 1e-3 -- seconds
local ETIMEDOUT <const> = 110

local function nothing() end

-- How words are read and written, and what a fence is.
local ORDERS = {
  atomic = {"loader", "storer", nothing},
  fence = {"getter_i64", "setter_i64", core.fence},
  plain = {"getter_i64", "setter_i64", nothing},
}

--- Whether there is such an order.
function M.is_order(order)
  return ORDERS[order] ~= nil
end

-- Waits, but for so long at most as the second function says.
local function waiting()
  local deadline = math.huge
  local monotonic, sleep, yield = process.monotonic, process.sleep, process.yield

  local function wait(condition)
    if deadline == 0 then
      return nil, "Connection timed out", ETIMEDOUT
    end
    for _ = 1, SPINS do
      if condition() then
        return true
      end
    end
    local yields, nap = 0, FIRST_NAP
    repeat
      local left = deadline - monotonic()
      if left <= 0 then
        return nil, "Connection timed out", ETIMEDOUT
      elseif yields < YIELDS then
        yields = yields + 1
        yield()
      else
        local ok, message, errno = sleep(math.min(nap, left))
        if not ok then
          return nil, message:gsub("^process%.sleep: ", ""), errno
        end
        nap = math.min(2 * nap, LONGEST_NAP)
      end
    until condition()
    return true
  end

  local function await(condition)
    if condition() then
      return true
    end
    return wait(condition)
  end

  local function limit(timeout)
    deadline = not timeout and math.huge or timeout == 0 and 0 or monotonic() + timeout
  end

  return await, limit
end

--- Words in a region, for one process.
-- @tparam shm.region region
-- @int offset of the first
-- @tparam {string,...} names one for each word
-- @string order "atomic", "fence" or "plain"
-- @treturn table the words, and `limit(timeout)`, which says how long await waits from now on
function M.bind(region, offset, names, order)
  local places = {}
  for i, name in ipairs(names) do
    places[name] = offset + (i - 1) * M.LINE
  end
  local read, write, fence = table.unpack(ORDERS[order])
  local await, limit = waiting()
  return {
    reader = function(name) return region[read](region, places[name]) end,
    writer = function(name) return region[write](region, places[name]) end,
    fence = fence, await = await, limit = limit,
  }
end

return M
