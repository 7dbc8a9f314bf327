--- Loops of a role's own that only look, and find the same again and again: they wait as an await
-- does, for something that they look at to change. Else there would be no end of schedules in
-- which they look once more.
--
-- What looks is a read of a word, and each operation that has `poll(m, me, target, ...)`: what it
-- would find now, which is a value to compare; `false` where it would change something. One with
-- `idles` is neither a look nor a change: as a sleep between looks.
-- @module shm.lab.model.spin
local M = {}

local function name_of(op, target)
  return op.poll and op.name .. " of " .. tostring(target) or target
end

--- What a step that has `poll` is about to find; to be asked before it is made.
function M.look(m, me)
  return me.op.poll(m, me, me.target, me.a, me.b, me.c, me.d)
end

--- Counts a step that was made; nothing is to be counted where none before looked, nor this one.
-- @param value what it found
function M.count(m, me, op, target, value)
  if op.idles then
    return
  elseif op.poll and value == false or not (op.poll or op.spins) then
    me.turns, me.spun = nil, nil
    return
  end
  local name = name_of(op, target)
  local turns, values = me.turns, me.values
  if not turns or me.spun or turns[name] and values[name] ~= value then
    turns, values = {}, {}
    me.turns, me.values, me.polls, me.spun = turns, values, {}, nil
  end
  values[name] = value
  me.polls[name] = op.poll and {op, target, me.a, me.b, me.c, me.d} or nil
  turns[name] = (turns[name] or 0) + 1
  if turns[name] >= m.settings.spins then
    me.spun = turns
  end
end

--- Whether a role that has looked often enough would find something else now.
function M.stirred(m, me)
  for name in pairs(me.spun) do
    local poll = me.polls[name]
    local value
    if poll then
      value = poll[1].poll(m, me, table.unpack(poll, 2, 6))
    else
      value = m:view(me, name)
    end
    if value ~= me.values[name] then
      return true
    end
  end
  return false
end

return M
