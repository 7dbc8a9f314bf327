--- The rules of a protocol over real memory: asked by the role that has just made a step which
-- changes something they look at.
--
-- A rule that looks at one thing alone, a word, or how many are inside a section, is asked of the
-- very value that the step made, which locked additions tell exactly. One that looks at several
-- is asked of a picture: all that it looks at is read twice, and again until both are the same.
-- So each of its values was there before the second reading began and after the first one ended;
-- what changed in between and changed back can still deceive it. Only what is there at that
-- moment is seen: a state that lasted a hundred nanoseconds may have gone by unseen.
-- @module shm.lab.run.rules
local core = require "shm.core"
local mentions = require "shm.lab.run.mentions"
local places = require "shm.lab.run.place"
local rules = require "shm.lab.rules"

local M = {}

local MOST_LOOKS <const> = 100 -- for two that are the same, before the last one is taken

-- The protocol as a rule's state sees it: one rule, and objects as they really are.
local function facade_of(protocol, rule, real_of)
  local object_of = {}
  for name in pairs(protocol.object_of) do
    local real = real_of[name]
    object_of[name] = {kind = {show = real and real.show and function() return real.show() end}}
  end
  local one = {never = {}, always = {}, finally = {}, initial = protocol.initial,
               object_of = object_of}
  one[rule.kind] = {rule}
  return one
end

-- The state that one rule looks at: what it has looked at is read together.
local function source_of(self, rule)
  local place, region = self.place, self.place.region
  local readers, values, keys = {}, {}, {}
  local source = setmetatable({protocol = facade_of(self.protocol, rule, self.real), watched = {},
                               state = {}}, {__index = function(_, key)
    if key == "deaths" then
      readers.deaths = readers.deaths or function() return place:deaths(self.round()) end
      return readers.deaths()
    end
  end})

  local function part(prefix, make)
    return setmetatable({}, {__index = function(_, name)
      local key = prefix .. name
      if not readers[key] then
        readers[key] = make(name)
        keys[#keys + 1] = key
        values[key] = readers[key]()
      end
      return values[key]
    end})
  end

  source.memory = part("", function(name) return region:getter_i64(place.words[name]) end)
  source.inside = part("inside ", function(name)
    local load = region:loader(place:name(name) + 128)
    return function()
      return places.inside(source.strict and place:living(load(), self.round()) or load())
    end
  end)
  source.observed = part("observed ", function(name)
    local at = place:name(name)
    return function() return place:observed(self.round(), at) end
  end)

  local function read()
    local same = true
    for i = 1, #keys do
      local key = keys[i]
      local value = readers[key]()
      if value ~= values[key] then
        values[key], same = value, false
      end
    end
    return same
  end

  function source.picture()
    read()
    for _ = 1, MOST_LOOKS do
      if read() then
        return
      end
    end
  end

  --- As it is, but for one value that is known.
  function source.know(key, value)
    if readers[key] then
      values[key] = value
    end
  end

  function source.alone() return #keys == 1 and not source.objects end
  return source
end

--- The rules, for one process.
-- @tparam shm.lab.protocol protocol
-- @tparam table place
-- @tparam table real the real objects by name, of which `show()` says what they are like
-- @tparam function round gives the round
-- @tparam function broke called with the rule's number, what it is (kind, name, message)
-- @treturn table judge: watched, word, inside, observed, object, at_start, at_end
function M.new(protocol, place, real, round, broke)
  local self = {protocol = protocol, place = place, real = real, round = round}
  local judge = {watched = {}}
  local now, last, number = {}, {}, 0
  for _, list in ipairs {protocol.never, protocol.always, protocol.finally} do
    for _, rule in ipairs(list) do
      number = number + 1
      local source = source_of(self, rule)
      local at_once, at_end = rules.watch(source)
      local one = {source = source, number = number, ask = at_once,
                   mentioned = mentions.of(rule.f)}
      if rule.kind == "finally" then
        one.ask = at_end
        last[#last + 1] = one
      else
        now[#now + 1] = one
      end
    end
  end
  judge.count = number

  -- Who changes that asks the rule.
  local function watch(one, key)
    local list = judge.watched[key] or {}
    judge.watched[key] = list
    if not list[one] then
      list[one] = true
      list[#list + 1] = one
    end
  end

  -- Asks one, and learns what it looks at.
  local function ask(one, only_learn, recheck)
    local source = one.source
    local found = one.ask()
    if source.grown then
      source.grown = false
      if found then -- what it had not looked at before was not in the picture
        source.picture()
        found = one.ask()
      end
      for key in pairs(source.watched) do
        if protocol.object_of[key] then
          source.objects = true
        end
        one.counts = one.counts or key:match "^inside " ~= nil
        watch(one, key)
      end
    end
    if found and recheck and one.counts then
      recheck()
      found = one.ask()
    end
    if found and not only_learn then
      broke(one.number, found)
    end
  end

  -- Asks one after something has changed. Who is dead may still be counted in a section, until the
  -- parent takes it out: what is broken has to be so without those, too.
  local function ask_again(one, key, living)
    local source = one.source
    ask(one, false, function()
      if living and source.alone() then
        source.know(key, living())
      else
        source.strict = true
        source.picture()
        source.strict = false
      end
    end)
  end

  local function changed(key, value, stored, living)
    local list = judge.watched[key]
    if not list then
      return
    end
    local fenced = not stored
    for i = 1, #list do
      local one = list[i]
      if value ~= nil and one.source.alone() then
        one.source.know(key, value)
      else
        if not fenced then
          core.fence()
          fenced = true
        end
        one.source.picture()
      end
      ask_again(one, key, living)
    end
  end

  --- A word has got a value; `stored` when it may not have reached memory yet.
  function judge.word(name, value, stored) changed(name, value, stored) end

  --- A section has been entered or left: the word that says who is inside, as it became.
  function judge.inside(name, word)
    changed("inside " .. name, places.inside(word), false, function()
      return places.inside(place:living(word, round()))
    end)
  end

  function judge.observed(name) changed("observed " .. name) end

  function judge.object(name) changed(name) end

  --- Learns which rules may look at a section, or at what is observed, when one of that name is
  -- first heard of. Who is inside is counted where any may, also only at the end.
  -- @string part "inside" or "observed"
  -- @string name
  function judge.hear(part, name)
    local key = part .. " " .. name
    for _, one in ipairs(now) do
      if one.mentioned[part] and one.mentioned[name] then
        local _ = one.source[part][name] -- from now on it is in the picture
        one.counts = one.counts or part == "inside"
        watch(one, key)
      end
    end
    for _, list in ipairs {now, last} do
      for _, one in ipairs(list) do
        if one.mentioned[part] then
          judge.watched[key] = judge.watched[key] or {}
        end
      end
    end
  end

  -- The same of words and objects, whose names are known from the start.
  local function hear_all(one)
    for name in pairs(one.mentioned) do
      local object = real[name]
      if protocol.initial[name] ~= nil then
        local _ = one.source.memory[name]
        watch(one, name)
      elseif object and object.show then
        one.source.objects = true
        watch(one, name)
      end
    end
  end

  --- Asks all that must hold from the start; or only sees what they look at.
  function judge.at_start(only_learn)
    for _, one in ipairs(now) do
      if not one.heard then
        one.heard = true
        hear_all(one)
      end
      one.source.picture()
      ask(one, only_learn)
    end
  end

  --- Asks what must hold at the end.
  function judge.at_end()
    for _, one in ipairs(last) do
      one.source.picture()
      ask(one)
    end
  end
  return judge
end

return M
