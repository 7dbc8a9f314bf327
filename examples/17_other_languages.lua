-- A program in C takes jobs from a queue and publishes what it has done, of which it knows no
-- more than examples/peer.h says. You will see its answers; and that it may be killed with -9
-- while it waits, without anybody here noticing.
local process = require "shm.process"
local shm = require "shm"

local NAME <const> = "/shm-example-" .. process.pid()
local program = os.tmpname()
assert(os.execute("gcc -O2 -o " .. program .. " examples/peer.c"))

local arena <close> = assert(shm.arena(NAME))
local jobs <close> = arena:queue "jobs"
local news <close> = arena:topic "news"
local listener <close> = news:subscribe()

local function peer(words)
  local pipe <close> = assert(io.popen(("%s %s %s"):format(program, NAME, words)))
  return pipe:read "l"
end

jobs:push "dig a hole"
jobs:push(42)
print("C has popped:", peer "pop jobs", peer "pop jobs")
peer "publish news 'the hole is dug' 43"
print("C has published:", listener:next(5), listener:next(5))

local waits = io.popen(("echo $$; exec %s %s pop jobs"):format(program, NAME))
process.kill(waits:read "n", "KILL")
print("it was killed:", waits:close())
jobs:push "fill it in"
print("another popped:", peer "pop jobs")

os.remove(program)
assert(shm.unlink(NAME))
--> C has popped:	dig a hole	42
--> C has published:	the hole is dug	43
--> it was killed:	nil	signal	9
--> another popped:	fill it in
