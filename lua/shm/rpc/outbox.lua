--- Answers that their client had no room for yet. They wait here, in the server's own memory, so
-- that nobody else waits for a client that does not look; and go once it has room, has given the
-- call up, or is gone.
-- @module shm.rpc.outbox
local M = {}

local Outbox = {}
Outbox.__index = Outbox

function M.new()
  return setmetatable({}, Outbox)
end

--- Keeps an answer.
-- @tparam table client whose it is, which stays open for it
-- @int offset of the call's word
-- @int claimed what the word says while the answer is waited for
-- @tparam table answer
function Outbox:keep(client, offset, claimed, answer)
  client.busy = client.busy + 1
  self[#self + 1] = {client, offset, claimed, answer}
end

--- Tries again. Answers of one client stay in order.
function Outbox:flush()
  local full, kept = {}, 0
  for i = 1, #self do
    local entry = self[i]
    self[i] = nil
    local client, offset, claimed, answer = entry[1], entry[2], entry[3], entry[4]
    local wanted = not client.gone and client.region:load(offset) == claimed
    if wanted and (full[client] or not client.push(answer, 0)) then
      full[client] = true
      kept = kept + 1
      self[kept] = entry
    else
      client:done()
    end
  end
end

return M
