--- The filter lock, Peterson's algorithm for n (1981): there are n - 1 levels, and on each the
-- last one to come is its victim, which waits until another one is, or nobody else is on this
-- level or a higher one. So each level keeps one back, and one is left. Nobody waits for ever,
-- but others may overtake as often as they like.
--
-- One fence is needed on each level, between the store to its victim and the loads of the
-- others' levels: without it two may each find the other where it was before, and both pass.
-- That the level is stored before the victim matters as well; stores stay in order on x86.
--
-- spec/model/filter.pml checks it.
-- @module shm.exclusion.filter
local M = {name = "filter"}

--- The words that it runs on; all are 0 at first.
-- @int n processes
function M.words(n)
  local names = {}
  for i = 1, n do
    names[i] = "level" .. i
  end
  for level = 1, n - 1 do
    names[n + level] = "victim" .. level
  end
  return names
end

--- Binds it to words, for one process.
-- @tparam table words see shm.exclusion.words
-- @int me from 1 to n
-- @int n processes
-- @treturn function enter: gives true, or what await gave
-- @treturn function leave
-- @treturn function withdraw, for who has given up entering
function M.bind(words, me, n)
  local rise, fence, await = words.writer("level" .. me), words.fence, words.await
  local others, become, passed = {}, {}, {}
  for i = 1, n do
    if i ~= me then
      others[#others + 1] = words.reader("level" .. i)
    end
  end
  for level = 1, n - 1 do
    local victim = words.reader("victim" .. level)
    become[level] = words.writer("victim" .. level)
    passed[level] = function()
      if victim() ~= me then
        return true
      end
      for i = 1, #others do
        if others[i]() >= level then
          return false
        end
      end
      return true
    end
  end

  local function enter()
    for level = 1, n - 1 do
      rise(level)
      become[level](me)
      fence()
      local ok, message, errno = await(passed[level])
      if not ok then
        return nil, message, errno
      end
    end
    return true
  end

  local function leave()
    rise(0)
    return true
  end

  return enter, leave, leave
end

return M
