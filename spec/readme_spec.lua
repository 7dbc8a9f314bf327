-- What README shows is so.
local support = require "spec.support"

local MODULES <const> = {"sysv", "posix", "process", "peer", "rpc", "replica", "durable",
                         "exclusion", "chat", "chaos", "value"}

describe("README", function()
  local text = support.read_file "README.md"

  it("has Lua that runs", function()
    local blocks = 0
    for block in text:gmatch "```lua\n(.-)```" do
      local path = os.tmpname()
      local file <close> = assert(io.open(path, "w"))
      file:write(block)
      file:close()
      local output = support.shell("lua5.4 " .. path .. " 2>&1")
      os.remove(path)
      blocks = blocks + 1
      local expected = {
        "^hello from %d+\texit\t0\n$", "^7\n$", "^b\t20\t10\t8\n$",
        "^11\t7\t3\n$",
      }
      assert.matches(expected[blocks], output)
    end
    assert.equal(4, blocks)
  end)

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
