-- What a run has that others could see: a folder, names in /dev/shm, keys of System V. All of it
-- begins with the run's own number, so that whoever ends the run can remove it, whatever the
-- run was doing.
local posix = require "shm.posix"
local process = require "shm.process"
local sysv = require "shm.sysv"

local M = {}

local KEYS <const>, QUEUES <const> = 16, 8
local id

--- A process that was not forked from the run's shares the place when it is told where.
function M.share(number, folder)
  id, M.folder = number, folder
end

--- What it is to be told.
function M.whose()
  return id, M.folder
end

--- Makes the folder; every process that is forked from here on shares the place.
function M.open()
  id = process.pid()
  local pipe <close> = assert(io.popen "mktemp -d -t shm-bench-XXXXXX")
  M.folder = assert(pipe:read "l", "mktemp makes no folder")
end

--- A name in /dev/shm, without the slash.
function M.name(word)
  return ("shm-bench-%d-%s"):format(id, word)
end

--- The key of System V with that number, from 1.
function M.key(index)
  assert(index >= 1 and index < KEYS)
  return 0x60000000 | id << 4 | index
end

--- The name of a POSIX message queue, from 1.
function M.queue(index)
  assert(index >= 1 and index <= QUEUES)
  return "/" .. M.name("queue-" .. index)
end

--- Has a text in the folder, whole at any time; and gives what is there, or nil.
function M.keep(word, text)
  local path = M.folder .. "/" .. word
  local file = assert(io.open(path .. ".new", "w"))
  assert(file:write(text))
  file:close()
  assert(os.rename(path .. ".new", path))
end

function M.kept(word)
  local file <close> = io.open(M.folder .. "/" .. word)
  return file and file:read "a"
end

--- Removes all that there is of it.
function M.remove()
  os.execute(("rm -rf '%s' /dev/shm/shm-bench-%d-*"):format(M.folder, id))
  for index = 1, QUEUES do
    posix.mq_unlink(M.queue(index))
  end
  for index = 1, KEYS - 1 do
    for _, get in ipairs {sysv.msgget, sysv.semget} do
      local found = get == sysv.semget and get(M.key(index), 0, 0) or get(M.key(index), 0)
      if found then
        found:remove()
      end
    end
  end
end

return M
