local accepts = require("shm.lab.accepts").accepts
local lab = require "shm.lab"
local run = require("shm.lab.run").run
local support = require "spec.support"

-- A step of a trace as run records it, of two roles "1" and "2"; the times are microseconds.
local function step(role, start, finish, action, object, args, results)
  return {role = role, action = action, object = object, start = start * 1e-6,
          finish = finish and finish * 1e-6, args = args or {n = 0}, results = results or {n = 0}}
end

local function read(role, start, finish, word, value)
  return step(role, start, finish, "read", word, nil, {n = 1, value})
end

local function write(role, start, finish, word, value)
  return step(role, start, finish, "write", word, {n = 1, value})
end

local function trace_of(steps)
  return {roles = {"1", "2"}, steps = steps}
end

local function refused(pattern, ok, message)
  assert.is_nil(ok)
  assert.matches(pattern, message)
end

local function buffering(fence)
  return lab.protocol {words = {"x", "y"}, roles = {
    function(w)
      w.x = 1
      if fence then
        w.fence()
      end
      local _ = w.y
    end,
    function(w)
      w.y = 1
      if fence then
        w.fence()
      end
      local _ = w.x
    end,
  }}
end

local passing = lab.protocol {words = {"data", "flag"}, roles = {
  function(w)
    w.data = 7
    w.flag = 1
  end,
  function(w)
    local _ = w.flag
    _ = w.data
  end,
}}

-- Both wrote, and both read 0, though they overlapped.
local function both_zero(fence)
  local steps = {write(1, 0, 2, "x", 1), write(2, 0, 2, "y", 1)}
  if fence then
    steps[3], steps[4] = step(1, 2, 3, "fence"), step(2, 2, 3, "fence")
  end
  steps[#steps + 1] = read(1, 3, 4, "y", 0)
  steps[#steps + 1] = read(2, 3, 4, "x", 0)
  return trace_of(steps)
end

describe("accepts", function()
  it("tells who sleeps from who found another value", function()
    local mailbox = lab.protocol {words = {"full"}, roles = {
      function(w)
        w.full = 1
        w.wake "full"
      end,
      function(w) w.wait("full", 0) end,
    }}
    local asleep = step(2, 1, 9, "wait", "full", {n = 1, 0}, {n = 1, true})
    assert(accepts(mailbox, trace_of {write(1, 2, 3, "full", 1),
      step(1, 4, 8, "wake", "full", nil, {n = 1, 1}), asleep}))
    assert(accepts(mailbox, trace_of {write(1, 2, 3, "full", 1),
      step(1, 4, 8, "wake", "full", nil, {n = 1, 0}), asleep}))
    refused("role 1, call 2, .*: in the model it gives [01]", accepts(mailbox, trace_of {
      write(1, 2, 3, "full", 1), step(1, 4, 8, "wake", "full", nil, {n = 1, 2}), asleep}))
  end)

  it("knows that who is woken for nothing sleeps on", function()
    local protocol = lab.protocol {words = {"x"}, roles = {
      function(w)
        w.wake "x"
        w.x = 1
        w.wake "x"
      end,
      function(w) w.wait("x", 0) end,
    }}
    local function wake(start, finish, n)
      return step(1, start, finish, "wake", "x", nil, {n = 1, n})
    end
    local trace = trace_of {wake(2, 3, 1), write(1, 4, 5, "x", 1), wake(6, 8, 1),
                            step(2, 1, 9, "wait", "x", {n = 1, 0}, {n = 1, true})}
    assert(accepts(protocol, trace))
    trace.steps[4].finish = 3.5e-6 -- before anything has changed
    refused("role 2, call 1", accepts(protocol, trace))
  end)

  it("allows under tso what a store buffer does, and not under sc", function()
    assert.is_true(accepts(buffering(), both_zero()))
    assert.is_true(accepts(buffering(), both_zero(), {memory = "tso"}))
    refused("lab%.accepts: role %d, call 2, ", accepts(buffering(), both_zero(),
                                                       {memory = "sc"}))
    refused("role %d, call", accepts(buffering(true), both_zero(true)))
  end)

  it("lets the order of what overlaps in time be any, and of the rest as it was", function()
    local early, late = trace_of {
      write(1, 0, 1, "data", 7), write(1, 1, 2, "flag", 1),
      read(2, 3, 4, "flag", 1), read(2, 4, 5, "data", 7),
    }, trace_of {
      read(2, 0, 1, "flag", 0), read(2, 1, 2, "data", 0),
      write(1, 3, 4, "data", 7), write(1, 4, 5, "flag", 1),
    }
    assert.is_true(accepts(passing, early))
    assert.is_true(accepts(passing, late))
    assert.is_true(accepts(passing, early, {memory = "sc"}))
    local between = trace_of {
      write(1, 0, 9, "data", 7), read(2, 0, 3, "flag", 0), read(2, 3, 9, "data", 7),
      write(1, 9, 10, "flag", 1),
    }
    assert.is_true(accepts(passing, between, {memory = "sc"}))
    local swapped = trace_of { -- what reads 1 had ended before it was written
      read(2, 0, 1, "flag", 1), read(2, 1, 2, "data", 7),
      write(1, 3, 4, "data", 7), write(1, 4, 5, "flag", 1),
    }
    refused("role 2, call 1, ", accepts(passing, swapped))
    refused("role 2, call 1, ", accepts(passing, swapped, {memory = "sc"}))
  end)

  it("refuses results, arguments and calls that are others", function()
    local steps = {write(1, 0, 1, "data", 7), write(1, 1, 2, "flag", 1),
                   read(2, 1, 3, "flag", 1), read(2, 3, 4, "data", 0)}
    refused("role 2, call 2, read", accepts(passing, trace_of(steps))) -- stores stay in order
    steps[4] = read(2, 3, 4, "data", 7)
    assert.is_true(accepts(passing, trace_of(steps)))
    steps[1] = write(1, 0, 1, "data", 8)
    refused("role 1, call 1, write: in the model it does data:write with 7",
            accepts(passing, trace_of(steps)))
    steps[1] = write(1, 0, 1, "flag", 7)
    refused("in the model it does data:write", accepts(passing, trace_of(steps)))
    steps[1] = write(1, 0, 1, "data", 7)
    steps[5] = read(2, 5, 6, "data", 7)
    refused("role 2, call 3, read: in the model it is at its end",
            accepts(passing, trace_of(steps)))
    table.remove(steps)
    table.remove(steps)
    refused("role 2, call 2: in the model it goes on, with data:read",
            accepts(passing, trace_of(steps)))
  end)

  it("takes the last pass of an await, and what was chosen", function()
    local protocol = lab.protocol {words = {"x", "y"}, roles = {
      function(w) w.await(function() return w.x == 1 and w.y == 2 end) end,
      function(w)
        local n = w.choose(3)
        w.y = n
        w.x = 1
      end,
    }}
    local function awaited(y, chosen)
      local first = step(1, 3, 4, "await", "x", nil, {n = 1, 1})
      first.parts = 2
      return trace_of {
        step(2, 0, 1, "choose", nil, {n = 1, 3}, {n = 1, chosen}),
        write(2, 1, 2, "y", chosen), write(2, 2, 3, "x", 1),
        first, step(1, 3, 4, "await", "y", nil, {n = 1, y}),
      }
    end
    assert.is_true(accepts(protocol, awaited(2, 2)))
    refused("role 1, call 1, await", accepts(protocol, awaited(3, 3)))
    refused("role 1, call 1, await", accepts(protocol, awaited(2, 3)))
  end)

  it("takes a death at any place, and what the kernel does then", function()
    local protocol = lab.protocol {words = {"n"}, locks = {"m"}, restart = true, roles = {
      function(w)
        w.m:lock()
        w.n = w.n + 1
        w.m:unlock()
      end,
      function(w) w.m:lock() end,
    }}
    local yes = {n = 1, true}
    local function died(told, unfinished)
      return trace_of {
        step(1, 0, 1, "lock", "m", nil, yes), read(1, 1, 2, "n", 0),
        write(1, 2, not unfinished and 3 or nil, "n", 1), step(1, 3, 10, "crash"),
        step(1, 11, 11, "restart"),
        step(2, 5, 20, "lock", "m", nil, told and {n = 3, true, "recovered", 1} or yes),
      }
    end
    local function cut(trace)
      trace.verdict = {kind = "stuck"}
      return trace
    end
    refused("role 1, call 6: in the model it goes on, with m:lock", accepts(protocol, died(true)))
    local waiting = died(true)
    waiting.steps[7] = step(1, 12, nil, "lock", "m")
    assert.is_true(accepts(protocol, cut(waiting)))
    waiting = died(true, true)
    waiting.steps[7] = step(1, 12, nil, "lock", "m")
    assert.is_true(accepts(protocol, cut(waiting)))
    waiting = died(false)
    waiting.steps[7] = step(1, 12, nil, "lock", "m")
    refused("role 2, call 1, lock: ", accepts(protocol, cut(waiting)))
  end)

  it("asks of a round that stood still that the model stands still, too", function()
    local protocol = lab.protocol {words = {"x"}, roles = {
      function(w) w.await(function() return w.x == 1 end) end,
      function(w) w.x = 1 end,
    }}
    local trace = trace_of {step(1, 0, nil, "await"), write(2, 0, 1, "x", 1)}
    trace.verdict = {kind = "stuck"}
    refused("role 1, call 1, await: in the model it goes on", accepts(protocol, trace))
    local never = lab.protocol {words = {"x"}, roles = {
      function(w) w.await(function() return w.x == 2 end) end,
      function(w) w.x = 1 end,
    }}
    assert.is_true(accepts(never, trace))
  end)

  it("gives up at its bound, and says so", function()
    refused("^lab%.accepts: undecided after %d+ steps: role", accepts(buffering(), both_zero(),
                                                                     {memory = "sc", steps = 3}))
    refused("^lab%.accepts: undecided after %d+ steps$", accepts(buffering(), both_zero(),
                                                                {memory = "sc", steps = 1}))
    local trace = both_zero()
    trace.full = {true}
    refused("undecided: a log had filled up", accepts(buffering(), trace))
  end)

  it("accepts what real processes did, and nothing that was changed in it", function()
    local protocol = lab.protocol {words = {"n", "x"}, locks = {"m"}, roles = {
      function(w)
        w.m:lock()
        w.n = w.n + 1
        w.m:unlock()
        w.add("x", 2)
      end,
      function(w)
        w.m:lock()
        w.n = w.n + 1
        w.m:unlock()
        w.observe("n", w.n)
        w.cas("x", 2, 3)
      end,
    }}
    local rounds = support.rounds(60)
    local result = run(protocol, {rounds = rounds, keep = rounds, delays = 5,
                                  timeout = support.LONG})
    assert.is_true(result.ok)
    assert.equal(rounds, #result.traces)
    for _, trace in ipairs(result.traces) do
      assert(accepts(protocol, trace))
      for _, one in ipairs(trace.steps) do
        if one.action == "read" then
          one.results[1] = one.results[1] + 5
          refused("role %d, call %d", accepts(protocol, trace))
          one.results[1] = one.results[1] - 5
        end
      end
      -- Who took the lock first has done all of it after the other one: that does not fit.
      local first
      for _, one in ipairs(trace.steps) do
        first = one.action == "read" and one.results[1] == 0 and one.role or first
      end
      for _, one in ipairs(trace.steps) do
        if one.role == first then
          one.start, one.finish = one.start + 1, one.finish + 1
        end
      end
      refused("role %d, call %d", accepts(protocol, trace))
    end
  end)

  it("refuses what makes no sense", function()
    assert.has_error(function() accepts({}, both_zero()) end,
      "lab.accepts: shm.lab.protocol expected, got table")
    assert.has_error(function() accepts(passing, 1) end, "lab.accepts: trace expected, got number")
    assert.has_error(function() accepts(passing, both_zero(), {memory = "arm"}) end,
      "lab.accepts: memory: 'sc' or 'tso' expected, got 'arm'")
    assert.has_error(function() accepts(passing, {roles = {"1"}, steps = {{role = 1}}}) end,
      "lab.accepts: step 1 has no time: lab.run records traces that have")
  end)
end)
