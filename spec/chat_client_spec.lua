-- The chat's client: its editor by itself, what it makes of lines, and all of it in terminals.
local chat_support = require "spec.chat_support"
local display = require "shm.chat.display"
local editor = require "shm.chat.editor"
local process = require "shm.process"
local socket = require "cqueues.socket"
local support = require "spec.support"
local terminal_support = require "spec.terminal_support"

local UP <const>, DOWN <const>, RIGHT <const>, LEFT <const> = "\27[A", "\27[B", "\27[C", "\27[D"
local PASTE <const>, PASTED <const> = "\27[200~", "\27[201~"

describe("the chat's line editor", function()
  -- Types keys into a new editor; its line has | where the cursor is.
  local function typing(keys, width)
    local one = editor.new(width or 40, "> ")
    local events = one:feed(keys)
    local characters = table.move(one.characters, 1, #one.characters, 1, {})
    table.insert(characters, one.cursor + 1, "|")
    return table.concat(characters), events, one
  end

  for name, row in pairs {
    ["inserts"] = {"abc", "abc|"},
    ["inserts in the middle"] = {"ac" .. LEFT .. "b", "ab|c"},
    ["goes left no further than the begin"] = {"a" .. LEFT .. LEFT .. LEFT .. "b", "b|a"},
    ["goes right no further than the end"] = {"ab" .. LEFT .. RIGHT .. RIGHT .. "c", "abc|"},
    ["deletes backwards"] = {"abc" .. LEFT .. "\127", "a|c"},
    ["deletes backwards by Ctrl-H"] = {"abc\8\8", "a|"},
    ["deletes nothing before the begin"] = {"ab\1\127", "|ab"},
    ["deletes forwards"] = {"abc\1\27[3~", "|bc"},
    ["deletes forwards by Ctrl-D"] = {"abc\1\4", "|bc"},
    ["deletes nothing behind the end"] = {"ab\27[3~\4", "ab|"},
    ["knows Home and End"] = {"bc\27[Ha\27[Fd", "abcd|"},
    ["knows Home and End of other terminals"] = {
      "bc\27[1~a\27[4~d\27OH0\27OF\27[7~_\27[8~e", "_0abcde|"},
    ["knows Ctrl-A and Ctrl-E"] = {"bc\1a\5d", "abcd|"},
    ["knows Ctrl-B and Ctrl-F"] = {"ad\2b\6\2c", "abc|d"},
    ["kills the rest of the line"] = {"abcd" .. LEFT .. LEFT .. "\11", "ab|"},
    ["kills what is before the cursor"] = {"abcd" .. LEFT .. "\21", "|d"},
    ["kills a word"] = {"one two  \23", "one |"},
    ["kills a word up to the cursor"] = {"one two" .. LEFT .. "\23", "one |o"},
    ["kills the only word"] = {"one\23\23", "|"},
    ["moves by characters"] = {"aä€𝄞" .. LEFT .. LEFT .. "b", "aäb|€𝄞"},
    ["deletes by characters"] = {"aä€𝄞\127\127", "aä|"},
    ["deletes characters forwards"] = {"ä€𝄞\1\4", "|€𝄞"},
    ["kills words of any letters"] = {"né été\23", "né |"},
    ["keeps bytes that are no UTF-8, one by one"] = {"a\xFFb\xC3" .. LEFT .. LEFT .. "c",
                                                     "a\xFFc|b\xC3"},
    ["takes no controls of Unicode"] = {"a\xC2\x9Bb", "ab|"},
    ["ignores what has no meaning"] = {"a\0\7\15\22\26\28\27[5~\27[1;2P\27OP\27xb", "ab|"},
    ["knows arrows with modifiers"] = {"ab\27[1;5Dc", "ac|b"},
    ["knows arrows of application mode"] = {"ab\27ODc", "ac|b"},
    ["begins again at an escape"] = {"ab\27\27[Dc", "ac|b"},
    ["takes a key behind a broken sequence"] = {"ab\27[\1c", "c|ab"},
    ["waits for no sequence for ever"] = {"\27[" .. ("1"):rep(99), ("1"):rep(99) .. "|"},
    ["takes tabs"] = {"a\tb", "a\tb|"},
    ["takes what is pasted for text"] = {
      PASTE .. "a\1\27[Db\21\27c\3\4" .. PASTED .. "d", "a[Dbcd|"},
  } do
    it(name, function()
      local line, events = typing(row[1])
      assert.equal(row[2], line)
      assert.same({}, events)
      -- Also byte by byte.
      local one = editor.new(40, "> ")
      for byte in row[1]:gmatch "." do
        assert.same({}, one:feed(byte))
      end
      assert.equal((line:gsub("|", "")), one:line())
    end)
  end

  it("gives lines", function()
    local line, events = typing "one\rtwo\nthree\r\nfour\r\rfi"
    assert.equal("fi|", line)
    assert.same({{"line", "one"}, {"line", "two"}, {"line", "three"}, {"line", "four"},
                 {"line", ""}}, events)
  end)

  it("gives lines that are pasted", function()
    local line, events = typing("a" .. PASTE .. "b\rc\r\nd\ne" .. PASTED .. "\1f")
    assert.equal("f|e", line)
    assert.same({{"line", "ab"}, {"line", "c"}, {"line", "d"}}, events)
  end)

  it("gives a line in the middle of which the cursor is", function()
    assert.same({{"line", "abc"}}, select(2, typing("abc" .. LEFT .. LEFT .. "\r")))
  end)

  it("tells of other keys", function()
    assert.same({{"clear"}, {"interrupt"}, {"end"}}, select(2, typing "\12\3\4"))
    assert.same({}, select(2, typing "a\1\4a\4"))
  end)

  it("goes through its history", function()
    local function history(keys)
      return (typing("one\rtwo\rtwo\r\r" .. keys))
    end
    assert.equal("two|", history(UP))
    assert.equal("one|", history(UP .. UP))
    assert.equal("one|", history(UP .. UP .. UP .. UP))
    assert.equal("two|", history(UP .. UP .. DOWN))
    assert.equal("draft|", history("draft" .. UP .. UP .. DOWN .. DOWN .. DOWN))
    assert.equal("one|", history "\16\16")
    assert.equal("|", history "\16\16\14\14")
    -- What is changed there is another line.
    local line, events, one = typing("one\r" .. UP .. "!\r" .. UP .. UP)
    assert.equal("one|", line)
    assert.same({"line", "one!"}, events[2])
    one:feed(DOWN)
    assert.equal("one!", one:line())
  end)

  it("keeps a history that does not grow for ever", function()
    local _, _, one = typing((("x%d\r"):rep(600)):gsub("%%d", (function()
      local n = 0
      return function() n = n + 1; return n end
    end)()))
    assert.equal(500, #one.history)
    one:feed((UP):rep(700))
    assert.equal("x101", one:line())
  end)

  -- Draws into a row where something else was, and compares.
  local function draws(one, row, column)
    local screen = terminal_support.screen(12)
    screen:show("?????????")
    screen:show(one:draw())
    assert.equal(row, screen:row())
    assert.equal(column, screen.column)
    assert.equal(1, #screen.rows)
  end

  it("draws", function()
    local _, _, one = typing("", 12)
    draws(one, "> ", 2)
    one:feed "abc"
    draws(one, "> abc", 5)
    one:feed(LEFT)
    draws(one, "> abc", 4)
    one:feed "\21ä€\1"
    draws(one, "> ä€c", 2)
    one:feed "\5\t\xFF\u{202E}x"
    draws(one, "> ä€c ??x", 9)
  end)

  it("scrolls a line that is longer than the terminal is wide", function()
    local _, _, one = typing("123456789", 12)
    draws(one, "> 123456789", 11)
    one:feed "0"
    draws(one, "> 234567890", 11)
    one:feed(LEFT:rep(9))
    draws(one, "> 234567890", 2)
    one:feed(LEFT)
    draws(one, "> 123456789", 2)
    one:feed "\5"
    draws(one, "> 234567890", 11)
    one:feed "\127\127"
    draws(one, "> 12345678", 10)
    one:feed "901234\1"
    draws(one, "> 123456789", 2)
    one:resize(8)
    draws(one, "> 12345", 2)
    one:feed "\5"
    draws(one, "> 01234", 7)
    one:resize(1) -- and yet something
    one:draw()
  end)

  it("is exact however long what is pasted", function()
    local text = ("0123456789ä"):rep(2000)
    local _, _, one = typing(PASTE .. text .. PASTED .. "\1" .. RIGHT:rep(11) .. "x")
    assert.equal(text:sub(1, 12) .. "x" .. text:sub(13), one:line())
  end)
end)

describe("what the chat's client shows", function()
  it("holds no control characters", function()
    for given, shown in pairs {
      ["plain"] = "plain", ["ä€𝄞"] = "ä€𝄞", ["a\tb"] = "a\tb", ["\27[2J"] = "^[[2J",
      ["\27]0;title\7"] = "^[]0;title^G", ["\0\r\127"] = "^@^M^?", ["\xC2\x9B2J"] = "<U+009B>2J",
      ["\x9B2J"] = "\\x9B2J", ["\xE2\x82"] = "\\xE2\\x82", ["\xC0\xAF"] = "\\xC0\\xAF",
      ["\u{202E}gpj"] = "<U+202E>gpj", ["\xED\xA0\x80"] = "\\xED\\xA0\\x80", ["ä\xFFö"] = "ä\\xFFö",
    } do
      assert.equal(shown, display.harmless(given))
      assert.equal(shown, display.heard(given, false))
    end
    math.randomseed(7)
    for _ = 1, support.rounds(1000) do
      local bytes = {}
      for i = 1, 20 do
        bytes[i] = string.char(math.random(0, 255))
      end
      local shown = display.harmless(table.concat(bytes))
      assert.is_number(utf8.len(shown))
      for _, code in utf8.codes(shown) do
        assert(code == 9 or not display.is_control(code), shown)
      end
    end
  end)

  it("has colours", function()
    local function heard(line)
      return display.heard(line, true)
    end
    assert.equal("\27[2m* ann joined\27[0m", heard "* ann joined")
    local ann = heard("ann: hi"):match "^(\27%[%d+m)ann\27%[0m: hi$"
    assert.equal(ann .. "ann\27[0m: other: words", heard "ann: other: words")
    assert.equal(ann .. "ann\27[0m\27[1;35m to you: hi\27[0m", heard "ann to you: hi")
    assert.not_equal(ann, heard("carl: hi"):match "^\27%[%d+m")
    assert.equal("no name", heard "no name")
    assert.equal("\27[1mmine\27[0m", display.own("mine", true))
    assert.equal("mine^[", display.own("mine\27", false))
    local colours = {}
    for i = 1, 100 do
      colours[heard(("guest%d: "):format(i)):match "^\27%[%d+m"] = true
    end
    local n = 0
    for _ in pairs(colours) do
      n = n + 1
    end
    assert.is_true(n >= 6)
  end)
end)

describe("shm chat", function()
  local server, others, terminals

  local function start()
    server, others, terminals = chat_support.serve {}, {}, {}
  end

  -- Clients first: the server waits a while for those that do not take their leave.
  local function stop()
    for _, list in ipairs {terminals, others} do
      for _, client in ipairs(list) do
        client:close()
      end
    end
    server.stop()
  end

  before_each(start)
  after_each(stop)

  local function command(arguments, script)
    return ("lua5.4 %s lua/shm/command.lua chat --port %d %s"):format(script or "", server.port,
                                                                      arguments or "")
  end

  -- The client in a terminal, and who talks to it.
  local function open(arguments, width, before, script)
    local one = terminal_support.run((before or "") .. " " .. command(arguments, script), width)
    terminals[#terminals + 1] = one
    one:shows_row "^%* welcome, guest1;"
    one:shows_line("> ", 2)
    assert.is_true(one.screen.modes["?2004"]) -- pastes are marked
    local other = chat_support.connect(server)
    others[#others + 1] = other
    one:shows_row "^%* guest2 joined$"
    return one, other
  end

  local function leaves(status, one)
    local how, settings = one:wait()
    assert.equal("as before", settings)
    assert.equal(status, how, one.screen:text())
    assert.is_false(one.screen.modes["?2004"]) -- no more
    assert.is_true(one.screen.modes["?7"])     -- and lines wrap
  end

  it("sends what is typed and edited, and prints what comes above it", function()
    local one, other = open()
    one:type("helö" .. LEFT .. "l")
    one:shows_line("> hellö", 6)
    other:say "hi"
    one:shows_row "^guest2: hi$"
    one:shows_line("> hellö", 6)
    other:say(("long "):rep(30))
    one:shows_line("> hellö", 6)
    one:type "\r"
    assert.equal("hellö", (other:expect "^guest1: (.*)$"))
    one:shows_line("> ", 2)
    one:shows_row "^> hellö$"
    one:type(UP .. " again\r")
    assert.equal("hellö again", (other:expect "^guest1: (.*)$"))
    one:type "\12"
    one:shows(function(screen)
      return screen:text() == "> " and screen.column == 2
    end)
    one:type "/msg guest2 psst\r"
    other:expect "^guest1 to you: psst$"
    one:type "/quit\r"
    leaves(0, one)
    one:shows_row "^%* bye$"
    other:expect "^%* guest1 left$"
  end)

  it("sends each line of what is pasted", function()
    local one, other = open "--nick ann"
    one:shows_row "^%* guest1 is now ann$"
    one:type "one\rtwo\rthree"
    one:shows_line("> three", 7)
    one:type(PASTE .. "\nfour\n\27[Dfive" .. PASTED)
    for _, line in ipairs {"one", "two", "three", "four"} do
      assert.equal(line, (other:expect "^ann: (.*)$"))
    end
    one:type("\r")
    assert.equal("[Dfive", (other:expect "^ann: (.*)$"))
    one:type "\4"
    leaves(0, one)
  end)

  it("shows what others send as something harmless", function()
    local one, other = open()
    one:type "mine"
    other:write "\27]0;title\7\27[2J\27[?1049h\x9B2J\xC2\x9B2J\27c\n"
    one:shows_row "^guest2: ^%[%]0;title^G^%[%[2J^%[%[%?1049h\\x9B2J<U%+009B>2J^%[c$"
    one:shows_line("> mine", 6)
    one:type "\3"
    leaves(0, one)
  end)

  it("has colours unless they are not wanted", function()
    local one, other = open()
    one:type "mine\r"
    other:expect "^guest1: mine$"
    other:say "/msg guest1 psst"
    one:shows_row "^guest2 to you: psst$"
    for _, sequence in ipairs {"\27[2m* welcome", "\27[1mmine\27[0m", "m\27[1;35m to you: psst"} do
      assert(one.seen:gsub("guest2\27%[0", ""):find(sequence, 1, true), sequence)
    end
    one:type "\3"
    leaves(0, one)
    for arguments, before in pairs {["--no-colour"] = "", [""] = "NO_COLOR=1"} do
      stop()
      start()
      one, other = open(arguments, 60, before)
      other:say "hi"
      one:shows_row "^guest2: hi$"
      one:type "mine\r"
      one:shows_row "^> mine$"
      assert.equal(0, one.screen.colours)
      one:type "\3"
      leaves(0, one)
    end
  end)

  it("leaves the terminal as it was, however it ends", function()
    for how, f in pairs {
      ["Ctrl-C"] = function(one) one:type "half a line\3" end,
      ["Ctrl-\\"] = function(one) one:type "\28" end,
      ["Ctrl-D"] = function(one) one:type "\4" end,
      ["/quit"] = function(one) one:type "/quit\r" end,
      ["SIGTERM"] = function(one) assert(process.kill(one.pid, "TERM")) end,
      ["SIGHUP"] = function(one) assert(process.kill(one.pid, "HUP")) end,
    } do
      local one = open()
      assert.matches("%-icanon", support.shell("stty -a <" .. one.path), how)
      f(one)
      leaves(0, one)
      assert.equal("", one.screen:row())
      stop()
      start()
    end
  end)

  it("says that the server is gone, and that it has closed", function()
    for _, signal in ipairs {"KILL", "TERM"} do
      local one = open()
      one:type "half"
      one:shows_line("> half", 6)
      server.stop(signal)
      leaves(1, one)
      one:shows_row(("^shm: chat%%.client 127%%.0%%.0%%.1:%d: the server is gone$")
                    :format(server.port))
      local farewell = one.screen:text():find "the server is closing"
      if signal == "KILL" then
        assert.is_nil(farewell)
      else -- there is a second for it, in which a slow tool may not come so far
        assert(farewell or support.patience > 1, "no farewell")
      end
      stop()
      start()
    end
  end)

  it("leaves the terminal as it was after an error of its own", function()
    local one, other = open("", 60, "",
      "-e \"require([[shm.chat.display]]).own = function() error([[oops]], 0) end\"")
    other:say "hi"
    one:shows_row "^guest2: hi$"
    one:type "oops\r"
    leaves(1, one)
    one:shows_row "^shm: oops$"
  end)

  it("fits the terminal when that changes", function()
    local one = open("", 60)
    one:type "0123456789abcdefghij"
    one:shows_line("> 0123456789abcdefghij", 22)
    support.shell("stty cols 12 <" .. one.path)
    one:shows_line("> bcdefghij", 11)
    support.stop(one.pid)
    support.shell("stty sane cols 30 <" .. one.path)
    assert(process.kill(one.pid, "CONT"))
    one:shows_line("> 0123456789abcdefghij", 22)
    support.eventually(function()
      return support.shell("stty -a <" .. one.path):find("-icanon", 1, true)
    end)
    support.shell("stty cols 60 <" .. one.path) -- which is among what was before
    one:type "\3"
    assert.equal(0, (one:wait()))
  end)

  it("sends lines from a pipe, and prints the answers", function()
    local other = chat_support.connect(server)
    others[1] = other
    local function piped(input, after)
      return support.shell(("%s | %s 2>&1; echo $?"):format(input, command(after)))
    end
    assert.equal("* welcome, guest2; 2 here. /help\n* guest2 is now ann\n* 2 here: guest1, ann\n"
                 .. "* bye\n0\n", piped("printf \"one\\r\\n/who\\n\\nlast\"", "--nick ann"))
    for _, line in ipairs {"one", "", "last"} do
      assert.equal(line, (other:expect "^ann: (.*)$"))
    end
    other:expect "^%* ann left$"
    assert.matches("bye\n0\n$", support.shell(command() .. " </dev/null 2>&1; echo $?"))
    assert.matches("not sent: a line has at most 1000 bytes\n", piped "printf \"%1001d\\n\" 1")
    local count = support.rounds(20000)
    assert.matches("%* bye\n0\n$", piped("seq 1 " .. count))
    for i = 1, count do
      assert.equal(tostring(i), (other:expect "^guest5: (%d+)$"))
    end
    -- Who prints for nobody ends.
    assert.equal("shm: chat.client: standard output: No space left on device\n1\n",
                 support.shell(command() .. " 2>&1 >/dev/full </dev/null; echo $?"))
  end)

  it("edits nothing in a terminal that can only print", function()
    local one = terminal_support.run("TERM=dumb " .. command())
    terminals[1] = one
    one:shows_row "^%* welcome"
    one:type "typed\n\4"
    one:shows_row "^%* bye$"
    assert.same({0, "as before"}, {one:wait()})
    assert.not_matches("\27", one.seen)
  end)

  it("takes what is typed into a terminal when its output is none", function()
    local path = os.tmpname()
    local one = terminal_support.run(command(">" .. path))
    terminals[1] = one
    support.eventually(function() return support.read_file(path):find "welcome" end)
    local other = chat_support.connect(server)
    others[1] = other
    one:type "typed\r\n/quit\r\n"
    other:expect "^guest1: typed$"
    assert.same({0, "as before"}, {one:wait()})
    assert.not_matches("\27", support.read_file(path))
    os.remove(path)
  end)

  it("goes through a Unix-domain socket", function()
    local path = os.tmpname()
    os.remove(path)
    local local_server = chat_support.serve {path = path, tcp = false}
    local said = support.shell(("echo hi | lua5.4 lua/shm/command.lua chat --unix %s; echo $?")
                               :format(path))
    local_server.stop()
    assert.equal("* welcome, guest1; 1 here. /help\n* bye\n0\n", said)
  end)

  it("can be interrupted while it connects", function()
    local listener = socket.listen {host = "127.0.0.1", port = 0}
    assert(listener:listen(0))
    local _, _, port = listener:localname()
    local fill = {} -- the kernel answers no more once these wait to be accepted
    repeat
      local one = socket.connect("127.0.0.1", port)
      one:onerror(function(_, _, why) return why end)
      fill[#fill + 1] = one
    until not one:connect(0.3)
    local one = terminal_support.run(("lua5.4 lua/shm/command.lua chat --port %d"):format(port))
    terminals[1] = one
    local waits = (":%04X 02 "):format(port) -- SYN_SENT
    support.eventually(function()
      return select(2, support.read_file("/proc/net/tcp"):gsub(waits, "")) == 2
    end)
    one:type "\3"
    assert.same({0, "as before"}, {one:wait()})
    for _, each in ipairs(fill) do
      each:close()
    end
    listener:close()
  end)

  it("says in one line why it can not", function()
    local function says(arguments)
      return support.shell("lua5.4 lua/shm/command.lua chat " .. arguments
                           .. " 2>&1 >/dev/null </dev/null; echo $?")
    end
    server.stop()
    assert.equal(("shm: chat.client 127.0.0.1:%d: Connection refused\n1\n"):format(server.port),
                 says("--port " .. server.port))
    assert.matches("^shm: chat%.client no%.such%.host%.invalid:9523: [^\n]+\n1\n$",
                   says "--host no.such.host.invalid")
    assert.matches("^shm: chat%.client /no/socket: No such file[^\n]+\n1\n$",
                   says "--unix /no/socket")
    assert.matches("^shm: [^\n]*port[^\n]*\n1\n$", says "--port 0")
    assert.matches("^shm: [^\n]*port[^\n]*whole[^\n]*chat %-%-help[^\n]*\n1\n$", says "--port x")
    assert.matches("^shm: [^\n]*nick[^\n]*\n1\n$", says "--nick 'a b'")
    assert.matches("^shm: [^\n]*%-%-color[^\n]*\n1\n$", says "--colors")
    assert.matches("^Usage: shm chat", support.shell "lua5.4 lua/shm/command.lua chat --help")
    local client = require "shm.chat.client"
    for _, row in ipairs {
      {{color = true}, "unknown option 'color'"}, {{port = 0}, "port"}, {{host = 1}, "host"},
      {{nick = "a:b"}, "nick"}, {{nick = 1}, "nick"}, {{colour = 1}, "colour"}, {1, "table"},
    } do
      assert.error_matches(function() client.run(row[1]) end, row[2])
    end
  end)
end)
