--- The protocol laboratory: a protocol is written once, in plain Lua, and then run on real
-- processes, or taken through every interleaving and every crash of it in one process; what goes
-- wrong is drawn.
--
-- A protocol says which words and objects its processes share, what each role does, and what
-- must be so:
--
--   local lab = require "shm.lab"
--   local handed_over = lab.protocol{
--     words = {"data", "flag"},
--     roles = {
--       writer = function(w) w.data = 1; w.flag = 1 end,
--       reader = function(w)
--         w.await(function() return w.flag == 1 end)
--         w.observe("data", w.data)
--       end,
--     },
--     finally = {whole = function(s) return s.observed.data == 1 end},
--   }
--   print(lab.check(handed_over, {memory = "tso"}))
--
-- Fields of a protocol, all but `roles` may be absent:
--
--   name      what pictures are called
--   words     names of shared integers of 64 bits, which are 0 at first: {"flag", turn = 1}
--   locks, rwlocks, semaphores, sets, events, conditions, barriers, queues, topics, segments
--             names of objects, as {"m"} or {s = 2}; what each takes is in shm.lab.kinds
--   roles     functions of a world w, as a list or by name; or tables with `run`, and
--             `restart` (true, or a function: what the role does after its death), `background`
--             (at the end it may be waiting still), `spared` (it does not die)
--   restart   the same for all roles
--   observe   words whose values at the end belong to the outcome
--   never     functions of a state s, by name, that must give false in every state
--   always    the same, true
--   finally   the same, true when all is over
--
-- A state s has the words by their names, `s.inside.NAME` (how many roles are in that section),
-- `s.observed.NAME`, `s.deaths` (how many there were), and the objects as their kinds show them.
--
-- A world w has, for each role:
--
--   w.x, w.x = 1                     reads and writes a word; also w.read "x", w.write("x", 1)
--   w.cas(x, old, new)               replaces: whether it did, and what was there before
--   w.add(x, n), w.swap(x, v)        gives what was there before
--   w.fence()                        all before it comes before all after it
--   w.await(f)                       waits until f(), which only reads words, is true
--   w.wait(x, v, timeout)            sleeps on a word while it is v; whoever changes it has to
--                                    wake, and who is woken looks
--   w.wake(x, n)                     wakes n (all if absent) that sleep there: how many
--   w.futex(x, v, timeout)           as the kernel has it, where who is woken goes on whatever the
--                                    word is; only in the model, for what is built on it
--   w.enter(name), w.leave(name)     a section, such as "critical"
--   w.choose(n)                      any of 1 to n: all of them are tried
--   w.observe(name, value)           a boolean, number or string belongs to the outcome
--   w.note(text)                     appears in traces
--   w.reader(x), w.writer(x)         functions that read and write a word
--   w.role, w.name                   the role's number and name
--
-- and the objects by their names, signals, fork and a clock; see shm.lab.kinds. What a role uses
-- beside its world has to be the same each time: it is run again and again. It calls its world
-- itself, and not in a coroutine that it makes.
-- @module shm.lab
local accepts = require "shm.lab.accepts"
local check = require "shm.lab.check"
local draw = require "shm.lab.draw"
local protocols = require "shm.lab.protocol"
local run = require "shm.lab.run"
local worlds = require "shm.lab.world"

local M = {}

local function protocol_of(given, where)
  if protocols.is(given) then
    return given
  end
  error(("%s: shm.lab.protocol expected, got %s"):format(where, type(given)), 3)
end

--- Reads a protocol.
-- @tparam table given see above
-- @treturn shm.lab.protocol
-- @raise what does not make sense: an unknown field, a name that is taken or is none
function M.protocol(given)
  local ok, result = pcall(protocols.read, given, worlds.TAKEN)
  if not ok then
    error(tostring(result):match "lab%.protocol: .*" or result, 2) -- at the caller's line
  end
  return result
end

--- Goes through every schedule of a protocol; of those that differ only in the order of steps
-- that do not concern each other, through one.
--
-- What is found is a verdict of one of these kinds:
--
--   "never", "always", "finally"   a rule of the protocol, by its name
--   "error"            a role threw one
--   "deadlock"         roles wait for each other
--   "lost wake-up"     a role sleeps, and nobody can wake it any more
--   "no progress"      a role spins, and nobody changes what it looks at any more
--   "left behind"      something is still there at the end
--   "outside"          a role uses something that is not of its world
--
-- The result prints as a line or a few. Its fields: `ok`; `exhaustive`, where no bound kept it
-- from going through all; `schedules` that were taken to their end, and `blocked`, how many
-- were given up as they came to nothing new; `cut` at the bound; `steps` in all; `seconds`;
-- `outcomes`, how many schedules came to each, as `outcomes["r1=0 r2=1"]`; `verdict` (kind, name,
-- message, step, roles), `trace` (see shm.lab.draw) and `schedule`, for `replay`, of the
-- shortest one found; `violations`, how often each was found, with `all`; `interrupted` by
-- Ctrl-C; `stopped`, at which bound.
--
-- Options:
--
--   memory       "sc" (one access after another; the default), or "tso" (x86: each process has a
--                store buffer)
--   crashes      how many deaths there may be, of any role at any step (0)
--   steps        a schedule is cut after so many (2000)
--   preemptions  how often a role may be stopped that could go on; without reduction (no bound)
--   schedules, seconds   to be stopped after (no bound)
--   spins        a loop that reads the same words so often, and always the same, waits (8)
--   all          goes on after the first violation, and counts them (false)
--   reduce       false takes schedules that differ in nothing that matters as well (true)
--   progress     true tells standard error once a second how far it is, a function is given a
--                table: schedules, rate (a second), depth, done (0 to 1, of what is known),
--                seconds, last
-- @tparam shm.lab.protocol protocol
-- @tparam[opt] table options
-- @treturn shm.lab.result
function M.check(protocol, options)
  return check.check(protocol_of(protocol, "lab.check"), options)
end

--- Takes one schedule again, step for step: that of a result or a trace, of this run or another.
-- @tparam shm.lab.protocol protocol
-- @string schedule
-- @treturn[1] table the trace, see shm.lab.draw; its `verdict` says what is wrong, if anything is
-- @treturn[2] nil
-- @treturn[2] string message: at which step the protocol can not do what the schedule says
-- @raise when the string is no schedule
function M.replay(protocol, schedule)
  protocol_of(protocol, "lab.replay")
  if type(schedule) ~= "string" then
    error(("lab.replay: schedule: string expected, got %s"):format(type(schedule)), 2)
  end
  return check.replay(protocol, schedule)
end

--- Runs a protocol on real processes, one for each role, over real memory and real objects. A
-- round is one execution, from the initial state to the end of all roles; what is counted is how
-- many rounds came to what.
--
-- A word is 64 bits of its own cache line, read and written plainly, so what is found is what
-- this machine does; each thing that a role does is written down, with the time at which it began
-- and ended, in a log that outlives the role. `never` and `always` are looked at by who has just
-- changed something that they look at, or whose name is in them, on a state that was read twice
-- and was the same: what is broken for less long is not seen. `finally` is looked at once all have
-- ended that are not in the background.
--
-- The result prints as a line or two. Its fields: `ok`; `rounds`, `seconds`, `rate` (rounds a
-- second); `broken`, in how many rounds each rule was, as `broken["never at_most_one"]`;
-- `outcomes`, how many rounds came to each: the first 512, which are told apart by 304 bytes, and
-- all else as "(others)"; `stuck`, in how many nobody moved any more; `killed`, how many roles
-- were; `errors`, of roles, with their tracebacks; `verdict` of the first round that was wrong, and
-- its `trace`; `traces`, those that were kept; `interrupted`, `stopped`. A protocol can have 255
-- rules here, and 64 names of sections and of what is observed, which takes up to 256 bytes.
--
-- Options:
--
--   rounds    how many (1000)
--   seconds   to be stopped after (no bound)
--   delays    microseconds, at most, that one operation in four is delayed by (0)
--   kills     up to 1: how likely it is that a kill is meant for a round, at any moment; above:
--             how many are, at most. One that comes when its victim is at its end kills nobody. Who
--             is `spared` is not killed; who restarts does so at once (0)
--   seed      of delays, kills and choices (1)
--   timeout   seconds after which a round in which nobody moves is stuck (1); who gets no
--             processor for so long is taken for one that does not move
--   trace     false for bare speed (true)
--   log       how much of a round is written down for each role, at most, in calls (1000)
--   keep      of how many rounds, the first ones, traces are kept that were right; and at most how
--             many of those that were wrong, and errors: one of each at least (10)
--   progress  as of `check`: rounds, rate, done, seconds, last
-- @tparam shm.lab.protocol protocol
-- @tparam[opt] table options
-- @treturn shm.lab.run.result
-- @raise when there are no descriptors, no processes or no memory left for it; no role is left
function M.run(protocol, options)
  return run.run(protocol_of(protocol, "lab.run"), options)
end

--- Whether the model allows what happened in a round of `run`: some schedule of it makes each role
-- call the same with the same results, in an order that agrees with the clock. So it is seen
-- that the model is one of the kernel and the machine.
--
-- Options: `memory`, "tso" if absent, or "sc"; `steps`, of the model, at most (1,000,000).
-- @tparam shm.lab.protocol protocol
-- @tparam table trace of a result of `run`
-- @tparam[opt] table options
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message: which call of which role no schedule explains; or that it is
-- undecided, as the bound was reached or a log had filled up
-- @raise when the trace is none of `run`
function M.accepts(protocol, trace, options)
  return accepts.accepts(protocol_of(protocol, "lab.accepts"), trace, options)
end

--- Draws a trace, with a lane for each role: for the terminal, or into a file, whose name says as
-- what: "x.svg", "x.mmd" or "x.md" (Mermaid), "x.txt".
-- @tparam table trace of check, replay or run
-- @string[opt] path absent for text that is returned
-- @tparam[opt] table options see shm.lab.draw
-- @treturn[1] string|boolean the text, or true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno, as the file can not be written
-- @raise when it is no trace, an option makes no sense, or the name says none of these
function M.draw(trace, path, options)
  if path == nil then
    local ok, drawn = pcall(draw.text, trace, options)
    if not ok then
      local misuse = type(drawn) == "string" and drawn:match "^draw%.text: (.*)$"
      error(misuse and "lab.draw: " .. misuse or drawn, misuse and 2 or 0)
    end
    return drawn
  end
  return draw.draw(trace, path, options)
end

return M
