--- A node of a group: it is opened, and closed. What it can do stands in writing, reading and
-- stepping.
-- @module shm.replica.node
local copies = require "shm.replica.copy"
local follow = require "shm.replica.follow"
local groups = require "shm.replica.group"
local handle = require "shm.replica.handle"
local logs = require "shm.replica.log"
local process = require "shm.process"
require "shm.replica.reading"
require "shm.replica.stepping"
require "shm.replica.writing"

local M = {}

local ENOENT <const> = 2
local Node = handle.Node

--- See shm.replica.open.
function M.open(name, given)
  local readonly = given.readonly
  local group, message, errno = groups.open(name, readonly, given.mode)
  if not group then
    return nil, message, errno
  end
  local self = setmetatable({
    name = name, id = given.id, group = group, owner = process.pid(), logs = {},
    patience = given.patience, readonly = readonly, leading = false,
  }, Node)
  local own = ("%s.%s"):format(name, given.id)
  local copy, opened
  -- Its place is free again where it can not be opened, also by an error, as Ctrl-C's.
  local _ <close> = setmetatable({}, {__close = function()
    if self.copy and not opened then
      self:close()
    elseif not opened then
      copies.close(copy or {})
      group:close()
    end
  end})
  if readonly then
    self.place = group:find(given.id)
    message, errno = ("replica.open '%s': there is no node %s"):format(name, given.id), ENOENT
    if self.place then
      local map, arena
      map, arena, errno = copies.look(own)
      message = arena
      if map then
        copy = {name = own, map = map, arena = arena}
        copy.log, message, errno = logs.attach(own .. ".log")
      end
    end
  else
    self.place, message, errno = group:claim(given.id)
    if self.place then
      copy, message, errno = copies.open(own, given)
    end
  end
  if not copy or not copy.log then
    return nil, message, errno
  end
  self.copy = copy
  if not readonly then
    group:logged()
    local n, why, code = follow.advance(self)
    while n and not self.leader do
      n, why, code = follow.advance(self)
    end
    if not n then
      return nil, why, code
    end
  end
  opened = true
  return self
end

--- Lets go of the node. If it is the primary another node takes over at once.
-- @function shm.replica:close
-- @treturn boolean true
function Node:close()
  if getmetatable(self) ~= Node then
    error("replica.close: shm.replica expected, got " .. type(self), 2)
  end
  if self.copy then
    local copy, leading = self.copy, self.leading and self.owner == process.pid()
    self.copy, self.leading = nil, false
    self.group:close()
    if leading then
      copy.log.bell:add(1) -- who follows looks, and finds nobody
    end
    for _, log in pairs(self.logs) do
      log:close()
    end
    copies.close(copy)
  end
  return true
end

Node.__gc = Node.close
Node.__close = Node.close

return M
