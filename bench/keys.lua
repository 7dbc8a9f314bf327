-- The keys that maps are measured with, in an order that no cache foresees.
local M = {}

local lists = {}

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

-- They are many: who does not need them any more says so.
function M.forget()
  lists = {}
end

return M
