-- shm.queue: messages, first in, first out, each of them once.
local chaos = require "shm.chaos"
local cqueues = require "cqueues"
local lock = require "spec.lock_support"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local LONG, refused = lock.LONG, lock.refused
local EAGAIN, EFAULT, ENOSPC, EPIPE, EBADMSG, EMSGSIZE = 11, 14, 28, 32, 74, 90
local HEADER = 21 * 64 -- before the ring
local ITEMS_SLEEPING, ROOM_SLEEPING = 128 + 56, 512 + 56

local region, queues

local function create(options, offset)
  local q = assert(shm.queue.create(region, offset or 0, options))
  queues[#queues + 1] = q
  return q
end

local function asleep(at)
  support.eventually(function() return region:load32(at) ~= 0 end)
end

-- The same queue, of which this process is neither producer nor consumer.
local function let_go(q)
  q:close()
  q = assert(shm.queue.attach(region, 0))
  queues[#queues + 1] = q
  return q
end

local function empty(q)
  assert.equal(0, #q)
  refused(lock.ETIMEDOUT, "^queue%.pop at %d+: Connection timed out$", q:pop(0))
end

local function drain(q)
  local list = {}
  while #q > 0 do
    list[#list + 1] = q:pop(0)
  end
  empty(q)
  return list
end

local function open_region()
  region, queues = assert(shm.anonymous(1 << 20)), {}
end

local function close_region()
  for _, q in ipairs(queues) do
    q:close()
  end
  region:close()
end

for _, mode in ipairs {"mpmc", "spsc"} do
  describe("a queue, " .. mode .. ",", function()
    before_each(open_region)
    after_each(close_region)

    it("gives back what was pushed, in order", function()
      local q = create {mode = mode}
      local values = {1, -5, 2.5, true, false, "", "short", ("long"):rep(5000), {1, {a = "b"}}}
      for _, value in ipairs(values) do
        assert.is_true(q:push(value))
      end
      assert.equal(#values, #q)
      assert.equal(1, q:peek())
      for i, value in ipairs(values) do
        assert.same(value, q:peek())
        assert.same(value, q:pop(i % 2 == 0 and LONG or nil))
      end
      assert.is_true(q:push(nil))
      assert.same(1, select("#", q:pop()))
      empty(q)
      assert.equal(0, q:used())
      refused(EAGAIN, "^queue%.peek at 0: ", q:peek())
    end)

    it("has bound functions", function()
      local q = create {mode = mode}
      local push, pop = q:pusher(), q:popper()
      assert.is_true(push(1))
      assert.is_true(push(("x"):rep(10000), 0))
      assert.same({1, ("x"):rep(10000)}, {pop(), pop(0)})
      refused(lock.ETIMEDOUT, "queue%.pop", pop(0))
      refused(lock.ETIMEDOUT, "queue%.pop", pop(0.02))
      q:close()
      assert.error_matches(function() push(1) end, "closed")
      assert.error_matches(function() pop() end, "closed")
      assert.error_matches(function() q.pop(1) end, "%(shm%.queue expected, got number%)")
    end)

    it("takes what fits, refuses what never does, and waits for room", function()
      local q = create {capacity = 100, mode = mode}
      assert.is_true(q:push(("x"):rep(98)))
      refused(EMSGSIZE, "^queue%.push at 0: longer than its capacity, 100 bytes: Message too long$",
              q:push(("x"):rep(99)))
      refused(EMSGSIZE, "queue%.push_many", q:push_many {1, ("x"):rep(99)})
      refused(EMSGSIZE, "queue%.loan", q:loan(101))
      refused(lock.ETIMEDOUT, "^queue%.push at 0: Connection timed out$", q:push("yyyyyyyy", 0))
      refused(lock.ETIMEDOUT, "queue%.push at 0", q:push("yyyyyyyy", 0.02))
      assert.equal(1, #q)
      assert.equal(112, q:used())
      q:pop()
      local r = create({capacity = 100, mode = mode, overflow = "reject"}, 4096)
      r:push(("x"):rep(98))
      refused(ENOSPC, "^queue%.push at 4096: ", r:push("yyyyyyyy", LONG))
      refused(ENOSPC, "^queue%.push_many at 4096: ", r:push_many {"yyyyyyyy"})
      refused(ENOSPC, "^queue%.loan at 4096: ", r:loan(10))
    end)

    it("does as a list does, with messages of all sizes, everywhere in the ring", function()
      local q, list, n = create {capacity = 1000, mode = mode}, {}, 0
      for _ = 1, support.rounds(20000) do
        local what = math.random(6)
        if what == 1 then
          local value = ("x"):rep(math.random(0, math.random(0, 990)))
          if q:push(value, 0) then
            table.insert(list, value)
          end
        elseif what == 2 then
          local many = {}
          for i = 1, math.random(0, 20) do
            n = n + 1
            many[i] = n
          end
          local pushed = q:push_many(many, 0) or 0
          table.move(many, 1, pushed, #list + 1, list)
        elseif what == 3 then
          local loan = q:loan(math.random(0, 1000), 0)
          if loan then
            local bytes = tostring(n):sub(1, #loan:region())
            loan:region():write(0, bytes)
            if math.random(2) == 1 then
              assert(loan:commit(#bytes))
              table.insert(list, bytes)
            end
            loan:close()
          end
        elseif what == 4 and #list > 0 then
          local most = math.random(30)
          local popped, count = q:pop_many(most, 0)
          assert.equal(math.min(most, #list), count)
          for i = 1, count do
            assert.equal(table.remove(list, 1), popped[i])
          end
        elseif what == 5 and #list > 0 then
          local view <close> = assert(q:view(0))
          local bytes, raw = view:region()
          bytes = bytes:read(0, #bytes)
          local value = table.remove(list, 1)
          assert.equal(value, raw and bytes or shm.value.decode(bytes))
        elseif #list > 0 then
          assert.equal(list[1], q:peek())
          assert.equal(table.remove(list, 1), q:pop(0))
        end
        assert.equal(#list, #q)
      end
      assert.same(list, drain(q))
    end)

    it("lets one wait for the other, both ways", function()
      local q = create {capacity = 100, mode = mode}
      local n = support.rounds(300)
      local child <close> = lock.child(function()
        for i = 1, n do
          assert(q:push(("%90d"):format(i), i % 3 == 0 and LONG or nil))
        end
      end)
      asleep(ROOM_SLEEPING)
      for i = 1, n do
        assert.equal(i, tonumber(q:pop(LONG)))
      end
      assert.is_true(child.ended())
      q = let_go(q)
      local other <close> = lock.child(function() assert(q:pop(LONG) == "now") end)
      asleep(ITEMS_SLEEPING)
      assert(q:push "now")
      assert.is_true(other.ended())
    end)

    it("ends its waits on Ctrl-C", function()
      local q = create {capacity = 64, mode = mode}
      local function interrupted(f)
        assert.is_true(support.interrupts(function()
          local _, _, errno = f()
          error(errno == lock.EINTR and "interrupted" or "?")
        end))
      end
      interrupted(function() return q:pop() end)
      interrupted(function() return q:pop_many(2) end)
      interrupted(function() return q:view() end)
      interrupted(function()
        q:push(("x"):rep(60))
        return q:push(("x"):rep(60))
      end)
    end)

    it("ends for all, once it is empty", function()
      local q = create {capacity = 100, mode = mode}
      local child <close> = lock.child(function()
        refused(EPIPE, "^queue%.pop at 0: it was shut down: Broken pipe$", q:pop(LONG))
      end)
      asleep(ITEMS_SLEEPING)
      assert.is_true(q:shutdown())
      assert.is_true(child.ended())
      q = create({capacity = 100, mode = mode}, 4096)
      q:push(1)
      q:push(("x"):rep(80))
      local pusher <close> = lock.child(function()
        local p <close> = assert(shm.queue.attach(region, 4096))
        refused(mode == "mpmc" and EPIPE or lock.EBUSY, "^queue%.push at 4096: ",
                p:push(("x"):rep(80), LONG))
      end)
      if mode == "mpmc" then
        asleep(4096 + ROOM_SLEEPING)
      end
      assert.is_true(q:shutdown())
      assert.is_true(pusher.ended())
      refused(EPIPE, "^queue%.push at 4096: ", q:push(1))
      refused(EPIPE, "^queue%.push_many at 4096: ", q:push_many {1})
      refused(EPIPE, "^queue%.loan at 4096: ", q:loan(1))
      assert.equal(1, q:pop())
      assert.same({{("x"):rep(80)}, 1}, {q:pop_many(5)})
      refused(EPIPE, "^queue%.pop at 4096: ", q:pop())
      refused(EPIPE, "^queue%.pop_many at 4096: ", q:pop_many(1))
      refused(EPIPE, "^queue%.view at 4096: ", q:view())
      refused(EPIPE, "^queue%.peek at 4096: ", q:peek())
    end)

    it("ends for who waits for room, and not before what was lent is there", function()
      local q = create {capacity = 64, mode = mode}
      local child <close> = lock.child(function()
        for _ = 1, 2 do
          assert(q:push(("x"):rep(50)))
        end
        refused(EPIPE, "^queue%.push at 0: it was shut down: Broken pipe$",
                q:push(("x"):rep(50), LONG))
      end)
      asleep(ROOM_SLEEPING)
      local other <close> = assert(shm.queue.attach(region, 0))
      assert.is_true(other:shutdown() and other:shutdown())
      assert.is_true(child.ended())
      q = create({capacity = 64, mode = mode}, 4096)
      local loan, dropped = assert(q:loan(3)), assert(q:loan(3))
      assert.is_true(q:shutdown())
      refused(lock.ETIMEDOUT, "^queue%.pop at 4096: ", q:pop(0))
      refused(EAGAIN, "^queue%.peek at 4096: ", q:peek())
      loan:region():write(0, "abc")
      assert.is_true(loan:commit())
      assert.equal("abc", q:pop(0))
      assert.is_true(dropped:close())
      refused(EPIPE, "^queue%.pop at 4096: ", q:pop(0))
    end)

    it("has 16 loans and 16 views at once, and loses nothing where it refuses more", function()
      local q = create {capacity = 2000, mode = mode}
      local open = {}
      for i = 1, 16 do
        open[i] = assert(q:loan(1, LONG))
      end
      refused(lock.EUSERS, "^queue%.loan at 0: 16 loans and views are open: ", q:loan(1, LONG))
      assert.equal(0, #q)
      for i, loan in ipairs(open) do
        loan:region():set_u8(0, 64 + i)
        assert(loan:commit())
      end
      assert(q:push "behind")
      for i = 1, 16 do
        open[i] = assert(q:view(LONG))
        assert.equal(string.char(64 + i), open[i]:region():read(0, 1))
        assert.is_true(select(2, open[i]:region()))
      end
      refused(lock.EUSERS, "^queue%.view at 0: ", q:view(LONG))
      assert.equal(1, #q)
      open[1]:close()
      local view <close> = assert(q:view(LONG))
      assert.is_false(select(2, view:region()))
      for _, one in ipairs(open) do
        one:close()
      end
    end)

    it("says that a loan was overwritten, or its memory is gone, and closes it", function()
      local q = create {mode = mode}
      local loan = assert(q:loan(10))
      region:store(HEADER, 0)
      refused(EBADMSG, "^loan%.commit: Bad message$", loan:commit())
      assert.equal("shm.loan (closed)", tostring(loan))
      local path = os.tmpname()
      local file <close> = assert(shm.map(path, {mode = "rw", create = true, size = 1 << 18}))
      local gone <close> = assert(shm.queue.create(file, 0, {mode = mode}))
      loan = assert(gone:loan(10))
      local fd <close> = assert(shm.posix.open(path, shm.posix.O_RDWR))
      assert(shm.posix.ftruncate(fd, 0))
      os.remove(path)
      refused(EFAULT, "^loan%.commit: ", loan:commit())
      assert.equal("shm.loan (closed)", tostring(loan))
    end)

    it("shares the next power of two that is larger than its capacity by 8 or more", function()
      for capacity, ring in pairs {[64] = 128, [100] = 128, [120] = 128, [121] = 256, [128] = 256,
                                   [1016] = 1024, [1017] = 2048} do
        local q <close> = create({capacity = capacity, mode = mode}, 1 << 19)
        local n = 0
        while q:push(1, 0) do
          n = n + 1
        end
        assert.same({ring, ring // 16}, {q:used(), n})
        q:pop_many(n)
        assert(q:push(("x"):rep(capacity - (capacity < 34 and 1 or capacity < 258 and 2 or 3)), 0))
        region:fill(1 << 19, 1 << 13)
      end
    end)

    it("pops what is there, and not on and on what is pushed meanwhile", function()
      local q = create {capacity = 64, mode = mode} -- in which 8 have room
      local n, got = support.rounds(20000), 0
      local child <close> = lock.child(function()
        local push = q:pusher()
        for i = 1, n do
          push(i)
        end
      end)
      repeat
        local list, count = q:pop_many(math.maxinteger, LONG)
        assert.is_true(count <= 16, count)
        assert.same({got + 1, got + count}, {list[1], list[count]})
        got = got + count
      until got == n
      assert.is_true(child.ended())
    end)

    it("pushes as many of a list as fit in the time", function()
      local q = create {capacity = 100, mode = mode}
      local list = {}
      for i = 1, 40 do
        list[i] = i
      end
      assert.equal(8, q:push_many(list, 0))
      refused(lock.ETIMEDOUT, "queue%.push_many", q:push_many(list, 0.01))
      assert.same({{1, 2, 3}, 3}, {q:pop_many(3)})
      assert.equal(3, q:push_many(list, 0.01))
      assert.same({{4, 5, 6, 7, 8, 1, 2, 3}, 8}, {q:pop_many(100)})
      assert.equal(0, q:push_many({}, 0))
      q = let_go(q)
      local child <close> = lock.child(function() assert(q:push_many(list) == 40) end)
      local got = {}
      repeat
        table.move(assert(q:pop_many(3, LONG)), 1, 3, #got + 1, got)
      until #got == 40
      assert.same(list, got)
      assert.is_true(child.ended()) -- whose role is free
      q:push_many {"a", false, "b"}
      q:push(nil)
      q:push "c"
      assert.same({{"a", false, "b", nil, "c"}, 5}, {q:pop_many(9)})
    end)

    -- Malloc fills what it gives, so that what was not written can be told.
    it("shows nothing of a process's memory but its messages", function()
      local script = [[
        local shm = require "shm"
        local region = assert(shm.anonymous(65536))
        local q = assert(shm.queue.create(region, 0, {capacity = 4096, mode = "%s"}))
        q:push_many {"a", ("b"):rep(8), {1, "c"}, 5}
        print(region:find(0, ("\xa5"):rep(3)), region:find(0, "bbbb") and true)]]
      assert.equal("nil\ttrue\n", support.shell(("MALLOC_PERTURB_=%d lua5.4 -e '%s' 2>&1")
        :format(0x5a, script:format(mode))))
    end)

    it("says what is no message", function()
      local q = create {mode = mode}
      q:push "abc"
      region:set_u8(HEADER + 8, 0xc1)
      refused(EBADMSG, "^queue%.pop at 0: Bad message$", q:pop())
      q:push "abc"
      region:store(HEADER + 16, 0)
      refused(EBADMSG, "^queue%.pop at 0: Bad message$", q:pop())
      refused(EBADMSG, "^queue%.peek at 0: Bad message$", q:peek())
      refused(EBADMSG, "^queue%.pop_many at 0: Bad message$", q:pop_many(3))
      refused(EBADMSG, "^queue%.view at 0: Bad message$", q:view())
    end)

    it("gives what is good of a list, whatever lies among it", function()
      local q = create {mode = mode}
      for i, bad in ipairs {{2}, {1}, {3}, {1, 2, 3}, {}} do
        q:close()
        region:fill(0, 4096)
        q = create {mode = mode}
        assert.equal(3, q:push_many {"aa", "bb", "cc"})
        local good = {"aa", "bb", "cc"}
        for k = #bad, 1, -1 do
          region:set_u8(HEADER + 16 * bad[k] - 8, 0xc1)
          table.remove(good, bad[k])
        end
        if i == 4 then
          refused(EBADMSG, "^queue%.pop_many at 0: Bad message$", q:pop_many(9))
        else
          assert.same({good, #good}, {q:pop_many(9)})
        end
        empty(q)
      end
    end)
  end)
end

describe("a queue", function()
  before_each(open_region)
  after_each(close_region)

  it("is made once, found by others, and refused when it is none", function()
    refused(lock.ENOENT, "^queue%.attach at 64: there is none", shm.queue.attach(region, 64))
    local q = create({capacity = 5000, overflow = "reject"}, 64)
    assert.matches("^shm%.queue %(anonymous at 64%)$", tostring(q))
    refused(lock.EEXIST, "^queue%.create at 64: ", shm.queue.create(region, 64))
    local other, made = shm.queue.open(region, 64)
    assert.is_false(made)
    q:push(5)
    assert.equal(5, other:pop())
    assert.is_true(other:close() and other:close())
    assert.equal("shm.queue (closed)", tostring(other))
    assert.error_matches(function() return #other end, "closed")
    assert.error_matches(function() shm.queue.create(region, 8) end, "not a multiple of 64")
    other, made = shm.queue.open(region, 32768)
    assert.is_true(made and other:close())
    for _, at in ipairs {16, 24, 28} do -- the size, the capacity, the ring
      local good = region:get_u32(64 + at)
      for _, bad in ipairs {0, 63, good + 4096, 1 << 31, 0xffffffff} do
        region:set_u32(64 + at, bad)
        refused(lock.ENOENT, "there is none", shm.queue.attach(region, 64))
      end
      region:set_u32(64 + at, good)
    end
    assert(shm.queue.attach(region, 64)):close()
    local size = shm.queue.size {capacity = 1000}
    assert.equal(0, size % 64)
    local short <close> = region:view(0, size - 64)
    assert.error_matches(function() shm.queue.create(short, 0, {capacity = 1000}) end, "offset")
  end)

  it("has messages of up to 1 GiB, where there is so much memory to look at", function()
    local posix, options = shm.posix, {capacity = 1 << 30}
    local size = shm.queue.size(options)
    local fd <close> = assert(posix.memfd_create "queue")
    assert(posix.ftruncate(fd, size)) -- of which few pages are ever there
    local file, why = posix.mmap(nil, size, posix.PROT_READ | posix.PROT_WRITE,
                                 posix.MAP_SHARED, fd, 0)
    if not file then
      return pending(why)
    end
    local q = assert(shm.queue.create(file, 0, options))
    local other = assert(shm.queue.attach(file, 0))
    assert(q:push "a")
    assert.equal("a", other:pop(0))
    local loan = assert(other:loan(1 << 30, 0))
    loan:region():write((1 << 30) - 1, "z")
    assert(loan:commit())
    local view = assert(q:view(0))
    assert.equal("\0z", view:region():read((1 << 30) - 2, 2))
    for _, handle in ipairs {view, q, other, file} do
      handle:close()
    end
  end)

  it("hands each message to one, in the order of its producer", function()
    local PRODUCERS, CONSUMERS, each = 3, 3, support.rounds(5000)
    local q, results = create {capacity = 2000}, create({capacity = 1 << 16}, 1 << 19)
    local producers, consumers = {}, {}
    for p = 1, PRODUCERS do
      producers[p] = lock.child(function()
        local i = 0
        while i < each do
          local many = {}
          for k = 1, math.min(each - i, p == 1 and 1 or math.random(10)) do
            many[k] = {p, i + k, ("x"):rep(math.random(0, 100))}
          end
          i = i + (#many == 1 and q:push(many[1]) and 1 or q:push_many(many))
        end
      end)
    end
    for c = 1, CONSUMERS do
      consumers[c] = lock.child(function()
        local last, n = {0, 0, 0}, 0
        while true do
          local list, errno, _
          if c == 1 then
            list, _, errno = q:pop()
            list = list and {list}
          else
            list, _, errno = q:pop_many(7)
          end
          if not list then
            assert(errno == EPIPE)
            break
          end
          for _, it in ipairs(list) do
            assert(it[2] > last[it[1]], "out of order")
            last[it[1]] = it[2]
            n = n + 1
          end
        end
        results:push(n)
      end)
    end
    for _, child in ipairs(producers) do
      assert.is_true(child.ended())
    end
    q:shutdown()
    local sum = 0
    for _, child in ipairs(consumers) do
      assert.is_true(child.ended())
      sum = sum + results:pop(LONG)
    end
    assert.equal(PRODUCERS * each, sum)
  end)

  it("lets others be faster at a message that is long: who has time goes on waiting", function()
    local q, n = create {capacity = 12000}, support.rounds(50000)
    local children <close> = setmetatable({}, {__close = function(list)
      for _, child in ipairs(list) do
        child:kill "KILL"
        child:wait(LONG)
        child:close()
      end
    end})
    for i = 1, 3 do
      children[i] = assert(process.fork(function()
        local got, errno, _
        repeat
          got, _, errno = q:pop()
        until not got
        process.exit(errno == EPIPE and 0 or 1)
      end))
    end
    local long = ("l"):rep(10000)
    for _ = 1, n do
      assert(q:push(long, LONG))
    end
    q:shutdown()
    for _, child in ipairs(children) do
      assert.same({"exit", 0}, {child:wait(LONG)})
    end
  end)

  it("has one producer and one consumer, whose roles the dead and the closed leave", function()
    local q = create {mode = "spsc"}
    local parked <close> = lock.parked(function() q:push(1) end)
    refused(lock.EBUSY, ("^queue%%.push at 0: %d is its producer: "):format(parked.pid), q:push(2))
    refused(lock.EBUSY, "is its producer", q:push_many {2})
    refused(lock.EBUSY, "is its producer", q:loan(2))
    assert.equal(1, q:pop())
    lock.bury(parked)
    assert(q:push(3))
    local child <close> = lock.child(function()
      local p <close> = assert(shm.queue.attach(region, 0))
      for _, f in ipairs {p.pop, p.peek, p.view} do
        refused(lock.EBUSY, "is its consumer", f(p))
      end
      refused(lock.EBUSY, "is its consumer", p:pop_many(1))
    end)
    assert.is_true(child.ended())
    q:close()
    local next <close> = lock.child(function()
      local p <close> = assert(shm.queue.attach(region, 0))
      assert(p:pop(LONG) == 3 and p:push(4))
    end)
    assert.is_true(next.ended())
    q = assert(shm.queue.attach(region, 0))
    assert.equal(4, q:pop())
    q:close()
  end)

  it("lends room that is read once it is committed, in its turn", function()
    local q = create {capacity = 1000}
    local one, two = assert(q:loan(10)), assert(q:loan(10))
    q:push "three"
    assert.equal("shm.loan (10 bytes)", tostring(one))
    assert.equal(1, #q)
    refused(lock.ETIMEDOUT, "queue%.pop", q:pop(0))
    refused(lock.ETIMEDOUT, "queue%.pop", q:pop(0.02))
    refused(EAGAIN, "queue%.peek", q:peek())
    two:region():write(0, "abcdefghij")
    assert.error_matches(function() two:commit(11) end, "not within 0 and 10")
    local bytes = two:region()
    assert.is_true(two:commit())
    assert.error_matches(function() bytes:read(0, 1) end, "closed")
    assert.error_matches(function() two:commit() end, "closed")
    assert.equal(2, #q)
    local child <close> = lock.child(function()
      assert(q:pop(LONG) == "abcdefghij")
      local _, _, errno = one:commit()
      assert(errno == lock.EPERM)
    end)
    asleep(ITEMS_SLEEPING)
    assert(one:close() and one:close())
    assert.equal("shm.loan (closed)", tostring(one))
    assert.is_true(child.ended())
    assert.equal("three", q:pop(0))
    empty(q)
    do
      local dropped <close> = q:loan(5)
      assert.equal(0, #q)
      dropped:region():close()
    end
    empty(q)
    q:loan(0):commit()
    assert.equal("", q:pop())
    for _ = 1, 16 do
      queues[#queues + 1] = assert(q:loan(1, 0))
    end
    refused(lock.EUSERS, "^queue%.loan at 0: ", q:loan(1, 0))
  end)

  it("passes over the loans of the dead", function()
    local q = create {capacity = 1000}
    for i = 1, 40 do
      lock.dead(function()
        q:loan(5)
        q:loan(5):commit()
      end)
      q:push(i)
      assert.equal(2, #q)
      if i % 2 == 0 then
        assert.equal("\0\0\0\0\0", (q:peek():gsub(".", "\0")))
        assert.equal(5, #q:pop(0))
      else
        local view <close> = assert(q:view(0))
        assert.equal(5, #view:region())
      end
      assert.equal(i, q:pop(0))
    end
    local parked <close> = lock.parked(function() q:loan(5) end)
    local child <close> = lock.child(function() assert(q:pop(LONG) == "behind") end)
    q:push "behind"
    asleep(ITEMS_SLEEPING)
    lock.bury(parked)
    assert.is_true(child.ended())
  end)

  it("shows messages in place, which nobody writes over meanwhile", function()
    local q = create {capacity = 100}
    q:push(("x"):rep(90))
    local view = assert(q:view())
    assert.equal("shm.view (92 bytes)", tostring(view))
    local bytes, raw = view:region()
    assert.is_false(raw)
    assert.equal(("x"):rep(90), shm.value.decode(bytes:read(0, #bytes)))
    assert.error_matches(function() bytes:write(0, "a") end, "read%-only")
    assert.error_matches(function() bytes:view(0, 4):write(0, "a") end, "read%-only")
    assert.equal(0, #q)
    refused(lock.ETIMEDOUT, "queue%.push", q:push(("y"):rep(90), 0.02))
    local child <close> = lock.child(function()
      view:close() -- a child's copy, which gives nothing back
      assert(q:push(("y"):rep(90), LONG))
    end)
    asleep(ROOM_SLEEPING)
    assert.equal(("x"):rep(90), shm.value.decode(bytes:read(0, #bytes)))
    assert(view:close() and view:close())
    assert.error_matches(function() bytes:read(0, 1) end, "closed")
    assert.equal(("y"):rep(90), q:pop(LONG))
    assert.is_true(child.ended())
    for i = 1, 17 do
      q:push(i, 0)
      local one, _, errno = q:view(0)
      queues[#queues + 1] = one or nil
      assert(one or i > 8 and errno == lock.ETIMEDOUT) -- no room is left
    end
  end)

  it("gets back what the dead looked at", function()
    local q = create {capacity = 100}
    q:push(("x"):rep(90))
    local parked <close> = lock.parked(function() q:view() end)
    local child <close> = lock.child(function() assert(q:push(("y"):rep(90), LONG)) end)
    asleep(ROOM_SLEEPING)
    lock.bury(parked)
    assert.is_true(child.ended())
    assert.equal(("y"):rep(90), q:pop(0))
    for i = 1, 20 do
      q:push(i, 0)
      lock.dead(function() q:view() end)
    end
    q:push("z", 0)
    assert(q:view(0)):close()
    local r = create({capacity = 100, overflow = "reject"}, 4096)
    r:push(("x"):rep(90))
    lock.dead(function() r:view() end)
    assert(r:push(("y"):rep(90)))
  end)

  it("takes part in wait_any", function()
    local q, s = create(), assert(shm.semaphore.create(region, 1 << 19))
    refused(lock.ETIMEDOUT, "wait_any", shm.wait_any({s, q}, 0))
    q:push(1)
    assert.equal(2, shm.wait_any {s, q})
    assert.equal(1, q:pop(0))
    local child <close> = lock.child(function()
      assert(shm.wait_any({s, q}, LONG) == 2 and q:pop(0) == 2)
    end)
    asleep(ITEMS_SLEEPING)
    q:push(2)
    assert.is_true(child.ended())
    q:shutdown()
    assert.equal(2, shm.wait_any {s, q})
    s:close()
  end)

  it("stands in event loops", function()
    local q = create {capacity = 200}
    local times, got, loop = support.rounds(1000), 0, cqueues.new()
    local child <close> = lock.child(function()
      for i = 1, times do
        q:push(i)
      end
      q:shutdown()
    end)
    loop:wrap(function()
      while true do
        local value, _, errno = q:pop(0)
        if value then
          got = got + 1
          assert.equal(got, value)
        elseif errno == EPIPE then
          break
        else
          cqueues.poll(q)
        end
      end
    end)
    assert(loop:loop(LONG))
    assert.equal(0, loop:count())
    assert.equal(times, got)
    assert.is_true(child.ended())
    cqueues.cancel(q:fileno())
  end)

  it("may be closed or popped from by a finalizer in the middle", function()
    local q = create()
    local t = {}
    for i = 1, 100 do
      t[i] = ("x"):rep(90) .. i
    end
    for round = 1, support.rounds(50) do
      q:push(t)
      q:push(t)
      local before = collectgarbage("count")
      for _ = 1, 20 do
        setmetatable({}, {__gc = function()
          if #q > 0 then
            assert.same(t, q:pop(0))
          end
        end})
      end
      while #q > 0 do
        local value = q:pop(0)
        assert(value == nil or #value == 100, round)
      end
      assert.is_true(before > 0)
    end
    collectgarbage()
  end)

  it("gives each message once where a finalizer pops while one is being made", function()
    local shapes = {
      function(i) return ("%d "):format(i) .. ("x"):rep(90) end,
      function(i) return ("%d "):format(i) .. ("x"):rep(5000) end,
      function(i) return ("%d "):format(i) .. ("x"):rep(70000) end,
      function(i) return ("%d "):format(i) .. ("\xff"):rep(300) end,
      function(i) return {("%d "):format(i), ("x"):rep(5000)} end,
      function(i) return i end,
    }
    local q <close> = create({mode = "spsc", capacity = 80000})
    local pushed, popped, within = 0, 0, 0
    local function push()
      pushed = pushed + 1
      assert(q:push(shapes[pushed % #shapes + 1](pushed), 0))
    end
    local list = {}
    local function pop()
      local value = q:pop(0)
      if value ~= nil then
        list[#list + 1] = type(value) == "table" and value[1] or value
        popped = popped + 1
      end
    end
    collectgarbage("generational", 1, 100) -- and so with every few allocations
    for _ = 1, support.rounds(300) do
      for _ = 1, 3 do
        push()
        setmetatable({}, {__gc = function()
          within = within + 1
          pop()
        end})
      end
      while #q > 0 do
        pop()
      end
    end
    collectgarbage("generational", 20, 100)
    collectgarbage "incremental"
    collectgarbage()
    assert.equal(pushed, popped)
    local seen = {}
    for _, value in ipairs(list) do
      local i = tonumber((tostring(value):match "^%d+"))
      assert.is_nil(seen[i])
      seen[i] = true
    end
    assert.is_true(within > 0)
  end)

  it("is an error, and no crash, when a finalizer closes it while it pops", function()
    local text = ("x"):rep(100000)
    local closed = 0
    collectgarbage("incremental", 100, 400, 30) -- a step is all of a cycle, which begins as soon
    collectgarbage()                            -- as there is more than after the last one
    for _ = 1, 200 do
      local own <close> = assert(shm.anonymous(1 << 20))
      local q <close> = assert(shm.queue.create(own, 0, {mode = "spsc", capacity = 200000}))
      assert(q:push(text))
      setmetatable({}, {__gc = function() q:close() end})
      local ok, value = pcall(q.pop, q, 0)
      assert.is_true(ok and value == text or not ok and value:find "closed" ~= nil)
      closed = closed + (ok and 0 or 1)
      if closed == 10 then
        break
      end
    end
    collectgarbage("incremental", 200, 100, 13)
    assert.is_true(closed > 0)
  end)

  it("is an error, and no crash, when its memory goes", function()
    local path = os.tmpname()
    local r <close> = assert(shm.map(path, {mode = "rw", create = true, size = 1 << 16}))
    local q <close> = assert(shm.queue.create(r, 0, {capacity = 1000}))
    local fd <close> = assert(shm.posix.open(path, shm.posix.O_RDWR))
    q:push(1)
    assert(shm.posix.ftruncate(fd, 0))
    os.remove(path)
    for _, f in ipairs {
      function() return q:push(1, 0) end, function() return q:pop(0) end,
      function() return q:pop_many(2, 0) end, function() return q:push_many({1}, 0) end,
      function() return q:loan(1, 0) end, function() return q:view(0) end,
      function() return q:peek() end, function() return q:shutdown() end,
    } do
      local ok, result = pcall(f)
      assert.is_true(not ok or not result)
    end
  end)
end)

describe("a queue whose users are killed", function()
  local tally

  before_each(open_region)
  after_each(close_region)

  -- Runs the operation, killed at each store, on a queue of five messages. What it has
  -- acknowledged, it has written to the tally; verify gets what is left.
  local function everywhere(mode, operation, verify)
    tally = assert(shm.anonymous(4096))
    local q
    local kills, how = chaos.kill_everywhere(function() operation(q) end, function(n, survived)
      local length = #q
      local left, count = q:pop_many(100, 0)
      assert.equal(length, count or 0)
      verify(left or {}, survived)
      for i = 1, 50 do -- it goes on
        assert(q:push(("%d"):format(i):rep(20), LONG))
        assert.equal(1, #q)
        assert.equal(("%d"):format(i):rep(20), q:pop(LONG))
      end
      assert.equal(0, q:used(), n)
      q:close()
    end, {
      prepare = function()
        if q then
          q:close()
        end
        region:fill(0, 8192)
        tally:fill(0, 4096)
        q = create {capacity = 200, mode = mode}
        for i = 1, 20 do -- the ring's end is in the middle
          q:push(("%d"):format(i), 0)
          q:pop(0)
        end
        for i = 1, 5 do
          assert(q:push(i, 0))
        end
        q:close() -- the roles
        q = assert(shm.queue.attach(region, 0))
      end,
      timeout = LONG,
      rounds = support.rounds(50),
    })
    assert.is_true(kills > 0 or how == "random")
    tally:close()
  end

  -- The list is first to last, and more of those that were just pushed.
  local function holds(left, first, pushed, least)
    local list = {table.unpack({1, 2, 3, 4, 5}, first)}
    local n = #left - #list
    assert(n >= least and n <= #pushed, "messages are lost")
    table.move(pushed, 1, n, #list + 1, list)
    assert.same(list, left)
  end

  for _, mode in ipairs {"mpmc", "spsc"} do
    it("keeps what was pushed, " .. mode, function()
      everywhere(mode, function(q)
        for i = 1, 3 do
          assert(q:push(("p"):rep(20) .. i))
          tally:store(0, i)
        end
      end, function(left, survived)
        local p = ("p"):rep(20)
        holds(left, 1, {p .. 1, p .. 2, p .. 3}, survived and 3 or tally:load(0))
      end)
    end)

    it("keeps lists whole, " .. mode, function()
      local list = {"a", ("b"):rep(50), "c"}
      everywhere(mode, function(q)
        assert(q:push_many(list) == 3)
        tally:store(0, 3)
      end, function(left)
        assert(#left == 5 or #left == 8)
        holds(left, 1, list, tally:load(0))
      end)
    end)

    it("gives each message once, " .. mode, function()
      everywhere(mode, function(q)
        for i = 1, 2 do
          assert(q:pop() == i)
          tally:store(0, i)
        end
        assert(#q:pop_many(2) == 2)
        tally:store(0, 4)
      end, function(left, survived)
        local first = left[1] or 6
        local done = tally:load(0)
        assert(first == done + 1 or first == (done >= 2 and 5 or done + 2), first)
        assert(not survived or first == 5)
        holds(left, first, {}, 0)
      end)
    end)

    it("has the loan or not, " .. mode, function()
      everywhere(mode, function(q)
        q:loan(30)
        local loan = q:loan(20)
        loan:region():write(0, ("l"):rep(20))
        assert(loan:commit())
        tally:store(0, 1)
      end, function(left)
        holds(left, 1, {("l"):rep(20)}, tally:load(0))
      end)
    end)

    it("gets the room of views back, " .. mode, function()
      everywhere(mode, function(q)
        local view = assert(q:view())
        tally:store(0, 1)
        assert(view:close())
        q:view()
        tally:store(0, 2)
      end, function(left)
        local done, first = tally:load(0), left[1]
        assert(first == done + 1 or first == done + 2)
        holds(left, first, {}, 0)
      end)
    end)
  end
end)

describe("a list for a queue", function()
  before_each(open_region)
  after_each(close_region)

  it("is there as a whole, or up to 256 KiB of it at a time", function()
    local q <close> = create {capacity = 300000}
    local rounds, go = support.rounds(500), assert(shm.event.create(region, 1000 << 10))
    local there = {[60] = {[0] = 0, [60] = 60}, [120] = {[0] = 0, [66] = 66, [120] = 120}}
    for n, parts in pairs(there) do
      local list = {}
      for i = 1, n do
        list[i] = ("x"):rep(4000) -- which takes 4016 bytes
      end
      local child <close> = lock.child(function()
        for _ = 1, rounds do
          assert(go:wait(LONG))
          assert(q:push_many(list, LONG) == n)
        end
      end)
      for _ = 1, rounds do
        local length
        go:set()
        repeat
          length = #q
          assert.equal(parts[length], length)
        until length == n
        assert.equal(n, select(2, q:pop_many(n)))
      end
      assert.is_true(child.ended())
    end
  end)
end)

describe("scribble over a queue", function()
  before_each(open_region)
  after_each(close_region)

  it("crashes nothing", function()
    local NASTY = {0, -1, 1, 1 << 31, 1 << 32, 1 << 61, 3 << 61, 4 << 61, -8, 7}
    local BEYOND = ("\xee"):rep(65536)
    local rounds = support.rounds(400)
    for round = 1, rounds do
      local mode = round % 2 == 0 and "spsc" or "mpmc"
      region:fill(0, 8192)
      region:fill(8192, #BEYOND, 0xee)
      local q <close> = create {capacity = 300, mode = mode}
      local view = round % 3 == 0 and q:push "abc" and q:view(0)
      local loan = q:loan(10, 0)
      q:push_many({1, {2, 3}, "four"}, 0)
      for _ = 1, math.random(20) do
        local at = math.random(0, 3) == 0 and math.random(8, 30) or math.random(3, 500)
        if math.random(4) == 1 then
          at = ({10, 11, 58, 59, 57, 9})[math.random(6)] -- guards and ends
        end
        local value = math.random(3) == 1 and math.random(0) or NASTY[math.random(#NASTY)]
        if at < 16 and at >= 8 and (value >> 0) & 0x3fffffff ~= 0 and at == 8 then
          value = 0 -- a guard that nobody leaves costs a second
        end
        region:set_i64(at * 8, value)
      end
      for _, f in ipairs {
        function() return q:push({1, 2}, 0.01) end, function() return q:pop(0.01) end,
        function() return q:push(("x"):rep(290), 0.01) end, function() return #q end,
        function() return q:pop_many(9, 0.01) end, function() return q:peek() end,
        function() return q:push_many({1, ("x"):rep(200)}, 0.01) end,
        function() return q:used() end, function() return q:view(0.01):close() end,
        function() return q:loan(20, 0.01):commit(3) end,
        function() return loan and loan:commit() end,
        function() return view and view:close() end,
        function() return shm.wait_any({q}, 0.01) end, function() return q:shutdown() end,
      } do
        pcall(f)
      end
      assert.equal(BEYOND, region:read(8192, #BEYOND)) -- nothing was written there
    end
    region:fill(0, 8192)
    local q <close> = create {capacity = 300}
    assert(q:push "all is well")
    assert.equal("all is well", q:pop(0))
  end)
end)
