-- One flag word between a client that writes lines and a server that consumes them, until the
-- line "end". You will see what the server reads. In two terminals, at key 1234:
--
--   lua5.4 examples/05_flag_handover.lua server     or the text's C program
--   lua5.4 examples/05_flag_handover.lua client     or the text's C program; type lines
--
-- The text spins on a plain word. This one is atomic and waited for: a peer that wakes is heard
-- at once, and one that does not, such as the text's, within 20 ms.
local process = require "shm.process"
local sysv = require "shm.sysv"

-- struct { int written_by_you; char some_text[TEXT_SZ]; }, whose length the text does not show
local FLAG, TEXT, TEXT_SZ = 0, 4, 2048

local function wait_for(region, value)
  while region:load32(FLAG) ~= value do
    region:wait(FLAG, 1 - value, 0.02)
  end
end

local function set(region, value)
  region:store32(FLAG, value) -- the text is written before, or was read
  region:wake(FLAG)
end

local function server(region)
  local line
  repeat
    wait_for(region, 1)
    line = region:unpack(TEXT, "z")
    print("You wrote: " .. line:gsub("\n$", ""))
    set(region, 0)
  until line:match "^end"
end

local function client(region, lines)
  for line in lines do
    wait_for(region, 0)
    region:pack(TEXT, "z", line:sub(1, TEXT_SZ - 1))
    set(region, 1)
    if line:match "^end" then
      return
    end
  end
end

local key = arg[1] and 1234 or sysv.IPC_PRIVATE
local id = assert(sysv.shmget(key, TEXT + TEXT_SZ, sysv.IPC_CREAT))
local region <close> = assert(sysv.shmat(id))
if arg[1] == "client" then
  return client(region, io.lines(nil, "L"))
elseif not arg[1] then
  process.fork(function() client(region, ("one\ntwo\nend\n"):gmatch "[^\n]+\n") end)
end
server(region)
assert(id:remove())
--> You wrote: one
--> You wrote: two
--> You wrote: end
