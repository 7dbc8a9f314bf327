-- A share of what spec/model_map.lua does: make soak does a million.
local model = require "spec.model_map"
local support = require "spec.support"

describe("a map is what it should be", function()
  it("beside a plain table", function()
    model.alone(support.rounds(50000))
  end)

  it("after operations of four processes that are killed", function()
    local done, kills = model.together(support.rounds(50000))
    io.write(("\n%d operations, %d kills"):format(done, kills))
  end)
end)
