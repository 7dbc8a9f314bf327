-- Files, for what makes and checks the documentation: it needs no module that has to be built.
local M = {}

--- What a shell command prints.
function M.shell(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read "a"
end

--- The names of files, in order.
function M.list(patterns)
  local names = {}
  for name in M.shell("ls " .. patterns):gmatch "%S+" do
    names[#names + 1] = name
  end
  return names
end

function M.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

--- Writes a file, and the folders to it.
function M.write(path, text)
  os.execute("mkdir -p " .. path:match "^(.*)/")
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(text))
end

return M
