-- nginx with its Lua module, for ngx.shared.DICT: run in the foreground in a folder of its own.
-- Its workers are told by a fifo each what to do, and answer by its standard output. They end
-- when their fifo does, and end nginx.
local cpus = require "bench.cpus"
local place = require "bench.place"
local process = require "shm.process"

local M = {}

local MODULES <const> = "/usr/lib/nginx/modules"
local WORKERS <const> = 4

local CONFIG <const> = [[
load_module MODULES/ndk_http_module.so;
load_module MODULES/ngx_http_lua_module.so;
daemon off;
user root;
worker_processes WORKERS;
worker_cpu_affinity CPUS;
pid FOLDER/pid;
error_log FOLDER/log;
events {}
http {
  access_log off;
  client_body_temp_path FOLDER/body;
  proxy_temp_path FOLDER/proxy;
  fastcgi_temp_path FOLDER/fastcgi;
  uwsgi_temp_path FOLDER/uwsgi;
  scgi_temp_path FOLDER/scgi;
  lua_shared_dict map 512m;
  init_worker_by_lua_file FOLDER/work.lua;
}
]]

-- What runs in each worker, as Lua 5.1: lines of a word, how many keys, the first, and n.
local WORK <const> = [[
local map, keys, me = ngx.shared.map, {}, ngx.worker.id()
for line in io.lines("KEYS") do
  keys[#keys + 1] = line
end
if me == 0 then
  for i = 1, #keys do
    assert(map:set(keys[i], i))
  end
end
local todo = {
  get = function(from, to) for i = from, to do map:get(keys[i]) end end,
  set = function(from, to) for i = from, to do map:set(keys[i], i) end end,
  incr = function(from, to) for i = from, to do map:incr(keys[i], 1) end end,
  mixed = function(from, to)
    for i = from, to do
      if i % 10 == 0 then map:set(keys[i], i) else map:get(keys[i]) end
    end
  end,
}
local function say(text)
  io.stdout:write(text, "\n")
  io.stdout:flush()
end
say("ready")
for line in io.lines("FOLDER/todo-" .. me) do
  if line == "quit" then
    break
  end
  local word, among, at, n = line:match("(%a+) (%d+) (%d+) (%d+)")
  local f = todo[word]
  among, at, n = tonumber(among), tonumber(at), tonumber(n)
  while n > 0 do
    local some = math.min(n, among - at)
    f(at + 1, at + some)
    at, n = (at + some) % among, n - some
  end
  say("done")
end
local ffi = require("ffi")
ffi.cdef("int getppid(void); int kill(int, int);")
ffi.C.kill(ffi.C.getppid(), 9)
os.exit(0)
]]

local function write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
end

local function first_line(path)
  local file <close> = io.open(path)
  return file and file:read "l"
end

local folder, input, output, todo

function M.stop()
  if input then
    local pid = math.tointeger(tonumber(first_line(folder .. "/pid") or ""))
    if pid then
      process.kill(pid, "KILL") -- or it would begin new workers
    end
    for _, fifo in ipairs(todo) do
      fifo:write "quit\n" -- programs that began later have inherited it
      fifo:close()
    end
    output:read "a" -- until all have ended
    input:close()
    output:close()
  end
  input = nil
end

-- Bits for worker_cpu_affinity.
local function masks()
  local list = {}
  for i = 1, WORKERS do
    list[i] = "1" .. ("0"):rep(cpus.of(i, "equals"))
  end
  return table.concat(list, " ")
end

-- Begins to read the keys of a file, if it can be had.
function M.prepare(keys)
  local pipe <close> = io.popen "command -v nginx || command -v /usr/sbin/nginx"
  local path = pipe:read "l"
  if not path then
    return
  end
  folder, todo = place.folder .. "/nginx", {}
  local words = {FOLDER = folder, MODULES = MODULES, WORKERS = WORKERS, CPUS = masks(), KEYS = keys}
  assert(os.execute(("rm -rf %s && mkdir %s"):format(folder, folder)))
  for i = 1, WORKERS do
    assert(os.execute(("mkfifo -m 600 %s/todo-%d"):format(folder, i - 1)))
  end
  write(folder .. "/work.lua", (WORK:gsub("%u%u+", words)))
  write(folder .. "/config", (CONFIG:gsub("%u%u+", words)))
  assert(os.execute(("mkfifo %s/answers"):format(folder)))
  input = io.popen(("exec %s -p %s -c %s/config >%s/answers 2>%s/errors")
                   :format(path, folder, folder, folder, folder), "w")
  output = assert(io.open(folder .. "/answers"))
end

-- Returns true once it knows them, or nil and why it can not be had.
function M.start()
  if not input then
    return nil, "nginx is not there"
  end
  for _ = 1, WORKERS do
    if output:read "l" ~= "ready" then
      M.stop()
      return nil, "nginx has no Lua module"
    end
  end
  for i = 1, WORKERS do
    todo[i] = assert(io.open(("%s/todo-%d"):format(folder, i - 1), "w"))
    todo[i]:setvbuf "line"
  end
  return true
end

-- n times by each of so many workers, of the first so many keys; until all have done it.
function M.run(word, among, workers, n)
  for i = 1, workers do
    todo[i]:write(("%s %d %d %d\n"):format(word, among, (i - 1) * among // workers, n))
  end
  for _ = 1, workers do
    assert(output:read "l", "nginx has ended")
  end
end

return M
