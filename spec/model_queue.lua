-- Queues beside what was acknowledged: no message is lost, but for those in the hands of who was
-- killed; none comes twice; those of a producer come in their order.
--
-- A message says who pushed it and which it is of all that one has pushed to that queue: its id.
-- In a worker's journal, for each operation what it begins and, when it has ended, what it did:
--   pushing queue first n    pushed queue n        ids from first on: the first n of them
--   taking  queue n          having n              took queue id, for each    taken
local M = {}

local CAPACITY <const> = 2000
local SOON <const> = 0.002 -- seconds
local WHO <const> = 40     -- bits below who it is
local ENTRIES <const> = 1 << 14
-- Nothing was done: the time is up, the queue rejects or is empty, too many loans, a guard is held.
local REFUSALS <const> = {[110] = true, [28] = true, [11] = true, [87] = true, [16] = true}
local OPTIONS <const> = {{capacity = CAPACITY}, {capacity = CAPACITY, overflow = "reject"}}

local function bytes_of(id)
  return (string.char(97 + (id >> WHO) % 26)):rep(id * 7 % 150)
end

-- A message is a table, or what was written to a loan.
local function read(message)
  local id, bytes
  if type(message) == "table" then
    id, bytes = message[1], message[2]
  else
    id, bytes = ("i8s4"):unpack(message)
  end
  assert(bytes == bytes_of(id), "a message is torn")
  return id
end

local function refused(message, errno)
  assert(REFUSALS[errno], message)
end

-- What a worker does. Its ids go on from where its likes have been; `seen` is the last they took.
local function deeds(self, i, journal)
  local next_id, seen = {table.unpack(self.next[i])}, {}
  for k in ipairs(self.queues) do
    seen[k] = {table.unpack(self.seen[i][k])}
  end
  local D = {}

  local function push(k, n, f)
    local first = next_id[k]
    journal:note("pushing", k, first, n)
    local ok, message, errno = f(self.queues[k], first)
    if not ok then
      refused(message, errno)
    end
    next_id[k] = first + n
    journal:note("pushed", k, ok == true and n or ok or 0)
  end

  function D.push(k)
    push(k, 1, function(q, id) return q:push({id, bytes_of(id)}, SOON) end)
  end

  function D.push_many(k)
    local n = math.random(10)
    push(k, n, function(q, first)
      local list = {}
      for j = 1, n do
        list[j] = {first + j - 1, bytes_of(first + j - 1)}
      end
      return q:push_many(list, SOON)
    end)
  end

  function D.loan(k)
    push(k, 1, function(q, id)
      local text = ("i8s4"):pack(id, bytes_of(id))
      local loan <close>, message, errno = q:loan(#text + 10, SOON)
      if not loan then
        return nil, message, errno
      elseif id % 5 == 0 then
        return 0 -- it is taken back
      end
      loan:region():write(0, text)
      return loan:commit(#text)
    end)
  end

  local function took(k, id)
    local who = id >> WHO
    assert(id > seen[k][who], "a message comes twice, or late")
    seen[k][who] = id
    journal:note("took", k, id)
  end

  local function take(k, most, f)
    journal:note("taking", k, most)
    local list, n, errno = f(self.queues[k])
    if list then
      journal:note("having", n)
      for j = 1, n do
        took(k, read(list[j]))
      end
    else
      refused(n, errno)
    end
    journal:note "taken"
  end

  function D.pop(k)
    take(k, 1, function(q)
      local message, why, errno = q:pop(math.random(2) == 1 and SOON or 0)
      if message == nil then
        return nil, why, errno
      end
      return {message}, 1
    end)
  end

  function D.pop_many(k)
    local most = math.random(10)
    take(k, most, function(q) return q:pop_many(most, 0) end)
  end

  function D.view(k)
    take(k, 1, function(q)
      local view <close>, why, errno = q:view(0)
      if not view then
        return nil, why, errno
      end
      local region, raw = view:region()
      local text = region:read(0, #region)
      return {raw and text or self.decode(text)}, 1
    end)
  end

  function D.peek(k)
    local message, why, errno = self.queues[k]:peek()
    if message == nil then
      return refused(why, errno)
    end
    local id = read(message)
    assert(id > seen[k][id >> WHO], "a message that was taken is there")
  end
  return D
end

-- What the journal of a dead one says.
local function settle(self, i)
  local pushing, taking
  for _, entry in ipairs(self.journals[i]:take()) do
    local word, a, b, c = table.unpack(entry)
    if word == "pushing" then
      pushing = {k = a, first = b, n = c}
      self.next[i][a] = b + c
    elseif word == "pushed" then
      for id = pushing.first, pushing.first + b - 1 do
        self.sure[a][id] = true
      end
      pushing = nil
    elseif word == "taking" then
      taking = {k = a, left = b}
    elseif word == "having" then
      taking.left = a
    elseif word == "took" then
      assert(not self.taken[a][b], "a message was taken twice")
      self.taken[a][b] = true
      self.seen[i][a][b >> WHO] = b
      taking.left = taking.left - 1
    elseif word == "taken" then
      taking = nil
    end
  end
  if pushing then
    for id = pushing.first, pushing.first + pushing.n - 1 do
      self.maybe[pushing.k][id] = true
    end
  end
  if taking then
    self.hands[taking.k] = self.hands[taking.k] + taking.left
  end
end

-- What is left in a queue, in order, is behind all that was taken.
local function drain(self, k)
  local first, last = {}, {}
  for message in function() return (self.queues[k]:pop(0)) end do
    local id = read(message)
    local who = id >> WHO
    assert(not self.taken[k][id], "a message that was taken is there")
    assert(id > (last[who] or 0), "messages are not in their order")
    first[who], last[who] = first[who] or id, id
    self.taken[k][id] = true
  end
  assert(#self.queues[k] == 0, "a message can not be popped")
  return first
end

local function check(self)
  for k in ipairs(self.queues) do
    local before, lost = self.taken[k], 0
    self.taken[k] = setmetatable({}, {__index = before})
    local first = drain(self, k)
    for id in pairs(self.sure[k]) do
      if not self.taken[k][id] then
        lost = lost + 1
        assert(id < (first[id >> WHO] or math.maxinteger), "a message in the middle is lost")
      end
    end
    assert(lost <= self.hands[k],
           ("%d messages are lost, and %d were in hands"):format(lost, self.hands[k]))
    for _, ids in ipairs {before, self.taken[k]} do
      for id in pairs(ids) do
        assert(self.sure[k][id] or self.maybe[k][id], "a message was never pushed")
        assert(ids == before or id >= first[id >> WHO])
      end
    end
    for id in pairs(before) do
      assert(id < (first[id >> WHO] or math.maxinteger), "one was taken before an older one")
    end
    self.sure[k], self.maybe[k], self.taken[k], self.hands[k] = {}, {}, {}, 0
  end
end

--- Queues of an arena, for so many workers. `work(i)` gives what a worker does, in its process.
function M.new(arena, workers)
  local self = {queues = {}, journals = {}, next = {}, seen = {}, sure = {}, maybe = {}, taken = {},
                hands = {}, settle = settle, check = check}
  self.decode = require("shm.value").decode
  for k, options in ipairs(OPTIONS) do
    self.queues[k] = assert(arena:queue("queue" .. k, options))
    self.sure[k], self.maybe[k], self.taken[k], self.hands[k] = {}, {}, {}, 0
  end
  for i = 1, workers do
    self.journals[i] = require("spec.model_workers").journal(ENTRIES)
    self.next[i], self.seen[i] = {}, {}
    for k in ipairs(OPTIONS) do
      self.next[i][k], self.seen[i][k] = i << WHO | 1, {}
      for j = 1, workers do
        self.seen[i][k][j] = 0
      end
    end
  end
  function self.work(i)
    local D = deeds(self, i, self.journals[i])
    local list = {D.push, D.push, D.push_many, D.loan, D.pop, D.pop, D.pop_many, D.view, D.peek}
    return function() list[math.random(#list)](math.random(#OPTIONS)) end
  end
  function self.close()
    for k, q in ipairs(self.queues) do
      q:close()
      assert(arena:drop("queue" .. k))
    end
    for _, journal in ipairs(self.journals) do
      journal:close()
    end
  end
  return self
end

return M
