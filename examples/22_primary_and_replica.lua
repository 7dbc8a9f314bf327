-- What you will see: a primary counts, and replicas follow it, each with a copy of its own. The
-- primary is killed with -9: a replica takes over, and counts on. That one is stopped, and finds
-- itself fenced when it goes on: the other has taken over. Nothing acknowledged is lost.
--
-- What each does fits in two terminals as well: open a node of the group, run() until it is
-- the primary, incr.
local process = require "shm.process"
local replica = require "shm.replica"
local shm = require "shm"

local NAME <const> = "shm-example-" .. process.pid()
local acked <close> = assert(shm.anonymous(4096))  -- how far the count was acknowledged

local function count(id)
  local node <close> = assert(replica.open(NAME, {id = id}))
  assert(node:run(20))                   -- follows, until it is the primary
  while true do
    local n, message, errno = node:incr("count", 1, 0)
    if not n then
      print("b is refused:", errno == 116, message:match "b is .*")
      break
    end
    acked:store(0, n)
  end
  node:step(20)                          -- a replica again, from here on it follows
  print("b:", node:role(), "sees what was written by", node:read("by", 0, 20))
end

local function until_it_counts(id)
  local eye <close> = assert(replica.open(NAME, {id = "c", readonly = true}))
  local from, term, primary
  repeat
    term, primary = eye:term()
    from = primary == id and (from or acked:load(0))
    process.sleep(0.001)
  until from and acked:load(0) > from + 100
  print(("%s counts, in term %d"):format(primary, term))
end

local a = assert(process.fork(count, "a"))
repeat
  process.sleep(0.001)
until acked:load(0) > 100
local c = assert(replica.open(NAME, {id = "c"}))
until_it_counts "a"                      --> a counts, in term 1
local b = assert(process.fork(count, "b"))

a:kill "KILL"
print("a:", a:wait(20))                  --> a:	signal	KILL
until_it_counts "b"                      --> b counts, in term 2

b:kill "STOP"
print("c took over:", c:takeover(20), c:role())          --> c took over:	true	primary
print("nothing is lost:", c:get "count" >= acked:load(0))  --> nothing is lost:	true
c:set("by", "c")
b:kill "CONT"           --> b is refused:	true	b is fenced, c is the primary in term 3
print("b:", b:wait(20))                  --> b:	replica	sees what was written by	c
c:close()                                --> b:	exit	0
assert(replica.unlink(NAME))
