--- Races between the steps of one execution: which of those before a step are not before it by
-- necessity, and who is to be scheduled earlier so that it comes first. See shm.lab.explore, of
-- which each function here gets its state: nodes, events, history (of each key, the depths of
-- those that have it) and of_slot (of each slot, the depths of its steps).
-- @module shm.lab.races
local M = {}

local function lowest(mask) return mask & -mask end

local function join(clock, other)
  for slot, depth in pairs(other) do
    local mine = clock[slot]
    if not mine or mine < depth then
      clock[slot] = depth
    end
  end
end

local function last_of(self, slot)
  local depths = self.of_slot[slot]
  return depths and depths[#depths]
end

local function join_event(self, clock, depth)
  if depth then
    join(clock, self.events[depth].clock)
  end
end

--- The clock of what comes before a step whatever else happens: the steps of its slot, and what
-- those of other slots of the same role have made possible.
function M.past(self, slot, op)
  local m, index, part = self.m, (slot + 2) // 3, (slot + 2) % 3
  local clock, before = {}, last_of(self, slot)
  local me = m.roles[index]
  join_event(self, clock, before)
  if not before and me.born then
    join_event(self, clock, me.born)
  end
  if part == 0 then
    if not op.plain then
      join_event(self, clock, last_of(self, slot + 1))
      if op.name == "restart" then
        join_event(self, clock, last_of(self, slot + 2))
      end
    end
  elseif part == 1 then
    join_event(self, clock, me.buffer[me.first].depth)
  else
    join_event(self, clock, last_of(self, slot - 2))
    join_event(self, clock, last_of(self, slot - 1))
  end
  return clock
end

-- The slots that can begin what followed a step, if that is left out with all that depends on it.
local function initials(self, i, depth, event)
  local events, slot_i = self.events, self.events[i].slot
  local first, mask = {}, 0
  for j = i + 1, depth do
    local one = j == depth and event or events[j]
    local clock, slot = one.clock, one.slot
    if (j == depth or (clock[slot_i] or 0) < i) and not first[slot] then
      local is_first = true
      for other, at in pairs(first) do
        if (clock[other] or 0) >= at then
          is_first = false
          break
        end
      end
      first[slot] = j
      if is_first then
        mask = mask | 1 << slot - 1
      end
    end
  end
  return mask
end

-- Notes at the node before step i that the one at this depth is to come first. False where it
-- can not, as it waits there.
local function reverse(self, i, depth, event)
  local node = self.nodes[i]
  local mask = initials(self, i, depth, event)
  if (node.backtrack | node.asleep) & mask ~= 0 then
    return true
  end
  local able = mask & (node.will | node.deaths)
  if able == 0 then
    return false
  end
  local own = 1 << event.slot - 1
  node.backtrack = node.backtrack | (able & own ~= 0 and own or lowest(able))
  return true
end

--- Keeps what the keys of a step were like before it, those of its target and of what else it is
-- about: a process that dies lets go of many things.
function M.remember(self, event)
  local m, keys, target = self.m, event.keys, event.target
  event.before = target and m:look(target)
  if #keys > 1 or keys[1] ~= target then
    event.befores = {}
    for _, key in ipairs(keys) do
      event.befores[key] = m:look(key)
    end
  end
end

-- Whether a step is about this, and what that was like before it.
local function before_of(event, target)
  if event.target == target then
    return true, event.before
  end
  for _, key in ipairs(event.befores and event.keys or {}) do
    if key == target then
      return true, event.befores[key]
    end
  end
  return false
end

-- Whether a step could not have been made before step i.
local function waited_for(self, i, event, me, before)
  local one = self.events[i]
  if one.woke & 1 << event.slot - 1 ~= 0 and (before or 0) < i then
    return true
  end
  local could = event.op.could
  if not could or one.looks then
    return false
  end
  local concerns, was = before_of(one, event.target)
  return concerns and not could(was, self.m, me, event.target, me.a, me.b)
end

--- Finds the races of a step with those before it, and gives it its clock.
function M.find(self, depth, event, past)
  local events, history, looks, slot = self.events, self.history, event.looks, event.slot
  local me = self.m.roles[(slot + 2) // 3]
  local before = last_of(self, slot)
  local clock, races = {}, {}
  join(clock, past)
  for _, key in ipairs(event.keys) do
    local at = history[key]
    local open = true -- whether the step's clock may still lack one that conflicts
    for j = at and #at or 0, 1, -1 do
      local i = at[j]
      local one = events[i]
      if not (looks and one.looks) then
        if open then
          join(clock, one.clock)
          open = one.looks
        end
        if (past[one.slot] or 0) >= i then
          if not one.looks then
            break
          end
        elseif not waited_for(self, i, event, me, before) then
          races[#races + 1] = i
          if not one.looks then
            break
          end
        end
      end
    end
  end
  clock[slot] = depth
  event.clock = clock
  for _, i in ipairs(races) do
    reverse(self, i, depth, event)
  end
end

return M
