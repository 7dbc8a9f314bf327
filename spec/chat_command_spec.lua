-- The command `shm serve`, and what `shm chat` is told: options, their limits, and how it ends.
local chat = require "shm.chat"
local chat_support = require "spec.chat_support"
local commands = require "shm.chat.commands"
local process = require "shm.process"
local support = require "spec.support"

describe("the command shm", function()
  -- What a module's function is called with, a line for each option in their order.
  local function passes(module, f, arguments)
    local script = ([[
      package.loaded["%s"] = {%s = function(opts)
        local lines = {}
        for name, value in pairs(opts) do
          lines[#lines + 1] = name .. "=" .. (type(value) == "function" and "f" or tostring(value))
        end
        table.sort(lines)
        io.write(table.concat(lines, " "))
        return true
      end}]]):format(module, f)
    return support.shell(("lua5.4 -e '%s' lua/shm/command.lua %s 2>&1"):format(script, arguments))
  end

  it("passes all on that it is told", function()
    assert.equal("backlog=1048576 grace=5 history=20 host=127.0.0.1 limit=64 log=f memory=1048576 "
                 .. "port=9523 ready=f tcp=true", passes("shm.chat", "serve", "serve"))
    assert.equal("backlog=20000 grace=0.5 history=7 host=::1 keep=k limit=5 log=f memory=70000 "
                 .. "path=/x port=0 ready=f tcp=false", passes("shm.chat", "serve", "serve "
                 .. "--backlog 20000 --grace 0.5 --history 7 --host ::1 --keep k --limit 5 "
                 .. "--memory 70000 --unix /x --port 0 --no-tcp"))
    assert.equal("colour=true host=127.0.0.1 port=9523",
                 passes("shm.chat.client", "run", "chat"))
    assert.equal("colour=false host=h nick=ann path=/x port=5", passes("shm.chat.client", "run",
                 "chat --host h --port 5 --unix /x --nick ann --no-color"))
  end)

  it("says its version, and helps also where that is asked for by a word", function()
    local function said(arguments)
      return support.shell("lua5.4 lua/shm/command.lua " .. arguments .. " 2>&1")
    end
    assert.equal(require("shm")._VERSION .. "\n", said "--version")
    assert.equal("shm: standard output: No space left on device\n1\n",
                 support.shell "lua5.4 lua/shm/command.lua --version 2>&1 >/dev/full; echo $?")
    assert.matches("^Usage: ", said "--help")
    assert.equal(said "--help", said "help")
    assert.equal(said "serve --help", said "help serve")
    assert.equal("shm: unknown command 'x' (see shm help --help)\n", said "help x")
  end)

  it("tells the limits that there are", function()
    local help = support.shell "lua5.4 lua/shm/command.lua serve --help":gsub("%s+", " ")
    local n = 0
    local range = "%-%-(%a+) <%a+> [^.<]-, (%d+) to (%d+)( ?G?i?B?)"
    for name, least, most, giga in help:gmatch(range) do
      n = n + 1
      least, most = math.tointeger(least), math.tointeger(most) << (giga == " GiB" and 30 or 0)
      for _, value in ipairs {least - 1, most + 1} do
        local ok, why = pcall(chat.serve, {[name] = value})
        assert.is_false(ok)
        local said = "chat.serve: %s: %d is not within %d and %d"
        assert.equal(said:format(name, value, least, most), why)
      end
      for _, value in ipairs {least, most} do -- these are taken; only the address is not there
        assert.equal(99, select(3, chat.serve {[name] = value, host = "192.0.2.1", port = 0}))
      end
    end
    assert.equal(4, n)
  end)

  it("says why there is no server at a name that has no address", function()
    local done, message, code = chat.serve {host = "no.such.host.invalid", port = 0}
    assert.is_nil(done)
    assert.matches("^chat%.serve no%.such%.host%.invalid:0: ", message)
    assert.is_true(code < 0) -- the resolver's
  end)

  it("asks for no name that the server would not give", function()
    local said = "shm: nick: a name has 1 to 32 bytes, none of them a blank or one of : , / *"
      .. " (see shm chat --help)\n"
    for _, wrong in ipairs {"", ("x"):rep(33), "a b", "a\tb", "a:b", "a,b", "a/b", "a*b", "\127"} do
      assert.is_false(commands.is_name(wrong))
      assert.equal(said, support.shell(
        ("lua5.4 lua/shm/command.lua chat --nick '%s' 2>&1"):format(wrong)))
    end
    for _, right in ipairs {"x", ("x"):rep(32), "ä", "\255", "a.b-c_d"} do
      assert.is_true(commands.is_name(right))
    end
  end)

  -- Runs the server; the pipe from it, its pid, and a function that gives the next line that
  -- matches.
  local function serve(arguments)
    local pipe = assert(io.popen("echo $$; exec lua5.4 lua/shm/command.lua serve " .. arguments))
    local pid = pipe:read "n"
    return pipe, pid, function(pattern)
      for line in pipe:lines() do
        if line:match(pattern) then
          return line:match(pattern)
        end
      end
    end
  end

  it("serves until Ctrl-C, also after SIGHUP, with what was said", function()
    local pipe, pid, expect = serve "--port 0"
    assert.matches("^127%.0%.0%.1:%d+$", expect "^%d%d:%d%d:%d%d listening on (%S+), %d+ bytes")
    local port = expect "^Join with: nc 127%.0%.0%.1 (%d+)   %(Ctrl%-C here ends the chat%)$"
    local server = {port = math.tointeger(port)}
    local ann = chat_support.connect(server)
    ann:write "hello\n/who\n"
    ann:expect "^%* (1) here"
    assert(process.kill(pid, "HUP"))
    ann:expect "^%* (the server restarts): come again$"
    assert.is_nil(ann:read())
    ann:close()
    assert.truthy(expect "(listening again)")
    ann = chat_support.connect(server)
    ann:expect "^guest1: (hello)$"
    assert(process.kill(pid, "INT"))
    ann:expect "^%* (the server is closing)$"
    ann:close()
    assert.same({true, "exit", 0}, {pipe:close()})
  end)

  it("says how to join where there is no port", function()
    local path = os.tmpname()
    os.remove(path)
    local pipe, pid, expect = serve("--no-tcp --unix " .. path)
    assert.equal(path, expect "^%S+ listening on (%S+), ")
    assert.equal(path, expect "^Join with: nc %-U (%S+)   ")
    chat_support.connect {path = path}:close()
    assert(process.kill(pid, "TERM"))
    assert.same({true, "exit", 0}, {pipe:close()})
    assert.matches("No such file", support.shell("ls " .. path .. " 2>&1"))
  end)

  it("goes on when nobody reads its log any more", function()
    local path = os.tmpname()
    os.remove(path)
    support.shell("mkfifo " .. path)
    local pipe, pid = serve("--port 0 >" .. path)
    local log = assert(io.open(path))
    local port
    repeat
      port = log:read "l":match "^Join with: nc 127%.0%.0%.1 (%d+)"
    until port
    log:close()
    os.remove(path)
    local server = {port = math.tointeger(port)}
    for _ = 1, 3 do
      chat_support.connect(server):close()
    end
    local ann = chat_support.connect(server)
    ann:say "hello"
    ann:close()
    ann = chat_support.connect(server)
    ann:expect ": (hello)$"
    ann:close()
    assert(process.kill(pid, "TERM"))
    assert.same({true, "exit", 0}, {pipe:close()})
  end)
end)
