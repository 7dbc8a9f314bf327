-- Measures each work beside its limit in C and beside what else would do it, in turns, and prints
-- the medians, how many times theirs ours takes, and the goal for that. No run fails for being
-- slow: machines are shared.
local USAGE <const> = [[
usage: lua5.4 bench/run.lua [-s SECONDS] [-r ROUNDS] [-p LEAST] [-m MOST] [-t SECONDS]
                            [--csv FILE] [--small] [WORD ...]
  WORD        only what has one of these words in its name
  -s SECONDS  how long each is measured in each round (0.015)
  -r ROUNDS   how often each is measured in one process (3)
  -p LEAST    how many processes measure it (5)
  -m MOST     how many do if a ratio is not the same in each (20)
  -t SECONDS  after how long no more begin (570)
  --csv FILE  where the figures go as well (build/bench/results.csv)
  --small     few keys and clients: to see that it works]]

package.path = "./?.lua;" .. package.path
package.cpath = "./build/bench/?.so;" .. package.cpath

local function usage()
  io.stderr:write(USAGE, "\n")
  os.exit(2)
end

local options = {seconds = 0.015, rounds = 3, least = 5, most = 20, all = 570,
                 csv = "build/bench/results.csv", words = {}}
do
  local i = 1
  local function value(convert)
    i = i + 1
    local found = arg[i] and convert(arg[i])
    return found or usage()
  end
  local function above(least)
    return function(text)
      local n = tonumber(text)
      return n and n >= least and n or nil
    end
  end
  while arg[i] do
    local word = arg[i]
    if word == "-s" then
      options.seconds = value(above(1e-6))
    elseif word == "-r" then
      options.rounds = math.tointeger(value(above(1))) or usage()
    elseif word == "-p" then
      options.least = math.tointeger(value(above(1))) or usage()
    elseif word == "-m" then
      options.most = math.tointeger(value(above(1))) or usage()
    elseif word == "-t" then
      options.all = value(above(0))
    elseif word == "--csv" then
      options.csv = value(tostring)
    elseif word == "--small" then
      options.small = true
    elseif word == "-h" or word == "--help" then
      print(USAGE)
      os.exit(0)
    elseif word:match "^%-" then
      usage()
    else
      options.words[#options.words + 1] = word
    end
    i = i + 1
  end
end

options.most = math.max(options.least, options.most)

-- One process measures, first of a group in which all are that take part. This one waits for its
-- end or for a signal, ends what is left of the group, and removes what had names.
local process = require "shm.process"
local limits = require "limits" -- gives regions methods, and comes after them
local place = require "bench.place"

require "bench.scale".small = options.small
options.terminal = os.execute "test -t 2" == true
options.new = "." .. process.pid() -- behind the file's name until all is in it
place.open()
local signals = assert(process.signals("INT", "TERM", "HUP", "CHLD"))
local parent = process.pid()
local child = assert(process.fork(function()
  limits.session()
  limits.tie(parent)
  signals:close()
  require "bench.measure".run(options)
end))

local how, what, signal
repeat
  local name = assert(signals:wait())
  if name == "CHLD" then
    how, what = child:wait(0)
  else
    signal = name
  end
until how or signal

process.kill(-child.pid, "KILL")
child:kill "KILL"
local so_far = place.kept "table"
place.remove() -- first, as who ended this may not wait for what follows
if not how then
  child:wait()
end
for _ = 1, 5000 do -- those are init's children now
  if not process.kill(-child.pid, 0) then
    break
  end
  process.sleep(0.001)
end
place.remove()
os.remove(options.csv .. options.new)
if signal or how == "signal" then
  if so_far then
    print(so_far)
  end
  io.stderr:write("\nbench: ended by SIG", signal or what, "\n")
end
os.exit(signal == "INT" and 130 or signal and 143 or how == "exit" and what or 1)
