--- What of a trace is drawn, and where, whatever it is drawn with: lanes, rows from above, and
-- what reaches from one to another.
--
-- A scene has
--
--   title, verdict    words; `verdict` has `name` and `message`
--   lanes             one for each role: {name, born = row of the fork that made it}
--   rows              see below; spans and arrows name them by their number, 0 is above the
--                     first, #rows + 1 below the last
--   spans             what lasts, see shm.lab.draw.spans
--   arrows            {kind, row, from, to}: lanes by number, `to` may be "memory"
--   memory            whether there is a lane for it
--   time              a function that writes a recorded trace's times
--
-- and rows are of a kind:
--
--   step    one step, `index` in the trace, `lane`, `text`, `glyph`, and its `arrows`; `time` in a
--           recorded trace, and `stretch` from 0 to 1, how long nothing had finished before
--   wait    `lane` begins to wait: `text` says for what
--   gap     nothing finished for so many `seconds`
--   skip    `count` steps are not shown, `where` is "before" or "after"
--   rest    `waiting`: by lane, that it still waits at the end, and in what
--   mark    here the verdict was seen; `lanes` whom it concerns
-- @module shm.lab.draw.scene
local add_arrows = require "shm.lab.draw.arrows"
local letters = require "shm.lab.draw.letters"
local spans = require "shm.lab.draw.spans"
local timing = require "shm.lab.draw.timing"

local M = {}

local LONG <const> = 12 -- medians of the time between two steps; what is longer is shortened

-- Verdicts on a step; others may be on those who wait at the end.
local ON_STEP <const> = {never = true, always = true, error = true}
local GLYPHS <const> = {
  read = "read", await = "read", write = "write", flush = "flush", cas = "both", add = "both",
  swap = "both",
  fence = "fence", enter = "enter", leave = "leave", crash = "crash", restart = "restart",
  ["end"] = "end", error = "error", note = "note", observe = "note", choose = "choose",
  cleanup = "note",
}
-- In what a role waited, by what is said of the step in which it did.
local AWAITED <const> = {"^(.-) %->", "^(.-) returns$", "^woken at (.*)$"}

local function clean(text, default)
  return letters.clean(text ~= nil and tostring(text) or default or "")
end

-- That a role waits, and in what, by the step in which it did.
local function awaited(step)
  if step.action == "crash" then
    return "waits"
  end
  local text = clean(step.text, step.action)
  for _, pattern in ipairs(AWAITED) do
    text = text:match(pattern) or text
  end
  return "waits: " .. text
end

-- By step: those in which others waited since then.
local function waiters(steps)
  local since = {}
  for i, step in ipairs(steps) do
    local waited = step.waited
    if waited and waited < i then
      since[waited] = since[waited] or {}
      table.insert(since[waited], i)
    end
  end
  return since
end

local function title_of(trace, given)
  if given then
    return clean(given)
  end
  local title = clean(trace.protocol, "trace")
  if trace.memory then
    title = title .. " under " .. clean(trace.memory)
  end
  if trace.round then
    title = ("%s, round %s"):format(title, clean(trace.round))
  end
  return title
end

local function verdict_of(trace)
  local verdict = trace.verdict
  if type(verdict) ~= "table" then
    return nil
  end
  local name = clean(verdict.kind, "violated")
  if verdict.name ~= nil then
    name = name .. " " .. clean(verdict.name)
  end
  local on_rest = false
  for _, lane in ipairs(verdict.roles or {}) do
    on_rest = on_rest or (trace.waiting or {})[lane] ~= nil
  end
  return {name = name, message = clean(verdict.message), step = verdict.step,
          missed = verdict.missed,
          roles = verdict.roles or {},
          on_rest = on_rest and verdict.step == #trace.steps and not ON_STEP[verdict.kind]}
end

local Build = {}
Build.__index = Build

function Build:add(row)
  self.scene.rows[#self.scene.rows + 1] = row
end

-- Those who could not go on from a step on.
function Build:waits(index)
  for _, i in ipairs(self.waiters[index] or {}) do
    local step = self.trace.steps[i]
    self:add {kind = "wait", lane = step.role, text = awaited(step)}
    self.wait_row[i] = #self.scene.rows
  end
end

function Build:mark()
  local scene = self.scene
  if scene.verdict then
    self:add {kind = "mark", text = scene.verdict.name, lanes = scene.verdict.roles}
  end
end

function Build:step(index, before)
  local trace, scene = self.trace, self.scene
  local step = trace.steps[index]
  local row = {kind = "step", index = index, lane = step.role, action = step.action,
               text = clean(step.text, step.action), stretch = 0, arrows = {},
               glyph = GLYPHS[step.action] or "act"}
  if step.buffered and step.action == "write" then
    row.glyph = "store"
  elseif step.action == "await" and step.object == nil then
    row.glyph = "act"
  end
  if self.times then
    row.time = self.times[index]
    local passed = before and (row.time - before) / (LONG * self.median) or 0
    row.stretch = passed > 1 and 0 or passed
    if passed > 1 then
      self:add {kind = "gap", seconds = row.time - before}
    end
  end
  self:add(row)
  self.row_of[index] = #scene.rows
  self:waits(index)
  if scene.verdict and scene.verdict.step == index and not scene.verdict.on_rest then
    scene.violated = self.row_of[index]
    self:mark()
  end
end

function Build:rest()
  local waiting = {}
  for lane, what in pairs(self.trace.waiting or {}) do
    if self.scene.lanes[lane] then
      waiting[lane] = "still waits: " .. clean(what)
    end
  end
  if next(waiting) then
    self:add {kind = "rest", waiting = waiting}
    if self.scene.verdict and self.scene.verdict.on_rest then
      self.scene.violated = #self.scene.rows
      self:mark()
    end
  end
end

function Build:rows(from, to)
  local trace, before = self.trace, nil
  local first, last = from or 1, math.min(to or #trace.steps, #trace.steps)
  if first > 1 then
    self:add {kind = "skip", count = first - 1, where = "before"}
  else
    self:waits(0)
    if self.scene.verdict and self.scene.verdict.step == 0 then
      self:mark()
    end
  end
  for _, index in ipairs(self.order) do
    if index >= first and index <= last then
      self:step(index, before)
      before = self.times and self.times[index]
    end
  end
  if last < #trace.steps then
    self:add {kind = "skip", count = #trace.steps - last, where = "after"}
  else
    self:rest()
  end
  -- What is not shown is above or below.
  for index = 1, #trace.steps do
    self.row_of[index] = self.row_of[index] or (index < first and 0 or #self.scene.rows + 1)
  end
  self.row_of[0] = 0
end

--- Makes the scene of a trace.
-- @tparam table trace
-- @tparam table options `title`, `from`, `to`
-- @treturn table
function M.build(trace, options)
  local scene = {title = title_of(trace, options.title), verdict = verdict_of(trace), lanes = {},
                 rows = {}, arrows = {}, memory = false, schedule = trace.schedule}
  for lane, name in ipairs(trace.roles) do
    scene.lanes[lane] = {name = clean(name)}
  end
  local build = setmetatable({trace = trace, scene = scene, row_of = {}, wait_row = {},
                              waiters = waiters(trace.steps)}, Build)
  build.order, build.times = timing.ordered(trace.steps)
  if build.times then
    build.median = timing.median(build.times, build.order)
    scene.time = timing.clock(build.times[build.order[#build.order]], build.median)
  end
  build:rows(options.from, options.to)
  add_arrows(trace, scene, build.row_of)
  scene.spans = spans.build(trace, scene, build)
  return scene
end

return M
