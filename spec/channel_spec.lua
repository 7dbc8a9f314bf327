-- Channels: what they answer when something is wrong, and where the socket is another library's.
local posix = require "shm.posix"
local process = require "shm.process"
local socket = require "socket"
local support = require "spec.support"

local EBADF, EINVAL, EMFILE, EPIPE, ENOMSG, ENOTSOCK = 9, 22, 24, 32, 42, 88
local EMSGSIZE, EPROTOTYPE, ENOPROTOOPT, ENOTCONN, ETIMEDOUT = 90, 91, 92, 107, 110
local LONG = support.LONG
local SO_REUSEADDR, SO_SNDBUFFORCE, SO_RCVTIMEO = 2, 32, 20
local refused = support.refused

describe("a channel over TCP", function()
  local listener, far, near, ours, theirs

  before_each(function()
    listener = assert(socket.bind("127.0.0.1", 0))
    near = assert(socket.connect("127.0.0.1", (select(2, listener:getsockname()))))
    far = assert(listener:accept())
    ours, theirs = assert(process.channel(near:getfd())), assert(process.channel(far:getfd()))
  end)

  after_each(function()
    for _, one in ipairs {listener, far, near, ours, theirs} do
      one:close()
    end
  end)

  it("is a duplicate, and goes on when the library closes its own", function()
    assert.not_equal(near:getfd(), ours:fileno())
    near:close()
    assert.is_true(ours:send "still here")
    assert.equal("still here", theirs:recv(100, LONG))
  end)

  it("carries no descriptor, and says so before anything is sent", function()
    refused(EINVAL, "^channel%.sendfd: ", ours:sendfd(0, 0))
    refused(ETIMEDOUT, "recv", theirs:recv(1, 0.01))
    assert.is_true(ours:send "x")
    refused(ENOMSG, "^channel%.recvfd: ", theirs:recvfd(LONG))
    refused(ETIMEDOUT, "recv", theirs:recv(1, 0)) -- the byte is lost
  end)

  it("can not be ended where the connection is gone", function()
    assert.is_true(ours:send "unread")
    support.eventually(function() return #socket.select({theirs}, nil, 0) == 1 end)
    far:close()
    theirs:close() -- with something left to read: the other end is told at once
    refused(EPIPE, "^channel%.recv: ", ours:recv(1, LONG))
    refused(ENOTCONN, "^channel%.shutdown: ", ours:shutdown())
  end)
end)

describe("a channel's errors", function()
  it("tell what the socket of another library lacks", function()
    refused(EBADF, "^process%.channel 1048576: ", process.channel(1 << 20))
    local file <close> = assert(posix.memfd_create "spec")
    refused(ENOTSOCK, "^process%.channel %d+: ", process.channel(file:fileno()))
    local datagrams = assert(socket.udp())
    assert(datagrams:setsockname("127.0.0.1", 0))
    refused(EPROTOTYPE, "^process%.channel %d+: ", process.channel(datagrams:getfd()))
    datagrams:close()
  end)

  it("tell that there is no number for a descriptor", function()
    assert.equal(("nil\tprocess.socketpair: Too many open files\t%d\n"):format(EMFILE)
      .. ("nil\ttrue\t%d\n"):format(EMFILE)
      .. ("nil\tprocess.signals: Too many open files\t%d\n"):format(EMFILE)
      .. "true\n", support.shell [[
      ulimit -n 30; lua5.4 -e '
        local process, posix = require "shm.process", require "shm.posix"
        local one, other = process.socketpair()
        local function blocked()
          local file <close> = io.open "/proc/self/status"
          return file:read "a":match "SigBlk:%s*(%x+)"
        end
        local before, all = blocked(), {}
        repeat
          all[#all + 1] = posix.open("/dev/null", posix.O_RDONLY)
        until #all > 0 and not posix.open("/dev/null", posix.O_RDONLY)
        print(process.socketpair())
        local _, message, errno = process.channel(one:fileno())
        print(_, message:match "^process.channel %d+: Too many" ~= nil, errno)
        print(process.signals "USR1")
        all[1]:close()
        print(before == blocked())' 2>&1]])
  end)

  it("tell what an option of a socket can not be", function()
    local one <close>, other = assert(process.socketpair())
    local _ <close> = other
    local SOCKET <const>, fd <const> = process.SOL_SOCKET, one:fileno()
    refused(EBADF, "^process%.setsockopt: ", process.setsockopt(1 << 20, SOCKET, 1, 1))
    local file <close> = assert(posix.memfd_create "spec")
    refused(ENOTSOCK, "setsockopt", process.setsockopt(file:fileno(), SOCKET, SO_REUSEADDR, 1))
    refused(ENOPROTOOPT, "setsockopt", process.setsockopt(fd, SOCKET, 9999, 1))
    refused(EINVAL, "setsockopt", process.setsockopt(fd, SOCKET, SO_RCVTIMEO, 1))
    assert.is_true(process.setsockopt(fd, SOCKET, process.SO_SNDBUF, 1))
    local _, _, errno, sent = one:send(("x"):rep(1 << 20), 0)
    assert.equal(ETIMEDOUT, errno)
    assert.is_true(sent < 1 << 16) -- as the kernel lets it hold a few thousand
    assert.equal(sent, #other:recv(1 << 20, 0))
  end)
end)

describe("a pair", function()
  it("ends one direction also where the other end is gone", function()
    local one <close>, other = assert(process.socketpair())
    assert.is_true(other:send "last")
    other:close()
    assert.is_true(one:shutdown())
    assert.equal("last", one:recv(10, 0))
    refused(EPIPE, "recv", one:recv(10, 0))
    refused(EPIPE, "^channel%.recvfd: ", one:recvfd(0))
  end)

  it("does not notice the other end's end while a relative has it too", function()
    local one <close>, other = assert(process.socketpair())
    local child = assert(process.fork(support.forever))
    other:close()
    refused(ETIMEDOUT, "recv", one:recv(1, 0.01))
    child:kill "KILL"
    child:wait(LONG)
    refused(EPIPE, "recv", one:recv(1, LONG))
  end)

  it("takes what its socket holds, and 1 MiB of a message at most", function()
    local one <close>, other = assert(process.socketpair "seqpacket")
    local _ <close> = other
    local _, message, errno, sent = one:send(("x"):rep(1 << 24), LONG)
    assert.equal(EMSGSIZE, errno)
    assert.matches("^channel%.send: ", message)
    assert.equal(0, sent)
    if not process.setsockopt(one:fileno(), process.SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20) then
      return pending "only root can have a socket hold so much"
    end
    assert.is_true(one:send(("x"):rep((1 << 20) + 1), 0))
    assert.equal(1 << 20, #other:recv(math.maxinteger, 0))
    refused(ETIMEDOUT, "recv", other:recv(math.maxinteger, 0)) -- the rest was cut
  end)

  it("gives a descriptor at its place among what is sent", function()
    local one <close>, other = assert(process.socketpair())
    local _ <close> = other
    local file <close> = assert(posix.memfd_create "spec")
    assert(posix.ftruncate(file, 123))
    assert(one:send "before")
    assert(one:sendfd(file, 0))
    assert(one:send "behind")
    assert.equal("before", other:recv(6, 0))
    local received <close> = assert(other:recvfd(0))
    assert.not_equal(file:fileno(), received:fileno())
    assert.equal(123, posix.fstat(received).size)
    assert.equal("behind", other:recv(100, 0))
    refused(EBADF, "^channel%.sendfd: ", one:sendfd(1 << 20, 0))
  end)

  it("of messages keeps a descriptor from what is sent beside it, and a stream does not", function()
    for kind, first in pairs {seqpacket = "before", stream = "before\0"} do
      local one <close>, other = assert(process.socketpair(kind))
      local _ <close> = other
      local descriptors = support.descriptors()
      assert(one:send "before")
      assert(one:sendfd(0, 0))
      assert.equal(first, other:recv(100, 0))
      local received = other:recvfd(0)
      assert.equal(kind == "seqpacket", received ~= nil)
      if received then
        received:close()
      end
      assert.equal(descriptors, support.descriptors())
    end
  end)
end)
