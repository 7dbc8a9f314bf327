/*
 * Locks that are held for as long as a function runs, or a variable lives.
 *
 * mutex and rwlock share this: what differs is how they are taken. The lock may be a
 * coroutine's that yields meanwhile; it belongs to the thread all the same.
 */
#include "bind/bind.h"

#include <errno.h>

#define HELD "shm.held"

/* For writing, where that makes a difference. */
int bind_hold_acquire(const sync_handle *handle, int64_t deadline, sync_outcome *outcome)
{
    if (handle->kind == SYNC_RWLOCK)
        return sync_rwlock_write(handle, deadline, outcome);
    if (sync_mutex_take(handle->mutex))
        return 0;
    return sync_mutex_wait(handle, deadline, outcome);
}

/*
 * Whether this thread's transaction goes on under the lock. Whoever got it meanwhile
 * would see what may yet be undone, and find the journal in use.
 */
bool bind_hold_journaled(const sync_handle *handle)
{
    size_t room;
    const mem_mapping *mapping = handle->mapping;
    return mapping->journal && mapping->journalist == os_thread_self() &&
           sync_handle_journal(handle, &room) == mapping->journal;
}

/* Takes it; where that was in vain, event loops are to be told when it is worth while. */
static int attempt(bind_sync *self, bind_hold_take take, int64_t deadline,
                   sync_outcome *outcome)
{
    self->seen = take != sync_rwlock_read;
    return take(&self->handle, deadline, outcome);
}

/* -EBUSY when a transaction needs it, -EPERM when this thread does not hold it. */
int bind_hold_release(const sync_handle *handle)
{
    if (bind_hold_journaled(handle) &&
        (handle->kind == SYNC_RWLOCK || handle->mutex->depth <= 1))
        return -EBUSY;
    if (handle->kind == SYNC_RWLOCK)
        return sync_rwlock_leave(handle);
    return sync_mutex_give(handle->mutex) ? 0 : sync_mutex_leave(handle);
}

int bind_hold_lock(lua_State *L, bind_hold_take take, const char *what)
{
    bind_sync *self = bind_sync_self(L);
    bind_arity(L, 2);
    sync_outcome outcome = {0};
    int result = attempt(self, take, bind_deadline(L, 2), &outcome);
    return bind_sync_answer(L, self, result, what, &outcome);
}

int bind_hold_try(lua_State *L, bind_hold_take take, const char *what)
{
    bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    sync_outcome outcome = {0};
    int result = attempt(self, take, 0, &outcome);
    return bind_sync_answer(L, self, result, what, &outcome);
}

int bind_hold_unlock(lua_State *L)
{
    const bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    int error = bind_hold_release(&self->handle);
    bind_sync_check(L, self);
    if (error == -EBUSY)
        bind_handle_bad(L, 1, "a transaction goes on under it");
    if (error)
        bind_handle_bad(L, 1, "it is not held by this thread");
    return 0;
}

/* Behind the function that with called: at 1 is the lock, and the rest are results. */
static int end_with(lua_State *L, int status, lua_KContext context)
{
    const bind_sync *self = lua_touserdata(L, 1);
    (void)context;
    if (self->handle.mapping)
        bind_hold_release(&self->handle); /* or the function has left it already */
    if (status != LUA_OK && status != LUA_YIELD)
        return lua_error(L);
    if (self->handle.mapping)
        bind_sync_check(L, self);
    return lua_gettop(L) - 1;
}

int bind_hold_with(lua_State *L, bind_hold_take take, const char *what)
{
    const bind_sync *self = bind_sync_self(L);
    luaL_argexpected(L, lua_isfunction(L, 2), 2, "f: function");
    sync_outcome outcome = {0};
    int result = take(&self->handle, OS_CLOCK_FOREVER, &outcome);
    if (result < 0)
        return bind_sync_answer(L, self, result, what, &outcome);
    bind_sync_check(L, self); /* what was taken is no lock where the memory is gone */
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, end_with);
    return end_with(L, status, 0);
}

int bind_hold_hold(lua_State *L, bind_hold_take take, const char *what)
{
    bind_sync *self = bind_sync_self(L);
    bind_arity(L, 2);
    int64_t deadline = bind_deadline(L, 2);
    bool *held = lua_newuserdatauv(L, sizeof *held, 1);
    *held = false;
    luaL_setmetatable(L, HELD);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    sync_outcome outcome = {0};
    int result = attempt(self, take, deadline, &outcome);
    int results = bind_sync_answer(L, self, result, what, &outcome);
    if (result < 0)
        return results;
    *held = true;
    lua_remove(L, -results); /* true: the token is as good */
    return results;
}

/* Once; and not if it was left by unlock before. */
static int held_close(lua_State *L)
{
    bool *held = bind_handle_self(L);
    if (!held)
        bind_handle_bad(L, 1, HELD " expected");
    else if (*held) {
        *held = false;
        lua_getiuservalue(L, 1, 1);
        const bind_sync *lock = lua_touserdata(L, -1);
        if (lock->handle.mapping)
            bind_hold_release(&lock->handle);
    }
    return 0;
}

/* Who holds it, and since when. */
int bind_hold_holder(lua_State *L, uint64_t who, uint64_t since)
{
    bind_sync_check(L, lua_touserdata(L, 1));
    if (sync_who(who) == 0)
        return 0;
    lua_pushinteger(L, os_thread_process(sync_who(who)));
    lua_pushnumber(L, (lua_Number)since / 1e9);
    return 2;
}

void bind_hold_register(lua_State *L)
{
    static const luaL_Reg metamethods[] = {{"__close", held_close}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{NULL, NULL}};
    bind_handle_type(L, HELD, metamethods, methods);
}
