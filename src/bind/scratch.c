/*
 * Memory to write a table's bytes to: one piece for each Lua state, used again and again.
 *
 * It grows without the collector, so that no finalizer runs meanwhile. What lies in it is
 * good until code can run again that writes to it, too. The collector frees it in the
 * end.
 */
#include "bind/bind.h"

#include <string.h>

#define SCRATCH "shm.scratch"
#define LEAST 1024
#define KEPT 65536 /* bytes; more is given back */
#define IDLE 64    /* once it was taken so often, and a quarter would have done */

static const char key; /* of the registry, by its address */

static void drop(lua_State *L, bind_scratch *scratch)
{
    void *data;
    lua_Alloc allocate = lua_getallocf(L, &data);
    allocate(data, scratch->bytes, scratch->size, 0);
    scratch->bytes = NULL;
    scratch->size = 0;
    scratch->idle = 0;
}

/* What was used when it was last taken says whether it is too large by now. */
bind_scratch *bind_scratch_take(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
    bind_scratch *scratch = lua_touserdata(L, -1);
    lua_pop(L, 1); /* the registry keeps it */
    if (scratch->size <= KEPT || scratch->used > scratch->size / 4)
        scratch->idle = 0;
    else if (++scratch->idle >= IDLE)
        drop(L, scratch);
    scratch->used = 0;
    return scratch;
}

/* Makes it at least so large; what lies in it stays, but may lie elsewhere. */
void bind_scratch_grow(lua_State *L, bind_scratch *scratch, size_t size)
{
    if (scratch->gone)
        luaL_error(L, "a table can not be shared while the Lua state is closed");
    if (size < LEAST)
        size = LEAST;
    if (size < scratch->size * 2)
        size = scratch->size * 2;
    void *data;
    lua_Alloc allocate = lua_getallocf(L, &data);
    void *bytes = allocate(data, scratch->bytes, scratch->size, size);
    if (!bytes)
        luaL_error(L, "not enough memory");
    scratch->bytes = bytes;
    scratch->size = size;
}

/* Other finalizers may run after it, but nobody would free what they took. */
static int collect(lua_State *L)
{
    bind_scratch *scratch = bind_handle_self(L);
    if (!scratch)
        bind_handle_bad(L, 1, SCRATCH " expected");
    drop(L, scratch);
    scratch->gone = true;
    return 0;
}

void bind_scratch_register(lua_State *L)
{
    static const luaL_Reg metamethods[] = {{"__gc", collect}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{NULL, NULL}};
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TNIL) {
        bind_handle_type(L, SCRATCH, metamethods, methods);
        bind_scratch *scratch = lua_newuserdatauv(L, sizeof *scratch, 0);
        memset(scratch, 0, sizeof *scratch);
        luaL_setmetatable(L, SCRATCH);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
    }
    lua_pop(L, 1);
}
