-- shm.durable with a file: what outlives the machine, and what is said of files and disks.
local d = require "spec.durable_support"
local durable = require "shm.durable"
local layout = require "shm.durable.place"
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"

local EPERM, ENOENT, EINTR, EEXIST, ELOOP, EPROTO = 1, 2, 4, 17, 40, 71
local EBADMSG, ETIMEDOUT, ESTALE = 74, 110, 116
local LONG, open, with = d.LONG, d.open, d.with

describe("a durable state with a file", function()
  local places, place, before

  before_each(function()
    before = support.belongings()
    places = d.places()
    place = places[2]
  end)

  after_each(function()
    d.remove(places)
    assert.same(before, support.belongings())
  end)

  it("is as of the last sync when the machine went down with it", function()
    d.killed(function()
      local state = assert(open(place))
      state.map:set("n", 1)
      state.map:set("short", 1, 1000)
      assert(state:sync(LONG))
      state.map:set("n", 2)
    end)
    with(place, nil, function(state, how)
      assert.equal("recovered", how)
      assert.equal(2, state.map:get "n")
    end)
    d.reboot()
    with(place, nil, function(state, how)
      assert.equal("restored", how)
      assert.equal(1, state.map:get "n")
      assert.is_true(state.map:ttl "short" < 1001)
      assert(state:stop())
    end)
    d.reboot()
    with(place, nil, function(state, how)
      assert.equal("resumed", how)
      assert.equal(1, state.map:get "n")
      assert(state:stop())
    end)
  end)

  it("has stopped once its live part is removed, though the disk does not take that", function()
    local disk = require "shm.durable.disk"
    local state, real = assert(open(place)), disk.sync_directory
    state.map:set("n", 1)
    function disk.sync_directory(path)
      if path:match "%.live$" then
        return nil, "Input/output error", 5
      end
      return real(path)
    end
    local ok, done, message = pcall(state.stop, state)
    disk.sync_directory = real
    assert.same({true, true}, {ok, done}, message)
    with(place, nil, function(again, how)
      assert.equal("resumed", how)
      assert.equal(1, again.map:get "n")
    end)
  end)

  it("is not lost, and nobody's, where there are too few descriptors to open it by", function()
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write(([[
      local durable, posix = require "shm.durable", require "shm.posix"
      local function open() return durable.open("few", {file = %q}) end
      local function with(free, f)
        local all = {}
        repeat
          local fd = posix.open("/dev/null", posix.O_RDONLY)
          all[#all + 1] = fd
        until not fd
        for i = 1, free do all[i]:close() end
        local result = table.pack(pcall(f))
        for i = free + 1, #all do all[i]:close() end
        return table.unpack(result, 1, 4)
      end
      local state = assert(open())
      state.map:set("n", 0)
      assert(state:sync())
      state.map:set("n", 1)
      assert(state:close())
      for free = 0, 12 do
        local ok, opened, message, errno = with(free, open)
        assert(ok and (opened or errno == 24), message or opened)
        opened = opened or assert(open())
        assert(opened.map:get "n" == 1)
        local synced
        ok, synced, message, errno = with(free, function() return opened:sync() end)
        assert(ok and (synced or errno == 24), message or synced)
        assert(opened:close())
      end
      print "done"]]):format(place.file))
    file:close()
    local said = support.shell(("ulimit -n 40; lua5.4 %s 2>&1"):format(path))
    os.remove(path)
    assert.equal("done\n", said)
  end)

  it("takes no live file that can not be looked at for none", function()
    d.killed(function()
      local state = assert(open(place))
      state.map:set("n", 1)
    end)
    os.remove(place.file)
    os.remove(place.file .. ".lock")
    local is_there = layout.is_there
    function layout.is_there(self)
      local real = posix.open
      posix.open = function() return nil, "Too many open files", 24 end -- luacheck: ignore
      local there, message, errno = is_there(self)
      posix.open = real -- luacheck: ignore
      return there, message, errno
    end
    local state, message, errno = open(place)
    layout.is_there = is_there
    if state then
      state:close()
    end
    assert.is_nil(state)
    assert.same({"durable.open '" .. place.name .. "': Too many open files", 24}, {message, errno})
    assert.matches(" is there, and ", (select(2, open(place))))
  end)

  it("is made anew where the machine went down before it was begun", function()
    d.child(function()
      open(place, {init = function() process.kill(process.pid(), "KILL") end})
    end, "signal", "KILL")
    d.reboot()
    with(place, {init = function(s) s.map:set("n", 1) end}, function(_, how)
      assert.equal("new", how)
    end)
    d.reboot()
    with(place, nil, function(state, how)
      assert.equal("restored", how)
      assert.equal(1, state.map:get "n")
      assert(state:stop())
    end)
  end)

  it("is synced by a child while the server goes on, and not after that has stopped", function()
    local state <close> = assert(open(place))
    local ours, theirs = assert(process.socketpair "seqpacket")
    state.map:set("n", 1)
    local child <close> = assert(process.fork(function()
      assert(state:sync(LONG))
      theirs:send "synced"
      ours:close()
      theirs:recv(10, LONG)
      d.refused(ESTALE, "it was stopped", state:sync(LONG))
    end))
    assert.equal("synced", ours:recv(10, LONG))
    state.map:set("n", 2)
    assert(state:stop())
    ours:send "stopped"
    assert.same({"exit", 0}, {child:wait(LONG)})
    with(place, nil, function(again)
      assert.equal(2, again.map:get "n")
      again:stop()
    end)
    ours:close()
    theirs:close()
  end)

  it("is not synced, nor stopped, within a transaction, and is as it was then", function()
    local where = "^[^:]*durable_file_spec%.lua:%d+: durable%."
    with(place, nil, function(state)
      assert(state:sync())
      local before_it = support.read_file(place.file)
      local record = shm.record {{"n", "i64"}}
      local fields, change = assert(state:record("r", record))
      for _, action in ipairs {"sync", "stop"} do
        local ok, problem
        assert.is_true(change(function(it)
          it.n = it.n + 1
          ok, problem = pcall(function() local done = state[action](state) return done end)
          return true
        end))
        assert.is_false(ok)
        assert.matches(where .. action .. ": a transaction goes on in the arena$", problem)
      end
      assert.equal(2, fields.n)
      assert.equal(before_it, support.read_file(place.file))
      assert(state:stop())
    end)
  end)

  it("is synced by one at a time: the others wait, up to their time, or a signal", function()
    with(place, nil, function(state)
      local lock = assert(state.place:lock_sync(0)) -- as who is about to write
      d.refused(ETIMEDOUT, "^durable%.sync '.*timed out", state:sync(0.01))
      d.refused(ETIMEDOUT, "^durable%.stop '.*timed out", state:stop(false, 0))
      assert.same({"exit", 0}, {support.signalled(function()
        d.refused(EINTR, "^durable%.sync ", state:sync(LONG))
      end)})
      lock:close()
      assert(state:stop())
    end)
  end)

  it("goes on, and is synced, where its server was killed while it stopped", function()
    d.killed(function()
      local state = assert(open(place))
      state.map:set("n", 1)
      function layout.remove() process.kill(process.pid(), "KILL") end
      state:stop()
    end)
    with(place, nil, function(state, how)
      assert.equal("resumed", how)
      state.map:set("n", 2)
      assert(state:sync())
      assert(state:stop())
    end)
  end)

  it("is not synced by a child of its last server once it is elsewhere", function()
    local ours, theirs = assert(process.socketpair "seqpacket")
    d.killed(function()
      local state = assert(open(place))
      state.map:set("n", 1)
      assert(process.fork(function()
        theirs:recv(10, LONG)
        theirs:send((select(2, pcall(d.refused, ESTALE, "served elsewhere", state:sync()))
                     or "refused"))
      end))
    end)
    with(place, {version = 2, migrate = function(it) it.map:set("n", 2) end}, function(state)
      assert(state:sync())
      local good = support.read_file(place.file)
      ours:send "go"
      assert.equal("refused", ours:recv(1000, LONG))
      assert.equal(good, support.read_file(place.file))
      state:stop()
    end)
    ours:close()
    theirs:close()
  end)

  it("says what to do where its files are not what they were", function()
    local file = place.file
    with(place, nil, function(state)
      state.map:set("n", 1)
      state:stop()
    end)
    local good = support.read_file(file)
    local function spoilt(bytes, errno, said)
      local f <close> = assert(io.open(file, "wb"))
      f:write(bytes)
      f:close()
      d.refused(errno, said, open(place))
      assert.same({"state"}, d.files(places))
    end
    spoilt(good:sub(1, -2), EBADMSG, "damaged: put a copy of it back")
    spoilt(good .. "x", EBADMSG, "damaged")
    spoilt(good:sub(1, 5000) .. "!" .. good:sub(5002), EBADMSG, "damaged")
    spoilt(good:sub(1, 20) .. "!" .. good:sub(22), EBADMSG, "damaged")
    spoilt((good:gsub("durable 1", "durable 9", 1)), EPROTO, "another version of shm")
    spoilt("hello", EPROTO, "no state of shm%.durable: give another file")
    spoilt(("x"):rep(10000), EPROTO, "no state of shm%.durable")
    local f <close> = assert(io.open(file, "wb"))
    f:write(good)
    f:close()
    d.killed(function() assert(open(place)) end)
    os.rename(file .. ".lock", file .. ".away")
    d.refused(EEXIST, "remove the former to go back to the last sync", open(place))
    os.rename(file .. ".away", file .. ".lock")
    d.reboot()
    os.rename(file, file .. ".away")
    d.refused(ENOENT, "put a copy of it back, or remove '.*%.live' to begin anew", open(place))
    os.rename(file .. ".away", file)
    with(place, nil, function(state, how)
      assert.equal("restored", how)
      assert.equal(1, state.map:get "n")
      state:stop()
    end)
  end)

  it("has no symbolic link for a file, by which a second server could have the same one", function()
    with(place, nil, function(state)
      state.map:set("n", 1)
      assert(state:sync())
      local link = place.file .. ".link"
      assert(os.execute(("ln -s state %s"):format(link)))
      for _, what in ipairs {"open", "attach"} do
        d.refused(ELOOP, "^durable%." .. what .. " 'x': '.*%.link' is a symbolic link: give "
                  .. "the path that it leads to$", durable[what]("x", {file = link}))
      end
      d.refused(ELOOP, "^durable%.serve 'x': ", durable.serve("x", {file = link}, error))
      assert.matches("^lrwx", support.shell("ls -l " .. link))
      assert(os.remove(link))
      assert.same({"state", "state.live", "state.lock"}, d.files(places))
      assert(state:stop())
    end)
  end)

  it("is another user's", function()
    if not os.execute("test $(id -u) = 0") then
      return pending "only root can make a file another user's"
    end
    d.killed(function() assert(open(place)) end)
    os.execute(("chown 1 %s.lock"):format(place.file))
    d.refused(EPERM, "belongs to user 1: run as that one", open(place))
    os.execute(("chown 0 %s.lock; chown 1 %s.live"):format(place.file, place.file))
    d.refused(EPERM, "belongs to another user: run as that one", open(place))
    os.execute(("chown 0 %s.live"):format(place.file))
    with(place, nil, function(state) state:stop() end)
  end)
end)

-- A disk of its own, which is small or can not be written.
describe("a durable state on a disk", function()
  local SCRIPT = [[
    local durable, process = require "shm.durable", require "shm.process"
    local function said(...)
      local ok, message, errno = ...
      print(ok and "done" or errno, ok and "" or message)
      return ok
    end
    local file, remount = "/dev/shm/disk/state", "mount -o remount,%s /dev/shm/disk"
    os.execute "mkdir -p /dev/shm/disk && mount -t tmpfs -o size=128k tmpfs /dev/shm/disk"
    said(durable.open("full", {size = 1 << 20, file = file}))
    said(durable.open("full", {size = 1 << 22}))
    os.execute(remount:format "size=400k")
    local state = said(durable.open("full", {size = 1 << 17, max = 1 << 20, file = file}))
    state.map:set("n", 1)
    said(state:sync())
    local filler = io.open("/dev/shm/disk/filler", "w")
    filler:write(("x"):rep(1 << 20))
    filler:close()
    state.map:set("n", 2)
    said(state:sync())
    said(state.map:set("large", ("x"):rep(1 << 18)))
    said(state:stop())
    os.remove "/dev/shm/disk/filler"
    os.execute "ls /dev/shm/disk | tr '\n' ' '; echo"
    said(state:stop())
    os.execute(remount:format "ro")
    said(durable.open("full", {file = file}))
    os.execute(remount:format "rw")
    local again = said(durable.open("full", {file = file}))
    print(again.began, again.map:get "n")
    said(again:sync(0))
    again:stop()
    os.execute "ls /dev/shm/disk | tr '\n' ' '; echo"]]

  it("says where it is full or can not be written, and goes on when it can", function()
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write(SCRIPT)
    file:close()
    local said = support.shell(("unshare --mount sh -c 'mount -t tmpfs -o size=2m tmpfs /dev/shm "
      .. "&& lua5.4 %s' 2>&1"):format(path))
    os.remove(path)
    if said:match "unshare:" or said:match "^mount:" then
      return pending("no mounts of one's own here: " .. said)
    end
    local expected = {
      "^28\tdurable.open 'full': .*No space left on device %(free some of the disk%)$",
      "^28\tdurable.open 'full': .*No space left on device %(free some of /dev/shm, or give",
      "^done", "^done", "^28\tdurable.sync 'full': .*No space left", "^28\t.*full$",
      "^28\tdurable.stop 'full'", "^state state.live state.lock $", "^done",
      "^30\tdurable.open 'full': .*Read%-only file system %(give a file that can be written%)$",
      "^done", "^resumed\t2$", "^110\tdurable.sync 'full': .*timed out$", "^state $",
    }
    local at = 0
    for line in said:gmatch "[^\n]+" do
      at = at + 1
      assert.matches(expected[at] or "nothing more", (line:gsub("%s+$", function(w)
        return w == " " and w or ""
      end)))
    end
    assert.equal(#expected, at)
  end)
end)
