-- Programs in C and Python that know examples/peer.h and nothing of the module, beside Lua.
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
        for round = 1, 20 do -- several times around the ring
          says("", c("push", jobs, round, -5, math.mininteger, table.unpack(TEXTS)))
          for _, value in ipairs {round, -5, math.mininteger, table.unpack(TEXTS)} do
            assert.equal(value, queue:pop(LONG))
          end
        end
        queue:close() -- with the consumer's role
        queue = keep(make_queue {mode = mode, capacity = 1500})
        for _, n in ipairs {0, 127, 128, 255, 256, 65535, 65536, 1 << 32, -1, -32, -33, -128,
          -129, -32768, -32769, -(1 << 31), -(1 << 31) - 1, math.maxinteger, math.mininteger} do
          assert(queue:push(n, LONG))
          says(n .. "\n", c("pop", jobs))
        end
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
        for round = 1, 20 do
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
    local topic = keep(make_topic {capacity = 64, overflow = "drop"})
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
    local function wakes(mask, f, prepare, ...)
      local words = table.concat({...}, " ")
      support.eventually(function()
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
    support.eventually(function()
      local reader = start(("env PEER_WOKE=yes PEER_TIMEOUT=1 %s %s read @4096 1000")
        :format(programs.hooked, name))
      support.eventually(function() return topic:subscribers() == 1 end)
      process.kill(reader.pid, "STOP")
      while topic:publish(1, 0.001) do end
      local child <close> = lock.child(function() assert(topic:publish(2, LONG)) end)
      asleep(4096 + SPACE)
      process.kill(reader.pid, "CONT")
      assert.is_true(child.ended())
      return reader.said():match "2\n.*woke [1-9]%d*\n$"
    end)
  end)
end)
