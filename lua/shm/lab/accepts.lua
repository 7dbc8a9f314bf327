--- Whether the model allows what real processes did: looks for a schedule of the model in which
-- each role makes the same calls, with the same arguments and results, in an order that agrees
-- with the clock. So the model is tested against the machine and the kernel.
--
-- The roles' own code runs in the model, step by step, and each call that it makes is compared
-- with the one that the trace has next. A call may be several steps of the model. One that had
-- finished before another one started comes before it; of those that overlap in time each order
-- is tried, depth first, and no state is gone on from twice. Under "tso" a store is made when it
-- goes into the buffer; when it reaches memory is the model's affair.
--
-- Of an await its last pass counts, which is in the trace. `choose` takes what was chosen. A call
-- that has no end in the trace, as its role died in it or waits, may have had its effect or not.
-- Messages of errors are not compared, numbers of errors are.
-- @module shm.lab.accepts
local calls = require "shm.lab.run.calls"
local interrupt = require "shm.lab.interrupt"
local machines = require "shm.lab.model.machine"
local moves = require "shm.lab.run.moves"
local operations = require "shm.lab.model.words"
local options = require "shm.options"
local protocols = require "shm.lab.protocol"
local scripts = require "shm.lab.run.script"

local M = {}

local OPTIONS = {
  memory = {type = "string", default = "tso"},
  steps = {integer = true, default = 300000, least = 1},
}

local Search = {}
Search.__index = Search

-- A machine whose roles are compared with what they did.
local function new_search(protocol, trace, settings)
  local self = setmetatable({trace = trace, settings = settings, taken = 0, seen = {},
                             ids = {}, next_id = 0, best = -1, path = {}, nodes = {}}, Search)
  self.scripts, self.crashes = scripts.read(trace)
  self.lenient = trace.verdict ~= nil and (trace.verdict.kind == "stuck" or
                                           trace.verdict.kind == "error")
  self.stuck = trace.verdict ~= nil and trace.verdict.kind == "stuck"
  local roles = {}
  for i, role in ipairs(protocol.roles) do
    local copy = {}
    for key, value in pairs(role) do
      copy[key] = value
    end
    copy.spared = false
    copy.run = calls.tapped(self, role.run)
    copy.restart = role.restart and calls.tapped(self, role.restart)
    roles[i] = copy
  end
  local facade = setmetatable({roles = roles}, {__index = protocol})
  self.m = machines.new(facade, {memory = settings.memory, crashes = self.crashes,
                                 spins = math.huge})
  return self
end

--- The trace of a role in the model, and how far it has come: next, the index of its next call;
-- times, how often of a repeated one.
function Search:script(name)
  local state = self.states[name]
  if not state then
    state = {next = 1, times = 0, list = self.scripts[name] or {}, name = name, steps = 0}
    self.states[name] = state
  end
  return state
end

--- What does not fit: the schedule is given up.
function Search:reject(name, why)
  self.rejected = self.rejected or {name = name, why = why}
  error("rejected", 0)
end

function Search:begin()
  self.states, self.rejected, self.histories, self.counts = {}, nil, {}, {}
  for name in pairs(self.scripts) do
    self:script(name)
  end
  self.m:reset()
end

-- What happens to a role that was killed when it had made its last call: in the model it has
-- ended, and it begins anew here if it did there.
local function die_late(self, me)
  local m = self.m
  for _, object in ipairs(m.protocol.objects) do
    if object.kind.die then
      object.kind.die(m.state[object.name], m, me)
    end
  end
  local state = self:script(me.name)
  local after = state.list[state.next]
  if me.over and after and after.action == "restart" then
    me.over, me.op, me.target = false, operations.restart, nil
  end
end

local function identify(self, before, slot)
  local key = before .. ":" .. slot
  local id = self.ids[key]
  if not id then
    self.next_id = self.next_id + 1
    id = self.next_id
    self.ids[key] = id
  end
  return id
end

-- Keeps who came to each object in which order: with the memory, and how far each role is, that
-- is all there is to a state.
local function remember(self, slot)
  local m = self.m
  local op, _, keys, looks = m:footprint(slot)
  if looks or op == operations.write or op == operations.flush then
    return
  end
  for _, key in ipairs(keys) do
    self.histories[key] = identify(self, self.histories[key] or 0, slot)
  end
end

local function make(self, move)
  local m = self.m
  self.taken = self.taken + 1
  local index = move.index
  local me = m.roles[index]
  local state = self:script(me.name)
  if move.special == "over" then
    self.counts[index] = (self.counts[index] or "") .. "x"
    state.next = state.next + 1
    die_late(self, me)
    return
  end
  local slot, entry = move.slot, state.list[state.next]
  remember(self, slot)
  local action = entry and entry.action
  if move.special == "crash" then
    if action ~= "crash" then
      state.next = state.next + 1
    end
    state.died = state.list[state.next].finish
    state.next, state.times = state.next + 1, 0
  elseif action == "restart" and slot == me.slot then
    state.next = state.next + 1
  elseif slot == me.slot and entry then
    state.stored = me.op == operations.write and (entry.finish or entry.start) or state.stored
  end
  self.counts[slot + 100] = (self.counts[slot + 100] or 0) + 1
  local choices = me.op and me.op.choices
  if slot == me.slot and choices then
    self.histories["choice " .. index] = identify(self, self.histories["choice " .. index] or 0,
                                                  move.choice)
  end
  local ok, problem = pcall(m.step, m, slot, move.choice)
  if not ok and not self.rejected then
    interrupt.pass_on(problem)
    m.failed = {me = me, message = problem}
  end
  if m.failed and not self.rejected then
    local failed = m.failed.me
    local failed_state = self:script(failed.name)
    local verdict = self.trace.verdict
    if verdict and verdict.kind == "error" and not failed_state.list[failed_state.next] then
      m.failed, failed.over = nil, true
    else
      self.rejected = {name = failed.name, why = "in the model it throws an error there: " ..
                       tostring(m.failed.message)}
    end
  end
  if moves.is_at_end(me) and not self.rejected and not me.dying then
    local left = state.list[state.next]
    if left and left.action ~= "crash" then
      self.rejected = {name = me.name, why = "in the model it is at its end"}
    end
  end
end

local function signature(self)
  local m, parts = self.m, {}
  for _, name in ipairs(m.protocol.words) do
    parts[#parts + 1] = m.memory[name]
  end
  local rest = {}
  for index, me in pairs(m.roles) do -- a wait that found another value has made as many steps
    rest[#rest + 1] = me.asleep and ("asleep %d"):format(index) or nil
  end
  for key, count in pairs(self.counts) do
    rest[#rest + 1] = key .. "=" .. count
  end
  for key, id in pairs(self.histories) do
    rest[#rest + 1] = key .. "#" .. id
  end
  table.sort(rest)
  return table.concat(parts, ",") .. ";" .. table.concat(rest, ",")
end

-- Whether all that was done has been done; and where it stood still, the model stands still.
local function is_complete(self)
  for _, state in pairs(self.states) do
    local entry = state.list[state.next]
    if entry and (entry.finish or state.list[state.next + 1]) then
      return false
    end
  end
  if self.stuck then
    for _, me in pairs(self.m.roles) do
      if me.last >= me.first or me.dying or me.op and self.m:is_ready(me) then
        return false
      end
    end
  end
  return true
end

local function done_so_far(self)
  local n = 0
  for _, state in pairs(self.states) do
    n = n + state.next
  end
  return n
end

-- The earliest call that has not been made, of those that would have had to be.
local function first_left(self)
  local name, entry, number
  for _, state in pairs(self.states) do
    local one = state.list[state.next]
    if one and (not entry or (one.finish or math.huge) < (entry.finish or math.huge)) then
      name, entry, number = state.name, one, state.next
    end
  end
  return name, entry, number
end

local function note_best(self)
  local done = done_so_far(self)
  if done <= self.best then
    return
  end
  self.best = done
  local rejected = self.rejected
  local name, entry, number = first_left(self)
  if rejected then
    local state = self.states[rejected.name]
    name, number = rejected.name, state.next
    entry = state.list[number]
  end
  if not name then
    self.problem = "all calls can be explained, but nobody moved any more, and in the model " ..
                   "somebody could"
  else
    self.problem = ("role %s, call %d%s: %s"):format(name, number, entry and ", " ..
      (entry.text or entry.action) or "", rejected and rejected.why or
      "in no order can the model do that here")
  end
end

-- Goes back to the last place at which another way is left. False when there is none.
local function go_back(self)
  local nodes, path = self.nodes, self.path
  while #nodes > 0 do
    local node = nodes[#nodes]
    node.at = node.at + 1
    path[#nodes] = node.moves[node.at]
    if path[#nodes] then
      self:begin()
      for i = 1, #nodes do
        make(self, path[i])
      end
      return true
    end
    nodes[#nodes] = nil
  end
  return false
end

local function search(self)
  self:begin()
  if self.rejected then
    note_best(self)
    return false
  end
  while true do
    local ways
    if not self.rejected then
      if is_complete(self) then
        return true
      end
      local key = signature(self)
      if not self.seen[key] then
        self.seen[key] = true
        ways = moves.now(self)
      end
    end
    if ways and #ways > 0 then
      self.nodes[#self.nodes + 1] = {moves = ways, at = 1}
      self.path[#self.nodes] = ways[1]
      make(self, ways[1])
    else
      note_best(self)
      if not go_back(self) then
        return false
      end
    end
    if self.taken > self.settings.steps then
      return nil
    end
  end
end

local function misuse(what, ...)
  error("lab.accepts: " .. what:format(...), 3)
end

--- Says whether the model allows a trace that run has recorded.
-- @tparam shm.lab.protocol protocol
-- @tparam table trace
-- @tparam[opt] table given memory ("sc", "tso"; absent for "tso"), steps (of the model, at most)
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string message: which call of which role can not be explained; or that it is
-- undecided, as the bound was reached or a log had filled up
function M.accepts(protocol, trace, given)
  if not protocols.is(protocol) then
    misuse("shm.lab.protocol expected, got %s", type(protocol))
  elseif type(trace) ~= "table" or type(trace.steps) ~= "table" or
         type(trace.roles) ~= "table" then
    misuse("trace expected, got %s", type(trace))
  end
  local settings = options.read(given, OPTIONS, "lab.accepts")
  if settings.memory ~= "sc" and settings.memory ~= "tso" then
    misuse("memory: 'sc' or 'tso' expected, got '%s'", settings.memory)
  end
  for i, step in ipairs(trace.steps) do
    if type(step.start) ~= "number" then
      misuse("step %d has no time: lab.run records traces that have", i)
    end
  end
  if trace.full then
    return nil, "lab.accepts: undecided: a log had filled up"
  end
  local self = new_search(protocol, trace, settings)
  local answer = search(self)
  if answer then
    return true
  elseif answer == nil then
    return nil, ("lab.accepts: undecided after %d steps%s"):format(self.taken,
      self.problem and ": " .. self.problem or "")
  end
  return nil, "lab.accepts: " .. self.problem
end

return M
