/*
 * Signals that came before a wait began to sleep, or between two of its slices.
 *
 * A signal ends a sleep, and what waited returns EINTR, so that Ctrl-C works. But Lua's
 * way to handle a signal, in lua(1) as in libraries, is a handler that asks for the
 * interpreter's attention by a hook, and one that ran a moment before the sleep would be
 * heard of after it, which may be never. So whoever sleeps in slices asks before each of
 * them, and whoever sleeps on a word before that. Nothing else hooks calls, returns and
 * every single instruction.
 *
 * A thread has one Lua state here: that which opened the module last, until it is closed.
 * Handlers hook the main coroutine.
 */
#include "bind/bind.h"

#define INTERRUPT "shm.interrupt"
#define ATTENTION (LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT)

static const char key; /* of the registry, by its address */
static _Thread_local lua_State *here;

static bool attention(void)
{
    return here && (lua_gethookmask(here) & ATTENTION) == ATTENTION &&
           lua_gethookcount(here) == 1;
}

static int forget(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    if (here == lua_tothread(L, -1))
        here = NULL;
    return 0;
}

void bind_interrupt_register(lua_State *L)
{
    static const luaL_Reg metamethods[] = {{"__gc", forget}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{NULL, NULL}};
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TNIL) {
        bind_handle_type(L, INTERRUPT, metamethods, methods);
        lua_newuserdatauv(L, 0, 0);
        luaL_setmetatable(L, INTERRUPT);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    here = lua_tothread(L, -1);
    os_wait_interrupted = attention;
    lua_pop(L, 2);
}
