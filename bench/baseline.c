/*
 * What regions are compared with: the same calls with nothing in them.
 *
 * empty is a method of a region that checks its handle and returns; closure(region) gives
 * a function that holds a region and returns. text and copy do what read and write can
 * not do without: make a Lua string of n bytes, and copy a string's bytes.
 */
#include "bind/bind.h"

#include <stdlib.h>
#include <string.h>

#define MOST (1 << 20)

int luaopen_baseline(lua_State *L);

static char bytes[MOST];

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

static int text(lua_State *L)
{
    if (!bind_handle_self(L))
        return luaL_argerror(L, 1, BIND_REGION " expected");
    lua_Integer n = lua_tointeger(L, 3);
    lua_pushlstring(L, bytes, n < MOST ? (size_t)n : MOST);
    return 1;
}

static int copy(lua_State *L)
{
    if (!bind_handle_self(L))
        return luaL_argerror(L, 1, BIND_REGION " expected");
    size_t n;
    const char *data = lua_tolstring(L, 3, &n);
    memcpy(bytes, data, n < MOST ? n : MOST);
    return 0;
}

__attribute__((visibility("default"))) int luaopen_baseline(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"empty", empty}, {"text", text}, {"copy", copy}, {NULL, NULL}};
    memset(bytes, 'x', sizeof bytes);
    lua_newtable(L);
    luaL_getmetatable(L, BIND_REGION);
    luaL_setfuncs(L, methods, 1);
    lua_pushcfunction(L, closure);
    lua_setfield(L, -2, "closure");
    return 1;
}
