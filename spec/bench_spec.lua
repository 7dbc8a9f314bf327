-- The bench prints a row for everything, leaves out what is not installed, and leaves nothing
-- behind. How fast anything is, no spec asks.
local support = require "spec.support"
local process = require "shm.process"

package.path = package.path .. ";./?.lua"
local report = require "bench.report"
local results = require "bench.results"
local summary = require "bench.summary"
local tables = require "bench.tables"

-- It has a spec of its own, and takes seconds to see that a line is lost.
local ALL_BUT_THE_CHAT <const> =
  "region getter adder mutex hand-over queue topic map attach arena rpc replica durable"

-- Where a run has its temporary files, and by which its processes are known.
local folder

local function command(words, path)
  return ("exec env TMPDIR=%s %s lua5.4 bench/run.lua --small --csv %s/results.csv %s 2>&1")
         :format(folder, path and "PATH=" .. path or "", folder, words)
end

local function run(words, path)
  local pipe = assert(io.popen(command(words, path)))
  local output = pipe:read "a"
  local _, how, code = pipe:close()
  assert.same({"exit", 0}, {how, code}, output)
  return output
end

-- The processes that a run has now, by their environment.
local function processes()
  local found = {}
  for pid in support.shell("ls /proc"):gmatch "%d+" do
    local file = io.open("/proc/" .. pid .. "/environ", "rb")
    local text = file and file:read "a" or ""
    if file then
      file:close()
    end
    if text:find("TMPDIR=" .. folder, 1, true) then
      found[#found + 1] = tonumber(pid)
    end
  end
  return found
end

local function shown(words)
  local said = support.shell "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"
  for _, word in ipairs(words) do
    if not said:find(word, 1, true) then
      return false
    end
  end
  return true
end

local function left(pid)
  return {processes(), support.shell("ls " .. folder .. " | grep -v results.csv"),
          support.shell(("ls /dev/shm | grep -e shm-bench-%d-"):format(pid)),
          support.ipcs "-m -s -q"}
end

describe("the bench", function()
  setup(function()
    folder = support.shell("mktemp -d"):match "%S+"
    support.shell "env -u LD_PRELOAD make -s bench-build 2>&1"
  end)

  teardown(function()
    os.execute("rm -rf " .. folder)
  end)

  it("prints a row for every work, and writes it to a file", function()
    local words = support.asan and "region hand-over" or ALL_BUT_THE_CHAT
    local before = support.ipcs "-m -s -q"
    local output = run("-s 0.0005 -r 1 -p 2 -m 2 " .. words)
    local facts, rows = report.read(folder .. "/results.csv")
    assert.matches("%d cpus, Linux", facts.machine)
    local titles = {}
    for _, row in ipairs(rows) do
      assert(row.work and row.against and row.kind, "a row without names")
      assert(output:find(row.against, 1, true) or row.kind == "ours", row.against)
      if row.ratio == 1 and row.kind == "ours" then
        titles[#titles + 1] = row.work
      end
      if row.skipped then
        assert.is_nil(row.ns)
      else
        assert(row.ns > 0 and row.low <= row.ns and row.ns <= row.high, row.work)
        assert(row.ratio_low <= row.ratio and row.ratio <= row.ratio_high, row.work)
        assert(row.passes == 1 or row.passes == 2, row.work)
      end
    end
    for _, title in ipairs(titles) do
      assert(output:find("\n" .. title, 1, true), title)
    end
    assert(support.asan or #titles > 80 and #rows > 500, #titles .. " of " .. #rows)
    assert.same({{}, "", "", before}, left(0))
  end)

  it("measures again what is not settled", function()
    run "-s 0.0005 -r 1 -p 2 -m 4 'lock, unlock' adder"
    local settled, count = {}, {}
    for _, row in ipairs(select(2, report.read(folder .. "/results.csv"))) do
      if not row.skipped then
        settled[row.work] = settled[row.work] ~= false and summary.settled(row)
        count[row.work] = row.passes
      end
    end
    for work, passes in pairs(count) do
      assert(passes == 4 or settled[work] and passes >= 2, work)
    end
    assert(count["mutex lock, unlock"])
  end)

  it("leaves out by name what is not installed", function()
    local path = folder .. "/bin"
    assert(os.execute("mkdir " .. path))
    for _, tool in ipairs {"lua5.4", "sh", "env", "mktemp", "mkfifo", "mkdir", "rm", "uname"} do
      assert(os.execute(("ln -s $(command -v %s) %s/%s"):format(tool, path, tool)))
    end
    local output = run("-s 0.0005 -r 1 -p 1 -m 1 'mutex' 'there and back, one cpu, 64'", path)
    os.execute("rm -r " .. path)
    assert.matches("  Redis +skipped: redis%-server is not there\n", output)
    assert.matches("  Python's Queue +skipped: python3 is not there\n", output)
    assert.matches("  Python's Lock +skipped: python3 is not there\n", output)
    assert.matches("\nqueue, there and back, one cpu, 64 B +%d", output)
  end)

  it("leaves nothing when it is interrupted", function()
    local waited = {{}, {"python.py", "redis-server"}, {"nginx", "python.py"}}
    for _, words in ipairs(support.asan and {{}} or waited) do
      local before = support.ipcs "-m -s -q"
      local pipe = assert(io.popen("echo $$; " .. command "-r 100000 'map:get, 1000'"))
      local pid = pipe:read "n"
      support.eventually(function() return #processes() > 1 and shown(words) end)
      assert(process.kill(pid, "INT"))
      assert.matches("ended by SIGINT", pipe:read "a") -- until all have closed it
      local _, how, code = pipe:close()
      assert.same({"exit", 130}, {how, code})
      assert.same({{}, "", "", before}, left(pid))
    end
  end)

  it("prints what it has when it is interrupted", function()
    local pipe = assert(io.popen("echo $$; " .. command "-s 0.0005 -r 1 -p 100000 adder"))
    local pid = pipe:read "n"
    support.eventually(function()
      return support.shell("cat " .. folder .. "/*/table 2>&1"):match "^after %d+ s:.*adder"
    end)
    assert(process.kill(pid, "INT"))
    local output = pipe:read "a"
    assert.matches("\nafter %d+ s:\nwork .*\nadder.*\n%d goals met, .*ended by SIGINT", output)
    pipe:close()
    assert.same({{}, ""}, {processes(), support.shell("ls " .. folder .. " | grep -v results.csv")})
  end)

  it("says when a process of its own dies, and leaves nothing", function()
    local before = support.ipcs "-m -s -q"
    local pipe = assert(io.popen("echo $$; " .. command "-r 100000 'hand-over, one cpu'"))
    local pid = pipe:read "n"
    support.eventually(function() return shown {"bench/pass.lua " .. folder} end)
    local list = support.read_file(("/proc/%d/task/%d/children"):format(pid, pid))
    process.kill(math.tointeger(list:match "%d+"), "KILL")
    assert.matches("ended by SIGKILL", pipe:read "a")
    local _, how, code = pipe:close()
    assert.same({"exit", 1}, {how, code})
    assert.same({{}, "", "", before}, left(pid))
  end)

  it("refuses what it does not know", function()
    for _, words in ipairs {"-r 0", "-r x", "-s 0", "-p 0", "-m 1.5", "-t", "--fast", "--csv"} do
      local output = support.shell("lua5.4 bench/run.lua " .. words .. " 2>&1")
      assert.matches("^usage: ", output)
    end
  end)

  it("writes what it can read again", function()
    local path = folder .. "/one.csv"
    local file = report.open(path, {{"machine", "a, b: c"}})
    report.write(file, {name = 'a "quoted", name', size = 8}, {
      {name = "x,y", kind = "ours", ns = 1.5, low = 1, high = 2, ratio = 1, ratio_low = 0.9,
       ratio_high = 1.1, passes = 5},
      {name = "z", kind = "peer", goal = 0.5, why = "it is, well, not there"},
    })
    file:close()
    local facts, rows = report.read(path)
    os.remove(path)
    assert.same({machine = "a, b: c"}, facts)
    assert.same({
      {work = 'a "quoted", name', size = 8, against = "x,y", kind = "ours", ns = 1.5, low = 1,
       high = 2, ratio = 1, ratio_low = 0.9, ratio_high = 1.1, passes = 5},
      {work = 'a "quoted", name', size = 8, against = "z", kind = "peer", goal = 0.5,
       skipped = "it is, well, not there"},
    }, rows)
  end)
end)

describe("the bench's summary", function()
  -- Of two entries, the other one of which takes twice as long where the cpus are near.
  local function pass(distances)
    local ours, other = {name = "ours", rounds = {}}, {name = "other", rounds = {}}
    for i, distance in ipairs(distances) do
      ours.rounds[i] = distance
      other.rounds[i] = distance < 100 and 2 * distance or distance
    end
    return {distances = #distances > 0 and distances or nil, ours, other}
  end

  local function ratio(...)
    local measured = summary.sum_up(summary.pool {...})
    return measured[2].ratio, #measured[2].rounds
  end

  it("pools what several processes measured", function()
    local one = {{name = "ours", rounds = {10, 20}}, {name = "other", rounds = {20, 10}}}
    local two = {{name = "ours", rounds = {30}}, {name = "other", rounds = {10}, note = "said"}}
    local measured = summary.sum_up(summary.pool {one, two})
    assert.same({20, 1, 10, 30}, {measured[1].ns, measured[1].ratio, measured[1].low,
                                  measured[1].high})
    assert.same({10, 2.125, "said"}, {measured[2].ns, measured[2].ratio, measured[2].note})
    assert.same({2, 1.25, 3}, {measured[2].passes, measured[2].ratio_low, measured[2].ratio_high})
  end)

  -- What is said of a ratio that processes measured as so much each, and of a goal for it.
  local function said(ratios, goal)
    local told = {}
    for i, each in ipairs(ratios) do
      told[i] = {{name = "ours", rounds = {each * 100}},
                 {name = "other", goal = goal, rounds = {100}}}
    end
    local summed = summary.sum_up(summary.pool(told))
    return report.lines({name = "work"}, summed, {})[1]:match "(%S+)  [%d.]+x (%a+)$"
  end

  it("says between which a ratio is on which processes do not agree", function()
    assert.same({"1.10x", "met"}, {said({1.0, 1.2, 1.1, 1.05, 1.15}, 1.1)})
    assert.same({"1.10x", "missed"}, {said({1.0, 1.2, 1.1, 1.05, 1.15}, 1.0)})
    assert.same({"1.0-1.3x", "undecided"}, {said({1.0, 1.25, 1.1, 1.05, 1.15}, 1.2)})
    assert.same({"1.0-1.3x", "met"}, {said({1.0, 1.25, 1.1, 1.05, 1.15}, 1.25)})
    assert.same({"0.010-0.013x", "missed"}, {said({0.0105, 0.0129}, 0.01)})
    assert.same({"100-140x", "missed"}, {said({102, 137}, 100)})
  end)

  it("leaves out of several processes who is far off, at both ends", function()
    assert.same({"1.0-5.0x", "undecided"}, {said({1, 1, 1, 1, 1, 1, 1, 5}, 1)})
    assert.same({"1.00x", "met"}, {said({0.2, 1, 1, 1, 1, 1, 1, 1, 5}, 1)})
    assert.same({"0.20-1.0x", "undecided"}, {said({0.2, 0.2, 1, 1, 1, 1, 1, 1, 1}, 0.9)})
  end)

  it("counts the rounds in which cpus were far apart, if those were a quarter", function()
    assert.same({1, 4}, {ratio(pass {70, 72, 600, 590}, pass {71, 610}, pass {73, 620})})
    assert.same({0.5, 4}, {ratio(pass {70, 72, 600}, pass {71}, pass {73})})
    assert.same({1, 3}, {ratio(pass {600, 590, 60000}, pass {620})})
  end)

  it("skips what one process had to skip", function()
    local one, two = pass {600}, pass {600}
    two[2] = {name = "other", why = "not there"}
    local measured = summary.sum_up(summary.pool {one, two})
    assert.same({"not there"}, {measured[2].why, measured[2].ns})
  end)
end)

describe("README's tables", function()
  it("are those of the run that is drawn", function()
    local run_drawn = results.read "bench/plots/results.csv"
    assert.equal(tables.text(run_drawn), tables.found(support.read_file "README.md"))
  end)

  it("are replaced, and nothing else", function()
    local readme = support.read_file "README.md"
    local other = tables.replace(readme, "\nnothing\n")
    assert.equal("\nnothing\n", tables.found(other))
    assert.equal(readme, tables.replace(other, tables.found(readme)))
  end)

  it("stand beside plots that there are", function()
    local n = 0
    for path in support.read_file("README.md"):gmatch "%]%((bench/plots/[^)]+%.svg)%)" do
      assert.matches("<svg", support.read_file(path))
      n = n + 1
    end
    assert.equal(3, n)
  end)
end)
