-- What protocols at random are made of, see spec.lab.differential: a kit for each kind of object.
--
--   fields       what lab.protocol gets: {'locks = {"m"}'}; where kits are put together, a field
--                is that of the first one that has it
--   statements   {weight, text} each. A text may have: $tag, a name of its own, to observe by;
--                $me and $other, the indices of the role and of another; $body, one or two other
--                statements; and $NAME for one of places.NAME, at random. got(...) makes one
--                value of all results: 'w.observe("$tag", got(w.m:lock(0)))'
--   places       lists by name
--   never, always, finally    texts of rules, 'both = function(s) return s.x + s.y == 2 end'
--   crashes      false where roles of this kit are not to die
local M = {}

--- Shared words.
M.words = {
  fields = {'words = {"x", "y"}'},
  places = {word = {"x", "y"}, value = {"0", "1", "2"}},
  statements = {
    {4, "w.$word = $value"},
    {4, 'w.observe("$tag", w.$word)'},
    {1, "w.fence()"},
    {2, 'w.observe("$tag", got(w.cas("$word", $value, $value)))'},
    {2, 'w.observe("$tag", w.add("$word", 1))'},
    {1, 'w.observe("$tag", w.swap("$word", $value))'},
    {2, "w.await(function() return w.$word == $value end)"},
    {1, "w.await(function() return w.$word == $value or w.$word == $value end)"},
    {1, "while w.$word ~= $value do end"},
    {1, 'w.observe("$tag", w.choose(2))'},
    {1, 'w.$word = w.choose(2)'},
    {1, 'if w.$word == $value then $body end'},
    {1, 'w.enter "a" $body w.leave "a"'},
    {1, 'w.note "$tag"'},
    {1, 'w.leave "a"'},
    {1, 'w.await(function() return w.$word == $value or error("$tag", 0) end)'},
    {1, 'if w.$word == $value then error("$tag", 0) end'},
  },
  never = {"both = function(s) return s.x == 1 and s.y == 2 end",
           "crowded = function(s) return s.inside.a > 1 end"},
  always = {"small = function(s) return s.x < 2 end"},
  finally = {"zero = function(s) return s.x == 0 end"},
}

--- Sleeping on words, and waking.
M.waits = {
  fields = {'words = {"x", "y"}'},
  places = M.words.places,
  statements = {
    {4, "w.$word = $value"},
    {2, 'w.observe("$tag", w.$word)'},
    {4, 'w.observe("$tag", got(w.wait("$word", $value)))'},
    {2, 'w.observe("$tag", got(w.wait("$word", $value, 1)))'},
    {4, 'w.observe("$tag", w.wake("$word"))'},
    {2, 'w.observe("$tag", w.wake("$word", 1))'},
  },
  never = {"both = function(s) return s.x == 1 and s.y == 2 end"},
}

local WORD <const> = {3, 'w.observe("$tag", w.x)'}
local STORE <const> = {2, "w.x = $me"}

M.lock = {
  fields = {'locks = {"m", "n"}', 'words = {"x"}'},
  places = {lock = {"m", "m", "n"}},
  statements = {
    {4, "w.$lock:lock() $body w.$lock:unlock()"},
    {3, "w.m:lock() $body w.m:unlock()"},
    {2, 'w.observe("$tag", got(w.$lock:lock()))'},
    {1, "w.m:lock() w.n:lock() $body w.n:unlock() w.m:unlock()"},
    {1, "w.n:lock() w.m:lock() w.m:unlock() w.n:unlock()"},
    {2, 'w.observe("$tag", got(w.$lock:lock(1)))'},
    {2, 'w.observe("$tag", got(w.$lock:try()))'},
    {2, "w.$lock:unlock()"},
    {1, 'w.observe("$tag", got(pcall(w.$lock.unlock, w.$lock)))'},
    WORD, STORE,
  },
  never = {"both = function(s) return s.m.owner and s.n.owner end",
           "read = function(s) return s.m.owner == 1 and s.x == 2 end"},
  finally = {"told = function(s) return not s.m.dead end"},
}

M.rwlock = {
  fields = {'rwlocks = {"rw"}', 'words = {"x"}'},
  statements = {
    {3, "w.rw:lock() $body w.rw:unlock()"},
    {3, "w.rw:lock_shared() $body w.rw:unlock()"},
    {2, 'w.observe("$tag", got(w.rw:lock()))'},
    {2, 'w.observe("$tag", got(w.rw:lock_shared()))'},
    {2, 'w.observe("$tag", got(w.rw:lock(1)))'},
    {1, 'w.observe("$tag", got(w.rw:try()))'},
    {1, 'w.observe("$tag", got(w.rw:lock_shared(1)))'},
    {1, 'w.observe("$tag", got(w.rw:try_shared()))'},
    {3, "w.rw:unlock()"},
    WORD, STORE,
  },
  never = {"written = function(s) return s.rw.writer and s.x == 2 end",
           "together = function(s) return s.rw.readers > 1 end"},
}

M.semaphore = {
  fields = {'semaphores = {"s", t = 1, u = {value = 1, undo = true}}', 'words = {"x"}'},
  places = {sem = {"s", "t", "u", "u"}},
  statements = {
    {4, "w.$sem:wait()"},
    {3, "w.$sem:wait() $body w.$sem:post()"},
    {2, 'w.observe("$tag", got(w.$sem:wait(1)))'},
    {1, 'w.observe("$tag", got(w.$sem:try()))'},
    {4, "w.$sem:post()"},
    {1, "w.$sem:post(2)"},
    {1, 'w.observe("$tag", got(w.s:post(2147483647)))'},
    {1, 'w.observe("$tag", got(w.u:post(32767)))'},
    {2, 'w.observe("$tag", w.$sem:value())'},
    WORD, STORE,
  },
  always = {"few = function(s) return s.s.value < 2 end"},
  finally = {"back = function(s) return s.u.value == 1 end"},
}

M.set = {
  fields = {'sets = {"keyed"}', 'words = {"x"}'},
  places = {n = {"0", "0", "1"}, delta = {"-1", "-1", "0", "1", "2", "-2"}},
  statements = {
    {3, "w.keyed:create(2)"},
    {2, 'w.observe("$tag", got(w.keyed:create(2)))'},
    {2, 'if not w.keyed:create(2) then w.keyed:open() end'},
    {5, 'if not w.keyed:create(2) then w.keyed:open() end w.keyed:op($n, 1)'},
    {6, 'if not w.keyed:create(2) then w.keyed:open() end w.observe("$tag", ' ..
        'got(w.keyed:op($n, -1))) w.observe("$tag", got(w.keyed:getval($n)))'},
    {4, 'if not w.keyed:create(2) then w.keyed:open() end w.observe("$tag", ' ..
        'got(w.keyed:op($n, -1, {undo = true}))) w.x = $me'},
    {2, 'w.observe("$tag", got(w.keyed:open()))'},
    {2, "if w.keyed:open() then $body end"},
    {3, "w.keyed:setval($n, 1)"},
    {1, 'w.observe("$tag", got(w.keyed:setval(2, 40000)))'},
    {2, 'w.observe("$tag", got(w.keyed:getval($n)))'},
    {3, "w.keyed:op($n, $delta)"},
    {3, 'w.observe("$tag", got(w.keyed:op($n, $delta)))'},
    {2, 'w.observe("$tag", got(w.keyed:op($n, $delta, {undo = true})))'},
    {1, 'w.observe("$tag", got(w.keyed:op($n, $delta, nil, 1)))'},
    {1, 'w.observe("$tag", got(w.keyed:op($n, $delta, {undo = true}, 0)))'},
    {1, 'w.observe("$tag", got(w.keyed:otime()))'},
    {2, 'w.observe("$tag", got(w.keyed:remove()))'},
    WORD, STORE,
  },
  never = {"one = function(s) return s.keyed.exists and s.keyed.values[0] == 1 end"},
}

M.event = {
  fields = {'events = {"e", f = {manual = true}}', 'words = {"x"}'},
  places = {event = {"e", "e", "f"}},
  statements = {
    {4, "w.$event:wait()"},
    {2, 'w.observe("$tag", got(w.$event:wait(1)))'},
    {1, 'w.observe("$tag", got(w.$event:try()))'},
    {5, "w.$event:set()"},
    {2, "w.$event:reset()"},
    {2, 'w.observe("$tag", w.$event:is_set())'},
    WORD, STORE,
  },
  never = {"both = function(s) return s.e.set and s.f.set end"},
}

M.condition = {
  fields = {'locks = {"m"}', 'conditions = {"c"}', 'words = {"x"}'},
  statements = {
    {5, 'w.m:lock() w.observe("$tag", got(w.c:wait(w.m))) w.m:unlock()'},
    {3, 'w.m:lock() w.observe("$tag", got(w.c:wait(w.m, 1))) w.m:unlock()'},
    {2, 'w.m:lock() while w.x == 0 do w.c:wait(w.m) end w.m:unlock()'},
    {2, 'w.m:lock() w.x = $me w.c:signal() w.m:unlock()'},
    {4, 'w.observe("$tag", w.c:signal())'},
    {3, 'w.observe("$tag", w.c:broadcast())'},
    {1, "w.m:lock() $body w.m:unlock()"},
    {1, 'w.observe("$tag", got(pcall(w.c.wait, w.c, w.m)))'},
    WORD, STORE,
  },
  never = {"asleep = function(s) return s.c.waiting > 1 end"},
}

M.barrier = {
  fields = {'barriers = {b = 2}', 'words = {"x"}'},
  statements = {
    {5, 'w.observe("$tag", got(w.b:wait()))'},
    {3, 'w.observe("$tag", got(w.b:wait(1)))'},
    {2, 'w.observe("$tag", w.b:arrived())'},
    {1, 'w.observe("$tag", w.b:parties())'},
    WORD, STORE,
  },
  never = {"half = function(s) return s.b.arrived == 1 and s.x == 2 end"},
}

return M
