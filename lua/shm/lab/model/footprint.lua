--- Keys of what is smaller or larger than one object: of a sleeper, which only it and who wakes
-- it touch; and of two objects at once. Steps that have no key in common can change places.
-- @module shm.lab.model.footprint
local M = {}

--- The key of a role's sleep at an object. Who may wake it has it among its own keys.
function M.sleep(me, name)
  return ("%s: %d"):format(name, me.index)
end

--- The keys of only that, as a list that is the same for ever.
function M.of_sleep(m, me, name)
  return m:key(M.sleep(me, name))
end

--- Two keys, as a list that is the same for ever.
function M.both(m, one, other)
  local id = one .. "+" .. other
  local keys = m.keys[id]
  if not keys then
    keys = {one, other}
    m.keys[id] = keys
  end
  return keys
end

--- What a death is about, for a kind's `mourns`: the object too where the role sleeps at it.
function M.of_death(m, me, name, sleeps)
  return sleeps and M.both(m, name, M.sleep(me, name)) or M.of_sleep(m, me, name)
end

--- The key of an object and those of some of its sleepers.
-- @tparam table m
-- @string name
-- @tparam {table,...} sleepers roles, in their order
-- @int[opt] most how many of them
function M.with_sleepers(m, name, sleepers, most)
  local n = math.min(#sleepers, most or #sleepers)
  if n == 0 then
    return m:key(name)
  end
  local keys = {name}
  for i = 1, n do
    keys[i + 1] = M.sleep(sleepers[i], name)
  end
  return keys
end

return M
