--- Lamport's bakery (1974), for n: who enters takes a number greater than all it sees, and says
-- so while it chooses; then it waits for each that chooses, and for each that has a smaller
-- number, or the same one and comes before it. First come, first served.
--
-- Two fences are needed, each between a store and loads of the others' words: after choosing is
-- set, as else two may choose at once without being seen to, and after it is cleared, as else
-- two may each miss the other's number. In between stores stay in order on x86.
--
-- Numbers grow for as long as somebody is in the bakery. At ten million a second those of 64 bits
-- last for 29,000 years; then enter is EOVERFLOW until all have left.
--
-- spec/model/bakery.pml checks it.
-- @module shm.exclusion.bakery
local M = {name = "bakery"}

local EOVERFLOW <const> = 75

--- The words that it runs on; all are 0 at first.
-- @int n processes
function M.words(n)
  local names = {}
  for i = 1, n do
    names[i], names[n + i] = "choosing" .. i, "number" .. i
  end
  return names
end

--- Binds it to words, for one process.
-- @tparam table words see shm.exclusion.words
-- @int me from 1 to n
-- @int n processes
-- @treturn function enter: gives true, or what await gave, or nil, message, EOVERFLOW
-- @treturn function leave
-- @treturn function withdraw, for who has given up entering
function M.bind(words, me, n)
  local choose, take = words.writer("choosing" .. me), words.writer("number" .. me)
  local fence, await = words.fence, words.await
  local mine = 0
  local numbers, has_chosen, comes_later = {}, {}, {}
  for i = 1, n do
    if i ~= me then
      local choosing, number = words.reader("choosing" .. i), words.reader("number" .. i)
      numbers[#numbers + 1] = number
      has_chosen[#has_chosen + 1] = function()
        return choosing() == 0
      end
      comes_later[#comes_later + 1] = function()
        local theirs = number()
        return theirs == 0 or theirs > mine or theirs == mine and i > me
      end
    end
  end

  local function enter()
    choose(1)
    fence()
    local greatest = 0
    for i = 1, #numbers do
      local theirs = numbers[i]()
      if theirs > greatest then
        greatest = theirs
      end
    end
    if greatest == math.maxinteger then
      return nil, "Value too large for defined data type", EOVERFLOW
    end
    mine = greatest + 1
    take(mine)
    choose(0)
    fence()
    for i = 1, #numbers do
      local ok, message, errno = await(has_chosen[i])
      if ok then
        ok, message, errno = await(comes_later[i])
      end
      if not ok then
        return nil, message, errno
      end
    end
    return true
  end

  local function leave()
    take(0)
    return true
  end

  local function withdraw()
    take(0)
    choose(0)
    return true
  end

  return enter, leave, withdraw
end

return M
