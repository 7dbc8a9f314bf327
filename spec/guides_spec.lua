-- README's code and that of the guides does what they say: all of it is run, in terminals where
-- they show terminals.
local support = require "spec.support"

local GUIDES <const> = "examples/guides/"
local index = support.read_file(GUIDES .. "README.md")

-- All are begun at once, and looked at one by one: mostly they wait.
local running = {}

local function begin(path)
  running[path] = assert(io.popen("lua5.4 spec/guide.lua " .. path .. " 2>&1 </dev/null"))
end

local function end_of(path)
  local said = running[path]:read "a"
  running[path]:close()
  assert.matches("^%d+ blocks\n$", said)
  return math.tointeger(said:match "%d+")
end

local has_unshare = os.execute "unshare --mount --map-root-user true 2>/dev/null"

describe("the guide", function()
  lazy_setup(function()
    for path in support.shell("ls README.md " .. GUIDES .. "*.md"):gmatch "%S+" do
      begin(path)
    end
  end)

  it("of README does what it says", function()
    assert.is_true(end_of "README.md" > 10)
  end)

  for path in support.shell("ls " .. GUIDES .. "*.md"):gmatch "%S+" do
    local name = path:match "[^/]+$"

    it(name .. " does what it says", function()
      if name == "containers.md" and not has_unshare then
        running[path]:close()
        return pending "unshare is not allowed here"
      end
      end_of(path)
    end)

    it(name .. " has a title, and says where to read on", function()
      local text = support.read_file(path)
      assert.matches("^# %u[^\n]+\n\n%u", text)
      if name ~= "README.md" then
        assert.matches("\n\nRead on: [^\n]", text)
        assert(index:find("](" .. name .. ")", 1, true), "it is not in the index")
      end
    end)

    it(name .. " links to what there is", function()
      for link in support.read_file(path):gmatch "%]%(([^)]+)%)" do
        local file, part = link:match "^([^#]*)#?(.*)$"
        if not file:find "^https?:" then
          local target = file == "" and path or GUIDES .. file
          local text = support.read_file(target)
          if part ~= "" then
            local heading = part:gsub("%-", "[ -]")
            assert(text:lower():find("\n#+ " .. heading), link)
          end
        end
      end
    end)
  end
end)

describe("what runs a guide", function()
  local path

  local function said_of(text)
    path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write((text:gsub("\n *|", "\n"):gsub("^%s*|", "")))
    file:close()
    local said = support.shell("lua5.4 spec/guide.lua " .. path .. " 2>/dev/null </dev/null")
    os.remove(path)
    return said
  end

  it("refuses other output, less of it, and more", function()
    assert.matches("1 blocks", said_of "```lua\n|print(1) --> 1\n|```\n")
    assert.matches("line 1 is to be", said_of "```lua\n|print(2) --> 1\n|```\n")
    assert.matches("line 2 is to be", said_of "```lua\n|print(1) --> 1\n|print(2)\n|```\n")
    assert.matches("line 2 is to be", said_of "```lua\n|print(1) --> 1\n|--> 2\n|```\n")
    assert.matches("1 blocks", said_of "```console\n|$ echo a b\n|a b\n|```\n")
    assert.matches("line 1 is to be", said_of "```console\n|$ echo a b\n|a c\n|```\n")
    assert.matches("line 2 is to be", said_of "```console\n|$ echo a; echo b\n|a\n|```\n")
    assert.matches("the end", said_of "```console\n|$ echo a\n|a\n|b\n|```\n")
  end)

  it("knows which numbers may be others, and that they stay the same", function()
    assert.matches("1 blocks", said_of "```console\n|$ echo 11 12 11\n|4711 4712 4711\n|```\n")
    assert.matches("is to be", said_of "```console\n|$ echo 11 12 13\n|4711 4712 4711\n|```\n")
    assert.matches("is to be", said_of "```console\n|$ echo 11 11\n|4711 4712\n|```\n")
    assert.matches("is to be", said_of "```console\n|$ echo 11 12\n|5711 5712\n|```\n")
  end)

  it("refuses C that the compiler warns of, other languages, and what is left behind", function()
    assert.matches("2 blocks", said_of ("```c\n|/* a.c */\n|int a(void);\n|```\n"
                                        .. "```console\n|$ gcc -c a.c\n|```\n"))
    assert.matches("warning", said_of "```c\n|/* a.c */\n|int a(int b) { return 1; }\n|```\n")
    assert.matches("nobody runs", said_of "```sh\n|echo\n|```\n")
    assert.matches("nobody runs", said_of "```\n|echo\n|```\n")
    if has_unshare then
      assert.matches("leaves behind",
                     said_of "```console\n|$ lua5.4 -e 'require(\"shm\").create(\"a\", 8)'\n|```\n")
    end
  end)

  it("refuses a file that nothing runs", function()
    assert.matches("nothing runs a.lua", said_of "```lua\n|-- a.lua\n|print(1)\n|```\n")
    assert.matches("2 blocks", said_of ("```lua\n|-- a.lua\n|print(1)\n|```\n"
                                        .. "```console\n|$ lua5.4 a.lua\n|1\n|```\n"))
  end)

  it("waits for what goes on in another terminal", function()
    assert.matches("4 blocks", said_of [[
      |```console
      |# one
      |$ mkfifo pipe; cat pipe
      |```
      |```console
      |# two
      |$ echo hello >pipe
      |```
      |```console
      |# one
      |hello
      |$ cat
      |> typed
      |typed
      |^C
      |```
      |```lua
      |print(1) --> 1
      |```
      |]])
  end)
end)
