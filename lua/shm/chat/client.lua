--- A client of the chat, for a person at a terminal, or for lines from a pipe.
--
-- In a terminal the line that is typed stays at the bottom, and what the others say is printed
-- above it. Elsewhere lines are sent as they come, and after the last one `/quit`; what the
-- server says is printed until it hangs up.
--
-- One process does it all, in one loop, which stops for nothing: it reads from the server while
-- what was typed waits to be sent, and reads neither while what it prints is not taken. Signals
-- are read as events, from before the terminal is changed until it is as it was.
--
-- It needs cqueues.
-- @module shm.chat.client
local board = require "shm.chat.board"
local commands = require "shm.chat.commands"
local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local display = require "shm.chat.display"
local door = require "shm.chat.door"
local editor = require "shm.chat.editor"
local errors = require "cqueues.errno"
local options = require "shm.options"
local outbox = require "shm.chat.outbox"
local process = require "shm.process"
local shm = require "shm"
local socket = require "cqueues.socket"
local terminal = require "shm.chat.terminal"
local typed = require "shm.chat.typed"

local M = {}

local STDIN <const>, STDOUT <const> = 0, 1
local CHUNK <const> = 16384      -- bytes that are read or printed at a time
local MOST_WAITING <const> = 65536 -- bytes to be sent or printed, with which no more are read
local LONGEST <const> = 65536    -- bytes of a line from the server that are waited for
local CONNECTS <const> = 20      -- seconds
local REDRAWS <const> = 0.1      -- seconds without what is typed while much is printed
local PROMPT <const> = "> "
local TOO_LONG <const> = ("* not sent: a line has at most %d bytes"):format(board.LONGEST)
local EINTR <const>, EPIPE <const>, ETIMEDOUT <const> = 4, 32, 110

local OPTIONS = {
  host = {type = "string", default = "127.0.0.1"},
  port = {integer = true, default = 9523, least = 1, most = 65535},
  path = {type = "string"},
  nick = {type = "string"},
  colour = {type = "boolean", default = true},
}

local Client = {}
Client.__index = Client

-- Something for the server.
function Client:send(line)
  self.out:put(line .. "\n")
end

-- Something to be printed, a line of its own. What is being typed goes for that long.
function Client:print(line)
  if self.drawn then
    self.screen:put(self.editor.erase())
    self.drawn = false
  end
  self.screen:put(line .. "\n")
end

-- Behind this nothing is sent.
function Client:quit()
  if not self.quitting then
    self:send "/quit"
    self.quitting = true
  end
end

-- A line that was typed in the terminal.
function Client:enter(line)
  if line ~= "" then
    self:print(PROMPT .. display.own(line, self.colours))
    if line:find "^/quit%s*$" then
      self:quit()
    else
      self:send(line)
    end
  end
end

local happen = {line = Client.enter, ["end"] = Client.quit}

function happen.clear(client)
  client.screen:put "\27[H\27[2J"
end

function happen.interrupt(client)
  client.over = true
end

-- What came from standard input; nothing for its end.
function Client:type(data)
  if self.editor and data then
    self.stale = true
    for _, event in ipairs(self.editor:feed(data)) do
      if not self.quitting then
        happen[event[1]](self, event[2])
      end
    end
    return
  elseif not self.editor then
    local lines = {}
    self.typed:split(data or self.typed.rest ~= "" and "\n" or "", lines)
    for _, line in ipairs(lines) do
      self:send(line)
    end
  end
  if not data or self.typed.quit then
    self:quit()
  end
end

-- Whether to read what is typed.
function Client:types()
  return not self.quitting and self.out.size < MOST_WAITING and self.screen.size < MOST_WAITING
end

-- Reads from standard input. True if anything came.
function Client:listen()
  if not self:types() then
    return false
  end
  local n, _, errno = self.buffer:recv(STDIN, 0, CHUNK, 0)
  if errno == ETIMEDOUT then
    return false
  end
  self:type(n and n > 0 and self.buffer:read(0, n) or nil) -- a terminal that is gone, too, ends
  return true
end

-- Whether to read from the server.
function Client:hears()
  return not self.ended and self.screen.size < MOST_WAITING
end

-- Reads from the server. True if anything came.
function Client:hear()
  if not self:hears() then
    return false
  end
  local data, _, errno = self.server:recv(CHUNK, 0)
  if not data then
    self.ended = errno ~= ETIMEDOUT and errno ~= EINTR
    if self.ended and self.rest ~= "" then
      data = "\n"
    else
      return self.ended
    end
  end
  data = self.rest .. data
  local from = 1
  for line, behind in data:gmatch "([^\n]*)\n()" do
    self:print(display.heard(line:gsub("\r$", ""), self.colours))
    from = behind
  end
  self.rest = data:sub(from)
  if #self.rest > LONGEST then
    self:print(display.heard(self.rest, self.colours))
    self.rest = ""
  end
  return true
end

-- Sends what the server takes. True if it took anything.
function Client:deliver()
  if self.out.size == 0 or self.broken then
    return false
  end
  local sent, errno = self.out:send(self.server)
  self.broken = errno and errno ~= ETIMEDOUT -- and what it still says is heard
  return sent > 0
end

-- Prints what standard output takes. True if it took anything.
function Client:show()
  if self.screen.size == 0 then
    return false
  end
  local sent, errno = self.screen:send(self.printer)
  if errno and errno ~= ETIMEDOUT then
    self.over, self.unread = true, errno
  end
  return sent > 0
end

-- Draws what is being typed, if it is not there as it is.
function Client:draw()
  if not self.editor or self.quitting or self.ended or self.drawn and not self.stale then
    return false
  end
  self.screen:put(self.editor:draw())
  self.drawn, self.stale, self.drew = true, false, process.monotonic()
  return true
end

-- What a signal asks for. True if there was one.
function Client:obey()
  local signal = self.signals:wait(0)
  if self.editor and (signal == "WINCH" or signal == "CONT") then
    if signal == "CONT" then -- whoever had the terminal meanwhile may have changed it
      self.terminal:raw()
    end
    self.editor:resize(self.terminal:width())
    self.stale = true
  elseif signal and signal ~= "WINCH" and signal ~= "CONT" then
    self.over = true
  end
  return signal ~= nil
end

-- Sleeps until there is something to do.
function Client:sleep()
  local events = (self:hears() and "r" or "")
    .. (self.out.size > 0 and not self.broken and "w" or "")
  local waits = {self.signals}
  if events ~= "" and not self.ended then
    waits[#waits + 1] = {pollfd = self.server:fileno(), events = events}
  end
  if self:types() then
    waits[#waits + 1] = {pollfd = STDIN, events = "r"}
  end
  if self.screen.size > 0 then
    waits[#waits + 1] = {pollfd = STDOUT, events = "w"}
  end
  cqueues.poll(table.unpack(waits))
end

-- Until a signal, the server's end, or that of who reads what is printed.
function Client:converse()
  repeat
    local moved
    repeat
      moved = self:obey()
      moved = self:listen() or moved
      moved = self:deliver() or moved
      moved = self:hear() or moved
      if not moved or process.monotonic() > self.drew + REDRAWS then
        moved = self:draw() or moved
      end
      moved = self:show() or moved
    until not moved or self.over
    local done = self.over or self.ended and self.screen.size == 0
    if not done then
      self:sleep()
    end
  until done
end

-- Standard output, as a socket is to an outbox: the shared buffer stands between.
local function printer(buffer)
  local stdout = {}
  function stdout.send(_, data)
    local sent = 0
    repeat
      local piece = data:sub(sent + 1, sent + CHUNK)
      buffer:write(0, piece)
      local n, message, errno, some = buffer:send(STDOUT, 0, #piece, 0)
      sent = sent + (n and #piece or some)
      if not n then
        return nil, message, errno, sent
      end
    until sent == #data
    return true
  end
  return stdout
end

-- In the terminal, if there is one, or else with lines.
local function talk(client, opts)
  local is_shown = terminal.is_shown()
  local no_colour = os.getenv "NO_COLOR" or ""
  client.colours = opts.colour and is_shown and no_colour == ""
  local tty <close> = is_shown and terminal.open() or nil
  if tty then
    client.terminal, client.editor = tty, editor.new(tty:width(), PROMPT)
  end
  client.typed = typed.new(function()
    client:print(display.heard(TOO_LONG, client.colours))
  end)
  if opts.nick then
    client:send("/nick " .. opts.nick)
  end
  client:converse()
end

-- A connection to the server; or nil, message, errno.
local function connect(opts, where)
  local connection = socket.connect(opts.path and {path = opts.path}
    or {host = opts.host, port = opts.port, nodelay = true})
  connection:onerror(function(_, _, why) return why end)
  local done, why = connection:connect(CONNECTS)
  if not done then
    connection:close()
    return nil, ("chat.client %s: %s"):format(where, errors.strerror(why)), why
  end
  return connection
end

-- In a coroutine of the loop, which has to be at rest before the connection is closed. Gives what
-- M.run gives.
local function run(client, loop, opts)
  local where = opts.path or opts.host .. ":" .. opts.port
  local arrived, connection, message, errno = condition.new(), nil, nil, nil
  loop:wrap(function()
    connection, message, errno = connect(opts, where)
    arrived:signal()
  end)
  while not connection and not message do
    cqueues.poll(arrived, client.signals)
    local signal = client.signals:wait(0)
    if signal and signal ~= "WINCH" and signal ~= "CONT" then
      return true
    end
  end
  if not connection then
    return nil, message, errno
  end
  client.server, message, errno = process.channel(connection:pollfd())
  connection:close()
  if not client.server then
    return nil, ("chat.client %s: %s"):format(where, message), errno
  end
  talk(client, opts)
  if client.unread then
    return nil, "chat.client: standard output: " .. errors.strerror(client.unread), client.unread
  elseif client.ended and not client.over and (not client.quitting or client.out.size > 0) then
    return nil, ("chat.client %s: the server is gone"):format(where), EPIPE
  end
  return true
end

--- Takes part in a chat, with standard input and output, until who types leaves: by `/quit`,
-- Ctrl-D, Ctrl-C or the end of what comes, or by SIGTERM, SIGHUP or SIGQUIT. A terminal is as it
-- was before then, also after an error. Call it outside of any event loop.
-- @tparam[opt] table opts `host` (127.0.0.1) and `port` (9523), or `path`, a Unix-domain socket;
-- `nick`, the name to ask for; `colour`, false for none: there are none either where standard
-- output is no terminal, or where NO_COLOR is set
-- @treturn boolean true
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] int EPIPE (the server is gone, or who read what was printed), ECONNREFUSED, EMFILE …
-- or, negative, an error of the resolver
-- @raise what cqueues does where it has no descriptor, or no memory, for its loop
function M.run(opts)
  opts = options.read(opts, OPTIONS, "chat.client")
  if opts.nick and not commands.is_name(opts.nick) then
    error("chat.client: nick: " .. commands.A_NAME, 2)
  elseif opts.path and not door.is_path(opts.path) then
    error("chat.client: path: " .. door.A_PATH, 2)
  end
  process.signal("PIPE", "ignore")
  process.signal("CHLD", "default") -- ignored, it would take the ends of stty from us
  local signals <close>, message, errno =
    process.signals("INT", "TERM", "HUP", "QUIT", "WINCH", "CONT")
  if not signals then
    return nil, "chat.client: " .. message, errno
  end
  local buffer <close>, why, code = shm.anonymous(CHUNK)
  if not buffer then
    return nil, "chat.client: " .. why, code
  end
  local client = setmetatable({
    signals = signals, buffer = buffer, printer = printer(buffer),
    out = outbox.new(), screen = outbox.new(), rest = "", drew = 0,
  }, Client)
  local loop, results = cqueues.new(), nil
  loop:wrap(function()
    results = table.pack(pcall(run, client, loop, opts)) -- an error, too, closes the terminal
  end)
  repeat
    assert(loop:step())
  until results -- a connection that is still being made is left alone
  if client.server then
    client.server:close()
  end
  if not results[1] then
    error(results[2], 0)
  end
  return table.unpack(results, 2, results.n)
end

return M
