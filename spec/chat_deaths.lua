-- A chat under load whose children, and now and then whose server, are killed with -9 at random:
-- those who are not killed read every line of each other, once and in order; and what somebody
-- has read is in the history that the next server shows. `spec/chat_rooms_spec.lua` runs some
-- rounds of it, and `make soak` runs this file with a thousand: lua5.4 spec/chat_deaths.lua 1000
local chat_support = require "spec.chat_support"
local cqueues = require "cqueues"
local process = require "shm.process"
local shm = require "shm"

local M = {}

local STAY <const>, LEAVE <const> = 4, 6 -- clients that are not killed, and that are
local EACH <const> = 10                  -- children killed by a server's end
local TIMEOUT = chat_support.TIMEOUT

-- What each of those who stay reads of the others, until each of them has said so many lines.
local function read_all(client, stay, lines)
  local counts, missing = {}, 0
  for _, other in ipairs(stay) do
    if other ~= client then
      counts[other.name], missing = 0, missing + lines
    end
  end
  while missing > 0 do
    local line = assert(client:read(), "one was cut off that was not killed")
    local name, n = line:match "^(guest%d+): line (%d+) of this life$"
    if counts[name] then
      counts[name] = counts[name] + 1
      assert(counts[name] == tonumber(n), line .. " is out of order")
      missing = missing - 1
    else
      assert(line:match "^guest%d+: chatter %d+$" or line:match "^%* ", "torn: " .. line)
    end
  end
end

-- One that talks and reads until it is cut off, and then is somebody else.
local function chatter(server, state)
  while state.lives do
    local ok, client = pcall(chat_support.connect, server)
    if not ok then
      return
    end
    state.victims[client.name] = true
    client.connection:settimeout(0.01)
    local n = 0
    repeat
      n = n + 1
      client.connection:read(-4096)
      client.connection:clearerr()
      cqueues.sleep(0.001)
    until not state.lives or not client.connection:write(("chatter %d\n"):format(n))
      or not client.connection:flush()
    client:close()
  end
end

-- Kills children of those who chatter, while the others go on.
local function kill_some(server, state, most)
  local done = 0
  while state.lives and done < most do
    cqueues.sleep(0.002 + math.random() * 0.03)
    local pids = {}
    for name, pid in server.log():gmatch "(guest%d+) joined from [^\n]- served by pid (%d+)" do
      if state.victims[name] then
        pids[#pids + 1] = {name, math.tointeger(tonumber(pid))}
      end
    end
    local victim = pids[1] and pids[math.random(#pids)]
    if victim then
      state.victims[victim[1]] = nil
      done = done + (process.kill(victim[2], "KILL") and 1 or 0)
    end
  end
  return done
end

-- What the next server shows of before holds all that somebody had read.
local function look_back(server, read)
  local client = chat_support.connect(server)
  client:say "/who"
  local last = {}
  for line in function() return client:read() end do
    if line:match "^%* %d+ here" then
      break
    end
    local who, n = line:match "^(guest%d+): again (%d+)$"
    if who then
      n = tonumber(n)
      assert(not last[who] or n == last[who] + 1, "the history has a gap at " .. line)
      last[who] = n
    end
  end
  client:close()
  for who, n in pairs(read) do
    assert((last[who] or 0) >= n, ("%s was read up to %d, and is kept up to %d"):format(
      who, n, last[who] or 0))
  end
end

--- Runs rounds of one server's life each, which ends by kill -9 but for the last.
-- @string name of the arena
-- @int kills how many children are to be killed, and servers too for one in EACH of them
-- @treturn table kills, restarts
function M.run(name, kills)
  local said = {kills = 0, restarts = 0}
  local lines = 200
  while said.kills + said.restarts < kills do
    local server = chat_support.serve {
      keep = name, limit = 32, history = 1000, memory = 1 << 20, grace = TIMEOUT,
    }
    local ok, why = pcall(function()
      local stay, state, jobs = {}, {lives = true, victims = {}}, {}
      for i = 1, STAY do
        stay[i] = chat_support.connect(server)
      end
      local finished = 0
      for _, client in ipairs(stay) do
        jobs[#jobs + 1] = function()
          for n = 1, lines do
            client:say(("line %d of this life"):format(n))
            if n % 20 == 0 then
              cqueues.sleep(0.01)
            end
          end
        end
        jobs[#jobs + 1] = function()
          read_all(client, stay, lines)
          finished = finished + 1
          state.finished = finished == STAY
        end
      end
      for _ = 1, LEAVE do
        jobs[#jobs + 1] = function() chatter(server, state) end
      end
      jobs[#jobs + 1] = function()
        said.kills = said.kills + kill_some(server, state, math.min(EACH, kills - said.kills))
        while not state.finished do
          cqueues.sleep(0.005)
        end
        state.lives = false
      end
      chat_support.together(table.unpack(jobs))
      -- The server, in the middle of what all say: what one has read of it by then is kept.
      jobs = {}
      local last = {}
      for i, client in ipairs(stay) do
        last[client.name] = 0
        jobs[#jobs + 1] = function()
          local n = 0
          while not state.over and pcall(client.say, client, ("again %d"):format(n + 1)) do
            n = n + 1
            cqueues.sleep(0.001)
          end
        end
        jobs[#jobs + 1] = function()
          for line in function() return client:read() end do
            local who, n = line:match "^(guest%d+): again (%d+)$"
            if i == 1 and who then
              last[who] = tonumber(n)
            end
          end
        end
      end
      jobs[#jobs + 1] = function()
        cqueues.sleep(math.random() * 0.1)
        server.stop "KILL"
        state.over = true
        said.restarts = said.restarts + 1
      end
      chat_support.together(table.unpack(jobs))
      for _, client in ipairs(stay) do
        client:close()
      end
      local again = chat_support.serve {keep = name, limit = 32, history = 1000}
      local whole, gap = pcall(look_back, again, last)
      again.stop()
      assert(whole, gap)
      assert(shm.unlink(name)) -- names begin anew, and so do their lines
    end)
    server.stop "KILL"
    assert(ok, why)
  end
  return said
end

if arg and arg[0] and arg[0]:match "chat_deaths%.lua$" then
  local name, wanted = "shm-soak-chat-" .. process.pid(), tonumber(arg[1] or 1000)
  local seed = tonumber(arg[2]) or os.time()
  math.randomseed(seed)
  shm.unlink(name)
  local before = process.monotonic()
  local ok, said = pcall(M.run, name, wanted)
  shm.unlink(name)
  if not ok then
    io.stderr:write("the chat's deaths, seed ", seed, ": ", tostring(said), "\n")
    os.exit(1)
  end
  print(("chat: %d children and %d servers killed in %.0f s, no line lost or torn")
    :format(said.kills, said.restarts, process.monotonic() - before))
end

return M
