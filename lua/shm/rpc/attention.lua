--- What a server looks at now and then: whether clients and other servers live.
-- @module shm.rpc.attention
local process = require "shm.process"

local M = {}

M.SECONDS = 1 -- between looks

local SECONDS <const> = M.SECONDS
local monotonic = process.monotonic

--- Lets go of clients that are not there any more, though another one of the same key may be.
function M.forget(server)
  local register = server.register
  server.left = register.leaves()
  for key, client in pairs(server.clients) do
    if register:who(client.place) == 0 or register:number(client.place) ~= client.number then
      server.clients[key] = nil
      client:leave()
    end
  end
end

--- Buries the dead, if that was not done just now.
function M.attend(server)
  local now = monotonic()
  if not server.place or now - server.attended < SECONDS then
    return
  end
  server.attended = now
  server.register:sweep "client"
  server.register:sweep "server"
  M.forget(server) -- in any case: who counts that somebody left may die before it does
end

return M
