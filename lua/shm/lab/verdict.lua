--- What is wrong with an execution that has come to its end: an error, roles that wait for what
-- nobody brings any more, a rule about the end, or something that was left behind.
-- @module shm.lab.verdict
local operations = require "shm.lab.model.words"

local M = {}

local function show(value)
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

--- A call on an object, or of the world, for a person.
-- @tparam table op
-- @param target the object's name, or nil
-- @param ... its arguments
-- @treturn string
function M.call(op, target, ...)
  local words = table.pack(...)
  for i = 1, words.n do
    words[i] = show(words[i])
  end
  while words.n > 0 and words[words.n] == "nil" do
    words[words.n], words.n = nil, words.n - 1
  end
  local name = op.call or op.name
  return ("%s(%s)"):format(target and target .. ":" .. name or name,
                           table.concat(words, ", ", 1, words.n))
end

--- What a role waits in, for a person.
function M.describe(me)
  local op, target = me.op, me.target
  if op == operations.await then
    return target and ("await, which reads %s"):format(target) or "await, which reads no word"
  elseif op == operations.read then
    return ("a loop that reads %s again and again"):format(target)
  elseif me.spun and op.poll then
    return ("a loop that asks %s again and again"):format(op.describe and
      op.describe(me, target, me.a, me.b) or op.object == false and op.name .. "()" or
      ("%s:%s()"):format(target, op.name))
  elseif op.describe then
    return op.describe(me, target, me.a, me.b, me.c, me.d)
  end
  return M.call(op, target, me.a, me.b, me.c, me.d)
end

-- The roles that a role waits for, as far as what it waits in knows them.
local function holders_of(m, me)
  local object = me.op and type(me.target) == "string" and m.protocol.object_of[me.target]
  local holders = object and object.kind.holders
  return holders and holders(m.state[me.target], m, me) or {}
end

-- Those that wait for each other's locks in a circle, or nil.
local function circle(m, waiting)
  local function go_on(list, seen, me)
    for _, holder in ipairs(holders_of(m, me)) do
      if holder == list[1] then
        return true
      elseif holder.op and not seen[holder] then
        seen[holder] = true
        list[#list + 1] = holder
        if go_on(list, seen, holder) then
          return true
        end
        list[#list] = nil
      end
    end
  end
  for _, first in ipairs(waiting) do
    local list = {first}
    if go_on(list, {[first] = true}, first) then
      return list
    end
  end
end

local function indices(roles)
  local list = {}
  for i, me in ipairs(roles) do
    list[i] = me.index
  end
  return list
end

-- A sleeper that nobody can wake: every one whose wake-ups are not kept for it; and one whose
-- wake-ups are, where one of them is known to have been lost all the same. One of whom that is
-- known comes first.
local function lost_wakeup(m, waiting)
  local who, how, step
  for _, me in ipairs(waiting) do
    local op, target = me.op, me.target
    local lost = op.lost and op.lost(m, me, target, me.a)
    local missed = op.sleeps and m.missed_at[op.missed_key and op.missed_key(me, target) or target]
    if missed then
      lost = ("a wake-up came in step %d, when nobody slept there"):format(missed)
    end
    if lost and not how or op.sleeps and not who then
      who, how, step = me, lost or nil, missed or nil
    end
  end
  if who then
    return {kind = "lost wake-up", roles = {who.index}, missed = step, message =
      ("lost wake-up: %s sleeps in %s, and nobody can wake it any more%s"):format(who.name,
        M.describe(who), how and (" (%s)"):format(how) or "")}
  end
end

-- Who waits in what, and whom for, if that one will not let it go on.
local function waits_of(m, waiting)
  local words = {}
  for i, me in ipairs(waiting) do
    words[i] = ("%s waits in %s"):format(me.name, M.describe(me))
    for _, holder in ipairs(holders_of(m, me)) do
      if holder.over then
        words[i] = ("%s (held by %s, which has ended)"):format(words[i], holder.name)
      end
    end
  end
  return table.concat(words, "; ")
end

local function stuck(m, waiting)
  local list = circle(m, waiting)
  if list then
    local whats = {}
    for i, me in ipairs(list) do
      whats[i] = ("%s waits for %s, which %s holds"):format(me.name, me.target,
        list[i % #list + 1].name)
    end
    return {kind = "deadlock", roles = indices(list),
            message = "deadlock: " .. table.concat(whats, "; ")}
  end
  local lost = lost_wakeup(m, waiting)
  if lost then
    return lost
  end
  for _, me in ipairs(waiting) do
    if me.op == operations.await or me.op == operations.read or me.spun and me.op.poll then
      return {kind = "no progress", roles = {me.index}, message =
        ("no progress: %s spins in %s, which nobody changes any more"):format(me.name,
          M.describe(me))}
    end
  end
  return {kind = "deadlock", roles = indices(waiting), message =
    ("deadlock: %s; nobody can let %s go on"):format(waits_of(m, waiting),
      #waiting == 1 and "it" or "them")}
end

--- Who has not come to its end, in order; and whether one of them only looked too early.
function M.waiting(m)
  local waiting, stale = {}, false
  local most = 0
  for index in pairs(m.roles) do
    most = math.max(most, index)
  end
  for index = 1, most do
    local me = m.roles[index]
    if me and me.op then
      waiting[#waiting + 1] = me
      stale = stale or m:is_stale(me)
    end
  end
  return waiting, stale
end

local function left_behind(m)
  for _, object in ipairs(m.protocol.objects) do
    local left = object.kind.left and object.kind.left(m.state[object.name], m)
    if left then
      local what = object.kind.field and ("%s '%s': "):format(object.kind.name, object.name) or ""
      return {kind = "left behind", name = object.name,
              message = ("left behind: %s%s"):format(what, left)}
    end
  end
end

--- What is wrong at the end.
-- @tparam table m the machine, in which nothing can go on
-- @tparam function at_end see shm.lab.rules
-- @treturn table|nil kind, name, message, roles
-- @treturn boolean whether the execution counts: it does not where a role looked too early, as
-- then another one is like it but for that
function M.at_end(m, at_end)
  local waiting, stale = M.waiting(m)
  if stale then
    return nil, false
  end
  local serious = {}
  for _, me in ipairs(waiting) do
    if not me.role.background then
      serious[#serious + 1] = me
    end
  end
  if #serious > 0 then
    return stuck(m, serious), true
  end
  return at_end() or left_behind(m), true
end

--- What is wrong where a role threw an error.
function M.failure(m)
  local failed = m.failed
  local message = tostring(failed.message)
  local kind = message:match "is outside its world$" and "outside" or "error"
  return {kind = kind, roles = {failed.me.index},
          message = ("error in role %s: %s"):format(failed.me.name, message)}
end

return M
