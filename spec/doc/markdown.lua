-- Markdown as HTML, as much of it as guides, README and comments use: headings, paragraphs, lists,
-- tables, blocks of code that are fenced or indented; and code, links and strong words in a line.
local M = {}

local ESCAPES <const> = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;"}

function M.escape(text)
  return (text:gsub('[&<>"]', ESCAPES))
end

--- What a heading is called in a link, as GitHub has it.
function M.anchor(heading)
  return (heading:lower():gsub("[^%w%s_\x80-\xff-]", ""):gsub("%s", "-"))
end

--- A line. Links get what options.link makes of them, code what options.code does.
function M.inline(text, options)
  local kept = {}
  local function keep(html)
    kept[#kept + 1] = html
    return "\1" .. #kept .. "\2"
  end
  text = text:gsub("(`+)(.-)%1", function(_, code)
    code = code:match "^ (`.*`) $" or code
    local href = options.code and options.code(code)
    local html = "<code>" .. M.escape(code) .. "</code>"
    return keep(href and ('<a href="%s">%s</a>'):format(href, html) or html)
  end)
  text = M.escape(text)
  text = text:gsub("!%[([^%]]+)%]%(([^)%s]+)%)", function(label, link)
    return keep(('<img alt="%s" src="%s">'):format(label:gsub('"', "&quot;"),
                                                   options.link and options.link(link) or link))
  end)
  text = text:gsub("%[([^%]]+)%]%(([^)%s]+)%)", function(label, link)
    return keep(('<a href="%s">'):format(options.link and options.link(link) or link)) .. label
      .. keep "</a>"
  end)
  text = text:gsub("%*%*([^*]+)%*%*", "<strong>%1</strong>")
  text = text:gsub("%f[%w*]%*([^*\n]+)%*%f[^%w*]", "<em>%1</em>")
  repeat
    local n
    text, n = text:gsub("\1(%d+)\2", function(i) return kept[math.tointeger(i)] end)
  until n == 0
  return text
end

local function cells(row)
  local found = {}
  for cell in (row:gsub("^%s*|", "") .. (row:find "|%s*$" and "" or "|")):gmatch "([^|]*)|" do
    found[#found + 1] = cell:match "^%s*(.-)%s*$"
  end
  return found
end

-- A code span with a bar in it is not two cells.
local function hide_bars(line)
  return (line:gsub("`[^`]*`", function(code) return (code:gsub("|", "\3")) end))
end

local function table_of(lines, options)
  local html = {"<table>"}
  for i, line in ipairs(lines) do
    if i ~= 2 then
      local row, tag = {}, i == 1 and "th" or "td"
      for j, cell in ipairs(cells(hide_bars(line))) do
        row[j] = ("<%s>%s</%s>"):format(tag, M.inline((cell:gsub("\3", "|")), options), tag)
      end
      html[#html + 1] = "<tr>" .. table.concat(row) .. "</tr>"
    end
  end
  html[#html + 1] = "</table>"
  return table.concat(html, "\n")
end

local function pre(lines, language)
  while lines[#lines] == "" do
    lines[#lines] = nil
  end
  return ('<pre class="%s">%s</pre>'):format(language or "", M.escape(table.concat(lines, "\n")))
end

-- Takes lines from i on while they are wanted; returns them and where it ended.
local function take(lines, i, wanted)
  local taken = {}
  while lines[i] and wanted(lines[i]) do
    taken[#taken + 1] = lines[i]
    i = i + 1
  end
  return taken, i
end

local function is_item(line)
  return line:find "^[-*] " or line:find "^%d+%. "
end

local blocks

-- A list whose items may hold blocks of their own, indented.
local function list_of(lines, i, options)
  local ordered = lines[i]:find "^%d" ~= nil
  local html = {ordered and "<ol>" or "<ul>"}
  while lines[i] and is_item(lines[i]) do
    local marker = lines[i]:match "^%S+ "
    local item = {lines[i]:sub(#marker + 1)}
    i = i + 1
    local rest
    rest, i = take(lines, i, function(line)
      return line == "" or line:find "^%s" or item[#item] ~= "" and not is_item(line) and #item == 0
    end)
    for _, line in ipairs(rest) do
      item[#item + 1] = (line:gsub("^" .. (" "):rep(#marker), ""):gsub("^ (%S)", "%1"))
    end
    local inner = blocks(item, options)
    html[#html + 1] = "<li>" .. inner:gsub("^<p>(.-)</p>", "%1", 1) .. "</li>"
  end
  html[#html + 1] = ordered and "</ol>" or "</ul>"
  return table.concat(html, "\n"), i
end

function blocks(lines, options)
  local html, i = {}, 1
  local function add(block)
    html[#html + 1] = block
  end
  while lines[i] do
    local line = lines[i]
    local fence = line:match "^```(%w*)"
    local level, heading = line:match "^(#+) (.*)"
    local taken
    if line == "" then
      i = i + 1
    elseif fence then
      taken, i = take(lines, i + 1, function(one) return not one:find "^```" end)
      i = i + 1
      add(pre(taken, fence))
    elseif level then
      add(('<h%d id="%s">%s</h%d>'):format(#level, M.anchor(heading), M.inline(heading, options),
                                           #level))
      i = i + 1
    elseif line:find "^    " then
      taken, i = take(lines, i, function(one) return one == "" or one:find "^    " end)
      for j, one in ipairs(taken) do
        taken[j] = one:sub(5)
      end
      add(pre(taken))
    elseif line:find "^|" then
      taken, i = take(lines, i, function(one) return one:find "^|" end)
      add(table_of(taken, options))
    elseif is_item(line) then
      local list
      list, i = list_of(lines, i, options)
      add(list)
    else
      taken, i = take(lines, i, function(one)
        return one ~= "" and not one:find "^```" and not one:find "^#+ " and not is_item(one)
      end)
      add("<p>" .. M.inline(table.concat(taken, "\n"), options) .. "</p>")
    end
  end
  return table.concat(html, "\n")
end

--- A text as HTML. Options: link(target), what a link leads to; code(text), what a word in
-- backticks leads to, or nil.
function M.html(text, options)
  local lines = {}
  for line in (text:gsub("\n*$", "\n")):gmatch "([^\n]*)\n" do
    lines[#lines + 1] = line:find "^%s*$" and "" or line
  end
  return blocks(lines, options or {})
end

return M
