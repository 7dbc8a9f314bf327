-- What specs share: names, looks from outside, and a round for every kind of leak.
local assert = require "luassert"
local posix = require "shm.posix"
local process = require "shm.process"

local M = {}

local serial = 0

--- A name or key that no other run uses.
function M.key()
  serial = serial + 1
  return 0x40000000 | (process.pid() & 0x3fffff) << 8 | serial & 0xff
end

--- The number of rounds for a test; SHM_SPEC_SHARE is the share that a slow tool leaves of it.
function M.rounds(n)
  return math.max(1, n // tonumber(os.getenv "SHM_SPEC_SHARE" or 1))
end

--- The factor for time-outs: how much slower all is under a tool that watches.
M.patience = tonumber(os.getenv "SHM_SPEC_PATIENCE" or 1)

--- Seconds that bound what should take none: a machine that stood still meanwhile is no defect,
-- and neither are thirty children that are started one by one under a tool.
M.LONG = 120 * M.patience

local run = process.pid()

--- What a child does that is to be killed; nothing that a run leaves behind does it for longer.
function M.forever()
  while process.alive(run) do
    process.sleep(1)
  end
end

--- What f answers, for refused(errno, said, f()), is nil, a message that says this, and this
-- number. Returns what it answers behind these.
function M.refused(errno, said, result, message, number, ...)
  assert.is_nil(result)
  assert.matches(said, message)
  assert.equal(errno, number, message)
  return ...
end

--- Calls f until it ends within so many seconds, and returns what it returned: a machine that
-- others use as well is in time once in a few tries, and who waits for a time-out never is.
-- The seconds count from when f calls what it is given, or from its call.
function M.soon(seconds, f)
  for _ = 1, 5 do
    local began = process.monotonic()
    local result = table.pack(f(function() began = process.monotonic() end))
    if process.monotonic() - began < seconds then
      return table.unpack(result, 1, result.n)
    end
  end
  error(("it took %g s or more"):format(seconds), 2)
end

--- Until a process sleeps.
function M.asleep(pid)
  M.eventually(function()
    return M.read_file("/proc/" .. pid .. "/status"):match "State:%s+S"
  end)
end

-- A child that runs f, and is through with begin by now.
local function child_of(f, begin)
  local ours <close>, other = assert(process.socketpair())
  local theirs <close> = other
  local child = assert(process.fork(function()
    begin()
    theirs:send "x"
    f()
  end))
  assert.equal("x", ours:recv(1, M.LONG))
  return child
end

--- A child that runs f where SIGUSR1 has a handler that counts, which is in place by now.
function M.counting(f)
  return child_of(f, function() process.signal("USR1", "count") end)
end

--- How such a child ends, while the handler runs again and again until f is over.
function M.signalled(f)
  local child <close> = M.counting(f)
  M.eventually(function() -- one that comes between two sleeps is not noticed
    child:kill "USR1"
    return not child:alive()
  end)
  return child:wait(M.LONG)
end

--- Whether Ctrl-C ends what f waits for: a child is interrupted once it sleeps in f.
function M.interrupts(f)
  local child = child_of(function()
    local ok, message = pcall(f)
    process.exit(not ok and tostring(message):match "interrupted" and 42 or 1)
  end, function() end) -- it sleeps on its way into f, where the arena's guard is taken
  M.asleep(child.pid)
  child:kill "INT"
  local how, code = child:wait(M.LONG)
  if not how then
    child:kill "KILL"
    child:wait()
  end
  return how == "exit" and code == 42
end

--- Whether AddressSanitizer is in this process: it handles signals and mlock itself.
M.asan = (os.getenv "LD_PRELOAD" or ""):match "libasan" ~= nil

--- How shm.chaos is to look for instants where there are thousands: under AddressSanitizer, where
-- a fork takes twenty times as long, it takes some at random.
M.chaos_mode = M.asan and "random" or nil

--- Whether valgrind runs this process: it knows no huge pages.
M.valgrind = (os.getenv "LD_PRELOAD" or ""):match "vgpreload" ~= nil

--- What a shell command prints.
function M.shell(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read "a"
end

M.AS_NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups "
M.NOT_NOBODY = "only root can become somebody else, who must be able to read this folder"

--- What Lua prints that runs the code as another user, errors included; or nil.
function M.as_nobody(code)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write("if not pcall(require, 'shm') then os.exit() end print 'here' ", code)
  file:close()
  M.shell("chmod 644 " .. path)
  local said = M.shell(("%slua5.4 %s 2>&1"):format(M.AS_NOBODY, path))
  os.remove(path)
  return said:match "^here\n(.*)$"
end

--- What Lua prints under strace, and what strace says of it; or nil and why it can not.
function M.strace(flags, code)
  if M.asan or M.valgrind or not M.shell("strace -V 2>&1"):match "version" then
    return nil, "strace is not here, or would trace a sanitizer or valgrind"
  end
  local path, log = os.tmpname(), os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(code)
  file:close()
  local said = M.shell(("strace -f %s -o %s lua5.4 %s 2>&1"):format(flags, log, path))
  local traced = M.read_file(log)
  os.remove(path)
  os.remove(log)
  if said:match "strace:" then
    return nil, "strace may not trace here: " .. said
  end
  return said, traced
end

function M.read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

--- What is this process's and stays behind if nobody takes care: children, descriptors, names.
function M.belongings()
  local names = {}
  for name in M.shell("ls /dev/shm"):gmatch "shm%-spec%-(%d+)" do
    if tonumber(name) >> 8 == (0x40000000 >> 8 | process.pid() & 0x3fffff) then
      names[#names + 1] = name
    end
  end
  return {M.children(), M.descriptors(), names}
end

--- Waits until f returns something true, and returns it; it is asked every millisecond, and
-- often enough even where the clock has run on while nobody could.
function M.eventually(f, seconds)
  local deadline, tries = process.monotonic() + (seconds or M.LONG), 0
  repeat
    local result = f()
    if result then
      return result
    end
    process.sleep(0.001)
    tries = tries + 1
  until tries > 20 and process.monotonic() > deadline
  error("it did not happen: " .. debug.traceback())
end

--- Stops a process, and waits until it stands still: a signal that was sent is on its way.
function M.stop(pid)
  assert(process.kill(pid, "STOP"))
  M.eventually(function()
    return M.read_file("/proc/" .. pid .. "/stat"):match "%) T "
  end)
end

--- The ipcs lines about segments and semaphores, without the header.
function M.ipcs(flags)
  local lines = {}
  for line in M.shell("ipcs " .. (flags or "-m -s")):gmatch "[^\n]+" do
    if line:match "^0x" then
      lines[#lines + 1] = line
    end
  end
  return lines
end

local function count(lines)
  local n = 0
  for _ in lines do
    n = n + 1
  end
  return n
end

--- How many descriptors this process has open, forgotten handles not counted.
function M.descriptors()
  collectgarbage()
  collectgarbage()
  local n = 0
  for fd = 0, 1023 do
    n = n + (posix.fstat(fd) and 1 or 0)
  end
  return n
end

--- How many mappings of shared memory this process has, forgotten regions not counted.
function M.mappings()
  collectgarbage()
  collectgarbage()
  return count(M.read_file "/proc/self/maps":gmatch "[^\n]*/SYSV[^\n]*")
end

--- The processes whose parent this one is, zombies included.
function M.children()
  local path = ("/proc/%d/task/%d/children"):format(process.pid(), process.pid())
  return count(M.read_file(path):gmatch "%d+")
end

--- Runs Lua that makes a function call, in a process whose descriptors are few, with one more
-- each time until that is enough: until then call throws in the name of who, at no line.
function M.starved(who, make)
  local path = os.tmpname()
  local script <close> = assert(io.open(path, "w"))
  script:write(make, [[
    call() -- whatever is opened once
    local all = {}
    for file in function() return (io.open "/dev/null") end do
      all[#all + 1] = file
    end
    local done, message
    repeat
      done, message = pcall(call)
      print(message)
      table.remove(all):close()
      collectgarbage()
      collectgarbage()
    until done]])
  script:close()
  local said = M.shell(("ulimit -n 60; lua5.4 %s 2>&1"):format(path))
  os.remove(path)
  local refusals = 0
  for line in said:gmatch "[^\n]+" do
    local ours = line:match("^" .. who .. ": [%a.]+: Too many open files$")
    refusals = refusals + (ours and 1 or 0)
    assert(ours or line == "nil", said)
  end
  assert(refusals >= 2, said)
end

--- A path in /tmp that ends so, of a file that is not there yet; the caller removes it.
function M.tmpname(ending)
  local path = os.tmpname()
  os.remove(path)
  return path .. ending
end

--- Compiles C source and returns the program's path; the caller removes it.
function M.compile(path, flags)
  local program = os.tmpname()
  local command = "gcc -std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra %s -o %s %s 2>&1"
  local words = M.shell(command:format(flags or "", program, path))
  assert(words == "", words)
  return program
end

--- Compiles what is preloaded to have a system without these calls; the caller removes it.
function M.without(call, other)
  return M.compile("spec/textbook/nosys.c", ("-shared -fPIC -DONE=%s -DOTHER=%s")
    :format(call, other or call))
end

return M
