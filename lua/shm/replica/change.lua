--- What one change consists of: keys that get values, and keys that go.
-- @module shm.replica.change
local copies = require "shm.replica.copy"
local value = require "shm.value"

local M = {}

local MARK = copies.MARK
local KEY_MOST <const> = (1 << 20) - 1

--- A key as maps have it.
-- @string action the function that it is an argument of
-- @int level whose error it is, as for error
function M.key(key, action, level)
  local kind = math.type(key) or type(key)
  if kind == "float" then
    key = math.tointeger(key)
    kind = key and "integer" or kind
  end
  if kind == "string" and (#key > KEY_MOST or key == MARK) then
    error(("replica.%s: key: %s"):format(action, key == MARK and "it is the replica's own"
          or "it is too long"), level + 1)
  elseif kind ~= "string" and kind ~= "integer" and kind ~= "boolean" then
    error(("replica.%s: key: string, integer or boolean expected, got %s"):format(action, kind),
          level + 1)
  end
  return key
end

--- The bytes of a change.
-- @tparam table list {n, key 1, value 1, … key n, value n, deleted keys …}
function M.encode(list, action, level)
  local ok, bytes, message, errno = pcall(value.encode, list)
  if not ok then
    local why = bytes:match "%((.*)%)$" or bytes
    error(("replica.%s: %s"):format(action, why:gsub("^value%[%d+%]", "value")), level + 1)
  end
  return bytes, message, errno
end

-- What a transaction's function sees: the map, and its own changes.
local View = {}
View.__index = View

local function put(self, key, new)
  local at = self.at[key]
  if not at then
    at = #self.keys + 1
    self.at[key], self.keys[at] = at, key
  end
  self.values[at], self.deleted[at] = new, new == nil
end

function View:get(key)
  key = M.key(key, "transaction", 2)
  local at = self.at[key]
  if at then
    return self.values[at]
  end
  local found, message, errno = self.map:get(key)
  if errno then
    error(message, 2)
  end
  return found
end

function View:set(key, new)
  put(self, M.key(key, "transaction", 2), new)
end

function View:delete(key)
  put(self, M.key(key, "transaction", 2), nil)
end

function View:incr(key, n, init)
  if not (n == nil or type(n) == "number") or not (init == nil or type(init) == "number") then
    error("replica.transaction: incr: n, init: numbers expected", 2)
  end
  local sum = self:get(key)
  if sum == nil then
    sum = init or error(("there is no key %s to add to"):format(tostring(key)), 2)
  elseif type(sum) ~= "number" then
    error(("replica.transaction: incr: the key's value is a %s"):format(type(sum)), 2)
  end
  sum = sum + (n or 1)
  self:set(key, sum)
  return sum
end

--- A view of a map, which collects changes of it.
function M.view(map)
  return setmetatable({map = map, at = {}, keys = {}, values = {}, deleted = {}}, View)
end

--- What a view has collected, as the list that encode takes; nil for nothing.
function M.list(view)
  local list, n = {0}, 0
  for at, key in ipairs(view.keys) do
    if not view.deleted[at] then
      n = n + 1
      list[2 * n], list[2 * n + 1] = key, view.values[at]
    end
  end
  list[1] = n
  for at, key in ipairs(view.keys) do
    if view.deleted[at] then
      list[#list + 1] = key
    end
  end
  return #list > 1 and list or nil
end

return M
