--- The world of a role in the model, each of whose calls is compared with what the role did on
-- real processes.
-- @module shm.lab.run.calls
local copy = require "shm.lab.model.copy"
local tap = require "shm.lab.run.tap"

local M = {}

-- Calls whose results are not compared: a clock goes on by itself, and who unlocks learns nothing.
local UNTOLD <const> = {now = true, unlock = true}

local function same(a, b)
  if type(a) == "table" and type(b) == "table" then
    for key, value in pairs(a) do
      if not same(value, b[key]) then
        return false
      end
    end
    for key in pairs(b) do
      if a[key] == nil then
        return false
      end
    end
    return true
  end
  return a == b or a ~= a and b ~= b
end

local function same_list(a, b)
  for i = 1, math.max(a.n, b.n) do
    if not same(a[i], b[i]) then
      return false
    end
  end
  return true
end

-- Whether two calls ended alike: where the world said no, the message is not compared.
local function ended_alike(a, b)
  if a.threw or b.threw then
    return a.threw == b.threw
  elseif a[1] == nil and b[1] == nil and math.type(a[3]) and math.type(b[3]) then
    return a[3] == b[3]
  end
  return same_list(a, b)
end

local function show(list)
  local words = {}
  for i = 1, list.n do
    words[i] = type(list[i]) == "string" and ("%q"):format(list[i]) or tostring(list[i])
  end
  return list.threw and "an error" or #words == 0 and "nothing" or table.concat(words, ", ")
end

-- The next call of a role in the trace, which has to be this one; nil where it is to be made no
-- more.
local function expected(search, name, action, object, args)
  local state = search:script(name)
  local entry = state.list[state.next]
  local what = (object and object .. ":" or "") .. action
  if not entry then
    if not search.lenient then
      search:reject(name, "in the model it goes on, with " .. what)
    end
    return nil
  elseif entry.action == "crash" then
    return nil
  elseif entry.action ~= action or entry.object ~= object then
    search:reject(name, "in the model it does " .. what)
  elseif not entry.args.lost and not same_list(entry.args, args) then
    search:reject(name, ("in the model it does %s with %s"):format(what, show(args)))
  end
  return entry, state
end

-- A call has ended. Where nobody moved any more, who was in one has not come out of it.
local function move_on(search, state, entry)
  if not entry.finish and search.stuck and not state.list[state.next + 1] then
    search:reject(state.name, "in the model it goes on")
  end
  state.times = state.times + 1
  if state.times >= (entry.times or 1) then
    state.next, state.times = state.next + 1, 0
  end
end

-- What compares the calls of one role.
local function comparer(search, name)
  return function(action, object, args, f, ...)
    local entry, state = expected(search, name, action, object, args)
    local function finish(ok, ...)
      if search.rejected then
        error("rejected", 0)
      end
      if entry then
        local results = ok and tap.pack(...) or {n = 0, threw = true}
        if entry.finish and not entry.results.lost and
           not UNTOLD[action] and not ended_alike(results, entry.results) then
          search:reject(name, "in the model it gives " .. show(results))
        end
        move_on(search, state, entry)
      end
      if not ok then
        error(..., 0)
      end
      return ...
    end
    return finish(pcall(f, ...))
  end
end

-- The functions that words and sections have: what is written down of them.
local function word_calls(search, w, call, name)
  local tapped, awaiting, reads = {}, false, nil

  local function read(word)
    if awaiting then
      local value = w.read(word)
      reads[#reads + 1] = {object = word, value = value}
      return value
    end
    return call("read", word, {n = 0}, w.read, word)
  end

  local function write(word, value)
    return call("write", word, {n = 1, value}, w.write, word, value)
  end

  tapped.read, tapped.write = read, write
  function tapped.reader(word) return function() return read(word) end end
  function tapped.writer(word) return function(value) return write(word, value) end end
  function tapped.fence() return call("fence", nil, {n = 0}, w.fence) end
  for _, action in ipairs {"cas", "add", "swap", "wait", "wake"} do
    tapped[action] = function(word, ...)
      return call(action, word, tap.pack(...), w[action], word, ...)
    end
  end
  for _, action in ipairs {"enter", "leave"} do
    tapped[action] = function(section)
      return call(action, section, {n = 0}, w[action], section)
    end
  end
  function tapped.observe(what, value)
    return call("observe", what, tap.pack(value), w.observe, what, value)
  end
  function tapped.note(text)
    return call("note", nil, {n = 1, tostring(text)}, w.note, text)
  end
  function tapped.choose(n) return call("choose", nil, {n = 1, n}, w.choose, n) end

  function tapped.await(condition)
    local entry, state = expected(search, name, "await", nil, {n = 0})
    awaiting = true
    w.await(function()
      reads = {}
      return condition()
    end)
    awaiting = false
    if search.rejected then
      error("rejected", 0)
    elseif entry then
      if entry.finish and not same(reads, entry.reads) then
        search:reject(name, "in the model it has read something else")
      end
      move_on(search, state, entry)
    end
    return true
  end
  return tapped
end

local function world_of(search, w)
  local name = w.name
  local call = comparer(search, name)
  local tapped = word_calls(search, w, call, name)
  tapped.role, tapped.name = w.role, name
  for key, value in next, w do
    if tapped[key] == nil then
      if key == "fork" then
        local fork = tap.func(call, nil, "fork", function(f, ...)
          return value(M.tapped(search, f), ...)
        end)
        tapped.fork = fork
      elseif type(value) == "function" then
        tapped[key] = tap.func(call, nil, key, value)
      elseif type(value) == "table" then
        tapped[key] = tap.handle(call, key, value)
      end
    end
  end
  return setmetatable(tapped, {
    __index = function(_, word) return tapped.read(word) end,
    __newindex = function(_, word, value) tapped.write(word, value) end,
  })
end

--- A role's function whose calls are compared.
-- @tparam table search script(name) and reject(name, why); rejected, lenient
-- @tparam function f
-- @treturn function
function M.tapped(search, f)
  copy.share(search) -- a child's function is copied with all that it can reach, but for this
  return function(w) return f(world_of(search, w)) end
end

return M
