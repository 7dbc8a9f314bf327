/*
 * shm.barrier: so many wait for each other, again and again.
 */
#include "bind/bind.h"

/***
Makes a barrier in a region.
@function shm.barrier.create
@tparam shm.region region where it lies
@int offset where in the region, in bytes from 0, a multiple of 8
@int parties how many wait for each other, 1 to 64
@treturn shm.barrier the barrier
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EEXIST (there is one), ENOTEMPTY (there is something else), ETIMEDOUT
(somebody is making it, and was stopped)
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static uint32_t arguments(lua_State *L, int arg, uint64_t *value)
{
    *value = 1; /* the generation, in which nobody has arrived */
    return (uint32_t)bind_range(L, arg, "parties", 1, SYNC_PARTIES);
}

/***
Arrives, and waits until all parties have. One that gives up or dies while it waits has
not arrived; another one can come in its place. Who is refused for a process that was
stopped has not either, unless that one had counted it and goes on.
@function shm.barrier:wait
@number[opt] timeout in seconds, absent for ever
@treturn boolean true
@treturn ?string "last" for the one that came last
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EBUSY (another process was stopped in the
middle of arriving, for longer than the time-out or a second; a wait that gives up may
take that second more)
@see futex(2)
*/
static int barrier_wait(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 2);
    sync_outcome outcome = {0};
    bool last = false;
    int result = sync_barrier_wait(&self->handle, bind_deadline(L, 2), &last, &outcome);
    int results = bind_sync_answer(L, self, result, "barrier.wait", &outcome);
    if (result || !last)
        return results;
    lua_pushliteral(L, "last");
    return 2;
}

/***
How many have arrived and wait, as it was just now.
@function shm.barrier:arrived
@treturn int how many
*/
static int barrier_arrived(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    int arrived = sync_barrier_arrived(&self->handle);
    bind_sync_check(L, self);
    lua_pushinteger(L, arrived);
    return 1;
}

/***
How many wait for each other.
@function shm.barrier:parties
@treturn int how many
*/
static int barrier_parties(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    lua_pushinteger(L, self->handle.extra);
    return 1;
}

void bind_barrier_add(lua_State *L)
{
    static const bind_sync_kind kind = {SYNC_BARRIER, "shm.barrier", "barrier", arguments,
                                        1};
    static const luaL_Reg methods[] = {
        {"wait", barrier_wait},
        {"arrived", barrier_arrived},
        {"parties", barrier_parties},
        {NULL, NULL},
    };
    bind_sync_type(L, &kind, methods);
}
