--- The declaration of a record in C.
-- @module shm.record.header
local C = {i8 = "int8_t", u8 = "uint8_t", i16 = "int16_t", u16 = "uint16_t", i32 = "int32_t",
           u32 = "uint32_t", i64 = "int64_t", u64 = "uint64_t", f32 = "float", f64 = "double",
           bool = "_Bool"}

local struct

-- The type's name, and what stands behind the field's.
local function declarator(it, name, out)
  if it.kind == "scalar" then
    return C[it.name], ""
  elseif it.kind == "char" then
    return "char", ("[%d]"):format(it.size)
  elseif it.kind == "record" then
    return "struct " .. struct(it, it.name or name, out), ""
  end
  local of, behind = declarator(it.of, name, out)
  return of, ("[%d]%s"):format(it.n, behind)
end

-- Adds the struct's declaration, and those of what is in it before; gives its name.
function struct(it, name, out)
  if out.done[it] then
    return out.done[it]
  end
  while out.names[name] do
    name = name .. "_"
  end
  out.names[name], out.done[it] = true, name
  local attributes = {}
  if it.packed then
    attributes[#attributes + 1] = "packed"
  end
  if it.own_align then
    attributes[#attributes + 1] = ("aligned(%d)"):format(it.own_align)
  end
  local lines = {("struct %s%s {"):format(#attributes > 0 and
    ("__attribute__((%s)) "):format(table.concat(attributes, ", ")) or "", name)}
  local checks = {("_Static_assert(sizeof(struct %s) == %d, \"size of %s\");")
    :format(name, it.size, name)}
  for _, field in ipairs(it.fields) do
    local of, behind = declarator(field.type, name .. "_" .. field.name, out)
    local align = field.align and ("_Alignas(%d) "):format(math.max(field.align,
                                                              it.packed and 1 or field.type.align))
    lines[#lines + 1] = ("    %s%s %s%s;"):format(align or "", of, field.name, behind)
    checks[#checks + 1] = ("_Static_assert(offsetof(struct %s, %s) == %d, \"offset of %s\");")
      :format(name, field.name, field.offset, field.name)
  end
  lines[#lines + 1] = "};"
  out[#out + 1] = table.concat(lines, "\n") .. "\n" .. table.concat(checks, "\n") .. "\n"
  return name
end

return function(it, name)
  local out = {done = {}, names = {}}
  struct(it, name or it.name or "record", out)
  return "#include <stddef.h>\n#include <stdint.h>\n\n" .. table.concat(out, "\n")
end
