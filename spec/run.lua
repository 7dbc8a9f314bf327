-- Runs the specs under Lua 5.4, whatever the system's plain busted would use.
-- lua5.4 spec/run.lua [busted's options] [files]; its last line counts what ran.
local files = false
for _, word in ipairs(arg) do
  files = files or not word:match "^%-"
end
if not files then
  arg[#arg + 1] = "spec"
end
local found, why = pcall(require, "shm")
if not found and why:match "module 'shm[%w.]*' not found" then
  io.stderr:write('the module is not built or not found: make build, then eval "$(make -s env)"\n')
  os.exit(2)
end
table.insert(arg, 1, "--helper=spec/helper.lua")
package.path = "./?.lua;" .. package.path
require "busted.runner" {standalone = false}
