--- What roles are about to do. After the same steps that is the same each time, unless a role uses
-- something outside its world.
-- @module shm.lab.intentions
local M = {}

-- What is made anew in each execution, as a function, can not be compared.
local function differ(one, other)
  return one ~= other and (type(one) ~= type(other) or
                           type(one) ~= "function" and type(one) ~= "table")
end

--- What each role is about to do, to be compared when the node is come to again.
function M.of(m)
  local list = {}
  for index, me in pairs(m.roles) do
    list[index] = {op = me.op, target = me.target, a = me.a, b = me.b}
  end
  return list
end

--- Whether a role is about to do something else than it was then.
function M.differs(m, index, was, depth)
  local me = m.roles[index]
  if not me or me.op ~= was.op or differ(me.target, was.target) or differ(me.a, was.a) or
     differ(me.b, was.b) then
    return {kind = "outside", index = index, depth = depth, was = was, now = me}
  end
end

--- At a node that was come to before, each role has to be about to do what it was then.
function M.compare(m, node, depth)
  for index, was in pairs(node.intentions) do
    local found = M.differs(m, index, was, depth)
    if found then
      return found
    end
  end
end

return M
