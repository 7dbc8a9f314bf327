/*
 * Handles that stand in event loops.
 *
 * fileno is for luv, luaposix and everyone; getfd for LuaSocket's select;
 * pollfd, events and timeout are the protocol of cqueues.
 */
#include "bind/bind.h"

/***
The descriptor, which is readable once waiting is over. It stays the
handle's: do not close it.
@function shm.process.pollable:fileno
@treturn int the descriptor
*/

/***
The same, under the name that LuaSocket's select asks for.
@function shm.process.pollable:getfd
@treturn int the descriptor
*/

/***
The same, under the name that cqueues asks for. Tell cqueues.cancel before you close the
handle.
@function shm.process.pollable:pollfd
@treturn int the descriptor
*/
static int descriptor(lua_State *L)
{
    const int *fd = bind_handle_self(L);
    bind_arity(L, 1);
    if (!fd)
        bind_handle_bad(L, 1, "handle expected");
    else if (*fd < 0)
        bind_handle_bad(L, 1,
                        "handle is closed, or has no descriptor as there is no pidfd");
    else
        lua_pushinteger(L, *fd);
    return 1;
}

/***
What to poll the descriptor for, for cqueues.
@function shm.process.pollable:events
@treturn string "r"
*/
static int events(lua_State *L)
{
    descriptor(L);
    lua_pushliteral(L, "r");
    return 1;
}

/***
After how long to look without an event, for cqueues.
@function shm.process.pollable:timeout
@treturn nil never
*/
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
