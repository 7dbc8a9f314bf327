/*
 * Handles that stand in event loops.
 *
 * fileno is for luv, luaposix and everyone; getfd for LuaSocket's select;
 * pollfd, events and timeout are the protocol of cqueues.
 */
#include "bind/bind.h"

static int descriptor(lua_State *L)
{
    const int *fd = bind_handle_self(L);
    bind_arity(L, 1);
    if (!fd)
        bind_handle_bad(L, 1, "handle expected");
    else if (*fd < 0)
        bind_handle_bad(L, 1, "handle is closed");
    else
        lua_pushinteger(L, *fd);
    return 1;
}

static int events(lua_State *L)
{
    descriptor(L);
    lua_pushliteral(L, "r");
    return 1;
}

static int timeout(lua_State *L)
{
    descriptor(L);
    lua_pushnil(L);
    return 1;
}

void bind_pollable_methods(lua_State *L, const char *type)
{
    static const luaL_Reg methods[] = {
        {"fileno", descriptor}, {"getfd", descriptor}, {"pollfd", descriptor},
        {"events", events},     {"timeout", timeout},  {NULL, NULL},
    };
    bind_handle_methods(L, type, methods);
}
