-- Objects to take turns by, when who uses them is killed before each store of each operation.
local chaos = require "shm.chaos"
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local LONG = support.LONG
local QUICK = support.valgrind and LONG or support.asan and 0.5 or 0.1 -- seconds for a survivor
local PASSES = 3
local SLEEPING = 56 -- where each object has its sleepers' mask
local OTHER = 2048 -- a second object
local PAIR = 3072 -- two numbers that a lock guards
-- On the desk: how many are here; that the one is dead, and when that was seen; whether, and
-- how often, a peer has passed; when the last peer had its turn.
local HERE, GO, SEEN, PASSED, ONE, TWO, TURN = 0, 8, 16, 24, 32, 40, 48

local kills, slowest = 0, 0
local r, desk, peers, slow

-- The lowest number that a descriptor can have: what is left open makes it higher.
local function lowest()
  collectgarbage()
  collectgarbage()
  local one <close> = assert(posix.open("/dev/null", posix.O_RDONLY))
  return one:fileno()
end

-- Measures what a survivor does.
local function quickly(f, ...)
  local began = process.monotonic()
  local results = table.pack(assert(f(...)))
  local took = process.monotonic() - began
  slow = math.max(slow, took)
  return table.unpack(results, 1, results.n)
end

-- A peer that has waited since then has its turn.
local function had_turn()
  desk:set_f64(TURN, process.monotonic())
end

-- Who takes part beside the one that is killed.
local function peer(f)
  local child = assert(process.fork(f))
  peers[#peers + 1] = child
end

local function here()
  desk:add(HERE, 1)
end

local function wait_for_peers()
  support.eventually(function() return desk:load(HERE) == #peers end)
end

local function sleeps(at)
  return r:load32((at or 0) + SLEEPING) ~= 0
end

-- In a peer: until somebody sleeps there, or the one that should have is dead.
local function await_sleeper(at)
  support.eventually(function() return sleeps(at) or desk:load(GO) == 1 end)
end

-- A lock that a peer holds until somebody waits for it.
local function held_by_peer(lock, unlock)
  peer(function()
    assert(lock())
    here()
    await_sleeper()
    unlock()
  end)
  wait_for_peers()
end

-- The dead one: f does what it can, and -9 comes.
local function dead(f)
  local child = assert(process.fork(function()
    f()
    process.kill(process.pid(), "KILL")
  end))
  assert.same({"signal", "KILL"}, {child:wait(LONG)})
  child:close()
end

local function end_peers(how)
  for _, child in ipairs(peers) do
    if how then
      child:kill(how)
    end
    local word, code = child:wait(LONG)
    if not how then
      assert.equal("exit 0", ("%s %s"):format(word, code), "a peer")
    end
    child:close()
  end
  peers = {}
end

local function nobody_waits(...)
  for _, object in ipairs {...} do
    assert.equal(0, (object:waiters()))
  end
end

-- Kills an operation everywhere. Who comes late at the same store each time is too late.
local function everywhere(given)
  local late, how
  for pass = 1, PASSES do
    local late_now, worst = {}, 0
    local count
    count, how = chaos.kill_everywhere(given.operation, function(n, survived)
      slow = 0
      desk:set_f64(SEEN, process.monotonic())
      desk:store(GO, 1)
      given.verify(survived)
      end_peers()
      slow = math.max(slow, desk:get_f64(TURN) - desk:get_f64(SEEN))
      kills = kills + (survived and 0 or 1)
      if slow < QUICK then
        worst = math.max(worst, slow)
      elseif not late or late[n] then
        late_now[n] = slow
      end
    end, {
      prepare = function()
        end_peers "KILL" -- of a run that was not begun, as stores can not be found
        r:fill(0, #r)
        desk:fill(0, #desk)
        given.prepare()
      end,
      timeout = LONG,
      rounds = support.rounds(20),
    })
    assert.is_true(count > 0 or how == "random", "no store was found")
    slowest = math.max(slowest, worst)
    late = late_now
    if next(late) == nil then
      return
    end
    assert(pass < PASSES, ("a survivor had to wait for %g s at store %d"):format(late[next(late)],
                                                                                next(late)))
  end
end

local function write_pair()
  local n = r:get_i64(PAIR)
  r:set_i64(PAIR, n + 1)
  r:set_i64(PAIR + 8, n + 1)
end

local function is_pair()
  return r:get_i64(PAIR) == r:get_i64(PAIR + 8)
end

-- The lock is to be had, by who is told that the last holder died or finds what it guards whole.
local function survive(lock, unlock, whole)
  local _, word = quickly(lock)
  if not whole and word == "recovered" then
    r:set_i64(PAIR + 8, r:get_i64(PAIR))
  end
  assert(is_pair(), "what the lock guards is half done")
  write_pair()
  unlock()
end

describe("who is killed before any of its stores", function()
  local open, before

  -- The object of this run, in place of the last run's; after_each closes it.
  local function anew(kind, offset, ...)
    if open[offset] then
      open[offset]:close()
    end
    open[offset] = assert(shm[kind].create(r, offset, ...))
    return open[offset]
  end

  before_each(function()
    before = {support.children(), lowest()}
    r = assert(shm.anonymous(4096))
    desk = assert(shm.anonymous(64))
    peers, open = {}, {}
  end)

  after_each(function()
    for _, one in pairs(open) do
      one:close()
    end
    end_peers "KILL"
    open, peers = nil, nil
    r:close()
    desk:close()
    assert.same(before, {support.children(), lowest()})
  end)

  teardown(function()
    io.write(("\nkilled at %d stores; the slowest survivor waited for %.1f ms\n")
      :format(kills, slowest * 1000))
  end)

  -- What each kind is made with, and a use of it by one process alone.
  local KINDS = {
    mutex = {{journal = 64}, use = function(o) o:lock(1) o:unlock() end},
    rwlock = {{journal = 64}, use = function(o) o:lock_shared(1) o:unlock() end},
    semaphore = {3, use = function(o) assert(o:wait(1)) end},
    event = {{manual = true}, use = function(o) o:set() assert(o:wait(1)) end},
    condition = {use = function(o) assert(not o:signal()) end},
    barrier = {1, use = function(o) assert(o:wait(1)) end},
    counter = {7, use = function(o) assert(o:get() == 7 and o:wait(7, 1)) end},
  }

  for kind, given in pairs(KINDS) do
    local function arguments()
      return table.unpack(given, 1, #given)
    end

    it("leaves a place where a " .. kind .. " can be made, or is", function()
      for _, verb in ipairs {"create", "open"} do
        everywhere {
          prepare = function() end,
          operation = function()
            assert(shm[kind][verb](r, 0, arguments()))
          end,
          verify = function(survived)
            local object <close>, made = quickly(shm[kind].open, r, 0, arguments())
            assert(not (survived and made))
            given.use(object)
          end,
        }
      end
    end)

    it("leaves a " .. kind .. " that is removed, or is not", function()
      everywhere {
        prepare = function()
          shm[kind].create(r, 0, arguments()):close()
        end,
        operation = function()
          assert(shm[kind].attach(r, 0)):remove()
        end,
        verify = function(survived)
          local object <close>, made = quickly(shm[kind].open, r, 0, arguments())
          assert(made or not survived)
          given.use(object)
        end,
      }
    end)
  end

  describe("with a mutex", function()
    local m

    local function make(options)
      return function()
        m = anew("mutex", 0, options)
      end
    end

    local function lock()
      return m:lock(LONG)
    end

    local function unlock()
      m:unlock()
    end

    local function verify()
      survive(lock, unlock)
      end_peers()
      nobody_waits(m)
      assert.is_nil(m:holder())
    end

    local OPERATIONS = {
      ["lock and unlock"] = function()
        m:lock()
        write_pair()
        m:unlock()
      end,
      try = function()
        m:try()
        write_pair()
        m:unlock()
      end,
      with = function()
        m:with(write_pair)
      end,
      hold = function()
        local _ <close> = m:hold()
        write_pair()
      end,
    }

    for name, operation in pairs(OPERATIONS) do
      it("leaves it to the next: " .. name, function()
        everywhere {prepare = make(), operation = operation, verify = verify}
      end)
    end

    it("leaves it to the next: a recursive one", function()
      everywhere {
        prepare = make {recursive = true},
        operation = function()
          m:lock()
          m:lock()
          write_pair()
          m:unlock()
          m:unlock()
        end,
        verify = verify,
      }
    end)

    it("leaves it to the next: while it waits, and when it has waited", function()
      local prepare = make()
      everywhere {
        prepare = function()
          prepare()
          held_by_peer(lock, unlock)
        end,
        operation = OPERATIONS["lock and unlock"],
        verify = verify,
      }
    end)

    it("leaves it to one that sleeps", function()
      local prepare = make()
      everywhere {
        prepare = function()
          prepare()
          peer(function()
            support.eventually(function()
              return desk:load(PASSED) == 1 or desk:load(GO) == 1
            end)
            survive(lock, unlock)
            had_turn()
          end)
        end,
        operation = function()
          m:lock()
          desk:store(PASSED, 1)
          support.eventually(sleeps)
          write_pair()
          m:unlock()
        end,
        verify = verify,
      }
    end)

    it("leaves it to the next: when both of two wait that get it in turn", function()
      local prepare = make()
      everywhere {
        prepare = function()
          prepare()
          held_by_peer(lock, unlock)
          peer(function()
            here()
            survive(lock, unlock)
            had_turn()
          end)
          wait_for_peers()
        end,
        operation = OPERATIONS["lock and unlock"],
        verify = verify,
      }
    end)

    -- One that died within a transaction.
    local function make_dead()
      make {journal = 256}()
      dead(function()
        r:transaction(m, function()
          r:set_i64(PAIR, 77)
          r:set_i64(PAIR + 8, 78)
          r:set_i64(PAIR, 79)
          process.kill(process.pid(), "KILL")
        end)
      end)
    end

    it("leaves the recovery to the next: lock after a death", function()
      everywhere {
        prepare = make_dead,
        operation = function()
          assert(select(2, m:lock()) == "recovered")
          assert(r:get_i64(PAIR) == 0)
          m:unlock()
        end,
        verify = function()
          survive(lock, unlock, true)
          assert.equal(1, r:get_i64(PAIR))
          nobody_waits(m)
        end,
      }
    end)

    it("leaves the recovery to the next: another transaction, and wait_any", function()
      for _, operation in ipairs {
        function() r:transaction(m, write_pair) end,
        function()
          assert(select(2, shm.wait_any {m}) == "recovered")
          m:unlock()
        end,
      } do
        everywhere {
          prepare = make_dead,
          operation = operation,
          verify = function()
            survive(lock, unlock, true)
            nobody_waits(m)
          end,
        }
      end
    end)

    it("has done all of a transaction or nothing, whether it returns or throws", function()
      for _, throws in ipairs {false, true} do
        everywhere {
          prepare = make {journal = 256},
          operation = function()
            pcall(r.transaction, r, m, function()
              write_pair()
              write_pair()
              r:write(PAIR + 16, "word")
              assert(not throws)
            end)
          end,
          verify = function(survived)
            quickly(lock)
            local n = r:get_i64(PAIR)
            assert(n == r:get_i64(PAIR + 8) and (n == 0 or n == 2 and not throws))
            assert(throws or not survived or n == 2)
            assert.equal(n == 0 and "\0\0\0\0" or "word", r:read(PAIR + 16, 4))
            unlock()
          end,
        }
      end
    end)
  end)

  describe("with a readers-writer lock", function()
    local l

    local function make()
      l = anew("rwlock", 0, {journal = 256})
    end

    local function lock()
      return l:lock(LONG)
    end

    local function lock_shared()
      return l:lock_shared(LONG)
    end

    local function unlock()
      l:unlock()
    end

    local function write()
      l:lock()
      r:store(OTHER, 1)
      l:unlock()
    end

    local function read()
      l:lock_shared()
      l:unlock()
    end

    local function verify()
      quickly(lock_shared)
      assert(is_pair(), "what the lock guards is half done")
      unlock()
      survive(lock, unlock, true)
      end_peers()
      nobody_waits(l)
      assert.same({}, l:readers())
      assert.is_nil(l:holder())
    end

    local OPERATIONS = {
      ["lock and unlock"] = write,
      ["lock_shared and unlock"] = read,
      ["lock_shared twice"] = function()
        l:lock_shared()
        read()
        l:unlock()
      end,
      ["with, try and hold"] = function()
        l:with(function() end)
        l:try()
        l:unlock()
        local _ <close> = l:hold()
      end,
      ["with_shared, try_shared and hold_shared"] = function()
        l:with_shared(function() end)
        l:try_shared()
        l:unlock()
        local _ <close> = l:hold_shared()
      end,
      transaction = function()
        r:transaction(l, write_pair)
      end,
      ["transaction that throws"] = function()
        pcall(r.transaction, r, l, function()
          write_pair()
          error "no"
        end)
      end,
    }

    for name, operation in pairs(OPERATIONS) do
      it("leaves it to the next: " .. name, function()
        everywhere {prepare = make, operation = operation, verify = verify}
      end)
    end

    local WAITS = {
      ["a writer that waits for a reader"] = {lock_shared, write},
      ["a writer that waits for a writer"] = {lock, write},
      ["a reader that waits for a writer"] = {lock, read},
    }

    for name, waits in pairs(WAITS) do
      it("leaves it to the next: " .. name, function()
        everywhere {
          prepare = function()
            make()
            held_by_peer(waits[1], unlock)
          end,
          operation = waits[2],
          verify = verify,
        }
      end)

      it("leaves it to another one that sleeps, beside " .. name, function()
        for _, take in ipairs {lock, lock_shared} do
          everywhere {
            prepare = function()
              make()
              held_by_peer(waits[1], unlock)
              peer(function()
                here()
                assert(take())
                assert(is_pair())
                unlock()
                had_turn()
              end)
              wait_for_peers()
            end,
            operation = waits[2],
            verify = verify,
          }
        end
      end)
    end

    it("leaves it to those who sleep, when it unlocks", function()
      for _, takes in ipairs {{lock, lock}, {lock, lock_shared}, {lock_shared, lock}} do
        everywhere {
          prepare = function()
            make()
            peer(function()
              support.eventually(function()
                return desk:load(PASSED) == 1 or desk:load(GO) == 1
              end)
              assert(takes[2]())
              assert(is_pair())
              unlock()
              had_turn()
            end)
          end,
          operation = function()
            takes[1]()
            desk:store(PASSED, 1)
            support.eventually(sleeps)
            l:unlock()
          end,
          verify = verify,
        }
      end
    end)

    it("leaves the recovery to the next, whoever had died", function()
      local DEATHS = {
        function()
          r:transaction(l, function()
            r:set_i64(PAIR, 77)
            r:set_i64(PAIR + 8, 78)
            process.kill(process.pid(), "KILL")
          end)
        end,
        function()
          lock_shared()
          lock_shared()
        end,
      }
      for _, death in ipairs(DEATHS) do
        for _, operation in ipairs {write, read} do
          everywhere {
            prepare = function()
              make()
              dead(death)
            end,
            operation = operation,
            verify = verify,
          }
        end
      end
    end)
  end)

  describe("with a semaphore", function()
    local s

    local function make(value)
      return function()
        s = anew("semaphore", 0, value)
      end
    end

    it("leaves one of the two counts that are possible", function()
      local OPERATIONS = {
        {2, 1, function() s:wait() end},
        {2, 1, function() s:try() end},
        {2, 3, function() s:post() end},
        {2, 5, function() s:post(3) end},
        {2, 1, function() assert(shm.wait_any({s}) == 1) end},
      }
      for _, given in ipairs(OPERATIONS) do
        everywhere {
          prepare = make(given[1]),
          operation = given[3],
          verify = function(survived)
            local value = s:value()
            assert(value == given[2] or not survived and value == given[1], value)
            for _ = 1, value do
              quickly(s.wait, s, LONG)
            end
            assert(not s:try())
            nobody_waits(s)
          end,
        }
      end
    end)

    it("leaves it usable, when it sleeps and is woken", function()
      local prepare = make(0)
      for _, operation in ipairs {
        function() s:wait() end,
        function() assert(shm.wait_any {s} == 1) end,
      } do
        everywhere {
          prepare = function()
            prepare()
            peer(function()
              here()
              await_sleeper()
              s:post()
            end)
            wait_for_peers()
          end,
          operation = operation,
          verify = function(survived)
            end_peers()
            local value = s:value()
            assert(value == 0 or value == 1 and not survived)
            s:post()
            for _ = 0, value do
              quickly(s.wait, s, LONG)
            end
            assert(not s:try())
            nobody_waits(s)
          end,
        }
      end
    end)

    it("takes nobody's turn along, when another one sleeps beside it", function()
      local prepare = make(0)
      everywhere {
        prepare = function()
          prepare()
          peer(function()
            assert(s:wait(LONG))
            desk:store(PASSED, 1)
          end)
          support.eventually(sleeps)
          peer(function()
            support.eventually(function()
              return s:waiters() == 2 or desk:load(GO) == 1
            end)
            s:post()
            support.eventually(function()
              return s:waiters() < 2 or desk:load(GO) == 1
            end)
            s:post() -- the other one's, or for what was taken and is gone
          end)
        end,
        operation = function() assert(s:wait(LONG)) end,
        verify = function()
          end_peers()
          assert.equal(1, desk:load(PASSED))
          local value = s:value()
          assert(value == 0 or value == 1)
          nobody_waits(s)
        end,
      }
    end)

    it("leaves those who sleep their turns, when it posts", function()
      local prepare = make(0)
      everywhere {
        prepare = function()
          prepare()
          for _ = 1, 2 do
            peer(function()
              assert(s:wait(LONG))
              had_turn()
            end)
          end
          support.eventually(function() return s:waiters() == 2 end)
        end,
        operation = function() s:post(2) end,
        verify = function(survived)
          if not survived and s:value() == 0 and s:waiters() == 2 then
            s:post(2)
          end
          end_peers()
          assert(s:value() % 2 == 0)
          nobody_waits(s)
        end,
      }
    end)
  end)

  describe("with an event", function()
    local e

    local function make(manual, set)
      return function()
        e = anew("event", 0, {manual = manual})
        if set then
          e:set()
        end
      end
    end

    local function verify()
      e:set()
      quickly(e.wait, e, LONG)
      e:reset()
      assert(not e:try())
      nobody_waits(e)
    end

    it("leaves it usable, set or not", function()
      for _, manual in ipairs {false, true} do
        for _, given in ipairs {
          {false, function() e:set() end},
          {true, function() e:reset() end},
          {true, function() assert(shm.wait_any {e} == 1) end, manual},
          {true, function() assert(e:wait(LONG)) end, manual},
        } do
          if not given[3] then -- a manual one is not taken: there would be no store
            everywhere {
              prepare = make(manual, given[1]),
              operation = given[2],
              verify = verify,
            }
          end
        end
      end
    end)

    it("leaves it usable, when it sleeps and is woken", function()
      for _, manual in ipairs {false, true} do
        local prepare = make(manual)
        everywhere {
          prepare = function()
            prepare()
            peer(function()
              here()
              await_sleeper()
              e:set()
            end)
            wait_for_peers()
          end,
          operation = function() assert(e:wait(LONG)) end,
          verify = function()
            end_peers()
            verify()
          end,
        }
      end
    end)

    it("leaves those who sleep their turns, when it sets", function()
      for _, manual in ipairs {false, true} do
        local prepare = make(manual)
        everywhere {
          prepare = function()
            prepare()
            peer(function() assert(e:wait(LONG)) end)
            support.eventually(sleeps)
          end,
          operation = function() e:set() end,
          verify = function()
            if not e:is_set() and sleeps() then
              e:set()
            end
            end_peers()
            verify()
          end,
        }
      end
    end)
  end)

  it("leaves the slots of dead sleepers to be emptied by the next", function()
    local s
    everywhere {
      prepare = function()
        s = anew("semaphore", 0)
        local sleepers = {}
        for i = 1, 2 do
          sleepers[i] = assert(process.fork(function() s:wait(LONG) end))
        end
        support.eventually(function() return s:waiters() == 2 end)
        for _, child in ipairs(sleepers) do
          child:kill "KILL"
          child:wait()
          child:close()
        end
        peer(function() assert(s:wait(LONG)) end)
        support.eventually(function() return r:load32(SLEEPING) == 7 end)
      end,
      operation = function() s:waiters() end,
      verify = function()
        assert.equal(1, (s:waiters()))
        assert.equal(4, r:load32(SLEEPING))
        s:post()
        end_peers()
        nobody_waits(s)
        assert.is_false(sleeps())
        for i = 1, 31 do
          assert.equal(0, r:load(SLEEPING + 8 * i))
        end
      end,
    }
  end)

  describe("with a condition", function()
    local c, m

    local function make()
      c = anew("condition", 0)
      m = anew("mutex", OTHER)
    end

    local function sleeper()
      peer(function()
        assert(m:lock(LONG))
        desk:add(HERE, 1)
        while desk:load(GO) == 0 do
          assert(c:wait(m, LONG))
          desk:add(PASSED, 1)
        end
        m:unlock()
      end)
    end

    -- Somebody who waits is signalled, and the mutex is free.
    local function verify()
      quickly(m.lock, m, LONG)
      m:unlock()
      desk:store(GO, 1)
      support.eventually(function()
        assert(m:lock(LONG))
        c:broadcast()
        m:unlock()
        for _, child in ipairs(peers) do
          if child:alive() then
            return false
          end
        end
        return true
      end)
      end_peers()
      desk:store(GO, 0)
      sleeper()
      support.eventually(function() return c:waiters() == 1 end)
      desk:store(GO, 1)
      assert(m:lock(LONG))
      assert.is_true(c:signal())
      m:unlock()
      local began = process.monotonic()
      end_peers()
      slow = math.max(slow, process.monotonic() - began)
      nobody_waits(c, m)
    end

    it("leaves it usable, when it waits and is signalled", function()
      everywhere {
        prepare = function()
          make()
          peer(function()
            here()
            await_sleeper()
            assert(m:lock(LONG))
            c:signal()
            m:unlock()
          end)
          wait_for_peers()
        end,
        operation = function()
          m:lock()
          assert(c:wait(m, LONG))
          m:unlock()
        end,
        verify = verify,
      }
    end)

    it("leaves it usable, when its time is up", function()
      everywhere {
        prepare = make,
        operation = function()
          m:lock()
          assert(not c:wait(m, 0.001))
          m:unlock()
        end,
        verify = verify,
      }
    end)

    it("leaves those who wait to be signalled again, if they were not", function()
      for _, operation in ipairs {
        function()
          m:lock()
          assert(c:signal())
          m:unlock()
        end,
        function()
          m:lock()
          assert(c:broadcast() == 2)
          m:unlock()
        end,
        function() assert(c:signal()) end,
      } do
        everywhere {
          prepare = function()
            make()
            sleeper()
            sleeper()
            support.eventually(function() return c:waiters() == 2 end)
          end,
          operation = operation,
          verify = verify,
        }
      end
    end)

    it("passes over who was killed while it waited", function()
      everywhere {
        prepare = function()
          make()
          for _ = 1, 2 do
            local child = assert(process.fork(function()
              m:lock()
              c:wait(m, LONG)
            end))
            support.eventually(sleeps)
            child:kill "KILL"
            child:wait()
            child:close()
          end
          sleeper()
          support.eventually(function()
            return desk:load(HERE) == 1 and m:try() and (m:unlock() or true)
          end)
        end,
        operation = function() assert(c:signal()) end,
        verify = verify,
      }
    end)
  end)

  describe("with a barrier", function()
    local b

    local function make(parties)
      return function()
        b = anew("barrier", 0, parties)
      end
    end

    -- Who passes so many times, and counts that in a word of the desk.
    local function party(times, word)
      peer(function()
        for _ = 1, times do
          assert(b:wait(LONG))
          desk:add(word, 1)
        end
      end)
    end

    local function all_pass(parties)
      for _ = 1, parties - 1 do
        party(1, ONE)
      end
      quickly(b.wait, b, LONG)
      end_peers()
      assert.equal(0, b:arrived())
      nobody_waits(b)
    end

    it("leaves it to fresh parties, when it is the first", function()
      local prepare = make(2)
      everywhere {
        prepare = function()
          prepare()
          peer(function()
            here()
            await_sleeper()
            assert(b:wait(LONG))
            desk:store(PASSED, 1)
          end)
          wait_for_peers()
        end,
        operation = function() assert(b:wait(LONG)) end,
        verify = function()
          support.eventually(function()
            return desk:load(PASSED) == 1 or b:waiters() == 1 and b:arrived() == 1
          end)
          if desk:load(PASSED) == 0 then
            quickly(b.wait, b, LONG)
          end
          end_peers()
          all_pass(2)
        end,
      }
    end)

    it("leaves it to fresh parties, when its time is up", function()
      everywhere {
        prepare = make(3),
        operation = function() assert(not b:wait(0.001)) end,
        verify = function() all_pass(3) end,
      }
    end)

    it("lets all of those who sleep go or none, when it is the last", function()
      local prepare = make(3)
      everywhere {
        prepare = function()
          prepare()
          party(2, ONE)
          party(2, TWO)
          support.eventually(function() return b:waiters() == 2 end)
        end,
        operation = function() assert(select(2, b:wait(LONG)) == "last") end,
        verify = function(survived)
          -- Each of the two waits in the same round, or will.
          support.eventually(function()
            return b:arrived() == 2 and desk:load(ONE) == desk:load(TWO) and b:waiters() == 2
          end)
          assert(not survived or desk:load(ONE) == 1)
          for _ = desk:load(ONE), 1 do
            quickly(b.wait, b, LONG)
          end
          end_peers()
          all_pass(3)
        end,
      }
    end)
  end)

  describe("with a counter", function()
    local n

    local function make()
      n = anew("counter", 0, 5)
    end

    local function verify(survived)
      end_peers()
      assert(n:get() == 7 or not survived and n:get() == 5)
      n:set(9)
      quickly(n.wait, n, 9, LONG)
      nobody_waits(n)
    end

    it("leaves one of the two values that are possible", function()
      for _, operation in ipairs {function() n:add(2) end, function() n:set(7) end} do
        everywhere {prepare = make, operation = operation, verify = verify}
      end
    end)

    it("wakes those who sleep, when it adds or sets", function()
      for _, operation in ipairs {function() n:add(2) end, function() n:set(7) end} do
        everywhere {
          prepare = function()
            make()
            peer(function() assert(n:wait(7, LONG)) end)
            support.eventually(sleeps)
          end,
          operation = operation,
          verify = function(survived)
            if n:get() == 5 then
              peer(function() n:add(2) end)
            end
            verify(survived)
          end,
        }
      end
    end)

    it("leaves it usable, when it sleeps and is woken", function()
      everywhere {
        prepare = function()
          make()
          peer(function()
            here()
            await_sleeper()
            n:add(2)
          end)
          wait_for_peers()
        end,
        operation = function() assert(n:wait(7, LONG)) end,
        verify = verify,
      }
    end)
  end)

  describe("with several objects", function()
    local m, s, e

    it("takes one of them or none", function()
      everywhere {
        prepare = function()
          m = anew("mutex", 0)
          s = anew("semaphore", 512, 0)
          e = anew("event", 1024)
          peer(function()
            assert(m:lock(LONG))
            here()
            await_sleeper(1024)
            s:post()
            support.eventually(function() return desk:load(GO) == 1 end)
            e:set()
            m:unlock()
          end)
          wait_for_peers()
        end,
        operation = function()
          assert(shm.wait_any({m, e, s}, LONG) == 3)
        end,
        verify = function(survived)
          quickly(m.lock, m, LONG)
          m:unlock()
          end_peers()
          assert(s:value() == 0 or s:value() == 1 and not survived)
          assert(e:wait(LONG))
          nobody_waits(m, s, e)
        end,
      }
    end)
  end)
end)
