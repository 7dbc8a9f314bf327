-- What you will see: four workers take jobs from one queue, count results in one map, and
-- one of them is killed while it works; the others go on. Everybody hears of the end by a
-- topic. All of it lies in one piece of shared memory, and is found there by name.
local shm = require "shm"
local process = require "shm.process"

local NAME <const> = "shm-example-" .. process.pid()
local arena <close> = assert(shm.arena(NAME, {size = 1 << 20}))

local function work()
  local mine <close> = assert(shm.arena(NAME))  -- attached anew, as an unrelated process would
  local jobs, done, news = mine:queue "jobs", mine:map "done", mine:topic "news"
  local listener = news:subscribe {from = "oldest"}
  for job in function() return (jobs:pop(5)) end do
    if job.fatal then
      process.kill(process.pid(), "KILL")
    end
    done:incr(job.kind, job.n, 0)
  end
  process.exit(listener:next(5) == "closing time" and 0 or 1)
end

local jobs, done, news = arena:queue "jobs", arena:map "done", arena:topic "news"
local workers = {}
for i = 1, 4 do
  workers[i] = assert(process.fork(work))
end

local expected = {apples = 0, pears = 0}
for n = 1, 1000 do
  local kind = n % 3 == 0 and "pears" or "apples"
  expected[kind] = expected[kind] + n
  assert(jobs:push({kind = kind, n = n}))
  if n == 500 then
    assert(jobs:push({fatal = true}))  -- whoever takes this dies with it, and with no other
  end
end
assert(jobs:shutdown())  -- who has taken the last job is told so
assert(news:publish "closing time")

local ends = {}
for _, worker in ipairs(workers) do
  ends[#ends + 1] = table.concat({worker:wait(10)}, " ")
end
table.sort(ends)
print(table.concat(ends, ", "))  --> exit 0, exit 0, exit 0, signal KILL

print(done:get "apples" == expected.apples, done:get "pears" == expected.pears)  --> true	true
print(#jobs, #done, arena:check())  --> 0	2	true

assert(shm.unlink(NAME))
