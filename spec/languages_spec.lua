-- Programs in C and Python that know examples/peer.h and nothing of the module, beside Lua.
local chaos = require "shm.chaos"
local lock = require "spec.lock_support"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local LONG = lock.LONG
local SIZE, WORD = 1 << 20, (1 << 20) - 64
local ROUNDS = support.rounds(200)
local TEXTS = {"", "a b", "é", ("long"):rep(200)}
-- Where the masks of who sleeps are.
local ITEMS, ROOM, NEWS, SPACE = 128 + 56, 512 + 56, 128 + 56, 448 + 56

local programs, serial = {}, 0
local name, region, open

local function keep(object)
  open[#open + 1] = object
  return object
end

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- What a command says, and its exit code, or 128 and more after a signal.
local function run(command, input)
  local path = os.tmpname()
  local pipe <close> = assert(io.popen(("timeout -k 1 %d %s >%s 2>&1; echo $? >>%s")
    :format(2 * LONG, command, path, path), "w"))
  pipe:write(input or "")
  pipe:close()
  local said, code = support.read_file(path):match "^(.*)%f[%d](%d+)\n$"
  os.remove(path)
  return said, tonumber(code)
end

local function c(...)
  local words = {"PEER_TIMEOUT=" .. LONG, programs.peer, name}
  for i, word in ipairs {...} do
    words[i + 3] = quoted(tostring(word))
  end
  return run("env " .. table.concat(words, " "))
end

local function says(expected, said, code)
  assert.equal(expected, said)
  assert.equal(0, code)
end

-- A command that runs meanwhile: what it says, once it has ended.
local function start(command)
  local pipe = assert(io.popen("echo $$; exec " .. command .. " 2>&1"))
  local self = {pid = pipe:read "n"}
  assert(pipe:read "l" == "")
  function self.said()
    local said = pipe:read "a"
    pipe:close()
    return said
  end
  return self
end

local function python(code)
  for _, it in ipairs {"python3", "/usr/bin/python3"} do
    if os.execute(it .. " -c 'import msgpack' 2>/dev/null") then
      return run(("env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=examples %s -c %s %s")
        :format(it, quoted("import peer, sys\nmemory = peer.Memory(sys.argv[1])\n" .. code), name))
    end
  end
  error "python3-msgpack is not there: make test installs it"
end

local function asleep(mask)
  support.eventually(function() return region:load32(mask) ~= 0 end)
end

local function in_region()
  region = assert(shm.create(name, SIZE))
end

-- Both kinds of home: what they make there, and what peers call it.
local HOMES = {
  ["an arena"] = function()
    local arena = keep(assert(shm.arena(name, {size = SIZE, max = 4 * SIZE})))
    return function(options) return assert(arena:queue("jobs", options)) end,
      function(options) return assert(arena:topic("news", options)) end, "jobs", "news"
  end,
  ["a region"] = function()
    in_region()
    return function(options) return assert(shm.queue.open(region, 4096, options)) end,
      function(options) return assert(shm.topic.open(region, 1 << 19, options)) end,
      "@4096", "@524288"
  end,
}

local function before()
  serial = serial + 1
  name, region, open = ("/languages.%d.%d"):format(process.pid(), serial), nil, {}
end

local function after()
  for i = #open, 1, -1 do
    open[i]:close()
  end
  if region then
    region:close()
  end
  shm.unlink(name)
end

describe("in other languages", function()
  setup(function()
    local hooks = "-O2 -Werror -include spec/textbook/peer_hooks.h "
    programs.peer = support.compile("examples/peer.c", "-O2 -Werror")
    programs.hooked = support.compile("examples/peer.c", hooks)
    programs.worker = support.compile("spec/textbook/peer_worker.c", hooks)
  end)

  teardown(function()
    for _, program in pairs(programs) do
      os.remove(program)
    end
  end)

  before_each(before)
  after_each(after)

  it("layouts are the same as here, field by field", function()
    os.remove(support.compile("spec/textbook/peer_layout.c",
      "-Werror -fsyntax-only -Isrc -I."))
  end)

  it("a peer in C says what it can, and what is wrong", function()
    local said, code = run(programs.peer .. " --help")
    says(support.read_file "examples/peer.c":match '"(peer NAME push.-)\\n', said:match "^[^\n]+",
      code)
    said, code = c("push", "jobs", "x")
    assert.equal(1, code)
    assert.equal(("peer: %s: No such file or directory\n"):format(name), said)
    local arena = keep(assert(shm.arena(name)))
    keep(arena:topic "news")
    local queue = keep(arena:queue("jobs", {capacity = 64}))
    for errno, words in pairs {
      ["No such file or directory"] = {"push", "none", "x"},
      ["Directory not empty"] = {"push", "news", "x"},
      ["Message too long"] = {"push", "jobs", ("x"):rep(65)},
      ["Invalid argument"] = {"pop", "@7"},
    } do
      said, code = c(table.unpack(words))
      assert.equal(1, code)
      assert.equal(("peer: %s: %s\n"):format(words[2], errno), said)
    end
    assert(queue:shutdown())
    assert.equal("peer: jobs: Broken pipe\n", (c("pop", "jobs")))
    assert.equal("peer: jobs: Broken pipe\n", (c("push", "jobs", "x")))
  end)

  for home, make in pairs(HOMES) do
    for _, mode in ipairs {"mpmc", "spsc"} do
      it(("C pushes and pops, %s, in %s"):format(mode, home), function()
        local make_queue, _, jobs = make()
        local queue = keep(make_queue {mode = mode, capacity = 1500})
        for round = 1, 5 do -- several times around the ring
          says("", c("push", jobs, round, -5, math.mininteger, table.unpack(TEXTS)))
          for _, value in ipairs {round, -5, math.mininteger, table.unpack(TEXTS)} do
            assert.equal(value, queue:pop(LONG))
          end
        end
        queue:close() -- with the consumer's role
        queue = keep(make_queue {mode = mode, capacity = 1500})
        local numbers = {0, 127, 128, 255, 256, 65535, 65536, 1 << 32, -1, -32, -33, -128, -129,
          -32768, -32769, -(1 << 31), -(1 << 31) - 1, math.maxinteger, math.mininteger}
        for _, n in ipairs(numbers) do
          assert(queue:push(n, LONG))
        end
        says(table.concat(numbers, "\n") .. "\n", c("pop", jobs, #numbers))
        for _, text in ipairs(TEXTS) do
          assert(queue:push(text, LONG))
          assert(queue:push(text .. "\0\xff", LONG))
          says(text .. "\n" .. text .. "\0\xff\n", c("pop", jobs, 2))
        end
        assert(queue:push({1, 2}, LONG))
        says("(3 bytes of MessagePack)\n", c("pop", jobs))
        assert.equal(0, #queue)
      end)
    end

    for _, overflow in ipairs {"block", "drop"} do
      it(("C publishes and reads, %s, in %s"):format(overflow, home), function()
        local _, make_topic, _, news = make()
        local topic = keep(make_topic {overflow = overflow, capacity = 1000})
        local subscriber = keep(topic:subscribe())
        for round = 1, 5 do
          says("", c("publish", news, round, table.unpack(TEXTS)))
          for _, value in ipairs {round, table.unpack(TEXTS)} do
            assert.equal(value, subscriber:next(LONG))
          end
        end
        subscriber:close()
        for round = 1, 20 do
          assert(topic:publish("\0\xff" .. ("x"):rep(round), LONG))
          assert(topic:publish(round, LONG))
        end
        local said, code = c("read", news, 2 * 20)
        assert.equal(0, code)
        assert.matches("\0\xffx\n1\n", said)
        assert.matches(("x"):rep(20) .. "\n20\n$", said)
        assert.equal(0, topic:subscribers())
        if overflow == "drop" then -- what C drops is the oldest, and no more than it must
          local numbers, late = {}, keep(assert(topic:subscribe()))
          for i = 1, 500 do
            numbers[i] = i
          end
          says("", c("publish", news, table.unpack(numbers)))
          local first = late:next(0)
          assert(first > 350 and first <= 500 - 1000 // 32, first)
          assert.equal(first - 1, late:lost())
          for i = first + 1, 500 do
            assert.equal(i, late:next(0))
          end
        end
      end)
    end
  end

  it("binary strings come from C whole", function()
    local queue = keep(HOMES["an arena"]() {capacity = 70000})
    for _, n in ipairs {0, 1, 31, 255, 256, 65535, 65536} do
      local bytes = ("\xff\0\n"):rep(n):sub(1, n)
      says("", run(("%s %s push jobs -"):format(programs.peer, name), bytes))
      assert.equal(bytes, queue:pop(LONG))
    end
  end)

  it("values of all kinds go to Python and back", function()
    local make_queue, make_topic = HOMES["an arena"]()
    local queue, topic = keep(make_queue()), keep(make_topic())
    local subscriber = keep(topic:subscribe())
    local values = {1, -1 << 40, 2.5, true, "text é", "\xff\0", {1, {2, {"x", a = {}}}},
      {key = {false, "y"}, [7] = -1}, ("long"):rep(5000)}
    for _, value in ipairs(values) do
      assert(queue:push(value))
      assert(topic:publish(value))
      assert.same(value, subscriber:next())
    end
    says("", python [=[
jobs, news = memory.queue("jobs"), memory.topic("news")
seen = [jobs.pop(10) for _ in range(9)]
assert seen[:6] == [1, -1 << 40, 2.5, True, "text \u00e9", b"\xff\0"], seen
assert seen[6] == [1, [2, {1: "x", "a": []}]] and seen[7] == {"key": [False, "y"], 7: -1}, seen
reader = news.subscribe(oldest=True, timeout=0)
assert list(reader) == seen and reader.lost == 0
for value in seen:
    jobs.push(value, 10)
    news.publish(value, 10)
reader.close()
try:
    memory.queue("none")
    assert False
except FileNotFoundError:
    memory.close()]=])
    for _, value in ipairs(values) do
      assert.same(value, queue:pop(LONG))
      assert.same(value, subscriber:next(LONG))
    end
    assert.equal(1, #open[1]:attached())
  end)

  it("Python has a role, and sees who lags behind", function()
    local make_queue, make_topic = HOMES["a region"]()
    local queue = keep(make_queue {mode = "spsc"})
    keep(make_topic {capacity = 64, overflow = "drop"})
    assert(queue:push {1})
    says("", python [=[
jobs, news = memory.queue("@4096"), memory.topic("@524288")
assert jobs.pop(10) == [1]
try:
    jobs.push(1, 10)
    assert False
except OSError as error:
    assert error.errno == 16 # this process's Lua is the producer
reader = news.subscribe()
for n in range(100):
    news.publish(n)
seen = reader.next(10)
assert seen > 0 and reader.lost == seen]=])
    assert(queue:push(2))
    says("2\n", c("pop", "@4096"))
  end)

  -- Here C sleeps until it is woken, as it never looks by itself.
  it("C that sleeps is woken by Lua", function()
    in_region()
    local queue = keep(assert(shm.queue.create(region, 0, {capacity = 64})))
    local topic = keep(assert(shm.topic.create(region, 4096, {capacity = 64})))
    local function peer(mask, act, expected, ...)
      local sleeper = start(("env PEER_TIMEOUT=%d PEER_SLICES=no timeout -k 1 %d %s %s %s")
        :format(LONG, LONG, programs.hooked, name, table.concat({...}, " ")))
      asleep(mask)
      assert(act())
      assert.equal(expected, sleeper.said())
      assert.equal(0, region:load32(mask))
    end
    for _ = 1, 10 do
      peer(ITEMS, function() return queue:push "x" end, "x\n", "pop", "@0")
      while queue:push(1, 0) do end
      peer(ROOM, function() return queue:pop(0) end, "", "push", "@0", "1")
      while queue:pop(0) do end
      local subscriber = assert(topic:subscribe())
      while topic:publish(1, 0.001) do end
      peer(4096 + SPACE, function() return subscriber:next(0) end, "", "publish", "@4096", "1")
      subscriber:close()
      local n = #topic
      peer(4096 + NEWS, function() return topic:publish(2) end, ("1\n"):rep(n) .. "2\n", "read",
        "@4096", n + 1)
      topic:close()
      topic = keep(assert(shm.topic.attach(region, 4096)))
    end
  end)

  it("Lua that sleeps is woken by C", function()
    in_region()
    local queue = keep(assert(shm.queue.create(region, 0, {capacity = 64})))
    local topic = keep(assert(shm.topic.create(region, 4096, {capacity = 64})))
    -- How many C has woken. One that just looks by itself is none: then it is done again.
    local function again(f)
      for _ = 1, 20 do
        if f() then
          return
        end
      end
      error "none was woken"
    end
    local function wakes(mask, f, prepare, ...)
      local words = table.concat({...}, " ")
      again(function()
        local given = prepare and prepare()
        local child <close> = lock.child(function() assert(f(given)) end)
        asleep(mask)
        local said, code = run(("env PEER_WOKE=yes %s %s %s"):format(programs.hooked, name, words))
        assert.equal(0, code)
        assert.is_true(child.ended())
        return said:match "woke 1\n$"
      end)
    end
    wakes(ITEMS, function() return queue:pop(LONG) end, nil, "push", "@0", "1")
    wakes(ROOM, function() return queue:push(2, LONG) end, function()
      while queue:push(1, 0) do end
    end, "pop", "@0")
    wakes(4096 + NEWS, function() return topic:subscribe():next(LONG) end, nil, "publish",
      "@4096", "1")
    -- A reader that stands still, and then makes room.
    again(function()
      local reader = start(("env PEER_WOKE=yes PEER_TIMEOUT=1 %s %s read @4096 1000")
        :format(programs.hooked, name))
      support.eventually(function() return topic:subscribers() == 1 end)
      support.stop(reader.pid)
      while topic:publish(1, 0.001) do end
      local child <close> = lock.child(function() assert(topic:publish(2, LONG)) end)
      asleep(4096 + SPACE)
      process.kill(reader.pid, "CONT")
      assert.is_true(child.ended())
      return reader.said():match "2\n.*woke [1-9]%d*\n$"
    end)
  end)

  it("C waits for loans, passes over those of the dead, and spares what is viewed", function()
    in_region()
    local queue = keep(assert(shm.queue.create(region, 0, {capacity = 64})))
    local loan = assert(queue:loan(20))
    queue:push "behind"
    local sleeper = start(("env PEER_TIMEOUT=%d PEER_SLICES=no timeout -k 1 %d %s %s pop @0 2")
      :format(LONG, LONG, programs.hooked, name))
    asleep(ITEMS)
    loan:region():write(0, "bytes")
    assert(loan:commit(5))
    assert.equal("bytes\nbehind\n", sleeper.said())
    lock.dead(function() assert(queue:loan(20)) end)
    queue:push "behind"
    says("behind\n", c("pop", "@0"))
    queue:push(("v"):rep(40))
    local view = assert(queue:view())
    for i = 1, 9 do -- until it is full
      local words = ("env PEER_TIMEOUT=0 %s %s push @0 %d"):format(programs.peer, name, i)
      local _, code = run(words)
      assert.equal(i < 5 and 0 or 1, code)
    end
    assert.matches(("v"):rep(40), view:region():read(0, 42))
    view:close()
    says("", c("push", "@0", "room"))
  end)

  -- Kills a peer in an arena before each of its stores: prepare, the command, and what must
  -- be so afterwards, given what it said, if it has survived.
  local function everywhere(prepare, command, verify)
    local arena = keep(assert(shm.arena(name, {size = SIZE})))
    local n = 0
    repeat
      n = n + 1
      local given = prepare(arena)
      local said, code = run(("env PEER_DIE=%d PEER_TIMEOUT=%d %s %s %s")
        :format(n, LONG, programs.hooked, name, command))
      assert(code == 0 or code == 137, said .. code)
      verify(arena, code == 0, said, given)
      assert.is_true(arena:check())
      local other = assert(arena:queue("other", {capacity = 64}))
      other:close()
      assert(arena:drop "other")
      assert.equal(1, #arena:attached())
    until code == 0
    assert(n > 10, n)
  end

  for _, mode in ipairs {"mpmc", "spsc"} do
    it("a push that is killed before any store has pushed or not, " .. mode, function()
      everywhere(function(arena)
        arena:queue("jobs", {capacity = 64, mode = mode}):close()
      end, "push jobs dead", function(arena, survived)
        local queue <close> = assert(arena:queue("jobs", {capacity = 64, mode = mode}))
        local first = queue:pop(0)
        assert(first == "dead" or first == nil and not survived)
        assert.is_true(queue:push("alive", LONG))
        assert.equal("alive", queue:pop(LONG))
        assert.equal(0, #queue)
      end)
    end)

    it("a pop that is killed before any store has popped or not, " .. mode, function()
      everywhere(function(arena)
        local queue <close> = assert(arena:queue("jobs", {capacity = 64, mode = mode}))
        assert.is_true(queue:push("first", LONG))
        assert.is_true(queue:push("second", LONG))
      end, "pop jobs", function(arena, survived, said)
        local queue <close> = assert(arena:queue "jobs")
        local first = queue:pop(LONG)
        if survived or said == "first\n" then
          assert.equal("second", first)
        elseif first == "first" then
          first = queue:pop(LONG)
        end
        assert.equal("second", first)
        assert.equal(0, #queue)
      end)
    end)
  end

  for _, overflow in ipairs {"block", "drop"} do
    local options = {capacity = 64, overflow = overflow}

    it("a publisher that is killed before any store has published or not, " .. overflow, function()
      everywhere(function(arena)
        local topic <close> = assert(arena:topic("news", options))
        topic:publish(("x"):rep(60), LONG) -- so that room has to be made
        return assert(topic:subscribe())
      end, "publish news dead", function(arena, survived, _, subscriber)
        local topic <close> = assert(arena:topic("news", options))
        local first = subscriber:next(0)
        assert(first == "dead" or first == nil and not survived)
        assert.is_true(topic:publish("alive", LONG))
        assert.equal("alive", subscriber:next(LONG))
        subscriber:close()
      end)
    end)

    it("a reader that is killed before any store is in nobody's way, " .. overflow, function()
      everywhere(function(arena)
        local topic <close> = assert(arena:topic("news", options))
        topic:publish("first", LONG)
      end, "read news", function(arena)
        local topic <close> = assert(arena:topic("news", options))
        local subscriber <close> = assert(topic:subscribe())
        for i = 1, 20 do
          assert.is_true(topic:publish(i, LONG))
          assert.equal(i, subscriber:next(LONG))
        end
        assert.equal(1, topic:subscribers())
      end)
    end)
  end

  it("the kernel knows when C dies in a guard", function()
    in_region()
    local WORDS, DIED <const> = {64, 448, 8192 + 64}, 0x40000000
    keep(assert(shm.queue.create(region, 0, {capacity = 64})))
    keep(assert(shm.topic.create(region, 8192, {capacity = 64, overflow = "drop"})))
    for _, command in ipairs {"push @0 x", "pop @0", "publish @8192 x", "read @8192"} do
      local inside, n = 0, 0
      repeat
        n = n + 1
        local words = ("env PEER_DIE=%d %s %s %s"):format(n, programs.hooked, name, command)
        local _, code = run(words)
        for _, at in ipairs(WORDS) do
          local word = region:load32(at)
          assert(word == 0 or word & DIED ~= 0, ("%s: %x"):format(command, word))
          inside = inside + (word ~= 0 and 1 or 0)
          region:store32(at, 0)
        end
      until code == 0
      assert(inside >= 2, command)
    end
  end)

  it("C waits for who is stopped in a guard no longer than its time-out", function()
    in_region()
    keep(assert(shm.queue.create(region, 0)))
    keep(assert(shm.topic.create(region, 1 << 19)))
    local holder <close> = lock.parked(function() end)
    for _, at in ipairs {64, 448, (1 << 19) + 64} do
      region:store32(at, holder.pid)
    end
    for _, command in ipairs {"push @0 x", "pop @0", "publish @524288 x"} do
      local soonest = math.huge
      for _ = 1, 5 do -- where the machine has much to do, once
        local began = process.monotonic()
        local said, code = run(("env PEER_TIMEOUT=0.1 %s %s %s"):format(programs.peer, name,
                                                                        command))
        soonest = math.min(soonest, process.monotonic() - began)
        assert.equal(1, code)
        assert.matches("busy", said)
        if soonest < 0.9 then
          break
        end
      end
      assert.is_true(soonest < 0.9, command)
    end
  end)

  it("C goes on where Lua was killed in the guard of a queue, or of an arena", function()
    local arena = keep(assert(shm.arena(name, {size = SIZE})))
    local queue = keep(assert(arena:queue("jobs", {capacity = 64})))
    local kills = chaos.kill_everywhere(function() queue:push "dead" end, function(_, survived)
      says("", c("push", "jobs", "alive"))
      local said, code = c("pop", "jobs", #queue)
      assert.equal(0, code)
      assert(said == "dead\nalive\n" or said == "alive\n" and not survived)
      arena:attached() -- takes the dead off the register
    end)
    assert(kills > 4)
    local map = keep(assert(arena:map "map"))
    kills = chaos.kill_everywhere(function()
      map:set("key", ("x"):rep(100))
      map:set("other", ("x"):rep(1000))
    end, function()
      says("", c("push", "jobs", "alive")) -- it is the first in the guard
      says("alive\n", c("pop", "jobs"))
      assert.is_true(arena:check())
      arena:attached()
      map:delete "key"
      map:delete "other"
    end)
    assert(kills > 20)
  end)

  -- Runs the worker, and kills it at some time after it has done something.
  local function kill_at_random(what, meanwhile, verify)
    for round = 1, ROUNDS do
      local acknowledged = region:load(WORD)
      local worker = start(("%s %s %s %d"):format(programs.worker, name, what, WORD))
      local some = acknowledged + math.random(1, 40)
      support.eventually(function()
        for _ = 1, 100 do
          meanwhile()
          if region:load(WORD) >= some then
            return true
          end
        end
      end)
      process.kill(worker.pid, "KILL")
      assert.equal("", worker.said())
      region:store(WORD, verify(region:load(WORD), round) or region:load(WORD))
    end
  end

  it("C that pushes is killed at random, and nothing that was pushed is lost", function()
    in_region()
    local queue = keep(assert(shm.queue.create(region, 0, {capacity = 256})))
    local pushed, popped, theirs = 0, 0, 0
    local function meanwhile(timeout)
      if queue:push({pushed + 1}, timeout or 0) then
        pushed = pushed + 1
      end
      for _ = 1, 3 do
        local value = queue:pop(0)
        if type(value) == "table" then
          popped = popped + 1
          assert.equal(popped, value[1])
        elseif value then
          theirs = theirs + 1
          assert.equal(theirs, value)
        end
      end
    end
    kill_at_random("push", meanwhile, function(acknowledged)
      repeat meanwhile() until #queue == 0
      assert(theirs == acknowledged or theirs == acknowledged + 1, theirs)
      assert.equal(pushed, popped)
      return theirs
    end)
  end)

  for _, mode in ipairs {"mpmc", "spsc"} do
    it("C that pops is killed at random, and what it had not taken is there, " .. mode, function()
      in_region()
      local queue = keep(assert(shm.queue.create(region, 0, {capacity = 256, mode = mode})))
      local pushed = 0
      local function meanwhile()
        if queue:push(pushed + 1, 0) then
          pushed = pushed + 1
        end
      end
      kill_at_random("pop", meanwhile, function(acknowledged)
        meanwhile()
        queue:close()
        queue = keep(assert(shm.queue.attach(region, 0)))
        local first = queue:peek()
        queue:close() -- with the consumer's role
        queue = keep(assert(shm.queue.attach(region, 0)))
        if first then -- one may have been taken, and its taker killed
          assert(first == acknowledged + 1 or first == acknowledged + 2, first)
          return first - 1
        end
        return pushed
      end)
    end)
  end

  for _, overflow in ipairs {"block", "drop"} do
    it("C that publishes is killed at random, and who reads goes on, " .. overflow, function()
      in_region()
      local topic = keep(assert(shm.topic.create(region, 0, {capacity = 256, overflow = overflow})))
      local reader = keep(assert(topic:subscribe()))
      local seen = 0
      local function meanwhile()
        local value = reader:try()
        if value then
          assert(value == seen + 1 or overflow == "drop" and value > seen, value)
          seen = value
        end
        return value
      end
      kill_at_random("publish", meanwhile, function(acknowledged)
        while meanwhile() do end
        assert(seen == acknowledged or seen == acknowledged + 1, seen)
        return seen
      end)
    end)

    it("C that reads is killed at random, and who publishes goes on, " .. overflow, function()
      in_region()
      local topic = keep(assert(shm.topic.create(region, 0, {capacity = 256, overflow = overflow})))
      local n, last = 0, 0
      kill_at_random("read", function()
        if topic:publish(n + 1, 0) then
          n = n + 1
        end
      end, function(acknowledged)
        assert(acknowledged > last and acknowledged <= n)
        last = acknowledged
        assert.is_true(topic:publish(n + 1, LONG))
        n = n + 1
      end)
    end)
  end

  it("scribble does not crash C, nor keep it", function()
    in_region()
    for round = 1, ROUNDS do
      math.randomseed(round)
      region:write(0, ("\0"):rep(8192))
      local queue = assert(shm.queue.create(region, 0, {capacity = 64}))
      local topic = assert(shm.topic.create(region, 4096, {capacity = 64, subscribers = 2}))
      queue:push "x"
      topic:publish "x"
      for _ = 1, math.random(1, 8) do
        local at = 24 + math.random(0, 250) * 8
        local value = ({-1, 1 << 31, math.random(0), 1, 1 << 29 | 2})[math.random(5)]
        region:store(math.random(2) == 1 and at or 4096 + at, value)
      end
      for _, words in ipairs {"push @0 y", "pop @0 2", "publish @4096 y", "read @4096 2"} do
        local said, code = run(("env PEER_TIMEOUT=0 %s %s %s"):format(programs.peer, name, words))
        assert(code == 0 or code == 1, round .. words .. said .. code)
      end
      queue:close()
      topic:close()
    end
  end)

  -- All that is not zero, in words of eight bytes; but for what differs from run to run.
  local function dump(differs)
    local lines = {}
    for offset = 0, 2048, 8 do
      local bytes = region:read(offset, 8)
      if not differs[offset] and bytes ~= ("\0"):rep(8) then
        lines[#lines + 1] = ("%4d %s"):format(offset, bytes:gsub(".", function(one)
          return ("%02x"):format(one:byte())
        end))
      end
    end
    return table.concat(lines, "\n")
  end

  local QUEUE = [[
   0 010011004d48534c
  16 4006000000000000
  24 4000000010000000
  80 0200000001000000
 128 010008004d48534c
 144 3801000000000000
 512 010008004d48534c
 528 3801000000000000
1344 0300000002000020
1352 a268690000000000]]

  local TOPIC = [[
   0 010012004d48534c
  16 0003000000000000
  24 8000000000000000
  32 4000000000000000
  40 0100000000000000
  80 2000000000000000
 128 010008004d48534c
 144 3801000000000000
 448 010008004d48534c
 464 3801000000000000
 840 0300000000000000
 848 a268690000000000
 864 0100000000000000]]

  it("a queue with a message is these bytes, whoever has pushed it", function()
    in_region()
    local differs = {[8] = "home", [136] = "home", [520] = "home", [152] = "cpu", [536] = "cpu"}
    local queue = keep(assert(shm.queue.create(region, 0, {capacity = 64})))
    assert(queue:push "hi")
    assert.equal(QUEUE, dump(differs))
    region:write(0, ("\0"):rep(2048))
    keep(assert(shm.queue.create(region, 0, {capacity = 64})))
    says("", c("push", "@0", "hi"))
    assert.equal(QUEUE, dump(differs))
  end)

  it("a topic with a message is these bytes, whoever has published it", function()
    in_region()
    local differs = {[8] = "home", [136] = "home", [456] = "home", [152] = "cpu",
      [472] = "cpu", [768] = "who"}
    local options = {capacity = 64, subscribers = 1}
    local topic = keep(assert(shm.topic.create(region, 0, options)))
    keep(assert(topic:subscribe()))
    assert(topic:publish "hi")
    assert.equal(TOPIC, dump(differs))
    region:write(0, ("\0"):rep(2048))
    keep(assert(shm.topic.create(region, 0, options)))
    says("", c("publish", "@0", "hi"))
    assert.equal(TOPIC, dump(differs))
  end)
end)
