-- Protocols made at random of kits of statements, the same ones for the same seed; see
-- spec.lab.kits for what a kit is.
local M = {}

--- Turns of a loop that only reads, before it waits.
M.SPINS = 3

--- Gives integers from 1 to what it is asked for, the same ones for the same seed.
function M.dice(seed)
  local state = seed * 0x9E3779B97F4A7C15 ~ 0x2545F4914F6CDD1D
  return function(n)
    state = state ~ state << 13
    state = state ~ state >> 7
    state = state ~ state << 17
    return (state >> 11) % n + 1
  end
end

local function merge(kits)
  local all = {fields = {}, statements = {}, places = {}, never = {}, always = {}, finally = {},
               crashes = true}
  for _, kit in ipairs(kits) do
    for _, field in ipairs(kit.fields or {}) do
      local name = field:match "^%w+"
      if not all.fields[name] then
        all.fields[name] = true
        all.fields[#all.fields + 1] = field
      end
    end
    for _, part in ipairs {"statements", "never", "always", "finally"} do
      table.move(kit[part] or {}, 1, #(kit[part] or {}), #all[part] + 1, all[part])
    end
    for name, list in pairs(kit.places or {}) do
      all.places[name] = list
    end
    all.crashes = all.crashes and kit.crashes ~= false
  end
  all.weight = 0
  for _, statement in ipairs(all.statements) do
    all.weight = all.weight + statement[1]
  end
  return all
end

local function pick_text(kit, roll)
  local at = roll(kit.weight)
  for _, statement in ipairs(kit.statements) do
    at = at - statement[1]
    if at <= 0 then
      return statement[2]
    end
  end
end

-- One statement: the text before and after its body, and the body, a list of statements.
local function statement(kit, roll, program, me, inner)
  local text = pick_text(kit, roll)
  while inner and text:match "%$body" do
    text = pick_text(kit, roll)
  end
  text = text:gsub("%$(%l+)", function(place)
    if place == "tag" then
      program.tags = program.tags + 1
      return "t" .. program.tags
    elseif place == "me" then
      return me
    elseif place == "other" then
      return (me + roll(program.n - 1) - 1) % program.n + 1
    elseif kit.places[place] then
      return kit.places[place][roll(#kit.places[place])]
    end
  end)
  local before, after = text:match "^(.*)%$body(.*)$"
  local one = {before = before or text, after = after or "", body = {}}
  for i = 1, before and roll(2) or 0 do
    one.body[i] = statement(kit, roll, program, me, true)
  end
  return one
end

--- A protocol for a seed.
-- @tparam {table,...} kits
-- @int seed
-- @treturn table for M.source, M.compare and M.smallest
function M.make(kits, seed)
  local kit, roll = merge(kits), M.dice(seed)
  for _ = 1, 8 do
    roll(2)
  end
  local program = {n = roll(4) == 1 and 3 or 2, tags = 0, fields = kit.fields, roles = {},
                   memory = roll(3) == 1 and "tso" or "sc", crashes = 0, rules = {}}
  if kit.crashes and roll(4) == 1 then
    program.crashes, program.restart = 1, roll(3) == 1
  end
  for me = 1, program.n do
    local role = {}
    for i = 1, program.n == 2 and roll(3) + 1 or roll(2) do
      role[i] = statement(kit, roll, program, me)
    end
    program.roles[me] = role
  end
  for _, what in ipairs {"never", "always", "finally"} do
    local list = kit[what]
    if #list > 0 and roll(4) == 1 then
      program.rules[#program.rules + 1] = ("%s = {%s}"):format(what, list[roll(#list)])
    end
  end
  return program
end

local function write_statements(list, indent, lines)
  for _, one in ipairs(list) do
    if #one.body == 0 then
      lines[#lines + 1] = indent .. one.before .. one.after
    else
      lines[#lines + 1] = indent .. one.before
      write_statements(one.body, indent .. "  ", lines)
      lines[#lines + 1] = indent .. one.after
    end
  end
end

--- Its text, which can be run.
function M.source(program)
  local lines = {
    'local lab = require "shm.lab"',
    "local function got(...)",
    "  local list = table.pack(...)",
    "  for i = 1, list.n do list[i] = tostring(list[i]) end",
    '  return table.concat(list, ",")',
    "end",
    ("local options = {memory = %q, crashes = %d, spins = %d}"):format(program.memory,
                                                                      program.crashes, M.SPINS),
    "local protocol = lab.protocol {",
  }
  for _, field in ipairs(program.fields) do
    lines[#lines + 1] = "  " .. field .. ","
  end
  if program.restart then
    lines[#lines + 1] = "  restart = true,"
  end
  lines[#lines + 1] = "  roles = {"
  for _, role in ipairs(program.roles) do
    lines[#lines + 1] = "    function(w)"
    write_statements(role, "      ", lines)
    lines[#lines + 1] = "    end,"
  end
  lines[#lines + 1] = "  },"
  for _, rule in ipairs(program.rules) do
    lines[#lines + 1] = "  " .. rule .. ","
  end
  lines[#lines + 1] = "}"
  lines[#lines + 1] = "return protocol, options, got"
  return table.concat(lines, "\n") .. "\n"
end

-- The lists of statements in it, bodies too.
local function lists_of(program)
  local lists = {}
  local function add(list)
    lists[#lists + 1] = list
    for _, one in ipairs(list) do
      add(one.body)
    end
  end
  for _, role in ipairs(program.roles) do
    add(role)
  end
  lists[#lists + 1] = program.rules
  return lists
end

--- Leaves out of a protocol what does not matter.
-- @tparam table program is changed
-- @tparam function is_bad whether it still is as it was
function M.smallest(program, is_bad)
  local function try(change, undo)
    change()
    local ok, bad = pcall(is_bad, program)
    if ok and bad then
      return true
    end
    undo()
  end
  repeat
    local better = false
    for _, list in ipairs(lists_of(program)) do
      for i = #list, 1, -1 do
        local one = list[i]
        local body = one.body or {}
        local function restore(n)
          return function()
            for _ = 1, n do
              table.remove(list, i)
            end
            table.insert(list, i, one)
          end
        end
        if try(function() table.remove(list, i) end, restore(0)) then
          better = true
        elseif #body > 0 and try(function()
          table.remove(list, i)
          for j, inner in ipairs(body) do
            table.insert(list, i + j - 1, inner)
          end
        end, restore(#body)) then
          better = true
        end
      end
    end
    local crashes, restart, memory = program.crashes, program.restart, program.memory
    better = restart and try(function() program.restart = nil end,
                             function() program.restart = restart end) or better
    better = crashes > 0 and try(function() program.crashes = 0 end,
                                 function() program.crashes = crashes end) or better
    better = memory == "tso" and try(function() program.memory = "sc" end,
                                     function() program.memory = memory end) or better
  until not better
  return program
end

--- Takes the last statement of the longest role out.
-- @treturn boolean false when there is none left
function M.cut_down(program)
  local longest = program.roles[1]
  for _, role in ipairs(program.roles) do
    longest = #role > #longest and role or longest
  end
  return table.remove(longest) ~= nil
end

return M
