-- The memory models of the laboratory against what is known of them: for each litmus test the
-- set of all outcomes, written down by hand. The tests and what x86-TSO allows are those of
-- Owens, Sarkar and Sewell, "A Better x86 Memory Model: x86-TSO" (2009), and of the manuals of
-- Intel and AMD that they quote; R, S, 2+2W and RWC are named as in Alglave's and Maranget's
-- catalogue.
local lab = require "shm.lab"
local support = require "spec.support"

local function none() end

-- Sets: what sc allows, which fences between all accesses give back, and what tso adds to it.
-- `roles(fence)` gives the roles; each observes what it read, final values are the protocol's.
local TESTS = {
  {
    name = "SB, store buffering", words = {"x", "y"},
    roles = function(fence)
      return {
        function(w) w.x = 1; fence(w); w.observe("r1", w.y) end,
        function(w) w.y = 1; fence(w); w.observe("r2", w.x) end,
      }
    end,
    sc = {"r1=0 r2=1", "r1=1 r2=0", "r1=1 r2=1"},
    tso = {"r1=0 r2=0"},
  },
  {
    name = "SB with a fence in one role", words = {"x", "y"},
    roles = function(fence)
      return {
        function(w) w.x = 1; w.fence(); w.observe("r1", w.y) end,
        function(w) w.y = 1; fence(w); w.observe("r2", w.x) end,
      }
    end,
    sc = {"r1=0 r2=1", "r1=1 r2=0", "r1=1 r2=1"},
    tso = {"r1=0 r2=0"},
  },
  {
    name = "SB with xchg (iwp2.8.a)", words = {"x", "y"},
    roles = function()
      return {
        function(w) w.swap("x", 1); w.observe("r1", w.y) end,
        function(w) w.swap("y", 1); w.observe("r2", w.x) end,
      }
    end,
    sc = {"r1=0 r2=1", "r1=1 r2=0", "r1=1 r2=1"},
    tso = {},
  },
  {
    name = "SB with forwarding (iwp2.4, amd9)", words = {"x", "y"},
    roles = function(fence)
      return {
        function(w) w.x = 1; fence(w); w.observe("r12", w.x .. w.y) end,
        function(w) w.y = 1; fence(w); w.observe("r34", w.y .. w.x) end,
      }
    end,
    sc = {"r12=10 r34=11", "r12=11 r34=10", "r12=11 r34=11"},
    tso = {"r12=10 r34=10"},
  },
  {
    name = "MP, message passing", words = {"x", "y"},
    roles = function(fence)
      return {
        function(w) w.x = 1; fence(w); w.y = 1 end,
        function(w)
          local y = w.y
          fence(w)
          w.observe("r12", y .. w.x)
        end,
      }
    end,
    sc = {"r12=00", "r12=01", "r12=11"}, tso = {},
  },
  {
    name = "LB, load buffering", words = {"x", "y"},
    roles = function(fence)
      return {
        function(w)
          local x = w.x
          fence(w)
          w.y = 1
          w.observe("r1", x)
        end,
        function(w)
          local y = w.y
          fence(w)
          w.x = 1
          w.observe("r2", y)
        end,
      }
    end,
    sc = {"r1=0 r2=0", "r1=0 r2=1", "r1=1 r2=0"}, tso = {},
  },
  {
    name = "2+2W", words = {"x", "y"}, observe = {"x", "y"},
    roles = function(fence)
      return {
        function(w) w.x = 1; fence(w); w.y = 2 end,
        function(w) w.y = 1; fence(w); w.x = 2 end,
      }
    end,
    sc = {"x=1 y=2", "x=2 y=1", "x=2 y=2"}, tso = {},
  },
  {
    name = "R", words = {"x", "y"}, observe = {"y"},
    roles = function(fence)
      return {
        function(w) w.x = 1; fence(w); w.y = 1 end,
        function(w) w.y = 2; fence(w); w.observe("r1", w.x) end,
      }
    end,
    sc = {"r1=0 y=1", "r1=1 y=1", "r1=1 y=2"},
    tso = {"r1=0 y=2"},
  },
  {
    name = "S", words = {"x", "y"}, observe = {"x"},
    roles = function(fence)
      return {
        function(w) w.x = 2; fence(w); w.y = 1 end,
        function(w)
          w.observe("r1", w.y)
          fence(w)
          w.x = 1
        end,
      }
    end,
    sc = {"r1=0 x=1", "r1=0 x=2", "r1=1 x=1"}, tso = {},
  },
  {
    name = "n6", words = {"x", "y"}, observe = {"x"},
    roles = function(fence)
      return {
        function(w)
          w.x = 1
          fence(w)
          local x = w.x
          w.observe("r12", x .. w.y)
        end,
        function(w) w.y = 2; fence(w); w.x = 2 end,
      }
    end,
    sc = {"r12=10 x=2", "r12=12 x=1", "r12=12 x=2", "r12=22 x=2"},
    tso = {"r12=10 x=1"},
  },
  {
    name = "n5", words = {"x"},
    roles = function(fence)
      return {
        function(w) w.x = 1; fence(w); w.observe("r1", w.x) end,
        function(w) w.x = 2; fence(w); w.observe("r2", w.x) end,
      }
    end,
    sc = {"r1=1 r2=1", "r1=1 r2=2", "r1=2 r2=2"}, tso = {},
  },
  {
    name = "n4b", words = {"x"},
    roles = function(fence)
      return {
        function(w) w.observe("r1", w.x); fence(w); w.x = 1 end,
        function(w) w.observe("r2", w.x); fence(w); w.x = 2 end,
      }
    end,
    sc = {"r1=0 r2=0", "r1=0 r2=1", "r1=2 r2=0"}, tso = {},
  },
  {
    name = "WRC (iwp2.5, amd8)", words = {"x", "y"},
    roles = function(fence)
      return {
        function(w) w.x = 1 end,
        function(w)
          local x = w.x
          fence(w)
          w.y = 1
          w.observe("r1", x)
        end,
        function(w)
          local y = w.y
          fence(w)
          w.observe("r23", y .. w.x)
        end,
      }
    end,
    sc = {"r1=0 r23=00", "r1=0 r23=01", "r1=0 r23=10", "r1=0 r23=11", "r1=1 r23=00",
          "r1=1 r23=01", "r1=1 r23=11"},
    tso = {},
  },
  {
    name = "RWC", words = {"x", "y"},
    roles = function(fence)
      return {
        function(w) w.x = 1 end,
        function(w)
          local x = w.x
          fence(w)
          w.observe("r12", x .. w.y)
        end,
        function(w) w.y = 1; fence(w); w.observe("r3", w.x) end,
      }
    end,
    sc = {"r12=00 r3=0", "r12=00 r3=1", "r12=01 r3=0", "r12=01 r3=1", "r12=10 r3=1",
          "r12=11 r3=0", "r12=11 r3=1"},
    tso = {"r12=10 r3=0"},
  },
  {
    name = "IRIW", words = {"x", "y"}, heavy = true,
    roles = function(fence)
      local function reader(first, second, name)
        return function(w)
          local one = w[first]
          fence(w)
          w.observe(name, one .. w[second])
        end
      end
      return {
        function(w) w.x = 1 end,
        function(w) w.y = 1 end,
        reader("x", "y", "r12"), reader("y", "x", "r34"),
      }
    end,
    sc = {"r12=00 r34=00", "r12=00 r34=01", "r12=00 r34=10", "r12=00 r34=11",
          "r12=01 r34=00", "r12=01 r34=01", "r12=01 r34=10", "r12=01 r34=11",
          "r12=10 r34=00", "r12=10 r34=01", --[[ not 10, 10 ]] "r12=10 r34=11",
          "r12=11 r34=00", "r12=11 r34=01", "r12=11 r34=10", "r12=11 r34=11"},
    tso = {},
  },
}

local function fence(w) w.fence() end

-- All outcomes, in order. The corpus and the exploration have their own specs; here nothing may
-- be wrong but the order of accesses.
local function outcomes(test, fenced, memory, reduce)
  local protocol = lab.protocol {name = test.name, words = test.words, observe = test.observe,
                                 roles = test.roles(fenced and fence or none)}
  local result = lab.check(protocol, {memory = memory, reduce = reduce, all = true})
  assert.is_nil(result.verdict)
  assert.is_true(result.exhaustive)
  local list = {}
  for outcome in pairs(result.outcomes) do
    list[#list + 1] = outcome
  end
  table.sort(list)
  return list, result
end

local function known(test, fenced, memory)
  local list = table.move(test.sc, 1, #test.sc, 1, {})
  if memory == "tso" and not fenced then
    table.move(test.tso, 1, #test.tso, #list + 1, list)
  end
  table.sort(list)
  return list
end

-- Without reduction tso has hundreds of thousands of schedules where there are four roles that
-- have fences, too.
local slow = support.valgrind or support.asan

describe("the litmus test", function()
  for _, test in ipairs(TESTS) do
    for _, memory in ipairs {"sc", "tso"} do
      for _, fenced in ipairs {false, true} do
        local how = ("%s, %s%s"):format(test.name, memory, fenced and ", fenced" or "")
        it(how .. " has the outcomes that are known, and no other", function()
          local expected = known(test, fenced, memory)
          local list, reduced = outcomes(test, fenced, memory, true)
          assert.same(expected, list)
          if not (memory == "tso" and (fenced and test.heavy or slow)) then
            local all, whole = outcomes(test, fenced, memory, false)
            assert.same(expected, all)
            assert.is_true(reduced.schedules <= whole.schedules)
          end
        end)
      end
    end
  end
end)
