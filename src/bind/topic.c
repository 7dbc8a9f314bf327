/*
 * shm.topic: messages in a region for all who listen.
 *
 * A handle has a share of the region's mapping, and of an arena's bytes that the region
 * shows; its subscribers have their own.
 */
#include "bind/bind.h"

#include <errno.h>

#define TYPE "shm.topic"
#define CAPACITY 65536
#define SUBSCRIBERS 64

typedef struct bind_topic {
    bind_sync sync; /* of the publishers' eventcount, which only they wait for */
    ds_topic topic;
} bind_topic;

static const char *const FIELDS[] = {"capacity", "overflow", "subscribers", NULL};
static const char *const OVERFLOWS[] = {"block", "drop", NULL};

static bind_topic *self_of(lua_State *L, int arguments)
{
    bind_topic *self = (bind_topic *)bind_sync_self(L);
    bind_arity(L, arguments);
    return self;
}

/* The options of create, absent or a table. */
void bind_topic_options(lua_State *L, int arg, ds_topic_options *options)
{
    lua_Integer capacity = CAPACITY, subscribers = SUBSCRIBERS;
    int overflow = 0;
    if (bind_fields(L, arg, "options", true, FIELDS)) {
        bind_field_integer(L, arg, "capacity", DS_TOPIC_LEAST, DS_TOPIC_MOST, &capacity);
        bind_field_integer(L, arg, "subscribers", 1, DS_TOPIC_SUBSCRIBERS, &subscribers);
        bind_field_option(L, arg, "overflow", OVERFLOWS, &overflow);
    }
    *options = (ds_topic_options){
        .capacity = (uint64_t)capacity,
        .subscribers = (uint32_t)subscribers,
        .drop = overflow == 1,
    };
}

/* Pushes a closed handle. */
static bind_topic *push(lua_State *L)
{
    bind_topic *self = lua_newuserdatauv(L, sizeof *self, 0);
    *self = (bind_topic){.sync.notice = NULL};
    luaL_setmetatable(L, TYPE);
    return self;
}

static void open_handle(bind_topic *self)
{
    sync_handle_watch(&self->sync.handle, self->topic.mapping, &self->topic.head->room,
                      NULL, NULL);
}

/* Pushes a handle of the topic that lies there; it stays closed where that is refused. */
int bind_topic_attach(lua_State *L, mem_mapping *mapping, void *at, size_t room)
{
    bind_topic *self = push(L);
    int64_t deadline = os_clock_deadline(BIND_PLACE_PATIENCE);
    int error = ds_topic_attach(&self->topic, mapping, at, room, deadline);
    if (!error)
        open_handle(self);
    return error;
}

/* The handle is a topic's or a subscriber's. */
int bind_topic_fail(lua_State *L, const bind_sync *self, const ds_topic *topic, int error,
                    const char *what, pid_t holder)
{
    const char *known = bind_sync_known(L, self, topic->head);
    if (error == -EFAULT)
        return bind_sync_gone(L);
    if (error == -EBUSY)
        return bind_fail(L, error, "%s %s: its guard is held by %d", what, known,
                         (int)holder);
    if (error == -EMSGSIZE)
        return bind_fail(L, error, "%s %s: longer than its capacity, %d bytes", what,
                         known, (int)topic->most);
    if (error == -EUSERS)
        return bind_fail(L, error, "%s %s: %d subscribe, as many as can", what, known,
                         (int)topic->slots);
    return bind_fail(L, error, "%s %s", what, known);
}

/* Makes or finds it: EEXIST is an answer where either will do. */
static int obtain(lua_State *L, bool create, bool attach, const char *verb)
{
    ds_topic_options options;
    bind_arity(L, create ? 3 : 2);
    bind_place_given(L);
    if (create)
        bind_topic_options(L, 3, &options);
    bind_topic *self = push(L);
    int64_t deadline = os_clock_deadline(BIND_PLACE_PATIENCE);
    size_t least = create ? ds_topic_size(&options) : sizeof(ds_topic_head);
    bind_place where = bind_place_of(L, least, DS_LINE);
    mem_mapping *mapping = where.region->mapping;
    int error = create
                    ? ds_topic_create(&self->topic, mapping, where.at, &options, deadline)
                    : -EEXIST;
    bool made = !error;
    if (error == -EEXIST && attach)
        error = ds_topic_attach(&self->topic, mapping, where.at, where.room, deadline);
    bind_region_check(L, where.region);
    if (error)
        return bind_place_refused(L, "topic", verb, error);
    open_handle(self);
    ds_object_share(&where.region->object, &self->sync.object);
    if (create && attach) {
        lua_pushboolean(L, made);
        return 2;
    }
    return 1;
}

/***
Makes a topic in a region. Options: `capacity`, how many bytes of messages, encoded, are
there at least, and one can have at most: 64 to 1073741824, 65536 if absent; `overflow`,
"block" if absent: who publishes waits for the slowest living subscriber; or "drop": the
oldest messages go; `subscribers`, how many there can be at once: 1 to 4096, 64 if absent.
@function shm.topic.create
@tparam shm.region region where it lies
@int offset where in the region, in bytes from 0, a multiple of 64
@tparam[opt] table options
@treturn shm.topic the topic
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EEXIST (there is one), ENOTEMPTY (there is something else, or another
version's), ETIMEDOUT (somebody is making it, and was stopped)
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int topic_create(lua_State *L)
{
    return obtain(L, true, false, "create");
}

/***
Finds the topic that another process or handle made.
@function shm.topic.attach
@tparam shm.region region where it lies
@int offset where in the region
@treturn shm.topic the topic
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT (there is none), EPROTO (another version's), EXDEV (another pid
namespace's), ETIMEDOUT (somebody is making it, and was stopped)
*/
static int topic_attach(lua_State *L)
{
    return obtain(L, false, true, "attach");
}

/***
Finds the topic or else makes it, with the options of create, which count only then.
@function shm.topic.open
@tparam shm.region region where it lies
@int offset where in the region, in bytes from 0, a multiple of 64
@tparam[opt] table options as for create
@treturn shm.topic the topic
@treturn boolean whether it was made
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOTEMPTY (there is something else, or another version's), EXDEV (another
pid namespace's), ETIMEDOUT (somebody is making it, and was stopped)
@raise as create
*/
static int topic_open(lua_State *L)
{
    return obtain(L, true, true, "open");
}

/***
How many bytes a topic takes.
@function shm.topic.size
@tparam[opt] table options as for create
@treturn int bytes
*/
static int topic_size(lua_State *L)
{
    ds_topic_options options;
    bind_arity(L, 1);
    bind_topic_options(L, 1, &options);
    lua_pushinteger(L, (lua_Integer)ds_topic_size(&options));
    return 1;
}

/***
Publishes a message: all who have subscribed get it, in the order of publication. Where
the overflow is "block" that waits until the slowest subscriber has made room.
@function shm.topic:publish
@param value the message: nil, boolean, number, string or table of these, as MessagePack
@number[opt] timeout in seconds, absent for ever
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal, EMSGSIZE (longer than the capacity), EDEADLK
(the slowest subscriber is this very thread's), EBUSY (another process was stopped in the
middle of publishing, for as long as the time-out is, or a second)
@see futex(2)
*/
static int topic_publish(lua_State *L)
{
    bind_topic *self = self_of(L, 3);
    lua_Number seconds =
        lua_isnoneornil(L, 3) ? -1 : bind_seconds(L, 3, "timeout"); /* before it works */
    ds_bytes bytes;
    pid_t holder = 0;
    int error = bind_value_encode(L, 2, "value", self->topic.most, &bytes);
    if (!self->sync.handle.mapping) /* a finalizer has closed it */
        bind_sync_bad(L, &self->sync);
    if (!error)
        error =
            ds_topic_try(&self->topic, &bytes, seconds == 0 ? DS_NOW : DS_FIRST, &holder);
    if (error == -EAGAIN || (error == -EBUSY && seconds != 0))
        error = ds_topic_publish(
            &self->topic, &bytes,
            seconds < 0 ? OS_CLOCK_FOREVER : os_clock_deadline(seconds), &holder);
    bind_sync_check(L, &self->sync);
    if (error)
        return bind_topic_fail(L, &self->sync, &self->topic, error, "topic.publish",
                               holder);
    lua_pushboolean(L, 1);
    return 1;
}

/***
Subscribes: gets every message from here on. It is this thread's: a child made by fork
subscribes anew. Options: `from`, "newest" if absent: what is published next; or "oldest":
what is there already, too.
@function shm.topic:subscribe
@tparam[opt] table options
@treturn shm.subscriber the subscriber
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EUSERS (as many as the topic can have are there, and live), EBUSY
*/
static int topic_subscribe(lua_State *L)
{
    static const char *const fields[] = {"from", NULL};
    static const char *const words[] = {"newest", "oldest", NULL};
    const bind_topic *self = self_of(L, 2);
    int from = 0;
    if (bind_fields(L, 2, "options", true, fields))
        bind_field_option(L, 2, "from", words, &from);
    return bind_subscriber_push(L, &self->topic, from == 1);
}

/***
Who has subscribed, and lives.
@function shm.topic:subscribers
@treturn int how many there are
@treturn table their pids, in no order; of the first 64 at most
*/
static int topic_subscribers(lua_State *L)
{
    const bind_topic *self = self_of(L, 1);
    uint64_t who[SUBSCRIBERS];
    uint32_t n = ds_topic_subscribers(&self->topic, who, SUBSCRIBERS);
    bind_sync_check(L, &self->sync);
    lua_pushinteger(L, n);
    n = n < SUBSCRIBERS ? n : SUBSCRIBERS;
    lua_createtable(L, (int)n, 0);
    for (uint32_t i = 0; i < n; i++) {
        lua_pushinteger(L, os_thread_process(who[i]));
        lua_rawseti(L, -2, i + 1);
    }
    return 2;
}

/***
How far the slowest subscriber is behind, for who would rather wait before it publishes
than while it does.
@function shm.topic:behind
@int[opt] spare bytes: of those who are further behind the dead are let go, and do not count;
absent lets nobody go
@treturn int bytes that the slowest has not read: of each message as many as it has, in
sixteens, and 16; 0 with none
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBUSY
*/
static int topic_behind(lua_State *L)
{
    const bind_topic *self = self_of(L, 2);
    uint64_t spare =
        (uint64_t)bind_opt_range(L, 2, "spare", LUA_MAXINTEGER, 0, LUA_MAXINTEGER);
    uint64_t behind = 0;
    pid_t holder = 0;
    int error = ds_topic_behind(&self->topic, spare, &behind, &holder);
    bind_sync_check(L, &self->sync);
    if (error)
        return bind_topic_fail(L, &self->sync, &self->topic, error, "topic.behind",
                               holder);
    lua_pushinteger(L, (lua_Integer)behind);
    return 1;
}

static int topic_len(lua_State *L)
{
    const bind_topic *self = (bind_topic *)bind_sync_self(L);
    uint64_t count = ds_topic_count(&self->topic);
    bind_sync_check(L, &self->sync);
    lua_pushinteger(L, (lua_Integer)count);
    return 1;
}

/***
Lets go of the topic, which stays in the region, as do its subscribers. Closing twice is
harmless.
@function shm.topic:close
@treturn boolean true
*/
static int topic_close(lua_State *L)
{
    bind_topic *self = bind_handle_self(L);
    if (!self)
        bind_sync_bad(L, NULL);
    else
        bind_sync_let_go(&self->sync);
    lua_pushboolean(L, 1);
    return 1;
}

/***
Removes the topic from the region, for good: who has it must not use it any more, and
another one can be made there. The handle is closed.
@function shm.topic:remove
@treturn boolean true
*/
static int topic_remove(lua_State *L)
{
    bind_topic *self = self_of(L, 1);
    if (bind_sync_name(&self->sync))
        bind_handle_bad(L, 1, "it has a name: see drop of its arena");
    mem_stamp_erase(&self->topic.head->stamp);
    bind_sync_check(L, &self->sync);
    bind_sync_let_go(&self->sync);
    lua_pushboolean(L, 1);
    return 1;
}

static int topic_tostring(lua_State *L)
{
    const bind_topic *self = bind_handle_self(L);
    if (!self)
        bind_sync_bad(L, NULL);
    bind_sync_print(L, &self->sync, TYPE, self->topic.head);
    return 1;
}

void bind_topic_add(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__gc", topic_close},
        {"__close", topic_close},
        {"__tostring", topic_tostring},
        {"__len", topic_len},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"publish", topic_publish},
        {"subscribe", topic_subscribe},
        {"subscribers", topic_subscribers},
        {"close", topic_close},
        {"remove", topic_remove},
        {"behind", topic_behind},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"create", topic_create},
        {"attach", topic_attach},
        {"open", topic_open},
        {"size", topic_size},
        {NULL, NULL},
    };
    bind_handle_type(L, TYPE, metamethods, methods);
    bind_subscriber_register(L);
    luaL_newlib(L, functions);
    lua_setfield(L, -2, "topic");
}
