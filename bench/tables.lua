-- README's tables, from the file of a run: between two comments in README, and nowhere else.
local report = require "bench.report"

local M = {}

M.BEGIN, M.END = "<!-- bench: begin -->", "<!-- bench: end -->"

-- What it is called here, the work, how large, the other entry; all names as in the file.
local BASICS <const> = {
  {"`region:get_i64`", "region:get_i64", {}, "a method that checks the handle"},
  {"`getter_i64`", "getter_i64", {}, "a closure of a region"},
  {"`adder(offset, 1)`", "adder(offset, 1)", {}, "a closure of a region"},
  {"`region:read`, 16 KiB", "region:read", {size = 16384}, "lua_pushlstring of as much"},
  {"`region:write`, 16 KiB", "region:write", {size = 16384}, "memcpy in an empty method"},
  {"mutex: lock, unlock", "mutex lock, unlock", {}, "two empty methods, a bare lock in C"},
  {"mutex: lock, unlock", "mutex lock, unlock", {}, "a robust mutex in C"},
  {"hand-over and back, two cpus", "hand-over, two cpus", {}, "spinning in C"},
  {"hand-over and back, one cpu", "hand-over, one cpu", {}, "futexes in C"},
  {"hand-over to a sleeper and back", "hand-over, two cpus, asleep", {}, "futexes in C"},
  {"queue: push, pop, 64 B", "queue push + pop, mpmc", {}, "strings through empty methods"},
  {"the same, spsc", "queue push + pop, spsc", {}, "strings through empty methods"},
  {"queue: a number there and back, two cpus",
   "queue spsc, a number there and back, two cpus", {}, "spinning in C"},
  {"queue: a number there and back, one cpu",
   "queue spsc, a number there and back, one cpu", {}, "futexes in C"},
  {"topic: publish to 8 listeners", "topic publish", {processes = 8},
   "the same where nobody listens"},
  {"topic: publish to 4 processes", "topic, to processes", {processes = 4}, "a pipe to each in C"},
  {"topic: publish to 16 processes", "topic, to processes", {processes = 16}, "Redis, PUBLISH"},
  {"`map:get`, 1 million keys", "map:get", {keys = 1000000, processes = 1}, "a plain Lua table"},
  {"`map:get` while another process sets", "map:get, being rewritten", {}, "the same at rest"},
  {"`shm.attach`, 4 GiB", "shm.attach, 4 GiB", {}, "the same of 4 KiB"},
  {"`shm.arena`, 4 GiB", "shm.arena, 4 GiB", {}, "the same of 32 KiB"},
  {"rpc: call and answer, two cpus", "rpc call, two cpus", {}, "queues there and back, tables"},
  {"rpc: call and answer, two cpus", "rpc call, two cpus", {}, "a socketpair, strings"},
  {"rpc: call and answer, one cpu", "rpc call, one cpu", {}, "a socketpair, strings"},
  {"replica: set", "replica:set", {}, "map:transaction of one key"},
  {"replica: set, until another node has it, and back", "replica:set, until another has it", {}},
  {"durable: sync, 16 MiB", "durable sync", {}, "io.write of as much, and fsync"},
  {"durable: open after a death", "durable.open after a death", {}},
  {"chat: a line to each of 1000 clients", "chat, 100 of 1000 talk", {},
   "the textbook's design in C"},
}

local PEERS <const> = {
  {"ring in C", "a ring in C", "two rings in C"}, {"pipe in C", "a pipe in C", "pipes in C"},
  {"pipe, cqueues", "a pipe, cqueues"}, {"socketpair, cqueues", "a socketpair, cqueues"},
  {"Unix socket, LuaSocket", "a Unix socket, LuaSocket"},
  {"System V", "a System V message queue"}, {"POSIX", "a POSIX message queue"},
  {"Redis", "Redis"}, {"Boost", "Boost's message_queue"}, {"Python", "Python's Queue"},
}

local MESSAGES <const> = {
  {"one way, 64 B", "queue, one way", {size = 64}},
  {"one way, 1 KiB", "queue, one way", {size = 1024}},
  {"one way, 16 KiB", "queue, one way", {size = 16384}},
  {"one way, 64 KiB", "queue, one way", {size = 65536}},
  {"from 4 senders, 64 B", "queue, from many", {processes = 4}},
  {"there and back, 64 B", "queue, there and back", {size = 64}},
  {"there and back, 16 KiB", "queue, there and back", {size = 16384}},
  {"there and back, 64 B, one cpu", "queue, there and back, one cpu", {}},
}

local STORES <const> = {
  {"Lua table", "a plain Lua table"}, {"nginx", "ngx.shared.DICT"}, {"LMDB in C", "LMDB in C"},
  {"Redis", "Redis"}, {"Boost", "Boost's managed map"}, {"Python", "Python's Manager().dict()"},
}

local MAPS <const> = {
  {"get, 1000 keys", "map:get", {keys = 1000, processes = 1}},
  {"set, 1000 keys", "map:set", {keys = 1000, processes = 1}},
  {"get, 1 million keys", "map:get", {keys = 1000000, processes = 1}},
  {"set", "map:set", {keys = 1000000, processes = 1}},
  {"incr", "map:incr", {keys = 1000000, processes = 1}},
  {"9 get, 1 set", "map:mixed", {keys = 1000000, processes = 1}},
  {"get, 4 processes", "map:get", {keys = 1000000, processes = 4}},
  {"set, 4 processes", "map:set", {keys = 1000000, processes = 4}},
  {"get, 4 processes, 10 hot keys", "map:get, 10 hot", {processes = 4}},
  {"set, 4 processes, 10 hot keys", "map:set, 10 hot", {processes = 4}},
}

local function line(cells)
  return "| " .. table.concat(cells, " | ") .. " |\n"
end

local function rule(n)
  return "|---" .. ("|---:"):rep(n - 1) .. "|\n"
end

local function where_of(it)
  local where = {work = it[2]}
  for key, value in pairs(it[3]) do
    where[key] = value
  end
  return where
end

local function basics(run)
  local lines = {line {"work", "takes", "times", "of", "goal"}, "|---|---:|---:|---|---:|\n"}
  for _, it in ipairs(BASICS) do
    local where = where_of(it)
    local ours, other = run:ours(where), it[4] and run:find(it[4], where)
    if ours and (other or not it[4]) then
      lines[#lines + 1] = line {it[1], run.time(ours.ns),
                                other and report.times(other, "%.3g", "–") or "",
                                it[4] or "",
                                other and other.goal and ("%.3g"):format(other.goal) or ""}
    end
  end
  return table.concat(lines)
end

-- Which rows take more than they should.
local function missed(run)
  local names = {}
  for _, it in ipairs(BASICS) do
    local where = where_of(it)
    local other = it[4] and run:ours(where) and run:find(it[4], where)
    if other and other.goal and other.ratio > other.goal then
      names[#names + 1] = it[2]
    end
  end
  return names[1] and "Over their goal: " .. table.concat(names, "; ") .. "."
    or "None is over its goal."
end

local function beside(run, what, rows, peers)
  local head = {what, "shm"}
  for i, peer in ipairs(peers) do
    head[i + 2] = peer[1]
  end
  local lines = {line(head), rule(#head)}
  for _, it in ipairs(rows) do
    local where = where_of(it)
    local ours = run:ours(where)
    if ours then
      local cells = {it[1], run.time(ours.ns)}
      for i, peer in ipairs(peers) do
        local other = run:find(peer[2], where) or peer[3] and run:find(peer[3], where)
        cells[i + 2] = other and run.time(other.ns) or ""
      end
      lines[#lines + 1] = line(cells)
    end
  end
  return table.concat(lines)
end

--- All that stands between the comments.
function M.text(run)
  return ("\nMeasured on %s, on %s; %s, medians.\n\n%s\n%s\n\n%s\n%s\n"):format(
    run.facts.machine, run.facts.date, run.facts.rounds, basics(run), missed(run),
    beside(run, "a message", MESSAGES, PEERS), beside(run, "a map's", MAPS, STORES))
end

--- README with that in it.
function M.replace(readme, text)
  local first, last = readme:find(M.BEGIN, 1, true), readme:find(M.END, 1, true)
  assert(first and last and first < last, "README has no place for the tables")
  return readme:sub(1, first + #M.BEGIN - 1) .. "\n" .. text .. readme:sub(last)
end

--- What README has there.
function M.found(readme)
  local first, last = readme:find(M.BEGIN, 1, true), readme:find(M.END, 1, true)
  return first and last and readme:sub(first + #M.BEGIN + 1, last - 1)
end

return M
