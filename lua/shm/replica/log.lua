--- A node's log: the changes of its copy in their order, in memory of its own.
--
--        0  u64  MAGIC      stored last by who makes it
--        8  u64  HEAD       term << 44 | number of the last change
--       16  u64  ACTIVE     the term in which the node takes writes
--       24  u64  WHOLE      0 while the copy is being filled
--       32  u64  RESERVED   up to where bytes of the ring may be overwritten
--       40  u64  RING       bytes of it;  48  u64  SLOTS  of the index, a power of two
--       56  u64  BORN       which log this is: a name may come to mean another
--       64  shm.counter     goes up when any of this changes: followers sleep on it
--      384  u64 * SLOTS     where the change of that number, modulo SLOTS, lies; then the ring
--
-- A change in the ring is { i64 number; f64 time; u32 term; u32 size; bytes } and never split.
-- Places count up for ever, and are taken modulo RING.
--
-- HEAD decides everything. Only the node's own process counts changes up, by a
-- compare-and-swap that expects the term it knows; anybody may raise the term, and from then
-- on every such swap fails. No lock is involved: it makes no difference whether the node's
-- process runs, is dead, or was stopped at any instruction.
--
-- Killed between reserving and HEAD: the bytes are not counted, and the next change goes
-- behind them. Readers copy a change first and look at RESERVED then: one that was being
-- overwritten is lost for them, and they need a whole copy.
-- @module shm.replica.log
local process = require "shm.process"
local shm = require "shm"

local M = {}

M.HEAD = 8
local MAGIC, HEAD, ACTIVE, WHOLE, RESERVED, RING, SLOTS, BORN = 0, 8, 16, 24, 32, 40, 48, 56
local BELL, INDEX = 64, 384
local MAGIC_VALUE <const> = 0x316c7065722d6873 -- "sh-repl1"
local SEQ_BITS <const> = 44
local SEQ_MASK <const> = (1 << SEQ_BITS) - 1
local FORMAT <const>, HEADER <const> = "=i8dI4s4", 24
local BYTES_A_SLOT <const> = 64
local TRIES <const> = 1000000

M.LAST_SEQ, M.LAST_TERM = SEQ_MASK, (1 << 64 - SEQ_BITS) - 1

local EAGAIN, ENOENT, EMSGSIZE, EPROTO = 11, 2, 90, 71

local Log = {}
Log.__index = Log

--- HEAD's value.
function M.word(term, seq)
  return term << SEQ_BITS | seq
end

local function slots_for(ring)
  local slots = 16
  while slots * BYTES_A_SLOT < ring do
    slots = slots * 2
  end
  return slots
end

local function new(region, name)
  local ring, slots = region:load(RING), region:load(SLOTS)
  if ring < 1 or slots < 1 or ring > #region or slots > #region // 8
    or INDEX + slots * 8 + ring > #region or slots & slots - 1 ~= 0 then
    return nil, ("replica '%s': its log makes no sense"):format(name), EPROTO
  end
  local bell, message, errno = shm.counter.attach(region, BELL)
  if not bell then
    return nil, message, errno
  end
  return setmetatable({
    name = name, region = region, ring = ring, slots = slots, base = INDEX + slots * 8,
    born = region:load(BORN), bell = bell, place = math.max(0, region:load(RESERVED)),
  }, Log)
end

--- A node's own log, which is made if there is none.
-- @treturn table log
-- @treturn boolean whether it was made
function M.open(name, bytes, mode)
  local ring = (bytes + 7) // 8 * 8
  local slots = slots_for(ring)
  local region, message, errno = shm.open(name, INDEX + slots * 8 + ring, {mode = mode})
  if errno == 34 then -- ERANGE: there is one, which is smaller
    region, message, errno = shm.attach(name)
  end
  if not region then
    return nil, message, errno
  end
  local made = region:load(MAGIC) == 0
  if made then
    region:store(RING, ring)
    region:store(SLOTS, slots)
    region:store(WHOLE, 1)
    region:store(BORN, process.pid() << 40 ~ (process.monotonic() * 1e6) // 1 | 0)
    local bell
    bell, message, errno = shm.counter.open(region, BELL)
    if not bell then
      region:close()
      return nil, message, errno
    end
    bell:close()
    region:store(MAGIC, MAGIC_VALUE)
  elseif region:load(MAGIC) ~= MAGIC_VALUE then
    region:close()
    return nil, ("replica '%s': something else is there"):format(name), EPROTO
  end
  local log
  log, message, errno = new(region, name)
  if not log then
    region:close()
    return nil, message, errno
  end
  return log, made
end

--- Another node's log.
function M.attach(name)
  local region, message, errno = shm.attach(name)
  if not region then
    return nil, message, errno
  elseif #region < INDEX or region:load(MAGIC) ~= MAGIC_VALUE then
    local absent = #region >= INDEX and region:load(MAGIC) == 0
    region:close()
    return nil, ("replica '%s': %s"):format(name, absent and "it is being made"
                                              or "something else is there"),
      absent and ENOENT or EPROTO
  end
  local log
  log, message, errno = new(region, name)
  if not log then
    region:close()
  end
  return log, message, errno
end

--- The term, and the number of the last change.
function Log:head()
  local word = self.region:load(HEAD)
  return word >> SEQ_BITS, word & SEQ_MASK
end

--- Raises the term: from here on nothing is counted that expects another one.
-- @treturn int the term there is, which may be higher
function Log:raise(term)
  local region = self.region
  for _ = 1, TRIES do
    local word = region:load(HEAD)
    local now = word >> SEQ_BITS
    if now >= term then
      return now
    elseif region:cas(HEAD, word, term << SEQ_BITS | word & SEQ_MASK) then
      self.bell:add(1)
      return term
    end
  end
  return nil, ("replica '%s': its log changes all the time"):format(self.name), EAGAIN
end

--- Writes a change to where the next one goes, without counting it. A third of the ring is the
-- most: with what is left over at the ring's end, the last one that was counted stays.
function Log:prepare(seq, term, time, bytes)
  local size = (HEADER + #bytes + 7) // 8 * 8
  if size > self.ring // 3 then
    return nil, ("a change of %d bytes, where the log takes %d"):format(#bytes,
      self.ring // 3 - HEADER), EMSGSIZE
  end
  local region, place = self.region, self.place
  local at = place % self.ring
  if at + size > self.ring then
    place, at = place + self.ring - at, 0
  end
  self.place = place + size
  region:swap(RESERVED, self.place)
  region:pack(self.base + at, FORMAT, seq, time, term, bytes)
  region:store(INDEX + (seq & self.slots - 1) * 8, place)
  return true
end

--- A change that was counted, or nothing if it was overwritten.
-- @treturn string its bytes
-- @treturn int the term in which it was made
-- @treturn number when, on the clock of process.monotonic
function Log:entry(seq)
  local region, ring = self.region, self.ring
  local place = region:load(INDEX + (seq & self.slots - 1) * 8)
  local at = place % ring
  if place < 0 or at + HEADER > ring then
    return nil
  end
  local number, time, term, size = region:unpack(self.base + at, "=i8dI4I4")
  if number ~= seq or size > ring - at - HEADER then
    return nil
  end
  local bytes = region:read(self.base + at + HEADER, size)
  shm.fence() -- what was read, was read before
  if region:load(RESERVED) > place + ring then
    return nil
  end
  return bytes, term, time
end

--- How far it is: the last change's number and its term, 0 where that is not there.
function Log:last()
  local _, seq = self:head()
  local bytes, term = self:entry(seq)
  return seq, bytes and term or 0
end

function Log:is_whole()
  return self.region:load(WHOLE) == 1
end

function Log:set_whole(whole)
  self.region:store(WHOLE, whole and 1 or 0)
end

function Log:active()
  return self.region:load(ACTIVE)
end

function Log:activate(term)
  self.region:store(ACTIVE, term)
  self.bell:add(1)
end

function Log:close()
  self.bell:close()
  self.region:close()
end

return M
