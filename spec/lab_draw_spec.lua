-- Traces as pictures. What is asserted of an SVG is read from the file as a viewer would, with a
-- measure of its own.
local lab = require "shm.lab"
local draw = require "shm.lab.draw"
local process = require "shm.process"
local support = require "spec.support"
local traces = require "spec.lab.draw_traces"

local LONG <const> = support.LONG
local SAMPLES <const> = {"peterson", "lost_wakeup", "robust", "deadlock", "fork", "run"}
local FORMATS <const> = {"svg", "mermaid", "text"}
local RANDOM <const> = support.rounds(100)

-- Elements of an SVG in order, with the classes of the groups that they are in.
local function elements(svg)
  local list, groups = {}, {}
  for closing, name, of, rest in svg:gmatch "<(/?)([%a]+)([^>]*)>([^<]*)" do
    if name == "g" and closing == "/" then
      groups[#groups] = nil
    elseif closing == "" then
      local element = {name = name, text = rest, groups = table.concat(groups, " ")}
      for key, value in of:gmatch '([%w-]+)="([^"]*)"' do
        element[key] = tonumber(value) or value
      end
      list[#list + 1] = element
      if name == "g" then
        groups[#groups + 1] = element.class
      end
    end
  end
  return list
end

local function plain(text)
  return (text:gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&quot;", '"'):gsub("&#39;", "'")
    :gsub("&amp;", "&"))
end

-- How wide text may be: CJK is square, and other letters are on the wide side of their fonts'.
local function width_of(text, size, mono, bold)
  local sum = 0
  for _, code in utf8.codes(text) do
    local wide = code >= 0x1100 and code <= 0x115F or code >= 0x2E80 and code <= 0xA4CF
      or code >= 0xAC00 and code <= 0xD7A3 or code >= 0xFF00 and code <= 0xFF60 or code >= 0x1F000
    local mark = code >= 0x300 and code <= 0x36F
    if mono then
      sum = sum + (mark and 0 or wide and 1.2 or 0.602)
    else
      local character = utf8.char(code)
      sum = sum + (mark and 0 or wide and 1 or character:find "[MWmw@%%]" and 0.95
        or character:find "[ iljt.,:;'!|()]" and 0.32 or character:find "%u" and 0.72 or 0.58)
    end
  end
  return sum * size * (bold and not mono and 1.06 or 1)
end

local function texts(list)
  local all = {}
  for _, element in ipairs(list) do
    if element.name == "text" then
      local size = element["font-size"]
      local text = plain(element.text)
      local width = width_of(text, size, element["font-family"] ~= nil, element["font-weight"])
      local left = element.x - (element["text-anchor"] == "end" and width
        or element["text-anchor"] == "middle" and width / 2 or 0)
      all[#all + 1] = {text = text, left = left, right = left + width, class = element.class,
                       top = element.y - 0.74 * size, bottom = element.y + 0.21 * size,
                       base = element.y, groups = element.groups}
    end
  end
  return all
end

local function apart(a, b)
  return a.right <= b.left or b.right <= a.left or a.bottom <= b.top or b.bottom <= a.top
end

-- No two texts meet, none leaves the picture, no line runs through one.
local function assert_legible(svg, what)
  local list = elements(svg)
  local all, box = texts(list), svg:match 'viewBox="0 0 ([%d.]+ [%d.]+)"'
  local width, height = box:match "(%S+) (%S+)"
  width, height = tonumber(width), tonumber(height)
  for i, one in ipairs(all) do
    assert(one.left >= 0 and one.top >= 0 and one.right <= width and one.bottom <= height,
           ("%s: '%s' runs out of the picture"):format(what, one.text))
    for j = i + 1, #all do
      assert(apart(one, all[j]), ("%s: '%s' meets '%s'"):format(what, one.text, all[j].text))
    end
  end
  for _, line in ipairs(list) do
    if line.name == "line" and line.groups ~= "legend" then
      local stroke = {left = math.min(line.x1, line.x2), right = math.max(line.x1, line.x2),
                      top = math.min(line.y1, line.y2), bottom = math.max(line.y1, line.y2)}
      for _, one in ipairs(all) do
        -- These have a ground of their own, above the lines.
        local grounded = one.class == "mark" or one.class == "skip" or one.class == "role"
        assert(grounded or apart(one, stroke),
               ("%s: a line runs through '%s'"):format(what, one.text))
      end
    end
  end
end

local function count(text, pattern)
  return select(2, text:gsub(pattern, ""))
end

-- The steps' own texts, put together from their lines, by number.
local function shown(svg)
  local steps, order = {}, {}
  for _, one in ipairs(texts(elements(svg))) do
    local index = tonumber((one.class or ""):match "^step%-(%d+)$")
    if index then
      if order[#order] ~= index then
        order[#order + 1] = index
      end
      steps[index] = (steps[index] or "") .. one.text:gsub(" ", "")
    end
  end
  return steps, order
end

local function columns(line)
  local sum = 0
  for _, code in utf8.codes(line) do
    local wide = code >= 0x2E80 and code <= 0xA4CF or code >= 0xFF00 and code <= 0xFF60
      or code >= 0x1F000
    sum = sum + (wide and 2 or code >= 0x300 and code <= 0x36F and 0 or 1)
  end
  return sum
end

describe("draw", function()
  local directory

  setup(function()
    directory = support.shell("mktemp -d"):match "%S+"
  end)

  teardown(function()
    os.execute("rm -rf " .. directory)
  end)

  local function path(name)
    return directory .. "/" .. name
  end

  -- An XML parser that is not ours.
  local function well_formed(names)
    local script = path "parse.py"
    local file <close> = assert(io.open(script, "w"))
    file:write("import sys, xml.etree.ElementTree as e\n"
      .. "for name in sys.argv[1:]: assert e.parse(name).getroot().tag.endswith('svg')\n"
      .. "print('all')\n")
    file:close()
    return support.shell(("python3 %s %s 2>&1"):format(script, table.concat(names, " ")))
  end

  describe("as SVG", function()
    for _, name in ipairs(SAMPLES) do
      it("shows each step of " .. name .. " once, and nothing over another", function()
        local svg = draw.svg(traces[name])
        local steps, order = shown(svg)
        assert.equal(#traces[name].steps, #order)
        for i, step in ipairs(traces[name].steps) do
          assert.equal(i, order[i])
          assert.equal((step.text:gsub(" ", "")), steps[i])
        end
        assert_legible(svg, name)
      end)
    end

    it("is well-formed and legible whatever the trace, from one role to seven", function()
      local names = {}
      for seed = 1, RANDOM do
        local trace = traces.random(seed, seed % 7 + 1, seed % 40 + 1)
        local width = ({200, 400, 760, 1600})[seed % 5] -- or none
        names[seed] = path(seed .. ".svg")
        assert(draw.draw(trace, names[seed], {width = width}))
        local svg = support.read_file(names[seed])
        assert_legible(svg, "seed " .. seed)
        local _, order = shown(svg)
        local last = 0
        for _, index in ipairs(order) do
          assert(index > last, "seed " .. seed)
          last = index
        end
      end
      assert.equal("all\n", well_formed(names))
    end)

    it("has arrows from who wakes to who is woken, where the step is", function()
      local svg = draw.svg(traces.robust)
      local wakes = {}
      for _, element in ipairs(elements(svg)) do
        if element.name == "g" and element.class:match "^wake" then
          wakes[#wakes + 1] = element.class
        end
      end
      assert.same({"wake from-1 to-2", "wake from-2 to-1"}, wakes)
      assert.equal(2, count(draw.svg(traces.fork, {from = 4}), 'class="wake '))
      assert.equal(1, count(draw.svg(traces.fork), 'class="fork from%-1 to%-3"'))
      assert.equal(1, count(draw.svg(traces.lost_wakeup), 'class="lost from%-2 to%-1"'))
    end)

    it("has an arrow for a signal, which who sleeps has not slept through", function()
      local trace = {roles = {"a", "b", "c"}, waiting = {[2] = "pause()"}, steps = {
        {role = 2, action = "read", object = "x", text = "x -> 0"},
        {role = 1, action = "kill", text = "kill(2)", args = {n = 1, 2}},
        {role = 1, action = "kill", text = "kill(c)", args = {n = 1, "c"}},
        {role = 3, action = "pause", text = "pause returns", waited = 0, woken_by = 3},
        {role = 3, action = "lock", text = "m:lock()", waited = 4, woken_by = 4},
      }}
      local svg = draw.svg(trace)
      assert.equal(1, count(svg, 'class="signal from%-1 to%-2"'))
      assert.equal(1, count(svg, 'class="wake from%-1 to%-3"'))
      assert.equal(2, count(svg, '<g class="%w+ from%-')) -- nobody wakes himself
      assert.equal([[
     a          b                       c
     │          │                       ░ waits: pause
  1  │          ○ x -> 0                ░
     │ kill(2)  │                       ░
  2  ●┈┈┈┈┈┈┈┈┈▶│                       ░
     │ kill(c)  ░                       ░
  3  ●──────────░──────────────────────▶░
  4  │          ░                       ● pause returns
     │          ░                       │ waits: m:lock()
  5  │          ░                       ● m:lock()
     │          ░ still waits: pause()  │
]], draw.text(trace):match "\n\n(.*)$")
    end)

    it("has an arrow for each access, and a stroke for what comes to memory late", function()
      local svg = draw.svg(traces.peterson)
      assert.equal(2, count(svg, 'class="access read"'))
      assert.equal(0, count(svg, 'class="access write"'))
      assert.equal(4, count(svg, '<g class="store"'))
      assert.equal(6, count(draw.svg(traces.run), 'class="access write"'))
    end)

    it("shows no access to memory where the store buffer has the value", function()
      local trace = {roles = {"1"}, memory = "tso", steps = {
        {role = 1, action = "write", object = "x", text = "x = 1", buffered = true},
        {role = 1, action = "read", object = "x", text = "x -> 1"},
        {role = 1, action = "read", object = "y", text = "y -> 0"},
        {role = 1, action = "flush", object = "x", text = "x reaches memory (1)", stored = 1},
        {role = 1, action = "read", object = "x", text = "x -> 1"},
      }}
      assert.equal(2, count(draw.svg(trace), 'class="access read"'))
    end)

    it("draws waits, sections, deaths and the verdict", function()
      local svg = draw.svg(traces.robust)
      assert.equal(2, count(svg, '<g class="wait"'))
      assert.equal(3, count(svg, 'class="inside"'))
      assert.equal(0, count(svg, 'class="overlap"'))
      svg = draw.svg(traces.peterson)
      assert.equal(1, count(svg, 'class="overlap"'))
      assert.equal(2, count(svg, 'class="both"')) -- one bar each, while both are inside
      assert.equal(1, count(svg, 'class="violated"'))
      assert.matches('class="verdict"[^>]*>1 and 2 are both inside critical%.<', svg)
      assert.matches('class="mark"[^>]*>never at_most_one<', svg)
      svg = draw.svg(traces.deadlock)
      assert.equal(2, count(svg, '<g class="wait"'))
      assert.matches(">still waits: to:lock%(%)<", svg)
      assert.matches(">still waits: from:lock%(%)<", svg)
    end)

    it("ends a lane with its death, and begins it where the role starts again", function()
      local svg, x = draw.svg(traces.robust), nil
      local rows, stretches = {}, {}
      for _, element in ipairs(elements(svg)) do
        if element.name == "text" and element["text-anchor"] == "end" then
          rows[tonumber(element.text)] = element.y - 3.5
        elseif element.name == "line" and element.groups == "" and element.x1 == element.x2 then
          x = x or element.x1
          if element.x1 == x then
            stretches[#stretches + 1] = element
          end
        end
      end
      assert.equal(2, #stretches)
      assert.near(rows[5], stretches[1].y2, 0.2)
      assert.near(rows[11], stretches[2].y1, 0.2)
    end)

    it("ends a lane with its role, whose stores may come to memory yet", function()
      for _, last in ipairs {"end", "crash"} do
        local trace = {roles = {"1", "2"}, memory = "tso", steps = {
          {role = 1, action = "write", object = "x", text = "x = 1", buffered = true},
          {role = 1, action = "write", object = "y", text = "y = 1", buffered = true},
          {role = 1, action = last, text = "goes"},
          {role = 2, action = "read", object = "x", text = "x -> 0"},
          {role = 1, action = "flush", object = "x", text = "x reaches memory (1)", stored = 1},
        }}
        assert_legible(draw.svg(trace), last)
        local sign = last == "end" and "┴" or "╳"
        assert.equal(([[
     1                       2      memory
  1 ╭□ x = 1                 │         ║
  2 ├□ y = 1                 │         ║
  3 ┊%s goes                  │         ║
  4 ┊                        ○ x -> 0  ║
    ┊  x reaches memory (1)  │         ║
  5 %s┼╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌│╌╌╌╌╌╌╌╌▶║
]]):format(sign, last == "end" and "├" or "╰"), draw.text(trace):match "\n\n(.*)$")
      end
    end)

    it("marks the step that broke a rule, even where others wait at the end", function()
      local trace = {roles = {"1", "2"}, steps = {
        {role = 1, action = "lock", text = "m:lock() -> true"},
        {role = 1, action = "write", object = "x", text = "x = 2"},
      }, waiting = {[2] = "m:lock()"},
         verdict = {kind = "never", name = "two", message = "x is 2.", step = 2, roles = {1, 2}}}
      local said = draw.text(trace)
      assert.matches("\n▶ 2  ■ x = 2 [^\n]*\n━━━ ✗ never two: 1, 2 [━]+\n", said)
      trace.verdict.kind = "deadlock"
      assert.matches("\n▶ [^\n]*still waits: m:lock%(%)\n━━━ ✗ deadlock two", draw.text(trace))
    end)

    it("has its own ground, and needs nothing from elsewhere", function()
      local svg = draw.svg(traces.run)
      assert.matches('<rect class="paper" width="[%d.]+" height="[%d.]+" fill="#ffffff"/>', svg)
      assert.equal(1, count(svg, "http")) -- the namespace
      assert.is_nil(svg:match "href" or svg:match "url%(")
    end)

    it("shows times, in the order in which steps finished, and what was left out", function()
      local trace = traces.run
      local svg = draw.svg(trace)
      assert.matches('class="time"[^>]*>0%.21 µs<', svg)
      assert.matches('class="gap"[^>]*>%+ 311%.51 µs<', svg)
      local parted, number = {roles = trace.roles, steps = {}}, {} -- all of one, then of the other
      for role in ipairs(trace.roles) do
        for i, step in ipairs(trace.steps) do
          if step.role == role then
            parted.steps[#parted.steps + 1] = step
            number[#parted.steps] = i
          end
        end
      end
      local _, order = shown(draw.svg(parted))
      for i, index in ipairs(order) do
        assert.equal(i, number[index])
      end
    end)

    it("shows a recorded step that has not come to its end where it began", function()
      local steps = {table.unpack(traces.run.steps, 1, 6)}
      table.insert(steps, 5, {role = 2, action = "lock", text = "m:lock()", start = 0.00000052})
      local trace = {roles = {"1", "2"}, steps = steps, waiting = {[2] = "m:lock()"}}
      assert.matches("\n  5    520 ns [^\n]*● m:lock%(%)\n  6    580 ns [^\n]*░\n",
                     draw.text(trace))
      assert_legible(draw.svg(trace), "not ended")
    end)

    it("is as wide as was asked for", function()
      for _, width in ipairs {200, 640, 1500} do
        assert.matches(('<svg [^>]*width="%d"'):format(width), draw.svg(traces.fork,
                                                                        {width = width}))
      end
    end)
  end)

  describe("as text", function()
    it("fits, whatever the trace", function()
      for seed = 1, RANDOM do
        local trace = traces.random(seed, seed % 7 + 1, seed % 40 + 1)
        local width = 40 + seed * 7 % 160
        local text = draw.text(trace, {width = width})
        for line in text:gmatch "[^\n]*" do
          assert(columns(line) <= width, ("seed %d: %d > %d: %s"):format(seed, columns(line),
                                                                         width, line))
        end
        assert.is_nil(text:match "[\1-\9\11-\31\127]")
      end
    end)

    it("has 80 columns if not asked otherwise", function()
      local longest = 0
      for line in draw.text(traces.deadlock):gmatch "[^\n]+" do
        longest = math.max(longest, columns(line))
      end
      assert.equal(80, longest) -- the line of the verdict
    end)

    it("is ASCII alone if asked for", function()
      for seed = 1, RANDOM do
        local trace = traces.random(seed, seed % 7 + 1, seed % 40 + 1)
        local text = draw.text(trace, {ascii = true, width = 60})
        assert.is_nil(text:match "[\x80-\xFF]")
        for line in text:gmatch "[^\n]*" do
          assert(#line <= 60, line)
        end
      end
    end)

    it("looks like this", function()
      assert.equal([[
peterson under tso
✗ 1 and 2 are both inside critical.

      1                           2                        memory
   1 ╭□ flag1 = 1                 │                           ║
   2 ├□ turn = 2                  │                           ║
   3 ┊○ flag2 -> 0                │                           ║
   4 ┊┳ enters critical           │                           ║
   5 ┊┃                          ╭□ flag2 = 1                 ║
     ┊┃                          ┊│ flag2 reaches memory (1)  ║
   6 ┊┃                          ╰┼╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌▶║
   7 ┊┃                          ╭□ turn = 1                  ║
   8 ┊┃                          ┊○ flag1 -> 0                ║
▶  9 ┊┃                          ┊┳ enters critical           ║
━━━ ✗ never at_most_one: 1, 2 ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
     ┊█ flag1 reaches memory (1) ┊█                           ║
  10 ├┼╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┊█╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌▶║
     ┊█ turn reaches memory (2)  ┊█                           ║
  11 ╰┼╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┊█╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌▶║
  12  ┻ leaves critical          ┊█                           ║
  13  │                          ┊┻ leaves critical           ║
      │                          ┊│ turn reaches memory (1)   ║
  14  │                          ╰┼╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌▶║

schedule: tso 1*4 2 2~ 2*3 1~*2 1 2 2~
]], draw.text(traces.peterson))
    end)

    it("shows who waits, who is woken by whom, and who is dead", function()
      local text = draw.text(traces.robust)
      assert.matches("┃                     ░ waits: m:lock%(%)\n", text)
      assert.matches("   5  ╳[^\n ]+▶░\n   6                        ● m:lock%(%) %-> true", text)
      assert.matches("  14  ░◀[^\n ]+● m:unlock%(%) %-> true\n", text)
      assert.matches("░ still waits: to:lock%(%)  ░ still waits: from:lock%(%)\n",
                     draw.text(traces.deadlock))
    end)

    it("puts the lanes together where there is no room beside them", function()
      local text = draw.text(traces.fork, {width = 50})
      assert.matches("\n      server\n      │  client\n", text)
      assert.matches("\n   7  ░◀─┼──┴  server%.1: ends\n", text)
    end)
  end)

  describe("as Mermaid", function()
    -- What the grammar has for a line, as far as it is used here.
    local LINES <const> = {
      "^  +participant r%d+ as [^#;\n]*$", "^  +participant memory$", "^  +end$",
      "^  +rect rgb%(%d+, %d+, %d+%)$",
      "^  +Note over r%d+: [^#;\n]*$", "^  +Note over r%d+,r%d+: [^#;\n]*$",
      "^  +r%d+%-?%-[>x)]>?r%d+: [^#;\n]*$", "^  +r%d+%-?%->>memory: [^#;\n]*$",
      "^  +memory%-%->>r%d+: [^#;\n]*$",
    }

    local function assert_valid(diagram, what)
      local head, body = diagram:match '^%-%-%-\ntitle: "([^\n]*)"\n%-%-%-\nsequenceDiagram\n(.*)$'
      assert(head, what .. ": " .. diagram)
      assert.is_nil(head:gsub('\\[\\"]', ""):match '[\\"]')
      local depth = 0
      for line in body:gmatch "[^\n]+" do
        -- A character by its number is one to the parser.
        local read, known = line:gsub("#%d+;", "?"):gsub("<br/>", " "), false
        for _, pattern in ipairs(LINES) do
          known = known or read:find(pattern) ~= nil
        end
        assert(known and not read:find "%%%%" and not read:find "^[^:]*: n?o?wrap:"
               and not read:find "<", what .. line)
        depth = depth + (line:match "^ +rect " and 1 or line:match "^ +end$" and -1 or 0)
        assert(depth >= 0, what)
      end
      assert.equal(0, depth, what)
    end

    it("is what its grammar has, whatever the trace", function()
      for _, name in ipairs(SAMPLES) do
        assert_valid(draw.mermaid(traces[name]), name)
      end
      for seed = 1, RANDOM do
        local trace = traces.random(seed, seed % 7 + 1, seed % 40 + 1)
        assert_valid(draw.mermaid(trace, {title = 'a "b" \\'}), "seed " .. seed)
      end
    end)

    it("writes by number what would mean something", function()
      local trace = {roles = {"a;b"}, steps = {
        {role = 1, action = "note", text = "#1; %%{init: {}}%% <br/> $$x$$ style: x"},
        {role = 1, action = "lock", text = "wrap: a: b"},
        {role = 1, action = "lock", text = "end"},
      }}
      local diagram = draw.mermaid(trace)
      assert.matches("participant r1 as a#59;b\n", diagram, 1, true)
      assert.matches("Note over r1: #35;1#59; #37;#37;{init: {}}#37;#37; #60;br/> "
                     .. "#36;#36;x#36;#36;<br/>#115;tyle: x\n", diagram, 1, true)
      assert.matches("r1->>r1: wrap#58; a: b\n", diagram, 1, true)
      assert.matches("r1->>r1: end\n", diagram, 1, true)
    end)

    it("shows each step, who wakes whom, and where several are inside", function()
      for _, name in ipairs(SAMPLES) do
        local diagram = draw.mermaid(traces[name])
        for _, step in ipairs(traces[name].steps) do
          local said = " " .. step.text:gsub(";", "#59;")
          assert(diagram:gsub("<br/>", " "):find(said, 1, true), step.text)
        end
      end
      local diagram = draw.mermaid(traces.robust)
      assert.matches("r1-xr1: dies\n    r1-)r2: lets it go on\n", diagram, 1, true)
      assert.matches("r2-)r1: m:unlock() -> true\n", diagram, 1, true)
      assert.matches("    rect rgb(250, 215, 210)\n      Note over r2: enters critical\n"
                     .. "      Note over r1,r2: ✗ never at_most_one: 1, 2\n",
                     draw.mermaid(traces.peterson), 1, true)
    end)
  end)

  describe("of a part", function()
    it("says how much is before and after", function()
      local given = {from = 4, to = 13, title = "the end"}
      for _, format in ipairs(FORMATS) do
        local drawn = draw[format](traces.peterson, given)
        assert.matches("… 3 steps before", drawn, 1, true)
        assert.matches("… 1 step after", drawn, 1, true)
        assert.matches("the end", drawn, 1, true)
        assert.is_nil(drawn:find("flag2 -> 0", 1, true) or drawn:find("flag2 -&gt; 0", 1, true))
        assert.is_truthy(drawn:find("leaves critical", 1, true))
      end
    end)

    it("has what lasted from before, and no text over another", function()
      for from = 1, #traces.peterson.steps do
        for to = from, #traces.peterson.steps do
          assert_legible(draw.svg(traces.peterson, {from = from, to = to}), from .. " to " .. to)
          draw.text(traces.robust, {from = from, to = to})
          draw.mermaid(traces.fork, {from = math.min(from, 11), to = math.max(to, 11)})
        end
      end
      local svg = draw.svg(traces.peterson, {from = 10, to = 11})
      assert.equal(2, count(svg, 'class="inside"'))
      assert.equal(1, count(svg, 'class="overlap"'))
      assert.equal(3, count(svg, '<g class="store"'))
      assert.matches("\n  10 ├┼╌", draw.text(traces.peterson, {from = 10}))
    end)

    it("ends where the trace does, even if more is asked for", function()
      for _, format in ipairs(FORMATS) do
        assert.equal(draw[format](traces.run), draw[format](traces.run, {from = 1, to = 1000}))
      end
    end)
  end)

  it("takes a trace without steps", function()
    for _, format in ipairs(FORMATS) do
      assert.is_string(draw[format] {roles = {"a", "b"}, steps = {}})
    end
  end)

  it("gives the same for the same trace, in every process", function()
    local script = [[package.path = "./?.lua;" .. package.path
      local draw, traces = require "shm.lab.draw", require "spec.lab.draw_traces"
      for seed = 1, 20 do
        local trace = traces.random(seed, 5, 30)
        io.write(draw.svg(trace), draw.text(trace), draw.mermaid(trace))
      end]]
    local one = support.shell(("lua5.4 -e '%s' 2>&1 | md5sum"):format(script))
    for _ = 1, 3 do
      assert.equal(one, support.shell(("lua5.4 -e '%s' 2>&1 | md5sum"):format(script)))
    end
  end)

  it("leaves the trace as it was", function()
    local trace, same = traces.random(3, 4, 30), traces.random(3, 4, 30)
    for _, format in ipairs(FORMATS) do
      draw[format](trace)
    end
    assert.same(same, trace)
  end)

  describe("into a file", function()
    it("writes what the ending says, or the format", function()
      local trace = traces.fork
      for ending, drawn in pairs {
        svg = draw.svg(trace), txt = draw.text(trace), mmd = draw.mermaid(trace),
        md = "```mermaid\n" .. draw.mermaid(trace) .. "```\n", SVG = draw.svg(trace),
      } do
        assert.is_true(draw.draw(trace, path("a." .. ending)))
        assert.equal(drawn, support.read_file(path("a." .. ending)))
      end
      assert.is_true(draw.draw(trace, path "picture", {format = "svg", width = 300}))
      assert.equal(draw.svg(trace, {width = 300}), support.read_file(path "picture"))
      assert.is_true(draw.draw(trace, path "a.md", {format = "text", ascii = true}))
      assert.equal(draw.text(trace, {ascii = true}), support.read_file(path "a.md"))
    end)

    it("says why it can not, and leaves what was there", function()
      local ENOENT, EISDIR, EFBIG, ENOTDIR = 2, 21, 27, 20
      local function fails(name, said, errno)
        local done, message, number = draw.draw(traces.run, name)
        assert.is_nil(done)
        assert.equal(("lab.draw '%s': %s"):format(name, said), message)
        assert.equal(errno, number)
      end
      fails(path "none/a.svg", "No such file or directory", ENOENT)
      fails("/dev/null/a.svg", "Not a directory", ENOTDIR)
      assert(os.execute("mkdir " .. path "directory.svg"))
      fails(path "directory.svg", "Is a directory", EISDIR)
      assert.is_true(draw.draw(traces.fork, path "full.svg"))
      local script = [[package.path = "./?.lua;" .. package.path
        print(require("shm.lab.draw").draw(require("spec.lab.draw_traces").run, "%s"))]]
      local said = support.shell(("trap '' XFSZ; ulimit -f 4; lua5.4 -e '%s' 2>&1")
        :format(script:format(path "full.svg")))
      assert.equal(("nil\tlab.draw '%s': File too large\t%d\n"):format(path "full.svg", EFBIG),
                   said)
      assert.equal(draw.svg(traces.fork), support.read_file(path "full.svg"))
      assert.equal("", support.shell(("ls -A %s | grep '^.shm-draw'"):format(directory)))
    end)

    -- Draws one over the other until it is killed, at the latest at the end of the scope.
    local function writer(name)
      local here, there = process.socketpair()
      local child = assert(process.fork(function()
        there:send "x"
        while true do
          draw.draw(traces.robust, name)
          draw.draw(traces.peterson, name)
        end
      end))
      local writing = here:recv(LONG)
      return setmetatable({writing = writing}, {__close = function()
        child:kill "KILL"
        assert.equal("signal", (child:wait(LONG)))
        for _, handle in ipairs {child, here, there} do
          handle:close()
        end
      end})
    end

    it("never shows a part of it, whenever the writer dies", function()
      local name = path "whole.svg"
      local one, other = draw.svg(traces.peterson), draw.svg(traces.robust)
      assert.is_true(draw.draw(traces.peterson, name))
      local seen = {}
      for round = 1, support.rounds(30) do
        do
          local child <close> = writer(name)
          assert(child.writing)
          local until_then = process.monotonic() + round % 10 * 0.002
          repeat
            local drawn = support.read_file(name)
            assert(drawn == one or drawn == other, "a part of a picture")
            seen[drawn] = true
          until process.monotonic() >= until_then
        end
        local drawn = support.read_file(name)
        assert(drawn == one or drawn == other, "a part of a picture")
      end
      assert.is_true(seen[one] or support.rounds(30) < 30) -- of a few all may be the other
      -- What the dead left behind has other names, and keeps nobody from writing.
      assert.is_true(draw.draw(traces.run, name))
      assert.equal(draw.svg(traces.run), support.read_file(name))
    end)
  end)

  it("refuses misuse at its caller", function()
    local here = "lab_draw_spec%.lua:%d+: "
    for said, misuse in pairs {
      ["draw%.text: trace: table with roles and steps expected, got nil"] =
        function() local text = draw.text() return text end,
      ["draw%.svg: unknown option 'ascii'"] =
        function() local svg = draw.svg(traces.run, {ascii = true}) return svg end,
      ["draw%.mermaid: unknown option 'width'"] =
        function() local diagram = draw.mermaid(traces.run, {width = 80}) return diagram end,
      ["draw%.text: from: the trace has 14 steps, not 15"] =
        function() local text = draw.text(traces.run, {from = 15}) return text end,
      ["draw%.text: to: 2 is before 3"] =
        function() local text = draw.text(traces.run, {from = 3, to = 2}) return text end,
      ["draw%.text: trace: step 1 is of no role that there is"] =
        function() local text = draw.text {roles = {"a"}, steps = {{role = 2}}} return text end,
      ["lab%.draw: trace: table with roles and steps expected, got nil"] =
        function() local text = lab.draw() return text end,
      ["lab%.draw: width: 1 is not within 40 and 1000"] =
        function() local text = lab.draw(traces.run, nil, {width = 1}) return text end,
      ["lab%.draw: 'a%.png' ends in none of %.svg, %.mmd, %.md, %.txt; or give a format"] =
        function() local done = draw.draw(traces.run, "a.png") return done end,
      ["lab%.draw: format: 'text', 'svg' or 'mermaid' expected, got 'png'"] =
        function() local done = draw.draw(traces.run, "a.svg", {format = "png"}) return done end,
      ["lab%.draw: trace: table with roles and steps expected, got string"] =
        function() local done = draw.draw("a.svg", "a.svg") return done end,
      ["lab%.draw: unknown option 'ascii'"] =
        function() local done = draw.draw(traces.run, "a.svg", {ascii = true}) return done end,
    } do
      local ok, problem = pcall(misuse)
      assert.is_false(ok)
      assert.matches("^[^\n]*" .. here .. said .. "$", problem)
    end
  end)
end)
