-- This module's own sleeping and waking, as roles in every schedule and with every death: right as
-- it is, and wrong where the order that its comments insist on is another.
local lab = require "shm.lab"
local support = require "spec.support"
local sync = require "spec.lab.sync"

-- Tools that watch C learn nothing more from all of them.
local slow = support.asan or support.valgrind
local names = {}
for name in pairs(sync) do
  if not slow or name:match "^eventcount" then
    names[#names + 1] = name
  end
end
table.sort(names)

describe("in the laboratory", function()
  for _, name in ipairs(names) do
    local entry = sync[name]

    it(name .. ": nothing is wrong as it is", function()
      local options = {memory = entry.options.memory, crashes = entry.options.crashes,
                       schedules = entry.long and 500 or nil}
      local result = lab.check(entry.make(), options)
      assert(result.ok, tostring(result))
      assert.is_true(result.exhaustive or options.schedules == 500)
    end)

    for change, expected in pairs(entry.changes) do
      it(name .. ": it is wrong where it " .. change:gsub("_", " "), function()
        local protocol = entry.make(change)
        local result = lab.check(protocol, entry.options)
        assert(result.verdict, tostring(result))
        assert.same(expected, {result.verdict.kind, result.verdict.name})
        assert.same(result.verdict, lab.replay(protocol, result.schedule).verdict)
      end)
    end
  end
end)
