/*
 * shm.counter: a number in a region that can be waited for.
 */
#include "bind/bind.h"

#include <errno.h>

/***
Makes a counter in a region.
@function shm.counter.create
@tparam shm.region region where it lies
@int offset where in the region, in bytes from 0, a multiple of 8
@int[opt=0] value what it begins with
@treturn shm.counter the counter
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EEXIST (there is one), ENOTEMPTY (there is something else), ETIMEDOUT
(somebody is making it, and was stopped)
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static uint32_t arguments(lua_State *L, int arg, uint64_t *value)
{
    *value = lua_isnoneornil(L, arg) ? 0 : (uint64_t)bind_integer(L, arg, "value");
    return 0;
}

/***
Adds to it in one step, and wakes who waits.
@function shm.counter:add
@int[opt=1] n how much
@treturn int what it was before
*/
static int counter_add(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 2);
    uint64_t n = lua_isnoneornil(L, 2) ? 1 : (uint64_t)bind_integer(L, 2, "n");
    uint64_t before = sync_counter_add(&self->handle, n);
    bind_sync_check(L, self);
    lua_pushinteger(L, (lua_Integer)before);
    return 1;
}

/* What is no news to event loops from now on. */
static void saw(bind_sync *self, uint64_t value)
{
    self->seen = value;
    self->looked = true;
}

/***
Its value.
@function shm.counter:get
@treturn int the value
*/
static int counter_get(lua_State *L)
{
    bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    uint64_t value = mem_atomic_load64(&self->handle.counter->value);
    bind_sync_check(L, self);
    saw(self, value);
    if (self->notice)
        sync_notice_ask(self->notice, value);
    lua_pushinteger(L, (lua_Integer)value);
    return 1;
}

/***
Gives it a value, and wakes who waits.
@function shm.counter:set
@int value the value
*/
static int counter_set(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 2);
    uint64_t value = (uint64_t)bind_integer(L, 2, "value");
    sync_counter_set(&self->handle, value);
    bind_sync_check(L, self);
    return 0;
}

/***
Waits until it is at least so much.
@function shm.counter:wait
@int least how much
@number[opt] timeout in seconds, absent for ever
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal
@see futex(2)
*/
static int counter_wait(lua_State *L)
{
    bind_sync *self = bind_sync_self(L);
    bind_arity(L, 3);
    int64_t least = bind_integer(L, 2, "least"), deadline = bind_deadline(L, 3);
    uint64_t before = mem_atomic_load64(&self->handle.counter->value);
    int result = sync_counter_wait(&self->handle, least, deadline);
    if (result == -ETIMEDOUT)
        saw(self, before); /* and not what it may have become just now */
    return bind_sync_answer(L, self, result, "counter.wait", NULL);
}

void bind_counter_add(lua_State *L)
{
    static const bind_sync_kind kind = {SYNC_COUNTER, "shm.counter", "counter", arguments,
                                        1};
    static const luaL_Reg methods[] = {
        {"add", counter_add},   {"get", counter_get}, {"set", counter_set},
        {"wait", counter_wait}, {NULL, NULL},
    };
    bind_sync_type(L, &kind, methods);
}
