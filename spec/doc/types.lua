-- What lua/shm/types.d.lua and types/*.d.lua declare, in their order.
local files = require "spec.doc.files"

local M = {}

-- The parameters of a function with the types and words that stand above it.
local function parameters(list, notes)
  local names = {}
  for name in list:gmatch "[%w_.]+" do
    names[#names + 1] = {name = name, type = "any", words = ""}
    for _, note in ipairs(notes) do
      local noted, optional, rest = note:match "^@param ([%w_]+)(%??) (.*)$"
      if noted == name then
        local kind, words = M.split_type(rest)
        names[#names] = {name = name, type = kind, words = words, optional = optional == "?"}
      end
    end
  end
  return names
end

--- Splits "fun(a: b): c words" behind the type: up to a space that no bracket is around, and that
-- no comma or colon stands before.
function M.split_type(text)
  local depth, at = 0, 1
  while at <= #text do
    local c = text:sub(at, at)
    if c:find "[(<{%[]" then
      depth = depth + 1
    elseif c:find "[)>}%]]" then
      depth = depth - 1
    elseif c == " " and depth == 0 and not text:sub(at - 1, at - 1):find "[,:]" then
      break
    end
    at = at + 1
  end
  return text:sub(1, at - 1), text:sub(at + 1)
end

local function read(path, classes)
  local variables, class, notes = {}, nil, {}
  for line in io.lines(path) do
    local note = line:match "^%-%-%-(.*)$"
    local name, parent = line:match "^%-%-%-@class ([%w_.]+):?%s*([%w_.]*)"
    local owner, separator, method, list = line:match "^function ([%w_]+)([.:])([%w_]+)%((.-)%)"
    if name then
      assert(not classes[name], name)
      class = {name = name, path = path, parent = parent ~= "" and parent or nil, functions = {},
               fields = {}, notes = notes}
      classes[name], notes = class, {}
      classes[#classes + 1] = class
    elseif note and note:find "^@field" then
      local field, optional, rest = note:match "^@field ([%w_]+)(%??) (.*)$"
      local kind, words = M.split_type(rest)
      class.fields[#class.fields + 1] = {name = field, type = kind, words = words,
                                         optional = optional == "?"}
    elseif note then
      notes[#notes + 1] = note
    elseif owner then
      local one = assert(variables[owner], line)
      one.functions[#one.functions + 1] = {name = method, separator = separator, notes = notes,
                                           parameters = parameters(list, notes)}
      notes = {}
    else
      local variable = line:match "^local ([%w_]+) = {}"
      if variable then
        variables[variable] = class
      end
      notes = {}
    end
  end
end

--- All classes, as a list and by name.
function M.read()
  local classes = {}
  for _, path in ipairs(files.list "lua/shm/types.d.lua lua/shm/types/*.d.lua") do
    read(path, classes)
  end
  return classes
end

return M
