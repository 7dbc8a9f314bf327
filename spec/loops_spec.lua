-- Queues, topics and maps in the event loops of cqueues, luv and LuaSocket, beside TCP.
local cqueues = require "cqueues"
local cqueues_socket = require "cqueues.socket"
local lock = require "spec.lock_support"
local process = require "shm.process"
local shm = require "shm"
local socket = require "socket"
local support = require "spec.support"

local LONG = lock.LONG
local EPIPE = 32
local IDLE = 0.5 -- seconds
local CALM = 10  -- turns of a loop in which nothing happens

-- What each loop can: listen(f) calls f with each line that comes by TCP, and gives the port;
-- add(object, f) calls f whenever the object is ready; turn(seconds) goes round once, and
-- waits so long at most; close().
local loops = {}

function loops.cqueues()
  local loop, objects, server = cqueues.new(), {}, nil
  local self = {}

  function self.listen(f)
    server = assert(cqueues_socket.listen("127.0.0.1", 0))
    assert(server:listen(LONG))
    loop:wrap(function()
      local connection = server:accept()
      for line in connection:lines() do
        f(line)
      end
      connection:close()
    end)
    return select(3, server:localname())
  end

  function self.add(object, f)
    objects[#objects + 1] = object
    loop:wrap(function()
      while true do
        cqueues.poll(object)
        f()
      end
    end)
  end

  function self.turn(seconds)
    assert(loop:step(seconds))
  end

  function self.close()
    for _, object in ipairs(objects) do
      cqueues.cancel(object:fileno())
    end
    if server then
      server:close()
    end
    loop:close()
  end

  return self
end

function loops.luv()
  local uv = require "luv"
  local handles, timer = {}, uv.new_timer()
  local self = {}

  local function keep(handle)
    handles[#handles + 1] = assert(handle)
    return handle
  end

  function self.listen(f)
    local server = keep(uv.new_tcp())
    assert(server:bind("127.0.0.1", 0))
    assert(server:listen(1, function()
      local connection, rest = keep(uv.new_tcp()), ""
      assert(server:accept(connection))
      connection:read_start(function(_, bytes)
        rest = (rest .. (bytes or "")):gsub("([^\n]*)\n", function(line)
          f(line)
          return ""
        end)
      end)
    end))
    return server:getsockname().port
  end

  function self.add(object, f)
    keep(uv.new_poll(object:fileno())):start("r", function() f() end)
  end

  function self.turn(seconds)
    uv.update_time() -- by an older one it might fire before the wait, which then has no end
    timer:start(math.ceil(seconds * 1000), 0, function() end)
    uv.run "once"
    timer:stop()
  end

  function self.close()
    keep(timer)
    for _, handle in ipairs(handles) do
      handle:close()
    end
    uv.run()
  end

  return self
end

function loops.LuaSocket()
  local list, handlers = {}, {}
  local self = {}

  local function remove(object)
    for i, one in ipairs(list) do
      if one == object then
        table.remove(list, i)
      end
    end
  end

  function self.add(object, f)
    list[#list + 1], handlers[object] = object, f
  end

  function self.listen(f)
    local server = assert(socket.bind("127.0.0.1", 0))
    self.add(server, function()
      local connection, rest = assert(server:accept()), nil
      connection:settimeout(0)
      self.add(connection, function()
        local line, message, part = connection:receive("*l", rest)
        rest = part
        if line then
          f(line)
        elseif message == "closed" then
          remove(connection)
          connection:close()
        end
      end)
    end)
    return math.tointeger(select(2, server:getsockname()))
  end

  function self.turn(seconds)
    for _, object in ipairs((socket.select(list, nil, seconds))) do
      handlers[object]()
    end
  end

  function self.close()
    for _, object in ipairs(list) do
      if not object.fileno then
        object:close()
      end
    end
  end

  return self
end

for _, name in ipairs {"cqueues", "luv", "LuaSocket"} do
  local function test(what, f)
    it(what, function()
      if name ~= "luv" then
        return f()
      elseif not package.searchpath("luv", package.cpath) then
        return pending "there is no luv for this Lua"
      end
      local child <close> = lock.child(f) -- luv ignores SIGPIPE, once it is loaded
      assert.is_true(child.ended())
    end)
  end

  describe("in a loop of " .. name, function()
    local region, arena, q, t, m, s

    before_each(function()
      region = assert(shm.anonymous(1 << 20))
      arena = assert(shm.arena(region))
      q, t, m = assert(arena:queue "q"), assert(arena:topic "t"), assert(arena:map "m")
    end)

    after_each(function()
      arena:close()
      region:close()
    end)

    -- A loop in which one message is taken each time, and what came. The subscriber is of
    -- whoever calls this.
    local function loop_of(listener)
      local got = {queue = {}, topic = {}, tcp = {}, changes = 0, vain = 0}
      local loop = loops[name]()

      local function into(list, value)
        if value then
          list[#list + 1] = value
        else
          got.vain = got.vain + 1
        end
      end

      loop.add(q, function()
        local value, _, errno = q:pop(0)
        got.shut = errno == EPIPE
        into(got.queue, value)
      end)
      if listener then
        loop.add(s, function() into(got.topic, s:try()) end)
        loop.add(m, function()
          local n = m:changes()
          got.changes = got.changes + n
          got.vain = got.vain + (n == 0 and 1 or 0)
        end)
        got.port = loop.listen(function(line) into(got.tcp, math.tointeger(line)) end)
      end

      function got.turn_until(f)
        local deadline = process.monotonic() + LONG
        repeat
          assert(process.monotonic() < deadline, "something is missing")
          loop.turn(1)
        until f()
      end

      -- How often the loop goes round while nothing happens.
      function got.idle()
        local turns, began, cpu = 0, process.monotonic(), os.clock()
        local now = began
        repeat
          loop.turn(began + IDLE - now)
          turns, now = turns + 1, process.monotonic()
        until now >= began + IDLE
        if not support.valgrind then
          assert.is_true(os.clock() - cpu < (now - began) / 2)
        end
        return turns
      end

      got.close = loop.close
      return got
    end

    local function numbers(n)
      local list = {}
      for i = 1, n do
        list[i] = i
      end
      return list
    end

    local function close()
      for _, object in ipairs {q, s, m} do
        object:close()
      end
    end

    test("nothing is lost, and where nothing happens nothing is done", function()
      local times = support.rounds(2000)
      local go <close> = assert(shm.event.create(assert(shm.anonymous(4096)), 0))
      local port = assert(shm.counter.create(assert(shm.anonymous(4096)), 0))
      s = assert(t:subscribe())
      local child <close> = lock.child(function()
        assert(go:wait(LONG))
        local tcp = assert(socket.connect("127.0.0.1", port:get()))
        for i = 1, times do
          assert(q:push(i, LONG))
          assert(t:publish(i, LONG))
          assert(m:set("last", i))
          assert(tcp:send(i .. "\n"))
          if i % 50 == 0 then
            process.sleep(0.0005)
          end
        end
        tcp:close()
      end)
      local loop = loop_of(true)
      port:set(loop.port)
      assert.is_true(loop.idle() <= CALM)
      go:set()
      loop.turn_until(function()
        return #loop.queue >= times and #loop.topic >= times and #loop.tcp >= times and
          m:get "last" == times and loop.changes >= times
      end)
      assert.is_true(child.ended())
      assert.is_true(loop.idle() <= CALM)
      local all = numbers(times)
      assert.same({all, all, all, times},
                  {loop.queue, loop.topic, loop.tcp, loop.changes})
      loop.close()
      close()
    end)

    test("what was there before is told of, one after the other", function()
      s = assert(t:subscribe())
      for i = 1, 3 do
        q:push(i)
        t:publish(i)
        m:set(i, i)
      end
      local loop = loop_of(true)
      loop.turn_until(function()
        return #loop.queue == 3 and #loop.topic == 3 and loop.changes == 3
      end)
      assert.is_true(loop.idle() <= CALM)
      assert.same({numbers(3), numbers(3), 3}, {loop.queue, loop.topic, loop.changes})
      loop.close()
      close()
    end)

    test("who has ever more to do does not keep the others waiting", function()
      local go <close> = assert(shm.event.create(assert(shm.anonymous(4096)), 0, {manual = true}))
      local stop <close> = assert(shm.event.create(assert(shm.anonymous(4096)), 0))
      local port = assert(shm.counter.create(assert(shm.anonymous(4096)), 0))
      s = assert(t:subscribe())
      local flood <close> = lock.child(function()
        assert(go:wait(LONG))
        while not stop:is_set() do
          q:push("more", 0.01)
        end
      end)
      local child <close> = lock.child(function()
        assert(go:wait(LONG))
        local tcp = assert(socket.connect("127.0.0.1", port:get()))
        for i = 1, 10 do
          assert(t:publish(i, LONG))
          assert(m:set("last", i))
          assert(tcp:send(i .. "\n"))
        end
        tcp:close()
      end)
      local loop = loop_of(true)
      port:set(loop.port)
      go:set()
      loop.turn_until(function()
        return #loop.queue > 0 and #loop.topic == 10 and #loop.tcp == 10 and loop.changes == 10
      end)
      stop:set()
      assert.is_true(child.ended() and flood.ended())
      loop.close()
      close()
    end)

    test("of two processes the faster one takes a message, and the other goes on sleeping",
         function()
      local times = support.rounds(500)
      local tally = assert(shm.anonymous(4096))
      local function consume()
        local loop = loop_of(false)
        tally:add(24, 1)
        loop.turn_until(function() return loop.shut end)
        for _, value in ipairs(loop.queue) do
          tally:add(0, 1)
          tally:add(8, value)
        end
        tally:add(16, loop.vain)
        loop.close()
        q:close()
      end
      local pusher <close> = lock.child(function()
        support.eventually(function() return tally:load(24) == 2 end, LONG)
        for i = 1, times do
          q:push(i, LONG)
          support.eventually(function() return #q == 0 end, LONG)
        end
        q:shutdown()
      end)
      local other <close> = lock.child(consume)
      consume()
      assert.is_true(other.ended() and pusher.ended())
      assert.same({times, times * (times + 1) // 2}, {tally:load(0), tally:load(8)})
      assert.is_true(tally:load(16) <= 4 * times + CALM) -- each is told of each, and asks again
    end)
  end)
end
