-- The real objects of each kind, as roles see them, against their models: what real processes
-- did, the model allows, and the outcomes are those that it has.
local accepts = require("shm.lab.accepts").accepts
local kinds = require "shm.lab.kinds"
local lab = require "shm.lab"
local process = require "shm.process"
local run = require("shm.lab.run").run
local support = require "spec.support"

local TIMEOUT = support.LONG
local STILL = 2 * math.min(support.patience, 3) -- after which nobody moves any more who ever would

-- Runs a protocol; all that is kept is a trace that the model allows, and each outcome one that
-- the model has: of that nothing can be said where roles are killed, or it is left `open`.
local function conforms(given, options)
  local protocol = lab.protocol(given)
  options = options or {}
  local open = options.open or options.kills
  options.open = nil
  options.rounds = options.rounds or support.rounds(50)
  options.keep, options.timeout = 30, options.timeout or TIMEOUT
  local result = run(protocol, options)
  for _, trace in ipairs(result.traces) do
    assert(accepts(protocol, trace))
  end
  assert.equal(options.rounds, result.rounds)
  if not open then
    local allowed = lab.check(protocol, {memory = "tso", all = true}).outcomes
    for outcome in pairs(result.outcomes) do
      assert.is_truthy(allowed[outcome], outcome)
    end
  end
  return result
end

local function kind(field, name, f)
  if kinds.fields[field] or kinds.names[field] then
    it(name, f)
  end
end

local before

describe("a real object in the laboratory", function()
  before_each(function()
    before = {support.belongings(), support.ipcs()}
  end)

  after_each(function()
    assert.same(before, {support.belongings(), support.ipcs()})
    assert.equal("", support.shell(("ls /dev/shm | grep shm-lab-%d- || true")
      :format(process.pid())))
  end)

  kind("locks", "is a lock", function()
    local result = conforms {words = {"n"}, locks = {"m"}, roles = {
      function(w)
        w.m:lock()
        w.n = w.n + 1
        w.m:unlock()
      end,
      function(w)
        local ok, _, errno = w.m:lock(0)
        w.observe("tried", ok or errno)
        if ok then
          w.observe("again", select(3, w.m:lock()))
          w.m:unlock()
        end
      end,
    }, never = {both = function(s) return s.m.owner == 3 end}}
    assert.is_true(result.ok)
  end)

  kind("locks", "is a lock that is left behind", function()
    local result = run(lab.protocol {locks = {"m"}, roles = {function(w) w.m:lock() end}},
                       {rounds = 3, timeout = TIMEOUT})
    assert.same({["left behind m"] = 3}, result.broken)
    assert.equal("left behind: lock 'm': held by role 1", result.verdict.message)
  end)

  kind("rwlocks", "is a readers-writer lock", function()
    local result = conforms({words = {"x"}, rwlocks = {"rw"}, roles = {
      function(w)
        w.rw:lock()
        w.x = 1
        w.x = 0
        w.rw:unlock()
      end,
      function(w)
        w.rw:lock_shared()
        w.observe("x", w.x)
        w.rw:unlock()
      end,
    }}, {delays = 10})
    assert.is_nil(result.outcomes["x=1"])
  end)

  kind("semaphores", "is a semaphore", function()
    conforms {semaphores = {"s", t = 1}, roles = {
      function(w)
        w.s:post(2)
        w.observe("t", w.t:wait(0) == true)
      end,
      function(w)
        w.s:wait()
        w.observe("value", w.s:value())
      end,
    }}
  end)

  kind("semaphores", "is a semaphore that undoes what the dead have taken", function()
    local function role(w)
      w.s:wait()
      w.enter "section"
      w.leave "section"
      w.s:post()
    end
    local result = conforms({semaphores = {s = {value = 1, undo = true}}, roles = {role, role},
      never = {two = function(s) return s.inside.section > 1 end},
      finally = {one = function(s) return s.s.value == 1 end}}, {kills = 1, delays = 30})
    assert.is_true(result.ok, tostring(result))
  end)

  kind("sets", "is a System V set that can be used before it is initialised", function()
    local function role(remove)
      return function(w)
        assert(w.keyed:create(1))
        w.keyed:setval(0, 1)
        w.keyed:op(0, -1)
        w.observe("otime", w.keyed:otime())
        w.await(function() return w.looked == 1 end)
        if remove then
          w.keyed:remove()
        end
      end
    end
    local function looker(w)
      local ok, _, errno = w.keyed:open()
      w.observe("found", ok and w.keyed:getval(0) or errno)
      w.looked = 1
    end
    assert.is_true(conforms({sets = {"keyed"}, words = {"looked"}, roles = {role(true), looker}},
                            {delays = 10}).ok)
    local left = conforms({sets = {"keyed"}, words = {"looked"}, roles = {role(false), looker}},
                          {rounds = 3, open = true})
    assert.same({["left behind keyed"] = 3}, left.broken)
  end)

  kind("events", "is an event", function()
    conforms {events = {"e", f = {manual = true}}, roles = {
      function(w)
        w.e:wait()
        w.observe("f", w.f:is_set())
      end,
      function(w)
        w.f:set()
        w.e:set()
        w.f:reset()
      end,
    }}
  end)

  kind("conditions", "is a condition, which loses a signal that nobody waits for", function()
    conforms {words = {"x"}, locks = {"m"}, conditions = {"c"}, roles = {
      function(w)
        w.m:lock()
        while w.x == 0 do
          w.c:wait(w.m)
        end
        w.m:unlock()
      end,
      function(w)
        w.m:lock()
        w.x = 1
        w.observe("woken", w.c:signal())
        w.m:unlock()
      end,
    }}
    local result = conforms({locks = {"m"}, conditions = {"c"}, words = {"x"}, roles = {
      function(w)
        w.await(function() return w.x == 1 end)
        w.m:lock()
        w.c:wait(w.m)
        w.m:unlock()
      end,
      function(w)
        w.c:signal()
        w.x = 1
      end,
    }}, {rounds = 1, timeout = STILL, open = true})
    assert.equal(1, result.stuck)
    assert.matches("^c:wait", result.trace.waiting[1])
  end)

  kind("barriers", "is a barrier", function()
    conforms {barriers = {b = 2}, words = {"x"}, roles = {
      function(w)
        w.x = 1
        w.observe("first", select(2, w.b:wait()) or "no")
      end,
      function(w)
        w.b:wait()
        w.observe("x", w.x)
      end,
    }}
  end)

  kind("queues", "is a queue of as many messages as it is told", function()
    local result = conforms {queues = {q = {capacity = 2}}, roles = {
      function(w)
        for i = 1, 4 do
          w.q:push {i}
        end
      end,
      function(w)
        local text = ""
        for _ = 1, 4 do
          text = text .. w.q:pop()[1]
        end
        w.observe("text", text)
      end,
    }}
    assert.same({["text=1234"] = result.rounds}, result.outcomes)
    for _, capacity in ipairs {1, 2, 3, 7, 16, 26} do
      local counted = conforms({queues = {q = {capacity = capacity}}, roles = {function(w)
        local n = 0
        for _ = 1, capacity + 3 do
          n = n + (w.q:push("x", 0) and 1 or 0)
        end
        assert(w.q:pop() == "x" and w.q:push("y", 0) and not w.q:push("z", 0))
        w.observe("n", n)
      end}}, {rounds = 2})
      assert.same({["n=" .. capacity] = 2}, counted.outcomes)
    end
  end)

  kind("topics", "is a topic of as many messages as it is told", function()
    conforms {topics = {t = {capacity = 2}}, roles = {
      function(w)
        for i = 1, 3 do
          w.t:publish(i)
        end
      end,
      function(w)
        local subscriber = w.t:subscribe {from = "oldest"}
        w.observe("first", subscriber:try() or "none")
        w.observe("lost", subscriber:lost())
        subscriber:close()
      end,
    }}
    for _, capacity in ipairs {2, 3, 7, 16, 26} do
      conforms({topics = {t = {capacity = capacity}}, roles = {function(w)
        for i = 1, capacity + 3 do
          w.t:publish(i, 0)
        end
        local subscriber = w.t:subscribe {from = "oldest"}
        w.observe("first", subscriber:next())
        w.observe("rest", #subscriber)
      end}}, {rounds = 2})
    end
  end)

  kind("kill", "is a signal: pause loses one that comes early, sigwait does not", function()
    local lost = conforms({words = {"x"}, roles = {
      a = function(w)
        w.await(function() return w.x == 1 end)
        w.pause()
      end,
      b = function(w)
        w.kill("a", "USR1")
        w.x = 1
      end,
    }}, {rounds = 2, timeout = STILL, open = true})
    assert.equal(2, lost.stuck)
    assert.same({"pause()"}, lost.trace.waiting)
    local kept = conforms {words = {"x"}, roles = {
      a = function(w)
        w.block "USR1"
        w.x = 1
        w.observe("got", w.sigwait("USR1"))
        w.observe("handled", w.handled "USR1")
      end,
      b = function(w)
        w.await(function() return w.x == 1 end)
        w.kill("a", "USR1")
      end,
    }}
    assert.is_true(kept.ok)
  end)

  kind("kill", "is a death that another role brings", function()
    local result = conforms({roles = {
      a = function(w) w.pause() end,
      b = function(w) w.kill("a", "KILL") end,
    }}, {rounds = 10, open = true})
    assert.is_true(result.ok, tostring(result))
    assert.equal(10, result.killed)
  end)

  kind("segments", "is a name that may be there before its size is", function()
    local result = conforms({segments = {seg = {"flag"}}, roles = {
      function(w)
        assert(w.seg:create())
        w.seg:truncate()
        local at = w.seg:attach()
        at.flag = 7
        w.seg:unlink()
      end,
      function(w)
        local ok, _, errno = w.seg:open()
        if not ok then
          w.observe("flag", errno)
        elseif w.seg:size() == 0 then
          w.observe("flag", "no size")
        else
          w.observe("flag", w.seg:attach().flag)
        end
      end,
    }}, {delays = 20})
    assert.is_true(result.ok, tostring(result))
    local bus = run(lab.protocol {segments = {seg = {"flag"}}, roles = {function(w)
      w.seg:create()
      w.seg:attach().flag = 1
    end}}, {rounds = 1, timeout = TIMEOUT})
    assert.matches("SIGBUS: seg%.flag is touched before its segment has a size",
                   bus.errors[1].message)
  end)

  kind("fork", "is a child, which is a role", function()
    local result = conforms({words = {"x"}, roles = {function(w)
      local child = w.fork(function(v) v.x = 1 end, "kid")
      w.observe("how", (child:wait()))
      w.observe("x", w.x)
    end}}, {rounds = support.rounds(20)})
    assert.same({["how=exit x=1"] = result.rounds}, result.outcomes)
    assert.same({"1", "kid"}, result.traces[1].roles)
    local killed = conforms({roles = {function(w)
      local child = w.fork(function(v) v.pause() end)
      child:kill "KILL"
      w.observe("how", (child:wait()))
    end}}, {rounds = 3})
    assert.same({["how=signal"] = 3}, killed.outcomes)
  end)

  kind("fork", "is a child, and not the dead one of the round before", function()
    local parent, fork, n = process.pid(), process.fork, 0
    local _ <close> = setmetatable({}, {__close = function() process.fork = fork end})
    function process.fork(...)
      n = n + (process.pid() ~= parent and 1 or 0)
      if n == 2 then
        process.sleep(1.2) -- until the run's parent looks whether it lives
      end
      return fork(...)
    end
    local result = conforms({roles = {function(w)
      local child = w.fork(function(v) v.pause() end)
      child:kill "KILL"
      w.observe("how", (child:wait()))
    end}}, {rounds = 2})
    assert.same({["how=signal"] = 2}, result.outcomes)
  end)

  kind("sleep", "is a clock", function()
    local result = conforms({roles = {function(w)
      local began = w.now()
      w.sleep(0.001)
      w.observe("slept", w.now() - began >= 0.001)
    end}}, {rounds = 10, open = true})
    assert.same({["slept=true"] = 10}, result.outcomes)
  end)
end)
