-- shm.lab: protocols, and every schedule of them.
local lab = require "shm.lab"
local process = require "shm.process"
local support = require "spec.support"

local function peterson(fence)
  local function role(me)
    local other = 3 - me
    return function(w)
      w["flag" .. me] = 1
      w.turn = other
      if fence then
        w.fence()
      end
      w.await(function() return w["flag" .. other] == 0 or w.turn == me end)
      w.enter "critical"
      w.leave "critical"
      w["flag" .. me] = 0
    end
  end
  return lab.protocol {
    name = "peterson", words = {"flag1", "flag2", "turn"}, roles = {role(1), role(2)},
    never = {at_most_one = function(s) return s.inside.critical > 1 end},
  }
end

local function check(given, options)
  return lab.check(lab.protocol(given), options)
end

-- What is found, and that its schedule leads there again, whoever takes it.
local function found(kind, given, options)
  local protocol = lab.protocol(given)
  local result = lab.check(protocol, options)
  assert.is_false(result.ok)
  assert.equal(kind, result.verdict.kind, result.verdict.message)
  local trace = assert(lab.replay(lab.protocol(given), result.schedule))
  assert.equal(result.verdict.message, trace.verdict.message)
  assert.same(result.trace, trace)
  return result
end

local function passes(given, options)
  local result = check(given, options)
  assert.is_true(result.ok, tostring(result))
  assert.is_true(result.exhaustive)
  return result
end

local function texts(trace)
  local list = {}
  for i, step in ipairs(trace.steps) do
    list[i] = trace.roles[step.role] .. ": " .. step.text
  end
  return list
end

local function nothing() end

describe("a protocol", function()
  it("refuses what makes no sense", function()
    for message, given in pairs {
      ["table expected, got nil"] = false,
      ["unknown option 'rolls'"] = {rolls = {}},
      ["roles: table expected, got nil"] = {},
      ["roles: at least one expected"] = {roles = {}},
      ["roles: 1: function or table expected, got number"] = {roles = {1}},
      ["roles: 1: run: function expected, got nil"] = {roles = {{}}},
      ["role 1: unknown option 'ran'"] = {roles = {{ran = nothing}}},
      ["roles: 'x' is there twice"] = {roles = {{name = "x", run = nothing}, x = nothing}},
      ["role 1: restart: true or a function expected, got number"] =
        {roles = {{run = nothing, restart = 1}}},
      ["restart: true or a function expected, got string"] = {roles = {nothing}, restart = "x"},
      ["words: name expected, got number"] = {words = {1}, roles = {nothing}},
      ["words: x: integer expected, got string"] = {words = {x = "1"}, roles = {nothing}},
      ["words: names expected, got true"] = {words = {[true] = 1}, roles = {nothing}},
      ["the name 'x' is taken"] = {words = {"x", "x"}, roles = {nothing}},
      ["the name 'await' is taken"] = {words = {"await"}, roles = {nothing}},
      ["'1x' is no name"] = {words = {"1x"}, roles = {nothing}},
      ["locks: m: a lock has no options"] = {locks = {m = 1}, roles = {nothing}},
      ["observe: 'y' is no word"] = {words = {"x"}, observe = {"y"}, roles = {nothing}},
      ["observe: a list of words expected, got 'x'"] = {words = {"x"}, observe = {x = true},
                                                        roles = {nothing}},
      ["never: names expected, got 1"] = {never = {nothing}, roles = {nothing}},
      ["always: names expected, got 1"] = {always = {nothing}, roles = {nothing}},
      ["finally: names expected, got 1"] = {finally = {nothing}, roles = {nothing}},
      ["never: x: function expected, got boolean"] = {never = {x = true}, roles = {nothing}},
      ["roles: 16 at most, got 17"] = {roles = (function()
        local roles = {}
        for i = 1, 17 do
          roles[i] = nothing
        end
        return roles
      end)()},
    } do
      local ok, problem = pcall(lab.protocol, given or nil)
      assert.is_false(ok)
      assert.truthy(problem:find(message, 1, true), problem)
      assert.truthy(problem:find("lab.protocol: ", 1, true), problem)
      assert.equal(nil, problem:match "protocol%.lua")
    end
  end)

  it("has its roles in one order", function()
    local result = found("error", {roles = {b = nothing, a = nothing,
                                            function() error("x", 0) end}})
    assert.same({"1", "a", "b"}, result.trace.roles)
    assert.equal("error in role 1: x", result.verdict.message)
  end)

  it("says what it is", function()
    assert.equal("shm.lab.protocol (peterson: 2 roles)", tostring(peterson()))
  end)
end)

describe("a world", function()
  -- What a role is told that does this, once the other has.
  local function told(f, other)
    local result = check {words = {"x"}, locks = {"m"}, roles = {f, other}}
    return result.verdict and result.verdict.message
  end

  it("refuses what makes no sense", function()
    for message, f in pairs {
      ["w.y: neither a word nor an object of the protocol"] = function(w) return w.y end,
      ["w.y = …: there is no such word"] = function(w) w.y = 1 end,
      ["w.cas: there is no word 'y'; words = {...} of the protocol names them"] =
        function(w) w.cas("y", 0, 1) end,
      ["x: a word holds an integer, got string"] = function(w) w.x = "1" end,
      ["x: a word holds an integer, got number"] = function(w) w.add("x", 0.5) end,
      ["w.await: function expected, got boolean"] = function(w) w.await(true) end,
      ["w.choose: integer from 1 expected, got 0"] = function(w) w.choose(0) end,
      ["w.enter: name expected, got nil"] = function(w) w.enter() end,
      ["w.leave 'x': it is not inside"] = function(w) w.leave "x" end,
      ["the condition of await may only read words"] =
        function(w) w.await(function() return w.m:lock() end) end,
    } do
      local problem = told(f)
      assert.truthy(problem and problem:find(message, 1, true), tostring(problem))
      assert.truthy(problem:find("error in role 1: ", 1, true))
    end
  end)

  it("is called by its role alone, which does not yield: what is lost so is no success", function()
    local why = "error in role 1: "
      .. "a role can not yield, nor call its world in a coroutine of its own"
    local function put(w) w.x = 5 end
    for _, f in ipairs {
      function() coroutine.yield() end,
      function() coroutine.yield {} end,
      function(w) coroutine.wrap(put)(w) end,
      function(w)
        coroutine.wrap(put)(w)
        w.x = 1
      end,
      function(w)
        coroutine.resume(coroutine.create(put), w)
        pcall(put, w)
      end,
    } do
      assert.equal(why, told(f))
    end
    passes {words = {"x"}, observe = {"x"}, roles = {function(w)
      w.x = coroutine.wrap(function() return coroutine.yield(1) end)()
      local add = w.add
      w.fork(function() add("x", 1) end):wait() -- what a child has of its parent's works on
    end}, finally = {two = function(s) return s.x == 2 end}}
  end)

  it("has words that are read, written and changed in one step", function()
    local result = passes {words = {"x", y = 7}, observe = {"x", "y"}, roles = {function(w)
      assert(w.x == 0 and w.read "x" == 0 and w.reader("y")() == 7)
      w.x = 5
      w.write("x", w.x + 1)
      w.writer "y"(8)
      assert(w.add("x", 2) == 6 and w.swap("x", 1) == 8)
      local replaced, before = w.cas("x", 0, 3)
      assert(replaced == false and before == 1)
      replaced, before = w.cas("x", 1, 3)
      assert(replaced == true and before == 1)
      assert(w.role == 1 and w.name == "1")
    end}}
    assert.same({["x=3 y=8"] = 1}, result.outcomes)
  end)

  it("tries all choices", function()
    local result = passes {roles = {function(w)
      w.observe("a", w.choose(3))
      w.observe("b", w.choose(2))
    end}}
    assert.equal(6, result.schedules)
    assert.equal(1, result.outcomes["a=3 b=2"])
  end)

  it("has notes, which appear in traces", function()
    local result = found("error", {roles = {function(w)
      w.note "so far so good"
      error("bad", 0)
    end}})
    assert.same({"1: so far so good"}, texts(result.trace))
  end)

  it("sleeps on words, and is woken", function()
    passes {words = {"x"}, roles = {
      function(w)
        while w.x == 0 do
          w.wait("x", 0)
        end
      end,
      function(w)
        w.x = 1
        w.wake("x", 1)
      end,
    }}
    local function waker(w) w.observe("n", w.wake "x") end
    local result = passes({words = {"x"}, roles = {
      function(w) w.observe("woken", w.futex("x", 0, 1) or false) end, waker,
    }}, {memory = "tso"})
    assert.same({["n=0 woken=false"] = 2, ["n=1 woken=true"] = 1}, result.outcomes)
    result = passes({words = {"x"}, roles = {
      function(w) w.observe("woken", w.wait("x", 0, 1) or false) end, waker,
    }}, {memory = "tso"}) -- nothing has changed, so it sleeps on
    assert.same({["n=0 woken=false"] = 2, ["n=1 woken=false"] = 1}, result.outcomes)
  end)
end)

describe("lab.check", function()
  it("goes through Peterson's algorithm, and finds the fence that is missing", function()
    for _, memory in ipairs {"sc", "tso"} do
      local result = lab.check(peterson(true), {memory = memory})
      assert.is_true(result.ok)
      assert.is_true(result.exhaustive)
      assert.equal(4, result.schedules)
      assert.truthy(tostring(result):match "^ok, 4 schedules, %d+%.%d%d s$")
    end
    assert.is_true(lab.check(peterson(false)).ok)
    local result = lab.check(peterson(false), {memory = "tso"})
    assert.equal("never 'at_most_one' is broken", result.verdict.message)
    assert.equal("tso: 1*4 2*4", result.schedule)
    assert.same({"1: flag1 = 1", "1: turn = 2", "1: flag2 -> 0", "1: enters critical",
                 "2: flag2 = 1", "2: turn = 1", "2: flag1 -> 0", "2: enters critical"},
                texts(result.trace))
    assert.truthy(tostring(result):match [[
^never 'at_most_one' is broken
  %d+ schedules, %d+%.%d%d s
  schedule "tso: 1%*4 2%*4"$]])
  end)

  it("gives the same answer each time", function()
    for _, memory in ipairs {"sc", "tso"} do
      for _, fence in ipairs {true, false} do
        local first, second
        for _ = 1, 2 do
          local result = lab.check(peterson(fence), {memory = memory})
          result.seconds = nil
          first, second = second, result
        end
        assert.same(first, second)
      end
    end
  end)

  it("finds the same without reduction, and takes longer", function()
    local protocol = peterson(true)
    local reduced = lab.check(protocol)
    local all = lab.check(protocol, {reduce = false})
    assert.is_true(all.ok)
    assert.is_true(all.schedules >= 10 * reduced.schedules)
  end)

  it("finds deadlocks, and says who waits for what", function()
    local result = found("deadlock", {locks = {"a", "b"}, roles = {
      function(w) w.a:lock() w.b:lock() w.b:unlock() w.a:unlock() end,
      function(w) w.b:lock() w.a:lock() w.a:unlock() w.b:unlock() end,
    }})
    assert.equal("deadlock: 1 waits for b, which 2 holds; 2 waits for a, which 1 holds",
                 result.verdict.message)
    assert.same({1, 2}, result.verdict.roles)
    assert.same({"b:lock()", "a:lock()"}, result.trace.waiting)
  end)

  it("finds sleepers that nobody wakes any more, and the wake-up that came too early", function()
    local result = found("lost wake-up", {words = {"x"}, roles = {
      function(w) w.wake "x" end,
      function(w) w.wait("x", 0) end,
    }})
    assert.equal("lost wake-up: 2 sleeps in wait on x, and nobody can wake it any more " ..
                 "(a wake-up came in step 1, when nobody slept there)", result.verdict.message)
  end)

  it("finds those that spin in vain", function()
    local result = found("no progress", {words = {"x", "y"}, roles = {
      function(w) w.await(function() return w.x == 1 and w.y == 1 end) end,
      function(w) w.y = 1 end,
    }})
    assert.same({"await, which reads x"}, result.trace.waiting)
    result = found("no progress", {words = {"x"}, roles = {
      function(w)
        while w.x == 0 do -- luacheck: ignore
        end
      end,
    }})
    assert.equal("no progress: 1 spins in a loop that reads x again and again, which nobody " ..
                 "changes any more", result.verdict.message)
    passes({words = {"x", "y"}, roles = {
      function(w)
        while w.x == 0 and w.y < 2 do -- luacheck: ignore
        end
        assert(w.y == 1)
      end,
      function(w)
        w.y = 1
        w.x = 1
      end,
    }}, {memory = "tso"})
  end)

  it("finds an error in a role, also in a condition", function()
    local result = found("error", {words = {"x"}, roles = {
      function(w) w.await(function()
        if w.x == 1 then
          error("one", 0)
        end
        return w.x == 2
      end) end,
      function(w)
        w.x = 1
        w.x = 2
      end,
    }})
    assert.equal("error in role 1: one", result.verdict.message)
  end)

  it("finds what is broken at the end, and what is left behind", function()
    local result = found("finally", {words = {"x"}, roles = {
      function(w) w.x = w.x + 1 end,
      function(w) w.x = w.x + 1 end,
    }, finally = {two = function(s) return s.x == 2 end}})
    assert.equal("two", result.verdict.name)
    result = found("left behind", {locks = {"m"}, roles = {function(w) w.m:lock() end}})
    assert.equal("left behind: lock 'm': held by role 1", result.verdict.message)
  end)

  it("finds what is not always so, and rules that throw", function()
    local result = found("always", {words = {"x"}, roles = {function(w)
      w.x = 1
      w.x = 0
    end}, always = {zero = function(s) return s.x == 0 end}})
    assert.equal(1, #result.trace.steps)
    result = found("error", {roles = {nothing}, never = {odd = function(s) return s.y end}})
    assert.truthy(result.verdict.message:find("s.y: neither a word nor an object", 1, true))
  end)

  it("lets roles wait at the end that are in the background", function()
    local function serve(w)
      for i = 1, 9 do
        w.await(function() return w.x == i end)
      end
    end
    found("no progress", {words = {"x"}, roles = {function(w) w.x = 1 end, serve}})
    passes {words = {"x"}, roles = {function(w) w.x = 1 end, {run = serve, background = true}}}
  end)

  it("lets roles die, at each of their steps, and start again", function()
    local function work(w)
      w.m:lock()
      w.x = 1
      w.x = 0
      w.m:unlock()
    end
    local function look(w)
      w.m:lock()
      assert(w.x == 0, "x is 1")
      w.m:unlock()
    end
    for _, memory in ipairs {"sc", "tso"} do
      passes({words = {"x"}, locks = {"m"}, roles = {work, look}}, {memory = memory})
      local result = found("error", {words = {"x"}, locks = {"m"}, roles = {work, look}},
                           {memory = memory, crashes = 1})
      assert.equal(memory == "sc" and 6 or 7, #result.trace.steps)
    end
    local function mend(w)
      local _, how = w.m:lock()
      if how == "recovered" then
        w.x = 0
      end
      w.x = 1
      w.x = 0
      w.m:unlock()
    end
    local mended = {words = {"x"}, locks = {"m"}, roles = {
      {run = mend, restart = true},
      {run = function(w)
        local _, how = w.m:lock()
        if how == "recovered" then
          w.x = 0
        end
        assert(w.x == 0)
        w.m:unlock()
      end},
    }, finally = {zero = function(s) return s.x == 0 end}}
    passes(mended, {memory = "tso", crashes = 1})
    passes(mended, {memory = "tso", crashes = 2})
    local rule = {words = {"x"}, roles = {function(w)
      w.x = 1
      w.x = 2
    end}, never = {dead_at_one = function(s) return s.deaths == 1 and s.x == 1 end}}
    passes(rule)
    assert.equal("sc crashes=1: 1 1!", found("never", rule, {crashes = 1}).schedule)
    local spared = {words = {"x"}, locks = {"m"}, roles = {{run = work, spared = true}, look}}
    passes(spared, {crashes = 1})
  end)

  it("counts all violations where it is asked to", function()
    local result = check({words = {"x"}, observe = {"x"}, roles = {
      function(w) w.x = w.x + 1 end,
      function(w) w.x = w.x + 1 end,
    }, finally = {two = function(s) return s.x == 2 end}}, {all = true})
    assert.is_true(result.exhaustive)
    assert.is_false(result.ok)
    assert.same({["finally two"] = result.schedules - result.outcomes["x=2"]}, result.violations)
  end)

  it("stops at bounds, and says so", function()
    local function count(w)
      for _ = 1, 4 do
        w.x = w.x + 1
      end
    end
    local given = {words = {"x"}, roles = {count, count}}
    local result = check(given, {schedules = 10})
    assert.is_true(result.ok)
    assert.is_false(result.exhaustive)
    assert.truthy(tostring(result)
      :match "^nothing found, 10 schedules, .* s, stopped at 10 schedules$")
    result = check(given, {seconds = 0})
    assert.truthy(tostring(result):match "stopped at 0 s$")
    result = check(given, {steps = 12})
    assert.is_false(result.exhaustive)
    assert.truthy(tostring(result):match " cut at 12 steps$")
    local few = check(given, {preemptions = 0, reduce = false})
    assert.equal(2, few.schedules)
    assert.is_false(few.exhaustive)
    assert.truthy(tostring(few):match "within 0 preemptions$")
    local some, all = check(given, {preemptions = 1}), check(given)
    assert.is_true(all.exhaustive)
    assert.is_true(some.schedules > few.schedules)
  end)

  it("tells how far it is", function()
    local reports = {}
    check({words = {"x"}, roles = {nothing, nothing}},
          {progress = function(it) reports[#reports + 1] = it end})
    assert.equal(1, #reports)
    assert.equal(1, reports[1].schedules)
    assert.equal(1, reports[1].done)
    assert.is_true(reports[1].last)
    assert.equal(reports[1].schedules / reports[1].seconds, reports[1].rate) -- not steps
  end)

  it("ends at Ctrl-C with what it knows", function()
    local ours <close>, theirs = assert(process.socketpair "seqpacket")
    local child <close> = assert(process.fork(function()
      local function spin(w)
        for _ = 1, 30 do
          w.x = w.x + 1
        end
      end
      local protocol = lab.protocol {words = {"x"}, roles = {spin, spin}}
      local result = lab.check(protocol, {progress = function(it)
        if not it.last then
          theirs:send "on its way"
        end
      end})
      theirs:send(("%s %s %s"):format(result.interrupted, result.ok, result.schedules > 0))
    end))
    theirs:close()
    assert.equal("on its way", ours:recv(99, support.LONG))
    child:kill "INT"
    local said
    repeat
      said = ours:recv(99, support.LONG)
    until said ~= "on its way"
    assert.equal("true true true", said)
    assert.same({"exit", 0}, {child:wait(support.LONG)})
  end)

  it("notices what comes from outside a role's world", function()
    local time, clock = os.time, os.clock -- luacheck: ignore
    local list, n = {}, 0
    local function write(w) w.x = 0 end
    for message, f in pairs {
      ["os.time is outside its world"] = function(w) w.x = os.time() end,
      ["math.random is outside its world"] = function(w) w.x = math.random(10) end,
      ["once came to 'write x 1', and now to 'write x 2'"] = function(w)
        list[#list + 1] = true
        w.x = #list
      end,
      ["role 1 uses something outside its world: after the same steps"] =
        function(w) w.x = clock() * 1e9 // 1 | 0 end,
      ["changes the variable 'n', which is outside its world: it was 0, and is"] = function(w)
        n = n + 1
        w.x = 7
      end,
    } do
      local result = check {words = {"x"}, roles = {f, write}}
      assert.is_false(result.ok)
      assert.equal("outside", result.verdict.kind, result.verdict.message)
      assert.truthy(result.verdict.message:find(message, 1, true), result.verdict.message)
    end
    assert.equal(time, os.time) -- which is itself again
    assert.is_true(os.time() > 0 and math.random(10) > 0)
  end)

  it("refuses what makes no sense", function()
    local protocol = lab.protocol {roles = {nothing}}
    assert.error_matches(function() lab.check {} end,
                         "lab.check: shm.lab.protocol expected, got table")
    assert.error_matches(function() lab.check(protocol, {memory = "arm"}) end,
                         "lab.check: memory: 'sc' or 'tso' expected, got 'arm'")
    assert.error_matches(function() lab.check(protocol, {crashs = 1}) end,
                         "unknown option 'crashs'")
    assert.error_matches(function() lab.check(protocol, {crashes = -1}) end, "crashes: %-1 is not")
    assert.error_matches(function() lab.check(protocol, {progress = 1}) end, "progress: true or a")
  end)

  it("refuses it, as lab.run and the others do, at its caller's line", function()
    local protocol = lab.protocol {roles = {nothing}}
    local trace = {roles = {"1"}, steps = {{role = 1, action = "read", text = "x"}}}
    for _, call in ipairs {
      function() lab.check(protocol, {crashes = -1}) end,
      function() lab.check(protocol, {memory = "arm"}) end,
      function() lab.check(protocol, {progress = 1}) end,
      function() lab.run(protocol, {delays = -1}) end,
      function() lab.run(protocol, {rounds = 1.5}) end,
      function() lab.run(protocol, {progress = 1}) end,
      function() lab.accepts(protocol, trace, {steps = 0}) end,
      function() lab.accepts(protocol, trace) end,
      function() lab.replay(protocol, "none") end,
      function() lab.draw(trace, nil, {width = 1}) end,
      function() lab.draw(trace, "x.bmp") end,
      function() lab.protocol {} end,
    } do
      local ok, problem = pcall(function()
        call()
        return nil
      end)
      assert.is_false(ok)
      assert.matches("^[^:]*lab_spec%.lua:%d+: [%a.]+: ", problem)
    end
  end)
end)

describe("lab.replay", function()
  it("takes a schedule of another run", function()
    local trace = assert(lab.replay(peterson(false), "tso: 1*4 2*4"))
    assert.equal("never 'at_most_one' is broken", trace.verdict.message)
    trace = assert(lab.replay(peterson(false), "tso: 1*4 1~*2 2*2 2~*2"))
    assert.is_nil(trace.verdict)
    assert.same({"1: flag1 = 1", "1: turn = 2", "1: flag2 -> 0", "1: enters critical",
                 "1: flag1 = 1 reaches memory", "1: turn = 2 reaches memory",
                 "2: flag2 = 1", "2: turn = 1", "2: flag2 = 1 reaches memory",
                 "2: turn = 1 reaches memory"}, texts(trace))
    assert.equal(1, trace.steps[5].stored)
    assert.is_true(trace.steps[1].buffered)
  end)

  it("says who waited, and who let it go on", function()
    local trace = assert(lab.replay(lab.protocol {locks = {"m"}, roles = {
      function(w) w.m:lock() w.m:unlock() end,
      function(w) w.m:lock() w.m:unlock() end,
    }}, "sc: 1*2 2"))
    assert.equal(1, trace.steps[3].waited)
    assert.equal(2, trace.steps[3].woken_by)
  end)

  it("says where a schedule does not fit", function()
    assert.same({nil, "lab.replay: step 3 is none that the protocol can make there"},
                {lab.replay(lab.protocol {roles = {function(w) w.note "a" w.note "b" end}},
                            "sc: 1*3")})
    for text, problem in pairs {
      ["arm: 1"] = "it does not begin as", ["sc: 1x"] = "'1x' is no step",
      ["sc 1"] = "it does not begin as", ["sc: 1*"] = "'1*' is no step",
    } do
      local ok, message = pcall(lab.replay, lab.protocol {roles = {nothing}}, text)
      assert.is_false(ok)
      assert.truthy(message:find(problem, 1, true), message)
    end
    assert.error_matches(function() lab.replay(lab.protocol {roles = {nothing}}) end,
                         "lab.replay: schedule: string expected, got nil")
  end)
end)
