--- Draws a trace of shm.lab: a lane for each role, time downwards, and on it what each did, how
-- long it waited and who let it go on, who died, and where it went wrong.
--
-- As text for the terminal, as SVG for documents, and as a Mermaid sequence diagram for where
-- those are shown. Nothing of this is in shared memory; a trace is a plain table, whose format is
-- in lua/shm/types/lab.d.lua. Of a recorded trace, whose steps have times, the steps stand in the
-- order in which they finished.
--
--   lanes      the roles, in their order; a forked child's begins with its fork. A cross is a
--              death, where the lane ends; it begins anew where the role starts again
--   accesses   in SVG and Mermaid arrows to and from the memory. Under "tso" a write goes into
--              the store buffer, and a dashed stroke shows when it reaches memory
--   waits      a stretch of rungs on the lane, to where another's arrow lets it go on. The arrow of
--              a signal or wake-up that came before anybody slept is dotted, and ends in a cross
--   sections   bars from `enter` to `leave`, dark where several are inside at once
--   verdict    in words under the title, and a line at the step after which it was seen
--
-- Whatever the texts hold is shown: controls and what is no UTF-8 by names, what is too long on
-- several lines, and at last shortened with ….
-- @module shm.lab.draw
local file = require "shm.lab.draw.file"
local mermaid = require "shm.lab.draw.mermaid"
local options = require "shm.options"
local scene = require "shm.lab.draw.scene"
local svg = require "shm.lab.draw.svg"
local text = require "shm.lab.draw.text"

local M = {}

local COLUMNS <const> = 80
local STEP <const> = {integer = true, least = 1}

-- What each format takes, besides title, from and to.
local TAKES <const> = {
  text = {width = {integer = true, default = COLUMNS, least = 40, most = 1000},
          ascii = {type = "boolean", default = false}},
  svg = {width = {type = "number", least = 200, most = 10000}},
  mermaid = {},
}
local ENDINGS <const> = {txt = "text", svg = "svg", mmd = "mermaid", md = "mermaid"}

for _, rules in pairs(TAKES) do
  rules.title, rules.from, rules.to = {type = "string"}, STEP, STEP
end

local function misuse(where, what, ...)
  error(("%s: "):format(where) .. what:format(...), 5)
end

-- Errors point at the caller of the function that calls this through `draw`.
local function check(trace, given, where)
  if type(trace) ~= "table" or type(trace.roles) ~= "table" or type(trace.steps) ~= "table" then
    misuse(where, "trace: table with roles and steps expected, got %s", type(trace))
  elseif #trace.roles == 0 then
    misuse(where, "trace: it has no roles")
  end
  local verdict, waiting = trace.verdict, trace.waiting
  if verdict ~= nil and (type(verdict) ~= "table" or type(verdict.roles or {}) ~= "table") then
    misuse(where, "trace: verdict: table with roles expected, got %s", type(verdict))
  elseif waiting ~= nil and type(waiting) ~= "table" then
    misuse(where, "trace: waiting: table expected, got %s", type(waiting))
  end
  for i, step in ipairs(trace.steps) do
    if type(step) ~= "table" or trace.roles[step.role] == nil then
      misuse(where, "trace: step %d is of no role that there is", i)
    end
  end
  if given.from and given.from > math.max(1, #trace.steps) then
    misuse(where, "from: the trace has %d steps, not %d", #trace.steps, given.from)
  elseif given.to and given.to < (given.from or 1) then
    misuse(where, "to: %d is before %d", given.to, given.from or 1)
  end
end

local DRAW = {
  text = function(its, given) return text(its, given.width, given.ascii) end,
  svg = function(its, given) return svg(its, given.width) end,
  mermaid = function(its) return mermaid(its) end,
}

local function draw(trace, given, format, where)
  check(trace, given, where)
  return DRAW[format](scene.build(trace, given), given)
end

--- A trace as text for the terminal.
-- @tparam table trace as lab.check, lab.replay and lab.run give it
-- @tparam[opt] table options `title`, a string instead of the protocol's name; `from` and `to`, the
-- first and the last step to show, counted from 1; `width` in columns, 80 if absent, 40 at least;
-- `ascii`, true for a terminal that has no other characters
-- @treturn string lines, each of them within the width
-- @raise when it is no trace, or an option makes no sense
function M.text(trace, given)
  given = options.read(given, TAKES.text, "draw.text")
  return (draw(trace, given, "text", "draw.text"))
end

--- A trace as SVG: one file that needs no other.
-- @tparam table trace as lab.check, lab.replay and lab.run give it
-- @tparam[opt] table options `title`, `from` and `to` as for text; `width` in pixels that it is
-- shown in, from 200 to 10000, otherwise as wide as the texts ask for, up to 1100
-- @treturn string
-- @raise when it is no trace, or an option makes no sense
function M.svg(trace, given)
  given = options.read(given, TAKES.svg, "draw.svg")
  return (draw(trace, given, "svg", "draw.svg"))
end

--- A trace as a Mermaid sequence diagram.
-- @tparam table trace as lab.check, lab.replay and lab.run give it
-- @tparam[opt] table options `title`, `from` and `to` as for text
-- @treturn string without the fence that Markdown has around it
-- @raise when it is no trace, or an option makes no sense
function M.mermaid(trace, given)
  given = options.read(given, TAKES.mermaid, "draw.mermaid")
  return (draw(trace, given, "mermaid", "draw.mermaid"))
end

-- The format by name or by the path's ending.
local function format_of(path, given)
  if type(path) ~= "string" or path == "" or path:find "\0" then
    error(("lab.draw: path expected, got %s"):format(type(path)), 3)
  elseif given ~= nil and type(given) ~= "table" then
    error(("lab.draw: table of options expected, got %s"):format(type(given)), 3)
  end
  local named = given and given.format
  if named ~= nil then
    if not TAKES[named] then
      error(("lab.draw: format: 'text', 'svg' or 'mermaid' expected, got '%s'")
        :format(tostring(named)), 3)
    end
    return named
  end
  local ending = path:match "%.([^./]+)$"
  if not ENDINGS[ending and ending:lower()] then
    error(("lab.draw: '%s' ends in none of .svg, .mmd, .md, .txt; or give a format")
      :format(path), 3)
  end
  return ENDINGS[ending:lower()]
end

--- Draws a trace into a file, which appears whole or not at all; one that is there is replaced.
-- @tparam table trace as lab.check, lab.replay and lab.run give it
-- @string path its ending says what is drawn: `.svg`; `.mmd`, or `.md` with a fence around it;
-- `.txt`
-- @tparam[opt] table options those of what is drawn, and `format`, "svg", "mermaid" or "text",
-- whatever the ending
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOENT, EACCES, ENOSPC, EISDIR …
-- @raise when it is no trace, an option makes no sense, or the ending is none of these
-- @see rename(2)
function M.draw(trace, path, given)
  local format = format_of(path, given)
  local rest = {}
  for name, value in pairs(given or {}) do
    rest[name] = name ~= "format" and value or nil
  end
  rest = options.read(rest, TAKES[format], "lab.draw")
  local drawn = draw(trace, rest, format, "lab.draw")
  if format == "mermaid" and path:lower():find "%.md$" then
    drawn = "```mermaid\n" .. drawn .. "```\n"
  end
  local done, message, errno = file.write(path, drawn)
  if not done then
    return nil, ("lab.draw '%s': %s"):format(path, message:match "([^:]+)$":gsub("^ ", "")), errno
  end
  return true
end

return M
