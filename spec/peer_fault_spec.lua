-- What the kernel refuses those who talk: an error that says so, of the function that was called.
local support = require "spec.support"

describe("a link that the kernel refuses", function()
  local before, key

  before_each(function()
    before = support.ipcs()
    key = support.key()
  end)

  after_each(function()
    assert.same(before, support.ipcs())
  end)

  -- What a program prints whose nth call of a system call, and maybe each after it, fails.
  local function says(call, errno, n, code)
    local flags = ("-e trace=%s -e inject=%s:error=%s:when=%s"):format(call, call, errno, n)
    local said, log = support.strace(flags, "local key = " .. key .. "\n" .. [[
      local peer, process = require "shm.peer", require "shm.process"
    ]] .. code)
    if said then
      assert.matches("INJECTED", log)
    end
    return said, log
  end

  it("a descriptor for its signals says so", function()
    local said, why = says("signalfd4", "EMFILE", "1", [[
      print((select(2, peer.serve(key))))]])
    if not said then
      return pending(why)
    end
    assert.equal(("peer.serve key 0x%08x: process.signals: Too many open files\n"):format(key),
                 said)
  end)

  it("a look at what is there says so", function()
    local said, why = says("shmctl", "EACCES", "2", [[
      local server = assert(peer.serve(key))
      local child = process.fork(function()
        print(peer.connect(key, {timeout = 0}))
      end)
      child:wait()
      require("shm.sysv").list() -- has the server's second, which else were its last
      server:close()]])
    if not said then
      return pending(why)
    end
    local words = "^nil\tpeer%%.connect key 0x%08x: [^\n]+: Permission denied\t13\n$"
    assert.matches(words:format(key), said)
  end)

  it("a descriptor for its client says so, and takes that when there is one", function()
    local said, why = says("pidfd_open", "EMFILE", "3", [[ -- two are the child's, as it is forked
      local server = assert(peer.serve(key))
      local child = process.fork(function()
        local client = assert(peer.connect(key))
        assert(client:send "hello")
        client:receive()
      end)
      print((select(2, server:accept())))
      print(server:accept() == child.pid, server:receive())
      server:close()
      child:wait()]])
    if not said then
      return pending(why)
    end
    assert.matches("^peer%.accept: process%.open %d+: Too many open files\ntrue\thello\n$", said)
  end)
end)
