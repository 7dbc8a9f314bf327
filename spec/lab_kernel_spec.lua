-- The model of what the kernel gives: queues, topics, signals, segments, forks and a clock.
local differential = require "spec.lab.differential"
local kits = require "spec.lab.kernel_kits"
local lab = require "shm.lab"
local support = require "spec.support"

local ENOENT <const>, ESRCH <const>, ECHILD <const>, EAGAIN <const> = 2, 3, 10, 11
local ENOSPC <const>, EPIPE <const>, EDEADLK <const> = 28, 32, 35
local ETIMEDOUT <const> = 110

-- A value, or the errno where there is none.
local function got(value, _, errno)
  return errno or value
end

local function list_of(set)
  local list = {}
  for name in pairs(set) do
    list[#list + 1] = name
  end
  table.sort(list)
  return list
end

-- All that a protocol that is right can come to.
local function outcomes(given, options)
  local result = lab.check(lab.protocol(given), options)
  assert(result.ok, tostring(result))
  assert.is_true(result.exhaustive)
  return list_of(result.outcomes)
end

local function verdict(given, options)
  local protocol = lab.protocol(given)
  local result = lab.check(protocol, options)
  assert.is_false(result.ok, tostring(result))
  local trace = assert(lab.replay(protocol, result.schedule))
  assert.same(result.verdict, trace.verdict)
  return result.verdict.kind, result.verdict.message, result
end

local function is_right(given, options)
  local result = lab.check(lab.protocol(given), options)
  assert(result.ok and result.exhaustive, tostring(result))
end

-- What the steps of a trace say.
local function texts(given, schedule)
  local trace = assert(lab.replay(lab.protocol(given), schedule))
  local list = {}
  for i, step in ipairs(trace.steps) do
    list[i] = step.text
  end
  return list, trace
end

local function compare(rounds, ...)
  local sum = differential.run {kits = {...}, from = 1, to = support.rounds(rounds), most = 60}
  assert.same({}, sum.failures)
  assert(sum.compared > 0 or support.rounds(rounds) < rounds)
end

describe("a queue of the model", function()
  it("gives messages in order, and blocks at its capacity", function()
    local given = {
      queues = {q = {capacity = 2}},
      roles = {
        function(w) for i = 1, 4 do assert(w.q:push(i)) end end,
        function(w)
          for i = 1, 4 do
            w.observe("m" .. i, w.q:pop())
          end
        end,
      },
      never = {too_many = function(s) return s.q.length > 2 end},
    }
    assert.same({"m1=1 m2=2 m3=3 m4=4"}, outcomes(given))
    given.never.full = function(s) return s.q.length == 2 end
    assert.equal("never", (verdict(given)))
  end)

  it("gives each message to one, whoever is first", function()
    assert.same({"a=1 b=2", "a=2 b=1"}, outcomes {
      queues = {"q"},
      roles = {
        function(w) w.q:push(1); w.q:push(2) end,
        function(w) w.observe("a", w.q:pop()) end,
        function(w) w.observe("b", w.q:pop()) end,
      },
    })
  end)

  it("may expire where there is a time-out", function()
    assert.same({"a=1", "a=110"}, outcomes {
      queues = {"q"},
      roles = {
        function(w) w.q:push(1) end,
        function(w) w.observe("a", got(w.q:pop(1))) end,
      },
    })
    assert.same({("a=%d"):format(ETIMEDOUT), "a=true"}, outcomes {
      queues = {q = {capacity = 1}},
      roles = {
        function(w) w.q:push(1); w.observe("a", got(w.q:push(2, 1))) end,
        function(w) w.q:pop() end,
      },
    })
  end)

  it("is looked at, rejects, and is shut down", function()
    assert.same({("a=%d b=1 c=1 d=1 e=%d f=%d g=%d"):format(ENOSPC, EPIPE, EPIPE, EAGAIN)},
                outcomes {
      queues = {q = {capacity = 1, overflow = "reject"}, empty = {}},
      roles = {function(w)
        w.observe("g", got(w.empty:peek()))
        w.q:push(1)
        w.observe("a", got(w.q:push(2)))
        w.observe("b", w.q:peek())
        w.observe("c", #w.q)
        w.q:shutdown()
        w.observe("d", w.q:pop())
        w.observe("e", got(w.q:pop()))
        w.observe("f", got(w.q:push(3)))
      end},
    })
  end)

  it("lets go of all who wait when it is shut down", function()
    assert.same({("a=%d b=%d"):format(EPIPE, EPIPE)}, outcomes {
      queues = {"q", full = {capacity = 1}},
      words = {"filled"},
      roles = {
        function(w) w.full:push(1); w.filled = 1; w.full:shutdown(); w.q:shutdown() end,
        function(w) w.observe("a", got(w.q:pop())) end,
        function(w)
          w.await(function() return w.filled == 1 end)
          w.observe("b", got(w.full:push(2)))
        end,
      },
    })
  end)

  it("carries copies of what can be a value", function()
    assert.same({"a=1 b=nil"}, outcomes {
      queues = {"q"},
      roles = {function(w)
        local list = {1}
        w.q:push(list)
        list[1] = 2
        w.observe("a", w.q:pop()[1])
        w.q:push(nil)
        w.observe("b", tostring(w.q:pop()))
      end},
    })
    local kind, message = verdict {queues = {"q"}, roles = {function(w) w.q:push(print) end}}
    assert.equal("error", kind)
    assert.matches("lab_kernel_spec.lua:%d+: queue.push 'q': .*function", message)
  end)

  it("loses nothing but what the dead had taken", function()
    assert.same({"a=1", "a=110"}, outcomes({
      queues = {"q"},
      roles = {
        {spared = true, run = function(w) w.q:push(1) end},
        function(w) w.q:pop(1) end,
        {spared = true, run = function(w) w.observe("a", got(w.q:pop(1))) end},
      },
    }, {crashes = 1}))
  end)

  it("shows who never gets a message", function()
    local kind, message = verdict {
      queues = {"q"},
      roles = {function(w) w.q:push(1) end, function(w) w.q:pop(); w.q:pop() end},
    }
    assert.equal("deadlock", kind)
    assert.matches("2 waits in q:pop%(%)", message)
  end)

  it("refuses options that make no sense", function()
    for _, options in ipairs {{capacity = 0}, {overflow = "drop"}, {size = 1}, 5} do
      assert.has_error(function()
        lab.protocol {queues = {q = options}, roles = {function() end}}
      end)
    end
  end)

  it("comes to the same ends with the reduction and without", function()
    compare(50, kits.queues)
    compare(30, kits.queues, differential.words)
  end)
end)

describe("a topic of the model", function()
  it("gives each subscriber all messages, in one order", function()
    assert.same({"a=1,2 b=1,2", "a=2,1 b=2,1"}, outcomes {
      topics = {"t"},
      words = {"ready"},
      roles = {
        function(w)
          w.await(function() return w.ready == 2 end)
          w.t:publish(1)
        end,
        function(w)
          local s = w.t:subscribe()
          w.add("ready", 1)
          w.observe("a", s:next() .. "," .. s:next())
        end,
        function(w)
          local s = w.t:subscribe()
          w.add("ready", 1)
          w.await(function() return w.ready == 2 end)
          w.t:publish(2)
          w.observe("b", s:next() .. "," .. s:next())
        end,
      },
    })
  end)

  it("begins with the oldest that is there, or the newest", function()
    assert.same({"a=2 b=110 c=2"}, outcomes {
      topics = {t = {capacity = 2}},
      roles = {function(w)
        w.t:publish(1); w.t:publish(2); w.t:publish(3)
        w.observe("a", w.t:subscribe{from = "oldest"}:next())
        w.observe("b", got(w.t:subscribe():next(0)))
        w.observe("c", #w.t)
      end},
    })
  end)

  it("waits for the slowest where it blocks", function()
    local function protocol(reads)
      return {
        topics = {t = {capacity = 1}},
        words = {"ready"},
        roles = {
          function(w)
            w.await(function() return w.ready == 1 end)
            w.t:publish(1)
            w.observe("second", got(w.t:publish(2, 1)))
          end,
          {background = true, run = function(w)
            local s = w.t:subscribe()
            w.ready = 1
            for _ = 1, reads do
              s:next()
            end
            w.await(function() return w.ready == 2 end)
          end},
        },
      }
    end
    assert.same({"second=110"}, outcomes(protocol(0)))
    assert.same({"second=110", "second=true"}, outcomes(protocol(1)))
  end)

  it("is not in the way of who has died, or come to its end", function()
    local given = {
      topics = {t = {capacity = 1}},
      words = {"ready"},
      roles = {
        {spared = true, run = function(w)
          w.await(function() return w.ready == 1 end)
          w.t:publish(1)
          w.t:publish(2)
        end},
        {background = true, run = function(w)
          w.t:subscribe()
          w.ready = 1
          w.await(function() return w.ready == 2 end)
        end},
      },
    }
    local kind, message = verdict(given, {crashes = 1})
    assert.equal("deadlock", kind)
    assert.matches("1 waits in t:publish%(2%)", message)
    given.roles[2] = {run = function(w)
      w.t:subscribe()
      w.ready = 1
    end, restart = function(w) w.ready = 1 end}
    is_right(given, {crashes = 1})
    assert.same({"died=true second=110", "died=true second=true", "second=110", "second=true"},
                outcomes({
      topics = {t = {capacity = 1}},
      words = {"ready"},
      roles = {
        {spared = true, run = function(w)
          w.await(function() return w.ready > 0 end)
          w.t:publish(1)
          w.observe("second", got(w.t:publish(2, 1)))
        end},
        {run = function(w)
          w.t:subscribe()
          w.ready = 1
        end, restart = function(w) w.observe("died", true); w.ready = 2 end},
      },
    }, {crashes = 1}))
  end)

  it("says what a slow subscriber has lost where it drops", function()
    assert.same({"a=2 b=1 c=0 d=2"}, outcomes {
      topics = {t = {capacity = 2, overflow = "drop"}},
      roles = {function(w)
        local s = w.t:subscribe()
        for i = 1, 3 do
          w.t:publish(i)
        end
        w.observe("b", s:lost())
        w.observe("d", #s)
        w.observe("a", s:next())
        s:next()
        w.observe("c", #s)
      end},
    })
  end)

  it("tells a publisher that is in its own way", function()
    assert.same({("a=%d b=%d"):format(EDEADLK, ETIMEDOUT)}, outcomes {
      topics = {t = {capacity = 1}},
      roles = {function(w)
        local _ = w.t:subscribe()
        w.t:publish(1)
        w.observe("a", got(w.t:publish(2)))
        w.observe("b", got(w.t:publish(2, 0)))
      end},
    })
  end)

  it("has subscribers of one process each", function()
    local kind, message = verdict {
      topics = {"t"},
      roles = {function(w)
        local s = w.t:subscribe()
        w.fork(function() s:try() end):wait()
      end},
    }
    assert.equal("error", kind)
    assert.matches("error in role 1%.1: .*lab_kernel_spec.lua:%d+: .*another process's", message)
    assert.matches("closed", select(2, verdict {topics = {"t"}, roles = {function(w)
      local s = w.t:subscribe()
      s:close()
      s:next()
    end}}))
  end)

  it("comes to the same ends with the reduction and without", function()
    compare(50, kits.topics)
    compare(15, kits.topics, kits.forks)
  end)
end)

describe("signals of the model", function()
  local function exchange(wait, before)
    return {
      words = {"server", "client"},
      roles = {
        server = function(w)
          if before then
            before(w)
          end
          w.server = w.role
          wait(w)
          w.kill(w.client, "USR2")
        end,
        client = function(w)
          if before then
            before(w)
          end
          w.await(function() return w.server ~= 0 end)
          w.client = w.role
          w.fence()
          w.kill(w.server, "USR1")
          wait(w)
        end,
      },
    }
  end

  it("are lost where they come before pause", function()
    local kind, message, result = verdict(exchange(function(w) w.pause() end))
    assert.equal("lost wake-up", kind)
    assert.matches("sleeps in pause%(%), and nobody can wake it any more", message)
    local step = tonumber(message:match "a wake%-up came in step (%d+)")
    assert.equal(step, result.verdict.missed)
    assert.equal("kill(server, USR1)", result.trace.steps[step].text)
    assert.equal("kill", result.trace.steps[step].action)
  end)

  it("are lost between a look and pause, too", function()
    assert.equal("lost wake-up", (verdict(exchange(function(w)
      if w.handled(w.name == "server" and "USR1" or "USR2") == 0 then
        w.pause()
      end
    end))))
  end)

  it("are not lost where they are blocked, and waited for", function()
    for _, memory in ipairs {"sc", "tso"} do
      is_right(exchange(function(w) w.sigwait(w.name == "server" and "USR1" or "USR2") end,
                        function(w) w.block("USR1", "USR2") end), {memory = memory})
    end
  end)

  it("wake who pauses, once", function()
    assert.same({"", "a=1", "a=2"}, outcomes {
      roles = {
        {background = true, run = function(w)
          w.pause()
          w.observe("a", w.handled "USR1")
          w.pause()
          w.pause()
        end},
        function(w) w.kill(1, "USR1"); w.kill(1, "USR1") end,
      },
    })
  end)

  it("are pending once, and the lowest is taken first", function()
    assert.same({"a=USR1 b=USR2 c=110 d=0"}, outcomes {
      words = {"blocked", "sent"},
      roles = {
        function(w)
          w.block("USR1", "USR2")
          w.blocked = 1
          w.await(function() return w.sent == 1 end)
          w.observe("a", w.sigwait("USR1", "USR2"))
          w.observe("b", w.sigwait("USR1", "USR2"))
          w.observe("c", got(w.sigwait("USR1", "USR2", 1)))
          w.observe("d", w.handled "USR1" + w.handled "USR2")
        end,
        function(w)
          w.await(function() return w.blocked == 1 end)
          w.kill(1, "USR2")
          w.kill(1, "USR1")
          w.kill(1, "USR1")
          w.sent = 1
        end,
      },
    })
  end)

  it("are handled when they are unblocked", function()
    assert.same({"a=0 b=1 c=2"}, outcomes {
      roles = {function(w)
        w.block "USR1"
        w.kill(w.role, "USR1")
        w.kill(w.role, "USR1")
        w.observe("a", w.handled "USR1")
        w.unblock "USR1"
        w.observe("b", w.handled "USR1")
        w.kill(w.role, "USR1")
        w.observe("c", w.handled "USR1")
      end},
    })
  end)

  it("kill at any moment after they are sent, and not before", function()
    local given = {
      words = {"x"},
      roles = {
        function(w) w.x = 1; w.x = 2; w.observe("end", true) end,
        function(w) w.await(function() return w.x > 0 end); w.kill(1, "KILL") end,
      },
      observe = {"x"},
    }
    assert.same({"end=true x=2", "x=1", "x=2"}, outcomes(given))
    given.roles[2] = function(w) w.kill(2, "KILL"); w.x = 3 end
    given.never = {three = function(s) return s.x == 3 end}
    is_right(given)
  end)

  it("say when there is nobody", function()
    assert.same({("a=true b=%d c=%d"):format(ESRCH, ESRCH)}, outcomes {
      words = {"gone"},
      roles = {
        function(w)
          local child = w.fork(function() end)
          w.observe("a", got(child:kill "KILL"))
          child:wait()
          w.observe("b", got(w.kill(child.role, "USR1")))
          w.observe("c", got(child:kill "USR1"))
        end,
      },
    })
  end)

  it("refuse what makes no sense", function()
    local function message(f)
      local kind, text = verdict {roles = {f}}
      assert.equal("error", kind)
      assert.matches("lab_kernel_spec.lua:%d+: ", text)
      return text
    end
    assert.matches("USR1 is not blocked", message(function(w) w.sigwait "USR1" end))
    assert.matches("'USR1' or 'USR2' expected", message(function(w) w.block "KILL" end))
    assert.matches("'USR1' or 'USR2' expected", message(function(w) w.sigwait() end))
    assert.matches("'KILL' expected, got HUP", message(function(w) w.kill(1, "HUP") end))
    assert.matches("role expected, got nobody", message(function(w) w.kill("nobody", "USR1") end))
  end)

  it("come to the same ends with the reduction and without", function()
    compare(60, kits.signals)
    compare(30, kits.signals, kits.clocks)
  end)
end)

describe("a segment of the model", function()
  local function writer(w)
    assert(w.seg:create())
    w.seg:truncate()
    local at = w.seg:attach()
    at.data = 1
    at.flag = 1
  end

  it("is there once, and not before", function()
    assert.same({"a=17 b=true c=2", "a=17 b=true c=true", "a=true b=17 c=2", "a=true b=17 c=true"},
                outcomes {
      segments = {seg = {"x"}},
      words = {"done"},
      roles = {
        a = function(w) w.observe("a", got(w.seg:create())); w.add("done", 1) end,
        b = function(w) w.observe("b", got(w.seg:create())); w.add("done", 1) end,
        c = function(w)
          w.observe("c", got(w.seg:open()))
          w.await(function() return w.done == 2 end)
          assert(w.seg:unlink())
          assert(got(w.seg:unlink()) == ENOENT)
        end,
      },
    })
  end)

  it("has no bytes before it is truncated", function()
    assert.same({"a=0 b=16 c=0"}, outcomes {
      segments = {seg = {"flag", "data"}},
      roles = {function(w)
        w.seg:create()
        w.observe("a", w.seg:size())
        w.seg:truncate()
        w.observe("b", w.seg:size())
        local at = w.seg:attach()
        at.data = 1
        w.seg:truncate()
        w.observe("c", at.flag)
        w.seg:unlink()
      end},
    })
  end)

  it("is attached too early where the reader finds the name without the size", function()
    local given = {
      segments = {seg = {"flag", "data"}},
      words = {"made"},
      roles = {
        writer = function(w)
          w.seg:create()
          w.made = 1
          w.seg:truncate()
          local at = w.seg:attach()
          at.data = 1
          at.flag = 1
        end,
        reader = function(w)
          w.await(function() return w.made == 1 end)
          assert(w.seg:open())
          local at = w.seg:attach()
          w.await(function() return at.flag == 1 end)
          w.observe("data", at.data)
          w.seg:unlink()
        end,
      },
    }
    local kind, message, result = verdict(given)
    assert.equal("error", kind)
    assert.matches("role reader: .*lab_kernel_spec.lua:%d+: SIGBUS: seg.flag is touched", message)
    local list = texts(given, result.schedule)
    assert.equal("seg.flag -> SIGBUS", list[#list])
    given.roles.reader = function(w)
      w.await(function() return w.made == 1 end)
      w.seg:open()
      w.seg:attach().data = 1
      w.seg:unlink()
    end
    kind, message, result = verdict(given, {memory = "tso"})
    assert.equal("error", kind)
    assert.matches("SIGBUS: seg.data", message)
    list = texts(given, result.schedule)
    assert.equal("seg.data = 1: SIGBUS", list[#list])
  end)

  it("is read whole where its size and what is in it are waited for", function()
    for _, memory in ipairs {"sc", "tso"} do
      assert.same({"data=1"}, outcomes({
        segments = {seg = {"flag", "data"}},
        words = {"ready"},
        roles = {
          writer = function(w) writer(w); w.ready = 1 end,
          reader = function(w)
            w.await(function() return w.ready == 1 end)
            assert(w.seg:open())
            local at = w.seg:attach()
            w.await(function() return at.flag == 1 end)
            w.observe("data", at.data)
            w.seg:unlink()
          end,
        },
      }, {memory = memory}))
    end
  end)

  it("has words as any, behind store buffers", function()
    local function role(mine, other, fence)
      return function(w)
        w.await(function() return w.ready == 1 end)
        w.seg:open()
        local at = w.seg:attach()
        at[mine] = 1
        if fence then
          w.fence()
        end
        w.observe(mine, at[other])
      end
    end
    local function given(fence)
      return {
        segments = {seg = {"x", "y"}},
        words = {"ready", "over"},
        roles = {
          function(w)
            w.seg:create()
            w.seg:truncate()
            w.ready = 1
          end,
          function(w) role("x", "y", fence)(w); w.add("over", 1) end,
          function(w) role("y", "x", fence)(w); w.add("over", 1) end,
          function(w) w.await(function() return w.over == 2 end); w.seg:unlink() end,
        },
      }
    end
    local sc = {"x=0 y=1", "x=1 y=0", "x=1 y=1"}
    assert.same(sc, outcomes(given()))
    assert.same({"x=0 y=0", table.unpack(sc)}, outcomes(given(), {memory = "tso"}))
    assert.same(sc, outcomes(given(true), {memory = "tso"}))
  end)

  it("is made anew after it was unlinked, and stays for who has it", function()
    local given = {
      segments = {seg = {"x"}},
      roles = {function(w)
        w.seg:create()
        w.seg:truncate()
        local old = w.seg:attach()
        old.x = 1
        w.seg:unlink()
        w.observe("gone", got(w.seg:open()))
        w.seg:create()
        w.seg:truncate()
        local new = w.seg:attach()
        w.observe("new", new.x)
        new.x = 2
        w.observe("old", old.x)
        w.seg:unlink()
      end},
    }
    for _, memory in ipairs {"sc", "tso"} do
      assert.same({"gone=2 new=0 old=1"}, outcomes(given, {memory = memory}))
    end
  end)

  it("is left behind by who dies, or forgets it", function()
    local kind, message = verdict {
      segments = {seg = {"x"}},
      roles = {function(w) w.seg:create() end},
    }
    assert.equal("left behind", kind)
    assert.equal("left behind: segment 'seg': its name is there", message)
    local given = {
      segments = {seg = {"x"}},
      roles = {function(w) w.seg:create(); w.seg:unlink() end},
    }
    is_right(given)
    assert.equal("left behind", (verdict(given, {crashes = 1})))
    given.restart = function(w) w.seg:unlink() end
    is_right(given, {crashes = 1})
  end)

  it("refuses what makes no sense", function()
    local function message(f)
      return select(2, verdict {segments = {seg = {"x"}}, roles = {f}})
    end
    assert.matches("lab_kernel_spec.lua:%d+: segment: it has to create or open it first",
                   message(function(w) w.seg:truncate() end))
    assert.matches("create or open it first", message(function(w) w.seg:attach() end))
    assert.matches("has no word 'y'", message(function(w) w.seg:create(); w.seg:attach().y = 1 end))
    assert.matches("seg.x: a word holds an integer, got string", message(function(w)
      w.seg:create()
      w.seg:attach().x = "1"
    end))
    for _, words in ipairs {{}, {1}, {"x", "x"}, "x"} do
      assert.has_error(function()
        lab.protocol {segments = {seg = words}, roles = {function() end}}
      end)
    end
  end)

  it("comes to the same ends with the reduction and without", function()
    compare(40, kits.segments)
    compare(15, kits.segments, kits.forks)
  end)
end)

describe("roles that fork", function()
  it("wait for their children, and hear how these ended", function()
    assert.same({"a=exit 0 b=signal KILL"}, outcomes {
      words = {"x"},
      roles = {function(w)
        local child = w.fork(function() w.x = 1 end)
        local how, code = child:wait()
        w.observe("a", how .. " " .. code)
        assert(w.x == 1 and child:wait() == how and not child:alive())
        child = w.fork(function() w.await(function() return w.x == 2 end) end)
        assert(child:alive() and child:kill "KILL")
        how, code = child:wait()
        w.observe("b", how .. " " .. code)
      end},
    })
  end)

  it("find a child that was killed killed, if it was before its end", function()
    assert.same({"how=exit x=2", "how=signal x=0", "how=signal x=1", "how=signal x=2"}, outcomes({
      words = {"x"},
      roles = {function(w)
        local child = w.fork(function() w.x = 1; w.x = 2 end)
        child:kill "KILL"
        w.observe("how", (child:wait()))
        w.observe("x", w.x)
      end},
    }))
  end)

  it("hear of children that crash", function()
    assert.same({"how=exit", "how=signal"}, outcomes({
      roles = {{run = function(w)
        local child = w.fork(function() w.note "works" end)
        w.observe("how", (child:wait()))
      end, restart = function(w) w.observe("how", "exit") end}},
    }, {crashes = 1}))
  end)

  it("see all that a child has stored before its end", function()
    is_right({
      words = {"x"},
      roles = {function(w)
        w.fork(function() w.x = 1 end):wait()
        assert(w.x == 1)
      end},
    }, {memory = "tso"})
    assert.equal("error", (verdict({
      words = {"x", "done"},
      roles = {function(w)
        w.fork(function() w.x = 1 end)
        assert(w.x == 1)
      end},
    }, {memory = "tso"})))
  end)

  it("give a child a copy of what they have", function()
    assert.same({"child=1,2,2 parent=3,1,1 role=2,1"}, outcomes {
      roles = {function(w)
        local n, list = 1, {1}
        local function count() list[1] = list[1] + 1; return list[1] end
        local parent = w.role
        local child = w.fork(function(mine)
          w.observe("role", mine.role .. "," .. parent)
          assert(w == mine)
          w.observe("child", n .. "," .. count() .. "," .. list[1])
          n = 2
        end)
        child:wait()
        n = n + 2
        w.observe("parent", n .. "," .. list[1] .. "," .. #list)
      end},
    })
  end)

  it("give a child their mask and descriptors, and nothing that is pending", function()
    assert.same({"a=110 b=1 c=USR1"}, outcomes {
      segments = {seg = {"x"}},
      roles = {function(w)
        w.block "USR1"
        w.kill(w.role, "USR1")
        w.seg:create()
        w.seg:truncate()
        w.fork(function()
          w.observe("a", got(w.sigwait("USR1", 1)))
          local at = w.seg:attach()
          at.x = 1
          w.observe("b", at.x)
        end):wait()
        w.observe("c", w.sigwait "USR1")
        w.seg:unlink()
      end},
    })
  end)

  it("number their children as they are born, and name them", function()
    assert.same({"a.1=3 child=4", "a.1=4 child=3"}, outcomes {
      roles = {
        a = function(w) w.fork(function(mine) mine.observe(mine.name, mine.role) end) end,
        b = function(w)
          w.fork(function(mine) mine.observe(mine.name, mine.role) end, "child")
        end,
      },
    })
  end)

  it("take their time-outs, and wait for their own children only", function()
    assert.same({("a=%d b=%d"):format(ETIMEDOUT, ECHILD), ("a=exit b=%d"):format(ECHILD)},
                outcomes {
      roles = {function(w)
        local child = w.fork(function() w.note "works" end)
        w.fork(function() w.observe("b", got(child:wait())) end):wait()
        w.observe("a", got(child:wait(1)))
      end},
    })
  end)

  it("leave zombies while they go on, and none once they have ended", function()
    local given = {
      words = {"x"},
      roles = {{background = true, run = function(w)
        w.fork(function() end)
        w.await(function() return w.x == 1 end)
      end}},
    }
    local kind, message = verdict(given)
    assert.equal("left behind", kind)
    assert.equal("left behind: 1.1 has ended, and 1 goes on and does not wait for it", message)
    given.roles[1] = function(w) w.fork(function() end) end
    is_right(given)
    is_right(given, {crashes = 1})
  end)

  it("wait in vain for a child that waits in vain", function()
    local kind, message = verdict {
      words = {"x"},
      roles = {function(w) w.fork(function() w.pause() end, "idle"):wait() end},
    }
    assert.equal("lost wake-up", kind)
    assert.matches("idle sleeps in pause%(%)", message)
    kind, message = verdict {
      queues = {"q"},
      roles = {function(w) w.fork(function() w.q:pop() end, "idle"):wait() end},
    }
    assert.equal("deadlock", kind)
    assert.matches("1 waits in idle:wait%(%); idle waits in q:pop%(%)", message)
  end)

  it("are as many as there can be", function()
    local kind, message = verdict {roles = {function(w)
      for _ = 1, 16 do
        w.fork(function() end):wait()
      end
    end}}
    assert.equal("error", kind)
    assert.matches("lab_kernel_spec.lua:%d+: w.fork: too many roles", message)
  end)

  it("come to the same ends with the reduction and without", function()
    compare(25, kits.forks)
    compare(15, kits.forks, kits.signals, differential.words)
  end)
end)

describe("the clock of the model", function()
  it("goes on by sleeping and by time-outs", function()
    assert.same({"a=0.0 b=1.5 c=3.5"}, outcomes {
      queues = {"q"},
      roles = {function(w)
        w.observe("a", w.now())
        w.sleep(1.5)
        w.observe("b", w.now())
        w.q:pop(2)
        w.observe("c", w.now())
      end},
    })
    assert.same({"a=1.0", "a=3.0"}, outcomes {
      roles = {
        function(w) w.sleep(1); w.observe("a", w.now()) end,
        function(w) w.sleep(2) end,
      },
    })
  end)

  it("orders nobody", function()
    assert.equal("finally", (verdict {
      words = {"x"},
      roles = {function(w) w.sleep(9); w.x = 1 end, function(w) w.x = 2 end},
      finally = {last = function(s) return s.x == 1 end},
    }))
  end)

  it("comes to the same ends with the reduction and without", function()
    compare(30, kits.clocks, kits.queues)
  end)
end)

describe("loops that ask again and again", function()
  it("wait for what they ask for", function()
    is_right {
      segments = {seg = {"flag"}},
      roles = {
        writer = function(w) w.seg:create(); w.seg:truncate(); w.seg:attach().flag = 1 end,
        reader = function(w)
          while not w.seg:open() do
            w.sleep(0.1)
          end
          while w.seg:size() == 0 do
            w.sleep(0.1)
          end
          local at = w.seg:attach()
          w.await(function() return at.flag == 1 end)
          w.seg:unlink()
        end,
      },
    }
    assert.same({"v=1"}, outcomes {
      queues = {"q"},
      roles = {
        function(w) w.q:push(1) end,
        function(w)
          local v
          repeat
            v = w.q:pop(0.5)
          until v
          w.observe("v", v)
        end,
      },
    })
    is_right {roles = {function(w)
      local child = w.fork(function(mine)
        while mine.handled "USR1" == 0 do
          mine.sleep(1)
        end
      end)
      w.kill(child.role, "USR1")
      while child:alive() do
        w.sleep(1)
      end
      assert(child:wait(0))
    end}}
  end)

  it("are found where nobody answers any more", function()
    local kind, message = verdict {queues = {"q"}, roles = {function(w)
      while not w.q:pop(1) do
        w.sleep(1)
      end
    end}}
    assert.equal("no progress", kind)
    assert.matches("1 spins in a loop that asks q:pop%(%) again and again", message)
    kind, message = verdict {roles = {function(w)
      while w.handled "USR1" == 0 do
        w.sleep(1)
      end
    end}}
    assert.equal("no progress", kind)
    assert.matches("asks handled%(%) again", message)
  end)
end)

describe("the textbook's chat in the laboratory", function()
  -- Each child has one line of its own, and tells the others in a queue that it has written.
  local function chat(roles, queues)
    return {words = {"line"}, queues = queues, roles = roles}
  end

  it("overwrites a line before others have read it", function()
    local given = chat({
      writer = function(w)
        for line = 1, 2 do
          w.line = line
          w.told:push(true)
        end
      end,
      reader = function(w)
        for line = 1, 2 do
          w.told:pop()
          local read = w.line
          w.observe("line" .. line, read)
        end
      end,
    }, {"told"})
    given.finally = {
      all_are_read = function(s) return s.observed.line1 == 1 and s.observed.line2 == 2 end,
    }
    local kind, _, result = verdict(given)
    assert.equal("finally", kind)
    local list = texts(given, result.schedule)
    assert.equal("line = 1 told:push(true) -> true line = 2 told:push(true) -> true",
                 table.concat(list, " ", 1, 4))
    given.roles.writer = function(w)
      for line = 1, 2 do
        w.told:push(line)
      end
    end
    given.roles.reader = function(w)
      for line = 1, 2 do
        w.observe("line" .. line, w.told:pop())
      end
    end
    is_right(given)
  end)

  -- Children that come and go; each writes its number into the line at its index, and expects to
  -- find it there. take() gives an index, and left(index) takes it back.
  local function lines(take, left)
    return {
      words = {"line1", "line2"},
      roles = {server = function(w)
        local users = {}
        local function join(number)
          local index = take(users)
          users[index] = number
          return index, w.fork(function(mine)
            mine["line" .. index] = number
            if mine["line" .. index] ~= number then
              error("another's line", 0)
            end
          end, "user" .. number)
        end
        local index, first = join(1)
        local _, second = join(2)
        first:wait()
        left(users, index)
        local _, third = join(3)
        second:wait()
        third:wait()
      end},
    }
  end

  it("has two children share a line after a leave and a join", function()
    local given = lines(function(users) return #users + 1 end, function(users, index)
      users[index] = users[#users]
      users[#users] = nil
    end)
    local kind, message, result = verdict(given)
    assert.equal("error", kind)
    assert.matches("error in role user[23]: another's line", message)
    local _, trace = texts(given, result.schedule)
    assert.same({"server", "user1", "user2", "user3"}, trace.roles)
    is_right(lines(function(users)
      return users[1] and 2 or 1
    end, function(users, index) users[index] = nil end))
  end)
end)

describe("the reduction", function()
  local function ends(given, reduce)
    return list_of(lab.check(lab.protocol(given), {all = true, reduce = reduce}).outcomes)
  end

  it("looks at what a role waited for that is killed there", function()
    local given = {
      queues = {q = {capacity = 1}},
      roles = {
        function(w) w.observe("a", w.q:pop()) end,
        {background = true, run = function(w)
          w.kill(1, "KILL")
          w.q:push(1)
          w.observe("b", w.q:pop())
        end},
      },
    }
    assert.same({"", "a=1", "b=1"}, ends(given, true))
    assert.same({"", "a=1", "b=1"}, ends(given, false))
  end)

  it("lets others go on before who is killed for sure", function()
    local given = {
      roles = {function(w)
        local child = w.fork(function(mine)
          mine.observe("a", (mine.kill(1, "KILL")))
        end)
        w.observe("b", (child:wait()))
      end},
    }
    for _, reduce in ipairs {true, false} do
      local result = lab.check(lab.protocol(given), {all = true, reduce = reduce, crashes = 1})
      assert.same({"", "a=true", "a=true b=exit", "a=true b=signal", "b=signal"},
                  list_of(result.outcomes))
    end
  end)

  it("takes both orders where two roles observe by one name", function()
    local given = {roles = {function(w) w.observe("a", 1) end, function(w) w.observe("a", 2) end}}
    assert.same({"a=1", "a=2"}, ends(given, true))
  end)

  it("knows that who waits for a role's end could not come before it", function()
    local given = {
      topics = {t = {capacity = 1}},
      roles = {
        function(w)
          local s = w.t:subscribe{from = "oldest"}
          w.observe("a", tostring(s:try()))
          w.observe("b", got(w.t:publish(2, 0)))
        end,
        function(w) w.note "works"; w.t:publish(1) end,
      },
    }
    assert.same({"a=1 b=true", "a=nil b=110", "a=nil b=true"}, ends(given, true))
    assert.same({"a=1 b=true", "a=nil b=110", "a=nil b=true"}, ends(given, false))
  end)
end)

describe("traces of what the kernel gives", function()
  it("read well", function()
    local list, trace = texts({
      name = "texts",
      queues = {"q"}, topics = {"t"}, segments = {seg = {"x"}},
      roles = {
        a = function(w)
          w.q:push({1, x = "y"}); w.q:pop(); w.q:pop(0); local _ = #w.q
          local s = w.t:subscribe{from = "oldest"}
          w.t:publish "hello"; s:next(); s:try(); s:lost()
          w.seg:open(); w.seg:create(); w.seg:truncate()
          local at = w.seg:attach()
          at.x = 1
          local _ = at.x
          w.seg:size(); w.seg:unlink()
          w.block("USR1", "USR2"); w.kill("a", "USR1"); w.sigwait("USR1", "USR2")
          w.handled "USR1"; w.unblock "USR1"; w.sleep(0.5); w.now()
          local child = w.fork(function() w.pause() end)
          child:kill "USR1"
          child:wait()
          child:alive()
        end,
      },
    }, "sc: 1*25 2 1 2*2 1*2")
    assert.same({
      'q:push({1, x = "y"}) -> true', 'q:pop() -> {1, x = "y"}',
      "q:pop(0): Connection timed out", "#q -> 0",
      "t:subscribe(from oldest)", 't:publish("hello") -> true', 't:next() -> "hello"',
      "t:next(): Connection timed out", "t:lost() -> 0",
      "seg:open(): No such file or directory",
      "seg:create() -> true", "seg:truncate() -> true", "seg:attach()", "seg.x = 1", "seg.x -> 1",
      "seg:size() -> 8", "seg:unlink() -> true", "block(USR1, USR2)", "kill(a, USR1)",
      "sigwait(USR1, USR2) -> USR1", "handled(USR1) -> 0", "unblock(USR1)", "sleeps 0.5 s",
      "now() -> 0.5", "forks a.1", "pause()", "kill(a.1, USR1)", "pause returns", "ends",
      "a.1:wait() -> exit, 0", "a.1:alive() -> false",
    }, list)
    assert.equal(26, trace.steps[28].waited)
    assert.equal(27, trace.steps[28].woken_by)
    assert.equal("seg.x", trace.steps[14].object)
    assert.equal("q", trace.steps[1].object)
    assert.is_nil(trace.steps[19].object)
  end)
end)
