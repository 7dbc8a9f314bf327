-- A writer and a reader that know two names: a POSIX shared memory object and a semaphore that
-- says there is something in it. You will see the message arrive. In two terminals:
--
--   lua5.4 examples/08_posix_writer_and_reader.lua write     or the text's C++ program
--   lua5.4 examples/08_posix_writer_and_reader.lua read      or the text's C++ program
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"

local MEMORY, SEMAPHORE = "/posix_shm_demo", "/posix_sem_demo"

local function write()
  -- Of the right size from the first moment on: a reader that comes early finds it or does
  -- not, but never an object of no bytes.
  local region <close> = assert(shm.open(MEMORY, 10))
  local sem <close> = assert(posix.sem_open(SEMAPHORE, posix.O_CREAT))
  region:pack(0, "z", "yuki...")
  assert(sem:post())
end

local function read()
  local region <close> = assert(shm.attach(MEMORY))
  local sem <close> = assert(posix.sem_open(SEMAPHORE))
  assert(sem:wait(5))
  print("received " .. region:unpack(0, "z"))
end

local function remove()
  shm.unlink(MEMORY)
  posix.sem_unlink(SEMAPHORE)
end

if arg[1] == "write" then
  write()
elseif arg[1] == "read" then
  read()
  remove()
else
  local child = assert(process.fork(write))
  print(child:wait(5))
  for _, entry in ipairs(posix.list()) do
    if entry.name == MEMORY then
      print(entry.kind, entry.size, ("%o"):format(entry.mode))
    end
  end
  read()
  remove()
  print(shm.attach(MEMORY))
end

--> exit	0
--> memory	10	600
--> received yuki...
--> nil	shm.attach '/posix_shm_demo': No such file or directory	2
