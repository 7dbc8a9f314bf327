-- A share of what spec/model_furniture.lua does: make soak does a million.
local model = require "spec.model_furniture"
local support = require "spec.support"

describe("the furniture of an arena is what it should be", function()
  it("after operations of four processes that are killed", function()
    local before = support.belongings()
    local done, kills = model.together(support.rounds(30000))
    io.write(("\n%d operations, %d kills"):format(done, kills))
    assert.same(before, support.belongings())
  end)
end)
