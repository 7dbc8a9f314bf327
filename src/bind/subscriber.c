/*
 * shm.subscriber: who listens to a topic.
 *
 * It begins with an eventcount's handle, so that it can be waited for beside others. What
 * it gets is copied into memory of its own first, as what lies in the topic may be
 * overwritten meanwhile, and becomes a value then.
 */
#include "bind/bind.h"

#include <errno.h>
#include <stdlib.h>

#define ROOM 256 /* bytes at first */

typedef struct bind_subscriber {
    bind_sync sync;
    ds_subscriber subscriber;
    ds_buffer buffer;
} bind_subscriber;

static int bind_value_decode(lua_State *L, const void *bytes, size_t size)
{
    lua_pushlstring(L, bytes, size);
    return 0;
}

static void release(bind_subscriber *self)
{
    mem_mapping *mapping = self->sync.handle.mapping;
    if (self->sync.notice)
        sync_notice_close(self->sync.notice);
    self->sync.notice = NULL;
    if (mapping && self->subscriber.slot) {
        ds_subscriber_close(&self->subscriber);
        if (mem_fault_seen())
            mem_fault_end(mapping); /* there is none to let go of */
    }
    sync_handle_close(&self->sync.handle);
    free(self->buffer.bytes);
    self->buffer = (ds_buffer){0};
}

/* Pushes a subscriber, or why there is none. */
int bind_subscriber_new(lua_State *L, const ds_topic *topic, bool oldest)
{
    bind_subscriber *self = lua_newuserdatauv(L, sizeof *self, 0);
    *self = (bind_subscriber){.sync.notice = NULL};
    luaL_setmetatable(L, BIND_SUBSCRIBER);
    self->buffer.bytes = malloc(ROOM);
    if (!self->buffer.bytes)
        return bind_topic_fail(L, topic, -ENOMEM, "topic.subscribe", 0);
    self->buffer.room = ROOM;
    pid_t holder = 0;
    int error = ds_subscriber_open(&self->subscriber, topic, oldest, &holder);
    if (!error)
        sync_handle_watch(&self->sync.handle, topic->mapping, &topic->head->news,
                          ds_subscriber_ready, self->subscriber.slot);
    if (mem_fault_seen() && mem_fault_end(topic->mapping))
        return luaL_error(L, "memory behind this object is gone, or protected");
    if (error)
        return bind_topic_fail(L, topic, error, "topic.subscribe", holder);
    return 1;
}

static bind_subscriber *self_of(lua_State *L, int arguments)
{
    bind_subscriber *self = (bind_subscriber *)bind_sync_self(L);
    bind_arity(L, arguments);
    if (self->subscriber.who != os_thread_self())
        bind_handle_bad(L, 1, "it is another thread's, or a parent's: subscribe anew");
    return self;
}

static int enlarge(ds_buffer *buffer)
{
    size_t room = buffer->room;
    while (room < buffer->size)
        room *= 2;
    uint8_t *bytes = realloc(buffer->bytes, room);
    if (!bytes)
        return -ENOMEM;
    buffer->bytes = bytes;
    buffer->room = room;
    return 0;
}

static int fail(lua_State *L, const bind_subscriber *self, int error, const char *what,
                pid_t holder)
{
    if (error == -ETIMEDOUT && self->sync.notice)
        sync_notice_ask(self->sync.notice);
    return bind_topic_fail(L, &self->subscriber.topic, error, what, holder);
}

/* The next message, for which it waits so many seconds, or for ever if less than 0. */
static int next(lua_State *L, bind_subscriber *self, lua_Number seconds, const char *what)
{
    pid_t holder = 0;
    int error = ds_subscriber_try(&self->subscriber, &self->buffer, &holder);
    if (__builtin_expect(error != 0, 0)) {
        int64_t deadline = seconds < 0    ? OS_CLOCK_FOREVER
                           : seconds == 0 ? 0
                                          : os_clock_deadline(seconds);
        while (error == -EAGAIN || error == -ENOBUFS) {
            if (error == -EAGAIN && deadline == 0)
                error = -ETIMEDOUT;
            else if (error == -ENOBUFS)
                error = enlarge(&self->buffer);
            if (error == 0 || error == -EAGAIN)
                error = ds_subscriber_next(&self->subscriber, &self->sync.handle,
                                           deadline, &self->buffer, &holder);
        }
    }
    bind_sync_check(L, &self->sync);
    if (!error)
        error = bind_value_decode(L, self->buffer.bytes, self->buffer.size);
    return error ? fail(L, self, error, what, holder) : 1;
}

/***
The next message that it has not got yet: waits until there is one.
@function subscriber:next
@number[opt] timeout in seconds, absent for ever
@return the message
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, ENOMEM; where others scribble, EBADMSG (what
lies there is no message; it goes on with the next one) and EIDRM (its place is not its
own any more)
@raise in a child made by fork: it subscribes anew
@see futex(2)
*/
static int subscriber_next(lua_State *L)
{
    bind_subscriber *self = self_of(L, 2);
    return next(L, self, lua_isnoneornil(L, 2) ? -1 : bind_seconds(L, 2, "timeout"),
                "subscriber.next");
}

/***
next with a time-out of 0.
@function subscriber:try
*/
static int subscriber_try(lua_State *L)
{
    return next(L, self_of(L, 1), 0, "subscriber.try");
}

/***
How many messages it has missed since it subscribed, as they were overwritten before it
got them.
@function subscriber:lost
@treturn int how many
*/
static int subscriber_lost(lua_State *L)
{
    const bind_subscriber *self = self_of(L, 1);
    uint64_t waiting, lost;
    ds_subscriber_survey(&self->subscriber, &waiting, &lost);
    bind_sync_check(L, &self->sync);
    lua_pushinteger(L, (lua_Integer)lost);
    return 1;
}

static int subscriber_len(lua_State *L)
{
    const bind_subscriber *self = (bind_subscriber *)bind_sync_self(L);
    uint64_t waiting, lost;
    ds_subscriber_survey(&self->subscriber, &waiting, &lost);
    bind_sync_check(L, &self->sync);
    lua_pushinteger(L, (lua_Integer)waiting);
    return 1;
}

/***
Ends the subscription: its place is another's to take. Closing twice is harmless.
@function subscriber:close
@treturn boolean true
*/
static int subscriber_close(lua_State *L)
{
    bind_subscriber *self = bind_handle_self(L);
    if (!self)
        bind_sync_bad(L, NULL);
    else
        release(self);
    lua_pushboolean(L, 1);
    return 1;
}

static int subscriber_tostring(lua_State *L)
{
    const bind_subscriber *self = bind_handle_self(L);
    if (!self)
        bind_sync_bad(L, NULL);
    else if (self->sync.handle.mapping)
        lua_pushfstring(L, BIND_SUBSCRIBER " (%s)", self->sync.handle.mapping->label);
    else
        lua_pushliteral(L, BIND_SUBSCRIBER " (closed)");
    return 1;
}

void bind_subscriber_register(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__gc", subscriber_close},
        {"__close", subscriber_close},
        {"__tostring", subscriber_tostring},
        {"__len", subscriber_len},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"next", subscriber_next},
        {"try", subscriber_try},
        {"lost", subscriber_lost},
        {"close", subscriber_close},
        {NULL, NULL},
    };
    bind_handle_type(L, BIND_SUBSCRIBER, metamethods, methods);
    bind_notice_methods(L, BIND_SUBSCRIBER);
}
