-- The algorithms of shm.exclusion, as their source stands, in every schedule, with a store buffer
-- for each process. They hold; and each of their fences is needed, and the order in which they
-- store and read. spec/lab_soak.lua has what takes
-- longer.
local exclusion = require "spec.lab.exclusion"
local lab = require "shm.lab"
local support = require "spec.support"

-- Tools that watch C learn nothing more from all of them.
local slow = support.asan or support.valgrind

describe("in every schedule under tso", function()
  for _, name in ipairs(slow and {"peterson"} or exclusion.NAMES) do
    local algorithm = exclusion.algorithm(name)

    it(name .. " lets in one at a time, and each at last", function()
      exclusion.holds(algorithm, 2)
      exclusion.holds(algorithm, 2, {rounds = {2, 1}})
      exclusion.holds(algorithm, 2, {rounds = {1, 2}})
      if name ~= "szymanski" then
        exclusion.holds(algorithm, 2, {rounds = {2, 2}})
        if not algorithm.most then
          exclusion.holds(algorithm, 3)
        end
      end
    end)

    it(name .. " collides without its fences, and without any one of them", function()
      local lines = exclusion.fences(name)
      assert.is_true(#lines > 0)
      exclusion.collides(algorithm, 2, {without = true})
      for _, line in ipairs(lines) do
        exclusion.collides(algorithm, 2, {without = line, rounds = {2, 2}})
      end
    end)

    if name ~= "szymanski" then -- where nobody can turn back
      it(name .. " holds when waits end because their time is up", function()
        exclusion.holds(algorithm, 2, {patience = {1, 1}})
        exclusion.holds(algorithm, 2, {patience = {1, 0}, rounds = {2, 1}})
        exclusion.holds(algorithm, 2, {patience = {0, 1}, rounds = {1, 2}})
      end)
    end
  end

  it("peterson collides with its stores swapped, as filter does", function()
    exclusion.collides(exclusion.changed("peterson", "want(1)\n    give(other)",
                                         "give(other)\n    want(1)"), 2, {memory = "sc"})
    exclusion.collides(exclusion.changed("filter", "rise(level)\n      become[level](me)",
                                         "become[level](me)\n      rise(level)"), 2,
                       {memory = "sc"})
  end)

  it("bakery collides where who chooses does not say so", function()
    exclusion.collides(exclusion.changed("bakery", "choose(1)", "choose(0)"), 2,
                       {memory = "sc"})
  end)

  it("dekker, as it is printed, can leave the turn to one that has gone", function()
    local printed = exclusion.changed("dekker", "turn() == mine or others() == 0",
                                      "turn() == mine")
    local protocol = exclusion.protocol(printed, 2, {patience = {1, 1}, rounds = {1, 2}})
    local result = lab.check(protocol, {memory = "sc"})
    assert.equal("no progress", result.verdict.kind)
    assert.equal("no progress", lab.replay(protocol, result.schedule).verdict.kind)
  end)

  -- The search for it takes longer, and is in the soak.
  it("szymanski collides where who is at the door looks from the other side", function()
    local protocol = exclusion.protocol(exclusion.szymanski_backwards(), 3, {background = true})
    local trace = assert(lab.replay(protocol, exclusion.BACKWARDS))
    assert.equal("two_inside", trace.verdict.name)
  end)
end)
