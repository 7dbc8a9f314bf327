--- Where everything of a run lies in its one segment, which has no name: the parent maps it, and
-- the roles have it by fork.
--
--   control   64-byte lines, see LINES: which round is open, who closes it, who sleeps
--   roles     one page each, 16 of them: phase (4 * round + AWAIT … DONE), its pid and life, the
--             text of an error that it threw
--   rules     one line each: in how many rounds it was broken, and in which one last
--   names     64 places of 512 bytes, for the names of sections and of what is observed, which
--             roles make as they go; a mutex guards them. How many, then each: its length and
--             text; who is inside, four bits for each role; what was observed last, and in which
--             round
--   processes the last 256 of them: 256 * pid + role
--   outcomes  how rounds have ended, see shm.lab.run.outcomes
--   words     one line each; then the words of segments are not here, but in names of their own
--   objects   what each kind asks for
--   logs      see shm.lab.run.log
--
-- Who dies leaves its phase as it was, which says all: the parent looks at it. A round is closed
-- by who comes to its end last, and by the parent if that one dies in it.
-- @module shm.lab.run.place
local outcomes = require "shm.lab.run.outcomes"
local shm = require "shm"

local M = {}

M.LINE = 64
--- How many roles there can be, those that are forked included.
M.MOST = 16
--- What a phase says besides its round.
M.AWAIT, M.AWAKE, M.RUNNING, M.DONE = 0, 1, 2, 3

--- The lines of the control part.
M.LINES = {
  opened = 0,      -- 32 bits, a futex: the round whose initial state is there
  sleepers = 1,    -- how many sleep until it is another one
  closed = 2,      -- 32 * round + the role that closes it, or 0 for the parent
  accounted = 3,   -- the last round whose outcome has been counted
  held = 4,        -- a round that the parent has to close
  broken = 5,      -- the last round in which a rule was seen broken
  breaker = 6,     -- the first rule that was, see M.breaker
  wanted = 7,      -- whether the parent wants what is broken for its trace
  stopping = 8,    -- the roles are to end
  rounds = 9,      -- the last round
  born = 10,       -- children that were forked in this round
  names = 11,      -- how many names there are
  outcomes = 12,   -- how many outcomes there are
  threw = 13,      -- the last round in which a role threw an error
  others = 14,     -- rounds whose outcome found no place
  processes = 15,  -- how many processes there have been
  deaths = 16,     -- 65536 * round + how many have died in it
}
local CONTROL <const> = 17 * 64
local PAGE <const> = 4096
local DOOM <const> = 3904
local LIFE <const>, PID <const>, ERROR <const>, LENGTH <const> = 64, 128, 192, 200
local MOST_TEXT <const> = 3700
local NAME <const>, MOST_NAME <const> = 3968, 112
local NAMES <const>, NAME_SIZE <const> = 64, 512
local PROCESSES <const> = 256
M.MOST_OBSERVED = 256 -- bytes
--- How many rules there can be.
M.MOST_RULES = 255

local Place = {}
Place.__index = Place
for name, method in pairs(outcomes.methods) do
  Place[name] = method
end

--- What a run can not do without. Where the machine has none left, that is no line's of ours.
-- @param value and why there is none, as functions answer
function M.need(value, message)
  if not value then
    error("lab.run: " .. message, 0)
  end
  return value, message
end

local function up(n, unit) return (n + unit - 1) // unit * unit end

--- Makes the segment of a run.
-- @tparam shm.lab.protocol protocol
-- @tparam {table,...} objects the real kinds' records, with size(given)
-- @int rules how many
-- @int log bytes for each role's log, 0 for none
-- @treturn table place
function M.new(protocol, objects, rules, log)
  local self = setmetatable({words = {}, objects = {}, protocol = protocol}, Place)
  local at = CONTROL
  local function take(size, unit)
    at = up(at, unit or 64)
    local mine = at
    at = at + size
    return mine
  end
  self.roles = take(M.MOST * PAGE, PAGE)
  self.rules = take(rules * 64)
  self.mutex_at = take(shm.mutex.size())
  self.processes_at = take(PROCESSES * 8)
  self.names_at = take(NAMES * NAME_SIZE)
  self.outcomes_at = take(outcomes.BYTES)
  self.words_at = take(#protocol.words * 64)
  for i, name in ipairs(protocol.words) do
    self.words[name] = self.words_at + (i - 1) * 64
  end
  for _, object in ipairs(objects) do
    local size = object.real.size and object.real.size(object.given, protocol) or 0
    self.objects[object.name] = take(size)
  end
  self.log_size = log
  self.logs = take(M.MOST * log, PAGE)
  self.region = M.need(shm.anonymous(up(at, PAGE)))
  self.mutex = assert(shm.mutex.create(self.region, self.mutex_at))
  local image = {}
  for i, name in ipairs(protocol.words) do
    image[i] = string.pack("<i8", protocol.initial[name]) .. ("\0"):rep(56)
  end
  self.image = table.concat(image)
  self.known, self.known_outcomes = {}, {}
  self.seen_names, self.sections = 0, {}
  return self
end

--- A function that loads a line of the control part, sequentially consistent.
function Place:loader(line) return self.region:loader(M.LINES[line] * 64) end

function Place:storer(line) return self.region:storer(M.LINES[line] * 64) end

function Place:adder(line, n) return self.region:adder(M.LINES[line] * 64, n) end

function Place:load(line) return self.region:load(M.LINES[line] * 64) end

function Place:store(line, value) self.region:store(M.LINES[line] * 64, value) end

function Place:swap(line, value) return self.region:swap(M.LINES[line] * 64, value) end

function Place:cas(line, old, new) return self.region:cas(M.LINES[line] * 64, old, new) end

--- Where the phase of a role is.
function Place:phase_at(index) return self.roles + (index - 1) * PAGE end

function Place:phase(index) return self.region:load(self:phase_at(index)) end

function Place:set_phase(index, round, what)
  self.region:store(self:phase_at(index), 4 * round + what)
end

function Place:pid(index) return self.region:load(self:phase_at(index) + PID) end

function Place:set_pid(index, pid)
  self.region:store(self:phase_at(index) + PID, pid)
  if pid > 0 then
    local n = self.region:add(M.LINES.processes * 64, 1)
    self.region:store(self.processes_at + n % PROCESSES * 8, pid << 8 | index)
  end
end

--- The role whose process this is, or was not long ago, or nil.
function Place:role_of(pid)
  local n = self:load "processes"
  for i = n - 1, math.max(0, n - PROCESSES), -1 do
    local both = self.region:load(self.processes_at + i % PROCESSES * 8)
    if both >> 8 == pid then
      return both & 0xff
    end
  end
end

--- How often a role has begun in its round, and the round.
function Place:lives(index)
  local both = self.region:load(self:phase_at(index) + LIFE)
  return both & 0xffff, both >> 16
end

function Place:set_lives(index, round, lives)
  self.region:store(self:phase_at(index) + LIFE, round << 16 | lives)
end

--- The name of a role that was forked.
function Place:child_name(index)
  local at = self:phase_at(index) + NAME
  return self.region:read(at + 8, self.region:load(at))
end

function Place:set_child_name(index, name)
  local at = self:phase_at(index) + NAME
  name = name:sub(1, MOST_NAME)
  self.region:write(at + 8, name)
  self.region:store(at, #name)
end

--- Leaves the text of an error that a role threw.
function Place:set_error(index, round, text)
  local at = self:phase_at(index)
  text = text:sub(1, MOST_TEXT)
  self.region:store(at + LENGTH, #text)
  self.region:write(at + LENGTH + 8, text)
  self.region:store(at + ERROR, round)
  self:store("threw", round)
end

--- The text of the error that a role threw in a round, or nil.
function Place:error(index, round)
  local at = self:phase_at(index)
  if self.region:load(at + ERROR) == round then
    return self.region:read(at + LENGTH + 8, self.region:load(at + LENGTH))
  end
end

--- The words as they are at first, nobody inside anywhere.
function Place:restore()
  if self.image ~= "" then
    self.region:write(self.words_at, self.image)
  end
  self:look_up_names()
  for _, at in ipairs(self.sections) do
    self.region:store(at + 128, 0)
  end
  self:store("born", 0)
end

--- Gets to know the names that others have made.
function Place:look_up_names()
  local count = self:load "names"
  for i = self.seen_names + 1, count do
    local at = self.names_at + (i - 1) * NAME_SIZE
    local name = self.region:read(at + 8, self.region:load(at))
    self.known[name], self.sections[i] = at, at
  end
  self.seen_names = count
end

--- Where the place of a name is: made if there is none yet.
function Place:name(name)
  local at = self.known[name]
  if at then
    return at
  end
  self:look_up_names()
  at = self.known[name]
  if at then
    return at
  end
  if #name > 112 then
    error(("lab.run: the name '%s' is too long"):format(name), 0)
  end
  assert(self.mutex:lock())
  self:look_up_names()
  if not self.known[name] then
    local count = self.seen_names
    if count == NAMES then
      self.mutex:unlock()
      error(("lab.run: more than %d names of sections and observations"):format(NAMES), 0)
    end
    at = self.names_at + count * NAME_SIZE
    self.region:write(at + 8, name)
    self.region:store(at, #name)
    self:store("names", count + 1)
    self:look_up_names()
  end
  self.mutex:unlock()
  return self.known[name]
end

--- How many are inside, by the word that says it: four bits for each role.
function M.inside(word)
  local n = 0
  while word ~= 0 do
    n = n + (word & 15)
    word = word >> 4
  end
  return n
end

--- Says in which round a role is killed, before it is; -round once it is dead; 0 as it begins anew
-- in the same one. So whoever sees what the kernel lets go of when it dies can see this, too.
function Place:doom(index, round) self.region:store(self:phase_at(index) + DOOM, round) end

--- Who is inside, without the dead and those about to be. One may die in the next round only.
function Place:living(word, round)
  for index = 1, M.MOST do
    local doomed = self.region:load(self:phase_at(index) + DOOM)
    if doomed == round or doomed == -round or doomed == round - 1 and doomed > 0 then
      word = word & ~(15 << 4 * (index - 1))
    end
  end
  return word
end

--- How many have died in a round.
function Place:deaths(round)
  local both = self:load "deaths"
  return both >> 16 == round and both & 0xffff or 0
end

--- Takes a role that died out of all sections, and counts it.
function Place:take_out(index, round)
  self:store("deaths", round << 16 | self:deaths(round) + 1)
  self:look_up_names()
  local shift = 4 * (index - 1)
  for _, at in ipairs(self.sections) do
    local mine = self.region:load(at + 128) >> shift & 15
    if mine ~= 0 then
      self.region:add(at + 128, -(mine << shift))
    end
  end
end

--- Leaves what was observed.
function Place:observe(round, name, value)
  local at, region = self:name(name), self.region
  if math.type(value) == "integer" then
    region:set_i64(at + 200, value)
    region:store(at + 192, round << 2 | 1)
    return
  end
  local bytes = type(value) == "number" and "float " .. ("<d"):pack(value)
    or type(value) .. " " .. tostring(value)
  if #bytes > M.MOST_OBSERVED then
    error(("w.observe: %s: more than %d bytes"):format(name, M.MOST_OBSERVED), 0)
  end
  region:set_i64(at + 200, #bytes)
  region:write(at + 208, bytes)
  region:store(at + 192, round << 2 | 2)
end

--- In which round, at which of its entries of the log and by which role, 0 for none, a rule was
-- first seen broken, as one word; and what such a word says.
function M.breaker(round, step, rule, role) return round << 33 | step << 13 | rule << 5 | role end

function M.parts(word)
  return word >> 33, word >> 13 & 0xfffff, word >> 5 & 0xff, word & 0x1f
end

--- What was observed under a name, whose place this is, or nil.
function Place:observed(round, at)
  local tag, region = self.region:load(at + 192), self.region
  if tag >> 2 ~= round then
    return nil
  elseif tag & 3 == 1 then
    return region:get_i64(at + 200)
  end
  local kind, text = region:read(at + 208, region:get_i64(at + 200)):match "^(%l+) (.*)$"
  if kind == "string" then
    return text
  elseif kind == "boolean" then
    return text == "true"
  end
  return kind == "float" and ("<d"):unpack(text) or nil
end

--- Counts that a rule is broken in this round: once.
-- @treturn boolean whether it had not been counted before
function Place:break_rule(rule, round)
  local at = self.rules + (rule - 1) * 64
  local last = self.region:load(at + 8)
  if last ~= round and self.region:cas(at + 8, last, round) then
    self.region:add(at, 1)
    return true
  end
  return false
end

--- In how many rounds a rule was broken.
function Place:broken(rule) return self.region:load(self.rules + (rule - 1) * 64) end

return M
