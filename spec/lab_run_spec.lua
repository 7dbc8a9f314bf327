local accepts = require("shm.lab.accepts").accepts
local lab = require "shm.lab"
local locks = require "spec.lock_support"
local places = require "shm.lab.run.place"
local process = require "shm.process"
local run = require("shm.lab.run").run
local support = require "spec.support"

local TIMEOUT = support.LONG
local STILL = 2 * math.min(support.patience, 3) -- after which nobody moves any more who ever would

-- With a time-out that only bounds a hang, unless the options have another.
local function go(protocol, options)
  options.timeout = options.timeout or TIMEOUT
  return run(protocol, options)
end

local function total(counts)
  local n = 0
  for _, count in pairs(counts) do
    n = n + count
  end
  return n
end

local function actions(trace)
  local seen = {}
  for i, step in ipairs(trace.steps) do
    seen[step.action] = seen[step.action] or i
  end
  return seen
end

local function all_accepted(protocol, result)
  for _, trace in ipairs(result.traces) do
    assert(accepts(protocol, trace))
  end
end

local function peterson()
  local function role(me)
    local other = 3 - me
    return function(w)
      w["flag" .. me] = 1
      w.turn = other
      w.fence()
      w.await(function() return w["flag" .. other] == 0 or w.turn == me end)
      w.enter "critical"
      w.n = w.n + 1
      w.leave "critical"
      w["flag" .. me] = 0
    end
  end
  return lab.protocol {name = "peterson", words = {"flag1", "flag2", "turn", "n"},
    roles = {role(1), role(2)},
    never = {at_most_one = function(s) return s.inside.critical > 1 end},
    finally = {both = function(s) return s.n == 2 end}}
end

-- Nobody keeps them from being inside at once.
local function careless()
  local function role(w)
    w.enter "section"
    w.await(function() return w.stay == 0 end)
    w.leave "section"
  end
  return lab.protocol {words = {"here", "stay"}, roles = {
    role, role, function(w) w.add("here", 1) end,
  }, never = {two = function(s) return s.inside.section > 1 end}}
end

local both_inside = lab.protocol {words = {"a", "b"}, roles = {
  function(w)
    w.enter "section"
    w.a = 1
    w.await(function() return w.b == 1 end)
    w.leave "section"
  end,
  function(w)
    w.enter "section"
    w.b = 1
    w.await(function() return w.a == 1 end)
    w.leave "section"
  end,
}, never = {two = function(s) return s.inside.section > 1 end}}

local before

describe("run", function()
  before_each(function()
    before = support.belongings()
  end)

  after_each(function()
    assert.same(before, support.belongings())
  end)

  it("takes two processes through round after round, and finds nothing where nothing is", function()
    local protocol = peterson()
    local rounds = support.rounds(400)
    local result = go(protocol, {rounds = rounds})
    assert.is_true(result.ok)
    assert.equal(rounds, result.rounds)
    assert.same({[""] = rounds}, result.outcomes)
    assert.matches("^ok, %d+ rounds, %d+%.%d%d s, %d+ a second$", tostring(result))
    assert.equal(math.min(10, rounds), #result.traces)
    assert.is_nil(result.trace)
    all_accepted(protocol, result)
    result = go(protocol, {rounds = rounds, trace = false})
    assert.is_true(result.ok)
    assert.equal(rounds, result.rounds)
    assert.equal(0, #result.traces)
  end)

  it("begins each round with the state as it was at first", function()
    local protocol = lab.protocol {words = {x = 7, "y"}, locks = {"m"}, roles = {
      function(w)
        w.m:lock()
        w.observe("x", w.x)
        w.x = w.x + 1
        w.m:unlock()
      end,
      function(w) w.observe("y", w.add("y", 5)) end,
    }}
    local rounds = support.rounds(100)
    local result = go(protocol, {rounds = rounds})
    assert.same({["x=7 y=0"] = rounds}, result.outcomes)
  end)

  it("sees a rule broken, counts the rounds, and keeps the trace", function()
    local rounds = support.rounds(50)
    local result = go(both_inside, {rounds = rounds, keep = 3})
    assert.is_false(result.ok)
    assert.same({["never two"] = rounds}, result.broken)
    assert.same({kind = "never", name = "two", message = "never 'two' is broken",
                 roles = result.verdict.roles, step = result.verdict.step}, result.verdict)
    local trace = result.trace
    local step = trace.steps[result.verdict.step]
    assert.equal("enter", step.action)
    assert.same({step.role}, result.verdict.roles)
    assert.equal(1, trace.round)
    assert.matches("^never two was broken in %d+ rounds?\n  %d+ rounds?, ", tostring(result))
    assert.is_true(#result.traces >= math.min(rounds, 3) and #result.traces <= 6)
    all_accepted(both_inside, result)
    result = go(both_inside, {rounds = rounds, trace = false})
    assert.same({["never two"] = rounds}, result.broken)
  end)

  it("asks rules about words, about what was observed, and about the end", function()
    local protocol = lab.protocol {words = {"x", "y"}, roles = {
      function(w)
        w.x = 3
        w.y = 1
        w.observe("text", "a b")
      end,
    }, never = {
      three = function(s) return s.x == 3 end, four = function(s) return s.x == 4 end,
      text = function(s) return s.observed.text == "a b" end,
      pair = function(s) return s.x == 3 and s.y == 1 end,
    }, always = {small = function(s) return s.x < 3 end},
       finally = {zero = function(s) return s.y == 0 end, one = function(s) return s.y == 1 end}}
    local result = go(protocol, {rounds = 20})
    assert.same({["never three"] = 20, ["never text"] = 20, ["never pair"] = 20,
                 ["always small"] = 20, ["finally zero"] = 20}, result.broken)
    assert.same({["text=a b"] = 20}, result.outcomes)
  end)

  it("counts outcomes: each one that is known of store buffering, and no other", function()
    local function role(mine, other, name)
      return function(w)
        w[mine] = 1
        w.observe(name, w[other])
      end
    end
    local protocol = lab.protocol {words = {"x", "y"}, roles = {role("x", "y", "r1"),
                                                                role("y", "x", "r2")}}
    local rounds = support.rounds(300)
    local result = go(protocol, {rounds = rounds, keep = rounds})
    assert.equal(rounds, total(result.outcomes))
    local allowed = lab.check(protocol, {memory = "tso", all = true}).outcomes
    for outcome in pairs(result.outcomes) do
      assert.is_truthy(allowed[outcome], outcome)
    end
    all_accepted(protocol, result)
  end)

  it("looks at what a rule looks at only while something else is so", function()
    local function turns(w, me)
      w.await(function() return w.turn == me end)
    end
    local function check_both(never, first, second)
      local protocol = lab.protocol {words = {"turn", "x", "y"}, never = {rule = never},
        roles = {
          function(w)
            first(w)
            w.turn = 1
            turns(w, 2)
          end,
          function(w)
            turns(w, 1)
            second(w)
            w.turn = 2
          end,
        }}
      assert.equal("never 'rule' is broken", lab.check(protocol).verdict.message)
      assert.same({["never rule"] = 5}, go(protocol, {rounds = 5}).broken)
    end
    local function y_of(s) return s.y end
    for _, never in ipairs {
      function(s) return s.x == 1 and s.y == 2 end,
      function(s) return s.x == 1 and y_of(s) == 2 end,
    } do
      check_both(never, function(w) w.x = 1 end, function(w)
        w.y = 2
        w.y = 3
      end)
    end
    check_both(function(s) return s.x == 1 and s.observed.seen == 2 end,
               function(w) w.x = 1 end, function(w)
      w.observe("seen", 2)
      w.observe("seen", 3)
    end)
    check_both(function(s) return s.x == 1 and s.inside.room > 1 end,
               function(w) w.enter "room" end, function(w)
      w.enter "room"
      w.x = 1
      w.leave "room"
    end)
  end)

  it("counts who is inside from the first to enter, whenever a rule looks", function()
    local function pass(w)
      w.enter "room"
      w.x = 1
      w.leave "room"
    end
    assert.is_true(go(lab.protocol {words = {"x"}, roles = {pass}, never = {
      two = function(s) return s.x == 1 and s.inside.room ~= 1 and s.inside.room ~= 0 end,
    }}, {rounds = 50}).ok)
    for _, name in ipairs {"room", "ro" .. "om"} do
      assert.is_true(go(lab.protocol {roles = {function(w) w.enter "room" end}, finally = {
        one = function(s) return s.inside[name] == 1 end,
      }}, {rounds = 5}).ok)
    end
  end)

  it("has the same outcomes as the model, with the words that are to be observed", function()
    local protocol = lab.protocol {words = {"x", "x2", "y"}, observe = {"y", "x"}, roles = {
      function(w)
        w.x = 1
        w.observe("x2", 5)
        w.observe("y", "overruled by the word")
        w.observe("x-", true)
      end,
    }}
    assert.same({["x=1 x-=true x2=5 y=0"] = 1}, lab.check(protocol).outcomes)
    assert.same({["x=1 x-=true x2=5 y=0"] = 3}, go(protocol, {rounds = 3}).outcomes)
  end)

  it("refuses in a role what the model refuses, and gives back what was observed", function()
    local wrong
    local function refused(said, f)
      local protocol = lab.protocol {words = {"x"}, queues = {"q"}, topics = {"t"}, roles = {f}}
      local message = lab.check(protocol).verdict.message
      assert.matches("^error in role 1: .*" .. said, message)
      if wrong ~= -1 then
        return
      end
      local result = go(protocol, {rounds = 1})
      assert.matches("^error in role 1: .*" .. (said:match "%f[%a]timeout" or said),
                     result.verdict.message)
    end
    for _, value in ipairs {"1", 0 / 0, -1} do
      wrong = value
      refused("w%.wait: timeout: seconds", function(w) w.wait("x", 0, wrong) end)
      refused("queue%.push: timeout: seconds", function(w) w.q:push(1, wrong) end)
      refused("queue%.pop: timeout: seconds", function(w) w.q:pop(wrong) end)
      refused("topic%.publish: timeout: seconds", function(w) w.t:publish(1, wrong) end)
      refused("subscriber:next: timeout: seconds", function(w) w.t:subscribe():next(wrong) end)
      refused("child:wait: timeout: seconds", function(w)
        w.fork(function() end):wait(wrong)
      end)
      refused("w%.wake: n: integer from 0", function(w) w.wake("x", wrong) end)
    end
    refused("w%.observe: r: boolean, number or string expected, got table", function(w)
      w.observe("r", {})
    end)
    for _, value in ipairs {0.1 + 0.2, 1 / 0, -1 / 0, 2.0, "inf", true, math.mininteger} do
      local protocol = lab.protocol {roles = {function(w) w.observe("r", value) end}, finally = {
        same = function(s)
          return s.observed.r == value and math.type(s.observed.r) == math.type(value)
        end,
      }}
      local result = go(protocol, {rounds = 1})
      assert.is_true(result.ok, tostring(value))
      assert.same({["r=" .. tostring(value)] = 1}, result.outcomes)
      assert.same(result.outcomes, lab.check(protocol).outcomes)
    end
    local nan = 0 / 0
    assert.is_true(lab.check(lab.protocol {roles = {function(w) w.observe("r", nan) end}}).ok)
  end)

  it("tells 512 outcomes apart, and counts the others together", function()
    local protocol = lab.protocol {roles = {function(w) w.observe("n", w.choose(1 << 30)) end}}
    local rounds = 600 -- of which hardly any two choose the same
    local result = go(protocol, {rounds = rounds})
    local kinds, sum = 0, 0
    for _, n in pairs(result.outcomes) do
      kinds, sum = kinds + 1, sum + n
    end
    assert.same({513, rounds}, {kinds, sum})
    assert(result.outcomes["(others)"] > 0)
  end)

  it("names the rule that was broken, and the step, however many there are", function()
    local function with(n)
      local rules = {}
      for i = 1, n do
        rules[("r%03d"):format(i)] = function(s) return i < n or s.x < 2 end
      end
      return lab.protocol {words = {"x"}, always = rules, roles = {function(w)
        for i = 1, 3 do
          w.x = i
        end
      end}}
    end
    local result = go(with(255), {rounds = 1})
    assert.same({"always", "r255", 2},
                {result.verdict.kind, result.verdict.name, result.verdict.step})
    assert.error_matches(function() go(with(256), {}) end,
                         "^lab%.run: protocol: 256 rules, of 255 at most$")
    local most = {2000000000, 1000001, 255, 16}
    assert.same(most, {places.parts(places.breaker(table.unpack(most)))})
  end)

  it("has room for 64 names, and for observations of 256 bytes", function()
    local function observing(n, value)
      return go(lab.protocol {roles = {function(w)
        for i = 1, n do
          w.observe("n" .. i, value)
        end
      end}}, {rounds = 1})
    end
    assert.is_true(observing(64, 1).ok)
    assert.matches("more than 64 names of sections and observations",
                   observing(65, 1).errors[1].message)
    assert.is_true(observing(1, ("x"):rep(256 - #"string ")).ok)
    assert.matches("w.observe: n1: more than 256 bytes",
                   observing(1, ("x"):rep(257 - #"string ")).errors[1].message)
  end)

  it("delays operations at random, and chooses", function()
    local protocol = lab.protocol {words = {"x"}, roles = {
      function(w) w.observe("a", w.choose(2)) end,
      function(w)
        w.x = 1
        w.observe("b", w.choose(2))
      end,
    }}
    local result = go(protocol, {rounds = 200, delays = 3, seed = 7, keep = 20})
    local n = 0
    for _ in pairs(result.outcomes) do
      n = n + 1
    end
    assert.equal(4, n)
    all_accepted(protocol, result)
  end)

  it("kills at random moments: the next holder of a lock is told, by the role's number", function()
    local function role(w)
      local _, how, who = w.m:lock()
      w.n = w.n + 1
      w.n = w.n + 1
      if how then
        w.observe("dead", who)
      end
      w.m:unlock()
    end
    local protocol = lab.protocol {words = {"n"}, locks = {"m"}, roles = {role, role},
      finally = {some = function(s) return s.n > 0 or s.deaths > 1 end}}
    local rounds = support.rounds(150)
    local result = go(protocol, {rounds = rounds, kills = 2, delays = 30, keep = rounds})
    assert.is_true(result.ok, tostring(result))
    assert.equal(rounds, result.rounds)
    for outcome in pairs(result.outcomes) do
      assert.matches("^d?e?a?d?=?[12]?$", outcome)
    end
    local died = 0
    for _, trace in ipairs(result.traces) do
      died = died + (actions(trace).crash and 1 or 0)
    end
    assert.is_true(died <= result.killed)
    assert.is_true(result.killed == 0 or died > 0)
    all_accepted(protocol, result)
  end)

  it("has who was killed begin again, where the protocol says how", function()
    local protocol = lab.protocol {words = {"go", "n"}, restart = true, roles = {
      function(w)
        w.add("n", 1)
        w.await(function() return w.go == 1 end)
      end,
      {spared = true, run = function(w)
        w.await(function() return w.n > 0 end)
        w.go = 1
      end},
    }}
    local rounds = support.rounds(80)
    local result = go(protocol, {rounds = rounds, kills = 1, delays = 50, keep = rounds})
    assert.is_true(result.ok, tostring(result))
    assert.equal(rounds, result.rounds)
    for _, trace in ipairs(result.traces) do
      local seen = actions(trace)
      assert.equal(seen.crash == nil, seen.restart == nil)
    end
    all_accepted(protocol, result)
  end)

  it("ends a round in which nobody moves any more, and names who waits in what", function()
    local protocol = lab.protocol {words = {"x", "y"}, roles = {
      first = function(w) w.await(function() return w.x == 2 end) end,
      second = function(w)
        w.x = 1
        w.y = 1
      end,
    }}
    local result = go(protocol, {rounds = 3, timeout = STILL, keep = 2})
    assert.equal(3, result.stuck)
    assert.equal(3, result.rounds)
    assert.equal("stuck", result.verdict.kind)
    assert.equal(("stuck: nobody has moved for %g s, and not at their end: first"):format(STILL),
                 result.verdict.message)
    assert.same({1}, result.verdict.roles)
    assert.same({"await"}, result.trace.waiting)
    assert.matches("^3 rounds stuck\n", tostring(result))
    all_accepted(protocol, result)
    result = go(protocol, {rounds = 1, timeout = STILL, trace = false})
    assert.equal(1, result.stuck)
  end)

  it("sees that a loop which only reads does not move", function()
    local protocol = lab.protocol {words = {"x"}, roles = {function(w)
      while w.x == 0 do
        local _ = w.x
      end
    end}}
    local result = go(protocol, {rounds = 1, timeout = 0.3})
    assert.equal(1, result.stuck)
  end)

  it("does not wait for what goes on in the background", function()
    local protocol = lab.protocol {words = {"x"}, roles = {
      {background = true, run = function(w) w.await(function() return w.x == 9 end) end},
      function(w) w.x = 1 end,
    }}
    local result = go(protocol, {rounds = 5})
    assert.is_true(result.ok)
    assert.equal(5, result.rounds)
  end)

  it("keeps as many traces of right rounds, of wrong ones and errors as it was asked to", function()
    local function result_of(keep, role)
      local protocol = lab.protocol {words = {"x"}, roles = {role}, finally = {
        odd = function(s) return s.observed.n == 1 end,
      }}
      local result = go(protocol, {rounds = 40, keep = keep})
      local right, wrong = 0, 0
      for _, trace in ipairs(result.traces) do
        if trace.verdict then
          wrong = wrong + 1
        else
          right = right + 1
          assert(trace.round <= keep)
        end
      end
      return result, right, wrong
    end
    local function either(w) w.observe("n", w.choose(2)) end
    for _, keep in ipairs {0, 1, 5} do
      local result, right, wrong = result_of(keep, either)
      assert.equal(40, result.rounds)
      assert(result.broken["finally odd"] >= 5 and result.broken["finally odd"] < 40)
      assert(right <= keep)
      assert.equal(math.max(keep, 1), wrong)
      assert.same({"finally", "odd"}, {result.verdict.kind, result.verdict.name})
      result, right, wrong = result_of(keep, function() error "no" end)
      assert.same({0, math.max(keep, 1)}, {right, wrong})
      assert.equal(math.max(keep, 1), #result.errors)
    end
    local result, right = result_of(10, function(w) w.observe("n", 1) end)
    assert.same({true, 10}, {result.ok, right})
  end)

  it("reports what a role throws, with its traceback", function()
    local protocol = lab.protocol {words = {"x"}, roles = {
      function(w)
        w.x = 1
        error "what now"
      end,
      function(w) w.await(function() return w.x == 2 end) end,
    }}
    local result = go(protocol, {rounds = 2})
    assert.equal(2, result.rounds)
    assert.equal(0, result.stuck)
    assert.is_false(result.ok)
    assert.equal("error", result.verdict.kind)
    assert.matches("error in role 1: .*what now", result.errors[1].message)
    assert.matches("stack traceback:.*lab_run_spec", result.errors[1].message)
    assert.equal(1, result.errors[1].round)
    all_accepted(protocol, result)
  end)

  it("keeps in the log what was before a kill, and says when it fills up", function()
    local protocol = lab.protocol {words = {"x", "y"}, roles = {function(w)
      for i = 1, 100 do
        w.x = i
        w.y = i
      end
    end}}
    local result = go(protocol, {rounds = 2, log = 50})
    local trace = result.traces[1]
    assert.same({true}, trace.full)
    assert.equal(50, #trace.steps)
    assert.equal(25, trace.steps[50].args[1])
    assert.same({nil, "lab.accepts: undecided: a log had filled up"},
                {accepts(protocol, trace)})
    result = go(protocol, {rounds = 2, log = 200})
    assert.is_nil(result.traces[1].full)
    assert.equal(200, #result.traces[1].steps)
  end)

  it("writes times that all roles share", function()
    local protocol = lab.protocol {words = {"x"}, roles = {
      function(w) w.x = 1 end,
      function(w) w.await(function() return w.x == 1 end) end,
    }}
    for _, trace in ipairs(go(protocol, {rounds = 10}).traces) do
      local written, awaited
      for _, step in ipairs(trace.steps) do
        assert.is_true(step.start >= 0 and step.start <= step.finish)
        written = step.action == "write" and step or written
        awaited = step.action == "await" and step or awaited
      end
      assert.is_true(written.start <= awaited.finish)
      assert.equal("x = 1", written.text)
      assert.equal("x -> 1", awaited.text)
    end
  end)

  it("tells how far it is, and stops when its time is up", function()
    local seen = {}
    local protocol = lab.protocol {words = {"x"}, roles = {function(w) w.x = 1 end}}
    local seconds = 2 * math.min(support.patience, 4)
    local result = go(protocol, {rounds = 1000000000, seconds = seconds, progress = function(it)
      seen[#seen + 1] = it
    end})
    assert.is_true(result.ok)
    assert.is_true(#seen >= 2)
    assert.is_true(seen[#seen].last)
    for i, it in ipairs(seen) do
      assert.is_true(it.rounds >= (i > 1 and seen[i - 1].rounds or 0) and it.seconds > 0)
      assert.equal(it.rounds > 0, it.rate > 0)
    end
    assert.is_true(result.rounds > 0)
    assert.matches(("stopped at %d s$"):format(seconds), tostring(result))
  end)

  it("ends all processes at Ctrl-C, and gives what is known so far", function()
    local pids = process.socketpair()
    local here, there = process.socketpair()
    pids:close()
    local child = assert(process.fork(function()
      local protocol = lab.protocol {words = {"x"}, roles = {
        function(w) w.x = 1 end,
        function(w) w.await(function() return w.x == 1 end) end,
      }}
      local result = run(protocol, {rounds = 1000000000, progress = function(it)
        if not it.last and it.rounds > 0 then
          there:send "x"
        end
      end})
      process.exit(result.interrupted and result.ok and result.rounds > 0 and
                   support.children() == 0 and 42 or 1)
    end))
    assert.equal("x", here:recv(1, TIMEOUT))
    child:kill "INT"
    assert.same({"exit", 42}, {child:wait(TIMEOUT)})
    here:close()
    there:close()
  end)

  it("ends its processes, and leaves no name, when who runs it is killed", function()
    local here <close>, other = process.socketpair()
    local there <close> = other
    local function tell() there:send(("%8d"):format(process.pid())) end
    local child <close> = locks.child(function()
      run(lab.protocol {words = {"x"}, segments = {seg = {"flag"}}, roles = {
        function(w)
          w.seg:create()
          local kid = w.fork(function(v)
            tell()
            v.pause()
          end)
          tell()
          kid:wait()
        end,
        function(w)
          tell()
          w.wait("x", 0)
        end,
      }}, {rounds = 1, timeout = 3600})
    end)
    local pids = {}
    for i = 1, 3 do
      pids[i] = math.tointeger(tonumber((assert(here:recv(8, TIMEOUT)))))
    end
    local function names()
      return support.shell(("ls /dev/shm | grep -c '^shm-lab-%d-' || true"):format(child.pid))
    end
    assert.equal("1", names():match "%d+")
    child:kill "KILL"
    assert.is_false(child.ended())
    support.eventually(function()
      for _, pid in ipairs(pids) do
        if process.alive(pid) then
          return false
        end
      end
      return names():match "^0"
    end, TIMEOUT)
  end)

  it("refuses what makes no sense", function()
    local protocol = peterson()
    for message, options in pairs {
      ["lab.run: unknown option 'round'"] = {round = 1},
      ["lab.run: rounds: integer expected, got 1.5"] = {rounds = 1.5},
      ["lab.run: delays: -1 is not within 0 and 1000000"] = {delays = -1},
      ["lab.run: progress: true or a function expected, got number"] = {progress = 1},
    } do
      assert.has_error(function() run(protocol, options) end, message)
    end
  end)

  it("sees that three can be inside as well", function()
    local result = go(careless(), {rounds = support.rounds(30), trace = false})
    assert.is_true(result.broken["never two"] == nil or result.broken["never two"] > 0)
    assert.equal(0, result.stuck)
  end)

  it("says what the machine has too few of, at no line of its own", function()
    support.starved("lab%.run", [[
      local lab = require "shm.lab"
      local function nothing() end
      local protocol = lab.protocol {roles = {nothing, nothing}}
      local function call() return lab.run(protocol, {rounds = 2}) and nil end
    ]])
  end)
end)
