/*
 * What the rows are compared with that a binding can not be faster than: the same work in
 * C.
 *
 * Each file adds its functions to the one Lua module `limits`. They take the number of
 * times last and do all of it in one call, so that no call is in what they cost. Words
 * and rings lie in a region, at offsets, as what they are compared with does.
 */
#ifndef BENCH_LIMITS_H
#define BENCH_LIMITS_H

#include "bind/bind.h"

#define LIMITS_MOST (1 << 20) /* bytes of the largest message */

/* Bytes that are copied from and to, in every file of these. */
extern char limits_from[LIMITS_MOST], limits_to[LIMITS_MOST];

/* Each leaves its functions in the table on the top of the stack. */
void limits_calls(lua_State *L);
void limits_turns(lua_State *L);
void limits_rings(lua_State *L);
void limits_pipes(lua_State *L);
void limits_processes(lua_State *L);

/* Where argument arg says in a region; the region is argument 1. */
static inline void *limits_at(lua_State *L, int arg)
{
    bind_region *region = luaL_checkudata(L, 1, BIND_REGION);
    return region->base + luaL_checkinteger(L, arg);
}

/* A size in bytes that there is room for. */
static inline size_t limits_size(lua_State *L, int arg)
{
    lua_Integer size = luaL_checkinteger(L, arg);
    luaL_argcheck(L, size >= 0 && size <= LIMITS_MOST, arg, "too large");
    return (size_t)size;
}

#endif
