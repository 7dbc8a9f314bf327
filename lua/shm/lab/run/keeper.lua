--- What the parent keeps of rounds: what was wrong with them, and the traces that are wanted.
-- @module shm.lab.run.keeper
local places = require "shm.lab.run.place"
local traces = require "shm.lab.run.trace"

local M = {}

--- Whether the trace of a round is wanted.
function M.wants(self, round, violated)
  if not self.settings.trace then
    return false
  elseif violated then
    return self.violations < math.max(self.settings.keep, 1)
  end
  return round <= self.settings.keep
end

--- What the first rule that was broken in a round says.
function M.rule(self, round)
  local when, at, number, role = places.parts(self.place:load "breaker")
  if self.place:load "broken" ~= round then
    return nil
  elseif when ~= round then -- no rule, but what is left
    for _, object in ipairs(self.run.objects) do
      local left = self.seat.real[object.name].left
      local what = left and left()
      if what then
        return {kind = "left behind", name = object.name, roles = {}, message =
          ("left behind: %s '%s': %s"):format(object.real.name, object.name, what)}
      end
    end
    return nil
  end
  local rule = self.run.rules[number]
  return {kind = rule.kind, name = rule.name, role = role, at = role > 0 and at or nil,
          roles = role > 0 and {role} or {},
          message = ("%s '%s' is broken"):format(rule.kind, rule.name)}
end

--- What roles have thrown in a round.
function M.errors(self, round)
  local first
  for index, name in ipairs(traces.roles(self.place)) do
    local text = self.place:error(index, round)
    if text then
      local message = ("error in role %s: %s"):format(name, text)
      if #self.result.errors < math.max(self.settings.keep, 1) then
        self.result.errors[#self.result.errors + 1] = {role = index, round = round,
                                                       message = message}
      end
      first = first or {kind = "error", roles = {index}, message = message:match "^[^\n]*"}
    end
  end
  return first
end

--- Keeps the trace of a round, if it is wanted.
function M.keep(self, round, verdict)
  local result = self.result
  if M.wants(self, round, verdict) then
    local trace = traces.build(self.place, round, verdict)
    result.traces[#result.traces + 1] = trace
    if verdict and not result.trace then
      result.trace = trace
    end
  end
  if verdict then
    result.verdict = result.verdict or verdict
    self.violations = self.violations + 1
    if self.violations >= math.max(self.settings.keep, 1) then
      self.place:store("wanted", 0)
    end
  end
end

return M
