-- A ring of two places between one producer and one consumer, which share a word that says how
-- many are in it, and both change it. Mended, each changes an index of its own.
local lab = require "shm.lab"

local PLACES <const>, MESSAGES <const> = 2, 2

local function ring(two_indices)
  local function many(w)
    if two_indices then
      return w.tail - w.head
    end
    return w.many
  end
  return lab.protocol {
    name = "ring", words = {"many", "head", "tail", "place0", "place1"},
    roles = {
      producer = function(w)
        for i = 1, MESSAGES do
          w.await(function() return many(w) < PLACES end)
          w["place" .. (i - 1) % PLACES] = i
          if two_indices then
            w.tail = i
          else
            w.many = w.many + 1
          end
        end
      end,
      consumer = function(w)
        for i = 1, MESSAGES do
          w.await(function() return many(w) > 0 end)
          local got = w["place" .. (i - 1) % PLACES]
          assert(got == i, "message " .. got .. " in place of " .. i)
          if two_indices then
            w.head = i
          else
            w.many = w.many - 1
          end
        end
      end,
    },
  }
end

return {
  options = {memory = "tso"},
  faulty = ring(false), mended = ring(true),
  verdict = {kind = "no progress", roles = {1}},
}
