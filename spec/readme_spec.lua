-- What README names is there. guides_spec runs its code.
local support = require "spec.support"

local MODULES <const> = {"sysv", "posix", "process", "peer", "rpc", "replica", "durable",
                         "exclusion", "chat", "chaos", "value", "lab"}

describe("README", function()
  local text = support.read_file "README.md"

  it("names targets that there are", function()
    local targets = support.shell "make help"
    for target in text:gmatch "%f[%w]make ([a-z]+)" do
      assert(target == "help" or targets:find("make " .. target .. " ", 1, true), target)
    end
  end)

  it("names every function that there is", function()
    local said = {}
    for word in text:gmatch "`([%w_]+)`" do
      said[word] = true
    end
    for _, name in ipairs(MODULES) do
      for exported, value in pairs(require("shm." .. name)) do
        assert(type(value) ~= "function" or said[exported], name .. "." .. exported)
      end
    end
    for exported, value in pairs(require "shm") do
      assert(type(value) ~= "function" or said[exported], exported)
    end
  end)

  it("has a row for each module that there is", function()
    local known = {shm = true, ["shm.core"] = true, ["shm.options"] = true, ["shm.arena"] = true,
                   ["shm.record"] = true} -- what shm has, and what is nobody's to require
    for _, name in ipairs(MODULES) do
      known["shm." .. name] = true
    end
    local rockspec = {}
    assert(loadfile("shm-dev-1.rockspec", "t", rockspec))()
    for name in pairs(rockspec.build.modules) do
      assert(known[name] or name:find "%..*%.", name)
    end
  end)

  it("names only functions that there are", function()
    local modules = {}
    for _, name in ipairs(MODULES) do
      local list = text:match("| `shm%." .. name .. "` | ([^|;\n]+)") -- up to the methods
      for word in list:gmatch "`([%w_]+)`" do
        modules[name] = require("shm." .. name)
        assert.is_function(modules[name][word], name .. "." .. word)
      end
    end
  end)
end)
