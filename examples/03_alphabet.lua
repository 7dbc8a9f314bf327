-- Two programs that know one key: the server creates the segment, the client writes A, AB, ABC
-- up to the whole alphabet, the server shows what it sees and removes the segment. You will see
-- what the server sees at the end. In two terminals, in the same folder:
--
--   lua5.4 examples/03_alphabet.lua server     or the text's C program
--   lua5.4 examples/03_alphabet.lua client     or the text's C program
local process = require "shm.process"
local sysv = require "shm.sysv"
local SIZE = 4096

local function server()
  local key = assert(sysv.ftok(".", 0x6666))
  local id = assert(sysv.shmget(key, SIZE, sysv.IPC_CREAT | sysv.IPC_EXCL))
  local region <close> = assert(sysv.shmat(id))
  local seen
  repeat
    local text = region:unpack(0, "z")
    if text ~= seen and arg[1] then
      print("client# " .. text)
    end
    seen = text
    process.sleep(0.01)
  until #seen == 26
  print("the server saw " .. seen)
  assert(id:remove())
end

local function client(id)
  local region <close> = assert(sysv.shmat(id))
  for i = 0, 25 do
    region:set_u8(i + 1, 0)             -- the end first: nobody reads past it
    region:set_u8(i, ("A"):byte() + i)
    process.sleep(0.01)
  end
end

local function find() -- a server that begins at the same time may come second
  local id
  for _ = 1, 500 do
    id = id or process.sleep(0.01) and sysv.shmget(sysv.ftok(".", 0x6666), SIZE)
  end
  return assert(id, "there is no server in this folder")
end

if arg[1] == "server" then
  server()
elseif arg[1] == "client" then
  client(find())
else
  local child = assert(process.fork(server))
  client(find())
  print(child:wait(5))
end

--> the server saw ABCDEFGHIJKLMNOPQRSTUVWXYZ
--> exit	0
