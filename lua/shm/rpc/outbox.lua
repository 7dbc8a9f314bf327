--- Answers that their client had no room for yet. They wait here, in the server's own memory, so
-- that nobody else waits for a client that does not look; and go once it has room, has given the
-- call up, or is gone.
-- @module shm.rpc.outbox
local M = {}

-- What may be otherwise the next time: there is no room, or who was stopped has the queue's guard.
local LATER <const> = {[16] = true, [110] = true} -- EBUSY, ETIMEDOUT

local Outbox = {}
Outbox.__index = Outbox

function M.new()
  return setmetatable({}, Outbox)
end

--- Keeps an answer, if there is hope for it.
-- @tparam table client whose it is, which stays open for it
-- @int offset of the call's word
-- @int claimed what the word says while the answer is waited for
-- @tparam table answer
-- @int errno why it is not with the client
function Outbox:keep(client, offset, claimed, answer, errno)
  if not LATER[errno] then
    return
  end
  client.busy = client.busy + 1
  self[#self + 1] = {client, offset, claimed, answer}
end

-- Whether an answer is settled: it is with its client, or nobody wants it.
local function settle(entry, full)
  local client, offset, claimed, answer = entry[1], entry[2], entry[3], entry[4]
  if client.gone or client.region:load(offset) ~= claimed then
    return true
  elseif full[client] then
    return false
  end
  local done, _, errno = client.push(answer, 0)
  full[client] = not done and LATER[errno]
  return not full[client]
end

--- Tries again. Answers of one client stay in order.
function Outbox:flush()
  local full, kept = {}, 0
  for i = 1, #self do
    local entry = self[i]
    self[i] = nil
    if settle(entry, full) then
      entry[1]:done()
    else
      kept = kept + 1
      self[kept] = entry
    end
  end
end

return M
