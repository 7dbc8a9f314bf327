/*
 * One number at an offset, in the byte order of the machine, aligned or not.
 *
 * These are plain loads and stores: for words that processes race on there is
 * word.c. A setter refuses what its type can not hold instead of cutting it.
 */
#include "bind/scalar.h"

#include <stddef.h>

LSHM_RARE static void faulted(lua_State *L)
{
    bind_region_faulted(L, lua_touserdata(L, 1));
}

LSHM_SPECIALISED int get(lua_State *L, bind_scalar kind)
{
    bind_region *region = bind_region_exactly(L, 2);
    return bind_scalar_push(L, bind_region_at(L, region, 2, bind_scalar_size(kind)), kind,
                            faulted);
}

LSHM_SPECIALISED int set(lua_State *L, bind_scalar kind)
{
    bind_region *region = bind_region_exactly(L, 3);
    bind_region_writable(L, region);
    bind_scalar_value value = bind_scalar_take(L, 3, kind);
    bind_scalar_store(bind_region_change(L, region, 2, bind_scalar_size(kind)), &value,
                      kind);
    if (mem_fault_seen())
        faulted(L);
    return 0;
}

/***
Reads a signed 8-bit integer.
@function shm.region:get_i8
@int offset in bytes from 0
@treturn int the value
@raise when it reaches outside the region
*/
static int get_i8(lua_State *L)
{
    return get(L, BIND_I8);
}

/***
Reads an unsigned 8-bit integer.
@function shm.region:get_u8
@int offset in bytes from 0
@treturn int the value
@raise when it reaches outside the region
*/
static int get_u8(lua_State *L)
{
    return get(L, BIND_U8);
}

/***
Reads a signed 16-bit integer.
@function shm.region:get_i16
@int offset in bytes from 0
@treturn int the value
@raise when it reaches outside the region
*/
static int get_i16(lua_State *L)
{
    return get(L, BIND_I16);
}

/***
Reads an unsigned 16-bit integer.
@function shm.region:get_u16
@int offset in bytes from 0
@treturn int the value
@raise when it reaches outside the region
*/
static int get_u16(lua_State *L)
{
    return get(L, BIND_U16);
}

/***
Reads a signed 32-bit integer.
@function shm.region:get_i32
@int offset in bytes from 0
@treturn int the value
@raise when it reaches outside the region
*/
static int get_i32(lua_State *L)
{
    return get(L, BIND_I32);
}

/***
Reads an unsigned 32-bit integer.
@function shm.region:get_u32
@int offset in bytes from 0
@treturn int the value
@raise when it reaches outside the region
*/
static int get_u32(lua_State *L)
{
    return get(L, BIND_U32);
}

/***
Reads a signed 64-bit integer.
@function shm.region:get_i64
@int offset in bytes from 0
@treturn int the value
@raise when it reaches outside the region
*/
static int get_i64(lua_State *L)
{
    return get(L, BIND_I64);
}

/***
Reads an unsigned 64-bit integer. Lua has signed ones only: 2^63 and above come out
negative, as from string.unpack("J"); math.ult compares them and "%x" prints them.
@function shm.region:get_u64
@int offset in bytes from 0
@treturn int the value
@raise when it reaches outside the region
*/
static int get_u64(lua_State *L)
{
    return get(L, BIND_U64);
}

/***
Reads a 32-bit float.
@function shm.region:get_f32
@int offset in bytes from 0
@treturn number the value
@raise when it reaches outside the region
*/
static int get_f32(lua_State *L)
{
    return get(L, BIND_F32);
}

/***
Reads a 64-bit float.
@function shm.region:get_f64
@int offset in bytes from 0
@treturn number the value
@raise when it reaches outside the region
*/
static int get_f64(lua_State *L)
{
    return get(L, BIND_F64);
}

/***
Writes a signed 8-bit integer.
@function shm.region:set_i8
@int offset in bytes from 0
@int value -128 to 127
@raise when value is out of range, it reaches outside, or the region is read-only
*/
static int set_i8(lua_State *L)
{
    return set(L, BIND_I8);
}

/***
Writes an unsigned 8-bit integer.
@function shm.region:set_u8
@int offset in bytes from 0
@int value 0 to 255
@raise when value is out of range, it reaches outside, or the region is read-only
*/
static int set_u8(lua_State *L)
{
    return set(L, BIND_U8);
}

/***
Writes a signed 16-bit integer.
@function shm.region:set_i16
@int offset in bytes from 0
@int value -32768 to 32767
@raise when value is out of range, it reaches outside, or the region is read-only
*/
static int set_i16(lua_State *L)
{
    return set(L, BIND_I16);
}

/***
Writes an unsigned 16-bit integer.
@function shm.region:set_u16
@int offset in bytes from 0
@int value 0 to 65535
@raise when value is out of range, it reaches outside, or the region is read-only
*/
static int set_u16(lua_State *L)
{
    return set(L, BIND_U16);
}

/***
Writes a signed 32-bit integer.
@function shm.region:set_i32
@int offset in bytes from 0
@int value -2147483648 to 2147483647
@raise when value is out of range, it reaches outside, or the region is read-only
*/
static int set_i32(lua_State *L)
{
    return set(L, BIND_I32);
}

/***
Writes an unsigned 32-bit integer.
@function shm.region:set_u32
@int offset in bytes from 0
@int value 0 to 4294967295
@raise when value is out of range, it reaches outside, or the region is read-only
*/
static int set_u32(lua_State *L)
{
    return set(L, BIND_U32);
}

/***
Writes a signed 64-bit integer.
@function shm.region:set_i64
@int offset in bytes from 0
@int value any integer
@raise when value is not an integer, it reaches outside, or the region is read-only
*/
static int set_i64(lua_State *L)
{
    return set(L, BIND_I64);
}

/***
Writes an unsigned 64-bit integer. Any integer is one: Lua writes 2^63 and above as
negative numbers, so 0xffffffffffffffff and -1 are the same value.
@function shm.region:set_u64
@int offset in bytes from 0
@int value any integer
@raise when value is not an integer, it reaches outside, or the region is read-only
*/
static int set_u64(lua_State *L)
{
    return set(L, BIND_U64);
}

/***
Writes a 32-bit float, rounded to its precision.
@function shm.region:set_f32
@int offset in bytes from 0
@number value any float that rounding does not make infinite, infinities and NaN included;
or an integer that a 32-bit float can be, as all up to 2^24 can
@raise when value is neither, it reaches outside, or the region is read-only
*/
static int set_f32(lua_State *L)
{
    return set(L, BIND_F32);
}

/***
Writes a 64-bit float.
@function shm.region:set_f64
@int offset in bytes from 0
@number value any float, or an integer that a float can be, as all up to 2^53 can
@raise when value is neither, it reaches outside, or the region is read-only
*/
static int set_f64(lua_State *L)
{
    return set(L, BIND_F64);
}

/* Pushes a table of each scalar type's size and alignment in a struct, as C has them. */
void bind_scalar_open(lua_State *L)
{
#define ALIGNED(type)                                                                    \
    sizeof(type), offsetof(                                                              \
                      struct {                                                           \
                          char first;                                                    \
                          type then;                                                     \
                      },                                                                 \
                      then)
    static const struct {
        const char *name;
        size_t size, align;
    } types[] = {
        {"i8", ALIGNED(int8_t)},   {"u8", ALIGNED(uint8_t)},
        {"i16", ALIGNED(int16_t)}, {"u16", ALIGNED(uint16_t)},
        {"i32", ALIGNED(int32_t)}, {"u32", ALIGNED(uint32_t)},
        {"i64", ALIGNED(int64_t)}, {"u64", ALIGNED(uint64_t)},
        {"f32", ALIGNED(float)},   {"f64", ALIGNED(double)},
        {"bool", ALIGNED(bool)},
    };
#undef ALIGNED
    lua_newtable(L);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const bind_constant fields[] = {{"size", (lua_Integer)types[i].size},
                                        {"align", (lua_Integer)types[i].align},
                                        {NULL, 0}};
        lua_newtable(L);
        bind_constants(L, fields);
        lua_setfield(L, -2, types[i].name);
    }
}

void bind_scalar_register(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"get_i8", get_i8},   {"get_u8", get_u8},   {"get_i16", get_i16},
        {"get_u16", get_u16}, {"get_i32", get_i32}, {"get_u32", get_u32},
        {"get_i64", get_i64}, {"get_u64", get_u64}, {"get_f32", get_f32},
        {"get_f64", get_f64}, {"set_i8", set_i8},   {"set_u8", set_u8},
        {"set_i16", set_i16}, {"set_u16", set_u16}, {"set_i32", set_i32},
        {"set_u32", set_u32}, {"set_i64", set_i64}, {"set_u64", set_u64},
        {"set_f32", set_f32}, {"set_f64", set_f64}, {NULL, NULL},
    };
    bind_handle_methods(L, BIND_REGION, methods);
}
