--- A scene as a Mermaid sequence diagram.
--
-- Roles are participants r1, r2 … under their names, and so is the memory if anything reaches it.
-- Where several are inside of the same section a red rectangle lies behind the steps; a grey one
-- where one is. What Mermaid would read in a text is written by number: # and ; end a message, %%
-- begins a comment, $$ a formula, < is HTML, "wrap:" in front is an order.
-- @module shm.lab.draw.mermaid
local letters = require "shm.lab.draw.letters"
local presence = require "shm.lab.draw.presence"

local ALIVE <const>, ALARM <const> = "rgb(240, 240, 240)", "rgb(250, 215, 210)"
local ROOM <const>, WIDE <const> = 36, 60 -- columns of a message, and of a note over all
local TITLE <const>, LINES <const> = 80, 6

local SAID <const> = {wake = "lets it go on", lost = "wakes nobody"}
local ARROWS <const> = {wake = "-)", fork = "->>", signal = "--)", lost = "--x"}

local function by_number(text)
  text = text:gsub("[#;%%<&$`]", function(character)
    return ("#%d;"):format(character:byte())
  end)
  -- Mermaid mends the colours of "style x:#…;" wherever it sees such.
  text = text:gsub("[sS]tyle", function(word) return ("#%d;tyle"):format(word:byte()) end)
  return (text:gsub("^(n?o?wrap):", "%1#58;"):gsub("^:", "#58;"))
end

-- A text in lines, as Mermaid makes a message as wide as its text.
local function escape(text, room)
  local lines = letters.wrap(text, room or ROOM, letters.cells, LINES)
  for i, line in ipairs(lines) do
    lines[i] = by_number(line)
  end
  return table.concat(lines, "<br/>")
end

local function add(out, line, ...)
  out[#out + 1] = (out.inside .. line):format(...)
end

-- Rectangles are open around each row as its place asks; with no row, none is.
local function frames(out, row)
  local function within(kind)
    return row and out.present(kind, 0, row - 0.5) + out.present(kind, 0, row + 0.5) > 0
  end
  local wanted = {within "inside" and ALIVE or nil}
  if wanted[1] and within "overlap" then
    wanted[2] = ALARM
  end
  while #out.frames > #wanted do
    out.frames[#out.frames] = nil
    out.inside = out.inside:sub(3)
    add(out, "end")
  end
  for i = #out.frames + 1, #wanted do
    add(out, "rect %s", wanted[i])
    out.frames[i] = wanted[i]
    out.inside = out.inside .. "  "
  end
end

local function everyone(scene)
  return #scene.lanes > 1 and "r1,r" .. #scene.lanes or "r1"
end

local ROW = {}

function ROW.step(scene, out, row)
  local said, text = false, escape(row.text)
  local who = "r" .. row.lane
  if row.time then
    text = ("%s  %s"):format(scene.time(row.time), text)
  end
  for _, arrow in ipairs(row.arrows) do
    if arrow.to == "memory" then
      if arrow.kind == "read" then
        add(out, "memory-->>%s: %s", who, text)
      else
        add(out, "%s%smemory: %s", who, arrow.kind == "flush" and "-->>" or "->>", text)
      end
      said = true
    end
  end
  if row.glyph == "crash" or row.glyph == "error" then
    add(out, "%s-x%s: %s", who, who, text)
  elseif row.glyph == "store" then
    add(out, "%s--)%s: %s (store buffer)", who, who, text)
  elseif row.glyph == "act" and not said then
    for _, arrow in ipairs(row.arrows) do
      if not said then
        add(out, "%s%sr%d: %s", who, ARROWS[arrow.kind], arrow.to, text)
        said = arrow
      end
    end
    if not said then
      add(out, "%s->>%s: %s", who, who, text)
    end
  elseif not said then
    add(out, "Note over %s: %s", who, text)
  end
  for _, arrow in ipairs(row.arrows) do
    if arrow.to ~= "memory" and arrow ~= said then
      add(out, "%s%sr%d: %s", who, ARROWS[arrow.kind], arrow.to,
          SAID[arrow.kind] or arrow.kind)
    end
  end
end

function ROW.wait(_, out, row)
  add(out, "Note over r%d: %s", row.lane, escape(row.text))
end

function ROW.gap(scene, out, row)
  add(out, "Note over %s: %s later", everyone(scene), scene.time(row.seconds))
end

function ROW.skip(scene, out, row)
  add(out, "Note over %s: … %d step%s %s", everyone(scene), row.count, row.count == 1 and "" or "s",
      row.where)
end

function ROW.mark(scene, out, row)
  local names = {}
  for _, lane in ipairs(row.lanes) do
    names[#names + 1] = scene.lanes[lane] and escape(scene.lanes[lane].name)
  end
  add(out, "Note over %s: ✗ %s%s", everyone(scene), escape(row.text, WIDE),
      #names > 0 and ": " .. table.concat(names, ", ") or "")
end

function ROW.rest(scene, out, row)
  for lane in ipairs(scene.lanes) do
    if row.waiting[lane] then
      add(out, "Note over r%d: %s", lane, escape(row.waiting[lane]))
    end
  end
end

-- A string of YAML between quotes.
local function quoted(text)
  return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

--- Draws.
-- @tparam table scene
-- @treturn string a diagram
return function(scene)
  local out = {inside = "", frames = {}, present = presence(scene)}
  add(out, "---")
  out[#out + 1] = "title: " .. quoted(letters.shorten(scene.title, TITLE, letters.cells))
  add(out, "---")
  add(out, "sequenceDiagram")
  out.inside = "  "
  for lane, head in ipairs(scene.lanes) do
    add(out, "participant r%d as %s", lane, head.name == "" and " " or escape(head.name))
  end
  if scene.memory then
    add(out, "participant memory")
  end
  if scene.verdict and scene.verdict.message ~= "" then
    add(out, "Note over %s: %s", everyone(scene), escape(scene.verdict.message, WIDE))
  end
  for i, row in ipairs(scene.rows) do
    frames(out, i)
    ROW[row.kind](scene, out, row)
  end
  frames(out)
  return table.concat(out, "\n") .. "\n"
end
