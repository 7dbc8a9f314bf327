-- A hash map and a mutex that have names in one segment, as Boost.Interprocess gives them to C++:
-- found or constructed in one step by whoever asks first. You will see that another process
-- finds them by name, and what becomes of both when one is killed with -9 in the middle of a
-- change to two keys: the mutex goes on, and a map's own transaction needs none.
local process = require "shm.process"
local shm = require "shm"

local NAME <const> = "MySharedMemory-" .. process.pid()
local segment <close> = assert(shm.arena(NAME, {size = 65536}))
local map, constructed = segment:map "MyHashMap"
print("MyHashMap:", constructed and "constructed" or "found")
for i = 0, 99 do
  assert(map:set(i, i + 0.0))
end

-- Changes two keys, one process at a time, and says whether the last one died at it.
local function swap(mine, one, other, instant)
  local values, mutex = mine:map "MyHashMap", mine:mutex "MyMutex"
  local _ <close>, word = assert(mutex:hold(10))
  local before = values:get(one)
  values:set(one, values:get(other))
  if instant then instant() end
  values:set(other, before)
  return word
end

local function ask(f)
  local child <close> = assert(process.fork(function()
    f(assert(shm.arena(NAME))) -- as an unrelated process would
  end))
  return child:wait(10)
end

local function die() process.kill(process.pid(), "KILL") end

ask(function(mine)
  local values, made = mine:map "MyHashMap"
  print("another process:", made and "constructed" or "found", #values, values:get(42))
  swap(mine, 1, 99)
end)
print("swapped:", map:get(1), map:get(99))
print("killed:", ask(function(mine) swap(mine, 2, 98, die) end))
print("half a swap:", map:get(2), map:get(98), "the mutex:", swap(segment, 3, 97))
print("killed:", ask(function()
  map:transaction(function(view) view:set(4, view:get(96)) die() view:set(96, 4.0) end)
end))
print("no half of it:", map:get(4), map:get(96), "whole:", segment:check())
assert(shm.unlink(NAME))
--> MyHashMap:	constructed
--> another process:	found	100	42.0
--> swapped:	99.0	1.0
--> killed:	signal	KILL
--> half a swap:	98.0	98.0	the mutex:	recovered
--> killed:	signal	KILL
--> no half of it:	4.0	96.0	whole:	true
