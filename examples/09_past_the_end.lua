-- What is behind the end of a mapped file? 5000 bytes are mapped, first at 5000 bytes and then at
-- 12288, three pages. In C the process is killed by SIGSEGV or SIGBUS; you will see an error for
-- each, and the process go on.
local posix = require "shm.posix"
local shm = require "shm"

local path = os.tmpname()
local file <close> = assert(posix.open(path, posix.O_RDWR))
assert(posix.ftruncate(file, 5000))

local function look(region, offset)
  local ok, value = pcall(region.get_u8, region, offset)
  print(offset, ok and value or value:match "%((.*)%)":gsub(" of /.*", ""))
end

local exact <close> = assert(shm.map(path))
print(exact:read(4998, 2) == "\0\0")
look(exact, 4999)
look(exact, 5000) -- C reads 0 up to the end of the page

local larger <close> = assert(shm.map(path, {size = 12288}))
look(larger, 8191)
look(larger, 8192)
look(larger, 12287)
look(larger, 12288)

assert(posix.ftruncate(file, 12288)) -- a file that grows is there at once
look(larger, 12287)
os.remove(path)

--> true
--> 4999	0
--> 5000	offset: 5000, and 1 bytes from there, is not within the 5000 bytes
--> 8191	0
--> 8192	memory behind this region is gone, or could not be had
--> 12287	memory behind this region is gone, or could not be had
--> 12288	offset: 12288, and 1 bytes from there, is not within the 12288 bytes
--> 12287	0
