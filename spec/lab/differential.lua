-- Whether the reduction of shm.lab.check leaves out anything that matters: small protocols, made
-- at random, are gone through with it and without it, and have to come to the same ends.
--
--   local sum = differential.run {kits = {kits.words, kits.lock}, from = 1, to = 300}
--   assert.same({}, sum.failures)   -- texts: the smallest protocol that differs, and in what
--
--   lua5.4 spec/lab/differential.lua words,lock 1 20000 [most]      the same, by hand
--   lua5.4 spec/lab/differential.lua spec.lab.other_kits:q 1 20000  a kit of another module's
--
-- What a kit is, spec.lab.kits says. An end is what was observed, what is in memory, how the
-- objects are, who still waits in what, and the verdict; and what broke a rule or threw an error
-- on the way is one, too. Of small ones lab.check has to say the same. A protocol that needs
-- more than `most` schedules without the reduction is cut down until it does not.
local main = (arg and arg[0] or ""):match "differential%.lua$"
if main then
  package.path = "./?.lua;" .. package.path
end
local chance = require "spec.lab.chance"
local explore = require "shm.lab.explore"
local kits_of_kinds = require "spec.lab.kits"
local lab = require "shm.lab"
local machines = require "shm.lab.model.machine"
local rules = require "shm.lab.rules"
local verdicts = require "shm.lab.verdict"

local M = {}

local MOST <const> = 400     -- schedules without the reduction
local CHECKED <const> = 50   -- schedules up to which lab.check is asked as well
local STEPS <const> = 200    -- of one execution

--- For those who ask here.
M.words, M.waits = kits_of_kinds.words, kits_of_kinds.waits

local function load_program(program)
  return assert(load(chance.source(program), "=protocol"))()
end

local function listed(map)
  local list = {}
  for name, value in pairs(map) do
    list[#list + 1] = ("%s=%s"):format(name, type(value) == "table" and
                                             "{" .. listed(value) .. "}" or tostring(value))
  end
  table.sort(list)
  return table.concat(list, " ")
end

local function objects_of(m)
  local objects = {}
  for _, object in ipairs(m.protocol.objects) do
    if object.kind.show then
      objects[object.name] = object.kind.show(m.state[object.name])
    end
  end
  return objects
end

-- What an execution came to; nil where it does not count.
local function end_of(m, at_end)
  local wrong, counts = verdicts.at_end(m, at_end)
  if not counts then
    return nil
  end
  local waits = {}
  for _, me in ipairs((verdicts.waiting(m))) do
    waits[#waits + 1] = me.name .. " in " .. verdicts.describe(me)
  end
  return table.concat({listed(m.observed), listed(m.memory), listed(objects_of(m)),
                       table.concat(waits, ", "), wrong and wrong.kind .. " " ..
                       (wrong.name or "") or ""}, " | ")
end

-- All ends of a protocol, as a set, and how many schedules that took; nil for more than most.
local function ends_of(protocol, options, reduce, most)
  local watched, ends, grown, explorer = {}
  local settings = {memory = options.memory, crashes = options.crashes, spins = options.spins,
                    reduce = reduce, steps = STEPS}
  repeat
    local m = machines.new(protocol, settings)
    m.watched = watched
    local at_once, at_end = rules.watch(m)
    local noted
    local failed -- what was wrong on the way, which is no end
    local function look()
      if m.failed then
        noted[#noted + 1] = verdicts.failure(m)
        m.failed = nil
      end
      noted[#noted + 1] = at_once()
    end
    ends, failed = {}, {}
    explorer = explore.new(m, settings, look)
    repeat
      noted = {}
      local how, found = explorer:next()
      for _, wrong in ipairs(noted) do
        failed[wrong.kind .. " " .. (wrong.name or wrong.message)] = true
      end
      if how == "found" then
        if found.kind == "outside" then
          error("taken for one that uses something outside its world", 0)
        end
        failed[found.kind .. " " .. (found.name or found.message)] = true
      elseif how == "end" then
        local came = end_of(m, at_end)
        if came then
          ends[came] = true
        end
      elseif how == "cut" then
        return nil
      end
      if explorer.schedules + explorer.blocked > most then
        return nil
      end
    until not how or m.grown
    grown = m.grown
    for what in pairs(failed) do
      ends["on the way: " .. what] = true
    end
  until not grown
  return ends, explorer.schedules
end

local function missing(one, other)
  local list = {}
  for name in pairs(one) do
    if not other[name] then
      list[#list + 1] = name
    end
  end
  table.sort(list)
  return list
end

-- What lab.check says of it, as a set.
local function checked(protocol, options, reduce)
  local result = lab.check(protocol, {memory = options.memory, crashes = options.crashes,
                                      spins = options.spins, reduce = reduce, all = true})
  local ends = {}
  for outcome in pairs(result.outcomes) do
    ends["outcome " .. outcome] = true
  end
  for violation in pairs(result.violations) do
    ends["violation " .. violation] = true
  end
  return ends
end

local function difference(one, other)
  local fewer, more = missing(one, other), missing(other, one)
  if #fewer + #more > 0 then
    return ("the reduction misses:\n  %s\nand invents:\n  %s\n")
      :format(table.concat(fewer, "\n  "), table.concat(more, "\n  "))
  end
end

--- Compares a protocol with and without the reduction.
-- @tparam table program
-- @int[opt] most schedules
-- @treturn ?string what differs; nil when nothing does
-- @treturn ?int schedules without the reduction; nil when they are too many
-- @treturn ?int and with it
function M.compare(program, most)
  local protocol, options = load_program(program)
  local all, schedules = ends_of(protocol, options, false, most or MOST)
  if not all then
    return nil
  end
  local ok, some, reduced = pcall(ends_of, protocol, options, true, 10 * schedules + 100)
  if not ok then
    return "the reduction stops: " .. tostring(some), schedules, 0
  elseif not some then
    return ("the reduction takes ten times %d schedules"):format(schedules), schedules, 0
  end
  local different = difference(all, some)
  if not different and schedules <= CHECKED then
    different = difference(checked(protocol, options, false), checked(protocol, options, true))
  end
  return different, schedules, reduced
end

--- Compares many.
-- @tparam table given kits, from, to (seeds), most (schedules without the reduction), fails (how
-- many failures are enough), progress (called with the sum and the seed, every hundred)
-- @treturn table compared, schedules (without the reduction), reduced (with it), failures (a list
-- of texts)
function M.run(given)
  local sum = {compared = 0, schedules = 0, reduced = 0, failures = {}}
  for seed = given.from, given.to do
    local program = chance.make(given.kits, seed)
    local different, schedules, reduced
    repeat
      different, schedules, reduced = M.compare(program, given.most)
    until schedules or not chance.cut_down(program)
    if different then
      chance.smallest(program, function(one) return (M.compare(one, given.most)) end)
      sum.failures[#sum.failures + 1] = ("seed %d:\n%s%s"):format(seed, chance.source(program),
        M.compare(program, given.most) or "(not any more)")
      if #sum.failures >= (given.fails or 1) then
        break
      end
    end
    sum.compared = sum.compared + 1
    sum.schedules, sum.reduced = sum.schedules + schedules, sum.reduced + reduced
    if given.progress and seed % 100 == 0 then
      given.progress(sum, seed)
    end
  end
  return sum
end

if main then
  local kits = {}
  for name in (arg[1] or "words"):gmatch "[^,]+" do
    local module, kit = name:match "^(.*):(.*)$"
    kits[#kits + 1] = assert((module and require(module) or kits_of_kinds)[kit or name], name)
  end
  local sum = M.run {kits = kits, from = tonumber(arg[2] or 1), to = tonumber(arg[3] or 1000),
                     most = tonumber(arg[4]), progress = function(sum, seed)
    io.stderr:write(("\rseed %d: %d compared"):format(seed, sum.compared))
  end}
  io.stderr:write "\n"
  print(("%d compared; %d schedules, %d with the reduction; %d failures"):format(
    sum.compared, sum.schedules, sum.reduced, #sum.failures))
  print(table.concat(sum.failures, "\n"))
  os.exit(#sum.failures == 0)
end

return M
