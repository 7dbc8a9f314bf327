-- Each faulty protocol of the corpus gets the diagnosis that it is to get, by a schedule that
-- shows it again, and is right once it is mended: in every schedule that there is.
local corpus = require "spec.lab.corpus"
local counts = require "spec.lab.counts"
local lab = require "shm.lab"
local support = require "spec.support"

-- So many schedules are taken without reduction here; `make soak` counts up to corpus.BOUND.
local FEW <const> = support.rounds(200)

-- Tools that watch C learn nothing more from all of them.
local slow = support.asan or support.valgrind
local NAMES <const> = slow and {"aba", "bare_wake", "half_an_update"} or corpus.names()

local function texts_of(trace)
  local texts = {}
  for i, step in ipairs(trace.steps) do
    texts[i] = trace.roles[step.role] .. ": " .. step.text
  end
  return texts
end

local function diagnosed(expected, verdict)
  assert.equal(expected.kind, verdict.kind)
  assert.equal(expected.name, verdict.name)
  if expected.roles then
    assert.same(expected.roles, verdict.roles)
  end
  if expected.message then
    assert.is_truthy(verdict.message:find(expected.message, 1, true), verdict.message)
  end
end

describe("of the corpus", function()
  for _, name in ipairs(NAMES) do
    local entry = corpus.entry(name)
    local written = counts[name]

    describe(name, function()
      it("is found to be faulty, as it is, by a schedule of this run or another", function()
        local result = corpus.check(entry, "faulty")
        assert(result.verdict, tostring(result))
        diagnosed(entry.verdict, result.verdict)
        assert.equal(written.schedule, result.schedule)
        local trace = assert(lab.replay(entry.faulty, written.schedule))
        assert.same(result.verdict, trace.verdict)
        assert.same(texts_of(result.trace), texts_of(trace))
      end)

      it("gives the same answer again", function()
        local one, other = corpus.check(entry, "faulty"), corpus.check(entry, "faulty")
        for _, field in ipairs {"schedules", "blocked", "schedule", "verdict"} do
          assert.same(one[field], other[field])
        end
      end)

      it("is right when mended, in every schedule", function()
        local result = corpus.check(entry, "mended")
        assert(result.ok, tostring(result))
        assert.is_true(result.exhaustive)
      end)

      it("has as many schedules as it had, with reduction and without", function()
        for _, which in ipairs {"faulty", "mended"} do
          local with, without = corpus.count(entry, which, FEW)
          assert.equal(written[which][1], with)
          assert.equal(math.min(FEW, written[which][2]), without)
        end
      end)
    end)
  end

  it("is each, and nothing else, counted", function()
    local names = {}
    for name in pairs(counts) do
      names[#names + 1] = name
    end
    table.sort(names)
    assert.same(corpus.names(), names)
    assert.is_true(#names >= 15)
  end)

  it("all take at most a tenth of the schedules that they would take without reduction", function()
    local with, without = 0, 0
    for _, written in pairs(counts) do
      with = with + written.faulty[1] + written.mended[1]
      without = without + written.faulty[2] + written.mended[2]
    end
    assert.is_true(with * 10 <= without, with .. " of " .. without)
  end)
end)
