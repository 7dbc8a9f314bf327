/*
 * shm.subscriber: who listens to a topic.
 *
 * It begins with an eventcount's handle, so that it can be waited for beside others. What
 * it gets is copied into a buffer of its own first, as what lies in the topic may be
 * overwritten meanwhile, and becomes a value then. The buffer is its user value. While a
 * table is made of it, finalizers may run that use or close the very subscriber: so it is
 * kept on the stack and marked busy, and whoever finds that takes another.
 */
#include "bind/bind.h"

#include <errno.h>

#define TYPE "shm.subscriber"
#define ROOM 256 /* bytes at first */

typedef struct bind_subscriber {
    bind_sync sync;
    ds_subscriber subscriber;
    ds_buffer buffer; /* its bytes are user value 1 */
    bool busy;
} bind_subscriber;

static void release(lua_State *L, bind_subscriber *self)
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
    bind_sync_let_go(&self->sync);
    self->buffer = (ds_buffer){0};
    lua_pushnil(L);
    lua_setiuservalue(L, 1, 1);
}

/* Another buffer for the subscriber at the index, of so many bytes at least. */
static void renew(lua_State *L, int index, bind_subscriber *self, size_t least)
{
    size_t room = self->buffer.room ? self->buffer.room : ROOM;
    while (room < least)
        room *= 2;
    uint8_t *bytes = lua_newuserdatauv(L, room, 0);
    lua_setiuservalue(L, index, 1);
    self->buffer.bytes = bytes;
    self->buffer.room = room;
    self->busy = false;
}

/* Pushes a subscriber, or why there is none. */
int bind_subscriber_push(lua_State *L, const ds_topic *topic, bool oldest)
{
    const bind_sync *owner = lua_touserdata(L, 1);
    bind_subscriber *self = lua_newuserdatauv(L, sizeof *self, 1);
    *self = (bind_subscriber){.sync.notice = NULL};
    luaL_setmetatable(L, TYPE);
    renew(L, lua_gettop(L), self, ROOM);
    if (!owner->handle.mapping) /* a finalizer has closed it */
        bind_sync_bad(L, owner);
    pid_t holder = 0;
    int error = ds_subscriber_open(&self->subscriber, topic, oldest, &holder);
    if (!error)
        sync_handle_watch(&self->sync.handle, topic->mapping, &topic->head->news,
                          ds_subscriber_ready, self->subscriber.slot);
    if (mem_fault_seen() && mem_fault_end(topic->mapping))
        return luaL_error(L, "memory behind this object is gone, or protected");
    if (error)
        return bind_topic_fail(L, owner, topic, error, "topic.subscribe", holder);
    ds_object_share(&owner->object, &self->sync.object);
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

static int fail(lua_State *L, const bind_subscriber *self, int error, const char *what,
                pid_t holder)
{
    if (error == -ETIMEDOUT && self->sync.notice)
        sync_notice_ask(self->sync.notice, 0);
    return bind_topic_fail(L, &self->sync, &self->subscriber.topic, error, what, holder);
}

/* Whether a table is to be made of it: of anything else, no byte is wanted any more when
 * code can run. */
static bool is_table(const ds_buffer *buffer)
{
    uint8_t first = buffer->bytes[0];
    return (first & 0xe0) == 0x80 || (first & 0xfc) == 0xdc;
}

static int decode(lua_State *L, bind_subscriber *self)
{
    if (self->buffer.size == 0 || !is_table(&self->buffer))
        return bind_value_decode(L, self->buffer.bytes, self->buffer.size);
    const uint8_t *bytes = self->buffer.bytes;
    lua_settop(L, 1);
    lua_getiuservalue(L, 1, 1);
    self->busy = true;
    int error = bind_value_decode(L, bytes, self->buffer.size);
    if (self->buffer.bytes == bytes)
        self->busy = false;
    return error;
}

/* What is rare: there is none yet, the buffer is too small, or lent; or who publishes was
 * in the way. */
static LSHM_RARE int next_slowly(lua_State *L, bind_subscriber *self, lua_Number seconds,
                                 int error, pid_t *holder)
{
    int64_t deadline = seconds < 0    ? OS_CLOCK_FOREVER
                       : seconds == 0 ? DS_NOW
                                      : os_clock_deadline(seconds);
    bool again = error == -EBUSY && seconds != 0;
    for (; error == -EAGAIN || error == -ENOBUFS || again; again = false) {
        if (error == -EAGAIN && deadline == DS_NOW)
            return -ETIMEDOUT;
        if (error == -ENOBUFS)
            renew(L, 1, self, self->buffer.size);
        if (!self->sync.handle.mapping) /* a finalizer has closed it */
            bind_sync_bad(L, &self->sync);
        error = ds_subscriber_next(&self->subscriber, &self->sync.handle, deadline,
                                   &self->buffer, holder);
    }
    return error;
}

/* The next message, for which it waits so many seconds, or for ever if less than 0. */
static int next(lua_State *L, bind_subscriber *self, lua_Number seconds, const char *what)
{
    pid_t holder = 0;
    int64_t deadline = seconds == 0 ? DS_NOW : DS_FIRST;
    int error = self->busy ? -ENOBUFS
                           : ds_subscriber_try(&self->subscriber, deadline, &self->buffer,
                                               &holder);
    if (__builtin_expect(error != 0, 0))
        error = next_slowly(L, self, seconds, error, &holder);
    bind_sync_check(L, &self->sync);
    if (!error)
        error = decode(L, self);
    return error ? fail(L, self, error, what, holder) : 1;
}

/***
The next message that it has not got yet: waits until there is one.
@function shm.subscriber:next
@number[opt] timeout in seconds, absent for ever
@return the message
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal; EBUSY (who publishes is faster, and was
stopped in the middle, for as long as the time-out is, or a second); where others
scribble, EBADMSG (what lies there is no message; it goes on with the next one) and EIDRM
(its place is not its own any more)
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
@function shm.subscriber:try
*/
static int subscriber_try(lua_State *L)
{
    return next(L, self_of(L, 1), 0, "subscriber.try");
}

/***
How many messages it has missed since it subscribed, as they were overwritten before it
got them.
@function shm.subscriber:lost
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
@function shm.subscriber:close
@treturn boolean true
*/
static int subscriber_close(lua_State *L)
{
    bind_subscriber *self = bind_handle_self(L);
    if (!self)
        bind_sync_bad(L, NULL);
    else
        release(L, self);
    lua_pushboolean(L, 1);
    return 1;
}

static int subscriber_tostring(lua_State *L)
{
    const bind_subscriber *self = bind_handle_self(L);
    if (!self)
        bind_sync_bad(L, NULL);
    bind_sync_print(L, &self->sync, TYPE, self->subscriber.topic.head);
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
    bind_handle_type(L, TYPE, metamethods, methods);
    bind_notice_methods(L, TYPE);
}
