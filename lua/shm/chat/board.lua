--- The memory that the chat's server and its children share: an arena, with one topic for all
-- that is said, and a slot for each client.
--
-- In the arena, which has a name or is anonymous:
--   `said`     topic: every line that anybody reads, in the one order that all read it in
--   `rooms`    map: a room's number by its name
--   `numbers`  counter: numbers of rooms and clients, of which none is given twice
--   `limit`    counter: for how many clients all of this was made; `memory`, for how many bytes
--   `server`   mutex: held by the server that uses the arena
--   `names`    map: by the name of who is there, its client's number << 16 | its slot
--   `slots`    bytes: words of the server's, and a slot for each client
-- Names and slots are a server's own: the next one drops them and makes others. The rest stays
-- in an arena with a name, and is what the next server goes on with, however this one ended.
--
-- A message is from (u32, a client's number, 0 for the server), to (u32, the number of a room or
-- of a client, 0 for all), what (u16: 0 a notice, 1 what somebody said in a room, else the mark
-- of a join), and lines with their ends. Any child publishes for its client, all subscribe, and
-- each picks what is for it.
--
-- Death: a message is published or not; a name changes in one step; each word of a slot has one
-- writer, but for the flag by which a child is woken. A child that dies has a name, a slot and a
-- line of the topic until the server, which is told by the kernel, takes them away. Of a server
-- that dies the mutex goes to the next one, and its children end by themselves.
--
-- Flags are used one way throughout: who is about to sleep sets its flag and then looks once
-- more; who has changed something looks at the flag after that, and wakes if it was set.
-- Both orders are those of sequentially consistent atomics, so one of the two always sees
-- the other.
-- @module shm.chat.board
local shm = require "shm"

local M = {}

--- The longest line, in bytes, without its end.
M.LONGEST = 1000

--- What a message can be, beside the marks of joins.
M.NOTICE, M.TALK, M.FIRST_MARK, M.LAST_MARK = 0, 1, 2, 0xffff

local HEAD <const> = "<I4I4I2"
local BODY <const> = string.packsize(HEAD) + 1
local MOST_ROOMS <const> = 1000
local SPARE <const> = 96   -- lines of the topic beside those of clients, for who joins
local OTHERS <const> = 128 -- processes beside the clients': the server, children that end
local EEXIST <const>, EINVAL <const>, EBUSY <const>, ENOTEMPTY <const> = 17, 22, 16, 39

-- Offsets of words that there are once, each in a cache line of its own.
local ASLEEP <const> = 0    -- the server sleeps
local CLOSING <const> = 64  -- the server ends
local COUNT <const> = 128   -- 64 bits: grows with each message, behind it
local WAITING <const> = 192 -- somebody waits for room in the topic
local CROWD <const> = 196   -- most clients are behind with their reading
local SLOTS <const> = 256

-- Offsets in a slot.
local CHILD_ASLEEP <const> = 0 -- the child sleeps
local ROOM <const> = 4         -- the number of the client's room, 0 before the first
local TURNS <const> = 8        -- 64 bits: grows while the child goes on
local BEHIND <const> = 16      -- the client reads, and is behind with that
local SLOT_SIZE <const> = 64

local Board = {}
Board.__index = Board

local Slot = {}
Slot.__index = Slot

local function options_of(opts)
  local capacity = opts.memory // 2
  local topic = {capacity = capacity, subscribers = opts.limit + SPARE}
  local size = shm.topic.size(topic) + (opts.limit + MOST_ROOMS) * 1024 + (1 << 20)
  return topic, size + 4095 & ~4095
end

local function arena_of(opts, size)
  local processes = opts.limit + OTHERS
  if opts.keep then
    return shm.arena(opts.keep, {size = size, max = 2 * size, processes = processes})
  end
  local region, message, errno = shm.anonymous(size)
  if not region then
    return nil, message, errno
  end
  local arena
  arena, message, errno = shm.arena(region, {processes = processes})
  region:close() -- the arena has its share
  return arena, message, errno
end

-- What stays from one server to the next.
local function furnish(self, opts, topic)
  local arena = self.arena
  local all, why, errno = arena:names()
  if not all then
    return nil, why, errno
  elseif next(all) and not all.server then -- it is what a chat makes first
    return nil, "what is in it is not a chat's", ENOTEMPTY
  end
  self.server, why, errno = arena:mutex "server"
  if not self.server then
    return nil, why, errno
  elseif not self.server:lock(0) then
    return nil, "another server has it", EBUSY
  end
  self.locked = true
  local limit <close>, words, code = arena:counter("limit", opts.limit)
  if not limit then
    return nil, words, code
  elseif limit:get() < opts.limit then
    return nil, ("it was made for %d clients, not for %d"):format(limit:get(), opts.limit), EINVAL
  end
  for _, it in ipairs {{"said", "topic", topic}, {"rooms", "map"}, {"numbers", "counter"},
                       {"memory", "counter", opts.memory}} do
    local name, kind = it[1], it[2]
    self[name], why, errno = arena[kind](arena, name, it[3])
    if not self[name] then
      return nil, why, errno
    end
  end
  self.window = math.min(opts.memory, self.memory:get()) // 2 -- the ring has twice as much
  return self:renew()
end

--- Opens the memory, or makes it.
-- @tparam table opts `keep`, the arena's name, or nil; `limit`, how many slots; `memory`, bytes
-- that are kept of what was said
-- @treturn table the board
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EBUSY (another server has it), EINVAL (it was made for fewer), ENOTEMPTY (what
-- is in it is not a chat's), ENOSPC …
function M.open(opts)
  local topic, size = options_of(opts)
  local arena, message, errno = arena_of(opts, size)
  if not arena then
    return nil, message, errno
  end
  local self = setmetatable({arena = arena, limit = opts.limit}, Board)
  local done
  done, message, errno = furnish(self, opts, topic)
  if not done then
    self:close()
    return nil, ("chat.serve%s: %s"):format(opts.keep and " '" .. opts.keep .. "'" or "", message),
      errno
  end
  return self
end

--- Names and slots for a server that begins, with nobody there.
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOSPC, ENOTEMPTY
function Board:renew()
  for _, name in ipairs {"names", "slots"} do
    if self[name] then
      self[name]:close()
      self[name] = nil
    end
    self.arena:drop(name)
  end
  local message, errno
  self.names, message, errno = self.arena:map "names"
  if self.names then
    self.slots, message, errno = self.arena:bytes("slots", SLOTS + self.limit * SLOT_SIZE)
  end
  if not self.slots then
    return nil, message, errno
  end
  return true
end

--- Lets go of all of it. With a name it stays.
function Board:close()
  if self.locked then
    self.server:unlock()
  end
  for _, name in ipairs {"names", "slots", "said", "rooms", "numbers", "memory", "server",
                     "arena"} do
    if self[name] then
      self[name]:close()
    end
  end
end

--- A number for a client that joins.
function Board:number()
  return self.numbers:add(1) + 1
end

--- The number of a room, which is made if there is none.
-- @treturn int number, or nil when there are too many rooms
function Board:room(name)
  local number = self.rooms:get(name)
  if number or #self.rooms >= MOST_ROOMS then
    return number
  end
  local _, _, errno = self.rooms:add(name, self:number())
  return (not errno or errno == EEXIST) and self.rooms:get(name) or nil
end

--- Publishes, if the slowest is not too far behind to wait for.
-- @int from a client's number, or 0
-- @int to the number of a room or a client, or 0
-- @int what M.NOTICE, M.TALK or a mark
-- @string lines with their ends
-- @treturn boolean whether there was room
function Board:publish(from, to, what, lines)
  local text = HEAD:pack(from, to, what) .. lines
  local behind = self.said:behind()
  if not behind or behind + #text + 64 > self.window or not self.said:publish(text, 0) then
    return false
  end
  self.slots:add(COUNT, 1)
  return true
end

--- What a message says.
-- @treturn int from
-- @treturn int to
-- @treturn int what
-- @treturn int where its lines begin
function M.parse(message)
  local from, to, what = HEAD:unpack(message)
  return from, to, what, BODY
end

--- How often something was published: what changes when there is news.
function Board:count()
  return self.slots:load(COUNT)
end

--- Whether anybody is behind by more than half of what a publisher waits for. Those who died,
-- and so will not go on, are let go.
function Board:lags()
  local behind = self.said:behind(0)
  return behind and behind > self.window // 2
end

--- Somebody waits for room in the topic, or nobody does any more.
function Board:wait_for_room(yes)
  self.slots:store32(WAITING, yes and 1 or 0)
end

function Board:room_is_wanted()
  return self.slots:load32(WAITING) == 1
end

--- Most clients are behind with their reading, or not any more: talkers wait for that, where
-- they do not wait for one.
function Board:crowd(yes)
  self.slots:store32(CROWD, yes and 1 or 0)
end

function Board:is_crowded()
  return self.slots:load32(CROWD) == 1
end

function Board:close_down()
  self.slots:store32(CLOSING, 1)
end

function Board:is_closing()
  return self.slots:load32(CLOSING) == 1
end

--- The server says whether it is about to sleep.
function Board:asleep(yes)
  self.slots:store32(ASLEEP, yes and 1 or 0)
end

--- Wakes the server if it sleeps. That clears the flag itself: if one child did and were
-- stopped then, the others would let it sleep.
-- @tparam shm.process.channel channel to the server
function Board:wake_server(channel)
  if self.slots:load32(ASLEEP) == 1 then
    channel:send("!", 0) -- if there is no room for it, earlier ones are still unread
  end
end

--- Gives a name to who has none yet. Only the server does.
-- @treturn boolean whether it was free
function Board:name(name, number, slot)
  return self.names:add(name, number << 16 | slot)
end

--- Gives another name to who has one, in one step.
-- @treturn boolean whether it was free
function Board:rename(old, new)
  return self.names:transaction(function(view)
    local who = view:get(old)
    if view:get(new) ~= nil then
      return false
    end
    view:delete(old)
    view:set(new, who)
    return true
  end)
end

--- Takes the name of a dead child's client away.
-- @string likely what it was called first, and mostly still is
-- @treturn string the name that it had
function Board:forget(likely, number, slot)
  local who = number << 16 | slot
  local name = self.names:get(likely) == who and likely or nil
  if not name then
    for other, its in self.names:pairs() do
      name = its == who and other or name
    end
  end
  if name then
    self.names:delete(name)
  end
  return name
end

--- The number of the client that has a name, or nil.
function Board:who(name)
  local who = self.names:get(name)
  return who and who >> 16
end

--- The names of those in a room, in the order in which they came to the server.
function Board:list(room)
  local list, numbers = {}, {}
  for name, who in self.names:pairs() do
    if self:slot(who & 0xffff):room() == room then
      list[#list + 1] = name
      numbers[name] = who
    end
  end
  table.sort(list, function(one, other) return numbers[one] < numbers[other] end)
  return list
end

--- How many are in a room, which is cheaper than who.
function Board:population(room)
  local slots, count = self.slots, 0
  for at = SLOTS + ROOM, SLOTS + self.limit * SLOT_SIZE, SLOT_SIZE do
    count = count + (slots:load32(at) == room and 1 or 0)
  end
  return count
end

--- The slot of a number from 1 to the limit.
function Board:slot(number)
  return setmetatable({
    region = self.slots, base = SLOTS + (number - 1) * SLOT_SIZE, number = number,
  }, Slot)
end

--- Clears the slot for a new client.
function Slot:reset()
  self.region:fill(self.base, SLOT_SIZE)
end

--- The number of the room that the client is in.
function Slot:room()
  return self.region:load32(self.base + ROOM)
end

function Slot:set_room(number)
  self.region:store32(self.base + ROOM, number)
end

--- How often the child has gone round: what moves while it lives and is not stopped.
function Slot:turns()
  return self.region:load(self.base + TURNS)
end

function Slot:turn()
  self.region:add(self.base + TURNS, 1)
end

--- The child says whether its client is behind, and reads.
function Slot:set_behind(yes)
  self.region:store32(self.base + BEHIND, yes and 1 or 0)
end

function Slot:is_behind()
  return self.region:load32(self.base + BEHIND) == 1
end

--- The child says whether it is about to sleep.
function Slot:asleep(yes)
  self.region:store32(self.base + CHILD_ASLEEP, yes and 1 or 0)
end

--- Whether the child sleeps.
function Slot:sleeps()
  return self.region:load32(self.base + CHILD_ASLEEP) == 1
end

--- Whether the child slept; who asks, which only the server does, has to wake it then.
function Slot:rouse()
  return self:sleeps() and self.region:swap32(self.base + CHILD_ASLEEP, 0) == 1
end

return M
