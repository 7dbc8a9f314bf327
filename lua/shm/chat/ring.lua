--- A ring of records in a region, with one writer.
--
-- A position is the number of bytes written before it, since the beginning; it never wraps,
-- and modulo the capacity it is an offset. A record is a header of 8 bytes (length, u32; to
-- and except, u16 each) and its bytes, padded to a multiple of 8, and never broken at the
-- ring's end: where it does not fit there, a header with length PAD sends the reader to the
-- beginning.
--
-- Where writer and readers stand is kept elsewhere. The writer fills the room that all
-- readers have passed, and only then lets its own position be seen; so a writer that dies
-- in a record has written nothing.
-- @module shm.chat.ring
local M = {}

local HEADER, PAD = 8, 0xffffffff

--- The room that a record of n bytes may take at most, the rest of the ring's end included.
function M.room(n)
  return 2 * (HEADER + (n + 7 & ~7))
end

--- Writes a record, if there is room.
-- @tparam table ring `region`, `base` (offset of its first byte), `capacity` (a multiple of 8)
-- @int head the writer's position
-- @int tail the position of the slowest reader
-- @string data the bytes
-- @int to a number for readers, as are
-- @int except these
-- @treturn int the writer's position behind the record, or nil where there is no room
function M.write(ring, head, tail, data, to, except)
  local region, capacity = ring.region, ring.capacity
  local size = HEADER + (#data + 7 & ~7)
  local at = head % capacity
  local rest = capacity - at
  local skipped = rest < size and rest or 0
  if head + skipped + size - tail > capacity then
    return nil
  end
  if skipped > 0 then
    region:set_u32(ring.base + at, PAD)
    at = 0
  end
  local offset = ring.base + at
  region:set_u32(offset, #data)
  region:set_u16(offset + 4, to)
  region:set_u16(offset + 6, except)
  region:write(offset + HEADER, data)
  return head + skipped + size
end

--- Reads the record at a position that the writer has passed.
-- @tparam table ring as for write
-- @int tail the reader's position
-- @treturn string the bytes
-- @treturn int to
-- @treturn int except
-- @treturn int the reader's position behind the record
-- @treturn[2] nil when there is no such record: somebody scribbled over the ring
function M.read(ring, tail)
  local region, capacity = ring.region, ring.capacity
  local at = tail % capacity
  local length = region:get_u32(ring.base + at)
  if length == PAD and at > 0 then
    tail = tail + capacity - at
    at = 0
    length = region:get_u32(ring.base)
  end
  if length > capacity - at - HEADER then
    return nil
  end
  local offset = ring.base + at
  return region:read(offset + HEADER, length), region:get_u16(offset + 4),
    region:get_u16(offset + 6), tail + HEADER + (length + 7 & ~7)
end

return M
