--- Peterson's algorithm (1981), for two: one says that it wants to enter, and that it is the
-- other's turn, and waits while the other wants to, and it is its turn. Whoever said so last
-- waits, so nobody is overtaken more than once.
--
-- One fence is needed, between the store to turn and the load of the other's flag: without it
-- each may find the other's flag as it was before, and both are inside. That the flag is stored
-- before turn matters as well; stores stay in order on x86.
--
-- spec/model/peterson.pml checks it.
-- @module shm.exclusion.peterson
local M = {name = "peterson", most = 2}

--- The words that it runs on; all are 0 at first.
function M.words()
  return {"flag1", "flag2", "turn"}
end

--- Binds it to words, for one process.
-- @tparam table words see shm.exclusion.words
-- @int me 1 or 2
-- @treturn function enter: gives true, or what await gave
-- @treturn function leave
-- @treturn function withdraw, for who has given up entering
function M.bind(words, me)
  local other = 3 - me
  local want, others = words.writer("flag" .. me), words.reader("flag" .. other)
  local give, turn = words.writer "turn", words.reader "turn"
  local fence, await = words.fence, words.await

  local function free()
    return others() == 0 or turn() == me
  end

  local function enter()
    want(1)
    give(other)
    fence()
    return await(free)
  end

  local function leave()
    want(0)
    return true
  end

  return enter, leave, leave
end

return M
