-- Objects of an arena: found or made by their names, and there for as long as they are open.
local others = require "spec.arena_support"
local posix = require "shm.posix"
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

  it("that stay for a child for which there was no place, until its parent has no child", function()
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
    assert.equal(0, last:stat().used)
    last:close()
    for _, one in ipairs(all) do
      assert(one:check())
      one:close()
    end
  end)

  local ROOM <const> = 40960

  -- What lies in bytes of the arena, or is lent of a queue in it: with each, what writes to it.
  local IN_BYTES = {
    mutex = {function(b) return shm.mutex.create(b, 64) end, function(m) m:lock() m:unlock() end},
    rwlock = {function(b) return shm.rwlock.create(b, 64) end, function(w) w:lock() w:unlock() end},
    semaphore = {function(b) return shm.semaphore.create(b, 64, 1) end, function(s) s:post() end},
    event = {function(b) return shm.event.create(b, 64) end, function(e) e:set() end},
    condition = {function(b) return shm.condition.create(b, 64) end, function(c) c:signal() end},
    barrier = {function(b) return shm.barrier.create(b, 64, 1) end, function(p) p:wait() end},
    counter = {function(b) return shm.counter.create(b, 64) end, function(n) n:add(1) end},
    ["an attached counter"] = {function(b)
      shm.counter.create(b, 64):close()
      return shm.counter.attach(b, 64)
    end, function(n) n:add(1) end},
    ["an opened counter"] = {function(b)
      return (shm.counter.open(b, 64))
    end, function(n) n:add(1) end},
    ["a view's counter"] = {function(b)
      local part <close> = b:view(64, 4096)
      return shm.counter.create(part, 64)
    end, function(n) n:add(1) end},
    queue = {function(b) return shm.queue.create(b, 64, {capacity = 1000}) end,
             function(q) q:push(("x"):rep(900), 0) end},
    loan = {function(b)
      local q <close> = assert(shm.queue.create(b, 64, {capacity = 4096}))
      return q:loan(2000)
    end, function(l) l:region():fill(0, 2000, 255) end},
    topic = {function(b) return shm.topic.create(b, 64, {capacity = 1000}) end,
             function(t) t:publish(("x"):rep(900)) end},
    subscriber = {function(b)
      local t <close> = assert(shm.topic.create(b, 64, {capacity = 1000}))
      return t:subscribe()
    end, function(s) pcall(s.try, s) end}, -- which refuses a child
    ["POSIX semaphore"] = {function(b) return posix.sem_init(b, 64) end,
                           function(s) s:post() end},
    ["an attached POSIX semaphore"] = {function(b) return posix.sem_attach(b, 64) end,
                                       function(s) s:post() end},
    arena = {function(b) return (shm.arena(b)) end, function(i) i:counter("n"):add(1) end},
    ["an inner arena's bytes"] = {function(b)
      local inner <close> = assert(shm.arena(b))
      return (inner:bytes("i", 1000))
    end, function(i) i:fill(0, 1000, 255) end},
    ["a mutex in these"] = {function(b)
      local inner <close> = assert(shm.arena(b))
      local i <close> = assert(inner:bytes("i", 1000))
      return shm.mutex.create(i, 0)
    end, function(m) m:lock() m:unlock() end},
  }
  local LENT = {
    loan = {function(q) return q:loan(2000) end,
            function(l) l:region():fill(0, 2000, 255) end},
    ["a view of a loan"] = {function(q)
      local l <close> = assert(q:loan(2000))
      return l:region():view(0, 1000)
    end, function(v) v:fill(0, 1000, 255) end},
    view = {function(q)
      q:push(("x"):rep(2000))
      return q:view()
    end, function(v) v:region():read(0, 2000) end},
  }

  -- Calls f with each that can be made anew, what writes to it, and words for who fails: its
  -- name has gone then, and so has the handle that it was made by.
  local function each_share(f)
    local function each(shares, owner)
      for kind, share in pairs(shares) do
        f(function()
          local from <close> = owner()
          local one = assert(share[1](from))
          assert(a:drop "b")
          return one
        end, share[2], kind)
      end
    end
    each(IN_BYTES, function() return assert(a:bytes("b", ROOM)) end)
    each(LENT, function() return assert(a:queue("b", {capacity = 4096})) end)
  end

  -- Runs f while somebody else has what memory of as many bytes is free.
  local function beside(told, f)
    local bytes <close> = assert(a:bytes("other", ROOM))
    a:drop "other"
    f()
    assert(bytes:read(0, ROOM) == ("\0"):rep(ROOM), told)
  end

  local CLOSES = {
    close = function(one) one:close() end,
    ["close twice"] = function(one) one:close() one:close() end,
    remove = function(one) (one.remove or one.close)(one) end,
    commit = function(one) (one.commit or one.close)(one) end,
    ["its region first"] = function(one)
      if one.region then
        one:region():close()
      end
      one:close()
    end,
    collect = function() end,
  }

  it("that stay for what lies in them or is lent of them, until that is closed", function()
    each_share(function(make, write, kind)
      for how, close in pairs(CLOSES) do
        local told = kind .. ", " .. how
        local one = make()
        collectgarbage()
        local held = a:stat().used
        beside(told, function() write(one) end)
        collectgarbage()
        assert(held > 0 and held == a:stat().used, told)
        close(one)
        assert(a:stat().used == (how == "collect" and held or 0), told)
        one = nil -- luacheck: ignore
        collectgarbage()
        assert(a:stat().used == 0 and a:check(), told)
      end
    end)
  end)

  it("that stay for it in the child and in the parent, whoever closes it first", function()
    each_share(function(make, write, kind)
      for _, first in ipairs {"parent", "child"} do
        local told = kind .. ", " .. first
        local one = make()
        local held = a:stat().used
        local finish = other(function(wait)
          if first == "child" then
            one:close()
          end
          wait()
          if first == "parent" then
            write(one)
          end
        end)
        if first == "parent" then
          one:close()
        end
        beside(told, function()
          if first == "child" then
            write(one)
          end
          assert.same({"exit", 0}, {finish()})
        end)
        assert.equal(1, #a:attached())
        collectgarbage()
        assert.equal(first == "child" and held or 0, a:stat().used, told)
        one:close()
        collectgarbage()
        assert.equal(0, a:stat().used, told)
      end
    end)
  end)

  it("and give what lies in their bytes no name", function()
    local b <close> = assert(a:bytes("b", ROOM))
    for _, kind in ipairs {"mutex", "queue", "topic"} do
      local one = assert(shm[kind].create(b, 64, {capacity = kind ~= "mutex" and 1000 or nil}))
      assert.matches("^shm%." .. kind .. " %(anonymous at %d+%)$", tostring(one))
      local done = one.remove or one.close
      assert.is_true(done(one))
      assert.matches("closed", tostring(one))
      b:fill(0, ROOM)
    end
  end)
end)
