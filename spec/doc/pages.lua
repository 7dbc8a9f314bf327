-- The reference, page by page: what the types declare, with the comments that go with it.
local comments = require "spec.doc.comments"
local types = require "spec.doc.types"

local M = {}

-- Classes that are shown with another. All others stand on the page of their first two words.
local PAGES <const> = {
  ["shm.loan"] = "shm.queue", ["shm.view"] = "shm.queue", ["shm.block"] = "shm.arena",
  ["shm.subscriber"] = "shm.topic", ["shm.held"] = "shm.mutex",
  ["shm.anonymous.options"] = "shm", ["shm.create.options"] = "shm",
  ["shm.attach.options"] = "shm", ["shm.open.options"] = "shm",
}
-- What only others extend.
local SHARED <const> = {["shm.object"] = true, ["shm.waitable"] = true,
                        ["shm.process.pollable"] = true}
-- Whose comments also hold for these, beside those of the classes that they extend.
local LIKE <const> = {["shm.queue"] = "shm.waitable", ["shm.subscriber"] = "shm.waitable",
                      ["shm.map"] = "shm.waitable", ["shm.waitable"] = "shm.object",
                      ["shm.sysv.segment"] = "shm.sysv.id", ["shm.sysv.queue"] = "shm.sysv.id",
                      ["shm.sysv.semaphores"] = "shm.sysv.id"}

-- The comment of what several kinds have, as sync's open has: its parameters are those of create.
local function shared(all, class, method)
  local comment = class.name:find "%.module$" and all["shm.object." .. method.name]
  if not comment or #comments.parameters(comment) > 1 then
    return comment
  end
  local create = all[class.name:gsub("module$", "create")]
  local copy = {text = comment.text, path = comment.path, tags = {}}
  for _, parameter in ipairs(method.parameters) do
    for _, tag in ipairs(create.tags) do
      if tag.text:find("%f[%w_]" .. parameter.name .. "%f[^%w_]") and tag.name ~= "raise" then
        copy.tags[#copy.tags + 1] = tag
        break
      end
    end
  end
  table.move(comment.tags, 1, #comment.tags, #copy.tags + 1, copy.tags)
  for i = #copy.tags, 1, -1 do
    if copy.tags[i].name == "param" then
      table.remove(copy.tags, i)
    end
  end
  return copy
end

--- The comment of a class's function: its own, or that of a class that it extends or is like; or
-- what stands above it in its declaration.
function M.comment(all, classes, class, method)
  local name = class.name:gsub("%.module$", "")
  repeat
    local found = all[name .. method.separator .. method.name]
    if found then
      return found
    end
    local parent = classes[name] and classes[name].parent
    name = method.separator == ":" and (parent or LIKE[name])
  until not name
  local found = shared(all, class, method)
  if not found and method.notes[1] and not method.notes[1]:find "^@" then
    found = {text = method.notes[1], path = class.path, tags = {}}
    for i, it in ipairs(method.parameters) do
      found.tags[i] = {name = "tparam", modifier = it.optional and "opt" or nil,
                       text = ("%s %s %s"):format(it.type, it.name, it.words)}
    end
  end
  return found
end

-- The functions of a class and of those that it extends, its own first.
function M.functions(classes, class)
  local all, seen = {}, {}
  local one = class
  while one do
    for _, method in ipairs(one.functions) do
      if not seen[method.name] then
        all[#all + 1], seen[method.name] = method, true
      end
    end
    one = classes[one.parent]
  end
  return all
end

function M.page_of(name)
  return PAGES[name] or name:match "^shm%.[%w_]+" or name
end

--- A list of pages in the order of their names: name, and the classes that it shows.
function M.read()
  local classes = types.read()
  local all = comments.read(classes)
  local pages = {}
  for _, class in ipairs(classes) do
    if not SHARED[class.name] then
      local name = M.page_of(class.name)
      if not pages[name] then
        pages[name] = {name = name}
        pages[#pages + 1] = pages[name]
      end
      table.insert(pages[name], class)
    end
  end
  table.sort(pages, function(one, other) return one.name < other.name end)
  return pages, classes, all
end

return M
