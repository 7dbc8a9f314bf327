--- What is for a client of the chat and its socket has not taken yet: pieces, of which the first
-- may be the rest of one. It lies in the child's own memory, and dies with it.
-- @module shm.chat.outbox
local M = {}

local MOST = 65536 -- bytes, about, that the socket is offered at a time
local ETIMEDOUT = 110

-- What says nothing of the connection, and is over soon: EINTR, ENOMEM, ENOBUFS. Who took it for
-- the end would hear nothing any more of one that goes on, or say nothing to it.
local PASSES = {[4] = true, [12] = true, [105] = true}

local Outbox = {}
Outbox.__index = Outbox

--- An empty one. `size` says how many bytes wait in it.
function M.new()
  return setmetatable({pieces = {}, first = 1, size = 0}, Outbox)
end

function Outbox:put(bytes)
  if bytes ~= "" then
    self.pieces[#self.pieces + 1] = bytes
    self.size = self.size + #bytes
  end
end

function Outbox:clear()
  self.pieces, self.first, self.size = {}, 1, 0
end

--- Sends what a socket takes at once, if there is anything.
-- @tparam shm.process.channel client where to
-- @treturn int how many bytes it took
-- @treturn int the errno, where it did not take all that it was offered: ETIMEDOUT to try again
function Outbox:send(client)
  local pieces, last, size = self.pieces, self.first, 0
  repeat
    size = size + #pieces[last]
    last = last + 1
  until last > #pieces or size >= MOST
  local data = last == self.first + 1 and pieces[self.first]
    or table.concat(pieces, "", self.first, last - 1)
  local done, _, errno, sent = client:send(data, 0)
  sent = done and #data or sent
  self.size = self.size - sent
  if self.size == 0 then
    self:clear()
  else -- what was not sent is one piece now
    for i = self.first, last - 2 do
      pieces[i] = false
    end
    pieces[last - 1] = sent < #data and data:sub(sent + 1) or false
    self.first = sent < #data and last - 1 or last
  end
  return sent, not done and (PASSES[errno] and ETIMEDOUT or errno) or nil
end

return M
