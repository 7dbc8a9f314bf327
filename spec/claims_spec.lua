-- Numbers that the documents state, and what else they promise that belongs to no room alone:
-- the sentence stands there, and it is so.
local durable = require "shm.durable"
local lab_corpus = require "spec.lab.corpus"
local lock = require "spec.lock_support"
local peer = require "shm.peer"
local replica = require "shm.replica"
local shm = require "shm"
local support = require "spec.support"

local DETAILS <const> = "examples/guides/details.md"
local LONG <const>, EUSERS <const> = lock.LONG, lock.EUSERS
local ENOENT <const>, E2BIG <const>, EMSGSIZE <const> = 2, 7, 90

-- Whether a document has the words, on however many lines.
local function says(path, words)
  local text = support.read_file(path):gsub("%s+", " ")
  assert(text:find(words, 1, true), ("%s does not say: %s"):format(path, words))
end

describe("the documents' claim", function()
  local region, open

  before_each(function()
    region, open = assert(shm.anonymous(1 << 18)), {}
  end)

  after_each(function()
    for i = #open, 1, -1 do
      getmetatable(open[i]).__close(open[i])
    end
    region:close()
  end)

  local function child(f, ...)
    open[#open + 1] = lock.child(f, ...)
  end

  local function all_end()
    for _, one in ipairs(open) do
      assert.is_true(one.ended())
    end
  end

  local function mutexes(n)
    local m = {}
    for i = 1, n do
      m[i] = assert(shm.mutex.create(region, i * 512))
    end
    return m
  end

  it("that a circle of 60 is found", function()
    says(DETAILS, "nor those of more than 60 threads")
    local n <const> = support.valgrind and 20 or 60
    local m, there = mutexes(n), assert(shm.counter.create(region, 1 << 17))
    local function link(i) -- whether it was told
      assert(m[i]:lock(LONG))
      there:add(1)
      assert(there:wait(n, LONG))
      local ok, message, errno = m[i % n + 1]:lock(LONG)
      if ok then
        m[i % n + 1]:unlock()
      else
        assert(errno == lock.EDEADLK, message)
        assert(select(2, message:gsub("%->", "")) == n, message)
      end
      m[i]:unlock()
      return not ok
    end
    local told = assert(shm.counter.create(region, (1 << 17) + 4096))
    for i = 1, n do
      child(function() told:add(link(i) and 1 or 0) end)
    end
    all_end()
    assert.is_true(told:get() >= 1)
  end)

  it("that 31 sleepers have names, more sleep without, and circles through 31 are found", function()
    says(DETAILS, "nor those through a lock at which more than 31 sleep")
    says(DETAILS, "31 sleepers have names (`waiters`), more sleep without")
    local m = mutexes(2)
    assert(m[1]:lock())
    for i = 1, 30 do
      child(function() assert(m[1]:lock(LONG)) m[1]:unlock() end)
      lock.sleepers(m[1], i)
    end
    local told = assert(shm.counter.create(region, 1 << 17))
    child(function()
      assert(m[2]:lock(LONG))
      local ok, _, errno = m[1]:lock(LONG)
      if ok then
        m[1]:unlock()
      else
        assert(errno == lock.EDEADLK)
        told:add(1)
      end
      m[2]:unlock()
    end)
    lock.sleepers(m[1], 31)
    local begun, ok, message, errno = 31, m[2]:lock(LONG)
    if ok then -- who sleeps looks now and then, and may have seen the circle first, or as well
      m[2]:unlock()
      assert.equal(1, told:get())
    else
      lock.refused(lock.EDEADLK, "^deadlock: ", ok, message, errno)
    end
    repeat
      child(function() assert(m[1]:lock(LONG)) m[1]:unlock() end)
      begun = begun + 1
      support.eventually(function() return m[1]:waiters() + told:get() == begun end)
    until m[1]:waiters() == 32
    assert.equal(31, #select(2, m[1]:waiters()))
    m[1]:unlock()
    all_end()
  end)

  it("that 31 can read, and 31 wait for a condition", function()
    says(DETAILS, "31 can read, 31 wait for a condition")
    local m, c = assert(shm.mutex.create(region, 0)), assert(shm.condition.create(region, 4096))
    local w = assert(shm.rwlock.create(region, 8192))
    for i = 1, 31 do
      child(function()
        assert(w:lock_shared(LONG))
        assert(m:lock(LONG))
        assert(c:wait(m, LONG))
        m:unlock()
        w:unlock()
      end)
      lock.sleepers(c, i)
    end
    assert.equal(31, #w:readers())
    lock.refused(lock.ETIMEDOUT, "^rwlock", w:lock_shared(0.02))
    assert(m:lock(LONG))
    lock.refused(EUSERS, "^condition", c:wait(m, LONG))
    assert.equal(31, c:broadcast())
    m:unlock()
    all_end()
  end)

  it("that a barrier has up to 64 parties", function()
    says(DETAILS, "a barrier has up to 64 parties")
    local b = assert(shm.barrier.create(region, 0, 64))
    for _ = 1, 63 do
      child(function() assert(b:wait(LONG)) end)
    end
    assert(b:wait(LONG))
    all_end()
  end)

  it("that a queue and a topic take about three times their capacity of an arena", function()
    says(DETAILS, "A queue or topic takes three times its `capacity` of them.")
    local a <close> = assert(shm.arena(assert(shm.anonymous(1 << 24))))
    for _, kind in ipairs {"queue", "topic"} do
      for _, capacity in ipairs {65536, 1 << 20} do
        local before = a:stat().used
        a[kind](a, kind .. capacity, {capacity = capacity}):close()
        local times = (a:stat().used - before) / capacity
        assert(times > 2.9 and times < 3.2, times)
      end
    end
  end)

  it("that a message has up to 65536 bytes, and an arena 1 MiB, unless told otherwise", function()
    says("examples/guides/queue.md", "A message has at most `capacity` bytes, 65536 unless")
    says("README.md", "A message has at most `capacity` bytes, 65536 unless")
    says(DETAILS, "the least in which the longest fits: 131072 for 65536. Each takes 8 besides")
    local name = "shm-spec-" .. support.key()
    local a <close> = assert(shm.arena(name))
    assert(shm.unlink(name))
    assert.equal(1 << 20, a:stat().size)
    local q = a:queue "jobs"
    assert(q:push(("x"):rep(65536 - 3), 0))
    assert.equal(65536 + 8, q:used())
    assert.is_nil((q:push(("x"):rep(65536 - 2), 0)))
    assert(q:pop(0))
    repeat
      local done = q:push(("x"):rep(7), 0) -- 8 bytes, encoded
    until not done
    assert.equal(131072, q:used())
  end)

  it("that a map's transaction may have 150 new keys, or 256 that are there", function()
    says(DETAILS, "In an arena of 1 MiB 150 new keys fit, or 256 that are there;")
    says(DETAILS, "With a larger `journal` 200 new keys fit for sure.")
    local a <close> = assert(shm.arena(assert(shm.anonymous(1 << 20))))
    local m = a:map "pages"
    local function set(from, to)
      return m:transaction(function(t)
        for i = from, to do
          t:set(i, i)
        end
        return true
      end)
    end
    for i = 0, 600, 150 do
      assert.is_true(set(i + 1, i + 150))
    end
    assert.is_true(set(1, 256))
    lock.refused(E2BIG, "^map%.apply 'pages'", set(1, 750))
    local larger <close> = assert(shm.arena(assert(shm.anonymous(1 << 20)), {journal = 1 << 18}))
    m = larger:map "pages"
    for i = 0, 4000, 200 do
      assert.is_true(set(i + 1, i + 200))
    end
  end)

  it("that a change of a replica's has up to 255 keys and a third of the log", function()
    says(DETAILS, "A change has up to 255 keys (`E2BIG`) and a third of the log's bytes (`EMSG")
    local name = "shm-spec-" .. support.key()
    local node = assert(replica.open(name, {id = "a", size = 1 << 22, journal = 1 << 20,
                                            log = 1 << 16}))
    local function change(n)
      return node:transaction(function(t)
        for i = 1, n do
          t:set(i, 1)
        end
        return true
      end)
    end
    assert.is_true(change(255))
    lock.refused(E2BIG, "256 keys, where 255 can change", change(256))
    assert(node:set("long", ("x"):rep((1 << 16) // 3 - 200)))
    lock.refused(EMSGSIZE, "^replica%.set", node:set("long", ("x"):rep((1 << 16) // 3)))
    node:close()
    assert(replica.unlink(name))
  end)

  it("that nobody listens to users whom the mode keeps out", function()
    says(DETAILS, "To users whom the `mode` of `listen` (0600) keeps out, nobody listens there")
    local key = support.key()
    local listener = assert(peer.listen(key))
    local said = support.as_nobody(([[
      print(select(3, require("shm.peer").dial(%d, {timeout = 0})))]]):format(key))
    assert(listener:close())
    if not said then
      return pending(support.NOT_NOBODY)
    end
    assert.equal(ENOENT .. "\n", said)
  end)

  it("that a copy of a durable state's file is a backup", function()
    says(DETAILS, "A copy of FILE is a backup.")
    local name, file = "shm-spec-" .. support.key(), os.tmpname()
    os.remove(file)
    local state = assert(durable.open(name, {file = file}))
    state.map:set("key", "as of then")
    assert(state:sync())
    support.shell(("cp %s %s.backup"):format(file, file))
    state.map:set("key", "later")
    assert(state:stop())
    state = assert(durable.open(name, {file = file .. ".backup"}))
    assert.same({"restored", "as of then"}, {state.began, state.map:get "key"})
    assert(state:stop())
    support.shell("rm -f " .. file .. "*")
  end)

  it("that there are forty-three faulty protocols", function()
    says("examples/guides/protocol.md", "forty-three faulty protocols")
    assert.equal(43, #lab_corpus.names())
  end)
end)
