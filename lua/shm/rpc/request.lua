--- A request that a server has begun, as its method sees it.
--
-- It is the message itself, so that no other table has to be made: what a server knows of the
-- client stands in the metatable, of which each client has one.
-- @module shm.rpc.request
local attention = require "shm.rpc.attention"
local words = require "shm.rpc.words"

local M = {}

local ID <const>, METHOD <const> = 1, 2
local SLOT <const>, SEQUENCE <const> = words.SLOT, words.SEQUENCE

local methods, metatables = {}, setmetatable({}, {__mode = "k"})

--- Whether nobody waits for the answer any more: the caller has given up, or is dead. Who takes
-- long asks now and then, and stops.
-- @function shm.rpc.request:cancelled
-- @treturn boolean
function methods.cancelled(request)
  local meta = metatables[getmetatable(request)]
  if not meta then
    error("rpc.cancelled: request expected, got " .. type(request), 2)
  end
  local client, server, id = meta.client, meta.server, request[ID]
  if not client then
    return meta.over
  end
  attention.attend(server)
  return client.gone or
    client.region:load((id & SLOT) * 8) ~= id & SEQUENCE | server.claim
end

local function metatable(server, client, over)
  local meta = {__name = "shm.rpc.request"}
  local fields = {server = server, client = client and client.pid, cancelled = methods.cancelled}
  function meta.__index(request, key)
    if key == "method" then
      return request[METHOD]
    end
    return fields[key]
  end
  function meta.__tostring(request)
    return ("shm.rpc.request (%s)"):format(request[METHOD])
  end
  metatables[meta] = {server = server, client = client, over = over}
  return meta
end

--- What makes requests of a client's messages.
function M.of(server, client)
  return metatable(server, client, false)
end

--- What makes requests of casts.
function M.cast(server)
  return metatable(server, nil, false)
end

--- What they are once they are done, for who has kept one.
M.OVER = metatable(nil, nil, true)

return M
