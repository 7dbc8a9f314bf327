--- What in a scene lasts from one row to another.
--
--   life     `lane` is there
--   wait     `lane` could not go on, until it was woken
--   call     in a recorded trace: a call that others' steps fell into
--   inside   `lane` is in the critical section `name`, the `depth`th around it
--   store    a value is in the store buffer of `lane`, in its `slot` from the lane on
--   overlap  more than one are inside of `name`; `violated` where the verdict is in it
--   both     `lane` is one of those
--
-- Each has `first` and `last`, rows; 0 where it came before what is shown, #rows + 1 where it
-- lasts beyond it. A call begins between two rows.
-- @module shm.lab.draw.spans
local M = {}

local LAST <const> = {crash = true, ["end"] = true, error = true}
local WAITS <const> = {await = true, lock = true, wait = true, pop = true, next = true,
                       pause = true, sigwait = true, sleep = true, push = true, publish = true}

-- What is still in a store buffer reaches memory without its role's doing, also after its end; and
-- what the dead held, the kernel lets go of.
local WITHOUT <const> = {flush = true, cleanup = true}

local Book = {}
Book.__index = Book

-- What is wholly outside of what is shown is no span.
function Book:add(span)
  local rows = #self.scene.rows
  if span.last > 0 and span.first <= rows and span.first < span.last then
    self.spans[#self.spans + 1] = span
  end
end

function Book:lives()
  local last_of, first = {}, {}
  for i, step in ipairs(self.trace.steps) do
    if not WITHOUT[step.action] then
      last_of[step.role] = i
    end
  end
  for lane, head in ipairs(self.scene.lanes) do
    first[lane] = head.born or 0
  end
  for i, step in ipairs(self.trace.steps) do
    local lane, row = step.role, self.row_of[i]
    if not WITHOUT[step.action] then
      first[lane] = first[lane] or row
      if step.action == "crash" or LAST[step.action] and i == last_of[lane] then
        self:add {kind = "life", lane = lane, first = first[lane], last = row}
        first[lane] = nil
      end
    end
  end
  for lane, row in pairs(first) do
    self:add {kind = "life", lane = lane, first = row, last = #self.scene.rows + 1}
  end
end

function Book:waits()
  local last_row, steps = {}, self.trace.steps
  for i, step in ipairs(steps) do
    if step.waited then
      local by = self.row_of[step.woken_by] or self.row_of[i]
      self:add {kind = "wait", lane = step.role, last = by,
                first = self.wait_row[i] or self.row_of[step.waited] or by}
    end
    if not WITHOUT[step.action] then
      last_row[step.role] = self.row_of[i]
    end
  end
  -- Who still sleeps has not slept when a signal came: it would have been woken.
  for _, arrow in ipairs(self.scene.arrows) do
    if arrow.kind == "signal" or arrow.kind == "lost" then
      last_row[arrow.to] = math.max(last_row[arrow.to] or 0, arrow.row)
    end
  end
  for lane in pairs(self.trace.waiting or {}) do
    if self.scene.lanes[lane] then
      self:add {kind = "wait", lane = lane, last = #self.scene.rows + 1,
                first = last_row[lane] or self.scene.lanes[lane].born or 0}
    end
  end
end

-- Where in a recorded trace a moment is, as a row and a part of one; `finished` are the rows that
-- have a time.
local function moment(rows, finished, time)
  local low, high = 0, #finished -- the last one that is not later is from low to high
  while low < high do
    local middle = (low + high + 1) // 2
    if rows[finished[middle]].time <= time then
      low = middle
    else
      high = middle - 1
    end
  end
  local at, behind = finished[low] or 0, finished[low + 1]
  if not behind then
    return at
  end
  local before, after = low > 0 and rows[at].time or 0, rows[behind].time
  return at + math.max(0, after > before and (time - before) / (after - before) or 0)
              * (behind - at)
end

function Book:calls()
  local rows, finished = self.scene.rows, {}
  for i, row in ipairs(rows) do
    finished[#finished + 1] = row.time and i
  end
  for i, step in ipairs(self.trace.steps) do
    local row = rows[self.row_of[i]]
    if row and row.time and step.start and step.finish and not step.waited then
      local first = moment(rows, finished, step.start)
      if first < self.row_of[i] - 1 then
        self:add {kind = WAITS[step.action] and "wait" or "call", lane = step.role,
                  first = first, last = self.row_of[i]}
      end
    end
  end
end

-- Several are inside, or no longer.
function Book:count(name, index)
  local inside, among, n = self.inside[name], self.overlap[name], 0
  for _ in pairs(inside) do
    n = n + 1
  end
  local row = index and self.row_of[index] or #self.scene.rows + 1
  if n > 1 and not among then
    among = {kind = "overlap", name = name, first = row, index = index, members = {}}
    self.overlap[name] = among
  elseif not among then
    return
  end
  local ends = n < 2 or not index
  local seen = self.scene.verdict and self.scene.verdict.step
  local violated = math.type(seen) == "integer" and seen >= among.index
    and seen <= (index or #self.trace.steps)
  for lane, member in pairs(among.members) do
    if ends or not inside[lane] then
      member.last, member.violated = row, violated
      self:add(member)
      among.members[lane] = nil
    end
  end
  if ends then
    among.last, among.violated = row, violated
    self:add(among)
    self.overlap[name] = nil
    return
  end
  for lane, span in pairs(inside) do
    among.members[lane] = among.members[lane]
      or {kind = "both", lane = lane, name = name, depth = span.depth, first = row}
  end
end

function Book:leave(lane, name, index)
  local span = self.inside[name] and self.inside[name][lane]
  if span then
    span.last = index and self.row_of[index] or #self.scene.rows + 1
    self:add(span)
    self.depth[lane] = self.depth[lane] - 1
    if index then
      self.inside[name][lane] = nil
      self:count(name, index)
    end
  end
end

function Book:sections()
  self.inside, self.overlap, self.depth = {}, {}, {}
  for _, index in ipairs(self.order) do
    local step = self.trace.steps[index]
    local lane, name = step.role, tostring(step.object)
    if step.action == "enter" then
      self.inside[name] = self.inside[name] or {}
      self:leave(lane, name, index)
      self.depth[lane] = (self.depth[lane] or 0) + 1
      self.inside[name][lane] = {kind = "inside", lane = lane, name = name,
                                 depth = self.depth[lane], first = self.row_of[index]}
      self:count(name, index)
    elseif step.action == "leave" then
      self:leave(lane, name, index)
    elseif LAST[step.action] then
      for each in pairs(self.inside) do
        self:leave(lane, each, index)
      end
    end
  end
  for name, those in pairs(self.inside) do
    for lane in pairs(those) do
      self:leave(lane, name)
    end
    self:count(name)
  end
end

-- Whatever is in a store buffer has a slot of its own there, so that strokes do not meet.
function Book:stores()
  local pending = {} -- by lane: the writes that are on their way, by slot
  local function finish(lane, slot, row)
    local span = pending[lane][slot]
    span.last = row
    pending[lane][slot] = nil
    self:add(span)
  end
  local function slot_of(lane, step)
    local oldest
    for slot, span in pairs(pending[lane] or {}) do
      if span.index == step.stored then
        return slot
      elseif span.object == step.object and step.stored == nil
             and (not oldest or span.index < pending[lane][oldest].index) then
        oldest = slot
      end
    end
    return oldest
  end
  for index, step in ipairs(self.trace.steps) do
    local lane = step.role
    if step.action == "write" and step.buffered then
      pending[lane] = pending[lane] or {}
      local slot = 1
      while pending[lane][slot] do
        slot = slot + 1
      end
      pending[lane][slot] = {kind = "store", lane = lane, slot = slot, index = index,
                             object = step.object, first = self.row_of[index]}
    elseif step.action == "flush" then
      local slot = slot_of(lane, step)
      if slot then
        pending[lane][slot].arrives = true
        finish(lane, slot, self.row_of[index])
      end
    elseif step.action == "crash" then
      for _, span in pairs(pending[lane] or {}) do
        span.lost = self.row_of[index] -- unless it comes to memory yet
      end
    end
  end
  for lane, those in pairs(pending) do
    for slot, span in pairs(those) do
      finish(lane, slot, span.lost or #self.scene.rows + 1)
    end
  end
end

--- All spans of a scene, those of a kind together.
-- @tparam table trace
-- @tparam table scene with its rows
-- @tparam table build the rows by steps: `row_of`, `wait_row`, and their `order`
-- @treturn table
function M.build(trace, scene, build)
  local book = setmetatable({trace = trace, scene = scene, row_of = build.row_of, spans = {},
                             wait_row = build.wait_row, order = build.order}, Book)
  book:lives()
  book:sections()
  book:waits()
  book:calls()
  book:stores()
  local function place(span)
    return span.first * 1000 + (span.lane or 0)
  end
  table.sort(book.spans, function(a, b)
    local one, other = a.depth or a.slot or 0, b.depth or b.slot or 0
    if a.kind ~= b.kind then
      return a.kind < b.kind
    elseif place(a) ~= place(b) then
      return place(a) < place(b)
    elseif one ~= other then
      return one < other
    end
    return (a.name or "") < (b.name or "")
  end)
  return book.spans
end

return M
