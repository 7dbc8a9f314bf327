--- Dekker's algorithm (1962), the first there was, for two: one says that it wants to enter;
-- while the other does, too, it insists if it is its turn, and else takes that back until it is
-- its turn. Who leaves makes it the other's turn.
--
-- Here who has taken it back also goes on when the other no longer wants to enter. As it is
-- printed it waits for its turn alone, which two who both give up can leave to the one that has
-- gone.
--
-- A fence is needed wherever one has said that it wants to enter, before it looks at the
-- other's flag: without it both may find the other's as it was before.
--
-- spec/model/dekker.pml checks it.
-- @module shm.exclusion.dekker
local M = {name = "dekker", most = 2}

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
  local mine, theirs = me - 1, other - 1 -- what turn is: at first it is 1's

  local function alone()
    return others() == 0
  end

  local function may_insist()
    return turn() == mine or others() == 0
  end

  local function enter()
    want(1)
    fence()
    while others() ~= 0 do
      if turn() == mine then
        return await(alone)
      end
      want(0)
      local ok, message, errno = await(may_insist)
      if not ok then
        return nil, message, errno
      end
      want(1)
      fence()
    end
    return true
  end

  local function leave()
    give(theirs)
    want(0)
    return true
  end

  return enter, leave, leave
end

return M
