--- The places of a service's table: who serves, and who calls. What lies where, and how a place is
-- had, stands in shm.rpc.register, which has these methods.
-- @module shm.rpc.places
local core = require "shm.core"
local process = require "shm.process"

local M = {}

local mutex = core.sync.mutex
local monotonic = process.monotonic

M.NUMBER_BITS = 14 -- of a number in `who`
M.CLIENT_BITS = 22 -- of a client's in its object's name, and in what it asks
M.ESTALE = 116     -- `take`: the service was removed meanwhile
M.DEPARTURES, M.LEAVES = 0, 16
local DEPARTURES <const>, NUMBERS <const>, LEAVES <const> = M.DEPARTURES, 8, M.LEAVES
local FIRST <const>, PLACE <const>, WHO <const>, NUMBER <const> = 64, 336, 320, 328
local SERVERS <const>, CLIENTS <const> = 32, 96
local PLACES <const> = SERVERS + CLIENTS
M.SIZE = FIRST + PLACES * PLACE
local NUMBER_BITS <const> = M.NUMBER_BITS
local IN_WHO <const>, IN_NAME <const> = (1 << NUMBER_BITS) - 1, (1 << M.CLIENT_BITS) - 1
local PATIENCE <const> = 1 -- seconds, with who has a place's mutex and not the place
local NAP <const> = 0.001  -- between looks at it
local EUSERS <const>, EBUSY <const>, ESTALE <const> = 87, 16, M.ESTALE
local EDEADLK <const> = 35

-- The places of a kind: the first, and how many.
local KINDS = {server = {0, SERVERS}, client = {SERVERS, CLIENTS}}

-- How many places of this process there are by that key, which are not looked at: a handle of a
-- mutex that its thread holds by another one can not be closed, and its collection would keep the
-- memory. Services of the same name in two arenas may share a key. A child inherits the list, and
-- none of the places.
local own = {}

local Places = {}
M.methods = Places

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
  if region:load(at) == 0 then
    return
  elseif place < SERVERS then
    region:add(DEPARTURES, 1)
  elseif not register:drop_client(place, region:load(number_at(place)) & IN_NAME) then
    return
  end
  region:store(at, 0)
  if place >= SERVERS then
    region:add(LEAVES, 1) -- now servers find out whose memory they still have open
  end
end

-- Whether a place's mutex is this register's now. Where it is this thread's already, an error has
-- ended what took it, as places that this process has are not tried.
local function grab(register, place)
  local lock = mutex_at(register, place)
  if not lock then
    return false
  end
  register.held[place] = true
  local had, _, errno = lock:try()
  if not had and errno ~= EDEADLK then
    register.held[place] = nil
    return false
  end
  return true
end

local function let_go(register, place)
  register.mutexes[place]:unlock()
  register.held[place] = nil
end

--- Buries who is dead.
-- @string kind "server" or "client"
function Places:sweep(kind)
  local first, n = table.unpack(KINDS[kind])
  for place = first, first + n - 1 do
    local who = self.region:load(who_at(place))
    if who ~= 0 and not is_own(self, who) and grab(self, place) then -- not while it lives
      bury(self, place)
      let_go(self, place)
    end
  end
end

-- With the place's mutex held, which stays the caller's where this succeeds; false where the
-- last one's object can not be dropped.
local function settle(register, place)
  local region = register.region
  bury(register, place) -- who died with it may have been here since, or half way
  if region:load(who_at(place)) ~= 0 then
    return false
  end
  local current, message, errno = register:is_current()
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

-- Takes the first place whose mutex is free; else there may be one that is free but for that.
local function take_once(register, kind)
  local first, n = table.unpack(KINDS[kind])
  local awaited
  for place = first, first + n - 1 do
    local free = register.region:load(who_at(place)) == 0
    if free and grab(register, place) then
      local taken, number, errno = settle(register, place)
      if taken then
        return taken, number
      end
      let_go(register, place)
      if taken == nil then
        return nil, number, errno
      end
    elseif free then
      awaited = awaited or place
    end
  end
  return nil, ("%d %ss are there already"):format(n, kind), EUSERS, awaited
end

local function is_stuck(register, place, what)
  local lock = mutex_at(register, place)
  return nil, ("pid %s %s, and does not go on"):format(lock and lock:holder() or "?", what), EBUSY
end

--- Takes a place.
-- @string kind "server" or "client"
-- @treturn int place
-- @treturn int number that no other has who took one lately
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EUSERS; ESTALE (the service was removed since it was opened); EBUSY (somebody
-- was stopped while he removes it, or in the arena's guard)
function Places:take(kind)
  self:sweep(kind)
  local deadline = monotonic() + PATIENCE
  while true do
    local place, number, errno, awaited = take_once(self, kind)
    if place or errno ~= EUSERS or not awaited then
      return place, number, errno
    elseif monotonic() >= deadline then
      return is_stuck(self, awaited, "removes it")
    end
    process.sleep(NAP)
  end
end

--- Gives a place back, if it is this register's.
function Places:leave(place)
  if self.held[place] and grab(self, place) then
    local who = self.region:load(who_at(place))
    bury(self, place)
    if who ~= 0 then
      count_own(self, who, -1)
    end
    let_go(self, place)
  end
end

--- Who has a place, as one number; 0 for nobody, and where there is no such place.
function Places:who(place)
  return place < PLACES and self.region:load(who_at(place)) or 0
end

--- The number of who has a place, or had it last.
function Places:number(place)
  return place < PLACES and self.region:load(number_at(place)) or 0
end

--- Whether a server still has its place.
-- @int who pid and number
function Places:serves(who)
  for place = 0, SERVERS - 1 do
    if self.region:load(who_at(place)) == who then
      return true
    end
  end
  return false
end

-- Who lives in a place: not who is being buried.
local function lives(register, place)
  local region, at = register.region, who_at(place)
  local who = region:load(at)
  if who == 0 or is_own(register, who) then
    return who ~= 0 and who >> NUMBER_BITS
  end
  local lock = mutex_at(register, place)
  local deadline = monotonic() + 10 * NAP
  repeat
    local holder = lock and lock:holder()
    if holder == who >> NUMBER_BITS or holder and monotonic() >= deadline then
      return who >> NUMBER_BITS
    elseif not holder then
      return nil
    end
    process.sleep(NAP)
  until region:load(at) ~= who
  return nil
end

--- The pids of who has places, after the dead were buried.
-- @string kind "server" or "client"
function Places:pids(kind)
  self:sweep(kind)
  local first, n = table.unpack(KINDS[kind])
  local pids = {}
  for place = first, first + n - 1 do
    pids[#pids + 1] = lives(self, place) or nil
  end
  return pids
end

--- Holds all places' mutexes, where nobody has a place, until the register is closed.
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EBUSY
function Places:close_off()
  local deadline = monotonic() + PATIENCE
  for place = 0, PLACES - 1 do
    while is_own(self, self:who(place)) or not grab(self, place) do -- for a moment, or to stay
      local pid = lives(self, place)
      if pid then
        local what = place < SERVERS and "server" or "client"
        return nil, ("pid %d is its %s"):format(pid, what), EBUSY
      elseif monotonic() >= deadline then
        return is_stuck(self, place, "has to do with it")
      end
      process.sleep(NAP)
    end
    bury(self, place)
    if self:who(place) ~= 0 then
      return nil, "a dead client's memory can not be dropped now", EBUSY
    end
  end
  return true
end

return M
