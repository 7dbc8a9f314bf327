/*
 * Calls with nothing in them, and the copies that no binding can do without.
 *
 * empty is a method of a region that checks its handle and returns; closure(region) gives
 * a function that holds a region and returns. bare_text and bare_copy make a Lua string
 * of the region's first n bytes, and copy a string there: the same bytes as is measured
 * beside it, as where they lie makes copies up to half as fast again. What has a number
 * of times does it without any call: loads, adds and copies.
 */
#include "limits.h"

#include <string.h>

int luaopen_limits(lua_State *L);

char limits_from[LIMITS_MOST], limits_to[LIMITS_MOST];

static int empty(lua_State *L)
{
    if (!bind_handle_self(L))
        return luaL_argerror(L, 1, BIND_REGION " expected");
    return 0;
}

static int held(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1)) ? 0 : luaL_error(L, "nothing held");
}

static int closure(lua_State *L)
{
    luaL_checkudata(L, 1, BIND_REGION);
    lua_pushcclosure(L, held, 1);
    return 1;
}

static int bare_text(lua_State *L)
{
    bind_region *region = bind_handle_self(L);
    if (!region)
        return luaL_argerror(L, 1, BIND_REGION " expected");
    lua_pushlstring(L, (const char *)region->base, (size_t)lua_tointeger(L, 3));
    return 1;
}

static int bare_copy(lua_State *L)
{
    bind_region *region = bind_handle_self(L);
    if (!region)
        return luaL_argerror(L, 1, BIND_REGION " expected");
    size_t n;
    const char *data = lua_tolstring(L, 3, &n);
    memcpy(region->base, data, n);
    return 0;
}

/* The region, an offset, and how often. */
static int loads(lua_State *L)
{
    const volatile int64_t *word = limits_at(L, 2);
    for (lua_Integer n = lua_tointeger(L, 3); n > 0; n--)
        (void)*word;
    return 0;
}

static int adds(lua_State *L)
{
    uint64_t *word = limits_at(L, 2);
    for (lua_Integer n = lua_tointeger(L, 3); n > 0; n--)
        mem_atomic_add64(word, 1);
    return 0;
}

/* The region, an offset, a size, and how often. */
static int copies(lua_State *L)
{
    void *there = limits_at(L, 2);
    size_t size = limits_size(L, 3);
    for (lua_Integer n = lua_tointeger(L, 4); n > 0; n--) {
        memcpy(there, limits_from, size);
        __asm__ volatile("" ::: "memory");
    }
    return 0;
}

void limits_calls(lua_State *L)
{
    static const luaL_Reg methods[] = {{"empty", empty},
                                       {"bare_text", bare_text},
                                       {"bare_copy", bare_copy},
                                       {NULL, NULL}};
    static const luaL_Reg functions[] = {{"closure", closure},
                                         {"loads", loads},
                                         {"adds", adds},
                                         {"copies", copies},
                                         {NULL, NULL}};
    memset(limits_from, 'x', sizeof limits_from);
    luaL_getmetatable(L, BIND_REGION);
    lua_getfield(L, -1, "__index"); /* regions have them from now on */
    lua_pushvalue(L, -2);
    luaL_setfuncs(L, methods, 1);
    lua_pop(L, 2);
    luaL_setfuncs(L, functions, 0);
}

__attribute__((visibility("default"))) int luaopen_limits(lua_State *L)
{
    lua_newtable(L);
    limits_calls(L);
    limits_turns(L);
    limits_rings(L);
    limits_pipes(L);
    limits_processes(L);
    return 1;
}
