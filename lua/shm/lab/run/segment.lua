--- The real segment: POSIX shared memory under a name of this run's own, absent at first.
-- @module shm.lab.run.segment
local posix = require "shm.posix"
local process = require "shm.process"

local M = {name = "segment"}

local BYTES <const> = 8 -- of a word
local MODE <const> = tonumber("600", 8)

local serial = 0

function M.create(_, object)
  serial = serial + 1
  object.path = ("/shm-lab-%d-%d-%s"):format(process.pid(), serial, object.name)
end

local function view_of(object, region)
  local at = {}
  for i, word in ipairs(object.given) do
    at[word] = (i - 1) * BYTES
  end
  local function place(word)
    return at[word] or error(("segment '%s' has no word '%s'")
      :format(object.name, tostring(word)), 0)
  end
  local function touch(method, word, ...)
    local ok, result = pcall(region[method], region, place(word), ...)
    if not ok then
      error(("SIGBUS: %s.%s is touched before its segment has a size (%s)")
        :format(object.name, word, result), 0)
    end
    return result
  end
  return setmetatable({}, {
    __index = function(_, word) return touch("get_i64", word) end,
    __newindex = function(_, word, value) touch("set_i64", word, value) end,
  })
end

function M.open(_, object)
  local real, path, size = {}, object.path, BYTES * #object.given
  local fd
  local views = {}

  local function known()
    return fd or error("segment: it has to create or open it first", 0)
  end

  local function open(flags)
    local opened, message, errno = posix.shm_open(path, flags, MODE)
    if not opened then
      return nil, message, errno
    elseif fd then
      fd:close()
    end
    fd = opened
    return true
  end

  real.methods = {
    create = function() return open(posix.O_CREAT | posix.O_EXCL | posix.O_RDWR) end,
    open = function() return open(posix.O_RDWR) end,
    truncate = function() return posix.ftruncate(known(), size) end,
    size = function() return posix.fstat(known()).size end,
    unlink = function() return posix.shm_unlink(path) end,
    attach = function()
      local region = assert(posix.mmap(nil, size, posix.PROT_READ | posix.PROT_WRITE,
                                       posix.MAP_SHARED, known(), 0))
      views[#views + 1] = region
      return view_of(object, region)
    end,
  }

  function real.finish()
    for i = #views, 1, -1 do
      views[i]:close()
      views[i] = nil
    end
    if fd then
      fd:close()
      fd = nil
    end
  end
  real.begin = real.finish

  local function stat()
    local opened <close> = posix.shm_open(path, posix.O_RDONLY)
    return opened and posix.fstat(opened)
  end

  function real.reset() posix.shm_unlink(path) end
  real.close = real.reset

  function real.left() return stat() and "its name is there" or nil end

  function real.show()
    local found = stat()
    return {linked = found ~= nil, sized = found ~= nil and found.size > 0}
  end
  return real
end

return M
