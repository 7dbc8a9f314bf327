-- Servers of durable states that are killed: at random moments among their work, between any two
-- instructions of Lua and before any store to shared memory of what begins and ends them.
local chaos = require "shm.chaos"
local d = require "spec.durable_support"
local durable = require "shm.durable"
local process = require "shm.process"
local soak = require "spec.durable_soak"
local support = require "spec.support"

local LONG = d.LONG
local STEPS = support.rounds(50) -- kills in each of these lives

describe("a durable state whose server is killed", function()
  local places, before

  before_each(function()
    before = support.belongings()
    places = d.places "diskless"
  end)

  after_each(function()
    d.remove(places)
    assert.same(before, support.belongings())
  end)

  local function each(what, f)
    for i = 1, 2 do
      it(what .. (i == 1 and ", in memory" or ", with a file"), function() f(places[i]) end)
    end
  end

  each("at random moments has all that was acknowledged, and nothing by half", function(place)
    local job = soak.run {kills = support.rounds(60), name = place.name, file = place.file}
    assert(job.kills > job.early or support.rounds(60) < 10)
    assert.same(place.file and {"state"} or {}, d.files(places))
  end)

  -- How many instructions of Lua's f takes.
  local function length_of(f)
    local ours <close>, theirs = assert(process.socketpair "seqpacket")
    d.child(function()
      local n = 0
      debug.sethook(function() n = n + 1 end, "", 1)
      f()
      debug.sethook()
      theirs:send(tostring(n))
    end)
    theirs:close()
    return math.tointeger(ours:recv(20, LONG))
  end

  -- Kills f after more and more instructions; verify then finds what is to be found.
  local function everywhere(prepare, f, verify)
    prepare()
    local length = length_of(f)
    verify(true)
    local kills = 0
    for i = 1, STEPS do
      prepare()
      local n = math.max(1, math.floor((i - math.random()) / STEPS * length))
      local child <close> = assert(process.fork(function()
        debug.sethook(function() process.kill(process.pid(), "KILL") end, "", n)
        f()
        debug.sethook()
      end))
      local how, code = child:wait(LONG)
      assert(how == "signal" and code == "KILL" or how == "exit" and code == 0, code)
      kills = kills + (how == "signal" and 1 or 0)
      verify(how == "exit")
    end
    assert(kills > STEPS // 2 or STEPS < 10) -- of a few any may come too late
  end

  local function options(place)
    return {file = place.file, size = 1 << 16, timeout = LONG, init = function(state)
      state.map:set("a", 50)
      state.map:set("b", 50)
    end}
  end

  -- As it began, with a and b that are 100 together; a is one of these.
  local function found(place, how, ...)
    local state <close>, began = assert(durable.open(place.name, options(place)))
    assert(how[began], began)
    local a, b = state.map:get "a", state.map:get "b"
    assert.equal(100, a + b)
    local sound = false
    for _, expected in ipairs {...} do
      sound = sound or a == expected
    end
    assert(sound, a)
    assert(state:stop())
    os.remove(place.file or "")
    assert.same({}, d.files(places))
  end

  local function transfer(state)
    assert(state.map:transaction(function(t)
      t:incr("a", -1)
      t:incr("b", 1)
      return true
    end))
  end

  local function begun(place)
    d.killed(function() transfer(assert(durable.open(place.name, options(place)))) end)
  end

  each("while it is begun the first time is begun, or not", function(place)
    everywhere(function() end, function()
      local state = assert(durable.open(place.name, options(place)))
      transfer(state)
      state:close()
    end, function(survived)
      found(place, survived and {resumed = true} or {new = true, resumed = true, recovered = true},
            50, 49)
    end)
  end)

  each("while it is begun again, or stopped, has been stopped or not", function(place)
    everywhere(function() begun(place) end, function()
      assert(assert(durable.open(place.name, options(place))):stop())
    end, function(survived)
      if place.file then -- what was given back is in the file
        found(place, {resumed = true, recovered = not survived}, 49)
      else
        found(place, {new = true, resumed = not survived, recovered = not survived}, 49, 50)
      end
    end)
  end)

  each("while it is migrated has been migrated or not", function(place)
    everywhere(function() begun(place) end, function()
      local given = options(place)
      given.version = 2
      function given.migrate(state)
        transfer(state)
        state.map:set("b", state.map:get "b" + 900)
      end
      assert(durable.open(place.name, given))
    end, function()
      local given = options(place)
      given.version = 2
      function given.migrate(state) state.map:set("b", state.map:get "b" + 901) end
      local state <close>, how = assert(durable.open(place.name, given))
      assert.equal("recovered", how)
      assert(state.map:get "a" == 48 and state.map:get "b" == 952
             or state.map:get "a" == 49 and state.map:get "b" == 952, state.map:get "b")
      assert(state:stop())
      os.remove(place.file or "")
    end)
  end)

  it("while it is synced, or comes back from its file, is as of that or the last sync", function()
    local place = places[2]
    everywhere(function() begun(place) end, function()
      local state = assert(durable.open(place.name, options(place)))
      transfer(state)
      assert(state:sync())
      transfer(state)
      assert(state:sync())
    end, function(survived)
      d.reboot()
      d.scribble(place.file .. ".live")
      found(place, {restored = true}, survived and 47 or 50, 48, 47)
    end)
    everywhere(function()
      begun(place)
      d.killed(function() assert(assert(durable.open(place.name, options(place))):sync()) end)
      d.reboot()
      d.scribble(place.file .. ".live")
    end, function()
      transfer(assert(durable.open(place.name, options(place))))
    end, function(survived)
      found(place, survived and {recovered = true} or {restored = true, recovered = true}, 49, 48)
    end)
  end)

  it("before any store of its begin or end goes on with what it had", function()
    local name, given = places.name, {size = 1 << 16, journal = 2048, timeout = LONG}
    local kills, how = chaos.kill_everywhere(function()
      local state = assert(durable.open(name, given))
      assert(state.map:set("n", 2))
      assert(state:stop())
    end, function(_, survived)
      local state <close>, began = assert(durable.open(name, given))
      local n = state.map:get "n"
      assert(began == "new" and n == nil or not survived and (n == 1 or n == 2), began)
      assert(state.arena:check())
      assert(state:stop())
      assert.same({}, d.files(places))
    end, {
      prepare = function()
        local state = assert(durable.open(name, given))
        state.map:set("n", 1)
        state:close()
      end,
      timeout = LONG, rounds = support.rounds(50), mode = support.chaos_mode,
    })
    assert(kills > 50 or how == "random")
  end)

  it("before some store of its first begin, is begun or not", function()
    soak.everywhere(places.name, "random", support.rounds(50))
    assert.same({}, d.files(places))
  end)
end)
