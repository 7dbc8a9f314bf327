-- The textbook's chat again: when a client leaves, the parent gives its place to the last one,
-- whose child does not hear of it and keeps the old one, which the next client gets as well.
-- Mended, who is there keeps its place, and the next one gets that which is free.
local lab = require "shm.lab"

local function chat(keeps)
  local function child_at(place)
    return function(w)
      w.enter("place" .. place)
      w["buffer" .. place] = place
      w.leave("place" .. place)
    end
  end
  return lab.protocol {
    name = "chat", words = {"buffer1", "buffer2"},
    roles = {
      server = function(w)
        local ann = w.fork(child_at(1), "ann")
        local bob = w.fork(child_at(2), "bob")
        ann:wait()
        local there = 1 -- bob, who is at place 1 now for all that the server knows
        local cid = w.fork(child_at(keeps and 1 or there + 1), "cid")
        bob:wait()
        cid:wait()
      end,
    },
    never = {two_at_one_place = function(s) return s.inside.place2 > 1 end},
  }
end

return {
  options = {memory = "sc"},
  faulty = chat(false), mended = chat(true),
  verdict = {kind = "never", name = "two_at_one_place"},
}
