/*
 * Objects to take turns by in event loops: their descriptors, made when first asked for.
 */
#include "bind/bind.h"

/***
A descriptor that is readable when the object may be had: a mutex is free; nobody writes
in a rwlock, nor reads where this handle was last to lock it for writing; a semaphore's
count is more than 0; an event is set; a counter changed since get, or a wait in vain, was
last called, or before that since this was; a queue has a message or was shut down, a
subscriber has a message, a map has changes. Nothing is taken by that: try, and when it
says no wait for the descriptor again. It stays the object's: do not close it. Making it
takes a thread, which sleeps at the object. A child made by fork asks for one of its own.
@function shm.waitable:fileno
@treturn int the descriptor
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EMFILE, EAGAIN (no more threads)
@see eventfd(2)
*/

/***
The same, under the name that LuaSocket's select asks for.
@function shm.waitable:getfd
*/

/***
The same, under the name that cqueues asks for.
@function shm.waitable:pollfd
*/
static int notice_fd(lua_State *L)
{
    bind_sync *self = bind_sync_self(L);
    bind_arity(L, 1);
    if (self->notice && sync_notice_fd(self->notice) < 0) {
        sync_notice_close(self->notice); /* the parent's, before the fork */
        self->notice = NULL;
    }
    if (!self->notice) {
        if (self->handle.kind == SYNC_COUNTER && !self->looked)
            self->seen = mem_atomic_load64(&self->handle.counter->value);
        self->looked = true;
        bind_sync_check(L, self);
        int error = sync_notice_open(&self->handle, self->seen, &self->notice);
        if (error)
            return bind_fail(L, error, "fileno");
    }
    lua_pushinteger(L, sync_notice_fd(self->notice));
    return 1;
}

/***
What to poll the descriptor for, for cqueues.
@function shm.waitable:events
@treturn string "r"
*/
static int notice_events(lua_State *L)
{
    bind_sync_self(L);
    bind_arity(L, 1);
    lua_pushliteral(L, "r");
    return 1;
}

/***
After how long to look without an event, for cqueues.
@function shm.waitable:timeout
@treturn nil never
*/
static int notice_timeout(lua_State *L)
{
    bind_sync_self(L);
    bind_arity(L, 1);
    lua_pushnil(L);
    return 1;
}

void bind_notice_methods(lua_State *L, const char *type)
{
    static const luaL_Reg methods[] = {
        {"fileno", notice_fd},     {"getfd", notice_fd},        {"pollfd", notice_fd},
        {"events", notice_events}, {"timeout", notice_timeout}, {NULL, NULL},
    };
    bind_handle_methods(L, type, methods);
}
