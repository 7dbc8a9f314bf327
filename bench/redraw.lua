-- Draws the plots and writes README's tables anew, from bench/plots/results.csv.
package.path = "./?.lua;" .. package.path
local results = require "bench.results"
local tables = require "bench.tables"

local FOLDER <const> = "bench/plots/"
local run = results.read(FOLDER .. "results.csv")

-- What each plot shows: the name of a work, what is counted up, and the entries, whose columns
-- gnuplot finds by these names.
local MESSAGES <const> = {
  "queue, spsc", "queue, mpmc", "a ring in C", "two rings in C", "a pipe in C", "pipes in C",
  "a pipe, cqueues", "a socketpair, cqueues", "a System V message queue", "a POSIX message queue",
  "Redis", "Boost's message_queue", "Python's Queue",
}
local TABLE <const> = "a plain Lua table" -- which one process has: a line for any number
local STORES <const> = {
  TABLE, "map", "LMDB in C", "ngx.shared.DICT", "Redis", "Boost's managed map",
  "Python's Manager().dict()",
}
local PLOTS <const> = {
  {"latency", "size", MESSAGES, {work = "queue, there and back"}},
  {"throughput", "size", MESSAGES, {work = "queue, one way"}},
  {"map-get", "processes", STORES, {work = "map:get", keys = 1000000}},
  {"map-set", "processes", STORES, {work = "map:set", keys = 1000000}},
}

-- A table with tabs; what is not known is "?".
local function data(x, entries, where)
  local lines, seen = {table.concat({x, table.unpack(entries)}, "\t")}, {}
  for _, row in ipairs(run.rows) do
    if row.work == where.work and row.keys == where.keys and row[x] and not seen[row[x]] then
      seen[row[x]] = true
      local cells = {row[x]}
      for i, name in ipairs(entries) do
        local found = run:find(name, {work = where.work, keys = where.keys,
                                      [x] = name == TABLE and 1 or row[x]})
        cells[i + 1] = found and found.ns or "?"
      end
      lines[#lines + 1] = table.concat(cells, "\t")
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

local function write(path, text)
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(text))
end

os.execute "mkdir -p build/bench"
for _, plot in ipairs(PLOTS) do
  write("build/bench/" .. plot[1] .. ".tsv", data(plot[2], plot[3], plot[4]))
end
for _, name in ipairs {"latency", "throughput", "map"} do
  local command = "gnuplot -e \"output='%s%s.svg'\" %s%s.gp"
  assert(os.execute(command:format(FOLDER, name, FOLDER, name)))
end

local file <close> = assert(io.open "README.md")
local readme = file:read "a"
write("README.md", tables.replace(readme, tables.text(run)))
print("bench/plots/*.svg and README.md are those of the run of " .. run.facts.date)
