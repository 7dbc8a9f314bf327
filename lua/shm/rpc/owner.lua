--- Whose handle it is: a child made by fork has a copy that is not its own, and asking for the
-- pid each time is a system call.
-- @module shm.rpc.owner
local posix = require "shm.posix"
local process = require "shm.process"

local MADV_WIPEONFORK <const> = 18
local PAGE <const> = 4096

local M = {}

--- A function that says whether this process made it. The kernel wipes the word in a child.
-- @treturn function owner() gives 1, in a child 0
-- @treturn ?shm.region what to close in the end
function M.new()
  local page = posix.mmap(nil, PAGE, posix.PROT_READ | posix.PROT_WRITE,
                          posix.MAP_PRIVATE | posix.MAP_ANONYMOUS)
  if page and posix.madvise(page, MADV_WIPEONFORK) then
    page:set_i64(0, 1)
    return page:getter_i64(0), page
  end
  local pid = process.pid()
  return function()
    return process.pid() == pid and 1 or 0
  end
end

return M
