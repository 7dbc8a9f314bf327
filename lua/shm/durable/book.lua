--- What a state knows of itself: a few words in its arena.
--
-- Layout, of 64-bit words: the schema's version; whether the last server stopped in order; how
-- many checkpoints there were, of which who has the place's lock for syncing counts one; how many
-- servers. Each is changed by itself, and else by who serves. Whoever dies leaves each as it was
-- before or is after; a server that died leaves 0 in `orderly`.
-- @module shm.durable.book
local M = {}
M.__index = M

local NAME <const> = "shm.durable"
local SIZE <const>, LAYOUT <const> = 64, 0x6472626c31 & 0x7fffffff
local WORDS <const> = {version = 0, orderly = 8, generation = 16, servers = 24}
local EEXIST <const>, ENOENT <const> = 17, 2

local function open(arena, size)
  local region, made, errno = arena:bytes(NAME, size, LAYOUT)
  if not region then
    if errno == ENOENT then
      return nil, "what is there is no state of shm.durable: give another name", EEXIST
    end
    return nil, made, errno
  end
  return setmetatable({region = region}, M)
end

--- Makes the words of a state that is new.
-- @tparam shm.arena arena
-- @int version
-- @treturn table the book
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int errno
function M.make(arena, version)
  local book, message, errno = open(arena, SIZE)
  if book then
    book:set("version", version)
  end
  return book, message, errno
end

--- Finds those that there are.
-- @tparam shm.arena arena
-- @treturn table the book
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EEXIST when this is no state, and what `arena:bytes` says
function M.find(arena)
  return open(arena)
end

function M:get(word)
  return self.region:load(WORDS[word])
end

function M:set(word, value)
  self.region:store(WORDS[word], value)
end

function M:close()
  self.region:close()
end

return M
