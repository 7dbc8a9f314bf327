/*
 * shm.semaphore: a semaphore in a region.
 */
#include "bind/bind.h"

/***
Makes a semaphore in a region.
@function shm.semaphore.create
@tparam shm.region region where it lies
@int offset where in the region, in bytes from 0, a multiple of 8
@int[opt=0] value its count at first
@treturn shm.semaphore the semaphore
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EEXIST (there is one), ENOTEMPTY (there is something else), ETIMEDOUT
(somebody is making it, and was stopped)
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static uint32_t arguments(lua_State *L, int arg, uint64_t *value)
{
    *value = (uint64_t)bind_opt_range(L, arg, "value", 0, 0, INT32_MAX);
    return 0;
}

/***
Takes one of the count: waits until it is more than 0. What a process took and did not
post is not given back when it dies.
@function shm.semaphore:wait
@number[opt] timeout in seconds, absent for ever
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal
@see futex(2)
*/
static int semaphore_wait(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 2);
    int result = sync_semaphore_wait(&self->handle, bind_deadline(L, 2));
    return bind_sync_answer(L, self, result, "semaphore.wait", NULL);
}

/***
wait with a time-out of 0.
@function shm.semaphore:try
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT
*/
static int semaphore_try(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    return bind_sync_answer(L, self, sync_semaphore_wait(&self->handle, 0),
                            "semaphore.try", NULL);
}

/***
Adds to the count, and wakes as many.
@function shm.semaphore:post
@int[opt=1] n how much
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EOVERFLOW when it would be more than 2147483647
*/
static int semaphore_post(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 2);
    uint32_t n = (uint32_t)bind_opt_range(L, 2, "n", 1, 1, INT32_MAX);
    return bind_sync_answer(L, self, sync_semaphore_post(&self->handle, n),
                            "semaphore.post", NULL);
}

/***
The count, as it was just now.
@function shm.semaphore:value
@treturn int the count
*/
static int semaphore_value(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    uint32_t count = mem_atomic_load32(&self->handle.semaphore->count);
    bind_sync_check(L, self);
    lua_pushinteger(L, count);
    return 1;
}

void bind_semaphore_add(lua_State *L)
{
    static const bind_sync_kind kind = {SYNC_SEMAPHORE, "shm.semaphore", "semaphore",
                                        arguments, 1};
    static const luaL_Reg methods[] = {
        {"wait", semaphore_wait},   {"try", semaphore_try}, {"post", semaphore_post},
        {"value", semaphore_value}, {NULL, NULL},
    };
    bind_sync_type(L, &kind, methods);
}
