-- nginx with its Lua module, for ngx.shared.DICT: run in the foreground in a folder of its own,
-- told by its standard input what to do, and ended by the end of that.
local M = {}

local MODULES = "/usr/lib/nginx/modules"

local CONFIG = [[
load_module MODULES/ndk_http_module.so;
load_module MODULES/ngx_http_lua_module.so;
daemon off;
master_process off;
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

-- What runs in nginx, as Lua 5.1: lines of a word and a number, answered by nanoseconds each.
local WORK = [[
local map, keys = ngx.shared.map, {}
for line in io.lines("FOLDER/keys") do
  keys[#keys + 1] = line
end
for i = 1, #keys do
  assert(map:set(keys[i], i))
end
local todo = {
  get = function(n)
    for i = 1, n do
      map:get(keys[i])
    end
  end,
  set = function(n)
    for i = 1, n do
      map:set(keys[i], i)
    end
  end,
}
io.stdout:write("ready\n")
io.stdout:flush()
for line in io.lines() do
  local word, n, times = line:match("(%a+) (%d+) (%d+)")
  local start = os.clock()
  for left = times, 1, -n do
    todo[word](math.min(n, left))
  end
  io.stdout:write(("%.3f\n"):format((os.clock() - start) / times * 1e9))
  io.stdout:flush()
end
os.exit(0)
]]

local function write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
end

local folder, input, output

function M.stop()
  if input then
    input:close() -- and waits for its end
    output:close()
  end
  if folder then
    os.execute("rm -rf " .. folder)
  end
  folder, input, output = nil, nil, nil
end

-- Returns true once it knows the keys, or nil and why it can not be had.
function M.start(keys)
  local path = io.popen("command -v nginx || command -v /usr/sbin/nginx"):read "l"
  if not path then
    return nil, "nginx is not there"
  end
  folder = io.popen("mktemp -d"):read "l"
  write(folder .. "/keys", table.concat(keys, "\n") .. "\n")
  local words = {FOLDER = folder, MODULES = MODULES}
  write(folder .. "/work.lua", (WORK:gsub("%u+", words)))
  write(folder .. "/config", (CONFIG:gsub("%u+", words)))
  assert(os.execute(("mkfifo %s/answers"):format(folder)))
  input = io.popen(("exec %s -p %s -c %s/config >%s/answers 2>%s/errors")
                   :format(path, folder, folder, folder, folder), "w")
  input:setvbuf "line"
  output = assert(io.open(folder .. "/answers"))
  if output:read "l" ~= "ready" then
    M.stop()
    return nil, "nginx has no Lua module"
  end
  return true
end

-- Nanoseconds for each of so many times, with n keys.
function M.run(word, n, times)
  input:write(word, " ", n, " ", times, "\n")
  return tonumber(output:read "l")
end

return M
