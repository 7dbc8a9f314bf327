--- Who serves and who calls: a service's table in the arena, and whose places are whose.
--
-- Layout of the arena's bytes "rpc:NAME", zero where nothing is said:
--
--     0      u64   departures: how often a server has left, or was found dead
--     8      u64   how often a place was taken; gives each who takes one a number of its own
--     16     u64   how often a client has left, or was found dead
--     24     u64   how often the queue was taken out, twice; odd while somebody does
--     64     32 places of servers, then 96 of clients, 336 bytes each:
--              0     mutex, held by whose place it is for as long as it lives
--              320   u64   who: the pid and the number, (pid << 14 | 14 bits); 0 for nobody
--              328   u64   the number
--
-- Beside it lie the queue of requests, "rpc:NAME:requests", and for each client
-- "rpc:NAME:client:PLACE.NUMBER": its calls' words and the queue of its answers, see words.lua;
-- of the number 22 bits.
--
-- A place is had by its mutex, which names a thread for good and is found free once that is
-- dead. Who takes it writes `who` before it makes anything; who finds a mutex free and `who`
-- not 0 buries what is there, with the mutex held: a client's object is dropped, a server's
-- departure is counted, and last `who` becomes 0. Who dies meanwhile leaves all this to the
-- next one, and doing it twice does no harm.
--
-- Who removes a service holds all places' mutexes meanwhile, so that nobody takes a place, and
-- drops the queue first and the table last. Who has taken a mutex looks whether the table is
-- the one that has the name, and the queue not taken out since it was opened; else it opens
-- both anew. Dying between the two drops leaves a table that the next queue belongs to; and
-- dying before the look may leave a queue that belongs to the next table.
--
-- Nobody sleeps at a place's mutex: who has it may have come to stay, and others are free.
-- @module shm.rpc.register
local places = require "shm.rpc.places"

local M = {}

M.LAYOUT = 0x72706302 -- "rpc", 2
M.NUMBER_BITS, M.CLIENT_BITS, M.ESTALE = places.NUMBER_BITS, places.CLIENT_BITS, places.ESTALE
local DEPARTURES <const>, LEAVES <const> = places.DEPARTURES, places.LEAVES
local REMOVALS <const>, SIZE <const> = 24, places.SIZE
local ENOENT <const>, ESTALE <const> = 2, M.ESTALE

local Register = setmetatable({}, {__index = places.methods})
Register.__index = Register

local function table_name(name)
  return "rpc:" .. name
end

local function queue_name(name)
  return ("rpc:%s:requests"):format(name)
end

--- What a client's object is called.
function M.client_name(name, place, number)
  return ("rpc:%s:client:%d.%d"):format(name, place, number)
end

-- held: the places whose mutexes it may have, from before it tries one until it has let go of it.
-- So an error in between, as Ctrl-C makes one, leaves none behind once the register is closed.
local function new(arena, name, region)
  return setmetatable({
    arena = arena, name = name, region = region, mutexes = {}, held = {},
    removals = region:load(REMOVALS),
    departures = region:loader(DEPARTURES), leaves = region:loader(LEAVES),
  }, Register)
end

--- Finds a service's table and queue in an arena, or makes them. Which belong together, and to
-- the service, says `take`.
-- @tparam shm.arena arena
-- @string name
-- @tparam table queue options of the requests' queue
-- @treturn table the register: `departures()` and `leaves()` count, `requests` is the queue
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.open(arena, name, queue)
  local region, message, errno = arena:bytes(table_name(name), SIZE, M.LAYOUT)
  if not region then
    return nil, message, errno
  end
  local register = new(arena, name, region) -- before the queue is found
  register.requests, message, errno = arena:queue(queue_name(name), queue)
  if not register.requests then
    region:close()
    return nil, message, errno
  end
  return register
end

--- Finds a service's table, for who removes it: or makes one, where there is a queue alone.
-- @treturn table the register, without a queue
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOENT
function M.find(arena, name)
  local named = table_name(name)
  local region, message, errno = arena:bytes(named, nil, M.LAYOUT)
  if errno == ENOENT and (arena:names() or {})[queue_name(name)] then
    region, message, errno = arena:bytes(named, SIZE, M.LAYOUT)
  end
  if not region then
    return nil, message, errno
  end
  return new(arena, name, region)
end

--- With a place's mutex held: whether this is the service that has the name, and its queue.
-- @treturn boolean
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EBUSY
function Register:is_current()
  local region = self.region
  local removals = region:load(REMOVALS)
  if removals & 1 == 1 then -- who took the queue out died, and the one that was found may be that
    region:cas(REMOVALS, removals, removals + 1)
    return false
  elseif removals ~= self.removals then
    return false
  end
  local named, message, errno = self.arena:bytes(table_name(self.name), nil, M.LAYOUT)
  if errno == ENOENT then
    return false
  elseif not named then
    return nil, message, errno
  end
  local same = named:address() == region:address()
  named:close()
  return same
end

--- Drops what a client had made, if it had.
-- @treturn boolean whether it is gone; not where the arena is closed, or its guard held
function Register:drop_client(place, number)
  local named = M.client_name(self.name, place, number)
  local ok, dropped, _, errno = pcall(self.arena.drop, self.arena, named)
  return ok and (dropped or errno == ENOENT)
end

--- Counts a server that has lost a request, though it goes on.
function Register:departed()
  self.region:add(DEPARTURES, 1)
end

--- Lets go of the table and the queue, and of the places that it has.
function Register:close()
  for place in pairs(self.held) do
    self:leave(place)
  end
  for _, lock in pairs(self.mutexes) do
    lock:close()
  end
  self.mutexes = {}
  if self.requests then
    self.requests:close()
  end
  self.region:close()
end

Register.__close = Register.close

--- Drops what has these names, with all places closed off: nobody else does.
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ESTALE (somebody was faster), EBUSY (somebody was stopped in the arena's guard)
function Register:drop()
  local current, message, errno = self:is_current()
  if not current then
    return nil, message, errno or ESTALE
  end
  local arena, region, name = self.arena, self.region, self.name
  local dropped
  region:add(REMOVALS, 1)
  dropped, message, errno = arena:drop(queue_name(name))
  region:add(REMOVALS, 1)
  if dropped or errno == ENOENT then
    dropped, message, errno = arena:drop(table_name(name))
  end
  return dropped, message, errno
end

return M
