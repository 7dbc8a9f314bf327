-- The chat: a thousand clients, of which a hundred talk at once, against the design of the
-- textbooks in C, with room for as many. What counts is a line that came whole and in order to
-- one client. Of ours none may be missing; of the textbook's those count that came.
local chat = require "shm.chat"
local process = require "shm.process"

local CLIENTS <const>, TALKERS <const>, LINES <const>, AHEAD <const> = 1000, 100, 30, 4
local PROGRAMS <const> = "build/bench/"
local memory -- KiB for a client of ours

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
  local fifo = os.tmpname()
  os.remove(fifo)
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
  return result
end

-- Nanoseconds for each line that was delivered.
local function of(run)
  return function(n)
    if n == 0 then
      return 0
    end
    local result = run()
    return result.seconds / math.max(1, result.delivered) * 1e9, result
  end
end

local lost = 0
local baseline = of(textbook)

return {{
  name = "chat, 100 of 1000 talk", against = "the textbook's design in C", goal = 1 / 3,
  times = 1, rounds = 1, clock = process.monotonic, work = of(ours),
  baseline = function(n)
    local ns, result = baseline(n)
    lost = result and 1 - result.delivered / result.all or lost
    return ns
  end,
  note = function()
    return (", none lost; there %.0f %% lost; %.0f KiB a client"):format(100 * lost, memory)
  end,
}}
