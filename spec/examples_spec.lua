-- Each example prints what it says, leaves nothing behind, and is short.
local support = require "spec.support"

local function run(path)
  local errors = os.tmpname()
  local pipe = assert(io.popen(("lua5.4 %s 2>%s"):format(path, errors)))
  local output = pipe:read "a"
  local _, how, code = pipe:close()
  local said = support.read_file(errors)
  os.remove(errors)
  assert.equal("", said)
  assert.same({"exit", 0}, {how, code})
  return output
end

local function untouched(f)
  local before = support.ipcs()
  f()
  assert.same(before, support.ipcs())
end

describe("the example", function()
  for path in support.shell("ls examples/[0-9]*.lua"):gmatch "%S+" do
    it(path .. " prints what it says", function()
      local source = support.read_file(path)
      local expected = {}
      for line in source:gmatch "%-%-> ?([^\n]*)" do
        expected[#expected + 1] = line
      end
      assert.is_true(#expected > 0)
      assert.matches("^%-%- %u", source)
      assert.is_true(select(2, source:gsub("\n", "")) < 60)
      untouched(function()
        -- Pids differ from run to run: the first one printed stands for 4711, and so on.
        local numbers, n = {}, 4710
        local output = run(path):gsub("%f[%d]%d%d%d+%f[%D]", function(number)
          if source:match "4711" and not numbers[number] then
            n = n + 1
            numbers[number] = tostring(n)
          end
          return numbers[number]
        end)
        assert.equal(table.concat(expected, "\n") .. "\n", output)
      end)
    end)
  end
end)

describe("the demo", function()
  it("shows the chat, the pid exchange, and nothing left", function()
    untouched(function()
      local output = run "examples/demo.lua"
      for _, shown in ipairs {
        "server: listening on 127%.0%.0%.1:%d+", "\n%x+%-%x+ rw%-s [^\n]+%(deleted%)\n",
        "ann: hello, everybody", "%* bob left", "%-%- another takes its place",
        "%* 3 here: ann, eve, guest4", "server: ended with\texit\t0",
        "turned a client away: too many users", "server: it says: a Lua script",
        "0x66%x+ %d+ +%S+ +600 +192",
        "futex +futex +0\n", "recovered\t20 80", "b counts, in term 2",
      } do
        assert.matches(shown, output)
      end
      local after = output:match "Afterwards, ipcs %-m =+\n(.*)"
      assert.matches("^key[^\n]*\nNothing is left of any of it%.\n$", after)
    end)
  end)
end)
