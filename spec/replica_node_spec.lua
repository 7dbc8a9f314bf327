-- A node of a group of replicas by itself: whose it is, what it answers once it is fenced, and what
-- of it is undone when it can not be opened.
local posix = require "shm.posix"
local process = require "shm.process"
local replica = require "shm.replica"
local replica_support = require "spec.replica_support"
local shm = require "shm"
local support = require "spec.support"

local ENOENT, EINTR, ENOSPC, EROFS, ENODATA = 2, 4, 28, 30, 61
local EPROTO, ETIMEDOUT, ESTALE = 71, 110, 116
local LONG = support.LONG
local refused, follow = support.refused, replica_support.follow

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

  local function in_child(f)
    local child <close> = assert(process.fork(f))
    assert.same({"exit", 0}, {child:wait(LONG)})
  end

  it("leaves no place and no memory where it can not be opened", function()
    local a = open "a"
    for i = 1, 20 do
      local id = "n" .. i
      local other <close> = assert(shm.create(("%s.%s.log"):format(name, id), 1 << 17))
      other:fill(0, 64, 1)
      refused(EPROTO, "something else is there", replica.open(name, {id = id, log = 1 << 16}))
      assert.is_nil(shm.attach(("%s.%s"):format(name, id)))
      assert(shm.unlink(("%s.%s.log"):format(name, id)))
    end
    assert.equal(1, #a:nodes())
    for i = 1, 15 do
      open("n" .. i)
    end
    assert.equal(16, #a:nodes())
  end)

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

  it("that makes no sense throws at the caller's, before anything is made", function()
    for _, wrong in ipairs {{max = (1 << 35) + 1}, {max = (1 << 61) - 1}, {max = 1 << 16},
                            {size = 1 << 20, max = 1 << 16}, {size = 1 << 61}} do
      wrong.id = "a"
      local ok, message = pcall(function()
        local _ = replica.open(name, wrong)
      end)
      assert.is_false(ok)
      assert.matches("replica_node_spec%.lua:%d+: replica%.open: %l+: %d+ is ", message)
      refused(ENOENT, "", replica.unlink(name))
    end
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
    assert.equal(1, #nodes[1]:nodes())
    assert.equal("replica", open("b"):role())
  end)

  it("takes over in no time what is in the log", function()
    local a, b = open "a", open "b"
    for i = 1, 300 do
      a:set(i, i)
    end
    assert.is_true(b:takeover(0))
    assert.same({"primary", 300, 300}, {b:role(), b:seq(), b:get(300)})
  end)

  it("has fenced who was primary though its time was over, and goes on with that", function()
    local a = open "a"
    for i = 1, 1500 do -- more than the log has
      a:set(i % 10, ("x"):rep(50) .. i)
    end
    local b = open "b"
    refused(ETIMEDOUT, "^replica%.takeover '.*': it takes longer", b:takeover(0))
    refused(ESTALE, "a is fenced, nobody is the primary in term 2", a:set("x", 1))
    assert.same({2}, {b:term()})
    assert.is_true(b:run(LONG))
    assert.same({1500, ("x"):rep(50) .. 1500}, {b:seq(), b:get(0)})
  end)

  it("has no copy to take over where none is whole", function()
    local a, b = open "a", open "b"
    a:set("x", 1)
    follow(b)
    for _, id in ipairs {"a", "b"} do
      local log <close> = assert(shm.attach(name .. "." .. id .. ".log"))
      log:store(24, 0) -- as while it is filled
    end
    a:close()
    refused(ENODATA, "^replica%.run '.*': no copy is whole$", b:run(LONG))
    refused(ENODATA, "^replica%.takeover '.*': no copy is whole$", b:takeover(LONG))
    local log <close> = assert(shm.attach(name .. ".a.log"))
    log:store(24, 1)
    assert.is_true(b:run(LONG))
    assert.equal(1, b:get "x")
  end)

  it("says that a signal ended its wait, whatever it waits for", function()
    local a, b = open "a", open "b"
    a:set("x", 1)
    follow(b)
    local waits = {
      step = function(node) return node:step(LONG) end,
      run = function(node) return node:run(LONG) end,
      wait_for = function(node) return node:wait_for(9, LONG) end,
    }
    for what, f in pairs(waits) do
      assert.same({"exit", 0}, {support.signalled(function()
        b.owner = process.pid() -- it is this one's
        refused(EINTR, "^replica%." .. what, f(b))
      end)}, what)
    end
  end)

  it("has names of the lengths that it says, and no others", function()
    local longest = name .. ("n"):rep(186 - #name)
    local node = assert(replica.open(longest, {id = ("i"):rep(64)}))
    local refusal = "^replica%%.%s: name: 1 to 186 bytes without a slash expected, got "
    for _, wrong in ipairs {longest .. "n", "", "a/b", "a\0b", ".", "..", 1} do
      for action, f in pairs {
        open = function() replica.open(wrong, {id = "a"}) end,
        unlink = function() replica.unlink(wrong) end,
      } do
        assert.error_matches(f, refusal:format(action))
      end
    end
    for _, wrong in ipairs {("i"):rep(65), "", "a/b", "a\0b"} do
      assert.error_matches(function() replica.open(name, {id = wrong}) end,
                           "^replica%.open: id: 1 to 64 bytes without a slash expected, got ")
    end
    node:close()
    assert.is_true(replica.unlink(longest))
  end)

  it("has memory of the mode that was asked for, its owner's alone if none was", function()
    local function modes(id)
      local list = {}
      for _, suffix in ipairs {"", "." .. id, "." .. id .. ".log"} do
        local fd <close> = assert(posix.open("/dev/shm/" .. name .. suffix, posix.O_RDONLY))
        list[#list + 1] = ("%o"):format(posix.fstat(fd).mode & 511)
      end
      return list
    end
    open("a", {mode = tonumber("640", 8)})
    assert.same({"640", "640", "640"}, modes "a")
    open "b"
    assert.same({"640", "600", "600"}, modes "b")
  end)

  it("keeps what it has open when its group is unlinked, and takes over in it", function()
    local a, b = open "a", open "b"
    a:set("x", 1)
    assert.is_true(replica.unlink(name))
    assert.same({"", 0}, {support.shell("ls /dev/shm | grep -F " .. name), b:seq()})
    a:set("y", 2)
    follow(b)
    assert.same({1, 2}, {b:get "x", b:get "y"})
    a:close()
    assert.is_true(b:run(LONG))
    assert.equal(3, b:set("x", 3))
    local anew = open "a" -- the name is another group's now
    assert.same({"primary", 0, "primary"}, {anew:role(), anew:seq(), b:role()})
  end)

  it("is polled by another descriptor once another is primary, and by time, too", function()
    local a, b, c = open "a", open "b", open "c"
    follow(b)
    local fd = b:fileno()
    assert.same({fd, fd, "r"}, {b:getfd(), b:pollfd(), b:events()})
    assert.is_true(b:timeout() > 0)
    assert.is_nil(a:timeout())
    assert.is_true(c:takeover(LONG))
    follow(b)
    assert.not_equal(fd, b:fileno())
  end)

  it("adds in a transaction to numbers alone, as incr does", function()
    local a = open "a"
    a:set("text", "5")
    for said, wrong in pairs {
      ["incr: n, init: numbers expected"] = {"new", "1", 1},
      ["incr: n, init: numbers expected$"] = {"new", 1, {}},
      ["incr: the key's value is a string"] = {"text", 1},
      ["there is no key new to add to"] = {"new"},
    } do
      assert.error_matches(function()
        a:transaction(function(view)
          view:set("other", 1)
          view:incr(table.unpack(wrong))
        end)
      end, said)
    end
    assert.same({1, 2.5}, {a:seq(), a:transaction(function(view)
      return view:incr("new", 0.5, 2)
    end)})
    assert.is_nil(a:get "other")
  end)

  -- As Ctrl-C does, throws when a function returns that f calls, in the middle of another.
  local function interrupted(inner, f, ...)
    local thrown = false
    debug.sethook(function()
      if not thrown and debug.getinfo(2, "f").func == inner then
        thrown = true
        error("interrupted!", 0)
      end
    end, "r")
    local ok, problem = pcall(f, ...)
    debug.sethook()
    assert.same({true, false, "interrupted!"}, {thrown, ok, problem})
  end

  it("goes on after Ctrl-C in the middle of a change, which was made or was not", function()
    local a, b = open "a", open "b"
    local apply = a.copy.map.apply
    for i = 1, 3 do
      interrupted(apply, a.set, a, "x", i)
      assert.same({"primary", i}, {a:role(), a:get "x"})
    end
    assert.equal(4, a:set("x", 4))
    interrupted(a.copy.log.prepare, a.set, a, "x", 5)
    assert.equal(5, a:incr("y", 1, 0) and a:seq())
    interrupted(apply, b.step, b, LONG)
    follow(b)
    assert.same({5, 4, 1}, {b:seq(), b:get "x", b:get "y"})
    interrupted(apply, a.incr, a, "y", 1)
    assert.is_true(a:transaction(function(view) return view:get "y" == 2 end))
    follow(b)
    assert.same({6, 2}, {b:seq(), b:get "y"})
  end)

  it("takes over after Ctrl-C in the middle of that", function()
    local a, b, c = open "a", open "b", open "c"
    for i, inner in ipairs {b.group.elect, b.copy.log.raise, b.copy.log.activate,
                            b.copy.log.last} do
      assert(a:takeover(LONG))
      a:set("x", i)
      follow(b)
      follow(c)
      interrupted(inner, b.takeover, b, LONG)
      repeat
        local n, message, errno = b:step(LONG)
        assert(n or errno == ETIMEDOUT, message)
      until b:role() == "primary" or n == nil
      assert(b:takeover(LONG))
      assert(b:set("x", -i))
      follow(c)
      assert.same({-i, "b"}, {c:get "x", (select(2, c:term()))})
      follow(a)
    end
  end)
end)
