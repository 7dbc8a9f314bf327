/*
 * shm.core.chaos, on which shm.chaos stands: ways to die at an instant that is chosen.
 *
 * They are for a child that is there to be killed, whose parent looks at what it leaves.
 */
#include "bind/bind.h"

#define MOST_SECONDS 1e9

/***
Kills this process before its n-th store to the shared memory of its regions, with -9.
@function core.chaos.arm
@tparam shm.region tally where the stores are counted, in the first 8 bytes; stores to it
are none
@int n which store, from 1
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOTSUP (another processor than x86-64, or an emulator), ENOENT (no /proc),
EALREADY, ENOMEM
*/
static int chaos_arm(lua_State *L)
{
    bind_arity(L, 2);
    uint64_t n = (uint64_t)bind_range(L, 2, "n", 1, LUA_MAXINTEGER);
    bind_region *region = bind_region_open(L, 1, "tally");
    bind_region_writable(L, region);
    if (region->size < sizeof(uint64_t) || (uintptr_t)region->base % sizeof(uint64_t))
        bind_misuse(L, 1, "tally", "it has no aligned 64-bit word at its begin");
    int error = mem_chaos_arm(region->mapping, (uint64_t *)(void *)region->base, n);
    return bind_done(L, error, "chaos.arm");
}

/***
Takes arm back.
@function core.chaos.disarm
@treturn int how many stores there were
@treturn[2] nil
@treturn[2] string message, when some may have been missed
@treturn[2] int ENOMEM
*/
static int chaos_disarm(lua_State *L)
{
    bind_arity(L, 0);
    uint64_t stores;
    int error = mem_chaos_disarm(&stores);
    if (error)
        return bind_fail(L, error, "chaos.disarm");
    lua_pushinteger(L, (lua_Integer)stores);
    return 1;
}

/***
Kills this process after some time, with -9.
@function core.chaos.kill_after
@number seconds when
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EAGAIN
@see timer_create(2)
*/
static int chaos_kill_after(lua_State *L)
{
    bind_arity(L, 1);
    lua_Number seconds = bind_seconds(L, 1, "seconds");
    int64_t time = (int64_t)((seconds < MOST_SECONDS ? seconds : MOST_SECONDS) * 1e9);
    return bind_done(L, os_process_end_after(time), "chaos.kill_after");
}

void bind_chaos_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"arm", chaos_arm},
        {"disarm", chaos_disarm},
        {"kill_after", chaos_kill_after},
        {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
