-- make doc: the reference and the guides as a site, by LDoc: lua5.4 spec/doc/site.lua FOLDER.
--
-- LDoc gets a file for each page, written from the declarations and comments as they are read by
-- spec/doc/pages.lua: a page per room, where LDoc by itself would have one per file. Guides are
-- all that there are in examples/guides, README, CONTRIBUTING and CHANGELOG.
package.path = "./?.lua;" .. package.path
local comments = require "spec.doc.comments"
local files = require "spec.doc.files"
local markdown = require "spec.doc.markdown"
local pages = require "spec.doc.pages"

local HERE <const> = files.shell("pwd"):match "[^\n]+" .. "/" -- LDoc goes to its config's folder
local FOLDER <const> = HERE .. assert(arg[1], "a folder to write to")
local SOURCE <const> = FOLDER .. "/.source/"
local GUIDES <const> = "examples/guides/"
local INDEX <const> = GUIDES .. "README.md" -- says in which order, and what each is about

local all_pages, classes, all_comments = pages.read()

-- How an entry is called on its page: "queue:push", "queue.create", "create" on that of shm.
local function short(class, method)
  local name = class.name:gsub("%.module$", ""):gsub("^shm%.?", "")
  return (name == "" and "shm" or name) .. method.separator .. method.name
end

-- Where each entry stands, by its names.
local places = {}
for _, page in ipairs(all_pages) do
  places[page.name] = places[page.name] or page.name .. ".html"
  for _, class in ipairs(page) do
    for _, method in ipairs(pages.functions(classes, class)) do
      local place = page.name .. ".html#" .. short(class, method)
      local full = class.name:gsub("%.module$", "") .. method.separator .. method.name
      for _, name in ipairs {full, (full:gsub("^shm%.", "")), short(class, method)} do
        local dotted = name:gsub(":", ".")
        places[name] = places[name] or place
        places[dotted] = places[dotted] or place
      end
    end
  end
end

-- A comment's text as one line of HTML, which LDoc leaves as it is. A page's summary also stands
-- elsewhere, and so has no links.
local function html(text, is_summary)
  text = text:gsub("@{([^}]+)}", "`%1`")
  local function place(code)
    return code:find "[.:]" and places[code:gsub("%(.*%)$", "")] or nil
  end
  local made = markdown.html(text, {code = not is_summary and place or nil})
  if not made:find("<p>", 2, true) then
    made = made:gsub("^<p>(.*)</p>$", "%1")
  end
  return (made:gsub("@", "&#64;"):gsub("<pre.-</pre>", function(pre)
    return (pre:gsub("\n", "&#10;")) -- LDoc wants lines
  end):gsub("\n", " "))
end

local function manual_pages(comment)
  local list = {}
  for word in (comments.tag(comment, "see") or ""):gmatch "[^,%s]+" do
    list[#list + 1] = "<code>" .. word .. "</code>"
  end
  return #list > 0 and " <p>See " .. table.concat(list, ", ") .. ".</p>" or ""
end

local function entry(class, method)
  local comment = pages.comment(all_comments, classes, class, method)
  local summary, rest = comment.text:match "^(.-%.)%s+(.*)$"
  local lines = {"--- " .. html(summary or comment.text),
                 "-- " .. (rest and html(rest) or "") .. manual_pages(comment),
                 "-- @function " .. short(class, method)}
  for _, it in ipairs(comments.parameters(comment)) do
    local modifier = it.default and "[opt=" .. it.default .. "]" or it.optional and "[opt]" or ""
    lines[#lines + 1] = ("-- @tparam%s %s %s %s"):format(modifier, it.type:gsub("%s", ""), it.name,
                                                        html(it.words))
  end
  for _, tag in ipairs(comment.tags) do
    local modifier = tag.modifier and "[" .. tag.modifier .. "]" or ""
    if tag.name == "treturn" then
      local kind, words = tag.text:match "^(%S+)%s*(.*)$"
      lines[#lines + 1] = ("-- @treturn%s %s %s"):format(modifier, kind, html(words))
    elseif tag.name == "return" or tag.name == "raise" then
      lines[#lines + 1] = ("-- @%s%s %s"):format(tag.name, modifier, html(tag.text))
    end
  end
  return table.concat(lines, "\n")
end

-- Options and fields: a table of the class's name.
local function fields(class)
  local lines = {("--- %s"):format(html(class.notes[1] or "The fields of " .. class.name .. ".")),
                 "-- @table " .. class.name}
  for _, field in ipairs(class.fields) do
    local kind = "<span class=\"types\">" .. markdown.escape(field.type) .. "</span>"
    lines[#lines + 1] = ("-- @field %s %s %s%s"):format(
      field.name, kind, html(field.words), field.optional and " (<em>optional</em>)" or "")
  end
  return table.concat(lines, "\n")
end

-- What a page is about: its module's own comment, without what that says to who reads the source.
local function about(page)
  local own = all_comments["lua/" .. page.name:gsub("%.", "/") .. ".lua"]
    or all_comments["lua/" .. page.name:gsub("%.", "/") .. "/init.lua"]
  local text = own and own.text:gsub("[^.\n]+documentation stands in[^\n]*\n?", "")
  if not text then
    for _, class in ipairs(page) do
      if class.name == page.name then
        text = class.notes[1]
      end
    end
  end
  return text or page.name
end

local function write_page(page)
  local summary, rest = about(page):match "^(.-%.)%s+(.*)$"
  local parts = {("--- %s\n-- %s\n-- @module %s\n-- @pragma nostrip\n"):format(
    html(summary or about(page), true), rest and html(rest) or "", page.name)}
  for _, class in ipairs(page) do
    local methods = pages.functions(classes, class)
    if #methods > 0 then
      local is_module = methods[1].separator == "."
      parts[#parts + 1] = ("--- %s\n-- @section %s\n"):format(
        is_module and "Functions of " .. class.name:gsub("%.module$", "")
          or "Methods of " .. class.name, (class.name:gsub("%.", "_")))
      for _, method in ipairs(methods) do
        parts[#parts + 1] = entry(class, method) .. "\n"
      end
    end
  end
  local heading = ("--- Options and fields of %s\n-- @section fields\n"):format(page.name)
  for _, class in ipairs(page) do
    if #class.fields > 0 then
      parts[#parts + 1], heading = (heading or "") .. "\n" .. fields(class) .. "\n", nil
    end
  end
  files.write(SOURCE .. page.name .. ".lua", table.concat(parts, "\n") .. "\nreturn nil\n")
end

-- All guides: those that their index names in its order, then the others.
local function guides()
  local list, known, index = {}, {[INDEX] = true}, files.read(INDEX)
  local function add(path)
    if not known[path] then
      list[#list + 1], known[path] = path, true
    end
  end
  for name in index:gmatch "%]%(([%w_]+%.md)%)" do
    add(GUIDES .. name)
  end
  for _, path in ipairs(files.list(GUIDES .. "*.md")) do
    add(path)
  end
  return list
end

local function normal(path)
  path = path:gsub("/%./", "/"):gsub("^%./", "")
  local n
  repeat
    path, n = path:gsub("[^/]+/%.%./?", "", 1)
  until n == 0
  return (path:gsub("/$", ""))
end

local copied = {}

-- What a link of a Markdown file leads to in the site; files that are no pages go with it.
local function link(from, target)
  local file, part = target:match "^([^#]*)(#?.*)$"
  if target:find "^%a+:" or file == "" then
    return target
  end
  local path = normal((from:match "^(.*/)" or "") .. file)
  if path == GUIDES:sub(1, -2) or path == INDEX or path == "examples" then
    return "../index.html"
  elseif path:find "%.md$" then
    return path:match "[^/]+$" .. ".html" .. part
  elseif path:find "^examples/%d%d_.*%.lua$" then
    return "../" .. path .. ".html"
  end
  copied[path] = true
  return "../files/" .. path
end

local function title_of(path)
  return path == "README.md" and "README" or files.read(path):match "^# ([^\n]+)"
end

-- Replaces what LDoc was given to hold a guide's place.
local function write_topics(list)
  for _, path in ipairs(list) do
    local page = FOLDER .. "/topics/" .. path:match "[^/]+$" .. ".html"
    local text = files.read(page)
    local body = markdown.html(files.read(path), {
      link = function(target) return link(path, target) end,
      code = function(code)
        local found = places[code:gsub("%(.*%)$", "")]
        return found and code:find "[.:]" and "../modules/" .. found
      end,
    })
    local before, behind = text:match "^(.-)# [^\n]*\n<p>THE TEXT OF [^\n]*(.*)$"
    files.write(page, before .. body .. behind)
  end
  local index = FOLDER .. "/index.html"
  local text = files.read(index)
  for _, path in ipairs(list) do
    local name = path:match "[^/]+$"
    text = text:gsub(">" .. name:gsub("%p", "%%%0") .. "</a>", ">" .. title_of(path) .. "</a>")
  end
  -- The guides are listed above it, with what each is about.
  text = text:gsub('<h2>Topics</h2>%s*<table class="module_list">.-</table>%s*', "", 1)
  files.write(index, text)
  for path in pairs(copied) do
    files.write(FOLDER .. "/files/" .. path, files.read(path))
  end
end

-- LDoc calls all pages the same.
local function write_titles(list)
  local titles = {["index.html"] = "shm: shared memory for Lua"}
  for _, path in ipairs(list) do
    titles["topics/" .. path:match "[^/]+$" .. ".html"] = title_of(path) .. " (shm)"
  end
  for path in files.shell("find " .. FOLDER .. " -name '*.html'"):gmatch "[^\n]+" do
    local page = path:sub(#FOLDER + 2)
    local title = titles[page] or page:match "([^/]+)%.html$"
    files.write(path, (files.read(path):gsub("<title>.-</title>", function()
      return "<title>" .. markdown.escape(title) .. "</title>"
    end, 1)))
  end
end

local CSS <const> = [[
#content { width: 58em; }
pre { overflow-x: auto; line-height: 1.25; }
pre.text { line-height: 1; }
#content table { border-collapse: collapse; }
#content td, #content th { border: 1px solid #ccc; padding: 2px 6px; vertical-align: top; }
#content .types { font-family: monospace; color: #555; }
]]

-- A guide's line of the index: its title, and what the guides' own index says of it.
local function line_of(path)
  local name = path:match "[^/]+$"
  local item = "%]%(" .. name:gsub("%p", "%%%0") .. "%)(: .-)\n[-\n]"
  local words = files.read(INDEX):match(item) or ""
  return ('<li><a href="topics/%s.html">%s</a>%s</li>'):format(
    name, markdown.escape(title_of(path)), markdown.inline((words:gsub("\n%s*", " ")), {}))
end

local BEGIN <const> = '<p>Begin with <a href="topics/README.md.html">README</a>, which has a '
  .. 'queue between two terminals; then take the guide for your task. The modules have each '
  .. 'function.</p>'
local ALSO <const> = '<p>And for who changes something: <a href="topics/CONTRIBUTING.md.html">'
  .. 'Contributing</a>, <a href="topics/CHANGELOG.md.html">Changelog</a>.</p>'

local function config(list)
  local lines = {}
  for i, path in ipairs(guides()) do
    lines[i] = line_of(path)
  end
  local places_of = {}
  for i, path in ipairs(list) do
    places_of[i] = SOURCE .. "topics/" .. path:match "[^/]+$"
    files.write(places_of[i], ("# %s\n\nTHE TEXT OF %s.\n"):format(title_of(path), path))
  end
  local readme = files.read "README.md":match "^# [^\n]+\n\n(.-)\n\n"
  files.write(SOURCE .. "site.css", CSS)
  local modules = {}
  for i, page in ipairs(all_pages) do
    modules[i] = SOURCE .. page.name .. ".lua"
  end
  files.write(SOURCE .. "config.ld", ([[
project, title, format = "shm", "shm", "plain"
description = %q
full_description = %q
file, topics, examples = {%s}, {%s}, {%s}
use_markdown_titles, no_lua_ref, no_args_infer, wrap, sort_modules = true, true, true, true, true
custom_css = "site.css"
]]):format(
    "Shared memory for Lua", BEGIN .. "<p>" .. markdown.inline(readme:gsub("\n", " "), {})
      .. "</p><h2>Guides</h2><ul>" .. table.concat(lines) .. "</ul>" .. ALSO,
    '"' .. table.concat(modules, '", "') .. '"', '"' .. table.concat(places_of, '", "') .. '"',
    '"' .. table.concat(files.list(HERE .. "examples/[0-9]*.lua"), '", "') .. '"'))
end

os.execute("rm -rf " .. FOLDER)
for _, page in ipairs(all_pages) do
  write_page(page)
end
local list = {"README.md", table.unpack(guides())}
table.move({"CONTRIBUTING.md", "CHANGELOG.md"}, 1, 2, #list + 1, list)
config(list)
local command = "lua5.4 $(command -v ldoc) --fatalwarnings --config %sconfig.ld --dir %s . 2>&1; "
  .. "echo status $?"
local said = files.shell(command:format(SOURCE, FOLDER))
local warnings = said:gsub("reading configuration from [^\n]*\n", "")
  :gsub("changing to directory[^\n]*\n", ""):gsub("output written to [^\n]*\n", "")
if warnings ~= "status 0\n" then
  io.stderr:write(said)
  os.exit(1)
end
files.write(FOLDER .. "/site.css", CSS)
write_topics(list)
write_titles(list)
os.execute("rm -rf " .. SOURCE)
