--- The trace of a round, from the logs of its roles.
-- @module shm.lab.run.trace
local logs = require "shm.lab.run.log"
local places = require "shm.lab.run.place"

local M = {}

local function show(value)
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

local function show_list(list)
  local words = {}
  for i = 1, list.n do
    words[i] = type(list[i]) == "table" and "{…}" or show(list[i])
  end
  return table.concat(words, ", ")
end

local TEXTS = {
  read = function(s)
    local more = s.times and (" (%d times)"):format(s.times) or ""
    return ("%s -> %s%s"):format(s.object, show(s.results[1]), more)
  end,
  write = function(s) return ("%s = %s"):format(s.object, show(s.args[1])) end,
  add = function(s) return ("add %s %d -> %s"):format(s.object, s.args[1], s.results[1]) end,
  swap = function(s) return ("swap %s %d -> %s"):format(s.object, s.args[1], s.results[1]) end,
  cas = function(s)
    return ("cas %s %d to %d -> %s"):format(s.object, s.args[1], s.args[2], s.results[1])
  end,
  fence = function() return "fence" end,
  enter = function(s) return "enters " .. s.object end,
  leave = function(s) return "leaves " .. s.object end,
  observe = function(s) return ("%s: %s"):format(s.object, show(s.args[1])) end,
  note = function(s) return tostring(s.args[1]) end,
  choose = function(s) return ("chooses %s of %d"):format(s.results[1], s.args[1]) end,
  crash = function() return "dies" end,
  restart = function() return "starts again" end,
  await = function(s)
    return s.object and ("%s -> %s"):format(s.object, show(s.results[1])) or "await"
  end,
}

local function describe(step)
  local text = TEXTS[step.action]
  if text and (step.finish or step.action == "write") then
    return text(step)
  end
  local results = step.results.threw and " threw an error" or
                  step.results.n > 0 and " -> " .. show_list(step.results) or ""
  return ("%s(%s)%s"):format(step.object and step.object .. ":" .. step.action or step.action,
                             show_list(step.args), results)
end

-- The names of sections by their places.
local function names_of(place)
  place:look_up_names()
  local names = {}
  for name, at in pairs(place.known) do
    names[(at - place.names_at) // 512 + 1] = name
  end
  return names
end

-- The entries of all roles, in the order in which they came to their ends.
local function gather(place, round, roles)
  local sections, all, full = names_of(place), {}, {}
  local word_names = place.protocol.words
  local function name_of(action, target)
    if action == "enter" or action == "leave" then
      return sections[target]
    end
    return word_names[target]
  end
  for index in ipairs(roles) do
    local list, _, _, filled = logs.entries(place, index, round, name_of)
    full[index] = filled or nil
    local latest = -math.huge
    for i, one in ipairs(list) do
      latest = math.max(latest, one.finish or one.start)
      one.role, one.at, one.key = index, i, latest
      all[#all + 1] = one
    end
  end
  table.sort(all, function(a, b)
    if a.key ~= b.key then
      return a.key < b.key
    elseif a.role ~= b.role then
      return a.role < b.role
    end
    return a.at < b.at
  end)
  return all, full
end

local function waits_in(one)
  if one.action == "await" then
    return "await"
  end
  return describe(one)
end

--- The names of all roles of the round, those that were forked included.
function M.roles(place)
  local names = {}
  for i, role in ipairs(place.protocol.roles) do
    names[i] = role.name
  end
  for i = #names + 1, math.min(#names + place:load "born", places.MOST) do
    names[i] = place:child_name(i)
  end
  return names
end

--- Writes down the trace of a round that is over, or stands still.
-- @tparam table place
-- @int round
-- @tparam[opt] table verdict kind, name, message, roles, and the cell and role of its step
-- @treturn table the trace
function M.build(place, round, verdict)
  local roles = M.roles(place)
  local steps, full = gather(place, round, roles)
  local began, ended = math.huge, 0
  for _, one in ipairs(steps) do
    if one.start > 0 then -- not a crash of which only the end is known
      began = math.min(began, one.start)
    end
    ended = math.max(ended, one.finish or one.start)
  end
  if began == math.huge then -- nobody has done anything but die
    began = #steps > 0 and steps[1].finish or 0
  end
  local waiting = {}
  for i, one in ipairs(steps) do
    one.start = math.max(0.0, one.start - began)
    one.finish = one.finish and one.finish - began
    one.text = describe(one)
    if not one.finish then
      waiting[one.role] = waits_in(one)
    elseif one.action == "crash" then
      waiting[one.role] = nil
    end
    if verdict and verdict.at and verdict.role == one.role and one.at <= verdict.at then
      verdict.step = i
    end
    one.at, one.key = nil, nil
  end
  if verdict then
    verdict.step, verdict.at, verdict.role = verdict.step or #steps, nil, nil
  end
  return {protocol = place.protocol.name, roles = roles, steps = steps, verdict = verdict,
          waiting = waiting, round = round, seconds = #steps > 0 and ended - began or 0,
          full = next(full) and full or nil}
end

return M
