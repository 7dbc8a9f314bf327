/*
 * shm.wait_any: waiting for any of several objects.
 */
#include "bind/bind.h"

#include <errno.h>

#define WAITED "mutex, semaphore, event, queue, subscriber or map"

/* Any of those that wait_any takes: each begins with what takes part. */
static bind_sync *any_of(lua_State *L, int arg, lua_Integer i)
{
    static const char *const types[] = {"shm.mutex", "shm.semaphore",  "shm.event",
                                        "shm.queue", "shm.subscriber", "shm.map",
                                        NULL};
    bind_sync *found = NULL;
    for (int type = 0; types[type] && !found; type++)
        found = luaL_testudata(L, -1, types[type]);
    if (!found)
        bind_misuse(L, arg, "objects", "item %I: " WAITED " expected", i);
    else if (!found->handle.mapping)
        bind_misuse(L, arg, "objects", "item %I is closed", i);
    return found;
}

/***
Waits until one of several objects can be had, and takes that one: a mutex is locked then,
a semaphore's count one less, an event with automatic reset not set any more. Of queues,
subscribers and maps nothing is taken: a queue has a message or was shut down, a
subscriber has a message, a map has changes. Then pop, try or changes; another process may
have been faster.
@function shm.wait_any
@tparam table objects mutexes, semaphores, events, queues, subscribers and maps, 64 at
most; earlier ones come first
@number[opt] timeout in seconds, absent for ever
@treturn int the index of the one that was taken, or is ready
@treturn ?string "recovered" when that is a mutex whose last holder died
@treturn ?int its pid
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EDEADLK (all are mutexes that this thread
holds, and not recursive), ENOMEM or ENOTSUP (of all of them, as of mutex.lock)
@raise when memory behind one of them is gone
@see futex_waitv(2)
*/
static int wait_any(lua_State *L)
{
    bind_arity(L, 2);
    if (lua_type(L, 1) != LUA_TTABLE)
        bind_misuse(L, 1, "objects", "table expected, got %s", luaL_typename(L, 1));
    int64_t deadline = bind_deadline(L, 2);
    bind_sync *objects[OS_FUTEX_MOST];
    const sync_handle *handles[OS_FUTEX_MOST];
    lua_Integer n = (lua_Integer)lua_rawlen(L, 1);
    if (n < 1 || n > OS_FUTEX_MOST)
        bind_misuse(L, 1, "objects", "1 to %d of them expected", OS_FUTEX_MOST);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, 1, i);
        objects[i - 1] = any_of(L, 1, i);
        handles[i - 1] = &objects[i - 1]->handle;
        lua_pop(L, 1);
    }
    size_t which = 0;
    sync_outcome outcome = {0};
    int result = sync_several(handles, (size_t)n, deadline, &which, &outcome);
    for (lua_Integer i = 0; i < n && mem_fault_seen(); i++) {
        if (mem_fault_end(handles[i]->mapping))
            bind_misuse(L, 1, "objects", "memory behind item %I is gone", i + 1);
    }
    if (result == -EFAULT) /* which the kernel has seen, and we have not */
        bind_misuse(L, 1, "objects", "memory behind one of them is gone");
    for (lua_Integer i = 0; i < n && result == -ETIMEDOUT; i++) {
        if (objects[i]->notice) /* none could be had */
            sync_notice_ask(objects[i]->notice, 0);
    }
    if (result < 0)
        return bind_fail(L, result, "shm.wait_any%s",
                         outcome.unreachable ? BIND_SYNC_UNREACHABLE : "");
    lua_pushinteger(L, (lua_Integer)which + 1);
    if (result == 0)
        return 1;
    lua_pushliteral(L, "recovered");
    lua_pushinteger(L, (lua_Integer)(outcome.dead & OS_THREAD_TID));
    return 3;
}

void bind_several_add(lua_State *L)
{
    lua_pushcfunction(L, wait_any);
    lua_setfield(L, -2, "wait_any");
}
