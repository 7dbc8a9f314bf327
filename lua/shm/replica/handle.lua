--- The handle of a node: what each of its functions checks first, and says when it fails.
-- @module shm.replica.handle
local process = require "shm.process"

local M = {}

--- The methods, to which shm.replica.node, reading and writing add theirs.
M.Node = {__name = "shm.replica"}
local Node = M.Node
Node.__index = Node

--- The node is one, is open, and with `owner` is this process's.
function M.check(node, action, owner)
  if getmetatable(node) ~= Node then
    error(("replica.%s: shm.replica expected, got %s"):format(action, type(node)), 3)
  elseif not node.copy then
    error(("replica.%s: node is closed"):format(action), 3)
  elseif owner and node.owner ~= process.pid() then
    error(("replica.%s: the node belongs to process %d"):format(action, node.owner), 3)
  end
end

--- What a function of the node answers when the world says no.
function M.fail(node, action, why, errno)
  return nil, ("replica.%s '%s': %s"):format(action, node.name, why), errno
end

--- Who is primary, in words.
function M.primary(node)
  local term, place = node.group:term()
  local id = place > 0 and node.group:id(place)
  return id and ("%s is the primary in term %d"):format(id, term)
    or ("nobody is the primary in term %d"):format(term)
end

function Node:__tostring()
  if getmetatable(self) ~= Node then
    error("replica: shm.replica expected, got " .. type(self), 2)
  end
  return ("shm.replica (%s)"):format(self.copy and self.name .. "." .. self.id or "closed")
end

return M
