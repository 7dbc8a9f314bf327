-- What was measured, as a table to read and as a file for other programs: comma-separated,
-- lines of "# key: value" first, then the names of the columns, then a line for each entry.
local summary = require "bench.summary"

local M = {}

M.COLUMNS = {"work", "size", "processes", "keys", "against", "kind", "ns", "low", "high", "ratio",
             "ratio_low", "ratio_high", "passes", "goal", "skipped", "note"}

--- What is said behind the lines.
M.LEGEND = "A ratio has two numbers where the processes that measured it do not agree to within a "
           .. "fifth."

local LINE <const> = "%-36s %8s  %-38s %8s %12s  %s"

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

-- Two digits of a number, rounded up or down, but for as little as numbers are inexact.
local function two_digits(n, round, inexact)
  local exponent = math.floor(math.log(n, 10)) - 1
  local digits = round(n / 10.0 ^ exponent + inexact) * 10.0 ^ exponent
  return ("%%.%df"):format(math.max(0, -exponent)):format(digits)
end

--- How many times something a row's ratio says it is: one number, as the format has it, or two
-- with what stands between them.
function M.times(row, format, between)
  if summary.settled(row) then
    return format:format(row.ratio)
  end
  return two_digits(row.ratio_low, math.floor, 1e-6) .. between
         .. two_digits(row.ratio_high, math.ceil, -1e-6)
end

-- Whether a goal is met, wherever between its two numbers the ratio is.
local function verdict(row)
  local settled = summary.settled(row)
  if (settled and row.ratio or row.ratio_high) <= row.goal then
    return "met"
  end
  return (settled and row.ratio or row.ratio_low) > row.goal and "missed" or "undecided"
end

function M.header()
  return LINE:format("work", "ns", "against", "ns", "ratio", "goal")
end

--- The lines of a work's results. Each goal's verdict is counted in verdicts.
function M.lines(work, results, verdicts)
  local lines = {}
  local first = results[1]
  for i, result in ipairs(results) do
    local words = {"", "", result.name .. (result.kind == "limit" and " (limit)" or ""), "", "", ""}
    local alone = #results == 1 and not result.why
    if i == 1 or i == 2 then
      words[1], words[2] = M.title(work), first.ns and number(first.ns) or ""
    end
    if alone then
      words[3], words[6] = "", result.note or ""
    elseif result.why then
      words[6] = "skipped: " .. result.why
    else
      words[4] = number(result.ns)
      words[5] = M.times(result, result.ratio < 0.1 and "%.4f" or "%.2f", "-") .. "x"
      if result.goal then
        local word = verdict(result)
        words[6] = ("%.2fx %s"):format(result.goal, word)
        verdicts[word] = (verdicts[word] or 0) + 1
      end
      words[6] = words[6] .. (result.note and " " .. result.note or "")
    end
    if i > 1 or alone then
      lines[#lines + 1] = LINE:format(table.unpack(words)):gsub("%s+$", "")
    end
  end
  return lines
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
                    short(result.ratio_low), short(result.ratio_high), result.passes,
                    short(result.goal), result.why, result.note})
  end
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
