-- The reference: each function that is declared has a comment, about the same parameters; and what
-- makes and checks the site.
local comments = require "spec.doc.comments"
local files = require "spec.doc.files"
local markdown = require "spec.doc.markdown"
local pages = require "spec.doc.pages"
local support = require "spec.support"
local types = require "spec.doc.types"

local function names(parameters)
  local list = {}
  for i, one in ipairs(parameters) do
    list[i] = one.name .. (one.optional and "?" or "")
  end
  return table.concat(list, ", ")
end

describe("the reference", function()
  local all, classes, found = pages.read()

  for _, page in ipairs(all) do
    it("of " .. page.name .. " has each function's comment, with its parameters", function()
      for _, class in ipairs(page) do
        for _, method in ipairs(pages.functions(classes, class)) do
          local name = class.name .. method.separator .. method.name
          local comment = assert(pages.comment(found, classes, class, method), name)
          assert(#comment.text > 3, name)
          assert.equal(name .. ": " .. names(method.parameters),
                       name .. ": " .. names(comments.parameters(comment)))
        end
      end
    end)
  end

  it("has a type for each parameter, and for what is returned", function()
    for _, class in ipairs(classes) do
      for _, method in ipairs(class.functions) do
        local name = class.name .. method.separator .. method.name
        local said = table.concat(method.notes, "\n")
        for _, parameter in ipairs(method.parameters) do
          assert(said:find("@param " .. parameter.name:gsub("%.", "%%.") .. "[ ?]"),
                 name .. " has a parameter without a type: " .. parameter.name)
        end
        local comment = pages.comment(found, classes, class, method)
        local gives = comment and (comments.tag(comment, "treturn")
                                   or comments.tag(comment, "return"))
        assert(not gives or said:find "@return", name .. " returns something without a type")
      end
    end
  end)

  it("names in comments only what is declared", function()
    local declared = {}
    for _, class in ipairs(classes) do
      for _, method in ipairs(class.functions) do
        declared[class.name:gsub("%.module$", "") .. method.separator .. method.name] = true
      end
    end
    for name, comment in pairs(found) do
      local own = comments.tag(comment, "function") == name and not name:find "^core%."
      local shared = name:find "^shm%.object" or name:find "^shm%.sysv%.id"
      assert(not own or declared[name] or shared, name)
    end
  end)

  it("has no two comments for one function", function()
    local seen = {}
    for _, path in ipairs(files.list "src/bind/*.c") do
      for name in files.read(path):gmatch "@function ([%w_.:]+)" do
        assert(not seen[name], name)
        seen[name] = true
      end
    end
  end)
end)

describe("a declaration's type", function()
  it("ends before the words", function()
    assert.same({"integer", "bytes of it"}, {types.split_type "integer bytes of it"})
    assert.same({"fun(a: b, c: d): e, f", "it"}, {types.split_type "fun(a: b, c: d): e, f it"})
    assert.same({"table<string, integer>", ""}, {types.split_type "table<string, integer>"})
    assert.same({'"a"|"b"', "x"}, {types.split_type '"a"|"b" x'})
  end)
end)

describe("Markdown", function()
  local function becomes(html, text)
    assert.equal(html, markdown.html(text, {link = function(link) return "to/" .. link end}))
  end

  it("has paragraphs, headings, and words in a line", function()
    becomes('<h2 id="how-it-is">How it is</h2>\n<p>a <code>b_c &lt;</code> <strong>d</strong> &amp;'
            .. ' <a href="to/e.md">f <code>g</code></a></p>',
            "## How it is\n\na `b_c <` **d** & [f `g`](e.md)\n")
  end)

  it("has blocks of code, as they are", function()
    becomes('<pre class="lua">a &lt; b\n\n  c `d`</pre>', "```lua\na < b\n\n  c `d`\n```\n")
    becomes('<pre class="">a\n  b</pre>\n<p>c</p>', "    a\n      b\n\nc\n")
  end)

  it("has lists, with blocks in them", function()
    becomes('<ul>\n<li>a\nb</li>\n<li>c\n<pre class="lua">d</pre></li>\n</ul>\n<p>e</p>',
            "- a\n  b\n- c\n\n  ```lua\n  d\n  ```\n\ne\n")
    becomes("<ol>\n<li>a</li>\n<li>b</li>\n</ol>", "1. a\n2. b\n")
  end)

  it("has tables, with bars in code", function()
    becomes("<table>\n<tr><th>a</th><th>b</th></tr>\n<tr><td><code>c|d</code></td><td>e</td>"
            .. "</tr>\n</table>", "| a | b |\n|---|---|\n| `c|d` | e |\n")
  end)
end)

-- A site as LDoc's, with no more than what is looked at.
describe("make check-doc", function()
  local folder

  before_each(function()
    folder = support.shell("mktemp -d"):match "%S+"
    local all, classes = pages.read()
    local index = {}
    for _, page in ipairs(all) do
      local parts = {}
      for _, class in ipairs(page) do
        for _, method in ipairs(pages.functions(classes, class)) do
          local name = class.name:gsub("%.module$", ""):gsub("^shm%.?", "")
          parts[#parts + 1] = ('<a name = "%s%s%s"></a>\n<dd>\nwords\n</dd>'):format(
            name == "" and "shm" or name, method.separator, method.name)
        end
      end
      files.write(("%s/modules/%s.html"):format(folder, page.name), table.concat(parts, "\n"))
    end
    for i, path in ipairs(files.list "examples/guides/*.md") do
      local name = path:match "[^/]+$"
      index[i] = ('<a href="topics/%s.html">a guide</a>'):format(name)
      files.write(("%s/topics/%s.html"):format(folder, name),
                  '<a href="../index.html">up</a> <a href="../modules/shm.html#shm.create">x</a>')
    end
    files.write(folder .. "/index.html", table.concat(index))
  end)

  after_each(function()
    os.execute("rm -rf " .. folder)
  end)

  local function checked()
    return support.shell("lua5.4 spec/doc/check.lua " .. folder .. " 2>&1")
  end

  local function change(name, pattern, replacement)
    local path = folder .. "/" .. name
    local text, n = files.read(path):gsub(pattern, replacement)
    assert.equal(1, n)
    files.write(path, text)
  end

  it("passes a whole site", function()
    assert.matches("\n?%d+ passed, 0 failed\n$", checked())
  end)

  it("misses an entry, and its words", function()
    change("modules/shm.queue.html", '<a name = "queue:push">', "")
    change("modules/shm.map.html", '(<a name = "map:get"></a>\n<dd>\n)words', "%1")
    local said = checked()
    assert.matches("no entry for queue:push", said)
    assert.matches("no entry for map:get", said)
    assert.matches("2 failed\n$", said)
  end)

  it("finds links that lead nowhere, to files and to places in them", function()
    change("topics/queue.md.html", "index", "nowhere")
    change("topics/crash.md.html", "#shm%.create", "#shm.nothing")
    assert.matches("nowhere%.html leads nowhere.*2 failed\n$", checked())
  end)

  it("finds what is unresolved, places of one name, and guides that the index lacks", function()
    change("topics/queue.md.html", "up", "@{up}")
    change("topics/crash.md.html", "up", '<a name="a"></a><a name="a"></a>')
    change("index.html", '<a href="topics/c%.md%.html">a guide</a>', "")
    assert.matches("3 failed\n$", checked())
  end)
end)
