-- A stack in shared memory, taken from by compare-and-swap: while one has read the top and what
-- lies under it, another takes both and puts the top back. The word is the same, the stack is
-- not. Mended, a count beside the index says how often the top was changed.
local lab = require "shm.lab"

local function stack(counts)
  local step = counts and 8 or 0 -- head: index of the top, plus 8 for each change
  local function pop(w)
    while true do
      local head = w.head
      local top = head % 8
      if top == 0 then
        return nil
      end
      local under = w["under" .. top]
      if w.cas("head", head, head - top + under + step) then
        return top
      end
    end
  end
  local function push(w, node)
    while true do
      local head = w.head
      w["under" .. node] = head % 8
      if w.cas("head", head, head - head % 8 + node + step) then
        return
      end
    end
  end
  local function use(w, node)
    if node then
      w.enter("node" .. node)
    end
  end
  return lab.protocol {
    name = "stack", words = {head = 1, under1 = 2, under2 = 0},
    roles = {
      function(w)
        use(w, pop(w))
        use(w, pop(w))
      end,
      function(w)
        local first = pop(w)
        use(w, pop(w))
        if first then
          push(w, first)
        end
      end,
    },
    never = {two_have_one = function(s) return s.inside.node1 > 1 or s.inside.node2 > 1 end},
  }
end

return {
  options = {memory = "tso"},
  faulty = stack(false), mended = stack(true),
  verdict = {kind = "never", name = "two_have_one"},
}
