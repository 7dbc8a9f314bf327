--- What a step of the model is about: its keys. Steps that have none in common, or only look at
-- what they have in common, can change places; so they never say less than what a step reads or
-- changes. A list of keys is the same table each time, where it can be.
-- @module shm.lab.model.keys
local operations = require "shm.lab.model.words"

local FLUSH <const>, CRASH <const> = operations.flush, operations.crash
local CLEANUP <const> = operations.cleanup
local NOTHING <const> = {}

-- These are methods of the machine.
local M = {}

--- The key of a word or object, as a list that is the same for ever.
function M:key(name)
  local key = self.keys[name]
  if not key then
    key = {name}
    self.keys[name] = key
  end
  return key
end

--- The key of whether a role lives, which is a hidden word, too: "exit" or "signal" at its end.
function M:life(me)
  return self:key(me.life)
end

function M:set_life(me, how)
  self.memory[me.life] = how
end

--- Tells that somebody kills a role: from here on each of its steps is one that it makes while it
-- lives, and can come before or after that.
function M:mortal(life)
  if not self.watched[life] then
    self.watched[life], self.grown = {}, true
  end
end

local function while_alive(self, me, keys)
  local cache = self.alive[me.life] or setmetatable({}, {__mode = "k"})
  self.alive[me.life] = cache
  local merged = cache[keys]
  if not merged then
    merged = table.move(keys, 1, #keys, 1, {})
    merged[#merged + 1] = me.life
    cache[keys] = merged
  end
  return merged
end

--- The key of what only rules can see: none where none does.
function M:watched_key(name)
  return self.watched[name] and self:key(name) or NOTHING
end

--- What a read of a word is about: a value that comes from the buffer ends with its flush.
function M:read_keys(me, name)
  if not self.tso then
    return self:key(name)
  end
  local forwarded = me.pending[name]
  local kept = forwarded and me.own_keys or me.both_keys
  local keys = kept[name]
  if not keys then
    local own = "buffer " .. me.index .. " " .. name
    keys = forwarded and {own} or {name, own}
    kept[name] = keys
  end
  return keys
end

--- What the step of a slot, made now, would be about: its operation, its target, the keys, and
-- whether it only looks.
function M:footprint(slot)
  local index, part = (slot + 2) // 3, (slot + 2) % 3
  local me = self.roles[index]
  if part == 0 then
    local op, target = me.op, me.target
    local touches = op.touches
    local keys = touches and touches(self, me, target, me.a, me.b, me.c, me.d) or
                 self:key(target)
    if self.watched[me.life] then
      keys = while_alive(self, me, keys)
    end
    return op, target, keys, op.looks
  elseif part == 1 then
    local store = me.buffer[me.first]
    local keys = me.both_keys[store.name]
    if not keys then
      keys = {store.name, "buffer " .. index .. " " .. store.name}
      me.both_keys[store.name] = keys
    end
    return FLUSH, store.name, keys, false
  elseif not me.dying then
    local keys = {self:life(me)[1], me.asleep}
    keys[#keys + 1] = self:watched_key("deaths")[1]
    for section in pairs(me.inside) do
      keys[#keys + 1] = self:watched_key("inside " .. section)[1]
    end
    table.sort(keys) -- pairs has another order in each process
    return CRASH, nil, keys, false
  end
  local keys = {self:life(me)[1]}
  for _, object in ipairs(self.protocol.objects) do
    local kind = object.kind
    if kind.mourns then
      local more = kind.mourns(self, me, object.name)
      table.move(more, 1, #more, #keys + 1, keys)
    elseif kind.die and not (kind.spares and kind.spares(self.state[object.name], self, me)) then
      keys[#keys + 1] = object.name
    end
  end
  return CLEANUP, nil, keys, false
end

--- What a word or object is like, for those who ask later whether something could have happened
-- then.
function M:look(name)
  local object = self.protocol.object_of[name]
  if object then
    local look_at = object.kind.look
    return look_at and look_at(self.state[name])
  end
  return self.memory[name]
end

return M
