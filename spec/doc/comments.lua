-- The comments above functions: /*** … @function … */ in src/bind/*.c, and --- in Lua.
local files = require "spec.doc.files"

local M = {}

-- Whose methods the parts of a room have, where that is no class of the part's own name.
local PARTS <const> = {
  ["lua/shm/arena/map.lua"] = "shm.map", ["lua/shm/durable/state.lua"] = "shm.durable",
  ["lua/shm/peer/link.lua"] = "shm.peer", ["lua/shm/replica/node.lua"] = "shm.replica",
  ["lua/shm/replica/reading.lua"] = "shm.replica",
  ["lua/shm/replica/stepping.lua"] = "shm.replica",
  ["lua/shm/replica/writing.lua"] = "shm.replica",
}

-- The text before the first tag, and the tags with what belongs to each.
local function parse(lines)
  local comment, tag = {text = {}, tags = {}}, nil
  for _, line in ipairs(lines) do
    local name, rest = line:match "^@([%w_]+%[?[^%s%]]*%]?)%s*(.*)$"
    if name then
      tag = {name = name:match "^%a+", modifier = name:match "%[(.*)%]", text = rest}
      comment.tags[#comment.tags + 1] = tag
    elseif tag then
      tag.text = tag.text .. "\n" .. line
    else
      comment.text[#comment.text + 1] = line
    end
  end
  comment.text = table.concat(comment.text, "\n")
  return comment
end

--- The first tag of a name, or nil.
function M.tag(comment, name)
  for _, tag in ipairs(comment.tags) do
    if tag.name == name then
      return tag.text
    end
  end
end

local TYPED <const> = {int = "integer", number = "number", string = "string", bool = "boolean",
                       func = "function", tab = "table"}

--- The parameters: lists of name, type, words, optional and default.
function M.parameters(comment)
  local found = {}
  for _, tag in ipairs(comment.tags) do
    local kind, rest = TYPED[tag.name], tag.text
    if tag.name == "tparam" then
      kind, rest = rest:match "^(%S+)%s+(.*)$"
    elseif tag.name == "param" then
      kind = "any"
    end
    if kind and (tag.name ~= "string" or rest ~= "") then
      local name, words = rest:match "^(%S+)%s*(.*)$"
      found[#found + 1] = {name = name, type = kind, words = words,
                           optional = tag.modifier ~= nil and tag.modifier:find "^opt" ~= nil,
                           default = tag.modifier and tag.modifier:match "^opt=(.*)"}
    end
  end
  return found
end

local function keep(found, name, comment, path)
  comment.path = path
  found[name] = comment
end

local function read_c(path, found)
  for text in files.read(path):gmatch "/%*%*%*\n(.-)%*/" do
    local lines = {}
    for line in text:gmatch "([^\n]*)\n" do
      lines[#lines + 1] = line
    end
    local comment = parse(lines)
    local name = M.tag(comment, "function")
    if name then
      assert(not found[name], name .. " has two comments")
      keep(found, name, comment, path)
    end
  end
end

-- M.name is a function of the module's, X:name a method of the class's.
local function name_in_lua(line, owner, separators)
  local separator, name = line:match "^function [%w_]+([.:])([%w_]+)%("
  if not name then
    separator, name = ".", line:match "^M%.([%w_]+) ="
  end
  if not name then
    separator, name = ":", line:match "^%u%l+%.([%w_]+) = %u%l+%."
  end
  return name and separators:find(separator, 1, true) and owner .. separator .. name
end

-- The file's own comment is under the path. What C documents is C's.
local function read_lua(path, owner, separators, found)
  local lines, first = nil, true
  for line in io.lines(path) do
    local text = line:match "^%-%-%- ?(.*)$"
    if text then
      lines = {text}
    elseif lines and line:find "^%-%-" then
      lines[#lines + 1] = line:match "^%-%- ?(.*)$"
    elseif lines then
      local comment = parse(lines)
      local name = first and path or M.tag(comment, "function")
        or name_in_lua(line, owner, separators)
      if name and not found[name] then
        keep(found, name, comment, path)
      end
      lines, first = nil, false
    end
  end
end

--- The comments by the functions' full names: "shm.queue:push", "shm.posix.mmap". In C they name
-- them; in Lua a room's own file has what its name says, and so has a part that is a class.
function M.read(classes)
  local found = {}
  for _, path in ipairs(files.list "src/bind/*.c") do
    read_c(path, found)
  end
  for _, path in ipairs(files.list "lua/shm/*.lua lua/shm/*/*.lua") do
    local name = path:match "^lua/(.*)%.lua$":gsub("/", ".")
    local part = PARTS[path] or name:find "%..*%." and classes[name] and name
    if path == "lua/shm/lab/draw.lua" then -- a module within a module
      read_lua(path, name, ".", found)
    elseif part then
      read_lua(path, part, ":", found)
    elseif not name:find "%..*%." and name ~= "shm.init" and not name:find "%.d$" then
      read_lua(path, name, ".:", found)
    end
  end
  read_lua("lua/shm/init.lua", "shm", ".", found) -- for what nobody else says more about
  return found
end

return M
