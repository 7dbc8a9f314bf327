-- What src/sync/condition.c does, as roles, for spec/lab/sync.lua: a slot for each who sleeps,
-- taken and waiting before the mutex is let go of. Who times out takes its own word back; where
-- that fails it was signalled. Who signals and dies before it wakes leaves that to the sleeper's
-- slice.
local lab = require "shm.lab"

local M = {}

local SLICE <const> = 0.02 -- seconds; in the model it may be over at any time
local IDLE <const>, WAITING <const>, SIGNALLED <const> = 0, 1, 2

-- sleep_on: how often it wakes by itself is `slices`; `impatient`: the first time is the last.
local function sleep_on(w, slot, slices, impatient, change)
  while w[slot] == WAITING do
    if slices == 0 then
      w.await(function() return w[slot] ~= WAITING end)
    else
      local in_time = w.futex(slot, WAITING, (slices or impatient) and SLICE)
      slices = slices and slices - 1
      if not in_time and impatient then
        if change == "takes_back_by_store" then
          w.swap(slot, IDLE)
          return false
        end
        return not w.cas(slot, WAITING, IDLE)
      end
    end
  end
  return true
end

local function consumer(given, change)
  return function(w)
    local slot, bit = "slot" .. w.role, 1 << w.role
    local function show()
      w.swap(slot, WAITING)
      w.add("sleeping", bit)
    end
    w.m:lock()
    while w.items == 0 do
      if change ~= "unlocks_first" then
        show()
      end
      w.m:unlock()
      if change == "unlocks_first" then
        show()
      end
      local slices = change ~= "no_slices" and given.slices or nil
      local in_time = sleep_on(w, slot, slices, given.impatient, change)
      w.swap(slot, IDLE)
      w.add("sleeping", -bit)
      w.m:lock()
      if not in_time then
        w.m:unlock()
        return
      end
      w.enter "was_signalled"
    end
    w.items = w.items - 1
    w.m:unlock()
  end
end

-- Puts an item for each, and tells all.
local function producer(consumers, change)
  return function(w)
    w.m:lock()
    w.items = consumers
    local sleeping = w.sleeping
    for role = 1, consumers do
      local slot = "slot" .. role
      if sleeping & 1 << role ~= 0 then
        if change == "wakes_only" then
          w.wake(slot, 1)
        elseif w.cas(slot, WAITING, SIGNALLED) then
          w.enter "signalled"
          w.wake(slot, 1)
        end
      end
    end
    w.m:unlock()
  end
end

local function condition(given)
  return function(change)
    local roles, words = {}, {"items", "sleeping"}
    local mortal = given.slices ~= nil
    for i = 1, given.consumers do
      roles[i] = {run = consumer(given, change), background = mortal, spared = mortal}
      words[#words + 1] = "slot" .. i
    end
    roles[#roles + 1] = producer(given.consumers, change)
    return lab.protocol {
      name = "condition", words = words, locks = {"m"}, roles = roles,
      finally = {
        each_signal_counts = function(s)
          return mortal or s.inside.was_signalled == s.inside.signalled
        end,
        none_slept_over = function(s) return not mortal or s.slot1 ~= SIGNALLED end,
      },
    }
  end
end

M["condition"] = {
  make = condition {consumers = 2}, options = {memory = "tso"},
  changes = {unlocks_first = {"lost wake-up"}, wakes_only = {"lost wake-up"}},
}

M["condition, with time-outs"] = {
  make = condition {consumers = 2, impatient = true}, options = {memory = "tso"},
  changes = {takes_back_by_store = {"finally", "each_signal_counts"}},
}

M["condition, mortal producer"] = {
  make = condition {consumers = 1, slices = 2}, options = {memory = "tso", crashes = 1},
  changes = {no_slices = {"finally", "none_slept_over"}},
}

return M
