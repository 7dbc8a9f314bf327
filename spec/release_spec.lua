-- A release: its rockspec, and all the places that say which version it is.
local support = require "spec.support"

local VERSION <const> = support.read_file "Makefile":match "\nVERSION%s*:= (%S+)"
local RELEASE <const> = "shm-" .. VERSION .. "-1.rockspec"

local function rockspec(path)
  local it = {}
  assert(loadfile(path, "t", it))()
  return it
end

describe("a release", function()
  it("has the rockspec of development, but for the version and where its source is", function()
    local release, development = rockspec(RELEASE), rockspec "shm-dev-1.rockspec"
    assert.equal(VERSION .. "-1", release.version)
    assert.equal("v" .. VERSION, release.source.tag)
    release.version, release.source.tag = development.version, nil
    assert.same(development, release)
  end)

  it("is the only one here", function()
    assert.equal(RELEASE .. "\nshm-dev-1.rockspec\n", support.shell "ls *.rockspec")
  end)

  it("has a rockspec that make release writes", function()
    local folder = support.shell("mktemp -d"):match "%S+"
    support.shell(("cp Makefile shm-dev-1.rockspec %s && make -s -C %s release 2>&1"):format(
      folder, folder))
    local written = support.read_file(folder .. "/" .. RELEASE)
    os.execute("rm -rf " .. folder)
    assert.equal(written, support.read_file(RELEASE))
  end)

  it("says its version where Lua and people look", function()
    assert.equal("shm " .. VERSION, require("shm")._VERSION)
    assert.equal(VERSION, support.read_file("CHANGELOG.md"):match "\n## (%S+)")
  end)

  it("is built by LuaRocks' default, which is the other one, and tested by make test", function()
    local it = rockspec "shm-dev-1.rockspec"
    assert.same({type = "command", command = "make test"}, it.test)
    assert.is_nil(it.test_dependencies) -- these are Debian's packages, see make test-deps
  end)

  it("tells another Lua what it needs", function()
    if not os.execute "command -v lua5.1 >/dev/null" then
      return pending "there is no lua5.1 here"
    end
    local folder = support.shell("mktemp -d"):match "%S+"
    local said = support.shell(("luarocks --lua-version=5.1 --tree=%s make %s 2>&1"):format(
      folder, RELEASE))
    os.execute("rm -rf " .. folder)
    assert.matches("lua >= 5%.4", said)
  end)
end)
