-- shm.durable: states that outlive their servers, and give their memory back.
local d = require "spec.durable_support"
local durable = require "shm.durable"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local EPERM, ENOENT, EINTR, EFAULT, EEXIST, EPROTO, EADDRINUSE = 1, 2, 4, 14, 17, 71, 98
local LONG, open, with = d.LONG, d.open, d.with
local UNSHARE = "unshare --pid --fork --kill-child --mount-proc"

describe("a durable state", function()
  local places, before

  before_each(function()
    before = support.belongings()
    places = d.places()
  end)

  after_each(function()
    d.remove(places)
    assert.same(before, support.belongings())
  end)

  -- Each test in memory and with a file.
  local function both(what, f)
    for i = 1, 2 do
      it(what .. (i == 1 and ", in memory" or ", with a file"), function() f(places[i]) end)
    end
  end

  both("outlives its server's death", function(place)
    d.killed(function()
      local state, how = assert(open(place))
      assert(how == "new" and state.began == "new" and tostring(state):match "shm%.durable %(")
      state.map:set("key", {1, 2, {3}})
      assert(state.arena:queue("q", {capacity = 1000})):push "message"
      assert(state.arena:counter "c"):add(5)
    end)
    with(place, nil, function(state, how)
      assert.equal("recovered", how)
      assert.same({1, 2, {3}}, state.map:get "key")
      assert.equal("message", assert(state.arena:queue "q"):pop(0))
      assert.equal(5, assert(state.arena:counter "c"):get())
      assert.is_true(state:stop())
      assert.equal("shm.durable (closed)", tostring(state))
      assert.is_true(state:close())
      assert.error_matches(function() state:stop() end, "closed")
    end)
  end)

  both("gives its memory back when stopped, and not when kept or closed", function(place)
    local function value(how)
      return with(place, nil, function(state, began)
        assert.equal(how, began)
        return state.map:get "n", state
      end)
    end
    with(place, nil, function(state)
      state.map:set("n", 1)
      assert(state:stop(true))
    end)
    assert.equal(1, value "resumed")     -- and that closes it
    assert.equal(1, value "resumed")
    pcall(with, place, nil, function() error "changed my mind" end)
    assert.equal(1, value "recovered")
    do
      local state = assert(open(place))  -- nobody closes it
      assert.equal("resumed", state.began)
      state = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
    end
    assert.equal(1, value "recovered")
    with(place, nil, function(state) assert(state:stop()) end)
    assert.same(place.file and {"state"} or {}, d.files(places))
    assert.equal(place.file and 1 or nil, value(place.file and "resumed" or "new"))
  end)

  both("is let go of also where its memory was taken away", function(place)
    for _, way in ipairs {"close", "stop", "scope", "serve"} do
      local function lose()
        assert(os.execute("truncate -s 0 " .. (place.file and place.file .. ".live"
                                               or "/dev/shm/" .. place.name)))
      end
      local state
      if way == "serve" then
        d.refused(EFAULT, "^durable%.stop .*gone$",
                  durable.serve(place.name, {file = place.file}, function(served)
          state = served
          lose()
        end))
      else
        local served <close> = assert(open(place))
        state = served
        lose()
        if way ~= "scope" then
          if place.file then
            d.refused(EFAULT, "^durable%.sync '.*': the memory behind it is gone$", state:sync())
          end
          if way == "stop" then
            d.refused(EFAULT, "^durable%.stop '.*': the memory behind it is gone$", state:stop())
            d.refused(EFAULT, "^durable%.stop '.*': the memory behind it is gone$",
                      state:stop(true))
          end
          assert.is_true(state:close())
          assert.is_true(state:close())
        end
      end
      assert.equal("shm.durable (closed)", tostring(state))
      local _, message, errno = open(place)
      assert.not_equal(EADDRINUSE, errno, message)
      d.remove(places)
      assert(os.execute("mkdir " .. places.directory))
    end
  end)

  both("has one server, whose death is enough for the next", function(place)
    local ours, theirs = assert(process.socketpair "seqpacket")
    local server <close> = assert(process.fork(function()
      local state = assert(open(place))
      assert(d.refused(EADDRINUSE, "this process serves it already", open(place)) == process.pid())
      collectgarbage()
      local child = assert(process.fork(function()
        d.refused(EPERM, "pid %d+ serves it", state:stop())
        assert(state:close())
        support.forever()
      end))
      theirs:send(tostring(child.pid))
      support.forever()
    end))
    local child <close> = assert(process.open(tonumber(ours:recv(20, LONG))))
    for _, timeout in ipairs {0, 0.05} do
      local pid = d.refused(EADDRINUSE, "^durable%.open '[^']+': pid " .. server.pid
        .. " serves it$", open(place, {timeout = timeout}))
      assert.equal(server.pid, pid)
    end
    d.refused(EADDRINUSE, "^durable%.serve", durable.serve(place.name, {file = place.file}, print))
    local killer <close> = assert(process.fork(function()
      process.sleep(0.05)
      assert(process.kill(server.pid, "KILL"))
    end))
    with(place, {timeout = LONG}, function(state, how) -- the child lives, and does not matter
      assert.equal("recovered", how)
      assert.is_true(child:alive())
      state:stop()
    end)
    child:kill "KILL"
    for _, one in ipairs {server, killer} do
      one:wait(LONG)
    end
    support.eventually(function() return not child:alive() end)
    ours:close()
    theirs:close()
  end)

  both("is its server's still, whatever becomes of a child's handle", function(place)
    with(place, nil, function(state)
      state.map:set("n", 1)
      for _, f in ipairs {
        function() assert(state:close()) end,
        function()
          assert(not pcall(function()
            local _ <close> = state
            error "no"
          end))
        end,
        function()
          local one <close> = state
          assert(one.map:get "n" == 1)
        end,
        function() -- nobody closes it
          state = nil
          collectgarbage()
          collectgarbage()
        end,
      } do
        d.child(f)
        local pid = d.refused(EADDRINUSE, "this process serves it already", open(place))
        assert.equal(process.pid(), pid)
      end
      assert.is_true(state:stop())
    end)
  end)

  both("has typed records, of which no change is half", function(place)
    local record = shm.record {{"count", "i64"}, {"sum", "f64"}}
    d.killed(function()
      local state = assert(open(place))
      local totals, change = assert(state:record("totals", record))
      assert(change(function(t, x)
        t.count, t.sum = t.count + 1, t.sum + x
        return true
      end, 2.5))
      assert(not pcall(change, function(t)
        t.count = 77
        error "no"
      end))
      assert(totals.count == 1)
      change(function(t)
        t.count = 78
        process.kill(process.pid(), "KILL")
      end)
    end)
    with(place, nil, function(state)
      local totals, change = assert(state:record("totals", record))
      assert.same({1, 2.5}, {totals.count, totals.sum})
      assert.equal(3, change(function(_, x) return x end, 3))
      d.refused(EPROTO, "layout", state:record("totals", shm.record {{"a", "i64"}, {"b", "i64"}}))
      assert.error_matches(function() state:record(1, record) end, "name")
      assert.error_matches(function() state:record("x", {}) end, "record")
      for _, wrong in ipairs {"", ("n"):rep(251)} do
        assert.error_matches(function() state:record(wrong, record) end,
                             "^durable%.record: name: 1 to 250 bytes expected, got " .. #wrong)
      end
      assert(state:record(("n"):rep(250), record))
      assert.error_matches(function() change(1) end, "^durable%.record: f: function expected, got")
      state:stop()
    end)
  end)

  both("is begun whole, or not at all", function(place)
    local function init(state)
      state.map:set("a", 1)
      assert(state.arena:counter("c", 5))
      process.kill(process.pid(), "KILL")
    end
    assert.error_matches(function() open(place, {init = function() error "not now" end}) end,
                         "not now")
    assert.same({}, d.files(places))
    d.child(function() open(place, {init = init}) end, "signal", "KILL")
    with(place, {init = function(state)
      assert.is_nil(state.map:get "a")
      state.map:set("b", 2)
    end}, function(state, how)
      assert.equal("new", how)
      assert.equal(2, state.map:get "b")
      assert.same({"shm.durable", "state"}, (function()
        local names = {}
        for name in pairs(state.arena:names()) do
          names[#names + 1] = name
        end
        table.sort(names)
        return names
      end)())
      state:stop()
    end)
  end)

  both("is migrated whole, or not at all", function(place)
    with(place, {version = 2}, function(state)
      for i = 1, 100 do
        state.map:set(i, "old")
      end
    end)
    d.refused(EPROTO, "of version 2, and this program's is 1: run the newer", open(place))
    d.refused(EPROTO, "of version 2, and this program's is 3: give migrate",
              open(place, {version = 3}))
    local function migrate(stop)
      return function(state, from)
        assert(from == 2)
        for i = 1, 100 do
          assert(state.map:get(i) == "old")
          state.map:set(i, "new")
          if i == 50 then
            stop()
          end
        end
        state.arena:drop "gone"
      end
    end
    assert.error_matches(function()
      open(place, {version = 3, migrate = migrate(function() error "no" end)})
    end, "no")
    d.child(function()
      open(place, {version = 3, migrate = migrate(function()
        process.kill(process.pid(), "KILL")
      end)})
    end, "signal", "KILL")
    local reader <close> = assert(durable.attach(place.name, {file = place.file}))
    local old <close> = assert(reader:map "state")
    local options = {version = 3, max = 1 << 22, migrate = migrate(function() end)}
    with(place, options, function(state, how)
      assert.equal("resumed", how)
      for i = 1, 100 do
        assert.equal("new", state.map:get(i))
        assert.equal("old", old:get(i))
      end
      assert.equal(1 << 22, state.arena:stat().max)
      assert(state.map:set("large", ("x"):rep(1 << 21)))
    end)
    with(place, {version = 3}, function(state) assert(state:stop()) end)
  end)

  it("is served until a signal comes, and given back then, or kept", function()
    for _, place in ipairs(places) do
      for _, keep in ipairs {false, true} do
        local ours, theirs = assert(process.socketpair "seqpacket")
        local server <close> = assert(process.fork(function()
          local options = {keep = keep, file = place.file}
          assert(durable.serve(place.name, options, function(state, signals)
            state.map:incr("n", 1, 0)
            theirs:send(state.began)
            local name = signals:wait(LONG)
            assert(name == "TERM", name)
          end))
        end))
        assert.equal(place.file and keep and "resumed" or "new", ours:recv(20, LONG))
        server:kill "TERM"
        assert.same({"exit", 0}, {server:wait(LONG)})
        assert.equal(place.file and (keep and 3 or 1) or keep and 1 or 0, #d.files(places))
        ours:close()
        theirs:close()
      end
      assert.error_matches(function()
        durable.serve(place.name, {file = place.file}, function(state)
          assert.equal("resumed", state.began)
          error "by mistake"
        end)
      end, "by mistake")
      assert.is_true(durable.serve(place.name, {file = place.file}, function(state)
        assert.equal("recovered", state.began)
        assert.equal(place.file and 2 or 1, state.map:get "n")
      end))
      assert.same(place.file and {"state"} or {}, d.files(places))
      os.remove(places.directory .. "/state")
    end
  end)

  it("is left as by a death where what serves it is not there to return", function()
    for _, place in ipairs(places) do
      for _, left in ipairs {
        function(serve) serve(function() error(nil) end) end,
        function(serve)
          local served = coroutine.create(function() serve(coroutine.yield) end)
          assert(coroutine.resume(served))
          assert(coroutine.close(served))
        end,
      } do
        pcall(left, function(f) durable.serve(place.name, {file = place.file}, f) end)
        with(place, nil, function(state, how)
          assert.equal("recovered", how)
          state:stop()
        end)
        os.remove(place.file or "")
      end
      assert.is_true(durable.serve(place.name, {file = place.file}, function(state)
        assert.is_true(state:stop()) -- by itself
      end))
      assert.same(place.file and {"state"} or {}, d.files(places))
    end
  end)

  it("is served by another pid namespace's next, with all that it has", function()
    local script = [[
      local durable = require "shm.durable"
      local state = assert(durable.open(arg[1], {file = arg[2]}))
      state.map:set("n", 1)
      for _, kind in ipairs {"mutex", "rwlock", "semaphore", "event", "condition", "counter",
                             "topic"} do
        assert(state.arena[kind](state.arena, kind))
      end
      assert(state.arena:barrier("barrier", 2))
      assert(state.arena:queue("queue", {capacity = 1000})):push "x"
      require("shm.process").kill(require("shm.process").pid(), "KILL")]]
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write(script)
    file:close()
    for _, place in ipairs(places) do
      local said = support.shell(("%s lua5.4 %s %s %s 2>&1"):format(UNSHARE, path, place.name,
                                                                    place.file or ""))
      if said:match "unshare" then
        os.remove(path)
        return pending("no pid namespace of one's own here: " .. said)
      end
      if not said:match "^%s*$" and not said:match "Killed" then
        error(said)
      end
      -- The first of a namespace is not killed by itself: it has ended in order, but has not
      -- stopped.
      with(place, nil, function(state, how)
        assert.equal("recovered", how)
        assert.equal(1, state.map:get "n")
        assert.equal("x", assert(state.arena:queue "queue"):pop(0))
        for _, kind in ipairs {"mutex", "rwlock", "semaphore", "event", "condition", "counter",
                               "topic"} do
          local _ <close> = assert(state.arena[kind](state.arena, kind))
        end
        local mutex <close> = assert(state.arena:mutex "mutex")
        assert.is_true(mutex:lock(0))
        mutex:unlock()
        assert(state:stop())
      end)
    end
    os.remove(path)
  end)

  both("is waited for up to its time, or to a signal", function(place)
    with(place, nil, function(state)
      assert.same({"exit", 0}, {support.signalled(function()
        d.refused(EINTR, "^durable%.open '", open(place, {timeout = LONG}))
      end)})
      state:stop()
    end)
  end)

  it("tells another pid namespace that somebody serves it, and no pid", function()
    local script = [[
      local _, message, errno, pid = require("shm.durable").open(arg[1], {file = arg[2]})
      print(errno, pid, message)]]
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write(script)
    file:close()
    for _, place in ipairs(places) do
      with(place, nil, function(state)
        local said = support.shell(("%s lua5.4 %s %s %s 2>&1"):format(UNSHARE, path, place.name,
                                                                      place.file or ""))
        assert(state:stop())
        if said:match "unshare" then
          os.remove(path)
          return pending("no pid namespace of one's own here: " .. said)
        end
        assert.equal(("%d\t0\tdurable.open '%s': a process in another pid namespace serves it\n")
          :format(EADDRINUSE, place.name), said)
      end)
    end
    os.remove(path)
  end)

  it("is not what something else is", function()
    local region <close> = assert(shm.create(places.name, 1 << 16))
    d.refused(EEXIST, "no state of shm%.durable: give another name", open(places[1]))
    d.refused(ENOENT, "no state", durable.attach(places.name))
    local arena <close> = assert(shm.arena(region))
    d.refused(EEXIST, "no state of shm%.durable", open(places[1]))
    assert(arena:bytes("shm.durable", 64, 3))
    d.refused(EPROTO, "layout", open(places[1]))
    assert.same({"NAME"}, d.files(places))
    shm.unlink(places.name)
    d.refused(ENOENT, "^durable%.attach", durable.attach(places.name))
  end)

  it("takes these options and no others", function()
    for _, wrong in ipairs {{size = 1}, {size = "x"}, {max = 1}, {file = 1}, {file = ""},
                            {size = 1 << 61}, {max = 1 << 61}, {journal = 1 << 31},
                            {version = 0}, {timeout = -1}, {init = 1}, {migrate = 1}, {keep = true},
                            {colour = 1}, {journal = 1}} do
      assert.error_matches(function() durable.open(places.name, wrong) end,
                           "^durable%.open: [%l ']*" .. next(wrong))
    end
    for _, wrong in ipairs {{size = 1 << 20, max = 1 << 16}, {max = 1 << 19}, {max = (1 << 35) + 1},
                            {max = (1 << 61) - 1}} do
      for _, f in ipairs {"open", "serve"} do
        local ok, message = pcall(function()
          local _ = durable[f](places.name, wrong, print)
        end)
        assert.is_false(ok)
        assert.matches("durable_spec%.lua:%d+: durable%." .. f .. ": max: %d+ is ", message)
        assert.same({}, d.files(places))
      end
    end
    for _, wrong in ipairs {"", "a/b", "a\0b", ("x"):rep(201), false, 1} do
      for _, f in ipairs {"open", "attach", "serve"} do
        assert.error_matches(function() durable[f](wrong, {}, print) end, f .. ": name")
      end
    end
    assert.error_matches(function() durable.serve(places.name, {}) end, "f: function expected")
    assert.error_matches(function() durable.serve(places.name, {keep = 1}, print) end, "keep")
    with(places[1], nil, function(state)
      assert.error_matches(function() state:sync() end, "no file")
      assert.error_matches(function() state:sync(-1) end, "timeout")
      assert.error_matches(function() state:stop(1) end, "keep")
      assert.error_matches(function() state:stop(false, "x") end, "timeout")
      assert.error_matches(function() state.sync({}) end, "state expected")
      state:stop()
    end)
  end)
end)
