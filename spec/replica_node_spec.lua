-- A node of a group of replicas by itself: whose it is, what it answers once it is fenced, and what
-- of it is undone when it can not be opened.
local process = require "shm.process"
local replica = require "shm.replica"
local support = require "spec.support"

local ENOENT, ENOSPC, EROFS, ETIMEDOUT, ESTALE = 2, 28, 30, 110, 116
local LONG = support.LONG

local function refused(errno, pattern, result, message, number)
  assert.is_nil(result)
  assert.matches(pattern, message)
  assert.equal(errno, number)
end

describe("a node", function()
  local name, nodes, before

  before_each(function()
    before = support.belongings()
    name, nodes = "shm-spec-" .. support.key(), {}
  end)

  after_each(function()
    for _, node in ipairs(nodes) do
      node:close()
    end
    replica.unlink(name)
    assert.same(before, support.belongings())
  end)

  local function open(id, options)
    local given = {id = id, size = 1 << 17, log = 1 << 16}
    for key, value in pairs(options or {}) do
      given[key] = value
    end
    nodes[#nodes + 1] = assert(replica.open(name, given))
    return nodes[#nodes]
  end

  local function follow(node)
    repeat
      local n, message, errno = node:step(0)
      assert(n or errno == ETIMEDOUT, message)
    until not n
  end

  local function in_child(f)
    local child <close> = assert(process.fork(f))
    assert.same({"exit", 0}, {child:wait(LONG)})
  end

  it("is only looked at by a child, which waits for what its parent follows", function()
    local a, b = open "a", open "b"
    a:set("x", 1)
    follow(b)
    a:set("x", 2)
    local ours, theirs = assert(process.socketpair "seqpacket")
    local child <close> = assert(process.fork(function()
      local _, message, errno = b:read("x", 0, 0.01)
      assert(errno == ETIMEDOUT and message:match "^replica%.read", message)
      _, message, errno = b:wait_for(2, 0)
      assert(errno == ETIMEDOUT and message:match "^replica%.wait_for", message)
      assert(b:seq() == 1 and b:lag() == 1 and b:get "x" == 1 and b:role() == "replica")
      theirs:send "looked"
      assert(b:wait_for(2, LONG) and b:read("x", 0, LONG) == 2)
    end))
    assert.equal("looked", ours:recv(10, LONG))
    assert.equal(1, b:seq())
    follow(b)
    assert.same({"exit", 0}, {child:wait(LONG)})
    a:set("x", 3)
    follow(b)
    assert.same({3, 3}, {b:seq(), b:get "x"})
    a:close()
    in_child(function() -- nobody takes over in it
      local _, _, errno = b:wait_for(4, 0.05)
      assert(errno == ETIMEDOUT and select(2, b:term()) ~= "b")
    end)
    assert.is_true(b:run(LONG))
    assert.equal(4, b:set("x", 4))
    ours:close()
    theirs:close()
  end)

  it("that is fenced answers nothing as if it were the primary", function()
    local a, b = open "a", open "b"
    a:set("x", "text")
    assert.is_true(b:takeover(LONG))
    b:set("new", 1)
    b:set("x", 1)
    local message = "a is fenced, b is the primary in term 2"
    refused(ESTALE, "^replica%.delete '.*': " .. message, a:delete "new")
    refused(ESTALE, "^replica%.incr '.*': " .. message, a:incr "new")
    refused(ESTALE, message, a:incr "x")
    refused(ESTALE, "^replica%.transaction '.*': " .. message, a:transaction(function(view)
      return view:get "x"
    end))
    assert.same({1, "replica"}, {a:seq(), a:role()})
    follow(a)
    message = "a is a replica, b is the primary in term 2"
    refused(EROFS, message, a:delete "there is none")
    refused(EROFS, message, a:transaction(function() end))
    assert.is_false(b:delete "there is none")
    refused(ENOENT, "no such key", b:incr "there is none")
    assert.equal(1, b:transaction(function(view) return view:get "new" end))
  end)

  it("that is closed within its own transaction changes nothing", function()
    local a = open "a"
    assert.error_matches(function()
      a:transaction(function(view)
        view:set("x", 1)
        a:close()
      end)
    end, "^replica%.transaction: node is closed$")
    assert.is_nil(open("a"):get "x")
  end)

  it("that can not be opened is nobody's, and can be opened the next time", function()
    open "a"
    local function wrong(size, journal)
      return replica.open(name, {id = "b", size = size, journal = journal})
    end
    refused(ENOSPC, "too few", wrong(1))
    assert.error_matches(function() wrong(1 << 61) end, "^replica%.open: size: ")
    assert.error_matches(function() wrong(0) end, "^replica%.open: size: ")
    assert.error_matches(function() wrong(1, (1 << 30) + 1) end, "^replica%.open: journal: ")
    local copies = require "shm.replica.copy"
    local real = copies.open
    function copies.open() error "interrupted!" end
    local ok, message = pcall(wrong)
    copies.open = real
    assert.is_false(ok)
    assert.matches("interrupted!", message)
    assert.is_nil(nodes[1]:nodes()[2].pid)
    assert.equal("replica", open("b"):role())
  end)
end)
