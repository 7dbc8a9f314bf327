-- Redis over a Unix socket, from Lua: its server, without a disk, and a client over LuaSocket
-- that speaks as much of its protocol as there is to measure. Each process has a connection of
-- its own. One command at a time, as a program does that needs the answer. The server runs where
-- who asks does: as they take turns it is up to five times as fast there, and the kernel's own
-- choice would be another one each time.
local cpus = require "bench.cpus"
local process = require "shm.process"
local place = require "bench.place"
local program = require "bench.program"

local M = {}

local COMMAND <const> = [[
redis-server --port 0 --unixsocket %s --save '' --appendonly no --daemonize no --dir %s \
  >>%s/errors 2>&1 & read _; kill -KILL $! && wait]]

local path, input, why

local Client = {}
Client.__index = Client

function Client:send(...)
  local n = select("#", ...)
  local parts = {"*" .. n .. "\r\n"}
  for i = 1, n do
    local word = tostring((select(i, ...)))
    parts[i + 1] = "$" .. #word .. "\r\n" .. word .. "\r\n"
  end
  assert(self.socket:send(table.concat(parts)))
end

function Client:receive()
  local line = assert(self.socket:receive "*l")
  local kind, rest = line:sub(1, 1), line:sub(2)
  if kind == "+" then
    return rest
  elseif kind == ":" then
    return math.tointeger(tonumber(rest))
  elseif kind == "-" then
    error("redis: " .. rest, 0)
  end
  local n = tonumber(rest)
  if n < 0 then
    return nil
  elseif kind == "$" then
    return (assert(self.socket:receive(n + 2)):sub(1, n))
  end
  local list = {}
  for i = 1, n do
    list[i] = self:receive()
  end
  return list
end

function Client:call(...)
  self:send(...)
  return self:receive()
end

function Client:close()
  self.socket:close()
end

--- A connection of its own.
function M.connect()
  local socket = assert(require "socket.unix".stream())
  local ok, message = socket:connect(path)
  if not ok then
    socket:close()
    return nil, message
  end
  return setmetatable({socket = socket}, Client)
end

local known, owner

--- This process's connection.
function M.client()
  if owner ~= process.pid() then
    known, owner = assert(M.connect()), process.pid()
  end
  return known
end

--- True once it answers; nil and why where it is not there.
function M.start()
  if input or why then
    return input and true, why
  elseif not program.there "redis-server" then
    why = "redis-server is not there"
  elseif not pcall(require, "socket.unix") then
    why = "LuaSocket is not there"
  end
  if why then
    return nil, why
  end
  path = place.folder .. "/redis"
  cpus.stay(cpus.first()) -- which it inherits
  input = assert(io.popen(COMMAND:format(path, place.folder, place.folder), "w"))
  cpus.stay()
  for _ = 1, 1000 do
    local client = M.connect()
    if client then
      client:close()
      return true
    end
    process.sleep(0.01)
  end
  why = "redis-server does not answer"
  return nil, why
end

return M
