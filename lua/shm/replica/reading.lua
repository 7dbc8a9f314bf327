--- What a node shows of its copy, and of the group.
-- @module shm.replica.reading
local changes = require "shm.replica.change"
local copies = require "shm.replica.copy"
local follow = require "shm.replica.follow"
local groups = require "shm.replica.group"
local handle = require "shm.replica.handle"
local options = require "shm.options"
local process = require "shm.process"
local stepping = require "shm.replica.stepping"

local EAGAIN <const> = 11
local MARK = copies.MARK
local check, fail, Node = handle.check, handle.fail, handle.Node

--- A key's value, in this node's copy.
-- @function shm.replica:get
-- @tparam string|int|boolean key
-- @return its value, or nil when the key is absent
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EAGAIN (the copy is being filled), EBADMSG, EBUSY
function Node:get(key)
  check(self, "get")
  key = changes.key(key, "get", 2)
  local value, message, errno = self.copy.map:get(key)
  if not self.copy.log:is_whole() then -- looked at last: before it is filled it says so
    return fail(self, "get", self.id .. " is being filled", EAGAIN)
  elseif errno then
    return fail(self, "get", message, errno)
  end
  return value
end

--- For loops over all keys of this node's copy, while it is changed: as of maps.
-- @function shm.replica:pairs
-- @treturn function
-- @treturn shm.replica
-- @raise when the copy is being filled
function Node:pairs()
  check(self, "pairs")
  local map = self.copy.map
  return function(node, key)
    local value, errno
    repeat
      key, value, errno = map:next(key)
    until key ~= MARK
    if errno or not node.copy.log:is_whole() then
      error(errno and value or ("replica.pairs '%s': %s is being filled"):format(node.name,
        node.id), 2)
    end
    return key, value
  end, self
end

Node.__pairs = Node.pairs

--- What the node is now. It says "primary" until it is fenced or closed, and not a moment
-- longer.
-- @function shm.replica:role
-- @treturn string "primary" or "replica"
function Node:role()
  check(self, "role")
  local log = self.copy.log
  local term, place = self.group:term()
  return place == self.place and log:active() == term and log:head() == term
    and (self.leading or self.readonly) and "primary" or "replica"
end

--- The group's term, which each primary raises by one at least, and the primary of it.
-- @function shm.replica:term
-- @treturn int term
-- @treturn string|nil its name, if there is one; it may be taking over still
function Node:term()
  check(self, "term")
  local term, place = self.group:term()
  return term, place > 0 and self.group:id(place) or nil
end

--- The number of the last change that the copy has.
-- @function shm.replica:seq
-- @treturn int
function Node:seq()
  check(self, "seq")
  local _, seq = self.copy.log:head()
  return seq
end

--- How far this node's copy is behind the primary's.
-- @function shm.replica:lag
-- @treturn int changes that it does not have yet
-- @treturn number seconds since the first of them was made, 0 when there is none; where no log has
-- it any more, since the last one that this copy has, or infinite if it has none
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EAGAIN (there is no primary yet, or its memory was removed)
function Node:lag()
  check(self, "lag")
  local n, seconds, errno = follow.lag(self)
  if not n then
    return fail(self, "lag", seconds, errno)
  end
  return n, seconds
end

-- Waits until ready() answers, following meanwhile where it is this process that follows: a
-- child of it only looks at what that does.
local function await(node, action, deadline, ready)
  local bell = node.copy.log.bell
  while true do
    local rung = bell:get()
    local result, message, errno = ready()
    if result ~= nil or errno then
      return result, message, errno
    end
    if node.readonly or node.owner ~= process.pid() or node:role() == "primary" then
      result, message, errno = stepping.sleep(bell, rung, deadline)
    else
      result, message, errno = stepping.step(node, action, deadline)
    end
    if not result then
      return nil, message, errno
    end
  end
end

--- Waits until this copy has a change, as numbered by `set`: who writes to the primary reads
-- its own writes here then.
-- @function shm.replica:wait_for
-- @int seq the change's number
-- @number[opt] timeout in seconds, absent for ever
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT, EINTR, as for `step`
function Node:wait_for(seq, timeout)
  check(self, "wait_for")
  if math.type(seq) ~= "integer" or seq < 0 then
    error("replica.wait_for: seq: a change's number expected, got " .. tostring(seq), 2)
  end
  local deadline = options.deadline(timeout, "replica.wait_for")
  local log = self.copy.log
  local done, message, errno = await(self, "wait_for", deadline, function()
    local _, now = log:head()
    return now >= seq and log:is_whole() or nil
  end)
  if not done then
    return nil, message:match "^replica" and message or select(2, fail(self, "wait_for", message)),
      errno
  end
  return true
end

--- A key's value in this copy, if that is not older than so many seconds; else waits until it is.
-- @function shm.replica:read
-- @tparam string|int|boolean key
-- @number[opt=0] staleness seconds that `lag` may say
-- @number[opt] timeout in seconds, absent for ever
-- @return its value, or nil when the key is absent
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT, EINTR, as for `step` and `get`
function Node:read(key, staleness, timeout)
  check(self, "read")
  key = changes.key(key, "read", 2)
  options.deadline(staleness, "replica.read", "staleness")
  local deadline = options.deadline(timeout, "replica.read")
  local done, message, errno = await(self, "read", deadline, function()
    local n, seconds, code = follow.lag(self)
    if not n then
      return nil, seconds, code ~= EAGAIN and code or nil
    end
    return seconds <= (staleness or 0) and self.copy.log:is_whole() or nil
  end)
  if not done then
    return nil, message:match "^replica" and message or select(2, fail(self, "read", message)),
      errno
  end
  return self:get(key)
end

--- The nodes that there are.
-- @function shm.replica:nodes
-- @treturn table a list of id, pid (absent when its process is dead or has closed it), role,
-- seq (the last change of its copy), whole (whether that can be read)
function Node:nodes()
  check(self, "nodes")
  local list = {}
  local term, leader = self.group:term()
  for place = 1, groups.PLACES do
    local id = self.group:id(place)
    if id then
      local log = follow.log_of(self, place)
      local living = self.group:process(place)
      local seq
      if log then
        seq = select(2, log:head())
      end
      list[#list + 1] = {
        id = id, pid = living and living.pid, seq = seq, whole = log and log:is_whole(),
        role = place == leader and log and log:active() == term and "primary" or "replica",
      }
    end
  end
  return list
end

function Node:__len()
  check(self, "len")
  local map = self.copy.map
  return #map - (map:version(MARK) == 0 and 0 or 1)
end

return Node
