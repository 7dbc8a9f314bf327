-- What `make demo` shows: the group chat with three clients over TCP, as each of them sees it;
-- two programs that find each other, the ways to wake each other that lose wake-ups, and what is
-- left of processes that are killed; and what the kernel has of it all, meanwhile and after.
local chat = require "shm.chat"
local peer = require "shm.peer"
local process = require "shm.process"
local socket = require "cqueues.socket"

io.stdout:setvbuf "line"

local function title(text)
  print(("\n== %s %s"):format(text, ("="):rep(88 - #text)))
end

-- What ipcs -m says of our segments; other programs may have theirs. Returns how many it knows.
local ours_by_id = {}

local function segments()
  local known = 0
  for line in io.popen("ipcs -m"):lines() do
    local id = tonumber(line:match "^0x%x+%s+(%d+)")
    if ours_by_id[id] or line:match "^key" then
      print(line)
      known = known + (id and 1 or 0)
    end
  end
  return known
end

title "A chat server for three, a process of its own"
local ours, theirs = assert(process.socketpair())
local server = assert(process.fork(function()
  ours:close()
  assert(chat.serve {
    port = 0, limit = 3,
    log = function(line) print("server: " .. line) end,
    ready = function(_, port) theirs:send(tostring(port)) end,
  })
end))
theirs:close()
local port = assert(ours:recv(100, 5))

local WIDTH = 31
local columns = {{"-- first client"}, {"-- second client"}, {"-- third client"}}

-- A client, with the column that shows what it types and reads.
local function join(column)
  local connection = assert(socket.connect("127.0.0.1", port))
  connection:setmode("bn", "bn")
  connection:settimeout(5)
  return {connection = connection, column = column}
end

local function note(client, text)
  local line = ""
  for word in text:gmatch "%S+" do
    if #line + #word > WIDTH - 2 then
      table.insert(client.column, line)
      line = " "
    end
    line = line == "" and word or line .. " " .. word
  end
  table.insert(client.column, line)
end

local function hear(client, wanted)
  repeat
    local line = assert(client.connection:read "*l", "the server has hung up")
    note(client, line)
  until line:find(wanted, 1, true)
end

-- Types a line; the others have read it before the next one is typed.
local function say(client, line, wanted, ...)
  note(client, "> " .. line)
  client.connection:write(line .. "\n")
  for _, other in ipairs {...} do
    hear(other, wanted)
  end
end

local ann = join(columns[1])
hear(ann, "welcome")
local bob = join(columns[2])
hear(bob, "welcome")
local eve = join(columns[3])
hear(eve, "welcome")
say(ann, "/nick ann", "now ann", ann, bob, eve)
say(bob, "/nick bob", "now bob", ann, bob, eve)
say(eve, "/nick eve", "now eve", ann, bob, eve)
say(ann, "hello, everybody", "hello, everybody", bob, eve)
say(eve, "hi ann", "hi ann", ann, bob)
hear(join {}, "too many users")
title "Meanwhile: what the server and its children share goes with the last of them"
for line in io.lines(("/proc/%d/maps"):format(server.pid)) do
  if line:find("rw-s", 1, true) then
    print(line)
  end
end
say(bob, "/quit", "bye", bob)
hear(ann, "bob left")
hear(eve, "bob left")
note(bob, "-- another takes its place")
local dan = join(columns[2])
hear(dan, "welcome")
say(dan, "what did I miss?", "miss?", ann, eve)
say(ann, "/who", "3 here", ann)
server:kill "TERM"
for _, client in ipairs {ann, eve, dan} do
  hear(client, "closing")
end
print("server: ended with", server:wait(5))

title "The conversation, as each client saw it (what it typed after >)"
for i = 1, math.max(#columns[1], #columns[2], #columns[3]) do
  local cells = ""
  for _, column in ipairs(columns) do
    cells = cells .. ("%-" .. WIDTH .. "s"):format(column[i] or "")
  end
  print((cells:gsub("%s+$", "")))
end

title "Two programs that know only a path exchange their pids"
local path = os.tmpname()
local link = assert(peer.serve(path))
ours_by_id[link.id] = true
print(("A server at %s waits with its pid in a segment; this is how it is found:"):format(path))
segments()
link:close()
os.remove(path)

-- And what else has an example, each a program with processes of its own.
local here = arg[0]:match "^(.*/)" or ""
for _, it in ipairs {
  {"Two programs, each a process of its own, that both do it", "11_pid_exchange"},
  {"Which way of sleeping and waking is reliable: twenty wake-ups each", "19_waking"},
  {"A server is killed with -9, and goes on with all it had acknowledged", "21_crash_survival"},
  {"A primary is killed, and one of two replicas takes over", "22_primary_and_replica"},
} do
  title(it[1])
  assert(os.execute(("lua5.4 '%s%s.lua'"):format(here, it[2])), it[2] .. " failed")
end

title "Afterwards, ipcs -m"
assert(segments() == 0, "a segment of the demo's is left")
print "Nothing is left of any of it."
