/*
 * Getters that are bound to one place of a region.
 */
#include "bind/bound.h"
#include "bind/scalar.h"

/* Pushes the closure for the region at 1 and the offset at 2. */
bind_bound *bind_bound_push(lua_State *L, int arity, size_t size, bool changes,
                            lua_CFunction access)
{
    bind_region *region = bind_region_self(L);
    bind_arity(L, arity);
    if (changes)
        bind_region_writable(L, region);
    size_t offset = (size_t)(bind_region_at(L, region, 2, size) - region->base);
    bind_bound *bound = lua_newuserdatauv(L, sizeof *bound, 1);
    *bound = (bind_bound){.region = region, .offset = offset, .end = offset + size};
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    lua_pushcclosure(L, access, 1);
    return bound;
}

/* The place is not in the region as it was: it grew since, or is closed or shorter. */
uint8_t *bind_bound_beyond(lua_State *L, const bind_bound *bound, size_t size)
{
    if (!bound->region->mapping)
        luaL_error(L, "region is closed");
    return bind_region_beyond(L, bound->region, 1, "offset", (lua_Integer)bound->offset,
                              size);
}

void bind_bound_faulted(lua_State *L)
{
    bind_region_faulted(L, bind_bound_self(L)->region);
}

LSHM_SPECIALISED int bound_get(lua_State *L, bind_scalar kind)
{
    const bind_bound *bound = bind_bound_self(L);
    return bind_scalar_push(L, bind_bound_at(L, bound, bind_scalar_size(kind)), kind,
                            bind_bound_faulted);
}

LSHM_SPECIALISED int bind_getter(lua_State *L, bind_scalar kind, lua_CFunction access)
{
    bind_bound_push(L, 2, bind_scalar_size(kind), false, access);
    return 1;
}

static int bound_get_i8(lua_State *L)
{
    return bound_get(L, BIND_I8);
}

/***
Binds get_i8 to an offset: the function that it gives reads a signed 8-bit integer there.
@function shm.region:getter_i8
@int offset in bytes from 0
@treturn function of no arguments, giving the value
@raise when it reaches outside the region
*/
static int getter_i8(lua_State *L)
{
    return bind_getter(L, BIND_I8, bound_get_i8);
}

static int bound_get_u8(lua_State *L)
{
    return bound_get(L, BIND_U8);
}

/***
Binds get_u8 to an offset: the function that it gives reads an unsigned 8-bit integer
there.
@function shm.region:getter_u8
@int offset in bytes from 0
@treturn function of no arguments, giving the value
@raise when it reaches outside the region
*/
static int getter_u8(lua_State *L)
{
    return bind_getter(L, BIND_U8, bound_get_u8);
}

static int bound_get_i16(lua_State *L)
{
    return bound_get(L, BIND_I16);
}

/***
Binds get_i16 to an offset: the function that it gives reads a signed 16-bit integer
there.
@function shm.region:getter_i16
@int offset in bytes from 0
@treturn function of no arguments, giving the value
@raise when it reaches outside the region
*/
static int getter_i16(lua_State *L)
{
    return bind_getter(L, BIND_I16, bound_get_i16);
}

static int bound_get_u16(lua_State *L)
{
    return bound_get(L, BIND_U16);
}

/***
Binds get_u16 to an offset: the function that it gives reads an unsigned 16-bit integer
there.
@function shm.region:getter_u16
@int offset in bytes from 0
@treturn function of no arguments, giving the value
@raise when it reaches outside the region
*/
static int getter_u16(lua_State *L)
{
    return bind_getter(L, BIND_U16, bound_get_u16);
}

static int bound_get_i32(lua_State *L)
{
    return bound_get(L, BIND_I32);
}

/***
Binds get_i32 to an offset: the function that it gives reads a signed 32-bit integer
there.
@function shm.region:getter_i32
@int offset in bytes from 0
@treturn function of no arguments, giving the value
@raise when it reaches outside the region
*/
static int getter_i32(lua_State *L)
{
    return bind_getter(L, BIND_I32, bound_get_i32);
}

static int bound_get_u32(lua_State *L)
{
    return bound_get(L, BIND_U32);
}

/***
Binds get_u32 to an offset: the function that it gives reads an unsigned 32-bit integer
there.
@function shm.region:getter_u32
@int offset in bytes from 0
@treturn function of no arguments, giving the value
@raise when it reaches outside the region
*/
static int getter_u32(lua_State *L)
{
    return bind_getter(L, BIND_U32, bound_get_u32);
}

static int bound_get_i64(lua_State *L)
{
    return bound_get(L, BIND_I64);
}

/***
Binds get_i64 to an offset: the function that it gives reads a signed 64-bit integer
there.
@function shm.region:getter_i64
@int offset in bytes from 0
@treturn function of no arguments, giving the value
@raise when it reaches outside the region
*/
static int getter_i64(lua_State *L)
{
    return bind_getter(L, BIND_I64, bound_get_i64);
}

static int bound_get_u64(lua_State *L)
{
    return bound_get(L, BIND_U64);
}

/***
Binds get_u64 to an offset: the function that it gives reads an unsigned 64-bit integer
there.
@function shm.region:getter_u64
@int offset in bytes from 0
@treturn function of no arguments, giving the value
@raise when it reaches outside the region
*/
static int getter_u64(lua_State *L)
{
    return bind_getter(L, BIND_U64, bound_get_u64);
}

static int bound_get_f32(lua_State *L)
{
    return bound_get(L, BIND_F32);
}

/***
Binds get_f32 to an offset: the function that it gives reads a 32-bit float there.
@function shm.region:getter_f32
@int offset in bytes from 0
@treturn function of no arguments, giving the value
@raise when it reaches outside the region
*/
static int getter_f32(lua_State *L)
{
    return bind_getter(L, BIND_F32, bound_get_f32);
}

static int bound_get_f64(lua_State *L)
{
    return bound_get(L, BIND_F64);
}

/***
Binds get_f64 to an offset: the function that it gives reads a 64-bit float there.
@function shm.region:getter_f64
@int offset in bytes from 0
@treturn function of no arguments, giving the value
@raise when it reaches outside the region
*/
static int getter_f64(lua_State *L)
{
    return bind_getter(L, BIND_F64, bound_get_f64);
}

void bind_getter_register(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"getter_i8", getter_i8},
        {"getter_u8", getter_u8},
        {"getter_i16", getter_i16},
        {"getter_u16", getter_u16},
        {"getter_i32", getter_i32},
        {"getter_u32", getter_u32},
        {"getter_i64", getter_i64},
        {"getter_u64", getter_u64},
        {"getter_f32", getter_f32},
        {"getter_f64", getter_f64},
        {NULL, NULL},
    };
    bind_handle_methods(L, BIND_REGION, methods);
}
