-- What the specs of durable states share.
local assert = require "luassert"
local disk = require "shm.durable.disk"
local durable = require "shm.durable"
local process = require "shm.process"
local support = require "spec.support"

local M = {LONG = support.LONG}

local real_boot = disk.boot

--- The machine boots anew: what is in live files can not be trusted any more.
function M.reboot(id)
  disk.boot = function() return id or ("boot %d"):format(support.key()) end
  local boot = disk.boot()
  disk.boot = function() return boot end
end

--- What a file has is old in some pages, and nothing at all in others.
function M.scribble(path)
  local file <close> = io.open(path, "r+b")
  for _ = 1, file and 5 or 0 do
    file:seek("set", math.random(0, file:seek "end"))
    file:write(("\0"):rep(math.random(5000)), "scribble")
  end
end

--- Names and files that no other run uses, for a state in memory and one with a file; and how
-- to remove what there is. Where there is no disk to wait for, there can be more rounds.
function M.places(diskless)
  local name = "shm-spec-" .. support.key()
  local directory = diskless and "/dev/shm/shm-spec-" .. support.key() or os.tmpname()
  os.remove(directory)
  assert(os.execute("mkdir " .. directory))
  return {
    {name = name, how = "in memory"},
    {name = name, file = directory .. "/state", how = "with a file"},
    directory = directory, name = name,
  }
end

function M.remove(places)
  disk.boot = real_boot
  os.execute(("rm -rf %s /dev/shm/%s*"):format(places.directory, places.name))
end

--- The files that there are of a state, without their directory.
function M.files(places)
  local list = {}
  for line in support.shell(("ls -A %s; ls /dev/shm | grep '^%s'"):format(places.directory,
                                                                     places.name))
      :gmatch "[^\n]+" do
    list[#list + 1] = (line:gsub("^" .. places.name:gsub("%p", "%%%0"), "NAME"))
  end
  return list
end

--- Opens a state at one of the places.
function M.open(place, options)
  options = options or {}
  options.file = place.file
  return durable.open(place.name, options)
end

--- Does that, and calls f with the state and how it began.
function M.with(place, options, f)
  local state <close>, how = assert(M.open(place, options))
  return f(state, how)
end

--- Runs f in a child, whose end must be this one; absent for a good one.
function M.child(f, how, code)
  local child <close> = assert(process.fork(f))
  local ended, with = child:wait(3 * M.LONG)
  if not ended then
    child:kill "KILL"
    child:wait()
  end
  assert.same({how or "exit", code or 0}, {ended, with})
end

--- The same for one that ends by kill -9 of itself, after f.
function M.killed(f)
  M.child(function()
    f()
    process.kill(process.pid(), "KILL")
  end, "signal", "KILL")
end

M.refused = support.refused

return M
