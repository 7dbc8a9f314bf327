--- Who serves and who calls: a service's table in the arena, and whose places are whose.
--
-- Layout of the arena's bytes "rpc:NAME", zero where nothing is said:
--
--     0      u64   departures: how often a server has left, or was found dead
--     8      u64   how often a place was taken; gives each who takes one a number of its own
--     16     u64   how often a client has left, or was found dead
--     64     32 places of servers, then 96 of clients, 336 bytes each:
--              0     mutex, held by whose place it is for as long as it lives
--              320   u64   who: the pid and the number, (pid << 14 | number); 0 for nobody
--
-- Beside it lie the queue of requests, "rpc:NAME:requests", and for each client
-- "rpc:NAME:client:PLACE.NUMBER": its calls' words and the queue of its answers, see words.lua.
--
-- A place is had by its mutex, which names a thread for good and is found free once that is
-- dead. Who takes it writes `who` before it makes anything; who finds a mutex free and `who`
-- not 0 buries what is there, with the mutex held: a client's object is dropped, a server's
-- departure is counted, and last `who` becomes 0. Who dies meanwhile leaves all this to the
-- next one, and doing it twice does no harm.
-- @module shm.rpc.register
local core = require "shm.core"
local process = require "shm.process"

local M = {}

local mutex = core.sync.mutex

M.LAYOUT = 0x72706301 -- "rpc", 1
M.NUMBER_BITS = 14
local DEPARTURES <const>, NUMBERS <const>, LEAVES <const> = 0, 8, 16
local FIRST <const>, PLACE <const>, WHO <const> = 64, 336, 320
local SERVERS <const>, CLIENTS <const> = 32, 96
local SIZE <const> = FIRST + (SERVERS + CLIENTS) * PLACE
local NUMBER_BITS <const> = M.NUMBER_BITS
local NUMBER <const> = (1 << NUMBER_BITS) - 1
local EUSERS <const>, ENOENT <const>, EBUSY <const> = 87, 2, 16

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

--- What a client's object is called.
function M.client_name(name, place, number)
  return ("rpc:%s:client:%d.%d"):format(name, place, number)
end

--- Finds a service's table and queue in an arena, or makes them.
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
  local requests
  requests, message, errno = arena:queue(queue_name(name), queue)
  if not requests then
    region:close()
    return nil, message, errno
  end
  return setmetatable({
    arena = arena, name = name, region = region, requests = requests, mutexes = {},
    departures = region:loader(DEPARTURES), leaves = region:loader(LEAVES),
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
    local named = M.client_name(register.name, place, who & NUMBER)
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

--- Takes a place.
-- @string kind "server" or "client"
-- @treturn int place
-- @treturn int number that no other has who took one lately
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EUSERS
function Register:take(kind)
  self:sweep(kind)
  local first, n = table.unpack(KINDS[kind])
  for place = first, first + n - 1 do
    local lock = self.region:load(who_at(place)) == 0 and mutex_at(self, place)
    if lock and lock:try() then
      bury(self, place) -- who died with it may have been here since, or half way
      if self.region:load(who_at(place)) == 0 then
        local number = self.region:add(NUMBERS, 1) + 1 & NUMBER
        local who = process.pid() << NUMBER_BITS | number
        count_own(self, who, 1)
        self.region:store(who_at(place), who)
        return place, number
      end
      lock:unlock()
    end
  end
  return nil, ("%d %ss are there already"):format(n, kind), EUSERS
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
  return place < SERVERS + CLIENTS and self.region:load(who_at(place)) or 0
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

--- Takes a service out of its arena.
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EBUSY (somebody serves or calls), ENOENT
function M.remove(arena, name)
  local region, message, errno = arena:bytes(table_name(name), nil, M.LAYOUT)
  if not region then
    return nil, errno == ENOENT and "there is no such service" or message, errno
  end
  region:close()
  local register
  register, message, errno = M.open(arena, name)
  if not register then
    return nil, message, errno
  end
  for _, kind in ipairs {"server", "client"} do
    local pid = register:pids(kind)[1]
    if pid then
      register:close()
      return nil, ("pid %d is its %s"):format(pid, kind), EBUSY
    end
  end
  register:close()
  for _, named in ipairs {queue_name(name), table_name(name)} do
    local dropped
    dropped, message, errno = arena:drop(named)
    if not dropped and errno ~= ENOENT then
      return nil, message, errno
    end
  end
  return true
end

return M
