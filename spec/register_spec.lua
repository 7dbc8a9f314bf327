-- An arena's register: what a child has open stays so, whatever becomes of its parent.
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local LONG = support.LONG
local EUSERS <const> = 87
local SIZE <const>, ROOM <const> = 1 << 20, 3000
local REGISTER <const>, UNCLAIMED <const> = 2560, 1 << 63 -- of lines: a process, and since when

describe("an arena's register", function()
  local before, region, keeper, desk

  before_each(function()
    before = support.belongings()
    region = assert(shm.anonymous(SIZE))
    keeper = assert(shm.arena(region, {processes = 64}))
    desk = assert(shm.anonymous(4096))
  end)

  after_each(function()
    keeper:close()
    region:close()
    desk:close()
    collectgarbage()
    assert.same(before, support.belongings())
  end)

  local function tell(word)
    desk:store32(word, 1)
    desk:wake(word)
  end

  local function other_object()
    return assert(keeper:bytes("other", 4 * ROOM))
  end

  it("has what a child has open, where its parent lets go before it has run", function()
    for _ = 1, support.rounds(10) do
      local arena = assert(shm.arena(region))
      local queue = assert(arena:queue("jobs", {capacity = 2 * ROOM}))
      desk:store32(0, 0)
      local child <close> = assert(process.fork(function()
        desk:wait(0, 0, LONG)
        assert(queue:push(("Z"):rep(ROOM)))
      end))
      queue:close()
      arena:close()
      assert(keeper:drop "jobs")
      local other <close> = other_object()
      tell(0)
      assert.same({"exit", 0}, {child:wait(LONG)})
      assert.is_nil(other:read(0, #other):find "Z")
      assert(keeper:drop "other")
    end
    assert.equal(1, #keeper:attached())
    assert(keeper:check())
  end)

  it("has a child whose parent dies before it has run, and others reap meanwhile", function()
    for _ = 1, support.rounds(10) do
      desk:fill(0, 64)
      local parent <close> = assert(process.fork(function()
        process.fork(function()
          desk:store32(4, process.pid())
          tell(8)
          desk:wait(0, 0, LONG)
          tell(12)
        end)
        process.kill(process.pid(), "KILL")
      end))
      support.eventually(function()
        keeper:attached()
        return desk:load32(8) == 1
      end)
      assert.same({"signal", "KILL"}, {parent:wait(LONG)})
      local pids = {}
      for _, one in ipairs(keeper:attached()) do
        pids[one.pid] = true
      end
      assert.same({[process.pid()] = true, [desk:load32(4)] = true}, pids)
      tell(0)
      assert(desk:wait(12, 0, LONG))
    end
  end)

  it("has no child that did not come for a long time", function()
    local who = region:load(REGISTER)
    region:store(REGISTER + 16, who)
    region:store(REGISTER + 24, UNCLAIMED | (process.monotonic() * 1e9 // 1 | 0))
    assert.equal(1, #keeper:attached())
    assert.equal(who, region:load(REGISTER + 16))
    region:store(REGISTER + 24, UNCLAIMED | 1)
    assert.equal(1, #keeper:attached())
    assert.same({who, 0}, {region:load(REGISTER), region:load(REGISTER + 16)})
  end)

  it("has room again where forks failed", function()
    local said = support.as_nobody [[
      local process, shm = require "shm.process", require "shm"
      local region = shm.anonymous(1 << 20)
      local arena = shm.arena(region, {processes = 64})
      os.execute(("prlimit --nproc=1 --pid=%d"):format(process.pid()))
      local failed = 0
      for _ = 1, 200 do
        local _, _, errno = process.fork(function() end)
        failed = failed + (errno == 11 and 1 or 0)
      end
      print(failed, shm.arena(region) ~= nil)]]
    if not said then
      return pending(support.NOT_NOBODY)
    end
    assert.equal("200\ttrue\n", said)
  end)

  it("takes the memory from a child that comes too late", function()
    local source = support.tmpname ".c"
    local file <close> = assert(io.open(source, "w"))
    file:write [[
      #include <pthread.h>
      #include <signal.h>
      static void late(void) { raise(SIGSTOP); }
      __attribute__((constructor)) static void begin(void) { pthread_atfork(0, 0, late); }]]
    file:close()
    local library = support.compile(source, "-shared -fPIC")
    os.remove(source)
    local script = [[
      local process, shm = require "shm.process", require "shm"
      local region = shm.anonymous(1 << 20)
      local arena = shm.arena(region)
      local queue, map = arena:queue "q", arena:map "m"
      local child = process.fork(function()
        for _, f in ipairs {function() return queue:push "x" end, function() return queue:pop() end,
                            function() return map:set("a", 1) end, function() map:get "a" end,
                            function() return arena:queue "new" end} do
          local ok, message = pcall(f)
          print(ok, message:match "gone" or message)
        end
      end)
      local function state()
        return io.open("/proc/" .. child.pid .. "/stat"):read "a":match "%) (.)"
      end
      while state() ~= "T" do process.sleep(0.001) end
      local slot
      for i = 0, 127 do
        local since = region:load(2560 + 16 * i + 8)
        if since < 0 then
          slot = i
          region:store(2560 + 16 * i + 8, 1 << 63 | 1)
        end
      end
      queue:close()
      arena:attached()
      arena:drop "q"
      assert(region:load(2560 + 16 * slot) == 0)
      process.kill(child.pid, "CONT")
      child:wait(10)
      assert(arena:check())
      for name in pairs(arena:names()) do print(name, #map) end]]
    local preload = (os.getenv "LD_PRELOAD" or "") .. ":" .. library
    local command = ("LD_PRELOAD=%s lua5.4 -e '%s' 2>&1"):format(preload, script)
    assert.equal(("false\tgone\n"):rep(5) .. "m\t0\n", support.shell(command))
    os.remove(library)
  end)

  it("refuses a child without a slot a new object, and lets it use what it has", function()
    local more = {}
    for i = 1, 63 do
      more[i] = assert(shm.arena(region))
    end
    local had <close> = assert(keeper:queue "had")
    local child <close> = assert(process.fork(function()
      support.refused(EUSERS, "^arena%.queue 'mine': ", keeper:queue "mine")
      assert(had:push "x")
      tell(0)
      desk:wait(4, 0, LONG)
      local mine <close> = assert(keeper:queue "mine") -- there is a slot now
      assert(mine:push(("Z"):rep(ROOM)))
      tell(8)
      desk:wait(12, 0, LONG)
      assert(mine:pop() == ("Z"):rep(ROOM))
      had:close()
    end))
    assert(desk:wait(0, 0, LONG) and had:pop() == "x")
    more[63]:close()
    tell(4)
    assert(desk:wait(8, 0, LONG) and keeper:drop "mine")
    local other <close> = other_object()
    other:fill(0, #other, 1)
    tell(12)
    assert.same({"exit", 0}, {child:wait(LONG)})
    assert.equal(("\1"):rep(#other), other:read(0, #other))
    assert(had:push "still there" and had:pop())
    for i = 1, 62 do
      more[i]:close()
    end
    assert(keeper:check())
  end)
end)
