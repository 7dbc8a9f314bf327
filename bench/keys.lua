-- The keys that maps are measured with, in an order that no cache foresees.
local place = require "bench.place"

local M = {}

local lists, files = {}, {}

-- n keys, and the same ones shuffled. The generator's seed is the same each time.
function M.strings(n)
  if not lists[n] then
    local keys, order = {}, {}
    for i = 1, n do
      keys[i] = ("key:%d"):format(i)
      order[i] = i
    end
    math.randomseed(42)
    for i = n, 2, -1 do
      local j = math.random(i)
      order[i], order[j] = order[j], order[i]
    end
    local shuffled = {}
    for i = 1, n do
      shuffled[i] = keys[order[i]]
    end
    lists[n] = shuffled
  end
  return lists[n]
end

-- The first few of n keys, again and again: those that all want.
function M.hot(n, few)
  local all, hot = M.strings(n), {}
  for i = 1, 1000 do
    hot[i] = all[(i - 1) % few + 1]
  end
  return hot
end

-- The path of a file with n keys, a line each.
function M.file(n)
  if not files[n] then
    files[n] = ("%s/keys-%d"):format(place.folder, n)
    local file <close> = assert(io.open(files[n], "w"))
    assert(file:write(table.concat(M.strings(n), "\n"), "\n"))
  end
  return files[n]
end

-- They are many: who does not need them any more says so.
function M.forget()
  lists = {}
end

return M
