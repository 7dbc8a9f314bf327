--- Takes a protocol through all its schedules, depth first: each time it begins anew, goes along
-- the steps it has decided on, and then on to the end. Of schedules that differ only in the
-- order of steps that do not concern each other it takes one.
--
-- How that is found is dynamic partial-order reduction by source sets: of each step it is known
-- which ones before it happened before it (a vector clock says so); where it conflicts with one
-- that did not, the two are a race, and at the node before that one it is noted that somebody
-- is to be scheduled there who leads to the other order. Who was scheduled at a node and is done
-- with sleeps in what is scheduled there later, until a step conflicts with its own.
--
-- Steps conflict when they have a key in common and one of them does more than look. What a rule
-- of the protocol looks at is a key of that rule's, so that all orders of what it could see are
-- taken.
--
-- What waits is not scheduled. So a step that waits until another lets it go on is no race with
-- that one, and where it stood still to the end it is looked at as if it had been made: else
-- who took a lock first, and for ever, would never have come second.
-- @module shm.lab.explore
local intentions = require "shm.lab.intentions"
local races = require "shm.lab.races"

local M = {}

local Explorer = {}
Explorer.__index = Explorer

local function lowest(mask) return mask & -mask end

-- Of a single bit: which it is, from 1.
local slot_of_bit = {}
for slot = 1, 62 do
  slot_of_bit[1 << slot - 1] = slot
end

local function share_key(one, other)
  for i = 1, #one do
    local key = one[i]
    for j = 1, #other do
      if key == other[j] then
        return true
      end
    end
  end
  return false
end

--- An explorer at the beginning.
-- @tparam table machine see shm.lab.model.machine
-- @tparam table settings reduce (boolean), preemptions, steps (each nil for no bound)
-- @tparam function look called after each step that is new: gives what it found, or nil
function M.new(machine, settings, look)
  return setmetatable({
    m = machine, look = look, reduce = settings.reduce and not settings.preemptions,
    preemptions = settings.preemptions, steps = settings.steps,
    nodes = {}, events = {}, top = 0, history = {}, of_slot = {},
    merged = setmetatable({}, {__mode = "k"}),
    schedules = 0, blocked = 0, cut = 0, taken = 0,
  }, Explorer)
end

-- The keys of a step, and those of the rules that see it.
local function with_rules(self, keys)
  local watched = self.m.watched
  if not next(watched) then
    return keys
  end
  local merged = self.merged[keys]
  if not merged then
    merged = table.move(keys, 1, #keys, 1, {})
    for _, key in ipairs(keys) do
      for _, rule in ipairs(watched[key] or {}) do
        merged[#merged + 1] = rule
      end
    end
    self.merged[keys] = merged
  end
  return merged
end

local function push(lists, key, depth)
  local list = lists[key]
  if not list then
    list = {}
    lists[key] = list
  end
  list[#list + 1] = depth
end

local function record(self, depth, event)
  self.events[depth] = event
  push(self.of_slot, event.slot, depth)
  for _, key in ipairs(event.keys) do
    push(self.history, key, depth)
  end
end

local function forget(self, depth)
  local event = self.events[depth]
  self.events[depth] = nil
  local of_slot = self.of_slot[event.slot]
  of_slot[#of_slot] = nil
  for _, key in ipairs(event.keys) do
    local list = self.history[key]
    list[#list] = nil
  end
end

-- What the step of a slot would be, if it were made now.
local function propose(self, slot)
  local m = self.m
  local op, target, keys, looks = m:footprint(slot)
  local me = m.roles[(slot + 2) // 3]
  return {slot = slot, op = op, target = target, a = me.a, b = me.b, looks = looks,
          keys = self.reduce and with_rules(self, keys) or keys, woke = 0}
end

-- What a role that waits would do is looked at as if it were done now.
local function look_at_pending(self, depth, me)
  local event = propose(self, me.slot)
  races.find(self, depth, event, races.past(self, me.slot, event.op))
end

-- Makes a step that is new.
local function advance(self, depth, node)
  local m, slot = self.m, node.slot
  local event = propose(self, slot)
  if self.reduce then
    local me = m.roles[(slot + 2) // 3]
    if me.doomed and me.op and slot == me.slot + 2 then -- or it would never have been looked at
      look_at_pending(self, depth, me)
    end
    races.remember(self, event)
    races.find(self, depth, event, races.past(self, slot, event.op))
  end
  record(self, depth, event)
  m:step(slot, node.choice)
  self.taken = self.taken + 1
end

-- Makes a step again. It has to be the one it was.
local function retrace(self, depth, node)
  local m, slot, event = self.m, node.slot, self.events[depth]
  if (slot + 2) % 3 == 0 then
    local found = intentions.differs(m, (slot + 2) // 3, event, depth)
    if found then
      return found
    end
  end
  m:step(slot, node.choice)
  self.taken = self.taken + 1
end

-- Those that still sleep after a step: their own does not conflict with it.
local function still_asleep(sleep, event)
  local list, mask = {}, 0
  local role, part = (event.slot + 2) // 3, (event.slot + 2) % 3
  for _, one in ipairs(sleep) do
    local same_role = (one.slot + 2) // 3 == role
    local other_part = (one.slot + 2) % 3
    if not (same_role and (part == 2 or other_part == 2)) and
       (one.looks and event.looks or not share_key(one.keys, event.keys)) then
      list[#list + 1] = one
      mask = mask | 1 << one.slot - 1
    end
  end
  return list, mask
end

local NOBODY <const> = {}

-- Which slots are to be taken at a new node, besides those that races will ask for.
local function widen(self, node, slot)
  if self.reduce then
    local index, part = (slot + 2) // 3, (slot + 2) % 3
    local death = part == 0 and 1 << 3 * index - 1 or 0
    return 1 << slot - 1 | death & node.deaths
  end
  return node.will | node.deaths
end

-- How often somebody was stopped though it could have gone on, if this slot is next.
local function preemptions_at(before, slot)
  if not before then
    return 0
  end
  local stopped = before.slot ~= slot and (before.slot + 2) % 3 == 0 and
                  (slot + 2) % 3 == 0
  return before.preempted, stopped
end

local function within_bound(self, node, before, slot)
  local so_far, switches = preemptions_at(before, slot)
  if switches and node.will & 1 << before.slot - 1 ~= 0 then
    so_far = so_far + 1
  end
  node.preempted = so_far
  return not self.preemptions or so_far <= self.preemptions
end

-- Who goes on where nothing is decided: the one that did, or else a role, or else a buffer; who is
-- to die for sure does so last, as others may still let it go on.
local function favourite(candidates, before, deaths)
  local lasting = candidates & ~deaths
  candidates = lasting ~= 0 and lasting or candidates
  local bit = before and 1 << before.slot - 1 or 0
  if candidates & bit ~= 0 and (before.slot + 2) % 3 == 0 then
    return before.slot
  end
  local roles = candidates & 0x1249249249249249
  return slot_of_bit[lowest(roles ~= 0 and roles or candidates)]
end

-- A node after so many steps, or nil when none can be made.
local function open_node(self, depth)
  local nodes, before = self.nodes, self.nodes[depth - 1]
  local will, deaths = self.m:enabled()
  local node = {will = will, deaths = deaths, done = 0, backtrack = 0, asleep = 0,
                sleep = NOBODY, choice = 1, choices = 1, intentions = intentions.of(self.m)}
  if before then
    local event = self.events[depth - 1]
    event.woke = will & ~before.will & ~before.deaths & ~(1 << before.slot - 1)
    if self.reduce then
      node.sleep, node.asleep = still_asleep(before.sleep, event)
    end
  end
  nodes[depth] = node
  return node
end

local function choose(self, node, slot)
  node.slot, node.choice, node.choices = slot, 1, 1
  if (slot + 2) % 3 == 0 then
    local me = self.m.roles[(slot + 2) // 3]
    local choices = me.op.choices
    node.choices = choices and choices(me.a) or 1
  end
end

-- Who waits at the end is looked at as if it had gone on at last; and may still die.
local function look_at_waiting(self, depth)
  if not self.reduce then
    return
  end
  for _, me in pairs(self.m.roles) do
    if me.op then
      look_at_pending(self, depth, me)
    end
  end
end

-- From the node at this depth on to the end. Returns what look found, and how it ended: "end",
-- "asleep", "cut".
local function go_on(self, depth)
  while true do
    local found = self.look(self.m, depth - 1, self.events[depth - 1])
    if found then
      return found, "found"
    end
    local node = open_node(self, depth)
    local before = self.nodes[depth - 1]
    if node.will == 0 then
      look_at_waiting(self, depth)
      node.backtrack = node.deaths
      return nil, "end"
    end
    local candidates = node.will & ~node.asleep
    if candidates == 0 then
      node.backtrack = 0
      return nil, "asleep"
    elseif self.steps and depth > self.steps then
      return nil, "cut"
    end
    local slot = favourite(candidates, before, node.deaths)
    node.backtrack = widen(self, node, slot)
    if candidates & ~node.deaths == 0 then -- the death of one may let another one go on
      node.backtrack = node.backtrack | candidates
    end
    within_bound(self, node, before, slot)
    choose(self, node, slot)
    self.top = depth
    advance(self, depth, node)
    depth = depth + 1
  end
end

-- Back to the last node at which something is left to be taken. False when there is none.
local function retreat(self)
  local nodes = self.nodes
  local depth = nodes[self.top + 1] and self.top + 1 or self.top
  while depth > 0 do
    local node = nodes[depth]
    if node.slot and node.choice < node.choices then
      forget(self, depth)
      node.choice = node.choice + 1
      self.top = depth
      return true
    end
    if node.slot then
      local event = self.events[depth]
      forget(self, depth)
      node.done = node.done | 1 << node.slot - 1
      if self.reduce then
        node.sleep = table.move(node.sleep, 1, #node.sleep, 1, {})
        node.sleep[#node.sleep + 1] = event
        node.asleep = node.asleep | 1 << node.slot - 1
      end
      node.slot = nil
    end
    local left = node.backtrack & ~node.done & ~node.asleep
    while left ~= 0 do
      local bit = lowest(left)
      local slot = slot_of_bit[bit]
      if within_bound(self, node, nodes[depth - 1], slot) then
        node.slot, node.choice, node.choices, node.fresh = slot, 1, 1, true
        node.backtrack = node.backtrack | widen(self, node, slot)
        self.top = depth
        return true
      end
      left = left & ~bit
    end
    depth, self.top = depth - 1, depth - 1 -- before the node goes: Ctrl-C may come in between
    nodes[depth + 1] = nil
  end
  return false
end

--- Takes the next schedule.
-- @treturn string|nil how it ended: "end"; "found" when look did; "asleep" when all that is left
-- was taken before; "cut" at the bound; nil when there is none left
-- @return what look found
function Explorer:next()
  local depth = 1
  if self.begun then
    if not retreat(self) then
      return nil
    end
    local m = self.m
    m:reset()
    for d = 1, self.top - 1 do
      local found = retrace(self, d, self.nodes[d])
      if found then
        return "found", found
      end
    end
    local node = self.nodes[self.top]
    local differs_here = intentions.compare(m, node, self.top)
    if differs_here then
      return "found", differs_here
    end
    if node.fresh then
      node.fresh = nil
      choose(self, node, node.slot)
    end
    advance(self, self.top, node)
    depth = self.top + 1
  else
    self.begun = true
    self.m:reset()
  end
  local found, how = go_on(self, depth)
  if how == "end" or how == "found" then
    self.schedules = self.schedules + 1
  elseif how == "asleep" then
    self.blocked = self.blocked + 1
  else
    self.cut = self.cut + 1
  end
  return how, found
end

--- How much of all is done, from 0 to 1, as far as it is known: what is still to be found at a
-- node is not.
function Explorer:progress()
  local done, share = 0, 1
  for depth = 1, self.top do
    local node = self.nodes[depth]
    local taken, all = 0, 0
    for slot = 1, 48 do
      local bit = 1 << slot - 1
      all = all + ((node.backtrack | node.done) & bit ~= 0 and 1 or 0)
      taken = taken + (node.done & bit ~= 0 and 1 or 0)
    end
    if all > 0 then
      done = done + share * taken / all
      share = share / all
    end
  end
  return done
end

--- The steps that led here, as a list of slots and choices.
function Explorer:path()
  local path = {}
  for depth = 1, self.top do
    path[depth] = {slot = self.nodes[depth].slot, choice = self.nodes[depth].choice}
  end
  return path
end

return M
