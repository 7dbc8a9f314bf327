--- What can be done next in the model on the way to what a trace says.
-- @module shm.lab.run.moves
local operations = require "shm.lab.model.words"

local M = {}

-- Whether all calls that had finished before this one started have been made.
local function in_time(self, state, entry)
  for _, other in pairs(self.states) do
    if other ~= state then
      local one = other.list[other.next]
      if one and one.finish and one.finish < entry.start then
        return false
      end
    end
  end
  return true
end

-- Whether what a role reads next is what it read.
local function reads_right(m, me, entry)
  local op = me.op
  if op == operations.read then
    return entry.action ~= "read" or not entry.finish or m:view(me, me.target) == entry.results[1]
  elseif op == operations.await and me.target then
    local read = entry.reads and entry.reads[me.logged + 1]
    if entry.finish and (not read or read.object ~= me.target or
                         read.value ~= m:view(me, me.target)) then
      return false
    end
  end
  return true
end

local function add(moves, me, key, slot, choice, special)
  moves[#moves + 1] = {index = me.index, key = key, slot = slot, choice = choice or 1,
                       special = special}
end

--- Whether its function has returned: that it ends is a step of its own where others wait for it.
function M.is_at_end(me)
  return me.over or operations.exit ~= nil and me.op == operations.exit
end

-- What can be done next with a role.
local function moves_of(self, moves, me)
  local m, state = self.m, self:script(me.name)
  local entry = state.list[state.next]
  if M.is_at_end(me) and me.op and m:is_ready(me) and (not entry or entry.action == "crash") then
    local before = state.list[state.next - 1]
    add(moves, me, before and before.finish or 0, me.slot)
  end
  if me.last >= me.first then
    add(moves, me, state.stored or 0, me.slot + 1)
  elseif me.dying then
    add(moves, me, state.died or 0, me.slot + 2)
  end
  if not entry then
    return
  end
  local crash = entry
  if not entry.finish then -- it died in this call, which may have had its effect or not
    crash = state.list[state.next + 1] or entry
  end
  if crash.action == "crash" and in_time(self, state, crash) then
    if me.op and me.op ~= operations.restart then
      add(moves, me, crash.finish, me.slot + 2, 1, "crash")
    elseif crash == entry and (me.over or me.dying or me.dead) then
      add(moves, me, crash.finish, nil, 1, "over")
    end
  end
  if entry == crash and entry.action == "crash" then
    return
  end
  if me.op and m:is_ready(me) and in_time(self, state, entry) and
         (entry.action == "restart") == (me.op == operations.restart) and
         reads_right(m, me, entry) then
    local op = me.op
    if entry.action == "choose" and entry.finish then
      add(moves, me, entry.finish, me.slot, entry.results[1])
    else
      for choice = 1, op.choices and op.choices(me.a) or 1 do
        add(moves, me, entry.finish or entry.start + 1e6, me.slot, choice)
      end
    end
  end
end

--- What can be done next, in the order in which it seems to have been.
-- @tparam table self the search: m, states, script(name)
-- @treturn {table,...} moves: index of the role, slot, choice; special, where it is "crash" or
-- "over", a death after the last call
function M.now(self)
  local moves = {}
  for _, me in pairs(self.m.roles) do
    moves_of(self, moves, me)
  end
  table.sort(moves, function(a, b)
    if a.key ~= b.key then
      return a.key < b.key
    elseif a.index ~= b.index then
      return a.index < b.index
    end
    return (a.slot or 0) * 1000 + a.choice < (b.slot or 0) * 1000 + b.choice
  end)
  return moves
end

return M
