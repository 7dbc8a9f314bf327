-- What the models of furniture share: processes that are killed with -9 again and again while they
-- do what can be told afterwards, and journals of what they began and what was acknowledged.
--
-- A journal lies in memory of its own, which only its worker writes: entries of a word and three
-- integers, and how many there are, which counts each once it is written. Who is killed leaves it
-- as it is; this process reads it then, and it begins anew.
local chaos = require "shm.core".chaos
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local M = {}

local LONG <const> = support.LONG
local SELDOM <const> = 100 -- operations, of which one is killed before a store that is chosen
local STORES <const> = 7   -- of which that is one: a power of two at most
local ENTRY <const>, FIRST <const> = 32, 64
local journal = {}
journal.__index = journal

--- A journal of so many entries at most.
function M.journal(most)
  return setmetatable({region = assert(shm.anonymous(FIRST + most * ENTRY)), most = most}, journal)
end

--- Of its worker: one entry more. Words have 8 letters at most.
function journal:note(word, a, b, c)
  local n = self.region:load(0)
  if n == self.most then
    process.sleep(LONG) -- it is killed long before
  end
  self.region:pack(FIRST + n * ENTRY, "c8i8i8i8", word, a or 0, b or 0, c or 0)
  self.region:store(0, n + 1)
end

--- All entries {word, a, b, c}, when nobody writes them any more.
function journal:take()
  local list = {}
  for i = 1, self.region:load(0) do
    local word, a, b, c = self.region:unpack(FIRST + (i - 1) * ENTRY, "c8i8i8i8")
    list[i] = {word:match "^%Z*", a, b, c}
  end
  self.region:store(0, 0)
  return list
end

function journal:close()
  self.region:close()
end

-- Where stores can not be found, only this process kills, at random.
local function risk(tally, step)
  local armed = chaos.arm(tally, math.random(1 << math.random(0, STORES)))
  step()
  if armed then
    assert(chaos.disarm())
  end
end

local function start(self, i)
  self.lives = self.lives + 1
  local seed = math.random(math.maxinteger) ~ self.lives
  self.children[i] = assert(process.fork(function()
    math.randomseed(seed)
    local step, tally = self.work(i), assert(shm.anonymous(8))
    while true do
      if math.random(SELDOM) == 1 then
        risk(tally, step)
      else
        step()
      end
      self.count:add(i * 8, 1)
    end
  end))
end

local function reap(self, i, how, code)
  self.children[i]:close()
  self.children[i] = nil
  if how ~= "signal" or code ~= "KILL" then
    error(("worker %d ended by itself: %s %s"):format(i, how, code), 0)
  end
  self.kills = self.kills + 1
  self.settle(i)
end

local function kill(self, i)
  local child = self.children[i]
  child:kill "KILL"
  local how, code = child:wait(LONG)
  assert(how, "it can not be killed")
  reap(self, i, how, code)
end

local function done(self)
  local sum = 0
  for i = 1, self.workers do
    sum = sum + self.count:load(i * 8)
  end
  return sum
end

-- Until so many operations more were done.
local function await(self, more)
  local goal = done(self) + more
  support.eventually(function()
    if self.watch then
      self.watch()
    end
    for i, child in pairs(self.children) do
      local how, code = child:wait(0)
      if how then
        reap(self, i, how, code)
        start(self, i)
      end
    end
    return done(self) >= goal
  end, LONG)
end

--- Lets workers go on until they have done so many operations in all. They are killed: one, at any
-- time or before a store, after which its like takes its place while the others go on; and all,
-- after which nobody is there.
--
-- `self.workers` is how many, and `self.work(i)` gives the function that does one operation of the
-- i-th, in its process. `self.settle(i)` is called when that one is dead, `self.check()` when all
-- are, and `self.watch()` now and then while they go on.
-- @treturn int how many operations
-- @treturn int how many kills
function M.run(self, n)
  self.children, self.kills, self.lives = {}, 0, 0
  self.count = assert(shm.anonymous(8 * (self.workers + 1)))
  local tidy <close> = setmetatable({}, {__close = function()
    for _, child in pairs(self.children) do
      child:kill "KILL"
      child:wait()
      child:close()
    end
    self.count:close()
  end})
  repeat
    for i = 1, self.workers do
      start(self, i)
    end
    for _ = 1, math.random(0, 8) do
      local i = math.random(self.workers)
      await(self, math.random(100))
      kill(self, i)
      start(self, i)
    end
    await(self, math.random(400))
    for i = 1, self.workers do
      kill(self, i)
    end
    self.check()
  until done(self) >= n
  assert(tidy)
  return done(self), self.kills
end

return M
