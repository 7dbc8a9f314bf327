--- Goes through every schedule of a protocol, and says what it found.
-- @module shm.lab.check
local explore = require "shm.lab.explore"
local interrupt = require "shm.lab.interrupt"
local machines = require "shm.lab.model.machine"
local options = require "shm.options"
local outside = require "shm.lab.outside"
local process = require "shm.process"
local replay = require "shm.lab.replay"
local rules = require "shm.lab.rules"
local schedules = require "shm.lab.schedule"
local shorten = require "shm.lab.shorten"
local verdicts = require "shm.lab.verdict"

local M = {}

local OPTIONS = {
  memory = {type = "string", default = "sc"},
  crashes = {integer = true, default = 0, least = 0, most = 100},
  preemptions = {integer = true, least = 0},
  steps = {integer = true, default = 2000, least = 1},
  schedules = {integer = true, least = 1},
  seconds = {type = "number", least = 0},
  spins = {integer = true, default = 8, least = 2},
  reduce = {type = "boolean", default = true},
  all = {type = "boolean", default = false},
  progress = {any = true},
}
local PERIOD <const> = 1      -- seconds from one report of progress to the next
local LOOK_EVERY <const> = 64 -- schedules from one look at the clock to the next
local FURTHER <const> = 2000  -- schedules for a shorter one, at least

local Result = {__name = "shm.lab.result"}
Result.__index = Result

local function count(n, what) return ("%d %s%s"):format(n, what, n == 1 and "" or "s") end

-- The bounds that kept it from going through all, in words, or nil.
local function bounds_of(self)
  local words = {}
  if self.interrupted then
    words[#words + 1] = "interrupted"
  end
  if self.stopped then
    words[#words + 1] = "stopped at " .. self.stopped
  end
  if self.cut > 0 then
    words[#words + 1] = count(self.cut, "schedule") .. " cut at " .. self.settings.steps .. " steps"
  end
  if self.settings.preemptions then
    words[#words + 1] = "within " .. count(self.settings.preemptions, "preemption")
  end
  return #words > 0 and table.concat(words, "; ") or nil
end

function Result:__tostring()
  local numbers = ("%s, %.2f s"):format(count(self.schedules, "schedule"), self.seconds)
  local bounds = bounds_of(self)
  if self.verdict then
    return ("%s\n  %s%s\n  schedule %q"):format(self.verdict.message, numbers,
      bounds and ", " .. bounds or "", self.schedule)
  end
  return (bounds and "nothing found, %s, %s" or "ok, %s"):format(numbers, bounds)
end

local function complete(settings, where)
  if settings.memory ~= "sc" and settings.memory ~= "tso" then
    error(("%s: memory: 'sc' or 'tso' expected, got '%s'"):format(where, settings.memory), 3)
  end
  local progress = settings.progress
  if progress == true then
    settings.progress = M.report
  elseif progress and type(progress) ~= "function" then
    error(("%s: progress: true or a function expected, got %s"):format(where, type(progress)), 3)
  end
  return settings
end

--- Writes how far it is to standard error: what `progress = true` does.
function M.report(it)
  io.stderr:write(("\r%d schedules, %.0f a second, depth %d, %.1f %% done of what is known\27[K")
    :format(it.schedules, it.rate, it.depth, 100 * it.done), it.last and "\n" or "")
end

-- A search: an explorer with what it looks at, and what it has found.
local function search_of(protocol, settings, watched)
  local m = machines.new(protocol, settings)
  m.watched = watched
  local at_once, at_end = rules.watch(m)
  local search = {m = m, at_end = at_end, noted = {}}
  local noted = search.noted
  local function broken(event)
    if not event or not event.looks and #event.keys > 0 then
      return at_once()
    end
  end
  local function note(wrong, depth)
    if wrong then
      wrong.step = depth
      noted[#noted + 1] = wrong
    end
  end
  local function look(_, depth, event)
    local failed = m.failed and verdicts.failure(m)
    if not settings.all then
      return failed or broken(event)
    end
    -- What comes after it is gone through as well, or the races there would not be seen; and the
    -- next execution may begin with the same steps, which it does not look at again.
    while #noted > 0 and noted[#noted].step >= depth do
      noted[#noted] = nil
    end
    m.failed = nil
    note(failed, depth)
    note(broken(event), depth)
  end
  search.explorer = explore.new(m, settings, look)
  return search
end

local function show(intention)
  if not intention or not intention.op then
    return "its end"
  end
  local words = {intention.op.name}
  for _, field in ipairs {"target", "a", "b"} do
    local value = intention[field]
    words[#words + 1] = value ~= nil and type(value) ~= "function" and tostring(value) or nil
  end
  return table.concat(words, " ")
end

local function differs_message(protocol, found)
  local role = protocol.roles[found.index]
  return ("role %s uses something outside its world: after the same steps it once came to '%s', " ..
    "and now to '%s' (step %d). What may differ from run to run has to come from w, as w.choose")
    :format(role and role.name or found.index, show(found.was), show(found.now), found.depth)
end

local function judge(search, how, found)
  if found and found.kind == "outside" and found.index then
    return {kind = "outside", roles = {found.index}, message = differs_message(
      search.m.protocol, found)}
  elseif found then
    return found
  elseif how == "end" then
    local wrong, counts = verdicts.at_end(search.m, search.at_end)
    if not counts then
      search.explorer.schedules = search.explorer.schedules - 1
      search.explorer.blocked = search.explorer.blocked + 1
    end
    return wrong, counts
  end
end

-- Counts what one execution has violated, on its way and in the end, each once.
local function count_violations(result, noted, last, explorer)
  local counted = {}
  local function count_one(wrong)
    local what = wrong.name and wrong.kind .. " " .. wrong.name or wrong.kind
    if not counted[what] then
      counted[what] = true
      result.violations[what] = (result.violations[what] or 0) + 1
    end
  end
  for _, wrong in ipairs(noted) do
    count_one(wrong)
  end
  if last then
    count_one(last)
  end
  if not result.first then
    result.first, result.path = noted[1] or last, explorer:path()
  end
end

-- Runs one search to its end, or to the first violation, or a bound.
local function run(search, settings, result, clock)
  local explorer, m = search.explorer, search.m
  local reported = clock.began
  while true do
    local how, found = explorer:next()
    if not how then
      return "done"
    elseif m.grown then
      return "grown"
    end
    local wrong, counts = judge(search, how, found)
    wrong = wrong or clock.outside.changed()
    result.depth = math.max(result.depth, explorer.top)
    if wrong then
      wrong.step = wrong.step or explorer.top
      if not settings.all then
        return "found", wrong
      end
    end
    if wrong or #search.noted > 0 then
      count_violations(result, search.noted, wrong, explorer)
    elseif counts then
      local outcome = m.protocol:outcome(m.observed, function(name) return m.memory[name] end)
      result.outcomes[outcome] = (result.outcomes[outcome] or 0) + 1
    end
    local taken = explorer.schedules + explorer.blocked
    if settings.schedules and taken >= settings.schedules then
      return "stopped", count(settings.schedules, "schedule")
    elseif taken % LOOK_EVERY == 0 then
      local now = process.monotonic()
      if settings.seconds and now - clock.began >= settings.seconds then
        return "stopped", ("%g s"):format(settings.seconds)
      elseif settings.progress and now - reported >= PERIOD then
        reported = now
        settings.progress {schedules = taken, depth = result.depth, seconds = now - clock.began,
                           rate = taken / (now - clock.began), done = explorer:progress()}
      end
    end
  end
end

-- A search from the beginning, again where a rule has looked at what none had looked at before.
local function search(protocol, settings, result, clock, watched)
  local one, how, what
  repeat
    one = search_of(protocol, settings, watched)
    result.outcomes, result.violations, result.depth = {}, {}, 0
    local ok, problem, more = pcall(run, one, settings, result, clock)
    if ok then
      how, what = problem, more
    elseif interrupt.is(problem) then
      how = "interrupted"
    else
      error(problem, 0)
    end
  until how ~= "grown"
  return one, how, what
end

-- A schedule as wrong as the one found, as short as can be found with as much work again.
local function shortest(protocol, settings, path, wrong, clock, watched)
  local stage = replay.stage(protocol, settings)
  local again = replay.take(stage, path)
  if not again or again.kind ~= wrong.kind or again.name ~= wrong.name then
    return path, nil
  end
  path = shorten.shorten(stage, path, wrong)
  local bounded = setmetatable({all = false, progress = false, schedules = FURTHER},
                               {__index = settings})
  while #path > 1 do
    bounded.steps = #path - 1
    local one, how, found = search(protocol, bounded, {}, clock, watched)
    if how ~= "found" or found.kind ~= wrong.kind or found.name ~= wrong.name then
      break
    end
    path = shorten.shorten(stage, one.explorer:path(), found)
  end
  return path, replay.trace(stage, path)
end

--- Goes through every schedule of a protocol, of which those that differ only in the order of
-- steps that do not concern each other count as one.
-- @tparam shm.lab.protocol protocol
-- @tparam[opt] table given see shm.lab
-- @treturn shm.lab.result
function M.check(protocol, given)
  local settings = complete(options.read(given, OPTIONS, "lab.check"), "lab.check")
  local watch <close> = outside.watch(protocol)
  local clock = {began = process.monotonic(), outside = watch}
  local result = setmetatable({settings = settings}, Result)
  local watched = {}
  local one, how, what = search(protocol, settings, result, clock, watched)
  local explorer = one.explorer
  result.schedules, result.blocked = explorer.schedules, explorer.blocked
  result.cut, result.steps = explorer.cut, explorer.taken
  result.interrupted = how == "interrupted" or nil
  result.stopped = how == "stopped" and what or nil
  local wrong, path = result.first, result.path
  if how == "found" then
    wrong, path = what, explorer:path()
  end
  result.first, result.path = nil, nil
  if wrong then
    local trace
    if wrong.kind ~= "outside" then
      path, trace = shortest(protocol, settings, path, wrong, clock, watched)
      wrong = trace and trace.verdict or wrong
    end
    result.schedule = schedules.write(settings, path)
    result.verdict, result.trace = wrong, trace
    if trace then
      trace.schedule = result.schedule
    end
  end
  result.ok = not wrong
  result.exhaustive = how == "done" and result.cut == 0 and not settings.preemptions
  result.seconds = process.monotonic() - clock.began
  if settings.progress then
    local taken = result.schedules + result.blocked
    settings.progress {schedules = taken, depth = result.depth, seconds = result.seconds,
                       rate = taken / result.seconds, last = true,
                       done = how == "done" and 1 or explorer:progress()}
  end
  return result
end

--- Takes a schedule again, step for step.
-- @tparam shm.lab.protocol protocol
-- @string text of a result's or trace's `schedule`
-- @treturn[1] table the trace; its `verdict` says what is wrong with it
-- @treturn[2] nil
-- @treturn[2] string message, which says where it does not fit the protocol
function M.replay(protocol, text)
  local settings, path = schedules.read(text)
  if not settings then
    error(("lab.replay: %q is no schedule: %s"):format(text, path), 2)
  end
  settings.spins = OPTIONS.spins.default
  local _ <close> = outside.watch(protocol)
  local trace, stopped = replay.trace(replay.stage(protocol, settings), path)
  if not trace then
    return nil, ("lab.replay: step %d is none that the protocol can make there"):format(stopped)
  end
  trace.schedule = text
  return trace
end

return M
