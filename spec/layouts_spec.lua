-- What examples/guides/how_it_works.md draws is what the C says: offsets, sizes, bits, numbers.
local guide = require "spec.guide_support"
local support = require "spec.support"

local PATH <const> = "examples/guides/how_it_works.md"

-- What a name in a drawing of bits stands for in C.
local MASKS <const> = {
  STARTED = "~(uint64_t)UINT32_MAX", NUMBER = "ring_beyond(0, 0, UINT32_MAX)",
  PLACE = "ring_beyond(0, UINT32_MAX, 0)", KIND = "ring_header(0, 0, 7)",
  EXTENT = "ring_header(0, RING_EXTENT, 0)", LENGTH = "ring_header(UINT32_MAX, 0, 0)",
  COUNT = "~(DS_MAP_COUNT - 1)", FIRST = "DS_MAP_COUNT - 1",
}

-- {name, file, rows = {{offset, field}, …}, size} for each drawing of a struct.
local function structs(blocks)
  local found = {}
  for _, block in ipairs(blocks) do
    local name, file = block[1]:match "^([%w_]+) %((src/[%w_/.]+)%)$"
    if name then
      local one, offset = {name = name, file = file, rows = {}}, nil
      for i = 2, #block do
        local edge, field = block[i]:match "^ *%+(%d+) ", block[i]:match "^ *│ ([%w_.]+)"
        if edge then
          offset, one.size = math.tointeger(edge), math.tointeger(edge)
        elseif field then
          one.rows[#one.rows + 1] = {offset = assert(offset, block[i]), field = field}
          offset = nil
        end
      end
      found[#found + 1] = one
    end
  end
  return found
end

local function bits(blocks)
  local found = {}
  for _, block in ipairs(blocks) do
    if block[1]:match ", by bits$" then
      for i = 2, #block do
        local high, low, name = block[i]:match "^ *(%d+)…(%d+) *│ ([%u_]+)"
        if not high then
          high, name = block[i]:match "^ *(%d+) *│ ([%u_]+)"
          low = high
        end
        assert(high, block[i])
        found[#found + 1] = {name = name, high = math.tointeger(high), low = math.tointeger(low)}
      end
    end
  end
  return found
end

-- What the compiler says of assertions behind an include.
local function compile(include, lines)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write('#include "os/os.h"\n#include "mem/mem.h"\n#include "sync/sync.h"\n',
             '#include "ds/ring.h"\n#include "', include, '"\n', table.concat(lines, "\n"), "\n")
  file:close()
  local said = support.shell("gcc -std=c11 -D_GNU_SOURCE -Isrc -fsyntax-only -x c " .. path
                             .. " 2>&1")
  os.remove(path)
  return said
end

local function assertions_of(struct)
  local lines = {}
  for i, row in ipairs(struct.rows) do
    local behind = struct.rows[i + 1] and struct.rows[i + 1].offset or struct.size
    lines[#lines + 1] = ("_Static_assert(offsetof(%s, %s) == %d && "
      .. "sizeof(((%s *)0)->%s) == %d, %q);"):format(
        struct.name, row.field, row.offset, struct.name, row.field, behind - row.offset, row.field)
  end
  lines[#lines + 1] = ('_Static_assert(sizeof(%s) == %d, "size");'):format(struct.name, struct.size)
  return lines
end

describe("how it works", function()
  local blocks = guide.blocks(PATH)

  it("draws structs as they are, whole", function()
    local drawn = structs(blocks)
    assert.equal(14, #drawn)
    for _, struct in ipairs(drawn) do
      assert.equal(0, struct.rows[1].offset)
      assert.equal("", compile(struct.file:sub(5), assertions_of(struct)), struct.name)
    end
  end)

  it("would be refused with a field elsewhere, of another size, or left out", function()
    local function refused(change)
      local struct = structs(blocks)[1]
      change(struct)
      assert.not_equal("", compile(struct.file:sub(5), assertions_of(struct)))
    end
    refused(function(struct) struct.rows[3].offset = 12 end)
    refused(function(struct) struct.size = 24 end)
    refused(function(struct) table.remove(struct.rows, 2) end)
  end)

  it("draws words bit by bit as they are", function()
    local lines, drawn = {}, bits(blocks)
    assert.equal(13, #drawn)
    for _, one in ipairs(drawn) do
      local mask = (1 << one.high - one.low + 1) - 1 << one.low
      lines[#lines + 1] = ('if ((uint64_t)(%s) != 0x%x) printf("%s\\n");'):format(
        MASKS[one.name] or one.name, mask, one.name)
    end
    local source = support.tmpname ".c"
    local file <close> = assert(io.open(source, "w"))
    file:write('#include "ds/ring.h"\n#include <stdio.h>\nint main(void)\n{\n',
               table.concat(lines, "\n"), "\nreturn 0;\n}\n")
    file:close()
    local program = support.compile(source, "-Isrc -Wno-unused-function")
    local said = support.shell(program)
    os.remove(source)
    os.remove(program)
    assert.equal("", said)
  end)

  it("has the numbers that the code has", function()
    local n = 0
    local row = "\n| `([%u_]+)` | `(src/[%w_/.]+)` | `(%w+)`"
    for name, path, value in support.read_file(PATH):gmatch(row) do
      local defined = support.read_file(path):match("#define " .. name .. "%s+(%w+)")
      assert.equal(defined, value, name)
      n = n + 1
    end
    assert.equal(14, n)
  end)

  it("names specs and targets that there are", function()
    local text = support.read_file(PATH)
    local makefile = support.read_file "Makefile"
    for path in text:gmatch "`(spec/[%w_/.]+)`" do
      assert.equal(path .. "\n", support.shell("ls -d " .. path .. " 2>&1"), path)
    end
    for target in text:gmatch "`make ([%w-]+)`" do
      assert.matches("\n" .. target:gsub("-", "%%-") .. ":", makefile)
    end
  end)
end)
