--- What rounds have come to, and how often: the part of a run's segment that says so.
--
-- There are 512 places of 320 bytes: how many rounds ended so, the length of the text, the text.
-- Rounds whose outcome found no place are counted together. See shm.lab.run.place.
-- @module shm.lab.run.outcomes
local M = {}

local OUTCOMES <const>, OUTCOME_SIZE <const> = 512, 320

--- How many bytes all of them take.
M.BYTES = OUTCOMES * OUTCOME_SIZE

--- The methods that a place has for them.
M.methods = {}
local Place = M.methods

--- What a round has come to: the same as in the model.
function Place:outcome(round)
  self:look_up_names()
  local observed = {}
  for name, at in pairs(self.known) do
    observed[name] = self:observed(round, at)
  end
  return self.protocol:outcome(observed, function(name)
    return self.region:load(self.words[name])
  end)
end

local function outcome_at(self, index) return self.outcomes_at + (index - 1) * OUTCOME_SIZE end

--- Counts an outcome. One at a time does.
function Place:count_outcome(outcome)
  outcome = outcome:sub(1, OUTCOME_SIZE - 16)
  local add = self.known_outcomes[outcome]
  if not add then
    local count = self:load "outcomes"
    for i = 1, count do
      local at = outcome_at(self, i)
      local name = self.region:read(at + 16, self.region:load(at + 8))
      self.known_outcomes[name] = self.known_outcomes[name] or self.region:adder(at, 1)
    end
    add = self.known_outcomes[outcome]
    if not add and count < OUTCOMES then
      local at = outcome_at(self, count + 1)
      self.region:write(at + 16, outcome)
      self.region:store(at + 8, #outcome)
      self:store("outcomes", count + 1)
      add = self.region:adder(at, 1)
    end
    add = add or self:adder("others", 1)
    self.known_outcomes[outcome] = add
  end
  add()
end

--- How often each outcome was counted.
function Place:outcomes()
  local outcomes = {}
  for i = 1, self:load "outcomes" do
    local at = outcome_at(self, i)
    local n = self.region:load(at)
    if n > 0 then
      outcomes[self.region:read(at + 16, self.region:load(at + 8))] = n
    end
  end
  local others = self:load "others"
  outcomes["(others)"] = others > 0 and others or nil
  return outcomes
end

return M
