-- The house stands: floors include downwards only, and each thing is where it is looked for.
local support = require "spec.support"

local FLOORS = {os = 0, mem = 1, sync = 2, ds = 3, bind = 4}

local function files(pattern)
  return support.shell("ls " .. pattern .. " 2>/dev/null"):gmatch "%S+"
end

local function each_source(f)
  for path in files "src/*/*.[ch]" do
    f(path, support.read_file(path), FLOORS[path:match "^src/(%w+)/"])
  end
end

describe("the house", function()
  it("has these floors and no other", function()
    for floor in files "src" do
      assert(FLOORS[floor], floor)
    end
  end)

  it("includes from its own floor and those below", function()
    each_source(function(path, text, floor)
      for included in text:gmatch '#include%s+"(%w+)/' do
        assert(FLOORS[included] <= floor, path .. " includes from " .. included)
      end
      assert.is_nil(text:match '#include%s+"[^/"]+"', path .. " includes by a bare name")
    end)
  end)

  it("includes Lua on the stairs alone", function()
    each_source(function(path, text, floor)
      local lua = text:match '#include%s+[<"]l[au][ua]%w*%.h' or text:match "lua_State"
      assert(not lua or floor == FLOORS.bind, path)
    end)
  end)

  it("names memory orders in mem/atomic.h alone", function()
    each_source(function(path, text)
      local order = text:match "__ATOMIC_" or text:match "memory_order" or text:match "__atomic_"
        or text:match "__sync_"
      assert(not order or path == "src/mem/atomic.h", path)
    end)
  end)

  it("has one door a floor, and hides what is behind it", function()
    for path in files "src/*/*.h" do
      local floor, name = path:match "^src/(%w+)/(%w+)%.h$"
      local text = support.read_file(path)
      assert.matches("#ifndef LSHM_" .. floor:upper(), text)
      if name == floor then
        assert.matches("#pragma GCC visibility push%(hidden%)", text)
      else -- what has no file of its own: it is included where it is used, and inline
        assert.is_nil(text:match "#pragma GCC visibility", path)
      end
    end
    local core = package.searchpath("shm.core", package.cpath)
    local exported = {}
    for symbol in support.shell("nm -D --defined-only " .. core):gmatch " T (%S+)" do
      exported[#exported + 1] = symbol
    end
    assert.same({"luaopen_shm_core"}, exported)
  end)

  it("has rooms that open with a comment and fit on a few screens", function()
    each_source(function(path, text)
      assert.equal("/*\n", text:sub(1, 3), path)
      local lines = select(2, text:gsub("\n", ""))
      assert(lines <= 400, path .. " has " .. lines .. " lines: is there a second room in it?")
    end)
  end)

  it("is described whole by the rockspec", function()
    local rockspec = {}
    assert(loadfile("shm-dev-1.rockspec", "t", rockspec))()
    local modules, listed, present = rockspec.build.modules, {}, {}
    for _, source in ipairs(modules["shm.core"].sources) do
      listed[source] = true
    end
    for path in files "src/*/*.c" do
      present[path] = true
    end
    assert.same(present, listed)
    listed, present = {}, {}
    for name, path in pairs(modules) do
      if type(path) == "string" then
        listed[path] = true
        local expected = "lua/" .. name:gsub("%.", "/")
        assert(path == expected .. ".lua" or path == expected .. "/init.lua", path)
      end
    end
    for path in support.shell("find lua -name '*.lua'"):gmatch "%S+" do
      present[path] = path ~= rockspec.build.install.bin.shm and not path:match "%.d%.lua$" or nil
    end
    assert.same(present, listed)
  end)

  it("has no other folders", function()
    local known = {src = true, lua = true, spec = true, examples = true, bench = true}
    for path in support.shell("git ls-files"):gmatch "([^/\n]+)/[^\n]*" do
      assert(known[path] or path == ".ci", path)
    end
  end)
end)
