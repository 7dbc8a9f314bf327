-- Objects of an arena: found or made by their names, and there for as long as they are open.
local others = require "spec.arena_support"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local elsewhere, other, refused = others.elsewhere, others.other, others.refused
local LONG = support.LONG
local SIZE, MAX = 1 << 16, 1 << 20
local ENOENT, ERANGE, ENOTEMPTY, EPROTO = 2, 34, 39, 71

describe("an arena has objects", function()
  local before, r, a

  before_each(function()
    before = support.belongings()
    r = assert(shm.anonymous(SIZE, {max = MAX}))
    a = assert(shm.arena(r, {max = MAX}))
  end)

  after_each(function()
    a:close()
    r:close()
    a, r = nil, nil
    collectgarbage()
    assert.same(before, support.belongings())
  end)

  local KINDS = {
    mutex = {}, rwlock = {}, semaphore = {0}, event = {}, condition = {}, barrier = {2},
    counter = {5}, bytes = {100},
  }

  local function find(kind, name)
    return a[kind](a, name, table.unpack(KINDS[kind]))
  end

  it("that are found or made, each of its kind", function()
    for kind in pairs(KINDS) do
      local one <close>, made = find(kind, kind .. "'s")
      assert.is_true(one and made)
      elsewhere(function()
        local found <close>, again = assert(find(kind, kind .. "'s"))
        assert(found and again == false)
      end)
      for wrong in pairs(KINDS) do
        if wrong ~= kind then
          local message = refused(ENOTEMPTY, find, wrong, kind .. "'s")
          assert.matches("of another kind", message)
        end
      end
    end
    local names = assert(a:names())
    for kind in pairs(KINDS) do
      assert.equal(kind, names[kind .. "'s"])
    end
    assert.equal(8, a:stat().objects)
  end)

  it("with names of 1 to 255 bytes of any kind", function()
    for _, name in ipairs {"a", ("n"):rep(255), "\0", "\0\0", "a\0b", "ü/../%s", "\255"} do
      local one <close>, made = a:counter(name, 3)
      assert.is_true(one and made)
      assert.equal("counter", a:names()[name])
      assert.is_false(select(2, a:counter(name)))
      assert(a:drop(name))
    end
    for _, name in ipairs {"", ("n"):rep(256)} do
      assert.error_matches(function() a:counter(name) end, "1 to 255")
      assert.error_matches(function() a:drop(name) end, "1 to 255")
    end
    assert.error_matches(function() a:mutex(1) end, "name")
  end)

  it("that errors and tostring call by their names", function()
    for _, kind in ipairs {"mutex", "queue", "topic", "map"} do
      assert.equal("shm." .. kind .. " (its " .. kind .. ")", tostring(a[kind](a, "its " .. kind)))
    end
    local q, t = a:queue "jobs", a:topic "news"
    local s = assert(t:subscribe())
    assert.equal("shm.subscriber (news)", tostring(s))
    for what, of in pairs {
      ["queue.pop 'jobs'"] = function() return q:pop(0) end,
      ["subscriber.next 'news'"] = function() return s:next(0) end,
      ["counter.wait 'c'"] = function() return a:counter("c"):wait(1, 0) end,
      ["map.wait 'pages'"] = function() return a:map("pages"):wait("key", 0, 0) end,
    } do
      assert.same({n = 3, nil, what .. ": Connection timed out", 110}, table.pack(of()))
    end
    q:shutdown()
    assert.equal("queue.push 'jobs': it was shut down: Broken pipe", select(2, q:push(1)))
    a:drop "jobs"
    assert.equal("shm.queue (jobs)", tostring(q))
    local long = ("n"):rep(255)
    assert.matches("^shm.queue %(" .. ("n"):rep(63) .. "%)$", tostring(a:queue(long)))
  end)

  it("that are bytes of one size and layout", function()
    local one <close>, made = a:bytes("b", 100, 7)
    assert.same({true, 100}, {made, #one})
    assert.equal(("\0"):rep(100), one:read(0, 100))
    assert.equal(0, (one:address() - r:address()) % 64)
    one:write(0, "x")
    assert.equal("x", a:bytes("b", 100, 7):read(0, 1))
    assert.equal("x", a:bytes("b", nil, 7):read(0, 1))
    refused(EPROTO, a.bytes, a, "b", 100)
    refused(EPROTO, a.bytes, a, "b", 100, 8)
    refused(ERANGE, a.bytes, a, "b", 101, 7)
    refused(ENOENT, a.bytes, a, "none")
    collectgarbage()
    assert.is_nil(a:names().none)
  end)

  it("that are arrays of records", function()
    local person = shm.record {{"name", "char[4]"}, {"age", "i32"}, {"at", "f64", 2}}
    local people, made = a:array("people", person, 10)
    assert.is_true(made)
    people[10].name, people[10].at = "ann", {1.5, 2.5}
    collectgarbage()
    elsewhere(function()
      local same = shm.record {{"name", "char[4]"}, {"age", "i32"}, {"at", "f64[2]"}}
      local found, again = assert(a:array("people", same, 10))
      assert(not again and #found == 10)
      assert.same({"ann", 2.5}, {found[10].name, found[10].at[2]})
    end)
    for _, fields in ipairs {
      {{"name", "char[4]"}, {"years", "i32"}, {"at", "f64", 2}},
      {{"name", "char[4]"}, {"age", "u32"}, {"at", "f64", 2}},
      {{"age", "i32"}, {"name", "char[4]"}, {"at", "f64", 2}},
      {{"name", "char[4]"}, {"age", "i32"}, {"at", "f32", 4}},
    } do
      refused(EPROTO, a.array, a, "people", shm.record(fields), 10)
    end
    refused(ERANGE, a.array, a, "people", person, 11)
    assert.error_matches(function() a:array("people", {}, 1) end, "record")
    for _, count in ipairs {0, -1, 1.5, "1", 1 << 40} do
      assert.error_matches(function() a:array("people", person, count) end, "count")
    end
    assert(a:drop "people")
    people[1].age = 5
    assert(a:bytes("another", 1000)):fill(0, 1000, 255)
    assert.equal(5, people[1].age)
  end)

  it("that two processes use", function()
    local m, w = assert(a:mutex "m"), assert(a:rwlock "w")
    local s, e = assert(a:semaphore("s", 0)), assert(a:event "e")
    local b, n, c = assert(a:barrier("b", 2)), assert(a:counter "n"), assert(a:condition "c")
    local child = assert(process.fork(function()
      local own <close> = assert(shm.arena(r))
      assert(own:semaphore("s"):wait(LONG))
      local mutex = own:mutex "m"
      assert(mutex:lock(LONG))
      own:event("e"):set()
      assert(own:condition("c"):wait(mutex, LONG))
      mutex:unlock()
      assert(own:barrier("b", 2):wait(LONG))
      own:counter("n"):add(41)
      assert(own:rwlock("w"):lock(LONG))
      mutex:lock()
      own:counter("n"):add(1)
      process.kill(process.pid(), "KILL")
    end))
    s:post()
    assert(e:wait(LONG))
    assert(m:lock(LONG))
    c:signal()
    m:unlock()
    assert(b:wait(LONG))
    assert(n:wait(42, LONG))
    local pid = child.pid
    assert.same({"signal", "KILL"}, {child:wait(LONG)})
    child:close()
    assert.same({true, "recovered", pid}, {m:lock(LONG)})
    assert.same({true, "recovered", pid}, {w:lock(LONG)})
    m:unlock()
    w:unlock()
    for _, one in ipairs {m, w, s, e, b, n, c} do
      assert.error_matches(function() one:remove() end, "drop")
      one:close()
    end
  end)

  it("that outlive the arena's handle and the region's", function()
    local place = assert(shm.anonymous(SIZE))
    local one = assert(shm.arena(place))
    local m, b = one:mutex "m", one:bytes("b", 10)
    place:close()
    one:close()
    assert(m:lock())
    m:unlock()
    b:write(0, "ten bytes!")
    m:close()
    b:close()
  end)

  it("that lose their name, and go once nobody has them open", function()
    local used = a:stat().used
    local one, same = a:bytes("b", 1000), a:bytes("b", 1000)
    local part = one:view(500, 10)
    assert(a:drop "b")
    refused(ENOENT, a.drop, a, "b")
    assert.same({}, a:names())
    assert.equal(0, a:stat().objects)
    local new <close>, made = a:bytes("b", 1000)
    assert.is_true(made)
    one:fill(0, 1000, 1)
    assert.equal(0, new:get_u8(0))
    one:close()
    same:close()
    local held = a:stat().used
    part:write(0, "part")
    part:close()
    assert(a:stat().used < held)
    new:close()
    a:drop "b"
    assert.equal(used, a:stat().used)
  end)

  it("that stay for another process until it closes them, or is dead", function()
    for _, how in ipairs {"close", "exit", "KILL"} do
      local used = a:stat().used
      local finish = other(function(wait)
        local own = assert(shm.arena(r))
        local b = own:bytes("b", 1000)
        b:fill(0, 1000, 9)
        wait()
        assert(b:get_u8(999) == 9)
        if how == "close" then
          b:close()
          assert(own:stat().used == used)
        end
      end)
      assert(a:drop "b")
      assert(a:bytes("c", 1000)):close()
      a:drop "c"
      assert(a:stat().used > used)
      finish(how == "KILL" and how or nil)
      assert.equal(1, #a:attached())
      assert.equal(used, a:stat().used)
      assert(a:check())
    end
  end)

  it("that stay for a child whose parent closes them as soon as it has forked", function()
    for _ = 1, support.rounds(50) do
      local b = a:bytes("b", 1000)
      b:fill(0, 1000, 9)
      a:drop "b"
      local child <close> = assert(process.fork(function()
        for i = 0, 999 do
          assert(b:get_u8(i) == 9)
        end
      end))
      b:close()
      a:bytes("c", 1000):fill(0, 1000, 255)
      a:drop "c"
      assert.same({"exit", 0}, {child:wait(LONG)})
      collectgarbage()
    end
    assert.equal(1, #a:attached())
    assert.equal(0, a:stat().used)
  end)

  it("that stay for a child for which there was no place, while its parent is attached", function()
    local place <close> = assert(shm.anonymous(MAX))
    local last, all = assert(shm.arena(place, {processes = 1})), {} -- which are 64
    for i = 1, 63 do
      all[i] = assert(shm.arena(place))
    end
    local b, m = last:bytes("b", 1000), assert(last:map "m")
    b:fill(0, 1000, 9)
    assert(m:set("key", "value"))
    local ours <close>, theirs = assert(process.socketpair "seqpacket")
    local child <close> = assert(process.fork(function()
      assert(theirs:recv(10, LONG) == "dropped")
      assert(b:read(0, 1000) == ("\9"):rep(1000) and m:get "key" == "value")
      assert(#assert(last:attached()) == 1) -- which it is not
    end))
    theirs:close()
    assert(last:drop "b" and last:drop "m")
    b:close()
    m:close()
    for _, size in ipairs {1000, 4096, 8192} do
      assert(last:bytes("over" .. size, size)):fill(0, size, 255)
    end
    ours:send "dropped"
    assert.same({"exit", 0}, {child:wait(LONG)})
    collectgarbage()
    for _, size in ipairs {1000, 4096, 8192} do
      assert(last:drop("over" .. size))
    end
    assert(last:stat().used > 0)
    last:close()
    assert.equal(0, all[1]:stat().used)
    for _, one in ipairs(all) do
      assert(one:check())
      one:close()
    end
  end)
end)
