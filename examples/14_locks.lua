-- Two processes share an account under a mutex. You will see that a lock goes on to the next
-- one, who is told so, when its holder is killed with -9, and that a transaction which was
-- under way then is undone, as is one that fails.
local process = require "shm.process"
local shm = require "shm"

local bank <close> = assert(shm.anonymous(4096))
local FROM, TO <const> = 2048, 2056
local mutex <close> = assert(shm.mutex.create(bank, 0, {journal = 256}))
bank:store(FROM, 100)

local function move(amount, instant)
  bank:store(FROM, bank:load(FROM) - amount)
  if instant then
    instant()
  end
  bank:store(TO, bank:load(TO) + amount)
end

local function show(what)
  print(what, bank:load(FROM) .. " + " .. bank:load(TO))
end

bank:transaction(mutex, move, 30)
show "moved:"

local child = assert(process.fork(function()
  bank:transaction(mutex, move, 30, function()
    process.kill(process.pid(), "KILL")
  end)
end))
print("the child:", child:wait())
show "it left:"
local _, word, pid = assert(mutex:lock())
print("locked:", word, pid == child.pid)
show "undone:"
mutex:unlock()

print("an error:", pcall(bank.transaction, bank, mutex, move, 30, function()
  error("no more", 0)
end))
show "undone:"
--> moved:	70 + 30
--> the child:	signal	KILL
--> it left:	40 + 30
--> locked:	recovered	true
--> undone:	70 + 30
--> an error:	false	no more
--> undone:	70 + 30
