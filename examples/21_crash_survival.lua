-- What you will see: a bank keeps its accounts in shared memory, and is killed with -9 in the
-- middle of a transfer. The next one goes on with every transfer that had been made, and with no
-- half of the last. While one serves no other can; by SIGTERM the last one gives the memory back.
local durable = require "shm.durable"
local process = require "shm.process"
local shm = require "shm"

local NAME <const> = "shm-example-" .. process.pid()

local function init(state)  -- of a new bank: there is none until this has returned
  state.map:set("ann", 50)
  state.map:set("bob", 50)
end

local function transfer(state, amount, in_between)
  state.map:transaction(function(t)
    t:incr("ann", -amount)
    if in_between then
      in_between()
    end
    t:incr("bob", amount)
  end)
end

-- A server: says what it finds, makes some transfers, and waits for its end.
local function bank(transfers, last)
  local channel, theirs = assert(process.socketpair "seqpacket")
  local server = assert(process.fork(function()
    assert(durable.serve(NAME, {init = init}, function(state, signals)
      print("a bank:", state.began, state.map:get "ann" .. " " .. state.map:get "bob")
      io.stdout:flush()
      for _ = 1, transfers do
        transfer(state, 10)
      end
      theirs:send "ready"
      if last then
        transfer(state, 10, function() process.kill(process.pid(), "KILL") end)
      end
      print("it was told to end by", (signals:wait(10)))
    end))
  end))
  assert(channel:recv(10, 10) == "ready")
  return server
end

local first = bank(3, true)                         --> a bank:	new	50 50
print("it ended by", first:wait(10))                --> it ended by	signal	KILL

local second = bank(1)                              --> a bank:	recovered	20 80
local other, message = durable.open(NAME)
print("another:", other, (message:gsub("'.-'", "'bank'")))
--> another:	nil	durable.open 'bank': pid 4711 serves it
second:kill "TERM"
print("it ended by", second:wait(10))               --> it was told to end by	TERM
--> it ended by	exit	0
print("no memory is left:", shm.attach(NAME) == nil)  --> no memory is left:	true
