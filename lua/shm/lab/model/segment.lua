--- Shared memory with a name, and words in it, as shm_open(3), ftruncate(2), mmap(2) and
-- shm_unlink(3) have it.
--
--   segments = {seg = {"flag", "data"}}       there is none of that name at first
--   w.seg:create()     nil, message, EEXIST where the name is there; no bytes yet
--   w.seg:open()       nil, message, ENOENT where it is not
--   w.seg:truncate()   gives what this role has created or opened its size
--   w.seg:size()       bytes: 0 before that
--   w.seg:unlink()     the name goes, and the memory stays for who has it
--   local at = w.seg:attach()    at.flag, at.flag = 1: before it has its size, SIGBUS
--
-- Each creation makes new memory. Its words are shared words as any, under tso behind store
-- buffers, too: they are named "seg.flag", and "seg#2.flag" where that is the second of the name.
-- That a word has no memory yet is false in its place. A child has its parent's descriptors and
-- views; the dead have none. A name that is there at the end is left behind.
-- @module shm.lab.model.segment
local copy = require "shm.lab.model.copy"

local M = {name = "segment", field = "segments"}

local ENOENT <const>, EEXIST <const> = 2, 17
local MOST_ROLES <const> = 16
local BYTES <const> = 8 -- of a word

local function check_word(word, seen)
  if type(word) ~= "string" or not word:match "^[%a_][%w_]*$" then
    error(("name of a word expected, got %s"):format(tostring(word)), 0)
  elseif seen[word] then
    error(("the word '%s' is there twice"):format(word), 0)
  end
  seen[word] = true
end

function M.new(given)
  if type(given) ~= "table" or #given == 0 then
    error("a list of words expected", 0)
  end
  local seen = {}
  for _, word in ipairs(given) do
    check_word(word, seen)
  end
  return {words = given, made = 0, linked = nil, sized = {}, open = {}}
end

-- The memory of one creation, as a part of names.
local function memory_of(name, serial)
  return serial == 1 and name or ("%s#%d"):format(name, serial)
end

local function word_of(name, serial, word)
  return memory_of(name, serial) .. "." .. word
end

-- A role writes into its buffer only, but has to know that there is memory.
local function sized_key(memory, index)
  return ("%s sized for %d"):format(memory, index)
end

local function store_keys(m, me, name)
  if not m.tso then
    return m:key(name)
  end
  local keys = me.own_keys["store " .. name]
  if not keys then
    keys = {sized_key(name:match "^[^.]+", me.index)}
    me.own_keys["store " .. name] = keys
  end
  return keys
end

local function truncate_keys(m, me, name)
  local state = m.state[name]
  local serial = state.open[me.index]
  if not serial then
    return m:key(name)
  end
  local memory = memory_of(name, serial)
  local keys = m.keys[memory .. " truncated"]
  if not keys then
    keys = {name}
    for _, word in ipairs(state.words) do
      keys[#keys + 1] = word_of(name, serial, word)
    end
    for index = 1, MOST_ROLES do
      keys[#keys + 1] = sized_key(memory, index)
    end
    m.keys[memory .. " truncated"] = keys
  end
  return keys
end

local function not_open() return nil, "it has to create or open it first", nil, true end

local function refuse(what, name, errno)
  return nil, ("posix.%s '%s': %s"):format(what, name, errno == ENOENT and
               "No such file or directory" or "File exists"), errno
end

local function size(m, me, name)
  local state = m.state[name]
  local serial = state.open[me.index]
  if not serial then
    return not_open()
  end
  return state.sized[serial] and BYTES * #state.words or 0
end

M.operations = {
  create = {name = "create", act = function(m, me, name)
    local state = m.state[name]
    if state.linked then
      return refuse("shm_open", name, EEXIST)
    end
    state.made = state.made + 1
    state.linked, state.open[me.index] = state.made, state.made
    for _, word in ipairs(state.words) do
      m.memory[word_of(name, state.made, word)] = false
    end
    return true
  end, poll = function(m, _, name) return m.state[name].linked or false end},
  open = {name = "open", act = function(m, me, name)
    local state = m.state[name]
    if not state.linked then
      return refuse("shm_open", name, ENOENT)
    end
    state.open[me.index] = state.linked
    return true
  end, poll = function(m, _, name) return not m.state[name].linked and "absent" end},
  truncate = {name = "truncate", touches = truncate_keys, act = function(m, me, name)
    local state = m.state[name]
    local serial = state.open[me.index]
    if not serial then
      return not_open()
    elseif not state.sized[serial] then
      state.sized[serial] = true
      for _, word in ipairs(state.words) do
        m.memory[word_of(name, serial, word)] = 0
      end
    end
    return true
  end},
  size = {name = "size", looks = true, act = size, poll = size},
  attach = {name = "attach", touches = function() return {} end, act = function(m, me, name)
    local serial = m.state[name].open[me.index]
    if not serial then
      return not_open()
    end
    return serial
  end, text = function(step)
    return ("%s:attach()"):format(memory_of(step.object, step.results[1] or 1))
  end},
  unlink = {name = "unlink", act = function(m, _, name)
    local state = m.state[name]
    if not state.linked then
      return refuse("shm_unlink", name, ENOENT)
    end
    state.linked = nil
    return true
  end},
  store = {name = "write", plain = true, touches = store_keys, act = function(m, me, name, value)
    if m:view(me, name) == false then
      return false
    end
    m:store(me, name, value)
  end, text = function(step)
    return ("%s = %d%s"):format(step.object, step.args[1],
                                step.results[1] == false and ": SIGBUS" or "")
  end},
}

local function answer(value, problem, errno, misuse)
  if misuse then
    error("segment: " .. problem, 2) -- this is a tail call
  end
  return value, problem, errno
end

local function sigbus(name)
  error(("SIGBUS: %s is touched before its segment has a size"):format(name), 3)
end

-- What a role has of one memory: its words as fields.
local function view_of(name, words, serial, act, read)
  local names = {}
  for _, word in ipairs(words) do
    names[word] = word_of(name, serial, word)
  end
  local function full_name(word)
    return names[word] or error(("segment '%s' has no word '%s'"):format(name, tostring(word)), 3)
  end
  return copy.share(setmetatable({}, {
    __index = function(_, word)
      local full = full_name(word)
      local value = read(full)
      if value == false then
        sigbus(full)
      end
      return value
    end,
    __newindex = function(_, word, value)
      local full = full_name(word)
      if math.type(value) ~= "integer" then
        error(("%s: a word holds an integer, got %s"):format(full, type(value)), 2)
      elseif act(M.operations.store, full, value) == false then
        sigbus(full)
      end
    end,
  }))
end

M.methods = {}
for _, method in ipairs {"create", "open", "truncate", "size", "unlink"} do
  M.methods[method] = function(act, name)
    return answer(act(M.operations[method], name))
  end
end

function M.view(handle, act, read, object)
  local name, words = object.name, object.given
  function handle.attach()
    local serial, problem = act(M.operations.attach, name)
    if not serial then
      error("segment: " .. problem, 2)
    end
    return view_of(name, words, serial, act, read)
  end
end

--- What rules see: whether the name is there, as `linked`, and whether it has its size, `sized`.
function M.show(state)
  return {linked = state.linked ~= nil, sized = state.sized[state.linked] or false}
end

function M.spares() return true end

function M.die(state, _, me)
  state.open[me.index] = nil
  return false
end

function M.inherit(state, _, parent, child)
  state.open[child.index] = state.open[parent.index]
end

function M.left(state)
  return state.linked and "its name is there" or nil
end

return M
