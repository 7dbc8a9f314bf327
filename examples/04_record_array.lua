-- An array of C structs in a segment that one program writes and another reads: ten people with
-- names of one letter, at key 9527. You will see what the reader sees, and the struct as C knows
-- it. In two terminals:
--
--   lua5.4 examples/04_record_array.lua write     or the text's C program
--   lua5.4 examples/04_record_array.lua read      or the text's C program, and removes it
local shm = require "shm"
local sysv = require "shm.sysv"

local people = shm.record {name = "people", {"name", "char[4]"}, {"age", "i32"}}

local function write(id)
  local region <close> = assert(sysv.shmat(id))
  for i, person in ipairs(people:array(region, 0, 10)) do
    person.name = string.char(("a"):byte() + i)
    person.age = 19 + i
  end
end

local function read(id)
  local region <close> = assert(sysv.shmat(id, nil, sysv.SHM_RDONLY))
  local seen = {}
  for i, person in ipairs(people:array(region, 0, 10)) do
    seen[i] = person.name .. " " .. person.age
  end
  print(table.concat(seen, "; "))
  assert(id:remove())
end

if arg[1] == "write" then
  write(assert(sysv.shmget(9527, 4096, sysv.IPC_CREAT)))
elseif arg[1] == "read" then
  read(assert(sysv.shmget(9527, 4096)))
else
  local id = assert(sysv.shmget(sysv.IPC_PRIVATE, 4096, sysv.IPC_CREAT))
  write(id)
  read(id)
  print(people:size(), people:offset "age")
  print((people:c_header():match "struct people.-};"))
end

--> b 20; c 21; d 22; e 23; f 24; g 25; h 26; i 27; j 28; k 29
--> 8	4
--> struct people {
-->     char name[4];
-->     int32_t age;
--> };
