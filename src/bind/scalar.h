/*
 * Numbers of the machine's types: how Lua's become one in memory, and back.
 *
 * The kind is a constant wherever these are called, so that each call becomes the few
 * instructions of its kind. A value that its type can not hold is refused, not cut.
 */
#ifndef LSHM_BIND_SCALAR_H
#define LSHM_BIND_SCALAR_H

#include "bind/bind.h"

#include <math.h>
#include <string.h>

#define LSHM_SPECIALISED static inline __attribute__((always_inline))

typedef enum bind_scalar {
    BIND_I8,
    BIND_U8,
    BIND_I16,
    BIND_U16,
    BIND_I32,
    BIND_U32,
    BIND_I64,
    BIND_U64,
    BIND_F32,
    BIND_F64,
} bind_scalar;

typedef union bind_scalar_value {
    int64_t i; /* its low bytes are the smaller integers', in two's complement */
    float f32;
    double f64;
} bind_scalar_value;

LSHM_SPECIALISED size_t bind_scalar_size(bind_scalar kind)
{
    return kind <= BIND_U8                        ? 1
           : kind <= BIND_U16                     ? 2
           : kind <= BIND_U32 || kind == BIND_F32 ? 4
                                                  : 8;
}

#define F32_BEYOND 0x1.ffffffp127 /* from here on the nearest float is infinite */

/* A float may be rounded; an integer that would become another one is refused. */
static inline lua_Number bind_scalar_number(lua_State *L, int arg, bind_scalar kind)
{
    if (lua_type(L, arg) != LUA_TNUMBER)
        bind_misuse(L, arg, "value", "number expected, got %s", luaL_typename(L, arg));
    lua_Number value = lua_tonumber(L, arg), held = value;
    lua_Integer back;
    if (kind == BIND_F32) {
        if (isfinite(value) && fabs(value) >= F32_BEYOND)
            bind_misuse(L, arg, "value", "%f is too large for a 32-bit float", value);
        held = (lua_Number)(float)value;
    }
    if (lua_isinteger(L, arg) &&
        !(lua_numbertointeger(held, &back) && back == lua_tointeger(L, arg)))
        bind_misuse(L, arg, "value", "a %d-bit float can not hold %I",
                    kind == BIND_F32 ? 32 : 64, lua_tointeger(L, arg));
    return value;
}

/* The argument as the kind has it. */
LSHM_SPECIALISED bind_scalar_value bind_scalar_take(lua_State *L, int arg,
                                                    bind_scalar kind)
{
    bind_scalar_value value = {0};
    if (kind == BIND_F32)
        value.f32 = (float)bind_scalar_number(L, arg, kind);
    else if (kind == BIND_F64)
        value.f64 = bind_scalar_number(L, arg, kind);
    else if (kind == BIND_I64 || kind == BIND_U64)
        value.i =
            lua_isinteger(L, arg) ? lua_tointeger(L, arg) : bind_integer(L, arg, "value");
    else {
        int bits = (int)bind_scalar_size(kind) * 8;
        bool is_signed = kind == BIND_I8 || kind == BIND_I16 || kind == BIND_I32;
        value.i = is_signed
                      ? bind_range(L, arg, "value", -((lua_Integer)1 << (bits - 1)),
                                   ((lua_Integer)1 << (bits - 1)) - 1)
                      : bind_range(L, arg, "value", 0, ((lua_Integer)1 << bits) - 1);
    }
    return value;
}

LSHM_SPECIALISED void bind_scalar_store(uint8_t *at, const bind_scalar_value *value,
                                        bind_scalar kind)
{
    switch (kind) {
    case BIND_I8:
    case BIND_U8:
        *at = (uint8_t)value->i;
        break;
    case BIND_I16:
    case BIND_U16:
        memcpy(at, &(uint16_t){(uint16_t)value->i}, 2);
        break;
    case BIND_I32:
    case BIND_U32:
        memcpy(at, &(uint32_t){(uint32_t)value->i}, 4);
        break;
    case BIND_F32:
        memcpy(at, &value->f32, 4);
        break;
    default:
        memcpy(at, value, 8);
    }
}

/* Reads, looks whether it could be read, and pushes. */
LSHM_SPECIALISED int bind_scalar_push(lua_State *L, const uint8_t *at, bind_scalar kind,
                                      void (*faulted)(lua_State *L))
{
    union {
        int8_t i8;
        uint8_t u8;
        int16_t i16;
        uint16_t u16;
        int32_t i32;
        uint32_t u32;
        int64_t i64;
        float f32;
        double f64;
    } value;
    memcpy(&value, at, bind_scalar_size(kind));
    if (mem_fault_seen())
        faulted(L);
    switch (kind) {
    case BIND_I8:
        lua_pushinteger(L, value.i8);
        break;
    case BIND_U8:
        lua_pushinteger(L, value.u8);
        break;
    case BIND_I16:
        lua_pushinteger(L, value.i16);
        break;
    case BIND_U16:
        lua_pushinteger(L, value.u16);
        break;
    case BIND_I32:
        lua_pushinteger(L, value.i32);
        break;
    case BIND_U32:
        lua_pushinteger(L, value.u32);
        break;
    case BIND_F32:
        lua_pushnumber(L, (lua_Number)value.f32);
        break;
    case BIND_F64:
        lua_pushnumber(L, value.f64);
        break;
    default:
        lua_pushinteger(L, value.i64);
    }
    return 1;
}

#endif
