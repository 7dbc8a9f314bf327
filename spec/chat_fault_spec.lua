-- What the kernel refuses the chat, on either side: an error that says so, and nothing left behind.
local chat_support = require "spec.chat_support"
local support = require "spec.support"

-- What a program says whose nth call of a system call fails with an error; more for its command.
local function with(call, errno, n, code, more)
  local flags = ("-e trace=%s -e inject=%s:error=%s:when=%d "):format(call, call, errno, n)
  return support.strace(flags .. (more or ""), code)
end

describe("a chat's server that the kernel refuses", function()
  local path

  before_each(function()
    path = os.tmpname()
    os.remove(path)
  end)

  -- It is to refuse before it says that it is ready, and to leave no socket.
  local function refuses(call, errno, n, words)
    local said, log = with(call, errno, n, ([[
      local chat = require "shm.chat"
      print(chat.serve {tcp = false, path = "%s", ready = print})]]):format(path))
    if not said then
      return pending(log)
    end
    assert.matches("INJECTED", log)
    assert.equal(words, said)
    assert.is_nil(io.open(path))
    assert.equal("", support.shell("ls -d " .. path .. " 2>/dev/null"))
  end

  it("a descriptor for its signals says so", function()
    refuses("signalfd4", "EMFILE", 1, "nil\tchat.serve: process.signals: Too many open files\t24\n")
  end)

  it("a socket for its children to wake it says so", function()
    refuses("socketpair", "ENFILE", 1,
            "nil\tchat.serve: process.socketpair: Too many open files in system\t23\n")
  end)

  it("a client's address serves that client all the same", function()
    local said, log = with("getpeername", "EACCES", 1, ([[
      local chat, process = require "shm.chat", require "shm.process"
      local socket = require "cqueues.socket"
      local server, path, child = process.pid(), "%s", nil
      print(chat.serve {tcp = false, path = path, log = print, ready = function()
        child = process.fork(function()
          local connection = assert(socket.connect {path = path})
          local welcome = connection:read "*l"
          process.kill(server, welcome and "TERM" or "KILL")
        end)
      end})
      child:wait()]]):format(path))
    if not said then
      return pending(log)
    end
    assert.matches("INJECTED", log)
    assert.matches("\nguest1 joined from this machine, ", said)
    assert.matches("\ntrue\n$", said)
  end)
end)

describe("a chat's client that the kernel refuses", function()
  local server

  setup(function()
    server = chat_support.serve {}
  end)

  teardown(function()
    server.finish()
  end)

  local function refuses(call, errno, words)
    local said, log = with(call, errno, 1, ([[
      local client = require "shm.chat.client"
      print(client.run {port = %d})]]):format(server.port))
    if not said then
      return pending(log)
    end
    assert.matches("INJECTED", log)
    assert.equal(words:format(server.port), said)
  end

  it("a descriptor for its signals says so", function()
    refuses("signalfd4", "EMFILE", "nil\tchat.client: process.signals: Too many open files\t24\n")
  end)

  it("memory for what it prints says so", function()
    refuses("memfd_create", "ENOMEM",
            "nil\tchat.client: shm.anonymous: Cannot allocate memory\t12\n")
  end)

  -- Standard input is empty: it gets its name, and leaves.
  it("memory for what it sends, once, has it sent after that", function()
    local said, log = with("sendto", "ENOBUFS", 1, ([[
      local client = require "shm.chat.client"
      print(client.run {port = %d, nick = "ann"})]]):format(server.port), "</dev/null")
    if not said then
      return pending(log)
    end
    assert.matches("INJECTED", log)
    assert.matches("guest%d+ is now ann\n%* bye\ntrue\n$", said)
  end)
end)
