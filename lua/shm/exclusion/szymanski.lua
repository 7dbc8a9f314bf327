--- Szymanski's algorithm (1988), for n: a waiting room with two doors, and for each a flag of
-- five values.
--
--   0  outside
--   1  at the door, which is shut while anybody is at 3 or 4
--   3  through the door: goes on to 4 if nobody is at it any more, or else
--   2  waits in the room until somebody is at 4
--   4  the door is shut; waits until nobody who comes before it is past 1, and is inside
--
-- Who leaves waits first until nobody who comes after it is at 2 or 3, so that all in the room
-- have seen the door shut. So those who were at the door together go in in ascending order, and
-- nobody is overtaken by one that came later.
--
-- Each flag is read for itself; who is at the door has to read them in ascending order, as a
-- room empties from below: in descending order two can be inside.
--
-- A fence is needed after 1 is stored, and after 3, before the others' flags are read: without
-- it who is at the door and who shuts it may both miss the other. After 2 and 4 none is.
--
-- No wait can be given up, as who is in the room counts on those who were at the door, and who is
-- at the door on the order in which the room empties. So who has waited long enough keeps its
-- place, which its flag tells, and goes on from there when it enters again.
--
-- spec/model/szymanski.pml checks it, and what comes of giving up.
-- @module shm.exclusion.szymanski
local M = {name = "szymanski"}

--- The words that it runs on; all are 0 at first.
-- @int n processes
function M.words(n)
  local names = {}
  for i = 1, n do
    names[i] = "flag" .. i
  end
  return names
end

--- Binds it to words, for one process.
-- @tparam table words see shm.exclusion.words
-- @int me from 1 to n
-- @int n processes
-- @treturn function enter: gives true, or what await gave
-- @treturn function leave: gives true, or what await gave
function M.bind(words, me, n)
  local flag, show = words.reader("flag" .. me), words.writer("flag" .. me)
  local fence, await = words.fence, words.await
  local others, lower, higher = {}, {}, {}
  for i = 1, n do
    if i ~= me then
      local theirs = words.reader("flag" .. i)
      others[#others + 1] = theirs
      local side = i < me and lower or higher
      side[#side + 1] = theirs
    end
  end

  local function is_open()
    for i = 1, #others do
      if others[i]() > 2 then
        return false
      end
    end
    return true
  end

  local function any_at(value)
    for i = 1, #others do
      if others[i]() == value then
        return true
      end
    end
    return false
  end

  local function is_shut()
    return any_at(4)
  end

  local function is_first()
    for i = 1, #lower do
      if lower[i]() > 1 then
        return false
      end
    end
    return true
  end

  local function has_been_seen()
    for i = 1, #higher do
      local at = higher[i]()
      if at == 2 or at == 3 then
        return false
      end
    end
    return true
  end

  local function enter()
    local at = flag() -- 0, or where it was when the last wait ended too early
    if at < 2 then
      show(1)
      fence()
      local ok, message, errno = await(is_open)
      if not ok then
        return nil, message, errno
      end
      at = 3
      show(3)
    end
    if at == 3 then
      fence()
      if any_at(1) then
        at = 2
        show(2)
      end
    end
    if at == 2 then
      local ok, message, errno = await(is_shut)
      if not ok then
        return nil, message, errno
      end
    end
    show(4)
    return await(is_first)
  end

  local function leave()
    local ok, message, errno = await(has_been_seen)
    if not ok then
      return nil, message, errno
    end
    show(0)
    return true
  end

  return enter, leave
end

return M
