-- The corpus of the laboratory: each file of spec/lab/corpus has a faulty protocol, the diagnosis
-- that it is to get, and the protocol mended.
--
--   options   of lab.check, for both
--   faulty, mended
--   verdict   kind, and name, roles (by number) and message (part of it) where they are fixed
--
-- As a script it prints spec/lab/counts.lua anew.
local M = {}

--- Schedules without reduction are counted up to here, as some protocols have more than can be
-- gone through: with that bound they count as if they had no more.
M.BOUND = 10000

--- The names of all, in order.
function M.names()
  local names = {}
  local pipe <close> = assert(io.popen "ls spec/lab/corpus/*.lua")
  for path in pipe:lines() do
    names[#names + 1] = path:match "([%w_]+)%.lua$"
  end
  return names
end

--- What a file has.
function M.entry(name) return require("spec.lab.corpus." .. name) end

--- Checks a protocol of an entry.
-- @tparam table entry
-- @string which "faulty" or "mended"
-- @tparam[opt] table more options of lab.check
-- @treturn shm.lab.result
function M.check(entry, which, more)
  local options = {}
  for _, given in ipairs {entry.options, more} do
    for key, value in pairs(given) do
      options[key] = value
    end
  end
  return require "shm.lab".check(entry[which], options)
end

-- What was found, as one text.
local function keys_of(list)
  local keys = {}
  for key in pairs(list) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return table.concat(keys, "\n")
end

--- How many schedules are taken to go through all of a protocol, and how many of them come to
-- nothing new; a violation does not end the search here. Where all are gone through without
-- reduction, too, they come to the same.
-- @tparam table entry
-- @string which
-- @tparam[opt] int bound the BOUND if absent
-- @treturn int with reduction
-- @treturn int without, up to the bound
function M.count(entry, which, bound)
  local with = M.check(entry, which, {all = true})
  assert(with.exhaustive, tostring(with))
  local without = M.check(entry, which, {all = true, reduce = false,
                                         schedules = bound or M.BOUND})
  if without.exhaustive then
    assert(keys_of(with.violations) == keys_of(without.violations))
    assert(keys_of(with.outcomes) == keys_of(without.outcomes))
  end
  return with.schedules + with.blocked, without.schedules + without.blocked
end

local function print_counts()
  print [[
-- What the corpus comes to, as spec/lab/corpus.lua prints it: schedules of the faulty and of the
-- mended protocol, with reduction and without, and the schedule that shows the fault.]]
  print "return {"
  for _, name in ipairs(M.names()) do
    local entry = M.entry(name)
    local with, without = M.count(entry, "faulty")
    local mended_with, mended_without = M.count(entry, "mended")
    print(("  %s = {\n    faulty = {%d, %d}, mended = {%d, %d},\n    schedule = %q,\n  },")
      :format(name, with, without, mended_with, mended_without,
              M.check(entry, "faulty").schedule))
  end
  print "}"
end

if arg and arg[0] and arg[0]:match "lab/corpus%.lua$" then
  package.path = "./?.lua;" .. package.path
  print_counts()
end

return M
