-- The chat: a thousand clients, of which a hundred talk at once, against the design of the
-- textbooks in C, with room for as many. What counts is a line that came whole and in order to
-- one client. Of ours none may be missing; of the textbook's those count that came.
local chat = require "shm.chat"
local place = require "bench.place"
local process = require "shm.process"
local scale = require "bench.scale"

local CLIENTS <const>, TALKERS <const> = scale.of(1000, 20), scale.of(100, 5)
local LINES <const>, AHEAD <const> = scale.of(30, 3), 4
local PROGRAMS <const> = "build/bench/"
local memory, lost -- KiB for a client of ours; a part of the textbook's lines

local function read_file(path)
  local file <close> = io.open(path)
  return file and file:read "a" or ""
end

local function children(pid)
  return read_file(("/proc/%d/task/%d/children"):format(pid, pid)):gmatch "%d+"
end

-- Kilobytes of a server's children, each with its share of what several have; and their number.
local function size_of(pid)
  local sum, n = 0, 0
  for child in children(pid) do
    sum = sum + tonumber(read_file("/proc/" .. child .. "/smaps_rollup"):match "Pss:%s+(%d+)" or 0)
    n = n + 1
  end
  return sum, n
end

-- Starts the clients on a port, lets them talk, and returns what they have counted.
local function talk(port, pid)
  local fifo = place.folder .. "/talk"
  assert(os.execute("mkfifo -m 600 " .. fifo))
  local command = "exec %schat_clients %d %d %d %d %d <%s 2>/dev/null"
  local pipe <close> = assert(io.popen(command:format(PROGRAMS, port, CLIENTS, TALKERS, LINES,
                                                      AHEAD, fifo)))
  local go <close> = assert(io.open(fifo, "w"))
  os.remove(fifo)
  assert(pipe:read "l" == "joined", "the clients could not join: see ulimit -n")
  go:write "\n"
  go:flush()
  local delivered, all, seconds, wrong = pipe:read("n", "n", "n", "n")
  local kilobytes, n = size_of(pid)
  go:write "\n"
  return {delivered = delivered, all = all, seconds = seconds, wrong = wrong,
          each = kilobytes / math.max(1, n)}
end

local function ours()
  local told, tells = assert(process.socketpair())
  local server = assert(process.fork(function()
    assert(chat.serve {port = 0, limit = CLIENTS, history = 0, ready = function(_, port)
      tells:send(tostring(port))
    end})
  end))
  local port = tonumber((assert(told:recv(10, 10))))
  local ok, result = pcall(talk, port, server.pid)
  server:kill "TERM"
  server:wait(30)
  told:close()
  tells:close()
  assert(ok, result)
  assert(result.delivered == result.all and result.wrong == 0,
         ("the chat: %d of %d lines came, and %d wrong"):format(result.delivered, result.all,
                                                               result.wrong))
  memory = result.each
  return result
end

local function textbook()
  local pipe <close> = assert(io.popen(("exec %schat_textbook %d"):format(PROGRAMS, CLIENTS)))
  local port, pid = pipe:read("n", "n")
  local ok, result = pcall(talk, port, pid)
  for child in children(pid) do -- it may miss the end of one, and then wait for ever
    process.kill(math.tointeger(tonumber(child)), "KILL")
  end
  process.kill(pid, "KILL")
  assert(ok, result)
  lost = 1 - result.delivered / result.all
  return result
end

-- Nanoseconds for each line that was delivered.
local function of(run)
  return function()
    local result = run()
    return result.seconds / math.max(1, result.delivered) * 1e9
  end
end

return {{
  name = ("chat, %d of %d talk"):format(TALKERS, CLIENTS), rounds = 1, passes = scale.of(3, 1),
  {name = "shm.chat", kind = "ours", times = 1, run = of(ours)},
  {name = "the textbook's design in C", kind = "peer", goal = 1 / 3, times = 1, run = of(textbook),
   note = function()
     return ("none of ours lost, there %.0f %%; %.0f KiB a client"):format(100 * lost, memory)
   end},
}}
