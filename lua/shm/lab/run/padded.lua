--- Messages of one length, so that as many fit into a real queue or topic as the protocol says:
-- the model's capacity counts messages, the real one bytes.
-- @module shm.lab.run.padded
local value = require "shm.value"

local M = {}

--- Bytes of the longest message, for shm.queue and shm.topic, with which they have a ring of 8192.
M.QUEUE, M.TOPIC = 5000, 4096
local RING <const> = 8192
local MOST <const> = 26

--- The length of each message where so many are to fit.
-- @int n messages
-- @int least messages
-- @int extra bytes that the ring takes of each besides, about
-- @string what for an error
function M.length(n, least, extra, what)
  if n < least or n > MOST then
    error(("lab.run: %s: capacity: on real processes %d to %d messages, got %d")
      :format(what, least, MOST, n), 0)
  end
  return n == 1 and 4800 or (RING // (n + 1) + RING // n) // 2 - extra
end

--- A message as it is on its way.
function M.encode(message, length, what)
  local bytes = assert(value.encode(message))
  if #bytes + 4 > length then
    error(("%s: a message of %d bytes; on real processes %d at most, with this capacity")
      :format(what, #bytes, length - 4), 0)
  end
  return string.pack("<s4", bytes) .. ("\0"):rep(length - 4 - #bytes)
end

--- What a message was.
function M.decode(bytes)
  return (value.decode((string.unpack("<s4", bytes))))
end

--- The result of a real pop or next, with the message as it was.
function M.received(bytes, message, errno)
  if type(bytes) == "string" then
    return M.decode(bytes)
  end
  return bytes, message, errno
end

return M
