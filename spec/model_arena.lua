-- Names and blocks of an arena beside what was acknowledged: what was made is there with what was
-- written to it, what was dropped or given back is not, and of all who ask for a name one makes it.
--
-- Each worker has names that only it makes and drops, blocks that it kept, and a share in names
-- that all make and drop. Its journal, of what it begins and, when that has ended, what it did:
--   making slot version    made    filled        dropping slot    dropped
--   opening name           opened made           undoing name     undone gone
--   keeping offset id      kept                  freeing offset   freed
local record = require("shm").record
local workers = require "spec.model_workers"

local M = {}

local ENTRIES <const> = 1 << 14
local OWN <const>, BLOCKS <const> = 6, 10
local ENOENT <const>, ENOSPC <const> = 2, 28
local CELL = record {{"version", "i64"}, {"more", "char[100]"}}

-- The objects of names: how each is found or made, filled, and looked at.
local KINDS <const> = {
  {
    open = function(a, name) return a:bytes(name, 3000) end,
    fill = function(r, version) r:write(0, ("i8"):pack(version):rep(375)) end,
    is = function(r, version) return r:read(0, 3000) == ("i8"):pack(version):rep(375) end,
    close = function(r) r:close() end,
  },
  {
    open = function(a, name) return a:array(name, CELL, 7) end,
    fill = function(cells, version)
      for i = 1, 7 do
        cells[i].version = version + i
      end
    end,
    is = function(cells, version)
      return cells[1].version == version + 1 and cells[7].version == version + 7
    end,
    close = function() end, -- an array lets go when it is collected
  },
  {
    open = function(a, name) return a:counter(name) end,
    fill = function(c, version) c:add(version) end,
    is = function(c, version) return c:get() == version end,
    close = function(c) c:close() end,
  },
}
local SHARED <const> = {
  {
    open = function(a, name) return a:queue(name, {capacity = 500}) end,
    use = function(q)
      q:push("x", 0)
      q:pop(0)
    end,
  },
  {
    open = function(a, name) return a:topic(name, {capacity = 500, overflow = "drop"}) end,
    use = function(t) t:publish("x", 0) end,
  },
  {
    open = function(a, name) return a:map(name) end,
    use = function(m)
      assert(m:set(math.random(20), ("v"):rep(math.random(500))))
      assert(m:incr("sum", 1, 0))
    end,
  },
  {
    open = function(a, name) return a:mutex(name) end,
    use = function(m)
      if m:lock(0) then
        m:unlock()
      end
    end,
  },
  {
    open = function(a, name) return a:bytes(name, 10000) end,
    use = function(r) r:add(8, 1) end,
  },
}

local function name_of(i, slot)
  return ("own %d.%d"):format(i, slot)
end

local function kind_of(slot)
  return KINDS[slot % #KINDS + 1]
end

-- Whether the object of a name is what it was filled with.
local function is_whole(arena, i, slot, version)
  local kind = kind_of(slot)
  local object, made = kind.open(arena, name_of(i, slot))
  local whole = assert(object, made) and not made and kind.is(object, version)
  kind.close(object)
  return whole
end

local function id_at(arena, offset)
  local view <close> = arena:view(offset)
  return view and view:get_i64(0)
end

local function deeds(self, i, journal)
  local arena, own, blocks = self.arena, {}, {}
  local version = self.version[i]
  for slot, it in pairs(self.own[i]) do
    own[slot] = {version = it.version, filled = it.filled}
  end
  for offset, id in pairs(self.blocks[i]) do
    blocks[#blocks + 1] = {offset, id}
  end
  local D = {}

  function D.make()
    local slot = math.random(OWN)
    local kind = kind_of(slot)
    if own[slot] then
      assert(not own[slot].filled or is_whole(arena, i, slot, own[slot].version), "it has changed")
      journal:note("dropping", slot)
      assert(arena:drop(name_of(i, slot)))
      journal:note "dropped"
      own[slot] = nil
      return
    end
    version = version + 100
    journal:note("making", slot, version)
    local object, made = kind.open(arena, name_of(i, slot))
    assert(object and made, made)
    journal:note "made"
    kind.fill(object, version)
    journal:note "filled"
    own[slot] = {version = version, filled = true}
    kind.close(object)
  end

  function D.share()
    local k = math.random(#SHARED)
    journal:note("opening", k)
    local object, made = SHARED[k].open(arena, "shared" .. k)
    assert(object, made)
    journal:note("opened", made and 1 or 0)
    SHARED[k].use(object)
    local drops = math.random(3) == 1
    if drops then
      journal:note("undoing", k)
      local ok, message, errno = arena:drop("shared" .. k)
      assert(ok or errno == ENOENT, message)
      journal:note("undone", ok and 1 or 0)
    end
    SHARED[k].use(object) -- as it lives on for who has it
    object:close()
  end

  function D.keep()
    if #blocks == BLOCKS then
      return D.free()
    end
    local block, message, errno = arena:allocate(8 + math.random(3) ^ 6 // 1 | 0)
    if not block then
      return assert(errno == ENOSPC, message)
    end
    version = version + 100
    local offset = block:offset()
    local view <close> = assert(arena:view(offset))
    assert(view:read(0, 8) == ("\0"):rep(8), "a block is not empty")
    view:set_i64(0, version)
    if math.random(4) == 1 then
      return block:close()
    end
    journal:note("keeping", offset, version)
    assert(block:keep() == offset)
    journal:note "kept"
    blocks[#blocks + 1] = {offset, version}
  end

  function D.free()
    local one = #blocks > 0 and table.remove(blocks, math.random(#blocks))
    if one then
      assert(id_at(arena, one[1]) == one[2], "a block has changed")
      journal:note("freeing", one[1])
      assert(arena:free(one[1]))
      journal:note "freed"
    end
  end
  return D
end

-- What goes on when a worker is killed is done, or not: of its own names that can be seen.
local function settle(self, i)
  local own, blocks, on = self.own[i], self.blocks[i], {}
  for _, entry in ipairs(self.journals[i]:take()) do
    local word, a, b = table.unpack(entry)
    local what = self.words[word]
    if what then
      on = {word = word, a = a, b = b}
      self.version[i] = math.max(self.version[i], word == "freeing" and 0 or b)
    elseif word == "made" then
      own[on.a] = {version = on.b, filled = false}
      on = {slot = on.a}
    elseif word == "filled" then
      own[on.slot].filled = true
    elseif word == "dropped" then
      own[on.a], on = nil, {}
    elseif word == "opened" or word == "undone" then
      local of = self.shared[on.a]
      of.sure = of.sure + (word == "opened" and a or -a)
      on = {}
    elseif word == "kept" then
      blocks[on.a], on = on.b, {}
    elseif word == "freed" then
      blocks[on.a], on = nil, {}
    end
  end
  local names = assert(self.arena:names())
  if on.word == "making" or on.word == "dropping" then
    local is_there = names[name_of(i, on.a)] ~= nil
    own[on.a] = is_there and (own[on.a] or {version = on.b, filled = false}) or nil
  elseif on.word == "opening" then
    self.shared[on.a].most = self.shared[on.a].most + 1
  elseif on.word == "undoing" then
    self.shared[on.a].least = self.shared[on.a].least - 1
  elseif on.word == "keeping" then
    table.insert(self.unsure, {i, on.a, on.b})
  elseif on.word == "freeing" then
    table.insert(self.unsure, {i, on.a, blocks[on.a]})
    blocks[on.a] = nil
  end
  for slot = 1, OWN do
    assert((own[slot] ~= nil) == (names[name_of(i, slot)] ~= nil), "a name is lost, or back again")
  end
end

local function check(self)
  assert(self.arena:attached()) -- which gives back what was the dead ones'
  for _, it in ipairs(self.unsure) do
    local i, offset, id = table.unpack(it)
    if id_at(self.arena, offset) == id then
      self.blocks[i][offset] = id
    end
  end
  self.unsure = {}
  local owner = {}
  for i, blocks in ipairs(self.blocks) do
    for offset, id in pairs(blocks) do
      assert(not owner[offset] and id_at(self.arena, offset) == id, "a kept block is another's")
      owner[offset] = i
    end
    for slot, it in pairs(self.own[i]) do
      assert(not it.filled or is_whole(self.arena, i, slot, it.version), "an object has changed")
    end
  end
  local names = assert(self.arena:names())
  for k, it in ipairs(self.shared) do
    local is_there = names["shared" .. k] and 1 or 0
    assert(it.sure + it.least <= is_there and is_there <= it.sure + it.most,
           ("shared%d: %d%+d to %+d, and there is %d"):format(k, it.sure, it.least, it.most,
                                                              is_there))
    it.sure, it.least, it.most = is_there, 0, 0
  end
end

--- Names and blocks, of so many workers. `work(i)` gives what a worker does, in its process.
function M.new(arena, n)
  local self = {arena = arena, journals = {}, own = {}, blocks = {}, version = {}, unsure = {},
                shared = {}, settle = settle, check = check,
                words = {making = true, dropping = true, opening = true, undoing = true,
                         keeping = true, freeing = true}}
  for i = 1, n do
    self.journals[i] = workers.journal(ENTRIES)
    self.own[i], self.blocks[i], self.version[i] = {}, {}, i
  end
  for k = 1, #SHARED do
    self.shared[k] = {sure = 0, least = 0, most = 0}
  end
  function self.work(i)
    local D = deeds(self, i, self.journals[i])
    local list = {D.make, D.make, D.share, D.share, D.keep, D.keep, D.free}
    return function() list[math.random(#list)]() end
  end
  function self.close()
    for name in pairs(assert(arena:names())) do
      if name:match "^own" or name:match "^shared" then
        assert(arena:drop(name))
      end
    end
    for i, blocks in ipairs(self.blocks) do
      for offset in pairs(blocks) do
        assert(arena:free(offset))
      end
      self.journals[i]:close()
    end
  end
  return self
end

return M
