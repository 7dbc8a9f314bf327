-- Topics beside what was acknowledged: what was published is there once, in one order for all who
-- listen; who listens to a topic that blocks misses nothing, and who listens to one that drops
-- knows exactly how much.
--
-- This process listens from the beginning, and numbers what it gets: a message's place is how many
-- it got before and how many it has lost. Workers come and go; a message that several got has one
-- place for all of them. A worker's journal:
--   saying topic id        said n         whether it was published
--   joined topic           heard topic id lost   what it had lost just before, and just after
local workers = require "spec.model_workers"

local M = {}

local SOON <const> = 0.002 -- seconds
local WHO <const> = 40     -- bits below who published it
local ENTRIES <const> = 1 << 15
local KEPT <const> = 4000  -- places that are remembered: more than a topic has messages
local EDEADLK <const> = 35
local REFUSALS <const> = {[110] = true, [16] = true, [EDEADLK] = true}
local OPTIONS <const> = {
  {capacity = 4096, subscribers = 16},
  {capacity = 1024, subscribers = 16, overflow = "drop"},
}

local function bytes_of(id)
  return (string.char(97 + (id >> WHO) % 26)):rep(id * 7 % 100)
end

-- The next message's id, and how many were lost: just before, and just after. What is lost before
-- it is between the two.
local function hear(s)
  local before = s:lost()
  local message, why, errno = s:try()
  if message == nil then
    assert(REFUSALS[errno], why)
    return nil
  end
  assert(message[2] == bytes_of(message[1]), "a message is torn")
  return message[1], before, s:lost()
end

local function deeds(self, i, journal)
  local next_id, listening = {table.unpack(self.next[i])}, {}
  local D = {}

  function D.publish(k)
    local id = next_id[k]
    next_id[k] = id + 1
    journal:note("saying", k, id)
    local ok, message, errno = self.topics[k]:publish({id, bytes_of(id)}, SOON)
    if not ok then
      assert(REFUSALS[errno], message)
    end
    journal:note("said", ok and 1 or 0)
    if errno == EDEADLK then
      D.listen(k)
    end
  end

  function D.join(k)
    if listening[k] then
      listening[k]:close()
    end
    listening[k] = assert(self.topics[k]:subscribe {
      from = math.random(2) == 1 and "oldest" or "newest",
    })
    journal:note("joined", k)
  end

  function D.listen(k)
    if not listening[k] then
      return D.join(k)
    end
    for _ = 1, math.random(20) do
      local id, before, after = hear(listening[k])
      if not id then
        break
      end
      journal:note("heard", k, id, before << 32 | after)
    end
  end
  return D
end

local function settle(self, i)
  local saying
  local sequences = {}
  for _, entry in ipairs(self.journals[i]:take()) do
    local word, a, b, c = table.unpack(entry)
    if word == "saying" then
      saying = {k = a, id = b}
      self.next[i][a] = b + 1
    elseif word == "said" then
      if a == 1 then
        self.said[saying.k][saying.id] = true
        self.sure[saying.k] = self.sure[saying.k] + 1
        self.fresh[saying.k][saying.id] = true
      end
      saying = nil
    elseif word == "joined" then
      sequences[a] = {}
      table.insert(self.heard[a], sequences[a])
    else
      table.insert(sequences[a], {id = b, before = c >> 32, after = c & 0xffffffff})
    end
  end
  if saying then
    self.said[saying.k][saying.id] = true
    self.maybe[saying.k] = self.maybe[saying.k] + 1
  end
end

-- Message and place belong to each other, and to no others.
local function put(self, k, id, place)
  local where, at = self.where[k], self.at[k]
  if (where[id] or place) ~= place or (at[place] or id) ~= id then
    error(("topic %d: two orders at place %d"):format(k, place), 0)
  end
  where[id], at[place] = place, id
end

-- By how much a subscriber's count is behind the places, if that can be told yet.
local function offset_of(self, k, sequence)
  for n, it in ipairs(sequence) do
    if it.before == it.after and self.where[k][it.id] then
      return self.where[k][it.id] - n - it.before
    end
  end
end

local function align(self, k, sequence, offset)
  for n, it in ipairs(sequence) do
    local place = self.where[k][it.id]
    if place then
      local lost = place - offset - n
      assert(it.before <= lost and lost <= it.after, "lost is wrong")
    elseif it.before == it.after then
      put(self, k, it.id, offset + n + it.before)
    end
    assert(k ~= 1 or it.after == 0, "a topic that blocks has lost something")
  end
end

-- Those that share a message with others find their places by them, one after the other.
local function align_all(self, k)
  local left, more = self.heard[k], true
  while more do
    local rest = {}
    more = false
    for _, sequence in ipairs(left) do
      local offset = offset_of(self, k, sequence)
      if offset then
        align(self, k, sequence, offset)
        more = true
      elseif #sequence > 0 then
        rest[#rest + 1] = sequence
      end
    end
    left = rest
  end
  assert(k ~= 1 or #left == 0, "one got what nobody else got")
  self.apart = self.apart + #left
  self.heard[k] = {}
end

-- What this process has got.
local function watch(self)
  for k, s in ipairs(self.listeners) do
    for id, before, after in function() return hear(s) end do
      self.got[k] = self.got[k] + 1
      if before == after then
        put(self, k, id, self.got[k] + before)
      end
    end
  end
end

local function check(self)
  watch(self)
  for k, s in ipairs(self.listeners) do
    local total = self.got[k] + s:lost()
    local n = total - self.total[k]
    assert(self.sure[k] <= n and n <= self.sure[k] + self.maybe[k],
           ("%d <= %d <= %d messages"):format(self.sure[k], n, self.sure[k] + self.maybe[k]))
    align_all(self, k)
    local last = {}
    for place = math.max(1, self.total[k] - KEPT), total do
      local id = self.at[k][place]
      if id then
        local who = id >> WHO
        assert(self.said[k][id], "a message was never published")
        assert(id > (last[who] or 0), "a producer's messages are not in their order")
        last[who] = id
      else
        assert(k ~= 1 or place <= total - n, "a message of a topic that blocks is lost")
      end
    end
    for id in pairs(self.fresh[k]) do
      assert(k ~= 1 or self.where[k][id], "a message was acknowledged and is not there")
    end
    for place = self.total[k] - 2 * KEPT, total - KEPT do
      local id = self.at[k][place]
      if id then
        self.at[k][place], self.where[k][id], self.said[k][id] = nil, nil, nil
      end
    end
    self.total[k], self.sure[k], self.maybe[k], self.fresh[k] = total, 0, 0, {}
  end
end

--- Topics of an arena, for so many workers. `work(i)` gives what a worker does, in its process.
function M.new(arena, n)
  local self = {topics = {}, listeners = {}, journals = {}, next = {}, said = {}, sure = {},
                maybe = {}, fresh = {}, heard = {}, where = {}, at = {}, got = {}, total = {},
                apart = 0, settle = settle, check = check, watch = watch}
  for k, options in ipairs(OPTIONS) do
    self.topics[k] = assert(arena:topic("topic" .. k, options))
    self.listeners[k] = assert(self.topics[k]:subscribe())
    self.said[k], self.sure[k], self.maybe[k], self.fresh[k], self.heard[k] = {}, 0, 0, {}, {}
    self.where[k], self.at[k], self.got[k], self.total[k] = {}, {}, 0, 0
  end
  for i = 1, n do
    self.journals[i] = workers.journal(ENTRIES)
    self.next[i] = {}
    for k in ipairs(OPTIONS) do
      self.next[i][k] = i << WHO | 1
    end
  end
  function self.work(i)
    local D = deeds(self, i, self.journals[i])
    return function()
      local k = math.random(#OPTIONS)
      local choice = math.random(10)
      if choice < 5 then
        D.publish(k)
      elseif choice < 10 then
        D.listen(k)
      else
        D.join(k)
      end
    end
  end
  function self.close()
    for k in ipairs(OPTIONS) do
      self.listeners[k]:close()
      self.topics[k]:close()
      assert(arena:drop("topic" .. k))
    end
    for _, journal in ipairs(self.journals) do
      journal:close()
    end
  end
  return self
end

return M
