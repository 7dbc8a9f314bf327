--- Takes one schedule, step for step, and says what is wrong with it; and writes down its trace.
-- @module shm.lab.replay
local machines = require "shm.lab.model.machine"
local operations = require "shm.lab.model.words"
local rules = require "shm.lab.rules"
local verdicts = require "shm.lab.verdict"

local M = {}

--- A stage for replays of one protocol.
-- @tparam shm.lab.protocol protocol
-- @tparam table settings memory, crashes, spins
-- @treturn table machine, at_once, at_end
function M.stage(protocol, settings)
  local m = machines.new(protocol, settings)
  local at_once, at_end = rules.watch(m)
  return {m = m, at_once = at_once, at_end = at_end}
end

local function judge(stage)
  local m = stage.m
  if m.failed then
    return verdicts.failure(m)
  end
  return stage.at_once()
end

--- Takes a path until something is wrong, or it ends.
-- @tparam table stage
-- @tparam {table,...} path slot and choice
-- @tparam[opt] function watch called before and after each step: watch("before"|"after", slot)
-- @tparam[opt] boolean lenient leaves out what can not be done, and goes on
-- @treturn table|nil what is wrong: kind, name, message
-- @treturn {table,...} the steps that were made
-- @treturn int|nil the step that could not be made
function M.take(stage, path, watch, lenient)
  local m, made = stage.m, {}
  m:reset()
  local wrong = judge(stage)
  for i, step in ipairs(path) do
    if wrong then
      break
    end
    local will, deaths = m:enabled()
    if (will | deaths) & 1 << step.slot - 1 ~= 0 then
      if watch then
        watch("before", step.slot)
      end
      m:step(step.slot, step.choice)
      made[#made + 1] = step
      wrong = judge(stage)
      if watch then
        watch("after", step.slot)
      end
    elseif not lenient then
      return nil, made, i
    end
  end
  if not wrong and m:enabled() == 0 then
    wrong = verdicts.at_end(m, stage.at_end)
  end
  return wrong, made
end

local function show(value)
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

-- What a trace can hold, which is plain: no functions.
local function pack(...)
  local n = select("#", ...)
  while n > 0 and (select(n, ...) == nil or type(select(n, ...)) == "function") do
    n = n - 1
  end
  return {n = n, table.unpack({...}, 1, n)}
end

-- What a step was, in words, by the name of its operation.
local TEXTS = {
  read = function(s)
    return ("%s -> %s"):format(s.object, s.results[1] or "SIGBUS")
  end,
  write = function(s) return ("%s = %d"):format(s.object, s.args[1]) end,
  add = function(s) return ("add %s %d -> %d"):format(s.object, s.args[1], s.results[1]) end,
  swap = function(s) return ("swap %s %d -> %d"):format(s.object, s.args[1], s.results[1]) end,
  cas = function(s)
    return ("cas %s %d to %d -> %s"):format(s.object, s.args[1], s.args[2], s.results[1])
  end,
  fence = function() return "fence" end,
  enter = function(s) return "enters " .. s.object end,
  leave = function(s) return "leaves " .. s.object end,
  observe = function(s) return ("%s: %s"):format(s.object, show(s.args[1])) end,
  note = function(s) return tostring(s.args[1]) end,
  choose = function(s) return ("chooses %d of %d"):format(s.results[1], s.args[1]) end,
  flush = function(s) return ("%s = %d reaches memory"):format(s.object, s.args[1]) end,
  crash = function() return "dies" end,
  cleanup = function() return "the kernel lets go of what it held" end,
  restart = function() return "starts again" end,
  ["end"] = function() return "ends" end,
}
TEXTS.await = TEXTS.read

-- What came of a call: its results, or why the world said no.
local function came_of(results, say)
  if results.n == 0 then
    return ""
  elseif not results[1] and type(results[2]) == "string" then
    return ": " .. (results[2]:match "^[%w_.]+ '[^']*': (.*)$" or results[2])
  end
  local words = {}
  for i = 1, results.n do
    words[i] = (say or show)(results[i])
  end
  return " -> " .. table.concat(words, ", ")
end

local function describe(op, step)
  local text = op.text or
               (operations[op.name] == op or op == operations.exit) and TEXTS[op.name]
  return text and text(step, came_of) or
         verdicts.call(op, step.object, table.unpack(step.args, 1, step.args.n)) ..
         came_of(step.results)
end

-- Follows who waits since when, and who let it go on.
local function follow_waits(m, steps, since, woken)
  local will = m:enabled()
  for index, me in pairs(m.roles) do
    local ready = will & 1 << me.slot - 1 ~= 0
    if not me.op then
      since[index], woken[index] = nil, nil
    elseif not ready and not since[index] then
      since[index] = #steps
    elseif ready and since[index] and not woken[index] then
      woken[index] = #steps
    end
  end
end

local function names_of(m)
  local names = {}
  for index, me in ipairs(m.roles) do
    names[index] = me.name
  end
  return names
end

--- Takes a path, and writes down its trace.
-- @tparam table stage
-- @tparam {table,...} path
-- @treturn[1] table the trace; its verdict is what is wrong, or nil
-- @treturn[2] nil
-- @treturn[2] int the step that could not be made
function M.trace(stage, path)
  local m = stage.m
  local steps, since, woken, stores = {}, {}, {}, {}
  local op, step
  local function before(slot)
    local index, part = (slot + 2) // 3, (slot + 2) % 3
    local me = m.roles[index]
    local target
    op, target = m:footprint(slot)
    local object = op.object
    if object == nil then
      object = target
    end
    step = {role = index, action = op.name, object = type(object) == "string" and object or nil,
            args = part == 0 and pack(me.a, me.b, me.c, me.d) or {n = 0}}
    if part == 1 then
      local store = me.buffer[me.first]
      step.args, step.stored = pack(store.value), stores[store.depth]
    elseif part == 0 and since[index] and steps[woken[index]] and
           steps[woken[index]].role ~= index then
      step.waited, step.woken_by = since[index], woken[index]
    end
    if part == 0 then
      since[index], woken[index] = nil, nil
    end
    m.r1, m.r2, m.r3, m.r4 = nil, nil, nil, nil
  end
  local function after()
    step.results = pack(m.r1, m.r2, m.r3, m.r4)
    steps[#steps + 1] = step
    if op.name == "write" and m.tso then
      step.buffered, stores[m.depth] = true, #steps
    end
    step.text = describe(op, step)
    follow_waits(m, steps, since, woken)
  end
  local wrong, _, stopped = M.take(stage, path, function(when, slot)
    if when == "before" then before(slot) else after() end
  end)
  if stopped then
    return nil, stopped
  end
  local waiting = {}
  if m:enabled() == 0 then
    for _, me in ipairs((verdicts.waiting(m))) do
      waiting[me.index] = verdicts.describe(me)
    end
  end
  if wrong then
    wrong.step = #steps
  end
  return {protocol = m.protocol.name, memory = m.settings.memory, roles = names_of(m),
          steps = steps, verdict = wrong, waiting = waiting}
end

return M
