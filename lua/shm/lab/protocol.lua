--- A protocol as it is written down, read and checked: which words and objects it shares, who
-- takes part, and what must never, always and in the end be so. Both worlds, that of the model
-- and the real one, are built from what this gives.
-- @module shm.lab.protocol
local kinds = require "shm.lab.kinds"
local options = require "shm.options"

local M = {}

local Protocol = {__name = "shm.lab.protocol"}
Protocol.__index = Protocol

local FIELDS = {
  name = {type = "string", default = "protocol"},
  words = {type = "table", default = {}},
  roles = {type = "table"},
  restart = {any = true},
  observe = {type = "table", default = {}},
  never = {type = "table", default = {}},
  always = {type = "table", default = {}},
  finally = {type = "table", default = {}},
}
for field in pairs(kinds.fields) do
  FIELDS[field] = {type = "table", default = {}}
end
local ROLE = {
  name = {type = "string"},
  run = {type = "function"},
  restart = {any = true},
  background = {type = "boolean", default = false},
  spared = {type = "boolean", default = false},
}
local WHERE <const> = "lab.protocol"

local function misuse(what, ...)
  error(WHERE .. ": " .. what:format(...), 0)
end

local function sorted_keys(list, what)
  local keys = {}
  for key in pairs(list) do
    if type(key) == "string" then
      keys[#keys + 1] = key
    elseif math.type(key) ~= "integer" or key < 1 or key > #list then
      misuse("%s: names expected, got %s", what, tostring(key))
    end
  end
  table.sort(keys)
  return keys
end

-- A list of names, and of name = value: calls add(name, value) for each, in one order for ever.
local function each_named(list, what, add)
  for _, name in ipairs(list) do
    if type(name) ~= "string" then
      misuse("%s: name expected, got %s", what, type(name))
    end
    add(name, nil)
  end
  for _, name in ipairs(sorted_keys(list, what)) do
    add(name, list[name])
  end
end

local function read_words(self, list)
  each_named(list, "words", function(name, value)
    if value ~= nil and math.type(value) ~= "integer" then
      misuse("words: %s: integer expected, got %s", name, type(value))
    end
    self:claim(name)
    self.words[#self.words + 1] = name
    self.initial[name] = value or 0
  end)
end

local function read_objects(self, given)
  for _, kind in ipairs(kinds.list) do
    if kind.field then
      each_named(given[kind.field], kind.field, function(name, value)
        self:claim(name)
        local ok, problem = pcall(kind.new, value, self)
        if not ok then
          misuse("%s: %s: %s", kind.field, name, tostring(problem):gsub("^[^:]+:%d+: ", ""))
        end
        self:add(name, kind, value)
      end)
    else -- one of its sort is always there
      self:add(kind.name, kind)
    end
  end
end

local function read_restart(value, what)
  if value ~= nil and type(value) ~= "boolean" and type(value) ~= "function" then
    misuse("%s: true or a function expected, got %s", what, type(value))
  end
  return value or nil
end

local function read_roles(self, given)
  local restart = read_restart(given.restart, "restart")
  local function add(name, value)
    local role = value
    if type(role) == "function" then
      role = {run = role}
    elseif type(role) ~= "table" then
      misuse("roles: %s: function or table expected, got %s", name, type(role))
    end
    role = options.read(role, ROLE, WHERE .. ": role " .. name)
    if not role.run then
      misuse("roles: %s: run: function expected, got nil", name)
    end
    role.name = role.name or name
    role.restart = read_restart(role.restart, "role " .. name .. ": restart")
    if role.restart == nil then
      role.restart = restart
    end
    if role.restart == true then
      role.restart = role.run
    end
    if self.role_of[role.name] then
      misuse("roles: '%s' is there twice", role.name)
    end
    self.roles[#self.roles + 1] = role
    role.index = #self.roles
    self.role_of[role.name] = role.index
  end
  for i, value in ipairs(given.roles) do
    add(tostring(i), value)
  end
  for _, name in ipairs(sorted_keys(given.roles, "roles")) do
    add(name, given.roles[name])
  end
  if #self.roles == 0 then
    misuse("roles: at least one expected")
  elseif #self.roles > M.MOST_ROLES then
    misuse("roles: %d at most, got %d", M.MOST_ROLES, #self.roles)
  end
end

local function read_rules(given, what)
  local rules = {}
  if #given > 0 then -- whose breach nobody could name
    misuse("%s: names expected, got 1", what)
  end
  for _, name in ipairs(sorted_keys(given, what)) do
    if type(given[name]) ~= "function" then
      misuse("%s: %s: function expected, got %s", what, name, type(given[name]))
    end
    rules[#rules + 1] = {kind = what, name = name, f = given[name]}
  end
  return rules
end

--- How many roles a protocol has at most; those that are forked count.
M.MOST_ROLES = 16

-- A name belongs to one thing; what the world itself has is taken.
function Protocol:claim(name)
  if not name:match "^[%a_][%w_]*$" then
    misuse("'%s' is no name: letters, digits and _ expected", name)
  elseif self.taken[name] then
    misuse("the name '%s' is taken", name)
  end
  self.taken[name] = true
end

function Protocol:add(name, kind, given)
  local object = {name = name, kind = kind, given = given}
  self.objects[#self.objects + 1] = object
  self.object_of[name] = object
end

--- What an execution has come to, as one string: what its roles observed, and the words at its
-- end that the protocol asks for.
-- @tparam {[string]=any,...} observed
-- @tparam function word what a word is, by its name
-- @treturn string such as `r1=0 r2=1`
function Protocol:outcome(observed, word)
  local values, list = {}, {}
  for name, value in pairs(observed) do
    values[name] = value
  end
  for _, name in ipairs(self.observe) do
    values[name] = word(name)
  end
  for name in pairs(values) do
    list[#list + 1] = name
  end
  table.sort(list)
  for i, name in ipairs(list) do
    list[i] = name .. "=" .. tostring(values[name])
  end
  return table.concat(list, " ")
end

function Protocol:__tostring()
  return ("shm.lab.protocol (%s: %d roles)"):format(self.name, #self.roles)
end

--- Reads a protocol.
-- @tparam table given see shm.lab.protocol
-- @tparam table taken the names that are the world's own, by name
-- @treturn shm.lab.protocol words (names), initial (value by name), objects (name, kind, given),
-- object_of, roles (name, index, run, restart, background, spared), role_of (index by name), and
-- the rules never, always, finally (kind, name, f)
-- @raise what does not make sense; the message names no place, as whoever calls this knows it
function M.read(given, taken)
  if type(given) ~= "table" then
    error(("%s: table expected, got %s"):format(WHERE, type(given)), 0)
  end
  local read = options.read(given, FIELDS, WHERE)
  local self = setmetatable({name = read.name, words = {}, initial = {}, objects = {},
                             object_of = {}, roles = {}, role_of = {}, taken = {}}, Protocol)
  for name in pairs(taken) do
    self.taken[name] = true
  end
  if not read.roles then
    misuse("roles: table expected, got nil")
  end
  read_words(self, read.words)
  read_roles(self, read)
  read_objects(self, read)
  for _, name in ipairs(sorted_keys(read.observe, "observe")) do
    misuse("observe: a list of words expected, got '%s'", name)
  end
  for _, name in ipairs(read.observe) do
    if self.initial[name] == nil then
      misuse("observe: '%s' is no word", tostring(name))
    end
  end
  self.observe = read.observe
  self.never = read_rules(read.never, "never")
  self.always = read_rules(read.always, "always")
  self.finally = read_rules(read.finally, "finally")
  self.taken = nil
  return self
end

--- Whether it is one.
function M.is(value)
  return getmetatable(value) == Protocol
end

return M
