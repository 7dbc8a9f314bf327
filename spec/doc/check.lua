-- make check-doc: whether the site is whole: lua5.4 spec/doc/check.lua FOLDER. Each function that
-- lua/shm/types.d.lua and types/ declare has an entry with words, each link of a page leads to
-- something, each guide is in the index, and no reference is left as it was written.
package.path = "./?.lua;" .. package.path
local files = require "spec.doc.files"
local pages = require "spec.doc.pages"

local FOLDER <const> = assert(arg[1], "the folder of the site")
local passed, failed = 0, 0

local function check(good, words, ...)
  if good then
    passed = passed + 1
  else
    failed = failed + 1
    io.stderr:write(words:format(...), "\n")
  end
end

-- The pages' text by path, and the places in them.
local html, places = {}, {}
for path in files.shell("find " .. FOLDER .. " -type f"):gmatch "[^\n]+" do
  html[path], places[path] = path:find "%.html$" and files.read(path) or "", {}
  for place in html[path]:gmatch '<a name ?= ?"([^"]*)"' do
    check(not places[path][place], "%s: two places are called %s", path, place)
    places[path][place] = true
  end
  for place in html[path]:gmatch ' id="([^"]*)"' do
    places[path][place] = true
  end
end

local function normal(path)
  local n
  repeat
    path, n = path:gsub("[^/]+/%.%./", "", 1)
  until n == 0
  return path
end

local titles = {}
for path, text in pairs(html) do
  local title = text:match "<title>(.-)</title>"
  if title then
    check(not titles[title], "%s: %s is called %s, too", path, titles[title], title)
    titles[title] = path
  end
  for link in text:gmatch 'href="([^"]*)"' do
    if not link:find "^%a+:" then
      local file, place = link:match "^([^#]*)#?(.*)$"
      local target = file == "" and path or normal(path:match "^.*/" .. file)
      check(places[target] and (place == "" or places[target][place]), "%s: %s leads nowhere", path,
            link)
    end
  end
  local left = text:match "@{[^}]*}" or text:match "&#64;{[^}]*}" or text:match "THE TEXT OF"
  check(not left or path:find "/examples/", "%s: %s is left", path, left)
end

local all, classes = pages.read()
local functions = 0
for _, page in ipairs(all) do
  local path = FOLDER .. "/modules/" .. page.name .. ".html"
  for _, class in ipairs(page) do
    for _, method in ipairs(pages.functions(classes, class)) do
      local name = class.name:gsub("%.module$", ""):gsub("^shm%.?", "")
      local entry = (name == "" and "shm" or name) .. method.separator .. method.name
      local at = html[path] and select(2, html[path]:find('<a name = "' .. entry .. '">', 1, true))
      local words = at and html[path]:sub(at):match "<dd>(.-)<[/h][dh3]" or ""
      check(words:gsub("<[^>]*>", ""):find "%a%a%a", "%s has no entry for %s, or nothing in it",
            path, entry)
      functions = functions + 1
    end
  end
end
check(functions > 400, "%d functions are declared", functions)

local index = html[FOLDER .. "/index.html"]
for _, path in ipairs(files.list "examples/guides/*.md") do
  local name = path:match "[^/]+$"
  check(name == "README.md" or index:find('href="topics/' .. name .. '.html"', 1, true),
        "%s is not in the index", path)
end

print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0)
