local cqueues = require "cqueues"
local process = require "shm.process"
local replica = require "shm.replica"
local replica_support = require "spec.replica_support"
local shm = require "shm"
local support = require "spec.support"

local ENOENT, E2BIG, EAGAIN, EBUSY, ENOSPC, EROFS, EPROTO = 2, 7, 11, 16, 28, 30, 71
local EUSERS, EMSGSIZE, ETIMEDOUT, EHOSTDOWN, ESTALE = 87, 90, 110, 112, 116
local LONG = support.LONG
local refused = support.refused

local function contents(node)
  local all, n = {}, 0
  for key, value in pairs(node) do
    all[key], n = value, n + 1
  end
  assert.equal(n, #node)
  return all
end

describe("a replica", function()
  local name, nodes, children, before

  before_each(function()
    before = {support.children(), support.descriptors()}
    name, nodes, children = "shm-spec-" .. support.key(), {}, {}
  end)

  after_each(function()
    for _, child in ipairs(children) do
      child:kill "KILL"
      child:wait()
      child:close()
    end
    for _, node in ipairs(nodes) do
      node:close()
    end
    replica.unlink(name)
    assert.same(before, {support.children(), support.descriptors()})
    assert.equal("", support.shell("ls /dev/shm | grep -F " .. name))
  end)

  local function open(id, options)
    local given = {id = id}
    for key, value in pairs(options or {}) do
      given[key] = value
    end
    local node = assert(replica.open(name, given))
    nodes[#nodes + 1] = node
    return node
  end

  -- A child that has opened a node, and does f(node) then.
  local function elsewhere(id, f, options)
    local ours <close>, other = assert(process.socketpair())
    local theirs <close> = other
    local child = assert(process.fork(function()
      local node <close> = open(id, options)
      theirs:send "."
      f(node)
    end))
    children[#children + 1] = child
    assert.equal(".", ours:recv(1, LONG))
    return child
  end

  local function sleep()
    process.sleep(LONG)
  end

  local function follow(node)
    replica_support.follow(node)
    assert.same({0, 0.0}, {node:lag()})
  end

  local function ended(child, how, code)
    assert.same({how or "exit", code or 0}, {child:wait(LONG)})
  end

  it("follows every change of the primary", function()
    local a, b = open "a", open "b"
    assert.same({"primary", "replica"}, {a:role(), b:role()})
    assert.equal(1, a:set("x", 1))
    assert.equal(2, a:set(7, {1, {two = true}}))
    assert.equal(3, a:set(true, "yes"))
    assert.same({6, 4}, {a:incr("x", 5)})
    assert.same({2.5, 5}, {a:incr("new", 2, 0.5)})
    assert.equal(6, a:delete(7))
    assert.is_false(a:delete(7))
    assert.same({"a", "b"}, {a:transaction(function(view, ...)
      view:set("x", view:get "x" + 1)
      view:delete "new"
      view:incr("x", 10)
      view:set("gone", 1)
      view:delete "gone"
      assert(view:get "gone" == nil and view:get "new" == nil and view:get "x" == 17)
      return ...
    end, "a", "b")})
    follow(b)
    local expected = {x = 17, [true] = "yes"}
    assert.same({expected, expected}, {contents(a), contents(b)})
    assert.same({7, 7}, {a:seq(), b:seq()})
    assert.equal(17, b:get "x")
    assert.is_nil(b:get "new")
  end)

  it("refuses to write, and names the primary", function()
    local a, b = open "a", open "b"
    local message = "b is a replica, a is the primary in term 1"
    refused(EROFS, "^replica%.set '.*': " .. message, b:set("x", 1))
    refused(EROFS, message, b:delete "x")
    refused(EROFS, message, b:incr("x", 1, 0))
    refused(EROFS, message, b:incr "there is none")
    refused(EROFS, message, b:transaction(function(view) view:set("x", 1) end))
    refused(EROFS, message, b:transaction(function() end))
    assert.equal(0, a:seq())
    local eye = open("b", {readonly = true})
    for _, action in ipairs {"step", "run", "takeover"} do
      refused(EROFS, "^replica%." .. action .. " .*b is only looked at", eye[action](eye, 0))
    end
    refused(EROFS, message, eye:set("x", 1))
  end)

  it("changes nothing when a transaction throws, or has nothing to do", function()
    local a = open "a"
    assert.error_matches(function()
      a:transaction(function(view)
        view:set("x", 1)
        error "no"
      end)
    end, "no")
    assert.equal("done", a:transaction(function() return "done" end))
    assert.same({0, {}}, {a:seq(), contents(a)})
  end)

  it("has a snapshot when it comes late, and the changes after it without a gap", function()
    -- The log is too short for what is there; the primary goes on all the while.
    local a = open("a", {log = 1 << 16, size = 1 << 20})
    for i = 1, 2000 do
      a:set("old" .. i, ("o"):rep(i % 200))
    end
    for i = 1, 1000 do
      a:delete("old" .. i)
    end
    local child = elsewhere("b", function(b)
      assert(b:wait_for(3000, LONG))
      assert(b:role() == "replica")
      assert(b:run(LONG))
      assert(b:set("by", "b"))
      b:close()
    end, {log = 1 << 16})
    local n = 0
    repeat
      n = n + 1
      a:set("n", n)
      a:set("new" .. n % 100, n)
    until n > 200 and a:lag() and (a:nodes()[2].seq or 0) >= 3200 or n > 1000000
    local expected = contents(a)
    expected.by = "b"
    a:close()
    ended(child)
    assert.same(expected, contents(open("b", {readonly = true})))
  end)

  it("says how far it is behind, in changes and seconds", function()
    local a, b = open "a", open "b"
    assert.same({0, 0.0}, {b:lag()})
    local began = process.monotonic()
    for i = 1, 10 do
      a:set(i, i)
    end
    support.eventually(function() return process.monotonic() > began + 0.02 end)
    local n, seconds = b:lag()
    assert.equal(10, n)
    assert(seconds > 0 and seconds <= process.monotonic() - began)
    follow(b)
    assert.same({0, 0.0}, {b:lag()})
    assert.same({0, 0.0}, {a:lag()})
    local eye = open("b", {readonly = true})
    a:set("x", 1)
    assert.equal(1, (eye:lag()))
  end)

  it("lets who writes read its own writes there", function()
    local a = open "a"
    local child = elsewhere("b", function(b)
      b:run(LONG)
    end)
    local eye = open("b", {readonly = true})
    for i = 1, 100 do
      local seq = assert(a:set("x", i))
      assert.is_true(eye:wait_for(seq, LONG))
      assert.equal(i, eye:get "x")
      a:set("x", -i)
      assert.equal(-i, eye:read("x", 0, LONG))
    end
    assert.equal("replica", eye:role())
    refused(ETIMEDOUT, "^replica%.wait_for", eye:wait_for(a:seq() + 1, 0.01))
    support.stop(child.pid)
    a:set("x", 0)
    assert.equal(-100, eye:get "x")
    refused(ETIMEDOUT, "^replica%.read", eye:read("x", 0, 0.01))
    assert.equal(-100, eye:read("x", 3600, 0))
    child:kill "CONT"
    assert.equal(0, eye:read("x", 0, LONG))
    local c = open "c"
    assert.is_true(c:wait_for(a:seq(), LONG)) -- by following
    assert.equal(0, c:read("x", 0, LONG))
    refused(ETIMEDOUT, "^replica%.wait_for", c:wait_for(a:seq() + 1, 0.01))
  end)

  it("takes over from a primary that was closed, with what that had", function()
    local a, b = open "a", open "b"
    for i = 1, 1000 do
      a:set(i, i)
    end
    a:close()
    assert.is_true(b:run(LONG))
    assert.equal("primary", b:role())
    assert.same({2, "b"}, {b:term()})
    assert.equal(1000, #b)
    assert.equal(1001, b:set("x", 1))
    assert.is_true(b:run(0))
    assert.equal(0, b:step(0))
  end)

  it("takes over from one that was killed, one of them", function()
    local w <close> = assert(shm.anonymous(64))
    local first = elsewhere("a", function(a)
      while true do
        w:store(0, (assert(a:set("n", w:load(0) + 1))))
      end
    end)
    for _, id in ipairs {"b", "c", "d"} do
      elsewhere(id, function(node)
        assert(node:run(LONG))
        assert(node:get "n" >= w:load(0))
        w:add(8, 1)
        assert(node:set("by", id))
        sleep()
      end)
    end
    support.eventually(function() return w:load(0) > 100 end, LONG)
    first:kill "KILL"
    ended(first, "signal", "KILL")
    support.eventually(function() return w:load(8) > 0 end, LONG)
    local eye = open("b", {readonly = true})
    local _, winner = eye:term()
    local seq = open(winner, {readonly = true}):seq()
    for _, id in ipairs {"b", "c", "d"} do
      local node = open(id, {readonly = true})
      support.eventually(function() return node:get "by" == winner end)
      assert.is_true(node:wait_for(seq, LONG))
      assert.equal(id == winner and "primary" or "replica", node:role())
    end
    assert.same({1, 2}, {w:load(8), (eye:term())})
  end)

  it("is given a term that others ask for at the same moment, one of them", function()
    local a = open "a"
    local w <close> = assert(shm.anonymous(1024))
    local together <close> = assert(shm.barrier.create(w, 64, 3))
    local rounds = support.rounds(100)
    for _ = 1, 3 do
      children[#children + 1] = assert(process.fork(function()
        for round = 1, rounds do
          local _, _, word = a.group:term()
          assert(together:wait(LONG))
          if a.group:elect(word, 1) then
            w:add(0, 1)
          end
          assert(together:wait(LONG))
          assert(w:load(0) == round)
        end
      end))
    end
    for i, child in ipairs(children) do
      ended(child)
      children[i]:close()
    end
    children = {}
  end)

  it("fences the primary that it takes over from", function()
    local a, b, c = open "a", open "b", open "c"
    a:set("x", "by a")
    assert.is_true(b:takeover(LONG))
    assert.is_true(b:takeover(0))
    assert.same({"replica", "primary", "replica"}, {a:role(), b:role(), c:role()})
    local message = "a is fenced, b is the primary in term 2"
    refused(ESTALE, "^replica%.set '.*': " .. message, a:set("x", "no"))
    refused(ESTALE, message, a:delete "x")
    refused(ESTALE, message, a:incr("n", 1, 0))
    refused(ESTALE, message, a:transaction(function(view) view:set("y", "no") end))
    assert.same({x = "by a"}, contents(a))
    b:set("z", "by b")
    follow(a)
    follow(c)
    refused(EROFS, "a is a replica, b is the primary in term 2", a:set("x", "no"))
    local expected = {x = "by a", z = "by b"}
    assert.same({expected, expected, expected}, {contents(a), contents(b), contents(c)})
    assert.is_true(a:takeover(LONG)) -- and back
    refused(ESTALE, "b is fenced, a is the primary in term 3", b:set("x", "no"))
    a:set("x", "again")
    follow(b)
    assert.equal("again", b:get "x")
  end)

  it("fences one that was stopped and goes on", function()
    local ours <close>, other = assert(process.socketpair())
    local theirs <close> = other
    local child = elsewhere("a", function(a)
      repeat
        local done, message, errno = a:incr("n", 1, 0)
      until not done and theirs:send(("%d %s"):format(errno, message))
      assert(a:wait_for(tonumber((theirs:recv(20, LONG))), LONG))
      assert(a:get "by" == "b" and a:role() == "replica")
    end)
    local b = open "b"
    b:step(LONG)
    support.stop(child.pid)
    assert.is_true(b:takeover(LONG))
    local n = b:get "n"
    local seq = b:set("by", "b")
    child:kill "CONT"
    assert.matches("^116 replica%.incr .*: a is fenced, b is the primary in term 2",
                   ours:recv(200, LONG))
    assert.equal(n, b:get "n")
    ours:send(tostring(seq))
    ended(child)
  end)

  it("replaces one that was stopped after its patience, and not before", function()
    local child = elsewhere("a", function(a)
      a:set("x", 1)
      sleep()
    end)
    local b, c = open "b", open("c", {patience = 0.05})
    assert(b:wait_for(1, LONG))
    support.stop(child.pid)
    refused(ETIMEDOUT, "^replica%.step", b:step(0.2))
    refused(ETIMEDOUT, "^replica%.run", b:run(0.1))
    assert.equal("a", select(2, b:term()))
    assert.is_true(c:run(LONG))
    assert.equal("c", select(2, b:term()))
    assert.equal(1, c:get "x")
  end)

  it("goes on where it was, whoever comes first after all were killed", function()
    local a = elsewhere("a", function(a)
      for i = 1, 100 do
        a:set(i, i)
      end
      sleep()
    end)
    local b = elsewhere("b", function(b)
      assert(b:wait_for(50, LONG))
      sleep()
    end)
    local eye = open("b", {readonly = true})
    assert.is_true(eye:wait_for(50, LONG))
    support.eventually(function() return eye:nodes()[1].seq == 100 end)
    for _, child in ipairs {a, b} do
      child:kill "KILL"
      ended(child, "signal", "KILL")
    end
    b = open "b"
    assert.same({"primary", 100, 100}, {b:role(), b:seq(), #b})
    assert.equal(101, b:set("x", 1))
    a = open "a"
    follow(a)
    assert.same(contents(b), contents(a))
  end)

  it("has its copy though the primary's memory loses its name", function()
    local a, b = open "a", open "b"
    a:set("x", 1)
    follow(b)
    a:set("y", 2)
    assert(shm.unlink(name .. ".a"))
    assert(shm.unlink(name .. ".a.log"))
    a:set("z", 3)
    follow(b)
    assert.same({x = 1, y = 2, z = 3}, contents(b))
    local c = open "c" -- which never saw that log: it can not fence it
    refused(EHOSTDOWN, "a lives and its log can not be reached", c:takeover(LONG))
    assert.is_true(b:run(LONG))
    refused(ESTALE, "fenced", a:set("x", 2))
    assert.same({x = 1, y = 2, z = 3}, contents(b))
  end)

  it("has its copy though the primary's memory is overwritten", function()
    local a, b, c = open("a", {log = 4096}), open("b", {log = 4096}), open("c", {log = 4096})
    a:set("x", 1)
    follow(b)
    follow(c)
    local log <close> = assert(shm.attach(name .. ".a.log"))
    for _, byte in ipairs {255, 0, 0x7f} do
      log:fill(384, #log - 384, byte)
      log:fill(32, 8, byte)
      assert.same({x = 1}, contents(b))
    end
    log:fill(0, #log, 0)
    a:close()
    assert.is_true(b:run(LONG))
    assert.equal(2, b:set("y", 2))
    follow(c)
    assert.same({{x = 1, y = 2}, {x = 1, y = 2}}, {contents(b), contents(c)})
  end)

  it("is copied anew where it is another's continuation", function()
    -- As it is when the primary's memory could not be reached while another took over.
    local a, b = open "a", open "b"
    a:set("x", 1)
    follow(b)
    a:set("only a", 1)
    a:set("x", "only a")
    a:close()
    assert(os.rename("/dev/shm/" .. name .. ".a.log", "/dev/shm/" .. name .. ".hidden"))
    b:close()
    b = open "b"
    assert.equal(2, b:set("x", 2))
    assert.equal(3, b:set("y", 2))
    assert(os.rename("/dev/shm/" .. name .. ".hidden", "/dev/shm/" .. name .. ".a.log"))
    a = open "a"
    follow(a)
    assert.same({{x = 2, y = 2}, 3, "replica"}, {contents(a), a:seq(), a:role()})
  end)

  it("goes on after the group's own memory was removed", function()
    local a = open "a"
    a:set("x", 1)
    assert(open("b"):takeover(LONG))
    for _, node in ipairs(nodes) do
      node:close()
    end
    assert(shm.unlink(name))
    a = open "a"
    assert.same({"primary", 1}, {a:role(), a:get "x"})
    assert(a:term() > 2)
    a:set("y", 1)
    local b = open "b"
    follow(b)
    assert.same({x = 1, y = 1}, contents(b))
  end)

  it("takes no living primary for dead when there is no descriptor left", function()
    local a = open "a"
    a:set("x", 1)
    local b = open "b"
    for _, known in pairs(b.group.known) do
      known.handle:close()
    end
    b.group.known = {}
    local opened = process.open
    process.open = function() return nil, "process.open: Too many open files", 24 end -- luacheck: ignore
    local _, _, errno = b:step(0.1)
    local other, message, code = replica.open(name, {id = "a"})
    process.open = opened -- luacheck: ignore
    assert.equal(ETIMEDOUT, errno)
    refused(EBUSY, "process %d+ is a", other, message, code)
    assert.equal("primary", a:role())
  end)

  it("outlives terms and counts that somebody scribbled", function()
    local a, b, c = open "a", open "b", open "c"
    a:set("x", 1)
    follow(b)
    follow(c)
    local log <close> = assert(shm.attach(name .. ".c.log"))
    c:close()
    log:store(8, 1000 << 44 | 1)
    assert.is_true(b:run(0) == nil and b:takeover(LONG) or b:run(LONG))
    assert(b:term() > 1000)
    assert(b:set("y", 1))
    log:store(8, -1)
    refused(75, "too many terms", (function()
      local n, message, errno
      repeat
        n, message, errno = a:takeover(LONG)
      until errno ~= EAGAIN
      return n, message, errno
    end)())
    for _, word in ipairs {0, -1, 1 << 62} do
      local own <close> = assert(shm.attach(name .. ".a.log"))
      own:store(8, word)
      local n, _, errno = a:step(0.05) -- it ends
      assert(n or errno)
    end
  end)

  it("goes on without its log, or without its map", function()
    local a = open "a"
    a:set("x", 1)
    a:close()
    assert(shm.unlink(name .. ".a.log"))
    a = open "a"
    assert.same({"primary", 1, 1}, {a:role(), a:get "x", a:seq()})
    a:set("y", 2)
    local b = open "b"
    follow(b)
    assert.same({x = 1, y = 2}, contents(b))
    b:close()
    assert(shm.unlink(name .. ".b"))
    b = open "b"
    follow(b)
    assert.same({x = 1, y = 2}, contents(b))
  end)

  it("takes over the whole map where a change is more than its own journal has room for", function()
    local a, b = open("a", {journal = 1 << 16}), open("b", {journal = 2048})
    assert.equal(100, a:transaction(function(view)
      for i = 1, 100 do
        view:set(i, "value")
      end
      return 100
    end))
    a:set("last", 1)
    follow(b)
    assert.same(contents(a), contents(b))
    a:close()
    assert(b:run(LONG))
    assert.same({"primary", 3}, {b:role(), b:set("last", 2)})
  end)

  it("can make every change that the primary can, however its buckets lie", function()
    local a, b = open("a", {size = 1 << 22}), open("b", {size = 1 << 22})
    for i = 1, 4000 do
      a:set(i, 0)
    end
    follow(b)
    for try = 1, support.rounds(40) do
      for n = 255, 266 do -- in as many buckets, but for those in which two keys lie
        a:transaction(function(view)
          for i = 1, n do
            view:set((try * 97 + i) % 4000 + 1, try)
          end
        end)
      end
      follow(b)
    end
    assert.same(contents(a), contents(b))
  end)

  it("refuses what does not fit, and has nothing of it", function()
    local a = open("a", {size = 1 << 16, log = 1 << 18})
    local b = open("b", {size = 1 << 16, log = 1 << 18})
    refused(ENOSPC, "^replica%.set", a:set("x", ("x"):rep(60000)))
    refused(EMSGSIZE, "^replica%.set .*takes 87357", a:set("x", ("x"):rep(90000)))
    refused(E2BIG, "^replica%.transaction .*1000 keys", a:transaction(function(view)
      for i = 1, 1000 do
        view:set(i, i)
      end
    end))
    refused(E2BIG, "^replica%.transaction", a:transaction(function(view)
      for i = 1, 900 do
        view:set(i, i)
      end
    end))
    assert.same({0, {}}, {a:seq(), contents(a)})
    a:set("x", 1)
    follow(b)
    assert.same({x = 1}, contents(b))
    local c = open("c", {size = 1 << 15, log = 1 << 13})
    for i = 1, 20 do
      assert(a:set(i, ("x"):rep(1500)))
    end
    local n, message, errno
    repeat
      n, message, errno = c:step(0)
    until not n
    refused(ENOSPC, "^replica%.step", n, message, errno)
  end)

  it("has the last change in its log though the next one is being written over others", function()
    local a = open("a", {log = 1 << 13})
    local log = a.copy.log
    for i = 1, 300 do
      assert(a:set("x", ("x"):rep(i * 37 % 2600)))
      assert(log:prepare(i + 1, 1, 0, ("y"):rep(math.random(1, 2700)))) -- and killed
      assert.is_string(log:entry(i))
      assert.same({i, 1}, {log:last()})
    end
    refused(EMSGSIZE, "2706", a:set("x", ("x"):rep(2706)))
  end)

  it("says so while it is being filled", function()
    local a, b = open "a", open "b"
    a:set("x", 1)
    local log <close> = assert(shm.attach(name .. ".b.log"))
    log:store(24, 0)
    refused(EAGAIN, "^replica%.get .*b is being filled", b:get "x")
    assert.error_matches(function() contents(b) end, "b is being filled")
    assert.is_false(b:nodes()[2].whole)
    b:close()
    b = open "b"
    follow(b)
    assert.equal(1, b:get "x")
  end)

  it("is one process's, and has one name in it", function()
    local a = open "a"
    a:set("x", 1)
    refused(EBUSY, ("process %d is a"):format(process.pid()), replica.open(name, {id = "a"}))
    local child = assert(process.fork(function()
      assert(a:get "x" == 1)
      for _, action in ipairs {"set", "step", "takeover"} do
        local ok, message = pcall(a[action], a, "x", 2)
        assert(not ok and message:match "belongs to process", message)
      end
      a:close()
    end))
    ended(child)
    child:close()
    assert.equal("primary", a:role())
    assert.equal(2, a:set("x", 2))
    for i = 2, 16 do
      open("n" .. i, {size = 1 << 15, log = 4096})
    end
    refused(EUSERS, "16 nodes", replica.open(name, {id = "n17"}))
    assert.equal(16, #a:nodes())
  end)

  it("tells who there is", function()
    local a, b = open "a", open "b"
    a:set("x", 1)
    b:close()
    assert.same({
      {id = "a", pid = process.pid(), role = "primary", seq = 1, whole = true},
      {id = "b", role = "replica", seq = 0, whole = true},
    }, a:nodes())
    assert.equal(("shm.replica (%s.a)"):format(name), tostring(a))
    assert.equal("shm.replica (closed)", tostring(b))
  end)

  it("refuses keys and values that are none", function()
    local a = open "a"
    for _, key in ipairs {1.5, {}, print, "\0shm.replica", ("x"):rep(1 << 20)} do
      for _, action in ipairs {"get", "set", "delete", "incr", "read"} do
        assert.error_matches(function() a[action](a, key, 1) end, "key")
      end
      assert.error_matches(function()
        a:transaction(function(view) view:set(key, 1) end)
      end, "key")
    end
    assert.error_matches(function() a:set("x", print) end, "value")
    assert.error_matches(function() a:set("x", nil) end, "value")
    a:set("x", "text")
    assert.error_matches(function() a:incr "x" end, "string")
    refused(ENOENT, "no such key", a:incr "y")
    assert.equal(2, a:set(2.0, 1))
    assert.equal(1, a:get(2))
    refused(ENOENT, "no node", replica.open(name, {id = "z", readonly = true}))
    refused(ENOENT, "No such file", replica.open(name .. "z", {id = "z", readonly = true}))
    refused(ENOENT, "No such file", replica.unlink(name .. "z"))
  end)

  it("leaves alone what is something else's", function()
    local region <close> = assert(shm.create(name, 8192))
    region:store(0, 4711)
    refused(EPROTO, "something else", replica.open(name, {id = "a"}))
    refused(EPROTO, "something else", replica.unlink(name))
    shm.unlink(name)
    local log <close> = assert(shm.create(name .. ".a.log", 1 << 21))
    log:store(0, 4711)
    refused(EPROTO, "something else", replica.open(name, {id = "a"}))
    shm.unlink(name .. ".a.log")
    assert.equal("primary", open("a"):role())
  end)

  it("sleeps while it follows, and ends with Ctrl-C", function()
    local a = open "a"
    a:set("x", 1)
    assert.is_true(support.interrupts(function()
      local b <close> = open "b"
      assert(b:run(LONG))
    end))
  end)

  it("stands in an event loop", function()
    if support.asan or support.valgrind then
      return pending "cqueues, under sanitizers"
    end
    local a = elsewhere("a", function(a)
      for i = 1, 100 do
        a:set("n", i)
        process.sleep(0.0005)
      end
      sleep()
    end)
    local b = open "b"
    local loop, seen = cqueues.new(), 0
    loop:wrap(function()
      local fd = b:fileno()
      while b:role() == "replica" do
        local n, message, errno = b:step(0)
        assert(n or errno == ETIMEDOUT, message)
        seen = math.max(seen, b:get "n" or 0)
        if seen == 100 and a then
          a:kill "KILL"
          a = nil
        end
        cqueues.poll(b)
      end
      cqueues.cancel(fd)
    end)
    assert(loop:loop(LONG))
    assert.same({100, "primary"}, {seen, b:role()})
    assert.is_nil(b:timeout())
  end)
end)
