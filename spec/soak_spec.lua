-- spec/soak.lua for some seconds, of which `make soak` is a minute.
local process = require "shm.process"
local soak = require "spec.soak"
local support = require "spec.support"

local function sh(command)
  local pipe <close> = assert(io.popen(command .. " 2>&1; echo $?"))
  local text = pipe:read "a"
  return text:match "^(.-)(%d+)\n$"
end

local function traces()
  return {support.children(), support.shell "ls /dev/shm | grep -c shm-soak", support.mappings(),
          #support.ipcs(), process.pid()}
end

describe("processes that take turns while they are killed", function()
  it("find all whole, wait for nobody for ever, and leave nothing", function()
    if support.valgrind then
      return pending "one thread at a time, under valgrind, takes no turns"
    end
    local before = traces()
    local all = soak.run {
      seconds = math.max(1, 5 // (support.asan and 2 or 1)),
      processes = 8,
      seed = os.time(),
    }
    assert.is_true(all.kills > 0 and all.restarts == all.kills)
    assert.is_true(all.locks > 0 and all.recoveries > 0)
    assert.same(before, traces())
    io.write(("\n%.0f s: %s\n"):format(all.seconds, soak.line(all)))
  end)

  it("end with Ctrl-C, all of them, and say what happened until then", function()
    if support.valgrind then
      return pending "one thread at a time, under valgrind, takes no turns"
    end
    local before = traces()
    local words, code = sh(("timeout --preserve-status -s INT %d lua5.4 spec/soak.lua --seconds 60")
      :format(support.patience > 1 and 4 or 1))
    assert.equal("130", code, words)
    assert.matches("^%d+ s: %d+ kills, .* %d+ deadlocks\n$", words)
    assert.same(before, traces())
  end)

  it("are asked for in words that there are", function()
    local words, code = sh "lua5.4 spec/soak.lua --help"
    assert.equal("0", code)
    assert.matches("^usage: .*%-%-seconds", words)
    for _, wrong in ipairs {"--second 5", "5", "--seconds x", "--seconds 0", "--processes 2"} do
      words, code = sh("lua5.4 spec/soak.lua " .. wrong)
      assert.equal("2", code)
      assert.matches("^soak: .*see %-%-help\n$", words)
    end
  end)
end)
