-- shm.record: C structs, read and written in place, as the C compiler has them.
local posix = require "shm.posix"
local shm = require "shm"
local support = require "spec.support"

-- A child's spec of the same: what C says of a header's structs.
local function in_c(header, struct, fields)
  local path = support.tmpname ".c"
  local file <close> = assert(io.open(path, "w"))
  file:write(header, "\n#include <stdio.h>\nint main(void)\n{\n",
             ('    printf("%%zu %%zu", sizeof(struct %s), _Alignof(struct %s));\n')
               :format(struct, struct))
  for _, field in ipairs(fields) do
    file:write(('    printf(" %%zu", offsetof(struct %s, %s));\n'):format(struct, field))
  end
  file:write "    return 0;\n}\n"
  file:close()
  local program = support.compile(path, "-Werror")
  local numbers = {}
  for n in support.shell(program):gmatch "%d+" do
    numbers[#numbers + 1] = math.tointeger(n)
  end
  os.remove(path)
  os.remove(program)
  return numbers
end

local SCALARS = {"i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64", "bool"}

describe("a record", function()
  local r

  before_each(function() r = assert(shm.anonymous(8192)) end)
  after_each(function() r:close() end)

  it("lies as the text's C has it", function()
    local people = shm.record {name = "people", {"name", "char[4]"}, {"age", "i32"}}
    assert.equal(8, people:size())
    assert.equal(4, people:alignment())
    assert.equal(0, people:offset "name")
    assert.equal(4, people:offset "age")
    local list = people:array(r, 0, 10)
    list[1].name, list[1].age = "b", 20
    list[10] = {name = "kkkk", age = -1}
    assert.equal("b\0\0\0\20\0\0\0", r:read(0, 8))
    assert.equal("kkkk\255\255\255\255", r:read(72, 8))
    assert.equal("kkkk", list[10].name)
    assert.equal(-1, list[10].age)
    assert.equal("shm.record (people, 8 bytes)", tostring(people))
  end)

  it("has the compiler's layout, whatever is in it", function()
    local random = math.random
    math.randomseed(20261121)
    for round = 1, 12 do
      local inner = {name = "inner"}
      for i = 1, random(1, 4) do
        inner[i] = {"f" .. i, SCALARS[random(#SCALARS)]}
      end
      inner.packed = round % 4 == 0 or nil
      inner = shm.record(inner)
      local fields, names = {name = "outer", packed = round % 3 == 0 or nil}, {}
      if round % 5 == 0 then
        fields.align = 64
      end
      for i = 1, random(1, 12) do
        local kind = random(6)
        local of = SCALARS[random(#SCALARS)]
        if kind == 1 then
          of = ("char[%d]"):format(random(9))
        elseif kind == 2 then
          of = ("%s[%d]"):format(of, random(5))
        elseif kind == 3 then
          of = inner
        elseif kind == 4 then
          of = ("%s[%d][%d]"):format(of, random(3), random(4))
        end
        fields[i] = {"g" .. i, of, kind == 5 and random(3) or nil,
                     align = random(5) == 1 and 1 << random(3, 6) or nil}
        names[i] = "g" .. i
      end
      local outer = shm.record(fields)
      local ours = {outer:size(), outer:alignment()}
      for _, name in ipairs(names) do
        ours[#ours + 1] = outer:offset(name)
      end
      assert.same(in_c(outer:c_header(), "outer", names), ours, outer:c_header())
    end
  end)

  it("writes a declaration that C compiles, under any name", function()
    local inner = shm.record {{"x", "f32"}, {"y", "f32"}}
    local outer = shm.record {{"at", inner}, {"path", inner, 3}, {"tag", "char[1]"}}
    in_c(shm.record {{"__pad", "i8"}, {"_x", "i8"}}:c_header(), "record", {"__pad", "_x"})
    local header = outer:c_header "place"
    assert.matches("struct place {\n    struct place_at at;\n    struct place_at path%[3%];\n"
                   .. "    char tag%[1%];\n};", header)
    assert.same({36, 4, 0, 8, 32}, in_c(header, "place", {"at", "path", "tag"}))
    assert.matches("struct record {", outer:c_header())
    for _, name in ipairs {"a b", "", "1a", "int", "__LINE__", "_Atomic", "a\0b"} do
      assert.error_matches(function() outer:c_header(name) end, "no name in C")
    end
    local both = shm.record {name = "both", {"one", shm.record {name = "both", {"x", "i8"}}}}
    assert.same({1, 1, 0}, in_c(both:c_header(), "both", {"one"}))
  end)

  it("reads and writes every scalar type, to its limits", function()
    local fields = {}
    for i, name in ipairs(SCALARS) do
      fields[i] = {name == "bool" and "flag" or name, name}
    end
    local all = shm.record(fields):at(r, 8)
    for bits = 8, 64, 8 do
      if bits == 8 or bits == 16 or bits == 32 then
        all["i" .. bits] = -(1 << (bits - 1))
        assert.equal(-(1 << (bits - 1)), all["i" .. bits])
        all["u" .. bits] = (1 << bits) - 1
        assert.equal((1 << bits) - 1, all["u" .. bits])
        assert.error_matches(function() all["u" .. bits] = 1 << bits end, "u%d+: value: ")
        assert.error_matches(function() all["i" .. bits] = "1" end, "integer expected")
      end
    end
    all.i64, all.u64 = math.mininteger, -1
    assert.equal(math.mininteger, all.i64)
    assert.equal(-1, all.u64)
    all.f32, all.f64 = 0.5, 0.1
    assert.equal(0.5, all.f32)
    assert.equal(0.1, all.f64)
    all.flag = true
    assert.is_true(all.flag)
    assert.error_matches(function() all.flag = 1 end, "flag: boolean expected")
  end)

  it("keeps strings in char arrays, filled up with NULs", function()
    local it_ = shm.record {{"s", "char[4]"}, {"many", "char[2][3]"}}:at(r)
    r:fill(0, 16, 0x78)
    it_.s = "ab"
    assert.equal("ab\0\0x", r:read(0, 5))
    assert.equal("ab", it_.s)
    it_.s = "abcd"
    assert.equal("abcd", it_.s)
    it_.s = ""
    assert.equal("", it_.s)
    it_.many = {"xyz", "q"}
    assert.equal("xyzq\0\0", r:read(4, 6))
    assert.error_matches(function() it_.s = "abcde" end, "s: 5 bytes")
    assert.error_matches(function() it_.s = 5 end, "s: string expected")
  end)

  it("nests, and is written whole from tables", function()
    local point = shm.record {{"x", "i16"}, {"y", "i16"}}
    local shape = shm.record {{"corners", point, 3}, {"centre", point}, {"matrix", "i8[2][2]"}}
    local it_ = shape:at(r, 100)
    it_.corners = {{x = 1, y = 2}, {x = 3}}
    it_.centre.x = -7
    it_.matrix[2][1] = 9
    assert.equal(2, it_.corners[1].y)
    assert.equal(3, it_.corners[2].x)
    assert.equal(0, it_.corners[2].y)
    assert.equal(-7, it_.centre.x)
    assert.equal(9, r:get_i8(100 + shape:offset "matrix[2][1]"))
    assert.equal(-7, r:get_i16(100 + shape:offset "centre.x"))
    assert.equal(8, shape:offset "corners[3]")
    local centre = it_.centre
    centre.y = 5
    assert.equal(5, it_.centre.y)
    local names = {}
    for name in pairs(it_) do
      names[#names + 1] = name
    end
    assert.same({"corners", "centre", "matrix"}, names)
    assert.equal(3, #it_.corners)
    assert.error_matches(function() it_.corners = {1} end, "corners: item 1: table of fields exp")
    assert.error_matches(function() it_.centre = {z = 1} end, "centre: there is no field 'z'")
    assert.error_matches(function() it_.corners = {{}, {}, {}, {}} end, "4 items do not fit 3")
    assert.error_matches(function() shape:offset "corners[4]" end, "there is no")
    assert.error_matches(function() shape:offset "centre.z" end, "there is no")
  end)

  it("keeps what a table has no field or item for, also where one of it is refused", function()
    local it_ = shm.record {{"a", "i8"}, {"b", "i8"}, {"c", "i8[3]"}, {"d", "char[4]"}}
    local list = it_:array(r, 0, 3)
    r:fill(0, 64, 7)
    list[2] = {b = 1, c = {2, 3}}
    assert.equal(("\7"):rep(10) .. "\1\2\3" .. ("\7"):rep(51), r:read(0, 64))
    list[2] = {}
    list[2].c = {}
    assert.equal("\7\1\2\3\7", r:read(9, 5))
    for said, wrong in pairs {
      ["item 2: there is no field 'e'"] = {e = 1},
      ["item 2: b: value: 128 is not within"] = {b = 128},
      ["item 2: c: item 1: value: integer expected"] = {c = {"x"}},
      ["item 2: c: 4 items do not fit 3"] = {c = {1, 2, 3, 4}},
      ["item 2: d: 5 bytes do not fit char%[4%]"] = {d = "12345"},
      ["item 2: table of fields expected, got number"] = 5,
    } do
      local _, message = pcall(function() list[2] = wrong end)
      assert.matches("^spec/record_spec%.lua:%d+: " .. said, message)
    end
    assert.error_matches(function() list[2] = nil end, "item 2: table of fields expected, got nil")
    assert.error_matches(function() list[2].a = nil end, "a: value: integer expected, got nil")
    for _, f in ipairs {function() list[4] = {} end, function() return (list[5]) end,
                        function() return (list[2].e) end, function() list[2].e = 1 end} do
      local _, message = pcall(f)
      assert.matches("^spec/record_spec%.lua:%d+: ", message)
    end
    assert.equal("\7\1\2\3\7", r:read(9, 5))
  end)

  it("is copied by assigning one that lies elsewhere", function()
    local point = shm.record {{"x", "i16"}, {"y", "i16"}}
    local it_ = shm.record {{"at", point}, {"path", point, 2}, {"tag", "char[3]"}, {"on", "bool"}}
    local list = it_:array(r, 0, 2)
    list[1] = {at = {x = 1, y = 2}, path = {{x = 3, y = 4}, {x = 5, y = 6}}, tag = "ab", on = true}
    list[2] = list[1]
    assert.equal(0, r:compare(0, r, it_:size(), it_:size()))
    list[2].path[1] = list[1].at
    list[2].at = list[2].path[2]
    assert.same({1, 2, 5, 6}, {list[2].path[1].x, list[2].path[1].y, list[2].at.x, list[2].at.y})
    local seen = {}
    for name, value in pairs(list[2]) do
      seen[#seen + 1] = name
      seen[name] = value
    end
    assert.same({"at", "path", "tag", "on"}, {table.unpack(seen)})
    assert.same({6, "ab", true}, {seen.at.y, seen.tag, seen.on})
    seen.at.y = 9
    assert.equal(9, list[2].at.y)
  end)

  it("reads whatever C has put there", function()
    local it_ = shm.record {{"s", "char[4]"}, {"on", "bool"}}:at(r, 3)
    r:write(3, "a\0bc\2")
    assert.equal("a", it_.s)
    assert.is_true(it_.on)
    r:write(3, "\0abc\0")
    assert.equal("", it_.s)
    assert.is_false(it_.on)
    it_.s = "a\0b"
    assert.equal("a\0b\0", r:read(3, 4))
  end)

  it("is aligned as it says, and more than it says where a field is", function()
    local it_ = shm.record {{"a", "i8"}, {"b", "i8", align = 64}, align = 16}
    assert.same({64, 64, 128}, {it_:alignment(), it_:offset "b", it_:size()})
    it_ = shm.record {{"a", "i8"}, {"b", "i64"}, packed = true, align = 4}
    assert.same({4, 1, 12}, {it_:alignment(), it_:offset "b", it_:size()})
    it_ = shm.record {{"a", "i8"}, {"b", "i64", align = 2}, align = 4096}
    assert.same({4096, 8, 4096}, {it_:alignment(), it_:offset "b", it_:size()})
  end)

  it("is indexed from 1, with #, ipairs and bounds", function()
    local list = shm.record {{"n", "u8"}}:array(r, 10, 5)
    assert.equal(5, #list)
    for i, one in ipairs(list) do
      one.n = i
    end
    assert.equal("\0\1\2\3\4\5\0", r:read(9, 7))
    assert.is_nil(list[6])
    for _, wrong in ipairs {0, -1, 7, 1.5, "x", math.maxinteger} do
      assert.error_matches(function() return list[wrong] end, "not within 1 and 5")
    end
    assert.error_matches(function() list[6] = {n = 1} end, "not within 1 and 5")
    assert.equal(0, #shm.record {{"n", "u8"}}:array(r, 0, 0))
  end)

  it("stays inside the region", function()
    local it_ = shm.record {{"n", "i64"}}
    local size = #r
    assert(it_:at(r, size - 8))
    assert.error_matches(function() it_:at(r, size - 7) end, "not within the 8192 bytes")
    assert.error_matches(function() it_:at(r, -1) end, "offset: %-1")
    assert.error_matches(function() it_:at({}, 0) end, "shm%.region expected")
    assert.error_matches(function() it_:array(r, 0, 1025) end, "not within")
    assert.error_matches(function() it_:array(r, 0, math.maxinteger) end, "too many")
    assert.error_matches(function() it_:array(r, 0, -1) end, "n: %-1")
    local one = it_:at(r)
    r:close()
    assert.error_matches(function() return one.n end, "closed")
    assert.error_matches(function() one.n = 1 end, "n: region is closed")
  end)

  it("says where a field was read that is not there any more", function()
    local it_ = shm.record {{"n", "i32"}, {"ok", "bool"}, {"text", "char[8]"}, {"list", "f64[3]"}}
    local file <close> = assert(posix.memfd_create "record")
    assert(posix.ftruncate(file, 4096))
    local gone <close> = assert(shm.map(file, {mode = "rw"}))
    local one, other = it_:at(r), it_:at(gone)
    assert.same({0, false, "", 0}, {one.n, one.ok, one.text, one.list[3]})
    r:close()
    assert(posix.ftruncate(file, 0))
    for view, why in pairs {[one] = "region is closed", [other] = "memory behind .* is gone"} do
      for _, read in ipairs {
        function() local _ = view.n end, function() local _ = view.ok end,
        function() local _ = view.text end, function() local _ = view.list[1] end,
        function()
          for _ in pairs(view) do
            error "it was read"
          end
        end,
      } do
        local ok, message = pcall(read)
        assert.is_false(ok)
        assert.matches("^[^\n]*record_spec%.lua:%d+: record: " .. why, message)
      end
    end
  end)

  it("refuses what it does not know", function()
    for fields, said in pairs {
      [{{"a", "i33"}}] = "field 'a': 'i33' is no type",
      [{{"a", "i32["}}] = "is no type", [{{"a", "i32[0]"}}] = "0 is no number",
      [{{"a", "i32", 0}}] = "0 is no number", [{{"a", "i32", 1.5}}] = "1.5 is no number",
      [{{"a b", "i32"}}] = "a b is no name", [{{"int", "i32"}}] = "int is no name",
      [{{"a", "i8"}, {"a", "i8"}}] = "there twice", [{"a"}] = "field 1: {name, type} expected",
      [{{"a", "i8", align = 3}}] = "align: 3", [{{"a", "i8", size = 3}}] = "unknown 'size'",
      [{{"a", "i8"}, colour = 1}] = "unknown 'colour'", [{}] = "no fields",
      [{{"a", "i8"}, name = "x y"}] = "name: x y", [{{"a", "i8"}, packed = 1}] = "packed",
      [{{"a", {}}}] = "a record expected", [{{"a", "i64", 1 << 40}}] = "too large",
      [{{"a", "i8[1099511627776][1099511627776]"}}] = "too large",
      [{{"a", "i8[99999999999999999999999]"}}] = "too large",
      [{{"a", "i8[1099511627776]"}, {"b", "i8"}}] = "too large",
      [{{"a", "char"}}] = "how long?",
      [{{"a", "i8"}, nil, {"b", "i8"}}] = "field 2: {name, type} expected, got nil",
      [{{"NULL", "i8"}}] = "no name", [{{"_Bool", "i8"}}] = "no name",
      [{{"__LINE__", "i8"}}] = "no name", [{{"__linux__", "i8"}}] = "no name",
      [{{"__asm", "i8"}}] = "no name",
    } do
      assert.error_matches(function() shm.record(fields) end, said, 1, true)
    end
    local _, where = pcall(function()
      local made = shm.record {{"a", "int"}}
      return made
    end)
    assert.matches("^spec/record_spec.lua:%d+: record: field 'a': 'int' is no type$", where)
    local record = shm.record {{"n", "i8"}}
    assert.error_matches(function() record.size() end, "shm.record expected, got nil")
    assert.error_matches(function() record.foo = 1 end, "can not be changed")
    assert.equal("shm.record", getmetatable(record))
    local it_ = record:at(r)
    assert.error_matches(function() return it_.m end, "there is no field 'm'")
    assert.error_matches(function() it_.m = 1 end, "there is no field 'm'")
  end)
end)
