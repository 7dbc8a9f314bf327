-- The examples talk to C programs written after the texts, each in both roles.
local posix = require "shm.posix"
local process = require "shm.process"
local shm = require "shm"
local support = require "spec.support"
local sysv = require "shm.sysv"
local LONG = support.LONG

local PEOPLE = "b 20; c 21; d 22; e 23; f 24; g 25; h 26; i 27; j 28; k 29; "

describe("the text's C", function()
  local programs = {}

  lazy_setup(function()
    for _, name in ipairs {"alphabet", "people", "flag", "posix"} do
      programs[name] = support.compile("spec/textbook/" .. name .. ".c")
    end
  end)

  lazy_teardown(function()
    for _, program in pairs(programs) do
      os.remove(program)
    end
  end)

  before_each(function()
    for _, key in ipairs {9527, 1234, assert(sysv.ftok(".", 0x6666))} do
      assert(not sysv.shmget(key, 0), "another program uses this key: " .. key)
    end
  end)

  after_each(function()
    for _, key in ipairs {9527, 1234, assert(sysv.ftok(".", 0x6666))} do
      local id = sysv.shmget(key, 0)
      if id then
        id:remove()
      end
    end
    shm.unlink "posix_shm_demo"
    posix.sem_unlink "/posix_sem_demo"
  end)

  -- Both sides at the same time; gives what each printed.
  local function together(one, other)
    local first, second = io.popen(one .. " 2>&1"), io.popen(other .. " 2>&1")
    local said = {first:read "a", second:read "a"}
    first:close()
    second:close()
    return said[1], said[2]
  end

  local function lua(example, role)
    return ("timeout 20 lua5.4 examples/%s.lua %s"):format(example, role)
  end

  local function c(name, role)
    return ("timeout 20 %s %s"):format(programs[name], role)
  end

  it("sees the alphabet grow, and grows it", function()
    local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    local server = together(c("alphabet", "server"), lua("03_alphabet", "client"))
    assert.equal("client# " .. letters .. "\n", server)
    server = together(lua("03_alphabet", "server"), "sleep 0.1; " .. c("alphabet", "client"))
    assert.matches("the server saw " .. letters .. "\n$", server)
    assert.matches("client# ABC", server)
  end)

  it("reads the records, and writes them", function()
    support.shell(lua("04_record_array", "write"))
    assert.equal(PEOPLE, support.shell(c("people", "read")))
    assert.equal(PEOPLE:sub(1, -3) .. "\n", support.shell(lua("04_record_array", "read")))
    support.shell(c("people", "write"))
    assert.equal(PEOPLE:sub(1, -3) .. "\n", support.shell(lua("04_record_array", "read")))
  end)

  it("hands lines over by the flag, and takes them", function()
    local read = "You wrote: one\nYou wrote: two\nYou wrote: end\n"
    assert.equal(read, (together(lua("05_flag_handover", "server"),
                                 c("flag", "client one two end"))))
    local server = together(c("flag", "server"), "printf 'one\\ntwo\\nend\\n' | "
                            .. lua("05_flag_handover", "client"))
    assert.equal(read, server)
  end)

  it("reads what the POSIX writer wrote, and writes", function()
    support.shell(lua("08_posix_writer_and_reader", "write"))
    assert.equal("recv:yuki...\n", support.shell(c("posix", "read")))
    support.shell(c("posix", "write"))
    assert.equal("received yuki...\n", support.shell(lua("08_posix_writer_and_reader", "read")))
  end)

  it("is not believed to be done between shm_open and ftruncate", function()
    local writer = io.popen(c("posix", "late"))
    local seen = {}
    local region = support.eventually(function()
      local found, _, errno = shm.attach "posix_shm_demo"
      seen[errno or 0] = true
      return found
    end)
    assert.equal(10, #region)
    assert.is_true(seen[11]) -- EAGAIN: there, but without a size
    region:close()
    writer:close()
  end)
end)

describe("Python", function()
  -- Debian's own, where another python3 stands before it and does not see its packages.
  local interpreter = support.shell [[
    for it in python3 /usr/bin/python3; do
      $it -c 'import sysv_ipc' 2>/dev/null && echo $it && break
    done]]:match "%S+"

  local function python(script, ...)
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write(script)
    file:close()
    local said = support.shell(("timeout 30 %s -I %s %s 2>&1")
                                 :format(interpreter, path, table.concat({...}, " ")))
    os.remove(path)
    return said
  end

  it("reads and writes what shm.create made, with multiprocessing.shared_memory", function()
    local name = "shm-spec-" .. support.key()
    local r <close> = assert(shm.create(name, 5000))
    r:write(0, "from Lua")
    r:set_i64(4992, -5)
    assert.equal("5000 b'from Lua' -5\n", python([[
import sys, struct
from multiprocessing import shared_memory, resource_tracker
memory = shared_memory.SharedMemory(sys.argv[1])
resource_tracker.unregister(memory._name, "shared_memory")
print(memory.size, bytes(memory.buf[:8]), struct.unpack_from("q", memory.buf, 4992)[0])
memory.buf[100:111] = b"from Python"
struct.pack_into("d", memory.buf, 200, 0.25)
memory.close()
]], name))
    assert.equal("from Python", r:read(100, 11))
    assert.equal(0.25, r:get_f64(200))
    shm.unlink(name)
  end)

  it("makes with multiprocessing.shared_memory what shm.attach reads and writes", function()
    local name = "shm-spec-" .. support.key()
    local ours, theirs = process.socketpair()
    local child = process.fork(function()
      local said = python([[
import sys
from multiprocessing import shared_memory
memory = shared_memory.SharedMemory(sys.argv[1], create=True, size=100)
memory.buf[:11] = b"from Python"
while memory.buf[50] == 0:
    pass
print(bytes(memory.buf[50:58]).decode())
memory.close()
memory.unlink()
]], name)
      theirs:send(said)
    end)
    local r = support.eventually(function()
      local found = shm.attach(name)
      return found and found:get_u8(10) ~= 0 and found
    end)
    assert.equal("from Python", r:read(0, 11))
    assert.equal(100, #r)
    r:write(51, "rom Lua")
    r:write(50, "f")
    assert.equal("from Lua\n", ours:recv(100, LONG))
    child:wait(LONG)
    ours:close()
    theirs:close()
    assert.is_nil((shm.attach(name)))
  end)

  it("shares segments, semaphores and queues with sysv_ipc, both ways", function()
    local key = support.key()
    local seg = assert(sysv.shmget(key, 4096, sysv.IPC_CREAT))
    local set = assert(sysv.semget(key, 1, sysv.IPC_CREAT))
    local queue = assert(sysv.msgget(key, sysv.IPC_CREAT))
    local r <close> = assert(sysv.shmat(seg))
    r:write(0, "from Lua")
    assert(sysv.semctl(set, 0, sysv.SETVAL, 3))
    assert(sysv.msgsnd(queue, 7, "a message of Lua's"))
    assert.equal("b'from Lua' 4096 3 (b\"a message of Lua's\", 7)\n", python([[
import sys, sysv_ipc
key = int(sys.argv[1])
memory, semaphore = sysv_ipc.SharedMemory(key), sysv_ipc.Semaphore(key)
queue = sysv_ipc.MessageQueue(key)
print(memory.read(8), memory.size, semaphore.value, queue.receive(type=7))
memory.write(b"from Python", 100)
semaphore.acquire()
queue.send(b"a message of Python's", type=9)
memory.detach()
]], key))
    assert.equal("from Python", r:read(100, 11))
    assert.equal(2, sysv.semctl(set, 0, sysv.GETVAL))
    assert.same({"a message of Python's", 9}, {sysv.msgrcv(queue, 100, -9)})
    for _, id in ipairs {seg, set, queue} do
      id:remove()
    end
    python([[
import sys, sysv_ipc
key = int(sys.argv[1])
memory = sysv_ipc.SharedMemory(key, sysv_ipc.IPC_CREX, mode=0o600, size=50)
memory.write(b"Python's own")
sysv_ipc.Semaphore(key, sysv_ipc.IPC_CREX, mode=0o600, initial_value=4)
sysv_ipc.MessageQueue(key, sysv_ipc.IPC_CREX, mode=0o600).send(b"first", type=2)
]], key)
    seg, set = assert(sysv.shmget(key, 0)), assert(sysv.semget(key, 0))
    queue = assert(sysv.msgget(key))
    local theirs <close> = assert(sysv.shmat(seg))
    assert.equal("Python's own", theirs:read(0, 12))
    assert.equal(50, #theirs)
    assert.equal(4, sysv.semctl(set, 0, sysv.GETVAL))
    assert.same({"first", 2}, {sysv.msgrcv(queue, 100)})
    for _, id in ipairs {seg, set, queue} do
      id:remove()
    end
  end)
end)
