-- What the code in a Markdown file does, compared with what the file says that it does.
--
-- Blocks run in the order in which they stand, in a folder with links to the checkout's parts, so
-- that what a guide makes stays out of the checkout:
--
--   ```lua      A first line "-- name.lua" makes it a file; else it runs, and has to print what
--               stands behind its "-->".
--   ```c        A first line "/* name.c" makes it a file, and it compiles without warnings.
--   ```console  A terminal. "# words" as its first line says which, of those that are open at the
--               same time. "$ command" is typed to a shell, "> line" to what runs, "^C" is the
--               key; other lines are what the terminal shows, all of it, until the command ends.
--               One that has not ended by the end of its block goes on while others run. Below
--               a line "  $ command   $ command" are the columns of two terminals more, row by row.
--               What runs in the three of them is ended by Ctrl-C, whatever it says to that.
--   ```text     A picture, which layouts_spec reads.
--
-- The chat's port, 9523, is one that is free here. A number that begins with 47 and has four digits
-- or more stands for one that differs from run to run, the same for the same (in Lua that runs,
-- within its block); a time of day for any; and "…" for anything.
local cqueues_socket = require "cqueues.socket"
local process = require "shm.process"
local support = require "spec.support"
local terminal_support = require "spec.terminal_support"

local M = {}

local PORT <const> = "9523"

local LINKED <const> = "Makefile shm-dev-1.rockspec src lua spec examples lua_modules/bin "
  .. "lua_modules/lib lua_modules/share"
local PROMPT <const> = "[shm-guide]$ "

--- The fenced blocks of a Markdown file: tables with language, text and line.
function M.blocks(path)
  local blocks, open, n = {}, nil, 0
  for line in io.lines(path) do
    n = n + 1
    local language = line:match "^%s*```(%w*)"
    if language and open then
      open.text = table.concat(open, "\n") .. "\n"
      blocks[#blocks + 1], open = open, nil
    elseif language then
      open = {language = language, line = n, path = path}
    elseif open then
      open[#open + 1] = line
    end
  end
  assert(not open, path .. ": a block has no end")
  return blocks
end

--- What compares lines, and remembers which number stands for which; and that memory.
function M.matcher()
  local stands_for, taken = {}, {}
  local function same(number, actual)
    if not number:find "^47%d%d+$" then
      return number == actual
    elseif not stands_for[number] and not taken[actual] then
      stands_for[number], taken[actual] = actual, true
    end
    return stands_for[number] == actual
  end
  return function(expected, actual)
    local numbers = {}
    local pattern = expected:gsub("%p", "%%%0")
      :gsub("%f[%d]%d%d%%:%d%d%%:%d%d", "%%d%%d:%%d%%d:%%d%%d")
      :gsub("…", ".-")
      :gsub("%f[%d]47%d%d+%f[%D]", function(number)
        numbers[#numbers + 1] = number
        return "(%d+)"
      end)
    local found = {actual:match("^" .. pattern .. "$")}
    if not found[1] then
      return false
    end
    for i, number in ipairs(numbers) do
      if not same(number, found[i]) then
        return false
      end
    end
    return true
  end, stands_for
end

local Session = {}
Session.__index = Session

-- None of those that the kernel gives to who asks for any, as guides do beside this one.
local function free_port()
  for n = 0, 9999 do
    local port = 20000 + (process.pid() * 7 + n) % 10000
    local listener = cqueues_socket.listen {host = "127.0.0.1", port = port}
    listener:onerror(function(_, _, why) return why end)
    local free = listener:listen()
    listener:close()
    if free then
      return tostring(port)
    end
  end
  error "no port is free"
end

--- A folder with links to the parts of this one, and with no terminal yet.
function M.session()
  local folder = support.shell("mktemp -d"):match "%S+"
  os.execute("mkdir " .. folder .. "/lua_modules")
  for name in LINKED:gmatch "%S+" do
    assert(os.execute(("ln -s \"$PWD/%s\" %s/%s"):format(name, folder, name)))
  end
  os.execute("touch " .. folder .. "/lua_modules/built") -- or make would build the checkout's
  local matches, stands_for = M.matcher()
  return setmetatable({folder = folder, terminals = {}, matches = matches,
                       stands_for = stands_for, port = free_port(), unused = {}}, Session)
end

local function fail(block, words, ...)
  error(("%s:%d: " .. words):format(block.path, block.line, ...), 0)
end

function Session:write(name, text)
  local file <close> = assert(io.open(self.folder .. "/" .. name, "w"))
  assert(file:write(text))
end

-- What a command or a program names is not there in vain.
function Session:uses(text)
  for name in pairs(self.unused) do
    if text:find("%f[%w_]" .. name:match "^[%w_]+" .. "%f[^%w_]") then
      self.unused[name] = nil
    end
  end
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "([^\n]*)\n" do
    lines[#lines + 1] = line
  end
  return lines
end

local function compare(matches, block, expected, actual)
  for i = 1, math.max(#expected, #actual) do
    if not (expected[i] and actual[i] and matches(expected[i], actual[i])) then
      fail(block, "line %d is to be\n  %s\nand is\n  %s\nof\n%s", i, expected[i] or "the end",
           actual[i] or "the end", table.concat(actual, "\n"))
    end
  end
end

function Session:lua(block)
  local name = block[1]:match "^%-%- ([%w_]+%.lua)%f[^%w_.]"
  self:uses(block.text)
  if name then
    self:write(name, block.text)
    self.unused[name] = block
    return
  end
  self:write("block.lua", block.text)
  local expected = {}
  for line in block.text:gmatch "%-%-> ?([^\n]*)" do
    expected[#expected + 1] = line
  end
  local output = support.shell(("cd %s && timeout -k 5 %d lua5.4 block.lua 2>&1 </dev/null"):format(
    self.folder, 60 * support.patience))
  compare(M.matcher(), block, expected, lines_of(output))
end

function Session:c(block)
  local name = block[1]:match "^/%* ([%w_]+%.[ch])%f[^%w_.]"
  if not name then
    fail(block, "its first line does not say which file it is")
  end
  self:write(name, block.text)
  self.unused[name] = block
  local said = support.shell(("cd %s && gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wshadow "
                              .. "-Iexamples -fsyntax-only %s 2>&1"):format(self.folder, name))
  if said ~= "" then
    fail(block, "%s", said)
  end
end

-- What a terminal shows since its last command was typed, and whether that has ended.
local function shown(terminal)
  local text = terminal.it.seen:sub(terminal.since):gsub("\r", "")
  local at = text:find(PROMPT, 1, true)
  return text:sub(1, at and at - 1 or -1), at ~= nil
end

local function await(block, terminal, what, done)
  local deadline = process.monotonic() + terminal_support.TIMEOUT
  while not done() do
    if not terminal.it:more(deadline) then
      fail(block, "%s; the terminal shows\n%s", what, (shown(terminal)))
    end
  end
end

-- The command has ended, and there was no more to see.
local function settle(self, block, terminal)
  await(block, terminal, "the command goes on", function()
    return select(2, shown(terminal))
  end)
  local text = shown(terminal)
  if terminal.interrupted then -- the shell goes to a new line
    text = text:gsub("\n$", "")
  end
  text = (text == "" or text:match "\n$") and text or text .. "\n"
  compare(self.matches, terminal.block or block, terminal.expected, lines_of(text))
  terminal.expected, terminal.since = {}, #terminal.it.seen + 1
end

function Session:terminal(name, block)
  if not self.terminals[name] then
    local env = "env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS" -- or make tells that make runs it
    local it = terminal_support.run(("%s PS1=%q ENV= PORT=%s sh -i"):format(
      env, PROMPT:gsub("%$", "\\%0"), self.port), 500)
    it.screen = {show = function() end} -- what is seen does
    local terminal = {it = it, expected = {}, since = 1}
    self.terminals[name] = terminal
    local function ready()
      return select(2, shown(terminal))
    end
    await(block, terminal, "there is no shell", ready)
    it:type(("stty -echo; cd %s; true READY\n"):format(self.folder))
    await(block, terminal, "there is no shell", function()
      return it.seen:find("READY.*" .. PROMPT:gsub("%p", "%%%0"))
    end)
    terminal.since = #it.seen + 1
  end
  return self.terminals[name]
end

-- The lines from n on, which show two terminals side by side, up to an empty one; returns where
-- that is.
local function side_by_side(self, block, n)
  local at = block[n]:find("  $ ", 4, true) + 2
  local columns = {{from = 3, to = at - 1}, {from = at, to = -1}}
  for i, column in ipairs(columns) do
    column.block = {path = block.path, line = block.line + n, "# column " .. i}
    column[1] = block[n]:sub(column.from, column.to):match "^(.-) *$"
  end
  while block[n + 1] and block[n + 1] ~= "" do
    n = n + 1
    for _, column in ipairs(columns) do
      local cell = block[n]:sub(column.from, column.to):match "^(.-) *$"
      column.block[2], column.block[3] = column[1] or cell, column[1] and cell
      column[1] = nil
      if cell ~= "" then
        self:console(column.block)
      end
    end
  end
  for _, name in ipairs {block.name, "column 1", "column 2"} do
    self.terminals[name].shared = true
  end
  return n + 1
end

function Session:console(block)
  local name, first = block[1]:match "^# (.*)", 1
  if name then
    first = 2
  end
  block.name = name or ""
  local terminal = self:terminal(block.name, block)
  local i = first - 1
  while i < #block do
    i = i + 1
    local line = (block[i]:gsub(PORT, self.port))
    local kind, rest = line:match "^([$>]) (.*)"
    if line == "" and block[i + 1] and block[i + 1]:find "^  %$ .*  %$ " then
      i = side_by_side(self, block, i + 1) -- which is in the columns of the text
    elseif kind == "$" then
      if terminal.busy then
        settle(self, block, terminal)
      end
      self:uses(rest)
      terminal.busy, terminal.block, terminal.interrupted = true, block, false
      terminal.since = #terminal.it.seen + 1
      terminal.it:type(rest:gsub("%f[%d]47%d%d+%f[%D]", self.stands_for) .. "\n")
    elseif kind == ">" then
      terminal.it:type(rest .. "\n")
    elseif line == "^C" then
      terminal.interrupted = true
      terminal.it:type "\3"
    else
      terminal.expected[#terminal.expected + 1] = line
      local n = #terminal.expected
      await(block, terminal, "there is no line " .. line, function()
        local text, ended = shown(terminal)
        local lines = lines_of(text)
        if lines[n] and not self.matches(line, lines[n]) then
          fail(block, "line %d is to be\n  %s\nand is\n  %s", n, line, lines[n])
        end
        return lines[n] or ended
      end)
    end
  end
end

--- Runs a block.
function Session:run(block)
  if block.language ~= "text" then
    local run = self[block.language]
    if not run or not rawget(Session, block.language) then
      fail(block, "nobody runs %s", block.language)
    end
    run(self, block)
  end
end

--- Waits until all has ended: how long that takes is to be in the text, as by ^C.
function Session:finish(path)
  for name, block in pairs(self.unused) do
    fail(block, "nothing runs %s", name)
  end
  for _, terminal in pairs(self.terminals) do
    if terminal.shared then
      terminal.it:type "\3"
      await({path = path, line = 0}, terminal, "it goes on after Ctrl-C", function()
        return select(2, shown(terminal))
      end)
    elseif terminal.busy then
      settle(self, {path = path, line = 0}, terminal)
    end
    terminal.it:type "exit\n"
    terminal.it:wait()
  end
end

--- To be called whatever has happened.
function Session:close()
  for _, terminal in pairs(self.terminals) do
    if terminal.busy and terminal.it.pipe then
      terminal.it:type "\3"
    end
  end
  for _, terminal in pairs(self.terminals) do
    terminal.it:close()
  end
  os.execute("rm -rf " .. self.folder)
end

return M
