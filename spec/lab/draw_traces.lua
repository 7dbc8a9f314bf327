-- Traces as shm.lab gives them, written by hand, for what is drawn.
local M = {}

local SECTION <const> = "critical"

-- Steps as lines: role, action, object, text, and fields beside these.
local function steps(lines)
  local list = {}
  for i, line in ipairs(lines) do
    local step = {role = line[1], action = line[2], object = line[3] or nil, text = line[4],
                  args = {n = 0}, results = {n = 0}}
    for key, value in pairs(line) do
      if type(key) == "string" then
        step[key] = value
      end
    end
    list[i] = step
  end
  return list
end

--- Two processes in the critical section, as no fence stands between their stores and loads.
M.peterson = {
  protocol = "peterson",
  memory = "tso",
  roles = {"1", "2"},
  steps = steps {
    {1, "write", "flag1", "flag1 = 1", buffered = true},
    {1, "write", "turn", "turn = 2", buffered = true},
    {1, "read", "flag2", "flag2 -> 0"},
    {1, "enter", SECTION, "enters critical"},
    {2, "write", "flag2", "flag2 = 1", buffered = true},
    {2, "flush", "flag2", "flag2 reaches memory (1)", stored = 5},
    {2, "write", "turn", "turn = 1", buffered = true},
    {2, "read", "flag1", "flag1 -> 0"},
    {2, "enter", SECTION, "enters critical"},
    {1, "flush", "flag1", "flag1 reaches memory (1)", stored = 1},
    {1, "flush", "turn", "turn reaches memory (2)", stored = 2},
    {1, "leave", SECTION, "leaves critical"},
    {2, "leave", SECTION, "leaves critical"},
    {2, "flush", "turn", "turn reaches memory (1)", stored = 7},
  },
  verdict = {kind = "never", name = "at_most_one", step = 9, roles = {1, 2},
             message = "1 and 2 are both inside critical."},
  waiting = {},
  schedule = "tso 1*4 2 2~ 2*3 1~*2 1 2 2~",
}

--- The signal comes before the pause that was to be ended by it.
M.lost_wakeup = {
  protocol = "pid exchange with pause",
  memory = "sc",
  roles = {"server", "client"},
  steps = steps {
    {1, "write", "pid", "pid = 4711"},
    {2, "read", "pid", "pid -> 4711"},
    {1, "read", "ready", "ready -> 0"},
    {2, "write", "ready", "ready = 1"},
    {2, "kill", "server", 'kill("server", "USR1")', args = {n = 2, "server", "USR1"}},
    {1, "pause", false, "pause()"},
  },
  verdict = {kind = "lost wake-up", step = 6, roles = {1}, missed = 5,
             message = "lost wake-up: server sleeps in pause(), and nobody can wake it any more "
               .. "(a wake-up came in step 5, when nobody slept there)"},
  waiting = {[1] = "pause()"},
  schedule = "sc 1 2 1 2*2 1",
}

--- The holder of a robust lock dies; the next one is told, mends, and goes on.
M.robust = {
  protocol = "robust counter",
  memory = "sc",
  roles = {"worker", "other"},
  steps = steps {
    {1, "lock", "m", "m:lock() -> true"},
    {1, "enter", "update", "enters update"},
    {1, "write", "begun", "begun = 1"},
    {1, "read", "count", "count -> 41"},
    {1, "crash", false, "dies"},
    {2, "lock", "m", 'm:lock() -> true, "recovered", 1', waited = 2, woken_by = 5},
    {2, "enter", "update", "enters update"},
    {2, "read", "begun", "begun -> 1"},
    {2, "note", false, "count as it was; begun is taken back"},
    {2, "write", "begun", "begun = 0"},
    {1, "restart", false, "starts again"},
    {2, "add", "count", "count + 1 -> 42"},
    {2, "leave", "update", "leaves update"},
    {2, "unlock", "m", "m:unlock() -> true"},
    {1, "lock", "m", "m:lock() -> true", waited = 11, woken_by = 14},
    {2, "end", false, "ends"},
    {1, "enter", "update", "enters update"},
    {1, "add", "count", "count + 1 -> 43"},
    {1, "leave", "update", "leaves update"},
    {1, "unlock", "m", "m:unlock() -> true"},
    {1, "end", false, "ends"},
  },
  waiting = {},
  schedule = "sc 1*4 1! 2*5 1^ 2*3 1*5",
}

--- Two locks, taken in opposite orders.
M.deadlock = {
  protocol = "two accounts",
  memory = "sc",
  roles = {"transfer", "refund"},
  steps = steps {
    {1, "lock", "from", "from:lock() -> true"},
    {2, "lock", "to", "to:lock() -> true"},
    {1, "read", "balance", "balance -> 100"},
    {1, "write", "balance", "balance = 70"},
    {2, "read", "balance", "balance -> 70"},
  },
  verdict = {kind = "deadlock", step = 5, roles = {1, 2},
             message = "transfer waits for to, which refund holds; refund waits for from, which "
               .. "transfer holds."},
  waiting = {[1] = "to:lock()", [2] = "from:lock()"},
  schedule = "sc 1 2 1*2 2",
}

--- A server forks a child for its client; who waits is woken by whom it waits for.
M.fork = {
  protocol = "a child per client",
  memory = "sc",
  roles = {"server", "client", "server.1"},
  steps = steps {
    {2, "push", "requests", 'requests:push("hello")'},
    {1, "pop", "requests", 'requests:pop() -> "hello"', waited = 0, woken_by = 1},
    {1, "fork", false, "fork() -> server.1", results = {n = 1, "server.1"}},
    {3, "write", "line", "line = 17"},
    {3, "push", "answers", "answers:push(17)"},
    {2, "pop", "answers", "answers:pop() -> 17", waited = 1, woken_by = 5},
    {3, "end", false, "ends"},
    {1, "wait", "server.1", "wait(server.1) -> exit, 0", waited = 3, woken_by = 7},
    {2, "read", "line", "line -> 17"},
    {2, "end", false, "ends"},
    {1, "end", false, "ends"},
  },
  waiting = {},
  schedule = "sc 2 1*2 3*2 2 3 1 2*2 1",
}
--- As recorded on the real machine, with its clock.
M.run = {
  protocol = "peterson",
  roles = {"1", "2"},
  steps = steps {
    {1, "write", "flag1", "flag1 = 1", start = 0.00000012, finish = 0.00000021},
    {2, "write", "flag2", "flag2 = 1", start = 0.00000018, finish = 0.00000029},
    {1, "write", "turn", "turn = 2", start = 0.00000030, finish = 0.00000038},
    {2, "write", "turn", "turn = 1", start = 0.00000036, finish = 0.00000047},
    {1, "fence", false, "fence", start = 0.00000041, finish = 0.00000058},
    {1, "await", false, "await -> true", start = 0.00000061, finish = 0.00000083},
    {1, "enter", SECTION, "enters critical", start = 0.00000085, finish = 0.00000090},
    {1, "note", false, "works on the list", start = 0.00000094, finish = 0.00000095},
    {1, "leave", SECTION, "leaves critical", start = 0.00031240, finish = 0.00031246},
    {1, "write", "flag1", "flag1 = 0", start = 0.00031249, finish = 0.00031255},
    {2, "await", false, "await -> true", start = 0.00000052, finish = 0.00031317},
    {2, "enter", SECTION, "enters critical", start = 0.00031320, finish = 0.00031326},
    {2, "leave", SECTION, "leaves critical", start = 0.00031330, finish = 0.00031334},
    {2, "write", "flag2", "flag2 = 0", start = 0.00031337, finish = 0.00031344},
  },
  waiting = {},
  round = 12345,
  seconds = 0.00031344,
}

-- What may stand in a trace, and what a format might stumble over.
local TEXTS <const> = {
  "x", "flag1 = 1", "m:lock() -> true, \"recovered\", 4711", "turn -> 2", "fence",
  "a_very_long_identifier_without_any_space_in_it_at_all = 12345678901234567890",
  "queue:push({kind = \"apples & pears\", n = 3}, 5) -> nil, \"queue.push 'jobs': Connection "
    .. "timed out\", 110",
  "观察到 <两个> 进程同时进入临界区", "#1; end %% comment %%{init: {}}%% <br/> $$x$$ `y` \\",
  "wrap: note over r1: x", ":", ";", "end", "\27[31mred\0\n\r\t\xFF\xC3 \u{202E}back",
  "style x:#fff;", "e\u{301}te\u{301} \u{1F600} naïve", "]]> &amp; --> \u{FFFE}", "",
  ("WWWWMMMM "):rep(20),
}
local NAMES <const> = {"1", "server", "client number two, which has a long name", "第三个进程",
                       "a:b;c#d", "end", "<b>"}
local ACTIONS <const> = {"read", "write", "cas", "fence", "lock", "unlock", "note", "choose",
                         "enter", "leave", "await", "kill", "crash", "restart", "end", "error",
                         "observe", "add", "push", "cleanup", "fork", "pause", "what nobody knows"}

--- A trace of anything, the same for the same seed.
-- @int seed
-- @int n how many roles
-- @int length how many steps
function M.random(seed, n, length)
  local state = seed * 2654435761 + 12345
  local function pick(most) -- a linear congruential generator, as each run is to draw the same
    state = state * 6364136223846793005 + 1442695040888963407
    return (state >> 33) % most + 1
  end
  local trace = {protocol = TEXTS[pick(#TEXTS)], memory = pick(2) == 1 and "tso" or "sc",
                 roles = {}, steps = {}, waiting = {}}
  for lane = 1, n do
    trace.roles[lane] = NAMES[(seed + lane) % #NAMES + 1] .. (lane > #NAMES and lane or "")
  end
  local timed, clock, buffered = pick(3) == 1, 0, {}
  for i = 1, length do
    local step = {role = pick(n), action = ACTIONS[pick(#ACTIONS)], text = TEXTS[pick(#TEXTS)],
                  object = "word" .. pick(2), args = {n = 1, pick(n)}, results = {n = 0}}
    if step.action == "write" and trace.memory == "tso" and pick(2) == 1 then
      step.buffered = true
      buffered[#buffered + 1] = i
    elseif #buffered > 0 and pick(4) == 1 then
      step.action, step.stored = "flush", table.remove(buffered, 1)
      step.role, step.object = trace.steps[step.stored].role, trace.steps[step.stored].object
    elseif i > 3 and pick(4) == 1 then
      step.waited, step.woken_by = i - 1 - pick(3), i - 1
    end
    if timed then
      step.start = clock
      clock = clock + (pick(10) == 1 and 0.01 or 1e-7) * pick(9)
      step.finish = pick(8) > 1 and clock or nil -- some never finish
    end
    trace.steps[i] = step
  end
  if pick(3) > 1 then
    trace.verdict = {kind = "never", name = TEXTS[pick(#TEXTS)], message = TEXTS[pick(#TEXTS)],
                     step = pick(length), roles = {pick(n)},
                     missed = pick(2) == 1 and pick(length) or nil}
  end
  if pick(2) == 1 then
    trace.waiting[pick(n)] = TEXTS[pick(#TEXTS)]
  end
  return trace
end

return M
