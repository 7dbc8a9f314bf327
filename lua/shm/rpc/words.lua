--- The word of a call, on which its two sides agree, and the numbers that travel with it.
--
--     word   sequence (26 bits) | server's pid (22) | server's number (14) | state (2)
--     id     sequence (26 bits) | client's number (22) | client's place (8) | slot (8)
--
-- The id of 0 is a cast's, which has no word. A request is {id, method, n, n arguments}, an
-- answer {id, n, n results} or {id, -errno, message}: n counts nils, too.
-- @module shm.rpc.words
local registers = require "shm.rpc.register"

local M = {}

M.QUEUED, M.CLAIMED = 1, 2 -- states; 0 is a call that nobody waits for
M.STATE = 3

M.NEXT = 1 << 38
M.SEQUENCE = -M.NEXT

M.SLOTS = 256
M.BOX = M.SLOTS * 8 -- where a client's queue of answers lies, behind its words

M.MOST = 250 -- arguments, and results

--- A server's claim, but for the sequence.
function M.claim(who)
  return who << 2 | M.CLAIMED
end

--- Who has claimed.
function M.who(word)
  return (word & ~M.SEQUENCE) >> 2
end

--- What an id says of the client: one number, or its two parts.
function M.client_key(place, number)
  return number << 16 | place << 8
end

M.KEY = ((1 << registers.CLIENT_BITS) - 1) << 16 | 0xff00
M.SLOT = 0xff

return M
