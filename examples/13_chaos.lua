-- Money goes from one account to another, in a process that is killed with -9 before each of its
-- stores to shared memory. You will see that there is an instant at which the money is gone, and
-- how a note that is written first, and read by whoever comes next, mends that.
local chaos = require "shm.chaos"
local shm = require "shm"

local FROM, TO, NOTE <const> = 0, 8, 16
local bank <close> = assert(shm.anonymous(24))

local function prepare()
  bank:store(FROM, 100)
  bank:store(TO, 0)
  bank:store(NOTE, 0)
end

local function careless()
  bank:store(FROM, bank:load(FROM) - 30)
  bank:store(TO, bank:load(TO) + 30)
end

-- The note says what there was, and that it counts; 0 says that nothing is under way.
local function careful()
  bank:store(NOTE, bank:load(FROM) << 32 | bank:load(TO) << 1 | 1)
  careless()
  bank:store(NOTE, 0)
end

local function repair()
  local note = bank:load(NOTE)
  if note ~= 0 then
    bank:store(FROM, note >> 32)
    bank:store(TO, (note & 0xffffffff) >> 1)
    bank:store(NOTE, 0)
  end
end

local function nothing_lost(n)
  local from, to = bank:load(FROM), bank:load(TO)
  assert(from + to == 100, ("%d + %d"):format(from, to))
  print(("  run %d: %d + %d"):format(n, from, to))
end

print "careless:"
local ok, message = pcall(chaos.kill_everywhere, careless, nothing_lost, {prepare = prepare})
print(ok, (message:gsub("[^ ]*13_chaos.lua:%d+: ", "")))

print "careful:"
print(chaos.kill_everywhere(careful, function(n) repair() nothing_lost(n) end,
                            {prepare = prepare}))
--> careless:
-->   run 1: 100 + 0
--> false	chaos.kill_everywhere: verify failed after the kill before store 2: 70 + 0
--> careful:
-->   run 1: 100 + 0
-->   run 2: 100 + 0
-->   run 3: 100 + 0
-->   run 4: 100 + 0
-->   run 5: 70 + 30
--> 4	stores
