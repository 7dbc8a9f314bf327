-- What takes the laboratory longer than a spec may: lua5.4 spec/lab_soak.lua; make soak runs it.
--
-- The algorithms of shm.exclusion among three processes, with more rounds, and with waits that end
-- early; this module's own waking with every death; and the corpus without reduction.
package.path = "./?.lua;" .. package.path
local corpus = require "spec.lab.corpus"
local counts = require "spec.lab.counts"
local exclusion = require "spec.lab.exclusion"
local lab = require "shm.lab"
local sync = require "spec.lab.sync"

local HOLD <const> = {
  {"szymanski", 2, {rounds = {2, 2}}},
  {"szymanski", 3, {}},
  {"filter", 3, {patience = {1, 0, 0}}},
  {"filter", 3, {patience = {0, 0, 1}}},
  {"bakery", 3, {patience = {1, 0, 0}}},
  {"bakery", 3, {patience = {0, 0, 1}}},
  {"peterson", 2, {patience = {1, 1}, rounds = {2, 2}}},
  {"filter", 2, {patience = {1, 1}, rounds = {2, 2}}},
  {"bakery", 2, {patience = {1, 1}, rounds = {2, 2}}},
  {"dekker", 2, {patience = {1, 1}, rounds = {2, 1}}},
  {"dekker", 2, {patience = {1, 1}, rounds = {1, 2}}},
}

local function say(...)
  print(("laboratory: %s: %s"):format(...))
end

for _, case in ipairs(HOLD) do
  local name, n, options = table.unpack(case)
  local result = exclusion.holds(exclusion.algorithm(name), n, options)
  say(("%s of %d, rounds %s, early ends %s"):format(name, n,
    table.concat(options.rounds or {1}, " "), table.concat(options.patience or {0}, " ")), result)
end

say("szymanski, backwards", exclusion.collides(exclusion.szymanski_backwards(), 3,
                                               {memory = "sc"}))

for name, entry in pairs(sync) do
  if entry.long then
    local result = lab.check(entry.make(), entry.options)
    assert(result.ok and result.exhaustive, tostring(result))
    say(name, result)
  end
end

local with, without = 0, 0
for _, name in ipairs(corpus.names()) do
  for _, which in ipairs {"faulty", "mended"} do
    local one, other = corpus.count(corpus.entry(name), which)
    local written = counts[name][which]
    assert(one == written[1] and other == written[2],
           ("%s, %s: %d and %d schedules"):format(name, which, one, other))
    with, without = with + one, without + other
  end
end
say("corpus", ("%d schedules with reduction, %d without, where each protocol counts up to %d")
  :format(with, without, corpus.BOUND))
