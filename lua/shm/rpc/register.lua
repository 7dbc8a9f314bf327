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
-- both anew. Dying between the two drops leaves a table that the next queue belongs to.
-- @module shm.rpc.register
local core = require "shm.core"
local process = require "shm.process"

local M = {}

local mutex = core.sync.mutex
local monotonic = process.monotonic

M.LAYOUT = 0x72706302 -- "rpc", 2
M.NUMBER_BITS = 14     -- of a number in `who`
M.CLIENT_BITS = 22     -- of a client's in its object's name, and in what it asks
M.ESTALE = 116         -- `take`: the service was removed meanwhile
local DEPARTURES <const>, NUMBERS <const>, LEAVES <const>, REMOVALS <const> = 0, 8, 16, 24
local FIRST <const>, PLACE <const>, WHO <const>, NUMBER <const> = 64, 336, 320, 328
local SERVERS <const>, CLIENTS <const> = 32, 96
local PLACES <const> = SERVERS + CLIENTS
M.PLACES = PLACES
local SIZE <const> = FIRST + PLACES * PLACE
local NUMBER_BITS <const> = M.NUMBER_BITS
local IN_WHO <const>, IN_NAME <const> = (1 << NUMBER_BITS) - 1, (1 << M.CLIENT_BITS) - 1
local PATIENCE <const> = 1 -- seconds, with who has a place's mutex and not the place
local EUSERS <const>, ENOENT <const>, EBUSY <const>, ESTALE <const> = 87, 2, 16, M.ESTALE
local ETIMEDOUT <const> = 110

-- The places of a kind: the first, and how many.
local KINDS = {server = {0, SERVERS}, client = {SERVERS, CLIENTS}}

-- How many places of this process there are by that key, which are not looked at: a handle of a
-- mutex that its thread holds by another one can not be closed, and its collection would keep the
-- memory. Services of the same name in two arenas may share a key. A child inherits the list, and
-- none of the places.
local own = {}

local Register = {}
Register.__index = Register

local function table_name(name)
  return "rpc:" .. name
end

local function queue_name(name)
  return ("rpc:%s:requests"):format(name)
end

--- Whether there is a service, or what is called so.
function M.exists(arena, name)
  local region, message, errno = arena:bytes(table_name(name), nil, M.LAYOUT)
  if not region then
    return nil, message, errno
  end
  region:close()
  return true
end

--- What a client's object is called.
function M.client_name(name, place, number)
  return ("rpc:%s:client:%d.%d"):format(name, place, number)
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
  local removals = region:load(REMOVALS) -- before the queue is found
  local requests
  requests, message, errno = arena:queue(queue_name(name), queue)
  if not requests then
    region:close()
    return nil, message, errno
  end
  return setmetatable({
    arena = arena, name = name, region = region, requests = requests, mutexes = {},
    departures = region:loader(DEPARTURES), leaves = region:loader(LEAVES), removals = removals,
  }, Register)
end

local function mutex_at(register, place)
  local found = register.mutexes[place]
  if not found then
    local message
    found, message = mutex.open(register.region, FIRST + place * PLACE)
    if not found then
      return nil, message
    end
    register.mutexes[place] = found
  end
  return found
end

local function key_of(register, who)
  return register.name .. "\0" .. who
end

local function count_own(register, who, n)
  local key = key_of(register, who)
  local count = (own[key] or 0) + n
  own[key] = count > 0 and count or nil
end

local function is_own(register, who)
  return own[key_of(register, who)] and who >> NUMBER_BITS == process.pid()
end

local function who_at(place)
  return FIRST + place * PLACE + WHO
end

local function number_at(place)
  return FIRST + place * PLACE + NUMBER
end

-- With the place's mutex held. Of a client whose object can not be dropped now, as the arena
-- is closed or its guard is held, the place stays its own, for others to bury.
local function bury(register, place)
  local region, at = register.region, who_at(place)
  local who = region:load(at)
  if who == 0 then
    return
  elseif place < SERVERS then
    region:add(DEPARTURES, 1)
  else
    local named = M.client_name(register.name, place, region:load(number_at(place)) & IN_NAME)
    local ok, dropped, _, errno = pcall(register.arena.drop, register.arena, named)
    if not ok or not dropped and errno ~= ENOENT then
      return
    end
  end
  region:store(at, 0)
  if place >= SERVERS then
    region:add(LEAVES, 1) -- now servers find out whose memory they still have open
  end
end

--- Buries who is dead.
-- @string kind "server" or "client"
function Register:sweep(kind)
  local first, n = table.unpack(KINDS[kind])
  for place = first, first + n - 1 do
    local who = self.region:load(who_at(place))
    if who ~= 0 and not is_own(self, who) then
      local lock = mutex_at(self, place)
      if lock and lock:try() then -- not while it lives
        bury(self, place)
        lock:unlock()
      end
    end
  end
end

-- With a place's mutex held: whether this is the service that has the name, and its queue.
local function is_current(register)
  local region = register.region
  local removals = region:load(REMOVALS)
  if removals & 1 == 1 then -- who took the queue out died, and the one that was found may be that
    region:cas(REMOVALS, removals, removals + 1)
    return false
  elseif removals ~= register.removals then
    return false
  end
  local named, message, errno = register.arena:bytes(table_name(register.name), nil, M.LAYOUT)
  if errno == ENOENT then
    return false
  elseif not named then
    return nil, message, errno
  end
  local same = named:address() == region:address()
  named:close()
  return same
end

-- With the place's mutex held, which stays the caller's where this succeeds; false where the
-- last one's object can not be dropped.
local function settle(register, place)
  local region = register.region
  bury(register, place) -- who died with it may have been here since, or half way
  if region:load(who_at(place)) ~= 0 then
    return false
  end
  local current, message, errno = is_current(register)
  if not current then
    return nil, message or "it was removed meanwhile", errno or ESTALE
  end
  local number = region:add(NUMBERS, 1) + 1
  local who = process.pid() << NUMBER_BITS | number & IN_WHO
  count_own(register, who, 1)
  region:store(number_at(place), number)
  region:store(who_at(place), who)
  return place, number & IN_NAME
end

-- Takes the first place whose mutex is free; else there may be one of a place that is free itself.
local function take_once(register, kind)
  local first, n = table.unpack(KINDS[kind])
  local awaited
  for place = first, first + n - 1 do
    local lock = register.region:load(who_at(place)) == 0 and mutex_at(register, place)
    if lock and lock:try() then
      local taken, number, errno = settle(register, place)
      if taken then
        return taken, number
      end
      lock:unlock()
      if taken == nil then
        return nil, number, errno
      end
    else
      awaited = awaited or lock
    end
  end
  return nil, ("%d %ss are there already"):format(n, kind), EUSERS, awaited
end

-- Locks a mutex that others have for a moment.
local function await(lock, seconds, what)
  local had, message, errno = lock:lock(seconds > 0 and seconds or 0)
  if errno == ETIMEDOUT then
    return nil, ("pid %s %s, and does not go on"):format(lock:holder() or "?", what), EBUSY
  end
  return had, message, errno
end

--- Takes a place.
-- @string kind "server" or "client"
-- @treturn int place
-- @treturn int number that no other has who took one lately
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EUSERS; ESTALE (the service was removed since it was opened); EBUSY (somebody
-- was stopped while he removes it, or in the arena's guard); EINTR
function Register:take(kind)
  self:sweep(kind)
  local deadline = monotonic() + PATIENCE
  while true do
    local place, number, errno, awaited = take_once(self, kind)
    if place or errno ~= EUSERS or not awaited then
      return place, number, errno
    end
    local had, message, why = await(awaited, deadline - monotonic(), "removes it")
    if not had then
      return nil, message, why
    end
    awaited:unlock()
  end
end

--- Gives a place back, which is this process's.
function Register:leave(place)
  local lock, who = self.mutexes[place], self.region:load(who_at(place))
  bury(self, place)
  lock:unlock()
  count_own(self, who, -1)
end

--- Counts a server that has lost a request, though it goes on.
function Register:departed()
  self.region:add(DEPARTURES, 1)
end

--- Who has a place, as one number; 0 for nobody, and where there is no such place.
function Register:who(place)
  return place < PLACES and self.region:load(who_at(place)) or 0
end

--- The number of who has a place, or had it last.
function Register:number(place)
  return place < PLACES and self.region:load(number_at(place)) or 0
end

--- Whether a server still has its place.
-- @int who pid and number
function Register:serves(who)
  for place = 0, SERVERS - 1 do
    if self.region:load(who_at(place)) == who then
      return true
    end
  end
  return false
end

--- The pids of who has places, after the dead were buried.
-- @string kind "server" or "client"
function Register:pids(kind)
  self:sweep(kind)
  local first, n = table.unpack(KINDS[kind])
  local pids = {}
  for place = first, first + n - 1 do
    local who = self.region:load(who_at(place))
    if who ~= 0 then
      pids[#pids + 1] = who >> NUMBER_BITS
    end
  end
  return pids
end

--- Lets go of the table and the queue.
function Register:close()
  for _, lock in pairs(self.mutexes) do
    lock:close()
  end
  self.mutexes = {}
  self.requests:close()
  self.region:close()
end

--- Holds a place's mutex, where nobody has the place.
-- @treturn shm.mutex
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EBUSY, EINTR
function Register:close_off(place)
  local lock, message = mutex_at(self, place)
  if not lock then
    return nil, message, EBUSY
  end
  local had, why, errno = await(lock, PATIENCE, "is about to use it")
  if not had then
    return nil, why, errno
  end
  bury(self, place)
  if self.region:load(who_at(place)) ~= 0 then
    lock:unlock()
    return nil, "a dead client's memory can not be dropped now", EBUSY
  end
  return lock
end

--- Drops what has these names, with all places closed off: nobody else does.
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ESTALE (somebody was faster), EBUSY (somebody was stopped in the arena's guard)
function Register:drop()
  local current, message, errno = is_current(self)
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
