--- Where those who dial find who listens: its segment, and how the two get together.
--
-- The door is a segment of System V that is made at the key and marked for removal as soon as
-- it is whole. From then on it has no key: it is found by looking at all segments for one of
-- its size, with the key written in it, whose creator lives and has it attached. So the kernel
-- removes it whoever is killed, and that a key is taken with IPC_EXCL keeps two from opening
-- doors at once. (Linux alone lets others attach what is marked.)
--
--     0     u32  MAGIC
--     4     u32  KEY
--     8     u32  WAKE: the number of the way, see shm.peer.bell
--     12    u32  CLOSED: 1 once nobody is admitted any more
--     16    u32  ARRIVALS: how often a slot became ready
--     24    u64  LENGTH: bytes of each of a talk's two segments
--     64    the server's bell
--     512   16 slots of 64 bytes: u64 state << 32 | pid; i32 the segment to the server;
--           i32 the segment to the client
--
-- A slot is FREE (all 0) until who dials claims it with its pid; READY once both segments are
-- there; TAKEN while the server attaches them, and FREE after that. Only who has claimed it
-- takes it back before it is taken; only the server frees what a dead one has left.
--
-- Between shmget and the mark, some 10 us, a killed process leaves a segment that nobody has
-- attached. The door is then at the key, where who listens or dials next removes it. One of a
-- talk's is removed by the server, which knows its size and its maker when it looks around, ten
-- times a second where it waits, or closes. Only a server that is killed before that leaves it.
-- @module shm.peer.door
local bell = require "shm.peer.bell"
local process = require "shm.process"
local segment = require "shm.peer.segment"
local sysv = require "shm.sysv"

local M = {}

-- Offsets, and the states of slots.
M.MAGIC, M.KEY, M.WAKE, M.CLOSED, M.ARRIVALS, M.LENGTH, M.BELL, M.SLOTS =
  0, 4, 8, 12, 16, 24, 64, 512
M.EACH, M.COUNT = 64, 16
M.UP, M.DOWN = 8, 12 -- in a slot
M.FREE, M.CLAIMED, M.READY, M.TAKEN = 0, 1, 2, 3
M.SIZE = segment.DOOR_SIZE
local MAGIC_VALUE = 0x31726f64 -- "dor1"

local ODD = 24
local ESRCH, EACCES, EINVAL, EIDRM, EADDRINUSE = 3, 13, 22, 43, 98
local NONE = {[ESRCH] = true, [EACCES] = true, [EINVAL] = true, [EIDRM] = true} -- no door of ours

--- The offset of a slot.
-- @int i from 0
-- @treturn int offset
function M.slot(i)
  return M.SLOTS + M.EACH * i
end

--- What a slot holds.
-- @int state
-- @int pid
-- @treturn int
function M.word(state, pid)
  return state << 32 | pid
end

-- The door at this segment if it is one for the key: region, handle of its server; or nil,
-- message, errno when there is none, or that is not to be known just now.
local function look(info, key)
  local region, handle, message, errno
  region, message, errno = sysv.shmat(info.id)
  if not region then
    return nil, message, errno
  end
  if region:load32(M.MAGIC) == MAGIC_VALUE and (region:load32(M.KEY) ~ key) & 0xffffffff == 0
     and region:load32(M.CLOSED) == 0 then
    handle, message, errno = segment.holder(info.cpid, info.id)
    if handle then
      return region, handle
    end
  end
  region:close()
  return nil, message, errno
end

--- Finds the door that a living process has opened for a key.
-- @int key
-- @treturn shm.region the door
-- @treturn shm.process.handle who opened it
-- @treturn int the segment
-- @treturn int its permissions
-- @treturn[2] nil there is none
-- @treturn[2] ?string message, where that is not to be known just now
-- @treturn[2] ?int EMFILE, ENFILE, ENOMEM, or what a sandbox refuses to list segments by
function M.find(key)
  local all, why, number = sysv.list()
  for _, info in ipairs(all and all.segments or {}) do
    if info.segsz == M.SIZE and info.mode & sysv.SHM_DEST ~= 0 and info.cpid > 0 then
      local region, handle, errno = look(info, key)
      if region then
        return region, handle, info.id, info.mode & tonumber("777", 8)
      elseif errno and not NONE[errno] then
        why, number = handle, errno
      end
    end
  end
  return nil, why, number
end

--- The bytes of a talk's segment. It is an odd number, which others have no reason to choose:
-- by it, its creator, and that nobody has attached it, a segment is known that was left.
-- @int size up to how many
-- @treturn int
function M.length(size)
  return size - ODD
end

--- Removes a segment that a killed process has left between making and marking it.
-- @int pid the process, which is dead
-- @int size its size
function M.sweep(pid, size)
  local all = sysv.list()
  for _, info in ipairs(all and all.segments or {}) do
    if info.cpid == pid and info.segsz == size and info.key == 0 and info.nattch == 0
       and info.mode & sysv.SHM_DEST == 0 then
      sysv.shmctl(info.id, sysv.IPC_RMID)
    end
  end
end

--- Removes what those have left who were killed while they dialled, and frees their slots. For
-- the server alone.
-- @tparam shm.region region the door
-- @int id the segment
-- @int length of a talk's segments
function M.sweep_slots(region, id, length)
  for i = 0, M.COUNT - 1 do
    local at = M.slot(i)
    local word = region:load(at)
    if word >> 32 == M.CLAIMED then
      local pid = word & 0x7fffffff
      local handle, _, errno = segment.holder(pid, id)
      if handle then
        handle:close()
      elseif errno == ESRCH then
        M.sweep(pid, length)
        region:cas(at, word, M.FREE)
      end
    end
  end
end

--- Removes the door of one that was killed as it opened it.
-- @int key
function M.sweep_key(key)
  local id = sysv.shmget(key, 0)
  local stat = id and id:stat()
  if stat and stat.segsz == M.SIZE and stat.nattch == 0 and not process.alive(stat.cpid) then
    id:remove()
  end
end

--- Opens a door. Nobody else has one at the key.
-- @int key
-- @tparam table opts `mode`, `wake`, `size`
-- @treturn shm.region the door
-- @treturn table the server's bell
-- @treturn int the segment
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EADDRINUSE when a living server is there, EEXIST when it is another
-- program's segment, EACCES …
function M.open(key, opts)
  -- What ends a process waits until nothing of it would stay behind.
  local shield <close>, words, code = process.signals("TERM", "INT", "HUP")
  if not shield then
    return nil, words, code
  end
  local id, message, errno = segment.create(key, opts.mode, M.SIZE)
  if not id then
    return nil, message, errno
  end
  local region, own, other, handle
  region, message, errno = sysv.shmat(id)
  if region then
    other, handle, errno = M.find(key)
    if not other and errno then
      message = handle
    elseif other then
      message, errno = ("pid %d listens there already"):format(handle.pid), EADDRINUSE
      other:close()
      handle:close()
    else
      own, message, errno = bell.own(opts.wake, region, M.BELL, "server")
    end
  end
  if own then
    region:store32(M.WAKE, bell.number(opts.wake))
    region:store32(M.KEY, key & 0xffffffff)
    region:store(M.LENGTH, M.length(opts.size))
    region:store32(M.MAGIC, MAGIC_VALUE)
  elseif region then
    region:close()
  end
  id:remove()
  if not own then
    return nil, message, errno
  end
  return region, own, id.id
end

--- Claims a slot for this process.
-- @tparam shm.region region the door
-- @treturn int its offset
-- @treturn[2] nil all are in use
function M.claim(region)
  local word = M.word(M.CLAIMED, process.pid())
  for i = 0, M.COUNT - 1 do
    if region:cas(M.slot(i), M.FREE, word) then
      return M.slot(i)
    end
  end
end

--- One of a talk's two segments, made and attached here, and marked for removal.
-- @int size what length gives
-- @int mode permissions
-- @treturn shm.region
-- @treturn int the segment
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ENOSPC, ENOMEM, EINVAL
function M.make(size, mode)
  local id, message, errno = sysv.shmget(sysv.IPC_PRIVATE, size, sysv.IPC_CREAT | mode)
  if not id then
    return nil, message, errno
  end
  local region
  region, message, errno = sysv.shmat(id)
  id:remove()
  if not region then
    return nil, message, errno
  end
  return region, id.id
end

--- Attaches one of a talk's two segments, if it is what it must be: another process may have
-- written the number of any other.
-- @int id the segment
-- @int size bytes that it must have
-- @int pid who must have made it
-- @treturn shm.region
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int ESRCH when it is gone, or no such segment; ENOMEM, EMFILE …
function M.attach(id, size, pid)
  local stat = id >= 0 and sysv.shmctl(id, sysv.IPC_STAT)
  if not stat or stat.cpid ~= pid or stat.segsz ~= size or stat.mode & sysv.SHM_DEST == 0 then
    return nil, ("segment %d is not pid %d's"):format(id, pid), ESRCH
  end
  local region, message, errno = sysv.shmat(id)
  if not region and (errno == EINVAL or errno == EIDRM) then -- it ended meanwhile
    errno = ESRCH
  end
  return region, message, errno
end

return M
