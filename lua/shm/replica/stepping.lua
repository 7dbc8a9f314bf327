--- What a node does as a replica: it follows, and takes over.
-- @module shm.replica.stepping
local follow = require "shm.replica.follow"
local handle = require "shm.replica.handle"
local options = require "shm.options"
local process = require "shm.process"

local M = {}

local SLICE <const> = 0.02 -- seconds between looks whether the primary lives
local EAGAIN, EBUSY, EROFS, ETIMEDOUT = 11, 16, 30, 110
local check, fail = handle.check, handle.fail
local primary, Node = handle.primary, handle.Node

--- Sleeps until there may be something to do. The bell was read before it was last looked.
function M.sleep(bell, rung, deadline)
  local left = deadline - process.monotonic()
  if left <= 0 then
    return nil, "Connection timed out", ETIMEDOUT
  end
  local done, message, errno = bell:wait(rung + 1, math.min(left, SLICE))
  if not done and errno ~= ETIMEDOUT then
    return nil, message, errno
  end
  return true
end

--- Until there were changes, or the node is the primary.
function M.step(node, action, deadline)
  while true do
    local bell = follow.bell(node)
    local rung = bell:get()
    local n, busy, errno = follow.advance(node)
    if not n then
      return fail(node, action, busy, errno)
    elseif n > 0 or node.leading then
      return n
    elseif not busy then
      local done, message, code = M.sleep(bell, rung, deadline)
      if not done then
        return fail(node, action, message, code)
      end
    end
  end
end

--- Follows: makes the changes that the primary has made, and waits for some if there are none;
-- takes over if the primary is dead, or was stopped for `patience`. The process sleeps
-- meanwhile; it is woken by a change, and finds a dead primary within 20 ms. Once it takes over it
-- does not give up when the time is over: it makes the changes that the others have, at most.
-- @function shm.replica:step
-- @number[opt] timeout in seconds, absent for ever
-- @treturn int how many changes were made here; 0 when this node is the primary
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ETIMEDOUT, EINTR after a signal, EROFS (it is only looked at), ENOSPC (the copy
-- has less room than the primary's), ENODATA (no copy is whole), EHOSTDOWN (taking over: a node's
-- process lives whose log can not be reached), EOVERFLOW (there were 1048575 terms), EBUSY
function Node:step(timeout)
  check(self, "step", true)
  local deadline = options.deadline(timeout, "replica.step")
  if self.readonly then
    return fail(self, "step", self.id .. " is only looked at", EROFS)
  end
  return M.step(self, "step", deadline)
end

--- Follows until this node is the primary.
-- @function shm.replica:run
-- @number[opt] timeout in seconds, absent for ever
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int as for `step`
function Node:run(timeout)
  check(self, "run", true)
  local deadline = options.deadline(timeout, "replica.run")
  if self.readonly then
    return fail(self, "run", self.id .. " is only looked at", EROFS)
  end
  repeat
    local n, message, errno = M.step(self, "run", deadline)
    if not n then
      return nil, message, errno
    elseif not self.leading and process.monotonic() >= deadline then
      return fail(self, "run", "Connection timed out", ETIMEDOUT)
    end
  until self.leading
  return true
end

--- Takes over from a primary that lives: it is fenced, and finds itself a replica. Also where
-- this fails on the way, as by ETIMEDOUT: nobody is the primary then until a node steps.
-- @function shm.replica:takeover
-- @number[opt] timeout in seconds, absent for ever; 0 is enough where what is missing is in the log
-- @treturn boolean true: this node is the primary
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EAGAIN (another node was faster), ETIMEDOUT (the copy has not been filled by
-- then), EROFS (it is only looked at), EHOSTDOWN, ENODATA, ENOSPC, EBUSY, EOVERFLOW as for `step`
function Node:takeover(timeout)
  check(self, "takeover", true)
  local deadline = options.deadline(timeout, "replica.takeover")
  if self.readonly then
    return fail(self, "takeover", self.id .. " is only looked at", EROFS)
  elseif self:role() == "primary" then
    return true
  end
  local going, done, message, errno
  repeat
    going, message, errno = follow.adopt(self)
    if going then
      done, message, errno = follow.take_over(self, deadline)
    end
  until (going or errno) and errno ~= EBUSY or process.monotonic() >= deadline
  if done == nil and errno then
    return fail(self, "takeover", message, errno)
  elseif not done then
    return fail(self, "takeover", "another was faster, " .. primary(self), EAGAIN)
  end
  return true
end

--- A descriptor that is readable when the primary may have made changes. It is another one
-- when another node is primary; see `timeout`. As all of them it takes a thread.
-- @function shm.replica:fileno
-- @treturn int descriptor
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function Node:fileno()
  check(self, "fileno")
  return follow.bell(self):fileno()
end

--- The same, under the name that LuaSocket's select asks for.
Node.getfd = Node.fileno

--- The same, under the name that cqueues asks for.
Node.pollfd = Node.fileno

--- What the descriptor is polled for.
-- @function shm.replica:events
-- @treturn string "r"
function Node:events()
  check(self, "events")
  return "r"
end

--- When `step(0)` is to be called though nothing was readable: a primary's death makes no
-- descriptor readable.
-- @function shm.replica:timeout
-- @treturn number|nil seconds, nil of a primary
function Node:timeout()
  check(self, "timeout")
  return not self.leading and SLICE or nil
end

return M
