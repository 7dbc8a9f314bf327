-- What was measured, as a table to read and as a file for other programs: comma-separated,
-- lines of "# key: value" first, then the names of the columns, then a line for each entry.
local M = {}

M.COLUMNS = {"work", "size", "processes", "keys", "against", "kind", "ns", "low", "high", "ratio",
             "spread", "goal", "skipped", "note"}

--- What is said behind the lines.
M.LEGEND = "~: not the same in each of the processes that measured it, by more than a fifth"

local LINE <const> = "%-36s %8s  %-38s %8s %9s  %s"
local A_FIFTH <const> = 1.2

--- A number of bytes, or of keys, for people.
function M.bytes(n)
  for _, unit in ipairs {{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} do
    if n >= unit[1] and n % unit[1] == 0 then
      return ("%d %s"):format(n // unit[1], unit[2])
    end
  end
  return n .. " B"
end

function M.count(n)
  if n >= 1000000 and n % 1000000 == 0 then
    return n // 1000000 .. " million"
  end
  return tostring(n)
end

--- The whole name of a work.
function M.title(work)
  local words = {work.name}
  words[#words + 1] = work.size and M.bytes(work.size)
  words[#words + 1] = work.keys and M.count(work.keys) .. " keys"
  words[#words + 1] = work.processes and work.counted and
                      ("%d %s"):format(work.processes, work.processes == 1 and work.counted
                                       or work.counted:gsub("s$", "se") .. "s")
  return table.concat(words, ", ")
end

local function number(ns)
  return (ns < 100 and "%.1f" or "%.0f"):format(ns)
end

--- Whether what is so many times another is more than a fifth from it.
function M.apart(times)
  return times > A_FIFTH or times < 1 / A_FIFTH
end

--- "~" before a ratio on which the processes that measured it do not agree.
function M.mark(row)
  return row.spread and M.apart(row.spread) and "~" or ""
end

local function times(result)
  return M.mark(result) .. (result.ratio < 0.1 and "%.4fx" or "%.2fx"):format(result.ratio)
end

function M.header()
  return LINE:format("work", "ns", "against", "ns", "ratio", "goal")
end

--- The lines of a work's results, and how many goals were met and how many missed.
function M.lines(work, results)
  local lines, met, missed = {}, 0, 0
  local first = results[1]
  for i, result in ipairs(results) do
    local words = {"", "", result.name .. (result.kind == "limit" and " (limit)" or ""), "", "", ""}
    local alone = #results == 1 and not result.why
    if i == 1 or i == 2 then
      words[1], words[2] = M.title(work), first.ns and number(first.ns) or ""
    end
    if alone then
      words[3] = ""
    elseif result.why then
      words[6] = "skipped: " .. result.why
    else
      words[4], words[5] = number(result.ns), times(result)
      if result.goal then
        local good = result.ratio <= result.goal
        words[6] = ("%.2fx %s"):format(result.goal, good and "met" or "missed")
        met, missed = met + (good and 1 or 0), missed + (good and 0 or 1)
      end
      words[6] = words[6] .. (result.note and " " .. result.note or "")
    end
    if i > 1 or alone then
      lines[#lines + 1] = LINE:format(table.unpack(words)):gsub("%s+$", "")
    end
  end
  return lines, met, missed
end

local function field(value)
  local text = value == nil and "" or tostring(value)
  return text:find '[,"\n]' and '"' .. text:gsub('"', '""') .. '"' or text
end

local function row(values)
  local fields = {}
  for i = 1, #M.COLUMNS do
    fields[i] = field(values[i])
  end
  return table.concat(fields, ",") .. "\n"
end

--- Opens the file; facts is a list of {key, value}.
function M.open(path, facts)
  local file = assert(io.open(path, "w"))
  for _, fact in ipairs(facts) do
    file:write("# ", fact[1], ": ", fact[2], "\n")
  end
  file:write(row(M.COLUMNS))
  return file
end

local function short(n)
  return n and ("%.5g"):format(n)
end

function M.write(file, work, results)
  for _, result in ipairs(results) do
    file:write(row {work.name, work.size, work.processes, work.keys, result.name, result.kind,
                    short(result.ns), short(result.low), short(result.high), short(result.ratio),
                    short(result.spread), short(result.goal), result.why, result.note})
  end
  file:flush()
end

-- The fields of a line. In quotes, two of them are one.
local function fields(line)
  local values, at = {}, 1
  repeat
    local text, after = line:match('^"([^"]*)"()', at)
    if text then
      while line:sub(after, after) == '"' do
        local more
        more, after = line:match('^"([^"]*)"()', after)
        text = text .. '"' .. assert(more, "a quote is not closed")
      end
    else
      text, after = line:match("^([^,]*)()", at)
    end
    values[#values + 1] = text
    at = after + 1
  until at > #line + 1
  return values
end

--- What such a file says: facts by their keys, and a list of rows by the names of the columns,
-- with numbers where numbers belong.
function M.read(path)
  local facts, rows, columns = {}, {}, nil
  for line in io.lines(path) do
    local key, value = line:match "^# ([^:]+): (.*)"
    if key then
      facts[key] = value
    elseif not columns then
      columns = fields(line)
    else
      local found = {}
      for i, text in ipairs(fields(line)) do
        found[columns[i]] = text ~= "" and (tonumber(text) or text) or nil
      end
      rows[#rows + 1] = found
    end
  end
  return facts, rows
end

return M
