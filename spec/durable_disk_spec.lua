-- What is left of a durable state's files when the power goes at any moment: the names and the
-- pages that had not been waited for are on the disk or not, each by itself. Whatever is made of
-- that is as of the last sync, or of the one that went on.
local d = require "spec.durable_support"
local disk = require "shm.durable.disk"
local durable = require "shm.durable"
local place = require "shm.durable.place"
local support = require "spec.support"

local PAGE <const> = 4096
local ROUNDS = support.rounds(4) -- disks for each moment

-- A disk, as far as it is known what is on it: names as they were when the directory was last
-- waited for, what was done to them since, and files.
local function new_disk()
  return {names = {}, pending = {}, last = nil, going_on = nil}
end

local function copy(t)
  local other = {}
  for key, value in pairs(t) do
    other[key] = value
  end
  return other
end

-- Records what a state's functions do to a disk. Calls moment() at each moment between.
local function record(directory, model, moment)
  local real = {disk = copy(disk), place = copy(place)}
  local now = {} -- the names as a process sees them

  local function name_of(path)
    return path:match "^(.*/)" == directory .. "/" and path:match "[^/]+$" or nil
  end

  local function change(f)
    model.pending[#model.pending + 1] = f
    f(now)
    moment()
  end

  local function name(path, file)
    local key = name_of(path)
    change(function(names) names[key] = file end)
  end

  function disk.write(path, region, n, deadline)
    local file = {kind = "data", content = region:read(0, n), whole = false}
    name(path, file)
    local done, message, errno = real.disk.write(path, region, n, deadline)
    file.whole = done
    moment()
    return done, message, errno
  end

  function disk.rename(from, to)
    local source, target = name_of(from), name_of(to)
    local file = now[source]
    change(function(names) names[source], names[target] = nil, file end)
    return real.disk.rename(from, to)
  end

  function disk.remove(path)
    local done, message, errno = real.disk.remove(path)
    local key = name_of(path)
    if key and now[key] then
      change(function(names) names[key] = nil end)
    end
    return done, message, errno
  end

  function disk.sync_directory(path)
    local done, message, errno = real.disk.sync_directory(path)
    model.names, model.pending = copy(now), {}
    moment()
    return done, message, errno
  end

  function place:lock(timeout)
    local done, message, errno = real.place.lock(self, timeout)
    if done and not now[name_of(self.lock_path)] then
      name(self.lock_path, {kind = "lock", word = "", before = ""})
    end
    return done, message, errno
  end

  function place:say(word)
    local file = now[name_of(self.lock_path)]
    file.before, file.word = file.word, word
    moment() -- the one or the other
    local sync = disk.sync_directory
    function disk.sync_directory(path)
      disk.sync_directory = sync
      file.before = word -- as the board was waited for
      moment()
      return sync(path)
    end
    return real.place.say(self, word)
  end

  function place:create(size, max)
    local region, message, errno = real.place.create(self, size, max)
    if region then
      name(self.fresh, {kind = "live"})
    end
    return region, message, errno
  end

  return function()
    for key, value in pairs(real.disk) do
      disk[key] = value
    end
    for key, value in pairs(real.place) do
      place[key] = value
    end
  end
end

local function put(path, bytes)
  local file <close> = assert(io.open(path, "wb"))
  file:write(bytes)
end

-- Pages of a file that was not waited for: there, not there, or behind its end.
local function torn(content)
  local pages = {}
  for at = 1, #content, PAGE do
    local page = content:sub(at, at + PAGE - 1)
    pages[#pages + 1] = math.random(3) == 1 and ("\0"):rep(#page) or page
  end
  local bytes = table.concat(pages)
  return math.random(3) == 1 and bytes:sub(1, math.random(0, #bytes)) or bytes
end

-- Makes a disk of what may be on it after the power went.
local function make(model, directory, live)
  local names = copy(model.names)
  local luck = math.random(4) -- all, none, or some
  for _, f in ipairs(model.pending) do
    if luck == 1 or luck > 2 and math.random(2) == 1 then
      f(names)
    end
  end
  for name, file in pairs(names) do
    local path = directory .. "/" .. name
    if file.kind == "data" then
      put(path, file.whole and file.content or torn(file.content))
    elseif file.kind == "lock" then
      local word = math.random(2) == 1 and file.before or file.word
      put(path, word .. ("\0"):rep(PAGE - #word))
    else
      put(path, torn(live))
    end
  end
end

describe("a durable state's files", function()
  local places, boots

  before_each(function()
    places, boots = d.places "diskless", 0
  end)

  after_each(function()
    os.execute("rm -rf " .. places.directory .. "-after")
    d.remove(places)
  end)

  local function reboot()
    boots = boots + 1
    d.reboot("boot " .. boots)
  end

  local function options(file)
    return {file = file, size = 1 << 16, init = function(state)
      state.map:set("n", 0)
      state.map:set("a", 50)
      state.map:set("b", 50)
    end}
  end

  local function set(state, n)
    assert(state.map:transaction(function(t)
      t:incr("a", n)
      t:incr("b", -n)
      t:set("n", n)
      t:set(("x"):rep(n), ("y"):rep(100 * n))
      return true
    end))
  end

  it("are whole at any moment that the power goes, as of the last sync or the next", function()
    local file = places[2].file
    local model, moments, states, other = new_disk(), {}, 0, places.directory .. "-after"
    local undo = record(places.directory, model, function()
      local live = io.open(file .. ".live", "rb") or io.open(file .. ".live.new", "rb")
      moments[#moments + 1] = {
        names = copy(model.names), pending = copy(model.pending), last = model.last,
        going_on = model.going_on, live = live and live:read "a" or "",
      }
      for _, list in ipairs {moments[#moments].names} do
        for name, one in pairs(list) do
          list[name] = copy(one) -- as it is now
        end
      end
      -- What is pending names files as they are later: their state goes along.
      moments[#moments].frozen = {}
      for _, f in ipairs(model.pending) do
        local seen = {}
        f(seen)
        for _, one in pairs(seen) do
          moments[#moments].frozen[one] = copy(one)
        end
      end
      if live then
        live:close()
      end
    end)
    local function syncing(n, f)
      model.going_on = n
      assert(f())
      model.last, model.going_on = n, nil
    end
    local ok, message = pcall(function()
      reboot()
      local state
      syncing(0, function() state = assert(durable.open("x", options(file))) return true end)
      set(state, 1)
      syncing(1, function() return state:sync() end)
      set(state, 2)
      syncing(2, function() return state:sync() end)
      set(state, 3)
      syncing(3, function() return state:stop() end)
      state = assert(durable.open("x", options(file)))
      set(state, 4)
      syncing(4, function() return state:sync() end)
      set(state, 5)
      state:close()
      reboot()
      state = assert(durable.open("x", options(file)))
      assert(state.began == "restored" and state.map:get "n" == 4)
      set(state, 6)
      syncing(6, function() return state:stop(true) end)
      local given = options(file)
      given.version = 2
      function given.migrate(it) it.map:set("migrated", true) end
      state = assert(durable.open("x", given))
      set(state, 7)
      syncing(7, function() return state:stop() end)
    end)
    undo()
    assert(ok, message)
    assert(#moments > 50)
    for i, moment in ipairs(moments) do
      for _ = 1, ROUNDS do
        assert(os.execute(("mkdir -p %s"):format(other)))
        local pending = {}
        for k, f in ipairs(moment.pending) do
          pending[k] = function(names)
            f(names)
            for name, one in pairs(names) do
              names[name] = moment.frozen[one] or one
            end
          end
        end
        make({names = moment.names, pending = pending}, other, moment.live)
        reboot()
        local what = support.shell(("cd %s; ls -l; head -c 60 *.lock 2>/dev/null"):format(other))
        local given = options(other .. "/state")
        given.version, given.migrate = 2, function() end
        local state, how = durable.open("y", given)
        local where = ("moment %d of %d: %s\n%s"):format(i, #moments, how, what)
        assert(state, where)
        local n = state.map:get "n"
        if how == "new" then
          assert(not moment.last and n == 0, where)
        else
          assert(n == moment.last or n == moment.going_on, where .. tostring(n))
        end
        assert(state.map:get "a" + state.map:get "b" == 100, where)
        for k = 1, n do
          local value = state.map:get(("x"):rep(k))
          assert(value == nil and k == 5 or value == ("y"):rep(100 * k), where)
        end
        assert(state.arena:check())
        assert(state:stop())
        states = states + 1
        os.execute("rm -rf " .. other)
      end
    end
    io.write(("\n%d disks of %d moments\n"):format(states, #moments))
  end)

  it("are waited for in the order that this relies on", function()
    local file = places[2].file
    local said, log = support.strace(
      "-e trace=openat,write,fsync,rename,renameat,renameat2,close", ([[
      local state = assert(require "shm.durable".open("x", {file = %q}))
      io.stdout:write "begin\n"; io.stdout:flush()
      assert(state:sync())
      io.stdout:write "end\n"; io.stdout:flush()
      assert(state:stop())]]):format(file))
    if not said then
      return pending(log)
    end
    local calls = log:match "write%(1, \"begin.-\n(.*)write%(1, \"end"
    assert(calls, said)
    local inside = places.directory:gsub("%p", "%%%0")
    file = inside .. "/state"
    local steps = {
      'openat%(AT_FDCWD, "' .. file .. '%.new", O_WRONLY|O_CREAT|O_TRUNC',
      'write%(%d+, "shm%.durable 1', "fsync%(%d+%) += 0", "close", 'rename[^(]*%([^"]*"' .. file
        .. '%.new"[^"]*"' .. file .. '"', 'openat%(AT_FDCWD, "' .. inside .. '/"',
      "fsync%(%d+%) += 0", "close",
    }
    local at = 1
    for _, step in ipairs(steps) do
      local _, behind = calls:find(step, at)
      assert(behind, step .. " is not there, or out of order:\n" .. calls)
      at = behind + 1
    end
  end)
end)
