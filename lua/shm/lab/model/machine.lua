--- One execution in the model: the roles, each a coroutine that stops before whatever others
-- could see of it, the words, the store buffers, and the objects. Who goes on is decided
-- elsewhere.
--
-- Each role has three slots, which are what can be scheduled: its own next operation (1, 4, …);
-- the flush of its store buffer (2, 5, …); its death (3, 6, …), which is two steps: it stops,
-- wherever it is; and once its buffer is empty the kernel lets go of what it held. Then it ends,
-- or begins anew where the protocol says how.
-- @module shm.lab.model.machine
local await = require "shm.lab.model.await"
local interrupt = require "shm.lab.interrupt"
local keys = require "shm.lab.model.keys"
local operations = require "shm.lab.model.words"
local ports = require "shm.lab.model.port"
local protocols = require "shm.lab.protocol"
local spin = require "shm.lab.model.spin"

local create, resume, status = coroutine.create, coroutine.resume, coroutine.status

local READ <const>, AWAIT <const>, RESTART <const>, EXIT <const> = operations.read,
  operations.await, operations.restart, operations.exit

local M, Machine = {}, {}
Machine.__index = Machine
for _, methods in ipairs {await, keys} do
  for name, method in pairs(methods) do
    Machine[name] = method
  end
end

-- What stays of a role from one execution to the next.
local function known_as(machine, index, role)
  return {index = index, role = role, world = ports.world(machine, role), own_keys = {},
          both_keys = {}}
end

--- A machine for a protocol.
-- @tparam shm.lab.protocol protocol
-- @tparam table settings memory ("sc", "tso"), crashes, spins
function M.new(protocol, settings)
  local self = setmetatable({
    protocol = protocol, settings = settings, tso = settings.memory == "tso",
    port = ports.new(), known = {}, keys = {}, watched = {}, alive = {}, observers = {},
  }, Machine)
  for i, role in ipairs(protocol.roles) do
    self.known[i] = known_as(self, i, role)
  end
  return self
end

function Machine:view(me, name)
  if self.tso and me.pending[name] then
    local buffer = me.buffer
    for i = me.last, me.first, -1 do
      if buffer[i].name == name then
        return buffer[i].value
      end
    end
  end
  return self.memory[name]
end

function Machine:store(me, name, value)
  if not self.tso then
    self.memory[name] = value
    return
  end
  me.last = me.last + 1
  me.buffer[me.last] = {name = name, value = value, depth = self.depth}
  me.pending[name] = (me.pending[name] or 0) + 1
end

--- Takes a role off those that sleep on a word.
function Machine:rouse(me, name)
  local queue = self.sleepers[name]
  for i, one in ipairs(queue) do
    if one == me then
      table.remove(queue, i)
      break
    end
  end
  me.asleep = nil
end

--- Remembers that somebody was to be woken at an object, and nobody was there.
function Machine:missed(name)
  self.missed_at[name] = self.depth
end

-- What others see of a role's end: its parent, and those who use an object that lets go then.
local function leaves(self, me)
  if me.parent then
    return true
  end
  for _, object in ipairs(self.protocol.objects) do
    local ends = object.kind.ends
    if ends and ends(self.state[object.name], self, me) then
      return true
    end
  end
  return false
end

-- A role has come to its end, which is a step where others see it.
local function finish(self, me)
  me.op, me.co = nil, nil
  if leaves(self, me) then
    me.op, me.target, me.a, me.b, me.c, me.d = EXIT, nil, nil, nil, nil, nil
  else
    me.over = true
    self.running = self.running - 1
  end
end

-- A role threw an error, or its operation or condition did: that is its end.
local function fail(self, me, message)
  interrupt.pass_on(message)
  self.failed = self.failed or {me = me, message = message}
  me.code = 1
  finish(self, me)
end

-- Where a role has come to: its next operation, or its end.
local function arrive(self, me, ok, op, target, a, b, c, d)
  local dead = status(me.co) == "dead"
  local astray = ports.astray(self.port, not dead, op)
  if astray or not ok then
    return fail(self, me, ok and astray or op)
  elseif dead then
    me.result = op
    return finish(self, me)
  end
  if op == AWAIT then
    me.condition, me.log, me.logged, me.memo = target, {}, 0, {}
    local outcome = self:await_first(target)
    if outcome == true then
      return arrive(self, me, resume(me.co, true))
    elseif type(outcome) == "table" then
      return fail(self, me, outcome.fault)
    end
    target = outcome or nil
  end
  me.op, me.target, me.a, me.b, me.c, me.d = op, target, a, b, c, d
end

local function begin(self, me, f)
  me.op, me.over, me.turns, me.spun = nil, false, nil, nil
  me.co = create(f)
  self.running = self.running + 1
  arrive(self, me, resume(me.co, me.world))
end

local function thread(known, role)
  return {
    index = known.index, slot = 3 * known.index - 2, name = role.name, role = role,
    world = known.world, buffer = {}, first = 1, last = 0, pending = {}, inside = {},
    own_keys = known.own_keys, both_keys = known.both_keys, children = 0,
    life = "life " .. known.index, lives = 1,
  }
end

local function reset_objects(self)
  self.state = {}
  for _, object in ipairs(self.protocol.objects) do
    self.state[object.name] = object.kind.new(object.given, self.protocol)
  end
end

--- Begins a new execution: each role is before its first operation.
function Machine:reset()
  self.memory, self.observed, self.inside = {}, {}, {}
  self.sleepers, self.missed_at = {}, {}
  self.failed, self.depth, self.choice = nil, 0, 1
  self.crashes, self.deaths, self.running = self.settings.crashes, 0, 0
  for name, value in pairs(self.protocol.initial) do
    self.memory[name] = value
  end
  reset_objects(self)
  self.roles = {}
  for i, role in ipairs(self.protocol.roles) do
    self.roles[i] = thread(self.known[i], role)
  end
  for i, role in ipairs(self.protocol.roles) do
    begin(self, self.roles[i], role.run)
    if self.failed then
      return
    end
  end
end

--- Makes a role that another one forks. It gets the next number, as a process gets the next pid.
-- @treturn table|nil the role; nil where there are too many
function Machine:fork(parent, f, name)
  local index = #self.roles + 1
  if index > protocols.MOST_ROLES then
    return nil
  end
  parent.children = parent.children + 1
  name = name or parent.name .. "." .. parent.children
  local known = self.known[index]
  if not known or known.role.name ~= name then
    known = known_as(self, index, {name = name, index = index})
    self.known[index] = known
  end
  known.role.spared, known.role.background = parent.role.spared, parent.role.background
  local child = thread(known, known.role)
  child.parent, child.born = parent, self.depth
  self.roles[index] = child
  for _, object in ipairs(self.protocol.objects) do
    if object.kind.inherit then
      object.kind.inherit(self.state[object.name], self, parent, child)
    end
  end
  begin(self, child, f)
  return child
end

--- Has a role die soon, as SIGKILL does: it may go on for a little while, and cannot help it.
function Machine.doom(_, me)
  me.doomed = me.op and me.op ~= RESTART or nil
end

--- Whether a role's own operation can happen now.
function Machine:is_ready(me)
  local op = me.op
  if not op or not op.plain and me.last >= me.first then
    return false
  end
  if me.spun and (op.poll or op.spins) and not spin.stirred(self, me) then
    return false
  end
  local ready = op.ready
  return not ready or ready(self, me, me.target, me.a, me.b, me.c, me.d)
end

local function may_crash(self, me)
  return me.op and me.op ~= RESTART and
         (me.doomed or self.crashes > 0 and not me.role.spared)
end

--- What can happen now, as two sets of bits, one for each slot: what will, if all else stands
-- still, and deaths, which need not.
function Machine:enabled()
  local will, deaths = 0, 0
  for index, me in pairs(self.roles) do
    local bit = 1 << 3 * index - 3
    if me.op and self:is_ready(me) then
      will = will | bit
    end
    if me.last >= me.first then
      will = will | bit << 1
    elseif me.dying then
      will = will | bit << 2
    end
    if may_crash(self, me) then
      deaths = deaths | bit << 2
      if me.doomed then
        will = will | bit << 2
      end
    end
  end
  return will, deaths
end

local function flush(self, me)
  local store = me.buffer[me.first]
  me.buffer[me.first] = nil
  me.first = me.first + 1
  local left = me.pending[store.name] - 1
  me.pending[store.name] = left > 0 and left or nil
  self.memory[store.name] = store.value
  self.flushed = store
end

local function crash(self, me)
  if me.asleep then
    self:rouse(me, me.asleep)
  end
  for section, n in pairs(me.inside) do
    self.inside[section] = self.inside[section] - n
  end
  me.inside, me.op, me.co, me.spun = {}, nil, nil, nil
  me.dying = true
  if me.doomed then
    me.doomed = nil
  else
    self.crashes = self.crashes - 1
  end
  self.deaths = self.deaths + 1
  self.running = self.running - 1
end

local function cleanup(self, me)
  for _, object in ipairs(self.protocol.objects) do
    if object.kind.die then
      object.kind.die(self.state[object.name], self, me)
    end
  end
  me.dying = false
  self:set_life(me, "signal")
  if me.role.restart then
    me.op, me.target, me.a, me.b, me.c, me.d = RESTART, nil, nil, nil, nil, nil
  else
    me.dead = true
  end
end

local function own_step(self, me)
  local op, target = me.op, me.target
  local found = op.poll and spin.look(self, me)
  local ok, r1, r2, r3, r4 = pcall(op.act, self, me, target, me.a, me.b, me.c, me.d)
  if not ok then
    return fail(self, me, r1)
  end
  self.r1, self.r2, self.r3, self.r4 = r1, r2, r3, r4
  if op == AWAIT then
    local outcome = self:await_outcome(me, r1)
    if type(outcome) == "table" then
      return fail(self, me, outcome.fault)
    elseif outcome ~= true then
      me.logged = me.logged + 1
      me.log[me.logged] = r1
      me.target, me.memo = outcome, {}
      return
    end
    r1 = true
  elseif op == READ then
    found = r1
  end
  if me.turns or op.poll or op.spins then
    spin.count(self, me, op, target, found)
  end
  if op == RESTART then
    me.lives = me.lives + 1
    return begin(self, me, me.role.restart)
  elseif op == EXIT then
    me.op, me.over = nil, true
    self.running = self.running - 1
    return
  end
  if r4 ~= nil then
    return arrive(self, me, resume(me.co, r1, r2, r3, r4))
  elseif r3 ~= nil then
    return arrive(self, me, resume(me.co, r1, r2, r3))
  elseif r2 ~= nil then
    return arrive(self, me, resume(me.co, r1, r2))
  end
  return arrive(self, me, resume(me.co, r1))
end

--- Makes the step of a slot. What it was is in op, target and r1 to r4 of the machine.
-- @int slot of those that are enabled
-- @int choice for `choose`: which of its ways
function Machine:step(slot, choice)
  local index, part = (slot + 2) // 3, (slot + 2) % 3
  local me = self.roles[index]
  self.depth = self.depth + 1
  self.choice = choice
  if part == 0 then
    return own_step(self, me)
  elseif part == 1 then
    return flush(self, me)
  elseif me.dying then
    return cleanup(self, me)
  end
  return crash(self, me)
end

return M
