-- What the specs of arenas share.
local assert = require "luassert"
local process = require "shm.process"
local support = require "spec.support"

local M = {}

local LONG = support.LONG

-- Runs f in a child, whose end must be a good one.
function M.elsewhere(f, ...)
  local child <close> = assert(process.fork(f, ...))
  assert.same({"exit", 0}, {child:wait(LONG)})
end

-- A child that stays in f until it is told to go on, or dies.
function M.other(f)
  local ours, theirs = assert(process.socketpair "seqpacket")
  local child = assert(process.fork(function()
    ours:close()
    f(function()
      theirs:send "here"
      theirs:recv(10)
    end)
  end))
  theirs:close()
  assert.equal("here", ours:recv(10, LONG))
  local function finish(how)
    if how then
      child:kill(how)
    end
    ours:close()
    local word, code = child:wait(LONG)
    child:close()
    return word, code
  end
  return finish, child
end

-- What f answers is nil, a message and this.
function M.refused(errno, f, ...)
  local value, message, code = f(...)
  assert.is_nil(value)
  assert.is_string(message)
  assert.equal(errno, code, message)
  return message
end

return M
