-- Messages from a process to another, each on a cpu of its own: how long one takes where as many
-- are sent as go in.
local boost = require "bench.peers.boost"
local cpus = require "bench.cpus"
local limits = require "limits"
local links = require "bench.peers.links"
local python = require "bench.peers.python"
local shm = require "shm"

local RING <const> = 4 << 20

-- A link as an entry; team says how many send.
local function through(how, size, team)
  local entry, link = {name = how.name, kind = how.kind}, nil
  local text = ("m"):rep(size)
  function entry.start()
    local why
    link, why = how.open(size, 1)
    return link, why
  end
  function entry.partner(n)
    link.within(function()
      local send = link.sender(1)
      for _ = 1, n do
        send(text)
      end
    end)
  end
  function entry.run(n)
    link.within(function()
      local receive = link.receiver(1)
      for _ = 1, n * team do
        receive()
      end
    end)
  end
  function entry.stop()
    link.close()
  end
  return entry
end

-- A ring in C: of one sender, or of many.
local function ring(size, team)
  local entry, region = {name = "a ring in C", kind = "limit"}, nil
  local one = team == 1
  local push = one and limits.ring_push or limits.cells_push
  local pop = one and limits.ring_pop or limits.cells_pop
  function entry.start()
    region = assert(shm.anonymous(2 * RING + 65536, {prefault = true}))
    if one then
      limits.ring_make(region, 0, RING)
    else
      limits.cells_make(region, 0, size, 1 << 14)
    end
    return true
  end
  function entry.partner(n)
    push(region, 0, size, n)
  end
  function entry.run(n)
    pop(region, 0, size, n * team)
  end
  function entry.stop()
    region:close()
  end
  return entry
end

local function pipe(size, team, goal)
  local entry, reading, writing = {name = "a pipe in C", kind = "peer", goal = goal}, nil, nil
  function entry.start()
    reading, writing = limits.pipe()
    return true
  end
  function entry.partner(n)
    limits.pipe_push(writing, size, n)
  end
  function entry.run(n)
    limits.pipe_pop(reading, size, n * team)
  end
  function entry.stop()
    limits.pipe_end(reading, writing)
  end
  return entry
end

local list = {}

-- team is how many send; ours and the other names of links are compared.
local function row(name, size, team, goal, names)
  local others = {}
  for i = 1, team do
    others[i] = cpus.of(i, "beside")
  end
  local command = ("oneway %d %d %s"):format(size, cpus.first(), table.concat(others, ","))
  local work = {
    name = name, size = size, team = team, share = team, how = "beside",
    through(links[names[1]], size, team), ring(size, team), pipe(size, team, goal),
  }
  for i = 2, #names do
    work[#work + 1] = through(links[names[i]], size, team)
  end
  work[#work + 1] = boost.entry("message_queue", command)
  work[#work + 1] = python.entry("Queue", command)
  list[#list + 1] = work
  return work
end

if cpus.count > 1 then
  local GOALS <const> = {[64] = 1 / 5, [1024] = 1 / 2.5, [16384] = 1 / 3.5}
  for _, size in ipairs {8, 64, 256, 1024, 4096, 16384, 65536} do
    row("queue, one way", size, 1, GOALS[size],
        {"spsc", "mpmc", "pipe", "socketpair", "luasocket", "channel", "sysv", "posix", "redis"})
  end
end

-- Where more than one sends, all but the receiver share the other cpus.
for producers = 1, 4 do
  local work = row("queue, from many", 64, producers, nil,
                   {"mpmc", "pipe", "sysv", "posix", "redis"})
  work.processes, work.counted = producers, "sender"
end

return list
