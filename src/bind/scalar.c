/*
 * One number at an offset, in the byte order of the machine, aligned or not.
 *
 * These are plain loads and stores: for words that processes race on there is
 * word.c. A setter refuses what its type can not hold instead of cutting it.
 */
#include "bind/bind.h"

#include <float.h>
#include <math.h>
#include <string.h>

static inline void load(lua_State *L, void *value, size_t size)
{
    const bind_region *region = bind_region_self(L);
    bind_arity(L, 2);
    memcpy(value, bind_region_at(L, region, 2, size), size);
}

static inline const bind_region *target(lua_State *L)
{
    const bind_region *region = bind_region_self(L);
    bind_arity(L, 3);
    bind_region_writable(L, region);
    return region;
}

static inline int store(lua_State *L, const bind_region *region, const void *value,
                        size_t size)
{
    memcpy(bind_region_at(L, region, 2, size), value, size);
    return 0;
}

static inline lua_Integer integer(lua_State *L, lua_Integer least, lua_Integer most)
{
    return bind_range(L, 3, "value", least, most);
}

/* A float may be rounded; an integer that would become another one is refused. */
static lua_Number number(lua_State *L)
{
    if (lua_type(L, 3) != LUA_TNUMBER)
        bind_misuse(L, 3, "value", "number expected, got %s", luaL_typename(L, 3));
    lua_Number value = lua_tonumber(L, 3);
    lua_Integer back;
    if (lua_isinteger(L, 3) &&
        !(lua_numbertointeger(value, &back) && back == lua_tointeger(L, 3)))
        bind_misuse(L, 3, "value", "a float can not hold %I", lua_tointeger(L, 3));
    return value;
}

/***
Reads a signed 8-bit integer.
@function get_i8
@int offset in bytes from 0
@treturn int the value
@raise when it reaches outside the region
*/
static int get_i8(lua_State *L)
{
    int8_t value;
    load(L, &value, sizeof value);
    lua_pushinteger(L, value);
    return 1;
}

/***
Reads an unsigned 8-bit integer.
@function get_u8
@int offset in bytes from 0
@treturn int the value
@raise when it reaches outside the region
*/
static int get_u8(lua_State *L)
{
    uint8_t value;
    load(L, &value, sizeof value);
    lua_pushinteger(L, value);
    return 1;
}

/***
Reads a signed 16-bit integer.
@function get_i16
@int offset in bytes from 0
@treturn int the value
@raise when it reaches outside the region
*/
static int get_i16(lua_State *L)
{
    int16_t value;
    load(L, &value, sizeof value);
    lua_pushinteger(L, value);
    return 1;
}

/***
Reads an unsigned 16-bit integer.
@function get_u16
@int offset in bytes from 0
@treturn int the value
@raise when it reaches outside the region
*/
static int get_u16(lua_State *L)
{
    uint16_t value;
    load(L, &value, sizeof value);
    lua_pushinteger(L, value);
    return 1;
}

/***
Reads a signed 32-bit integer.
@function get_i32
@int offset in bytes from 0
@treturn int the value
@raise when it reaches outside the region
*/
static int get_i32(lua_State *L)
{
    int32_t value;
    load(L, &value, sizeof value);
    lua_pushinteger(L, value);
    return 1;
}

/***
Reads an unsigned 32-bit integer.
@function get_u32
@int offset in bytes from 0
@treturn int the value
@raise when it reaches outside the region
*/
static int get_u32(lua_State *L)
{
    uint32_t value;
    load(L, &value, sizeof value);
    lua_pushinteger(L, value);
    return 1;
}

/***
Reads a signed 64-bit integer.
@function get_i64
@int offset in bytes from 0
@treturn int the value
@raise when it reaches outside the region
*/
static int get_i64(lua_State *L)
{
    int64_t value;
    load(L, &value, sizeof value);
    lua_pushinteger(L, value);
    return 1;
}

/***
Reads an unsigned 64-bit integer. Lua has signed ones only: 2^63 and above come out
negative, as from string.unpack("J"); math.ult compares them and "%x" prints them.
@function get_u64
@int offset in bytes from 0
@treturn int the value
@raise when it reaches outside the region
*/
static int get_u64(lua_State *L)
{
    return get_i64(L);
}

/***
Reads a 32-bit float.
@function get_f32
@int offset in bytes from 0
@treturn number the value
@raise when it reaches outside the region
*/
static int get_f32(lua_State *L)
{
    float value;
    load(L, &value, sizeof value);
    lua_pushnumber(L, (lua_Number)value);
    return 1;
}

/***
Reads a 64-bit float.
@function get_f64
@int offset in bytes from 0
@treturn number the value
@raise when it reaches outside the region
*/
static int get_f64(lua_State *L)
{
    double value;
    load(L, &value, sizeof value);
    lua_pushnumber(L, value);
    return 1;
}

/***
Writes a signed 8-bit integer.
@function set_i8
@int offset in bytes from 0
@int value -128 to 127
@raise when value is out of range, it reaches outside, or the region is read-only
*/
static int set_i8(lua_State *L)
{
    const bind_region *region = target(L);
    int8_t value = (int8_t)integer(L, INT8_MIN, INT8_MAX);
    return store(L, region, &value, sizeof value);
}

/***
Writes an unsigned 8-bit integer.
@function set_u8
@int offset in bytes from 0
@int value 0 to 255
@raise when value is out of range, it reaches outside, or the region is read-only
*/
static int set_u8(lua_State *L)
{
    const bind_region *region = target(L);
    uint8_t value = (uint8_t)integer(L, 0, UINT8_MAX);
    return store(L, region, &value, sizeof value);
}

/***
Writes a signed 16-bit integer.
@function set_i16
@int offset in bytes from 0
@int value -32768 to 32767
@raise when value is out of range, it reaches outside, or the region is read-only
*/
static int set_i16(lua_State *L)
{
    const bind_region *region = target(L);
    int16_t value = (int16_t)integer(L, INT16_MIN, INT16_MAX);
    return store(L, region, &value, sizeof value);
}

/***
Writes an unsigned 16-bit integer.
@function set_u16
@int offset in bytes from 0
@int value 0 to 65535
@raise when value is out of range, it reaches outside, or the region is read-only
*/
static int set_u16(lua_State *L)
{
    const bind_region *region = target(L);
    uint16_t value = (uint16_t)integer(L, 0, UINT16_MAX);
    return store(L, region, &value, sizeof value);
}

/***
Writes a signed 32-bit integer.
@function set_i32
@int offset in bytes from 0
@int value -2147483648 to 2147483647
@raise when value is out of range, it reaches outside, or the region is read-only
*/
static int set_i32(lua_State *L)
{
    const bind_region *region = target(L);
    int32_t value = (int32_t)integer(L, INT32_MIN, INT32_MAX);
    return store(L, region, &value, sizeof value);
}

/***
Writes an unsigned 32-bit integer.
@function set_u32
@int offset in bytes from 0
@int value 0 to 4294967295
@raise when value is out of range, it reaches outside, or the region is read-only
*/
static int set_u32(lua_State *L)
{
    const bind_region *region = target(L);
    uint32_t value = (uint32_t)integer(L, 0, UINT32_MAX);
    return store(L, region, &value, sizeof value);
}

/***
Writes a signed 64-bit integer.
@function set_i64
@int offset in bytes from 0
@int value any integer
@raise when value is not an integer, it reaches outside, or the region is read-only
*/
static int set_i64(lua_State *L)
{
    const bind_region *region = target(L);
    int64_t value = bind_integer(L, 3, "value");
    return store(L, region, &value, sizeof value);
}

/***
Writes an unsigned 64-bit integer. Any integer is one: Lua writes 2^63 and above as
negative numbers, so 0xffffffffffffffff and -1 are the same value.
@function set_u64
@int offset in bytes from 0
@int value any integer
@raise when value is not an integer, it reaches outside, or the region is read-only
*/
static int set_u64(lua_State *L)
{
    return set_i64(L);
}

/***
Writes a 32-bit float, rounded to its precision.
@function set_f32
@int offset in bytes from 0
@number value any number whose size a float can hold, infinities and NaN included
@raise when value is too large, it reaches outside, or the region is read-only
*/
static int set_f32(lua_State *L)
{
    const bind_region *region = target(L);
    lua_Number given = number(L);
    if (lua_isinteger(L, 3) && (lua_Number)(float)given != given)
        return bind_misuse(L, 3, "value", "a 32-bit float can not hold %I",
                           lua_tointeger(L, 3));
    if (isfinite(given) && fabs(given) > (lua_Number)FLT_MAX)
        return bind_misuse(L, 3, "value", "%f is too large for a 32-bit float", given);
    float value = (float)given;
    return store(L, region, &value, sizeof value);
}

/***
Writes a 64-bit float.
@function set_f64
@int offset in bytes from 0
@number value any number
@raise when value is not a number, it reaches outside, or the region is read-only
*/
static int set_f64(lua_State *L)
{
    const bind_region *region = target(L);
    double value = number(L);
    return store(L, region, &value, sizeof value);
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
