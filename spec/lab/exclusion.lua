-- The algorithms of shm.exclusion in the laboratory: not a copy of them but their very source, as
-- roles of a protocol.
local lab = require "shm.lab"
local support = require "spec.support"

local M = {}

--- Those that there are.
M.NAMES = {"dekker", "peterson", "filter", "szymanski", "bakery"}

local function path_of(name) return "lua/shm/exclusion/" .. name .. ".lua" end

--- The algorithm as it stands.
function M.algorithm(name) return require("shm.exclusion." .. name) end

--- The algorithm with its source changed in one place.
function M.changed(name, from, to)
  local source = support.read_file(path_of(name))
  local at, upto = source:find(from, 1, true)
  assert(at and not source:find(from, upto + 1, true), name .. " is another: " .. from)
  return assert(load(source:sub(1, at - 1) .. to .. source:sub(upto + 1), "=" .. name))()
end

--- Szymanski's, with the flags read from the last to the first by who is at the door; and a
-- schedule by which two of three are inside then, which lab_soak.lua finds.
function M.szymanski_backwards()
  return M.changed("szymanski", "for i = 1, #others do\n      if others[i]() > 2",
                   "for i = #others, 1, -1 do\n      if others[i]() > 2")
end
M.BACKWARDS = "sc: 1*5 2 3*9 1*8 2*3 3*2 1*2 3*3 2*8"

--- The lines in which its source has a fence.
function M.fences(name)
  local lines, n = {}, 0
  for line in io.lines(path_of(name)) do
    n = n + 1
    if line:match "^%s*fence%(%)$" then
      lines[#lines + 1] = n
    end
  end
  return lines
end

-- The words of a role's world, as an algorithm takes them. So many of its waits may end because
-- the time is up, once it has looked in vain.
local function words_of(w, without, patience)
  return {
    reader = w.reader, writer = w.writer,
    fence = function()
      if without ~= true and without ~= debug.getinfo(2, "l").currentline then
        w.fence()
      end
    end,
    await = function(condition)
      if patience > 0 then
        if condition() then
          return true
        elseif w.choose(2) == 2 then
          patience = patience - 1
          return nil, "tired", 110
        end
      end
      return w.await(condition)
    end,
  }
end

local function role_of(algorithm, me, n, options)
  local rounds = options.rounds and options.rounds[me] or 1
  local patience = options.patience and options.patience[me] or 0
  return {background = options.background, run = function(w)
    local words = words_of(w, options.without, patience)
    local enter, leave, withdraw = algorithm.bind(words, me, n)
    for _ = 1, rounds do
      if enter() then
        w.enter "critical"
        w.leave "critical"
        leave()
      else
        withdraw()
      end
    end
  end}
end

--- A protocol in which n processes each enter and leave.
-- @tparam table algorithm
-- @int n
-- @tparam table options rounds (how often each, by number; 1), patience (how many waits of each
-- may end because the time is up; 0), without (the line of a fence that is not there, or true: no
-- fence is), background (roles may wait for ever)
function M.protocol(algorithm, n, options)
  local roles = {}
  for me = 1, n do
    roles[me] = role_of(algorithm, me, n, options)
  end
  return lab.protocol {
    name = algorithm.name, words = algorithm.words(n), roles = roles,
    never = {two_inside = function(s) return s.inside.critical > 1 end},
  }
end

--- Goes through every schedule, of which none may be wrong.
-- @treturn shm.lab.result
function M.holds(algorithm, n, options)
  local result = lab.check(M.protocol(algorithm, n, options or {}), {memory = "tso"})
  assert(result.ok and result.exhaustive, tostring(result))
  return result
end

--- Finds one in which two are inside. That somebody may wait for ever does not matter then.
-- @treturn string the schedule
function M.collides(algorithm, n, options)
  options.background = true
  local protocol = M.protocol(algorithm, n, options)
  local result = lab.check(protocol, {memory = options.memory or "tso"})
  assert(result.verdict and result.verdict.name == "two_inside", tostring(result))
  assert(lab.replay(protocol, result.schedule).verdict.name == "two_inside")
  return result.schedule
end

return M
