-- Who finds a seat empty sits down on it: two may find it so before either has sat down.
local lab = require "shm.lab"

local function seats(atomic)
  local function role(w)
    local got
    if atomic then
      got = w.cas("seat", 0, w.role)
    elseif w.seat == 0 then
      w.seat = w.role
      got = true
    end
    if got then
      w.enter "seat_taken"
    end
  end
  return lab.protocol {
    name = "seats", words = {"seat"}, roles = {role, role},
    never = {two_on_one = function(s) return s.inside.seat_taken > 1 end},
  }
end

return {
  options = {memory = "sc"},
  faulty = seats(false), mended = seats(true),
  verdict = {kind = "never", name = "two_on_one"},
}
