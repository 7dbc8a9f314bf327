-- Two that send each other questions and answers through queues of one place: each waits for room
-- for its second question before it takes the other's. Mended, who has asked takes an answer.
local lab = require "shm.lab"

local function asking(takes_first)
  local function role(mine, theirs)
    return function(w)
      w[theirs]:push "a question"
      if takes_first then
        w[mine]:pop()
        w[theirs]:push "another"
      else
        w[theirs]:push "another"
        w[mine]:pop()
      end
      w[mine]:pop()
    end
  end
  return lab.protocol {
    name = "asking", queues = {left = {capacity = 1}, right = {capacity = 1}},
    roles = {role("left", "right"), role("right", "left")},
  }
end

return {
  options = {memory = "sc"},
  faulty = asking(false), mended = asking(true),
  verdict = {kind = "deadlock", roles = {1, 2}},
}
