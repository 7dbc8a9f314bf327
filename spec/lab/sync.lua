-- How this module sleeps and wakes, written as roles: what src/sync/waiters.c, event.c,
-- eventcount.c, mutex.c and condition.c (sync_condition.lua) do, and how src/ds/queue.c tells who
-- sleeps at it, on words of a protocol. Each is right, and a list of changes away from being
-- wrong: what its comments insist on, done otherwise.
--
-- A sequentially consistent store is `swap` here, as it is xchg on x86; one that need not be is
-- a plain one. What a processor can not tell apart is left out: spinning, which only looks; the
-- cpu of the waker; slots without names.
--
-- Each entry:
--
--   make(change)   the protocol, as it is where change is absent
--   options        of lab.check
--   changes        by name: the verdict that the change gets (kind, and name or nil)
--   long           as it is it has so many schedules that `make soak` goes through them
local lab = require "shm.lab"

local M = {}

local SLICE <const> = 0.02 -- seconds; in the model it may be over at any time

-- sync_wait_for, after its spinning: shows itself, then looks, and sleeps on what it has seen.
-- Slices that are over make it look again. Their number has an end here; after that it looks all
-- the time, which is the same but for how often.
local function wait_for(w, it, change)
  local slices = it.slices
  local function show() w.add("sleeping", it.bit) end
  if change ~= "shows_late" then
    show()
  end
  while true do
    local seen = w[it.word]
    if it.attempt(seen) then
      break
    end
    if change == "shows_late" then
      show()
    elseif change == "reads_late" then
      seen = w[it.word]
    end
    if slices == 0 then
      it.look()
    elseif not it.may_sleep or it.may_sleep(seen) then
      slices = slices and slices - 1
      w.futex(it.word, seen, slices and SLICE)
    end
    if change == "shows_late" then
      w.add("sleeping", -it.bit)
    end
  end
  if change ~= "shows_late" then
    w.add("sleeping", -it.bit)
  end
end

-- A change that has to be seen before the sleepers are looked for, and then sync_wake.
local function change_and_wake(w, it, change)
  local sleeping = change == "looks_first" and w.sleeping
  if change == "plain_store" then
    w[it.store] = it.value
  else
    w.swap(it.store, it.value)
  end
  if (sleeping or w.sleeping) ~= 0 then
    it.rouse()
  end
end

--- event.c with automatic reset: a set lets one through, and no set is slept over. `mortal`:
-- "setters", or "first", who waits first, may die; who outlives them has so many slices.
local function automatic(waiters, sets, mortal, slices)
  local function waiter(change)
    return function(w)
      wait_for(w, {word = "set", bit = 1 << w.role,
        slices = (mortal ~= "first" or w.role > 1) and slices or nil,
        attempt = function()
          if w.set == 0 then
            return false
          elseif change == "takes_by_store" then
            w.set = 0
            return true
          end
          return w.cas("set", 1, 0)
        end,
        may_sleep = function(seen) return seen == 0 end,
        look = function() w.await(function() return w.set ~= 0 end) end,
      }, change)
      w.enter "through"
    end
  end
  local function setter(change)
    return function(w)
      w.enter "set"
      change_and_wake(w, {store = "set", value = 1,
                          rouse = function() w.wake("set", 1) end}, change)
    end
  end
  return function(change)
    local roles = {}
    for i = 1, waiters do
      roles[i] = {background = true, spared = mortal ~= "first" or i > 1, run = waiter(change)}
    end
    for _ = 1, sets do
      roles[#roles + 1] = {spared = mortal ~= "setters", run = setter(change)}
    end
    return lab.protocol {
      name = "event", words = {"set", "sleeping"}, roles = roles,
      never = not mortal and {more_through_than_set = function(s)
        return s.inside.through > s.inside.set
      end} or nil,
      finally = {none_slept_over = function(s)
        local dead = mortal == "first" and s.deaths or 0
        return s.set == 0 or s.inside.through + dead >= waiters
      end},
    }
  end
end

M["event, automatic"] = {
  make = automatic(1, 1), options = {memory = "tso"},
  changes = {
    looks_first = {"finally", "none_slept_over"}, plain_store = {"finally", "none_slept_over"},
  },
}

M["event, automatic, two that wait"] = {
  make = automatic(2, 1), options = {memory = "tso"},
  changes = {takes_by_store = {"never", "more_through_than_set"}},
}

for mortal, waiters in pairs {setters = 1, first = 2} do
  M["event, automatic, mortal " .. mortal] = {
    make = function(change)
      return automatic(waiters, 1, mortal, change ~= "no_slices" and 1 or nil)()
    end,
    options = {memory = "tso", crashes = 1}, long = mortal == "first",
    changes = {no_slices = {"finally", "none_slept_over"}},
  }
end

--- event.c with manual reset: all that wait go through.
M["event, manual"] = {
  make = function(change)
    local function waiter(w)
      wait_for(w, {word = "set", bit = 1 << w.role, attempt = function() return w.set == 1 end,
                   may_sleep = function(seen) return seen == 0 end}, change)
    end
    return lab.protocol {
      name = "event", words = {"set", "sleeping"},
      roles = {
        waiter, waiter,
        function(w)
          change_and_wake(w, {store = "set", value = 1, rouse = function()
            w.wake("set", change == "wakes_one" and 1 or nil)
          end}, change)
        end,
      },
    }
  end,
  options = {memory = "tso"},
  changes = {wakes_one = {"lost wake-up"}, looks_first = {"lost wake-up"},
             plain_store = {"lost wake-up"}},
}

--- eventcount.c: what is waited for is in another word, and the one that is slept on is touched
-- only where somebody sleeps.
local function eventcount(slices)
  return function(change)
    return lab.protocol {
      name = "eventcount", words = {"items", "turn", "sleeping"},
      roles = {
        {background = slices ~= nil, spared = true, run = function(w)
          wait_for(w, {word = "turn", bit = 1,
            slices = change ~= "no_slices" and slices or nil,
            attempt = function() return w.items ~= 0 end,
            look = function() w.await(function() return w.items ~= 0 end) end,
          }, change)
          w.enter "through"
        end},
        function(w)
          change_and_wake(w, {store = "items", value = 1, rouse = function()
            if change ~= "wakes_only" then
              w.add("turn", 1)
            end
            w.wake "turn"
          end}, change)
        end,
      },
      finally = {none_slept_over = function(s) return s.items == 0 or s.inside.through == 1 end},
    }
  end
end

M["eventcount"] = {
  make = eventcount(), options = {memory = "tso"},
  changes = {
    shows_late = {"lost wake-up"}, reads_late = {"lost wake-up"}, looks_first = {"lost wake-up"},
    plain_store = {"lost wake-up"}, wakes_only = {"lost wake-up"},
  },
}

-- Where all are woken: who tells takes the mask first, so that nobody calls the kernel for one that
-- was woken and only has not run yet; who sleeps again is shown again. This one wants what both
-- tellers do.
M["eventcount, all woken"] = {
  make = function(change)
    local function teller(w)
      w.add("items", 1)
      if w.sleeping ~= 0 then
        if change ~= "changes_first" then
          w.swap("sleeping", 0)
        end
        w.add("turn", 1)
        if change == "changes_first" then
          w.swap("sleeping", 0)
        end
        w.wake "turn"
      end
    end
    return lab.protocol {
      name = "eventcount", words = {"items", "turn", "sleeping"},
      roles = {
        function(w)
          w.swap("sleeping", 1)
          while true do
            if change ~= "never_again" and w.sleeping == 0 then
              w.swap("sleeping", 1)
            end
            local seen = w.turn
            if w.items == 2 then
              break
            end
            if change == "never_again" or change == "trusts_the_mask" or w.sleeping ~= 0 then
              w.futex("turn", seen)
            end
          end
          w.swap("sleeping", 0)
        end,
        teller, teller,
      },
    }
  end,
  options = {memory = "tso"},
  changes = {changes_first = {"lost wake-up"}, never_again = {"lost wake-up"},
             trusts_the_mask = {"lost wake-up"}},
}

M["eventcount, mortal worker"] = {
  make = eventcount(2), options = {memory = "tso", crashes = 1},
  changes = {no_slices = {"finally", "none_slept_over"}},
}

--- How src/ds/queue.c tells: a record is written, the end published beyond it, the guard left,
-- and then the sleepers are looked for.
M["queue"] = {
  make = function(change)
    return lab.protocol {
      name = "queue", words = {"record", "tail", guard = 1, "turn", "sleeping"},
      roles = {
        consumer = function(w)
          wait_for(w, {word = "turn", bit = 1, attempt = function() return w.tail ~= 0 end},
                   change)
          assert(w.record == 7, "an end before its record")
        end,
        producer = function(w) -- inside of its guard
          if change == "publishes_first" then
            w.tail = 1
            w.record = 7
          else
            w.record = 7
            w.tail = 1
          end
          change_and_wake(w, {store = "guard", value = 0, rouse = function()
            w.add("turn", 1)
            w.wake("turn", 1)
          end}, change)
        end,
      },
    }
  end,
  options = {memory = "tso"},
  changes = {
    publishes_first = {"error"}, plain_store = {"lost wake-up"}, looks_first = {"lost wake-up"},
    shows_late = {"lost wake-up"},
  },
}

--- mutex.c: the owner in one word; who waits looks after each slice whether that one lives. That
-- it does is a lock of the kernel's here, which each holds for as long as it lives.
local function mutex(n, slices)
  return function(change)
    local function role(w)
      local me, left = w.role, change ~= "no_slices" and slices or nil
      w["life" .. me]:lock()
      local function attempt()
        local held = w.owner
        if held == 0 then
          return w.cas("owner", 0, me)
        elseif not slices then
          return false
        end
        local dead = w["life" .. held]:lock(0)
        if not dead then
          return false
        end
        w["life" .. held]:unlock()
        if change == "inherits_by_store" then
          w.owner = me
          return true
        end
        return w.cas("owner", held, me)
      end
      if not w.cas("owner", 0, me) then
        wait_for(w, {word = "owner", bit = 1 << me, slices = left, attempt = attempt,
          may_sleep = function(seen) return seen ~= 0 end,
          look = function() -- until the owner is not there any more, one way or the other
            local held = w.owner
            if held ~= 0 then
              w["life" .. held]:lock()
              w["life" .. held]:unlock()
            end
          end,
        }, change)
      end
      w.enter "critical"
      w.leave "critical"
      change_and_wake(w, {store = "owner", value = 0,
                          rouse = function() w.wake("owner", 1) end}, change)
      w["life" .. me]:unlock()
    end
    local roles, lives = {}, {}
    for i = 1, n do
      roles[i], lives[i] = role, "life" .. i
    end
    return lab.protocol {
      name = "mutex", words = {"owner", "sleeping"}, locks = lives, roles = roles,
      never = {two_inside = function(s) return s.inside.critical > 1 end},
    }
  end
end

M["mutex"] = {
  make = mutex(2), options = {memory = "tso"},
  changes = {looks_first = {"lost wake-up"}, plain_store = {"lost wake-up"}},
}

M["mutex, with deaths"] = {
  make = mutex(2, 1), options = {memory = "tso", crashes = 1},
  changes = {no_slices = {"lost wake-up"}},
}

for name, entry in pairs(require "spec.lab.sync_condition") do
  M[name] = entry
end

return M
