/*
 * Setters that are bound to one place of a region.
 */
#include "bind/bound.h"
#include "bind/scalar.h"

LSHM_SPECIALISED int bound_set(lua_State *L, bind_scalar kind)
{
    const bind_bound *bound = bind_bound_self(L);
    bind_arity(L, 1);
    bind_scalar_value value = bind_scalar_take(L, 1, kind);
    bind_scalar_store(bind_bound_change(L, bound, bind_scalar_size(kind)), &value, kind);
    bind_bound_check(L);
    return 0;
}

LSHM_SPECIALISED int bind_setter(lua_State *L, bind_scalar kind, lua_CFunction access)
{
    bind_bound_push(L, 2, bind_scalar_size(kind), true, access);
    return 1;
}

static int bound_set_i8(lua_State *L)
{
    return bound_set(L, BIND_I8);
}

/***
Binds set_i8 to an offset: the function that it gives writes a signed 8-bit integer there.
@function shm.region:setter_i8
@int offset in bytes from 0
@treturn function of the value, which set_i8 would take
@raise when it reaches outside, or the region is read-only
*/
static int setter_i8(lua_State *L)
{
    return bind_setter(L, BIND_I8, bound_set_i8);
}

static int bound_set_u8(lua_State *L)
{
    return bound_set(L, BIND_U8);
}

/***
Binds set_u8 to an offset: the function that it gives writes an unsigned 8-bit integer
there.
@function shm.region:setter_u8
@int offset in bytes from 0
@treturn function of the value, which set_u8 would take
@raise when it reaches outside, or the region is read-only
*/
static int setter_u8(lua_State *L)
{
    return bind_setter(L, BIND_U8, bound_set_u8);
}

static int bound_set_i16(lua_State *L)
{
    return bound_set(L, BIND_I16);
}

/***
Binds set_i16 to an offset: the function that it gives writes a signed 16-bit integer
there.
@function shm.region:setter_i16
@int offset in bytes from 0
@treturn function of the value, which set_i16 would take
@raise when it reaches outside, or the region is read-only
*/
static int setter_i16(lua_State *L)
{
    return bind_setter(L, BIND_I16, bound_set_i16);
}

static int bound_set_u16(lua_State *L)
{
    return bound_set(L, BIND_U16);
}

/***
Binds set_u16 to an offset: the function that it gives writes an unsigned 16-bit integer
there.
@function shm.region:setter_u16
@int offset in bytes from 0
@treturn function of the value, which set_u16 would take
@raise when it reaches outside, or the region is read-only
*/
static int setter_u16(lua_State *L)
{
    return bind_setter(L, BIND_U16, bound_set_u16);
}

static int bound_set_i32(lua_State *L)
{
    return bound_set(L, BIND_I32);
}

/***
Binds set_i32 to an offset: the function that it gives writes a signed 32-bit integer
there.
@function shm.region:setter_i32
@int offset in bytes from 0
@treturn function of the value, which set_i32 would take
@raise when it reaches outside, or the region is read-only
*/
static int setter_i32(lua_State *L)
{
    return bind_setter(L, BIND_I32, bound_set_i32);
}

static int bound_set_u32(lua_State *L)
{
    return bound_set(L, BIND_U32);
}

/***
Binds set_u32 to an offset: the function that it gives writes an unsigned 32-bit integer
there.
@function shm.region:setter_u32
@int offset in bytes from 0
@treturn function of the value, which set_u32 would take
@raise when it reaches outside, or the region is read-only
*/
static int setter_u32(lua_State *L)
{
    return bind_setter(L, BIND_U32, bound_set_u32);
}

static int bound_set_i64(lua_State *L)
{
    return bound_set(L, BIND_I64);
}

/***
Binds set_i64 to an offset: the function that it gives writes a signed 64-bit integer
there.
@function shm.region:setter_i64
@int offset in bytes from 0
@treturn function of the value, which set_i64 would take
@raise when it reaches outside, or the region is read-only
*/
static int setter_i64(lua_State *L)
{
    return bind_setter(L, BIND_I64, bound_set_i64);
}

static int bound_set_u64(lua_State *L)
{
    return bound_set(L, BIND_U64);
}

/***
Binds set_u64 to an offset: the function that it gives writes an unsigned 64-bit integer
there.
@function shm.region:setter_u64
@int offset in bytes from 0
@treturn function of the value, which set_u64 would take
@raise when it reaches outside, or the region is read-only
*/
static int setter_u64(lua_State *L)
{
    return bind_setter(L, BIND_U64, bound_set_u64);
}

static int bound_set_f32(lua_State *L)
{
    return bound_set(L, BIND_F32);
}

/***
Binds set_f32 to an offset: the function that it gives writes a 32-bit float there.
@function shm.region:setter_f32
@int offset in bytes from 0
@treturn function of the value, which set_f32 would take
@raise when it reaches outside, or the region is read-only
*/
static int setter_f32(lua_State *L)
{
    return bind_setter(L, BIND_F32, bound_set_f32);
}

static int bound_set_f64(lua_State *L)
{
    return bound_set(L, BIND_F64);
}

/***
Binds set_f64 to an offset: the function that it gives writes a 64-bit float there.
@function shm.region:setter_f64
@int offset in bytes from 0
@treturn function of the value, which set_f64 would take
@raise when it reaches outside, or the region is read-only
*/
static int setter_f64(lua_State *L)
{
    return bind_setter(L, BIND_F64, bound_set_f64);
}

void bind_setter_register(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"setter_i8", setter_i8},
        {"setter_u8", setter_u8},
        {"setter_i16", setter_i16},
        {"setter_u16", setter_u16},
        {"setter_i32", setter_i32},
        {"setter_u32", setter_u32},
        {"setter_i64", setter_i64},
        {"setter_u64", setter_u64},
        {"setter_f32", setter_f32},
        {"setter_f64", setter_f64},
        {NULL, NULL},
    };
    bind_handle_methods(L, BIND_REGION, methods);
}
