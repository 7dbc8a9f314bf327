/*
 * shm.condition: waiting, with a mutex, until somebody says that something changed.
 */
#include "bind/bind.h"

#include <errno.h>

/***
Makes a condition in a region. 31 can wait at once.
@function shm.condition.create
@tparam shm.region region where it lies
@int offset where in the region, in bytes from 0, a multiple of 8
@treturn shm.condition the condition
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EEXIST (there is one), ENOTEMPTY (there is something else), ETIMEDOUT
(somebody is making it, and was stopped)
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static uint32_t arguments(lua_State *L, int arg, uint64_t *value)
{
    (void)L, (void)arg;
    *value = 0;
    return 0;
}

/***
Lets go of a mutex and waits to be signalled, then locks it again, however long that
takes. What is waited for may have changed once more by then: ask for it in a loop.
@function shm.condition:wait
@tparam shm.mutex mutex this thread holds it, and does again afterwards
@number[opt] timeout in seconds, absent for ever
@treturn boolean true
@treturn ?string "recovered" when one died that held the mutex meanwhile, also where the
time was up
@treturn ?int its pid
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EUSERS (31 wait already): the mutex is held
again; EDEADLK when locking it would close a circle, ENOMEM, ENOTSUP as of mutex.lock: it
is not held then
@raise when this thread does not hold the mutex, or its transaction goes on under it
*/
static int condition_wait(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 3);
    int64_t deadline = bind_deadline(L, 3);
    const bind_sync *mutex = bind_sync_argument(L, 2, "mutex", "shm.mutex");
    if (!sync_handle_held(&mutex->handle))
        bind_misuse(L, 2, "mutex", "it is not held by this thread");
    if (bind_hold_journaled(&mutex->handle))
        bind_misuse(L, 2, "mutex", "a transaction goes on under it");
    sync_outcome outcome = {0};
    int relocked, result = sync_condition_wait(&self->handle, &mutex->handle, deadline,
                                               &outcome, &relocked);
    bind_sync_check(L, mutex);
    return bind_sync_answer(L, self, relocked ? relocked : result, "condition.wait",
                            &outcome); /* who is told of a death may ask for time again */
}

/***
Wakes the one that has waited longest, and lives.
@function shm.condition:signal
@treturn boolean whether there was one
*/
static int condition_signal(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    bool woken = sync_condition_signal(&self->handle);
    bind_sync_check(L, self);
    lua_pushboolean(L, woken);
    return 1;
}

/***
Wakes all who wait.
@function shm.condition:broadcast
@treturn int how many
*/
static int condition_broadcast(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    int woken = sync_condition_broadcast(&self->handle);
    bind_sync_check(L, self);
    lua_pushinteger(L, woken);
    return 1;
}

void bind_condition_add(lua_State *L)
{
    static const bind_sync_kind kind = {SYNC_CONDITION, "shm.condition", "condition",
                                        arguments, 0};
    static const luaL_Reg methods[] = {
        {"wait", condition_wait},
        {"signal", condition_signal},
        {"broadcast", condition_broadcast},
        {NULL, NULL},
    };
    bind_sync_type(L, &kind, methods);
}
