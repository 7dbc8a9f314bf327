--- What a server does with a request: claims it, calls the method, and answers. What lies where,
-- and what happens when a side dies, stands in shm.rpc.
-- @module shm.rpc.work
local core = require "shm.core"
local registers = require "shm.rpc.register"
local requests = require "shm.rpc.request"
local words = require "shm.rpc.words"

local M = {}

local queue = core.sync.queue
local BOX <const> = words.BOX
local KEY <const>, SLOT <const>, SEQUENCE <const> = words.KEY, words.SLOT, words.SEQUENCE
local QUEUED <const>, MOST <const> = words.QUEUED, words.MOST
local NUMBER_BITS <const> = registers.NUMBER_BITS
local NUMBER <const> = (1 << registers.CLIENT_BITS) - 1
local LONGEST <const> = 500 -- bytes of an error's message
local EBUSY <const>, ENOSYS <const>, EMSGSIZE <const> = 16, 38, 90
local EREMOTEIO <const> = 121
local OVER <const> = requests.OVER

local math_type, unpack = math.type, table.unpack
local pcall, select, setmetatable, type = pcall, select, setmetatable, type

-- A client as a server knows it, which stays open while answers for it are on their way.
local Client = {}
Client.__index = Client

local function let_go(client)
  client.box:close()
  client.region:close()
end

function Client:done()
  self.busy = self.busy - 1
  if self.gone and self.busy == 0 then
    let_go(self)
  end
end

function Client:leave()
  self.gone = true
  if self.busy == 0 then
    let_go(self)
  end
end

-- Finds a client by the part of an id that names it. Where there is none, it was buried.
local function meet(server, key)
  local register = server.register
  local place, short = key >> 8 & 0xff, key >> 16
  local number = register:number(place) -- before what it names is opened: see attention.forget
  local named = registers.client_name(register.name, place, short)
  local region, message, errno = register.arena:bytes(named, nil, registers.LAYOUT)
  local box
  local who = register:who(place)
  if not region then
    return nil, message, errno
  elseif #region > BOX and who ~= 0 and number & NUMBER == short then
    box, message, errno = queue.attach(region, BOX)
  end
  if not box then
    region:close()
    return nil, message, errno
  end
  local client = setmetatable({
    region = region, box = box, push = box:pusher(), busy = 0, place = place, number = number,
    pid = who >> NUMBER_BITS, load = region.load, cas = region.cas,
  }, Client)
  client.request = requests.of(server, client)
  server.clients[key] = client
  return client
end

-- Answers that a call has failed.
local function refuse(server, client, offset, claimed, id, errno, why)
  local answer = {id, -errno, #why > LONGEST and why:sub(1, LONGEST) .. " …" or why}
  if client.region:load(offset) == claimed then
    local done, _, code = client.push(answer, 0)
    if not done then
      server.outbox:keep(client, offset, claimed, answer, code)
    end
  end
end

local function deliver(client, offset, claimed, id, ...)
  if client.load(client.region, offset) ~= claimed then
    return true -- nobody waits for it
  end
  local answer = {id, select("#", ...), ...}
  if answer[2] > MOST then
    error(("%d results, where %d can be"):format(answer[2], MOST), 0)
  end
  local done, _, errno = client.push(answer, 0)
  return done, answer, errno
end

local function perform(client, offset, claimed, id, method, ...)
  return deliver(client, offset, claimed, id, method(...))
end

-- What was thrown, as a message: by the method, or by push about a result.
local function text_of(thrown)
  local ok, text = pcall(tostring, thrown)
  if not ok then
    return type(thrown)
  end
  local index, rest = text:match "shm/rpc/work%.lua:%d+: bad argument #1 to .*value%[(%d+)%](.*)%)$"
  return index and ("result %d%s"):format(index - 2, rest) or text
end

-- The methods are the caller's table, which may throw where a name is not in it.
local function find(methods, name)
  return methods[name]
end

-- A client's request: claims it, does it, and answers.
local function run(server, client, id, message, n)
  local offset, claimed = (id & SLOT) * 8, id & SEQUENCE | server.claim
  if not client.cas(client.region, offset, id & SEQUENCE | QUEUED, claimed) then
    return -- given up, or begun by another: it was twice in the queue
  end
  local found, method = pcall(find, server.methods, message[2])
  if not found then
    return refuse(server, client, offset, claimed, id, EREMOTEIO, text_of(method))
  elseif type(method) ~= "function" then
    return refuse(server, client, offset, claimed, id, ENOSYS, "there is no such method")
  end
  client.busy = client.busy + 1
  local ok, done, answer, errno = pcall(perform, client, offset, claimed, id, method,
    setmetatable(message, client.request), unpack(message, 4, n + 3))
  setmetatable(message, OVER)
  if not ok then
    refuse(server, client, offset, claimed, id, EREMOTEIO, text_of(done))
  elseif not done and errno == EMSGSIZE then
    refuse(server, client, offset, claimed, id, EMSGSIZE, "the answer is too long")
  elseif not done then
    server.outbox:keep(client, offset, claimed, answer, errno)
  end
  client:done()
end

local function run_cast(server, message, n)
  local found, method = pcall(find, server.methods, message[2])
  if found and type(method) == "function" then
    pcall(method, setmetatable(message, server.cast), unpack(message, 4, n + 3))
    setmetatable(message, OVER)
  end
end

--- Does a request, or what may be one: what is in shared memory may be anything, and what is
-- no request is thrown away.
function M.handle(server, message)
  if type(message) ~= "table" then
    return
  end
  local id, n = message[1], message[3]
  if math_type(id) ~= "integer" or type(message[2]) ~= "string" or math_type(n) ~= "integer" or
     n < 0 or n > MOST then
    return
  elseif id == 0 then
    return run_cast(server, message, n)
  end
  local client = server.clients[id & KEY]
  if not client then
    local ok, _, errno
    ok, client, _, errno = pcall(meet, server, id & KEY)
    if not ok or errno == EBUSY then -- somebody was stopped in the arena's guard
      server.register:departed() -- as if this one had died with the request in its hands
    end
    if not ok then -- the arena is closed
      error(client, 0)
    end
  end
  if client then
    run(server, client, id, message, n)
  end
end

return M
