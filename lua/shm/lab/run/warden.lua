--- A process that ends a run whose parent was killed and can not: it sleeps until the parent is
-- gone, kills the roles and what they forked, and takes the names of objects away. Of a run that
-- ends in order, the parent ends it.
--
-- It learns of the parent's end by a channel whose other end the parent alone keeps. Roles lie
-- in its process as they do in the parent's: by their pids, in shared memory.
-- @module shm.lab.run.warden
local places = require "shm.lab.run.place"
local process = require "shm.process"

local M = {}

local LOOK <const> = 0.001 -- seconds between looks whether all have died
local LOOKS <const> = 1000 -- a child that a role was about to fork may never come to be
local EINTR <const> = 4

-- Kills who lives, and says whether there was anybody. Roles come before what they fork.
local function kill_all(place, count)
  local any = false
  for i = 1, math.min(count + place:load "born", places.MOST) do
    local pid = place:pid(i)
    if i > count and place:phase(i) & 3 == places.DONE then
      goto continue -- it ends, and its pid may be another's
    elseif pid == 0 then
      any = true
    elseif process.alive(pid) then
      any = true
      process.kill(pid, "KILL")
    end
    ::continue::
  end
  return any
end

local function watch(place, count, line, let_go)
  process.signal("INT", "ignore") -- Ctrl-C is the parent's to answer
  local _, errno
  repeat
    _, _, errno = line:recv(1)
  until errno and errno ~= EINTR
  place:store("stopping", 1)
  for _ = 1, LOOKS do
    if not kill_all(place, count) then
      break
    end
    process.sleep(LOOK)
  end
  let_go()
end

--- Forks the warden of a run.
-- @tparam table run what the parent has of it
-- @tparam function let_go takes the names of objects away
-- @treturn shm.process.handle the warden
-- @treturn shm.process.channel what the parent keeps, and roles close
function M.fork(run, let_go)
  local line, other = places.need(process.socketpair())
  local theirs <close> = other
  local child, message = process.fork(function()
    line:close()
    watch(run.place, #run.protocol.roles, theirs, let_go)
  end)
  if not child then
    line:close()
  end
  return places.need(child, message), line
end

return M
