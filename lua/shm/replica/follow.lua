--- How a node follows its primary, and how it takes over from it.
--
-- Taking over: (1) the next term, by a compare-and-swap, which one node wins; (2) raise the
-- term in every node's log, its own first: from then on none of them counts a change up that
-- expects an older term, so whoever was primary is fenced, and all logs stand still; (3) be
-- as far as the furthest of them, by the last change's term and then its number: it has
-- every change that was ever acknowledged, as that was counted before (2); (4) say ACTIVE.
-- Who dies or is stopped on the way has changed nothing but terms: the next one begins a
-- higher one, and fences this one with the others.
--
-- Following: each change of the primary's log that is counted is made here, in its order and
-- under the term in which it is followed. Two logs that agree in the term of one change agree
-- in all before it, as a term has one primary; where they do not agree, or the changes in
-- between are overwritten, the copy is made anew from the primary's map.
-- @module shm.replica.follow
local copies = require "shm.replica.copy"
local groups = require "shm.replica.group"
local logs = require "shm.replica.log"
local process = require "shm.process"

local M = {}

local BATCH <const> = 256 -- changes that are made before anything else is looked at
local ENOENT, E2BIG, EAGAIN, EBUSY, ENODATA, EPROTO, EOVERFLOW = 2, 7, 11, 16, 61, 71, 75
local ETIMEDOUT, EHOSTDOWN, ESTALE = 110, 112, 116

local function segment(node, place)
  local id = node.group:id(place)
  return id and ("%s.%s"):format(node.name, id), id
end

--- The log of the node at a place, attached when it is first asked for, or again: its name
-- may mean another log by then. One that has lost its name is still the node's.
-- @bool[opt] again
function M.log_of(node, place, again)
  if place == node.place and not node.readonly then
    return node.copy.log
  end
  local known = node.logs[place]
  if known and not again then
    return known
  end
  local name = segment(node, place)
  if not name then
    return nil, "there is no such node", ENOENT
  end
  local log, message, errno = logs.attach(name .. ".log")
  if not log then
    return known, message, errno
  elseif known and known.born == log.born then
    log:close()
    return known
  elseif known then
    known:raise(logs.LAST_TERM) -- nobody counts with it any more
    known:close()
  end
  node.logs[place] = log
  return log
end

--- Goes along with the term that the group is in now.
-- @treturn boolean whether it is one to go along with: otherwise another one has begun
function M.adopt(node)
  local group, log = node.group, node.copy.log
  local term, place, word = group:term()
  if word == node.word then
    return true
  end
  local raised, message, errno = log:raise(term)
  if not raised then
    return nil, message, errno
  elseif raised ~= term then
    -- Another term has begun; or the group's memory was lost, and is new.
    if select(3, group:term()) == word then
      group:elect(word, 0, raised)
    end
    return false
  end
  node.copy.term, node.word, node.leader, node.leading = term, word, place, false
  node.agreed, node.stopped = false, nil
  if place > 0 then
    M.log_of(node, place, true)
  end
  return true
end

-- Whether the copy's last change is the log's one of that number.
local function agrees(copy, log)
  if not copy.log:is_whole() then
    return false
  elseif copy.seq == 0 then
    return true
  end
  local bytes, term = log:entry(copy.seq)
  local own_bytes, own_term = copy.log:entry(copy.seq)
  local _, seq = log:head()
  return seq >= copy.seq and bytes ~= nil and own_bytes ~= nil and term == own_term
end

-- Becomes what a copy of the group is.
local function refill_from(node, place, log)
  local need, message, errno = node.copy:refill(segment(node, place), log)
  if not need then
    return nil, message, errno
  end
  node.agreed, node.need = true, need
  return 0
end

-- The same for the copy that is followed. If its process was stopped in the middle of a change,
-- any other copy may do to begin with, and the rest is in the log.
local function refill(node, place, log)
  local done, message, errno = refill_from(node, place, log)
  if errno ~= EBUSY then
    return done, message, errno
  end
  for other = 1, groups.PLACES do
    local its = other ~= node.place and other ~= place and M.log_of(node, other)
    if its and its:is_whole() and refill_from(node, other, its) then
      local n, why, code = M.pull(node, other, math.huge)
      node.agreed = false
      return n and 0, why, code
    end
  end
  return nil, message, errno
end

--- Makes changes of another log, up to so many. Returns how many.
function M.pull(node, place, most)
  local copy, log = node.copy, M.log_of(node, place)
  copy:recount()
  if not node.agreed then
    if not agrees(copy, log) then
      return refill(node, place, log)
    end
    node.agreed = true
  end
  local _, seq = log:head()
  local n = 0
  while copy.seq < seq and n < most do
    local bytes, term, time = log:entry(copy.seq + 1)
    if not bytes then
      node.agreed = false
      return refill(node, place, log)
    end
    local done, message, errno = copy:append(term, time, bytes)
    if errno == E2BIG then -- the other's journal has room for more
      node.agreed = false
      return refill(node, place, log)
    elseif not done then
      return nil, message, errno
    end
    n = n + 1
  end
  if node.need and copy.seq >= node.need then
    copy.log:set_whole(true)
    copy.log.bell:add(1)
    node.need = nil
  end
  return n
end

-- Fences all others. Returns the places of those whose logs there are; or nil, message,
-- errno; or false and a term that is higher, which another one has begun, or the group has
-- forgotten with its memory. A log may be missed only if its memory is gone, and its process
-- too: that could still count changes.
local function fence(node, term)
  local group, found = node.group, {}
  for place = 1, groups.PLACES do
    local id = place ~= node.place and group:id(place)
    local log, message, errno
    if id then
      log, message, errno = M.log_of(node, place, true)
    end
    if log then
      local raised, why, code = log:raise(term)
      if raised ~= term then
        return raised and false, raised or why, code
      end
      found[#found + 1] = place
    elseif id and group:has_log(place) then
      if group:process(place) then
        return nil, ("%s lives and its log can not be reached: %s"):format(id, message), EHOSTDOWN
      elseif errno ~= ENOENT and errno ~= EPROTO then
        return nil, message, errno
      end
    end
  end
  return found
end

-- The place of the furthest copy.
local function furthest(node, places)
  local best, best_seq, best_term
  local own = node.copy.log
  if own:is_whole() then
    best, best_seq, best_term = node.place, own:last()
  end
  for _, place in ipairs(places) do
    local log = node.logs[place]
    if log:is_whole() then
      local seq, term = log:last()
      if not best or term > best_term or term == best_term and seq > best_seq then
        best, best_seq, best_term = place, seq, term
      end
    end
  end
  return best, best_seq
end

-- Steps 2 to 4 of taking over.
local function succeed(node, term, deadline)
  local copy = node.copy
  local raised, message, errno = copy.log:raise(term)
  if raised ~= term then
    return raised and false, raised or message, errno
  end
  copy.term = term
  local places
  places, message, errno = fence(node, term)
  if not places then
    return places, message, errno
  end
  local source, seq = furthest(node, places)
  if not source then
    return nil, "no copy is whole", ENODATA
  end
  node.agreed = false
  local late = false -- what can be made in one go is made
  while source ~= node.place and (copy.seq ~= seq or not copy.log:is_whole()) do
    if late then
      return nil, "it takes longer to be as far as the others", ETIMEDOUT
    end
    local n
    n, message, errno = M.pull(node, source, math.huge)
    if not n and errno == ESTALE then
      return false, (copy.log:head())
    elseif not n then
      return nil, message, errno
    end
    late = process.monotonic() > deadline
  end
  copy.log:activate(term)
  node.leading = true -- behind it: who is interrupted in between begins again
  for _, place in ipairs(places) do
    node.logs[place].bell:add(1) -- their followers come here
  end
  return true
end

--- Takes over from whoever is primary in the term that the node has adopted.
-- @treturn boolean true; or false when another node has taken over
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.take_over(node, deadline)
  local group = node.group
  if node.copy.term >= logs.LAST_TERM then
    return nil, "there were too many terms", EOVERFLOW
  elseif not group:elect(node.word, node.place) then
    return false
  end
  local term = node.copy.term + 1
  local word = term << 8 | node.place
  node.word, node.leader, node.leading, node.stopped = word, node.place, false, nil
  local done, message, errno = succeed(node, term, deadline)
  if not done then
    node.word = nil
    group:elect(word, 0, done == false and math.max(term, message) or term) -- anyone may try
  end
  return done, message, errno
end

-- Whether the primary is to be replaced.
local function is_gone(node)
  if node.leader == 0 then
    return true
  elseif node.leader == node.place then
    return not node.leading
  end
  local handle = node.group:process(node.leader)
  if not handle then
    return true
  elseif not node.patience then
    return false
  elseif not groups.is_stopped(handle.pid) then
    node.stopped = nil
    return false
  end
  local now = process.monotonic()
  node.stopped = node.stopped or now
  return now - node.stopped >= node.patience
end

--- Does what there is to do now.
-- @treturn int changes that were made here
-- @treturn boolean whether there was anything to do
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.advance(node)
  local before = node.word
  local going, message, errno = M.adopt(node)
  if going == nil then
    return nil, message, errno
  elseif not going then
    return 0, true
  elseif is_gone(node) then
    local done, why, code = M.take_over(node, math.huge)
    if done == nil and code ~= EBUSY then
      return nil, why, code
    end
    return 0, done ~= nil
  elseif node.leading then
    return 0, true
  end
  local log
  log, message, errno = M.log_of(node, node.leader)
  if not log then
    if errno == ENOENT then
      return 0, false -- its node is on its way, or its memory was removed
    end
    return nil, message, errno
  elseif log:active() ~= node.copy.term then
    return 0, false -- it is still taking over
  end
  local need = node.need
  local n, why, code = M.pull(node, node.leader, BATCH)
  if n then
    return n, n > 0 or need ~= node.need or before ~= node.word
  elseif code == ESTALE then
    node.word = nil -- another term has begun, or somebody scribbles: not at once, then
    return 0, false
  elseif code == EAGAIN or code == EBUSY then
    return 0, false -- its log was too short, or its process was stopped: it may go on
  end
  return nil, why, code
end

--- What the node follows: changes that it has not made yet, and for how many seconds the first
-- of them has been waiting.
function M.lag(node)
  local _, place = node.group:term()
  place = place > 0 and place or node.leader or 0
  local log = place > 0 and M.log_of(node, place)
  if not log then
    return nil, "there is no primary", EAGAIN
  end
  local _, own = node.copy.log:head()
  local _, seq = log:head()
  if place == node.place or seq <= own then
    return 0, 0.0
  end
  local bytes, _, time = log:entry(own + 1)
  if not bytes then -- overwritten: it waits since after the one that was made last
    bytes, _, time = node.copy.log:entry(own)
  end
  return seq - own, bytes and math.max(0, process.monotonic() - time) or math.huge
end

--- What goes up when there is something to do.
function M.bell(node)
  local log = node.leader and node.leader > 0 and M.log_of(node, node.leader)
  return (log or node.copy.log).bell
end

M.MARK = copies.MARK

return M
