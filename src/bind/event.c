/*
 * shm.event: an event in a region, with automatic or manual reset.
 */
#include "bind/bind.h"

/***
Makes an event in a region, which is not set.
@function shm.event.create
@tparam shm.region region where it lies
@int offset where in the region, in bytes from 0, a multiple of 8
@tparam[opt] table options manual: it stays set until it is reset, and all who wait go on;
otherwise one of them does, and it is not set any more
@treturn shm.event the event
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EEXIST (there is one), ENOTEMPTY (there is something else), ETIMEDOUT
(somebody is making it, and was stopped)
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static uint32_t arguments(lua_State *L, int arg, uint64_t *value)
{
    static const char *const known[] = {"manual", NULL};
    bool manual = false;
    *value = 0;
    if (bind_fields(L, arg, "options", true, known))
        bind_field_boolean(L, arg, "manual", &manual);
    return manual ? SYNC_MANUAL : 0;
}

/***
Waits until it is set.
@function shm.event:wait
@number[opt] timeout in seconds, absent for ever
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal
@see futex(2)
*/
static int event_wait(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 2);
    int result = sync_event_wait(&self->handle, bind_deadline(L, 2));
    return bind_sync_answer(L, self, result, "event.wait", NULL);
}

/***
wait with a time-out of 0.
@function shm.event:try
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT
*/
static int event_try(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    return bind_sync_answer(L, self, sync_event_wait(&self->handle, 0), "event.try",
                            NULL);
}

/***
Sets it. Setting it again before somebody took it changes nothing.
@function shm.event:set
*/
static int event_set(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    sync_event_set(&self->handle);
    bind_sync_check(L, self);
    return 0;
}

/***
It is not set after that.
@function shm.event:reset
*/
static int event_reset(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    sync_event_reset(&self->handle);
    bind_sync_check(L, self);
    return 0;
}

/***
Whether it is set, as it was just now.
@function shm.event:is_set
@treturn boolean whether it is
*/
static int event_is_set(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    bool set = mem_atomic_load32(&self->handle.event->set) != 0;
    bind_sync_check(L, self);
    lua_pushboolean(L, set);
    return 1;
}

void bind_event_add(lua_State *L)
{
    static const bind_sync_kind kind = {SYNC_EVENT, "shm.event", "event", arguments, 1};
    static const luaL_Reg methods[] = {
        {"wait", event_wait},   {"try", event_try},       {"set", event_set},
        {"reset", event_reset}, {"is_set", event_is_set}, {NULL, NULL},
    };
    bind_sync_type(L, &kind, methods);
}
