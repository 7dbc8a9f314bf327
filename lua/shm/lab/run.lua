--- Runs a protocol on real processes: each role is one, and they share real memory and real
-- objects. A round is one execution, from the initial state to the end of all roles; the same
-- processes take part in round after round.
--
-- Who comes to its end last closes the round, counts its outcome, restores the state and opens
-- the next one. The parent sleeps. It is called for what a role can not do: a trace that is to
-- be kept, a process that died, an error, a round in which nobody moves any more.
-- @module shm.lab.run
local interrupt = require "shm.lab.interrupt"
local kinds = require "shm.lab.run.kinds"
local logs = require "shm.lab.run.log"
local options = require "shm.options"
local parents = require "shm.lab.run.parent"
local places = require "shm.lab.run.place"
local process = require "shm.process"

local M = {}

local OPTIONS = {
  rounds = {type = "number", default = 1000, least = 1, most = 2000000000},
  seconds = {type = "number", least = 0},
  delays = {integer = true, default = 0, least = 0, most = 1000000},
  kills = {type = "number", default = 0, least = 0, most = 100},
  seed = {integer = true, default = 1, least = 0, most = 1 << 30},
  timeout = {type = "number", default = 1, least = 0.01, most = 3600},
  trace = {type = "boolean", default = true},
  log = {integer = true, default = 1000, least = 1, most = 1000000},
  keep = {integer = true, default = 10, least = 0, most = 1000},
  progress = {any = true},
}

local Result = {__name = "shm.lab.run.result"}
Result.__index = Result

local function count(n, what) return ("%d %s%s"):format(n, what, n == 1 and "" or "s") end

local function sorted(counts)
  local names = {}
  for name in pairs(counts) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

function Result:__tostring()
  local lines = {}
  local numbers = ("%s, %.2f s, %.0f a second"):format(count(self.rounds, "round"), self.seconds,
                                                      self.rate)
  if self.killed > 0 then
    numbers = numbers .. ", " .. self.killed .. " killed"
  end
  numbers = numbers .. (self.interrupted and ", interrupted" or "") ..
            (self.stopped and ", stopped at " .. self.stopped or "")
  if self.ok then
    return "ok, " .. numbers
  end
  for _, name in ipairs(sorted(self.broken)) do
    local what = name:match "^left behind" and "%s in %s" or "%s was broken in %s"
    lines[#lines + 1] = what:format(name, count(self.broken[name], "round"))
  end
  if self.stuck > 0 then
    lines[#lines + 1] = ("%s stuck"):format(count(self.stuck, "round"))
  end
  if #self.errors > 0 then
    lines[#lines + 1] = self.errors[1].message:match "^[^\n]*"
  end
  if self.verdict and #lines == 0 then
    lines[#lines + 1] = self.verdict.message
  end
  return table.concat(lines, "; ") .. "\n  " .. numbers
end

--- Writes how far it is to standard error: what `progress = true` does.
function M.report(it)
  io.stderr:write(("\r%d rounds, %.0f a second, %.1f %% done\27[K")
    :format(it.rounds, it.rate, 100 * it.done), it.last and "\n" or "")
end

local function complete(settings)
  local rounds = math.tointeger(settings.rounds)
  if not rounds then
    error(("lab.run: rounds: integer expected, got %s"):format(settings.rounds), 3)
  end
  settings.rounds = rounds
  local progress = settings.progress
  if progress == true then
    settings.progress = M.report
  elseif progress and type(progress) ~= "function" then
    error(("lab.run: progress: true or a function expected, got %s"):format(type(progress)), 3)
  end
  settings.led = settings.kills > 0
  if not settings.trace then
    settings.keep = 0
  end
  return settings
end

local function rules_of(protocol)
  local names = {}
  for _, list in ipairs {protocol.never, protocol.always, protocol.finally} do
    for _, rule in ipairs(list) do
      names[#names + 1] = rule
    end
  end
  return names
end

--- Runs a protocol. What it takes and gives is said in shm.lab. With kills the parent opens each
-- round, which takes longer.
--
-- While it runs, it reads the signals CHLD, INT and RTMIN+9 of this process. If this process is
-- killed with -9, one more that it has forked ends the roles.
-- @tparam shm.lab.protocol protocol
-- @tparam[opt] table given options
-- @treturn shm.lab.run.result
function M.run(protocol, given)
  local settings = complete(options.read(given, OPTIONS, "lab.run"))
  local rules = rules_of(protocol)
  if #rules > places.MOST_RULES then
    error(("lab.run: protocol: %d rules, of %d at most"):format(#rules, places.MOST_RULES), 2)
  end
  local objects = kinds.objects(protocol)
  local run = {protocol = protocol, settings = settings, objects = objects,
               rules = rules, parent = process.pid()}
  run.place = places.new(protocol, objects, #run.rules + #objects,
                         logs.size(settings.trace and settings.log or 0))
  local result = setmetatable({settings = settings, broken = {}, errors = {}, traces = {},
                               stuck = 0, killed = 0}, Result)
  local parent <close> = parents.new(run, result)
  local began = process.monotonic()
  local ok, problem = pcall(parent.lead, parent)
  if not ok then
    if not interrupt.is(problem) then
      error(problem, 0)
    end
    result.interrupted = true
  end
  result.seconds = process.monotonic() - began
  parent:finish()
  local place = run.place
  result.rounds = place:load "accounted"
  result.rate = result.rounds / math.max(result.seconds, 1e-9)
  for i, rule in ipairs(run.rules) do
    local n = place:broken(i)
    result.broken[rule.kind .. " " .. rule.name] = n > 0 and n or nil
  end
  for i, object in ipairs(objects) do
    local n = place:broken(#run.rules + i)
    result.broken["left behind " .. object.name] = n > 0 and n or nil
  end
  result.outcomes = place:outcomes()
  result.ok = not next(result.broken) and result.stuck == 0 and #result.errors == 0
  if settings.progress then
    settings.progress {rounds = result.rounds, seconds = result.seconds, rate = result.rate,
                       done = result.rounds / settings.rounds, last = true}
  end
  return result
end

return M
