-- Runs what stands in a Markdown file, and says how many blocks there were, or what was wrong:
-- lua5.4 spec/guide.lua FILE. Where that may be had it runs in a /dev/shm and an IPC namespace of
-- its own, in which all names are free, and nothing may be left.
package.path = "./?.lua;" .. package.path
local guide = require "spec.guide_support"
local support = require "spec.support"

local path, private = arg[1], arg[2] == "private"

if not private then
  local root = support.shell "id -u" == "0\n"
  local unshare = "unshare --mount --ipc" .. (root and "" or " --map-root-user")
  local mount = "mount -t tmpfs -o size=64m tmpfs /dev/shm"
  if os.execute(("%s sh -c '%s' 2>/dev/null"):format(unshare, mount)) then
    local _, _, code = os.execute(("%s sh -c '%s && exec lua5.4 spec/guide.lua %s private'"):format(
      unshare, mount, path))
    os.exit(code)
  end
end

local session = guide.session()
local n = 0
local ok, words = pcall(function()
  for _, block in ipairs(guide.blocks(path)) do
    session:run(block)
    n = n + (block.language ~= "text" and 1 or 0)
  end
  session:finish(path)
  if private then
    local left = support.shell "ls /dev/shm" .. table.concat(support.ipcs "-m -s -q", "\n")
    assert(left == "", path .. " leaves behind: " .. left)
  end
end)
session:close()
print(ok and n .. " blocks" or words)
os.exit(ok)
