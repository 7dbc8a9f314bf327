--- What a node does as the primary: it changes the map.
-- @module shm.replica.writing
local changes = require "shm.replica.change"
local handle = require "shm.replica.handle"
local process = require "shm.process"

local ENOENT, EROFS, ESTALE = 2, 30, 116
local check, fail, primary, Node = handle.check, handle.fail, handle.primary, handle.Node

local function fenced(node, action)
  return fail(node, action, ("%s is fenced, %s"):format(node.id, primary(node)), ESTALE)
end

-- Whether its copy is the one that counts: looked at behind what was read of it.
local function is_primary(node)
  return node.leading and node.copy.log:head() == node.copy.term
end

-- One change, of the primary alone; true where there is none to make.
local function write(node, action, list, keys, values, deleted)
  local copy = node.copy
  if not node.leading then
    return fail(node, action, ("%s is a replica, %s"):format(node.id, primary(node)), EROFS)
  elseif not list then
    if not is_primary(node) then
      return fenced(node, action)
    end
    return true
  end
  local bytes, message, errno = changes.encode(list, action, 3)
  local seq
  if bytes then
    local time = process.monotonic()
    seq, message, errno = copy:append(copy.term, time, bytes, keys, values, deleted)
    if errno == ESTALE and copy:recount() then
      seq, message, errno = copy:append(copy.term, time, bytes, keys, values, deleted)
    end
  end
  if seq then
    return seq
  elseif errno == ESTALE then
    return fenced(node, action)
  end
  return fail(node, action, message, errno)
end

--- Gives a key a value.
-- @function shm.replica:set
-- @tparam string|int|boolean key
-- @param value boolean, integer, float, string or a table of these
-- @treturn int the number of the change, for `wait_for`
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ESTALE (fenced: another node has taken over; nothing was changed), EROFS (this
-- node is a replica), EMSGSIZE (more than a third of the log), ENOSPC, E2BIG, EBUSY, EBADMSG
function Node:set(key, value)
  check(self, "set", true)
  key = changes.key(key, "set", 2)
  if value == nil then
    error("replica.set: value: there is none; see delete", 2)
  end
  local seq, message, errno = write(self, "set", {1, key, value}, {key}, {value}, {})
  return seq, message, errno -- no tail call: an error is the caller's
end

--- Takes a key away.
-- @function shm.replica:delete
-- @tparam string|int|boolean key
-- @treturn int|boolean the number of the change, or false when the key was absent
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int as for `set`
function Node:delete(key)
  check(self, "delete", true)
  key = changes.key(key, "delete", 2)
  if self.leading and self.copy.map:version(key) == 0 and is_primary(self) then
    return false
  end
  return write(self, "delete", {0, key}, {key}, {}, {true})
end

--- Adds to a key's number.
-- @function shm.replica:incr
-- @tparam string|int|boolean key
-- @number[opt=1] n how much
-- @number[opt] init what an absent key begins with
-- @treturn number the sum
-- @treturn int the number of the change
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOENT (there is no such key, and no init), as for `set`
function Node:incr(key, n, init)
  check(self, "incr", true)
  key = changes.key(key, "incr", 2)
  if not (n == nil or type(n) == "number") or not (init == nil or type(init) == "number") then
    error("replica.incr: n, init: numbers expected", 2)
  end
  local old, message, errno = self.copy.map:get(key)
  if errno then
    return fail(self, "incr", message, errno)
  end
  old = old == nil and init or old
  if old == nil and is_primary(self) then
    return fail(self, "incr", "there is no such key", ENOENT)
  elseif type(old or 0) ~= "number" and is_primary(self) then
    error("replica.incr: the key's value is a " .. type(old), 2)
  end
  local sum, seq = (type(old) == "number" and old or 0) + (n or 1)
  seq, message, errno = write(self, "incr", {1, key, sum}, {key}, {sum}, {})
  if not seq then
    return nil, message, errno
  end
  return sum, seq
end

--- Changes several keys in one step: every copy has all of them or none. The function gets a
-- view with `get(key)`, `set(key, value)`, `delete(key)` and `incr(key, n, init)`; what it
-- changes counts once it has returned. If it throws, nothing is changed.
-- @function shm.replica:transaction
-- @tparam function f
-- @param ... what f gets behind the view
-- @return what f returns
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int as for `set`
-- @raise what f raises
function Node:transaction(f, ...)
  check(self, "transaction", true)
  if type(f) ~= "function" then
    error(("replica.transaction: f: function expected, got %s"):format(type(f)), 2)
  end
  local view = changes.view(self.copy.map)
  local results = table.pack(f(view, ...))
  check(self, "transaction", true) -- still
  local done, message, errno = write(self, "transaction", changes.list(view), view.keys,
                                     view.values, view.deleted)
  if not done then
    return nil, message, errno
  end
  return table.unpack(results, 1, results.n)
end

return Node
