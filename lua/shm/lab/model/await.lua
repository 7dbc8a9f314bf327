--- Waiting for a condition that reads words, in the model. Each read of it is a step; a pass that
-- comes to false is the same as none, so the last read of one is made only where it comes to
-- true, and until then the role waits. What comes of a value that is read is found by running
-- the condition with those that were read before, and nothing is stored while it runs.
-- @module shm.lab.model.await
local interrupt = require "shm.lab.interrupt"
local operations = require "shm.lab.model.words"

local AWAIT <const> = operations.await
local BEYOND <const> = {} -- what stops a condition at the first read beyond those it may see

-- These are methods of the machine.
local M = {}

-- What a condition comes to once it has seen so many values: false, true, the name of the word
-- that it reads next, or a table with the error that it threw.
local function pass(machine, condition, log, seen)
  local port, at = machine.port, 0
  local more
  port.peek = function(name)
    at = at + 1
    if at > seen then
      more = name
      error(BEYOND, 0)
    end
    return log[at]
  end
  local ok, result = pcall(condition)
  port.peek = nil
  if ok then
    return result and true or false
  elseif result == BEYOND then
    return more
  end
  interrupt.pass_on(result)
  return {fault = result}
end

--- What comes of an await whose next read gives this value: false where the condition fails, as
-- then it goes on waiting; true, or the name of the next read.
function M:await_outcome(me, value)
  local outcome = me.memo[value]
  if outcome == nil then
    local log, n = me.log, me.logged + 1
    log[n] = value
    outcome = pass(self, me.condition, log, n)
    me.memo[value] = outcome
  end
  return outcome
end

--- Whether a role waits in vain for a condition that would be true if it looked again from the
-- start: then it has looked too early, and another execution has it look later.
function M:is_stale(me)
  if me.op ~= AWAIT then
    return false
  end
  local memory = function(name) return self:view(me, name) end
  self.port.peek = memory
  local ok, result = pcall(me.condition)
  self.port.peek = nil
  if not ok then
    interrupt.pass_on(result)
  end
  return not ok or result and true or false
end

--- The first read of a condition, or what comes of it without any.
function M:await_first(condition)
  return pass(self, condition, {}, 0)
end

return M
