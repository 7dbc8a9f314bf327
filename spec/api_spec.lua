-- What is exported, what lua/shm/types.d.lua and types/ declare, and what is documented are the
-- same.
local exclusion = require "shm.exclusion"
local posix = require "shm.posix"
local process = require "shm.process"
local support = require "spec.support"
local sysv = require "shm.sysv"

-- What one file declares goes to classes; its variables are its own.
local function read_types(path, classes)
  local variables, class = {}, nil
  for line in io.lines(path) do
    local name, parent = line:match "^%-%-%-@class ([%w_.]+):?%s*([%w_.]*)"
    if name then
      assert(not classes[name], name)
      class = {functions = {}, fields = {}, parent = parent}
      classes[name] = class
    end
    local field = line:match "^%-%-%-@field ([%w_]+)"
    if field then
      class.fields[field] = true
    end
    local variable = line:match "^local ([%w_]+) = {}"
    if variable then
      variables[variable] = class
    end
    local owner, method = line:match "^function ([%w_]+)[.:]([%w_]+)%("
    if owner then
      assert(variables[owner], line).functions[method] = true
    end
  end
end

-- By class: the names of its fields and functions, those of the classes it extends included.
local function declared()
  local classes = {}
  for path in support.shell("ls lua/shm/types.d.lua lua/shm/types/*.d.lua"):gmatch "%S+" do
    read_types(path, classes)
  end
  for _, one in pairs(classes) do
    local parent = classes[one.parent]
    while parent do
      for method in pairs(parent.functions) do
        one.functions[method] = true
      end
      parent = classes[parent.parent]
    end
  end
  return classes
end

local function documented_in_c()
  local names = {}
  for path in support.shell("ls src/bind/*.c"):gmatch "%S+" do
    local text = support.read_file(path)
    for comment, name in text:gmatch "/%*%*%*\n(.-)@function ([%w_:.]+)" do
      assert(#comment > 10, name .. " has no sentence")
      names[name:match "[%w_]+$"] = true
    end
  end
  return names
end

-- The functions of a Lua source that have a comment above them.
local function documented_in_lua(path)
  local names, comment = {}, false
  for line in io.lines(path) do
    local name = line:match "^function [%w_]+[.:]([%w_]+)%(" or line:match "^M%.([%w_]+) ="
      or line:match "^%u%l+%.([%w_]+) = %u%l+%."
    if name and comment then
      names[name] = true
    end
    comment = line:match "^%-%-%- ?%u" or comment and line:match "^%-%-"
  end
  return names
end

local function functions(t)
  local names = {}
  for name, value in pairs(t) do
    if type(value) == "function" and not name:match "^__" then
      names[name] = true
    end
  end
  return names
end

local function others(t)
  local names = {}
  for name, value in pairs(t) do
    if type(value) ~= "function" then
      names[name] = true
    end
  end
  return names
end

local function methods(object)
  local mt = debug.getmetatable(object)
  return functions(rawget(mt, "__methods") or mt.__index)
end

local id = assert(sysv.shmget(sysv.IPC_PRIVATE, posix.SEM_SIZE, sysv.IPC_CREAT))
local region = assert(sysv.shmat(id))
id:remove()
local sem = assert(sysv.semget(sysv.IPC_PRIVATE, 1, sysv.IPC_CREAT))
sem:remove()
local one, other = process.socketpair()
local signals = process.signals "USR1"
local handle = process.open(process.pid())
local queue = assert(sysv.msgget(sysv.IPC_PRIVATE, sysv.IPC_CREAT))
queue:remove()
local descriptor = assert(posix.memfd_create "spec")
local semaphore = posix.sem_init(region, 0)
local mq_name = "/shm-spec-" .. support.key()
local mq = assert(posix.mq_open(mq_name, posix.O_RDWR | posix.O_CREAT))
posix.mq_unlink(mq_name)
local notification = assert(mq:notify())
local link = require("shm.peer").serve(support.key())
local shm = require "shm"
local places = assert(shm.anonymous(1 << 16))
local arena = assert(shm.arena(assert(shm.anonymous(65536))))
local block = assert(arena:allocate(1))
local objects = {
  mutex = shm.mutex.create(places, 0), rwlock = shm.rwlock.create(places, 1024),
  semaphore = shm.semaphore.create(places, 2048), event = shm.event.create(places, 3072),
  condition = shm.condition.create(places, 4096), barrier = shm.barrier.create(places, 5120, 2),
  counter = shm.counter.create(places, 6144),
  queue = shm.queue.create(places, 8192, {capacity = 1000}),
}
objects.queue:push(1)
local loan, view = assert(objects.queue:loan(1)), assert(objects.queue:view())

local HANDLES = {
  ["shm.region"] = region, ["shm.sysv.segment"] = id, ["shm.sysv.semaphores"] = sem,
  ["shm.process.channel"] = one, ["shm.process.signals"] = signals,
  ["shm.process.handle"] = handle, ["shm.sysv.queue"] = queue,
  ["shm.posix.descriptor"] = descriptor, ["shm.posix.semaphore"] = semaphore,
  ["shm.loan"] = loan, ["shm.view"] = view,
  ["shm.posix.queue"] = mq, ["shm.posix.notification"] = notification,
}
local MODULES = {
  ["shm.sysv"] = sysv, ["shm.process"] = process, ["shm"] = require "shm",
  ["shm.posix"] = posix,
  ["shm.peer.module"] = require "shm.peer", ["shm.rpc"] = require "shm.rpc",
  ["shm.replica.module"] = require "shm.replica", ["shm.durable.module"] = require "shm.durable",
  ["shm.exclusion.module"] = exclusion, ["shm.chat"] = require "shm.chat",
  ["shm.lab.draw"] = require "shm.lab.draw",
  ["shm.lab"] = require "shm.lab",
  ["shm.chaos"] = require "shm.chaos", ["shm.value"] = require "shm.value",
}
local LUA_SOURCES = {
  ["shm.peer.module"] = "lua/shm/peer.lua", ["shm.rpc"] = "lua/shm/rpc.lua",
  ["shm.replica.module"] = "lua/shm/replica.lua", ["shm.durable.module"] = "lua/shm/durable.lua",
  ["shm.exclusion.module"] = "lua/shm/exclusion.lua", ["shm.chat"] = "lua/shm/chat.lua",
  ["shm.lab.draw"] = "lua/shm/lab/draw.lua",
  ["shm.lab"] = "lua/shm/lab.lua",
  ["shm.chaos"] = "lua/shm/chaos.lua", ["shm"] = "lua/shm/init.lua",
}
local ring = assert(shm.anonymous(8192))
local topic = assert(shm.topic.create(ring, 0, {capacity = 64}))
local subscriber = assert(topic:subscribe())
HANDLES["shm.map"] = assert(arena:map "map")
HANDLES["shm.topic"], HANDLES["shm.subscriber"] = topic, subscriber
MODULES["shm.topic.module"] = shm.topic
HANDLES["shm.arena"], HANDLES["shm.block"] = arena, block
for kind, object in pairs(objects) do
  HANDLES["shm." .. kind] = object
  MODULES["shm." .. kind .. ".module"] = shm[kind]
end
-- Lua's share of what is otherwise C.
local LUA_PARTS = {
  ["shm.sysv"] = "lua/shm/sysv.lua", ["shm.arena"] = "lua/shm/arena.lua",
  ["shm.map"] = "lua/shm/arena/map.lua",
}

describe("the interface", function()
  local classes, in_c = declared(), documented_in_c()

  for name, object in pairs(HANDLES) do
    it("of " .. name .. " is typed and documented", function()
      local names = methods(object)
      assert.same(names, classes[name].functions)
      local in_lua = documented_in_lua(LUA_PARTS[name] or "/dev/null")
      for method in pairs(names) do
        assert(in_c[method] or in_lua[method], method .. " is not documented")
      end
      assert.equal(name, debug.getmetatable(object).__name)
      assert.is_function(debug.getmetatable(object).__gc)
      assert.is_function(debug.getmetatable(object).__close)
      assert.matches("^" .. name:gsub("%p", "%%%0") .. " %(", tostring(object))
    end)
  end

  for name, module in pairs(MODULES) do
    it("of the module " .. name .. " is typed and documented", function()
      assert.same(functions(module), classes[name].functions)
      assert.same(others(module), classes[name].fields)
      local source = LUA_SOURCES[name]
      local documented = documented_in_lua(source or LUA_PARTS[name] or "/dev/null")
      if not source then
        setmetatable(documented, {__index = in_c})
      end
      for exported in pairs(source and module or functions(module)) do
        assert(documented[exported], exported .. " is not documented")
      end
    end)
  end

  it("is looked at for each module that there is", function()
    local looked = {["shm.core"] = true, ["shm.options"] = true} -- which are nobody's to require
    for _, list in ipairs {MODULES, HANDLES, {["shm.record"] = true}} do
      for name in pairs(list) do
        looked[name:gsub("%.module$", "")] = true
      end
    end
    local rockspec = {}
    assert(loadfile("shm-dev-1.rockspec", "t", rockspec))()
    for name in pairs(rockspec.build.modules) do
      assert(looked[name] or name:find "%..*%.", name)
    end
  end)

  it("names every constant in some function's comment", function()
    local comments = {}
    for path in support.shell("ls src/bind/*.c"):gmatch "%S+" do
      for comment in support.read_file(path):gmatch "/%*%*%*(.-)%*/" do
        comments[#comments + 1] = comment
      end
    end
    local all = table.concat(comments)
    for name, module in pairs {sysv = sysv, posix = posix} do
      for constant, value in pairs(module) do
        assert(type(value) == "function" or all:find("%f[%w_]" .. constant .. "%f[^%w_]"),
               name .. "." .. constant .. " is not documented")
      end
    end
  end)

  it("of a record is typed and documented", function()
    local record = require("shm").record {{"a", "i32"}}
    local names = functions(debug.getmetatable(record).__index)
    assert.same(names, classes["shm.record"].functions)
    local source = support.read_file "lua/shm/record.lua"
    for method in pairs(names) do
      assert(source:find("@function shm.record:" .. method, 1, true), method)
    end
  end)

  it("of a link is typed and documented", function()
    local names = functions(debug.getmetatable(link).__index)
    assert.same(names, classes["shm.peer"].functions)
    local documented = documented_in_lua "lua/shm/peer/link.lua"
    for method in pairs(names) do
      assert(documented[method], method .. " is not documented")
    end
    for field in pairs(classes["shm.peer"].fields) do
      assert.is_true(link[field] ~= nil or field == "peer", field)
    end
  end)

  it("of a node is typed and documented", function()
    local name = "shm-spec-" .. support.key()
    local node <close> = assert(require("shm.replica").open(name, {id = "a"}))
    assert(require("shm.replica").unlink(name))
    local names = functions(debug.getmetatable(node).__index)
    assert.same(names, classes["shm.replica"].functions)
    local documented = {getfd = true, pollfd = true} -- the same as fileno
    for _, room in ipairs {"node", "reading", "stepping", "writing"} do
      for method in pairs(documented_in_lua(("lua/shm/replica/%s.lua"):format(room))) do
        documented[method] = true
      end
    end
    for method in pairs(names) do
      assert(documented[method], method)
    end
    for field in pairs(classes["shm.replica"].fields) do
      assert.is_true(node[field] ~= nil, field)
    end
  end)

  it("of a durable state is typed and documented", function()
    local name = "shm-spec-" .. support.key()
    local state <close> = assert(require("shm.durable").open(name))
    local names = functions(debug.getmetatable(state).__index)
    assert.same(names, classes["shm.durable"].functions)
    local documented = documented_in_lua "lua/shm/durable/state.lua"
    for method in pairs(names) do
      assert(documented[method], method .. " is not documented")
    end
    for field in pairs(classes["shm.durable"].fields) do
      assert.is_true(state[field] ~= nil or field == "file", field)
    end
    assert(state:stop())
  end)

  it("of a talk and of who listens is typed and documented", function()
    local key = support.key()
    local server <close> = assert(require("shm.peer").listen(key))
    local child = assert(process.fork(function()
      assert(require("shm.peer").dial(key, {timeout = support.LONG}))
    end))
    local talk <close> = assert(server:accept(support.LONG))
    for name, object in pairs {talk = talk, listener = server} do
      local class = classes["shm.peer." .. name]
      local names = functions(debug.getmetatable(object).__index)
      assert.same(names, class.functions)
      local documented = documented_in_lua("lua/shm/peer/" .. name .. ".lua")
      for method in pairs(names) do
        assert(documented[method], method .. " is not documented")
      end
      for field in pairs(class.fields) do
        assert.is_not_nil(object[field], field)
      end
    end
    child:wait(support.LONG)
    child:close()
  end)

  it("of an exclusion lock is typed and documented", function()
    local names = functions(debug.getmetatable(exclusion.peterson(places, 0)).__index)
    assert.same(names, classes["shm.exclusion"].functions)
    local documented = documented_in_lua "lua/shm/exclusion.lua"
    for method in pairs(names) do
      assert(documented[method], method .. " is not documented")
    end
  end)

  it("of servers, clients, calls and requests is typed and documented", function()
    local rpc = require "shm.rpc"
    local memory <close> = assert(shm.anonymous(1 << 18))
    local its <close> = assert(shm.arena(memory))
    local seen
    local server <close> = assert(rpc.server(its, "api", {
      look = function(request) seen = request end,
    }, {capacity = 256}))
    local client <close> = assert(rpc.client(its, "api", {answers = 1024}))
    local call <close> = assert(client:start "look")
    assert(server:step(0))
    for kind, object in pairs {server = server, client = client, call = call} do
      local mt = debug.getmetatable(object)
      local names = functions(mt.__index)
      assert.same(names, classes["shm.rpc." .. kind].functions)
      local documented = documented_in_lua("lua/shm/rpc/" .. kind .. ".lua")
      for method in pairs(names) do
        assert(documented[method], method .. " is not documented")
      end
      assert.equal("shm.rpc." .. kind, mt.__name)
      assert.is_function(mt.__gc)
      assert.is_function(mt.__close)
      assert.matches("^shm%.rpc%." .. kind .. " %(", tostring(object))
    end
    assert.same({cancelled = true}, classes["shm.rpc.request"].functions)
    assert.is_function(seen.cancelled)
    for field in pairs(classes["shm.rpc.request"].fields) do
      assert(support.read_file("lua/shm/rpc.lua"):find("`" .. field .. "`", 1, true), field)
    end
  end)

  it("sets no globals and writes nothing", function()
    local script = [[
      local before = {}
      for name in pairs(_G) do before[name] = true end
      for _, name in ipairs {"shm", "shm.sysv", "shm.posix", "shm.process", "shm.peer", "shm.rpc",
                              "shm.replica", "shm.durable", "shm.exclusion", "shm.chat",
                              "shm.chaos", "shm.value", "shm.lab", "shm.lab.draw"} do
        require(name)
      end
      for name in pairs(_G) do
        if not before[name] then print(name) end
      end]]
    assert.equal("", support.shell("lua5.4 -e '" .. script .. "' 2>&1"))
  end)

  it("opens twice", function()
    local open = assert(package.loadlib(package.searchpath("shm.core", package.cpath),
                                        "luaopen_shm_core"))
    local again = open()
    local seg <close> = assert(again.sysv.shmat(assert(again.sysv.shmget(0, 8,
                                                                          sysv.IPC_CREAT))))
    seg:set_i64(0, 5)
    assert.equal(5, region.get_i64(seg, 0))
    assert.is_true(sysv.shmctl(tonumber(tostring(seg):match "%d+"), sysv.IPC_RMID))
  end)

  lazy_teardown(function()
    loan:close()
    view:close()
    for _, object in pairs(objects) do
      object:close()
    end
    for _, object in pairs {HANDLES["shm.map"], subscriber, topic, ring} do
      object:close()
    end
    block:close()
    arena:close()
    for _, object in pairs {places, region, one, other, signals, handle, link, semaphore,
                           notification, mq, descriptor} do
      object:close()
    end
  end)
end)
