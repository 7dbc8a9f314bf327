-- Chat servers and clients for the specs: the server a process of its own, ours or the
-- textbook's; the clients sockets of cqueues.
local assert = require "luassert"
local cqueues = require "cqueues"
local process = require "shm.process"
local socket = require "cqueues.socket"
local support = require "spec.support"

local M = {}

M.TIMEOUT = support.LONG

--- Starts our server in a child. `log` collects into a file, which log() reads back. A process
-- that is waited for is not given up but for who asks for that: it may be a slow tool that runs it.
function M.serve(opts)
  local told, tells = assert(process.socketpair "seqpacket")
  local path = os.tmpname()
  local child = assert(process.fork(function()
    local chat = require "shm.chat"
    local log <close> = assert(io.open(path, "w"))
    told:close()
    opts.port = 0
    opts.grace = opts.grace or M.TIMEOUT
    function opts.ready(_, port)
      assert(tells:send(tostring(port or 0)))
      tells:close()
    end
    function opts.log(line)
      log:write(line, "\n")
      log:flush()
    end
    local done, message = chat.serve(opts)
    if not done then
      error(message)
    end
  end))
  tells:close()
  local port = math.tointeger(tonumber((assert(told:recv(10, M.TIMEOUT)))))
  told:close()
  local server = {
    child = child, port = port, clients = {},
    log = function()
      return support.read_file(path)
    end,
    -- Ends it, and tells how it ended; once it has ended, nothing.
    stop = function(signal)
      if path then
        child:kill(signal or "TERM")
        local how, code = child:wait(M.TIMEOUT)
        child:close()
        os.remove(path)
        path = nil
        return how, code
      end
    end,
  }
  --- Hangs up its clients, for which it need not wait then, and ends it, if nothing has yet.
  function server.finish()
    for _, client in ipairs(server.clients) do
      client:close()
    end
    local how, code = server.stop()
    if how ~= nil and (how ~= "exit" or code ~= 0) then
      error(("the server has ended by %s %s"):format(how, code), 2)
    end
  end
  return server
end

--- Starts the textbook's server. Its clients get no welcome.
function M.serve_textbook(program, limit)
  local command = "unset ASAN_OPTIONS LD_PRELOAD; exec %s %d 2>/dev/null"
  local pipe = assert(io.popen(command:format(program, limit)))
  local port, pid = pipe:read("n", "n")
  local server = {child = {pid = pid}, port = port, silent = true}
  function server.stop()
    local ok, children = pcall(M.children, server) -- it may have crashed
    process.kill(pid, "KILL")
    for _, child in ipairs(ok and children or {}) do
      process.kill(child, "KILL")
    end
    pipe:close()
  end
  return server
end

local Client = {}
Client.__index = Client

--- Connects a client. It waits for the server's welcome where it is given one.
-- @tparam table server what serve gave
function M.connect(server)
  local connection = assert(server.path and socket.connect {path = server.path}
    or socket.connect("127.0.0.1", server.port))
  connection:onerror(function(_, _, why) return why end)
  connection:setmode("bn", "bn")
  connection:settimeout(M.TIMEOUT)
  assert(connection:connect(M.TIMEOUT))
  local client = setmetatable({connection = connection, server = server}, Client)
  if server.clients then
    table.insert(server.clients, client)
  end
  if not server.silent then
    client.name = assert(client:expect("^%* welcome, (%S+);"))
  end
  return client
end

function Client:write(bytes)
  assert(self.connection:write(bytes))
  assert(self.connection:flush())
end

function Client:say(line)
  self:write(line .. "\n")
end

--- The next line, or nil at the end.
function Client:read(timeout)
  self.connection:settimeout(timeout or M.TIMEOUT)
  local line = self.connection:read "*l"
  self.connection:clearerr()
  return line
end

--- Reads lines until one matches, and returns what it captures.
function Client:expect(pattern)
  local seen = {}
  for line in function() return self:read() end do
    local found = line:match(pattern)
    if found then
      return found, line
    end
    seen[#seen + 1] = line
  end
  error(("no line matches '%s' in: %s"):format(pattern, table.concat(seen, " | ")), 2)
end

function Client:close()
  self.connection:close()
end

--- The pid of a client's child, which the server tells of once the client may be welcome already.
function M.pid_of(server, name)
  return support.eventually(function()
    return tonumber(server.log():match(name .. " joined from [^\n]- served by pid (%d+)"))
  end)
end

--- The children of a server.
function M.children(server)
  local pids = {}
  local path = ("/proc/%d/task/%d/children"):format(server.child.pid, server.child.pid)
  for pid in support.read_file(path):gmatch "%d+" do
    pids[#pids + 1] = math.tointeger(tonumber(pid))
  end
  return pids
end

--- Whether a server and its children sleep, and did so all of the last fifth of a second: it has
-- nothing to do. One that waits for a cpu does not sleep.
function M.is_idle(server)
  local function runs()
    local sum = {}
    for _, pid in ipairs {server.child.pid, table.unpack(M.children(server))} do
      local ok, stat = pcall(support.read_file, ("/proc/%d/stat"):format(pid))
      local state = ok and stat:match "%) (%a)"
      if state ~= "S" and state ~= "Z" then
        return nil
      end
      sum[#sum + 1] = support.read_file(("/proc/%d/schedstat"):format(pid))
    end
    return table.concat(sum)
  end
  local before = runs()
  process.sleep(0.2)
  return before ~= nil and before == runs()
end

--- Runs functions side by side until all have returned; an error in one is raised.
function M.together(...)
  local loop = cqueues.new()
  for _, f in ipairs {...} do
    loop:wrap(f)
  end
  for message in loop:errors(M.TIMEOUT * 4) do
    error(message, 0)
  end
  assert(loop:empty(), "it took too long")
end

--- One says more than the memory has room for, and another hears all of it.
function M.overfill(speaker, name, listener)
  local text, lines = ("x"):rep(900), 500
  M.together(function()
    for n = 1, lines do
      speaker:say(n .. text)
    end
  end, function()
    for n = 1, lines do
      assert.equal(n .. text, (listener:expect("^" .. name .. ": (.*)$")))
    end
  end)
end

return M
