/*
 * shm.queue: messages between processes, first in, first out. Here is how one is made,
 * found and let go of; message.c and loan.c have what it is for.
 *
 * A handle begins with the eventcount of those who wait for messages, for wait_any and
 * event loops.
 */
#include "bind/bind.h"

#include <errno.h>
#include <string.h>

#define CAPACITY 65536

bind_queue *bind_queue_self(lua_State *L)
{
    bind_queue *self = bind_handle_self(L);
    if (!self || !self->sync.handle.mapping)
        bind_sync_bad(L, (const bind_sync *)self);
    return self;
}

/* What the kernel's words for an error leave out. */
static const char *more_of(lua_State *L, const bind_queue *self, int error)
{
    if (error == -EPIPE)
        return ": it was shut down";
    if (error == -EMSGSIZE)
        return lua_pushfstring(L, ": longer than its capacity, %d bytes",
                               (int)self->queue.capacity);
    if (error == -EUSERS)
        return lua_pushfstring(L, ": %d loans and views are open", DS_QUEUE_SLOTS);
    return "";
}

/* What the world said no to: nil, message, errno. The side is of who is in the way. */
int bind_queue_refused(lua_State *L, const bind_queue *self, int error, const char *what,
                       const char *side, pid_t holder)
{
    const char *known = bind_sync_known(L, &self->sync, self->queue.at);
    if (error == -EFAULT)
        return bind_sync_gone(L);
    if (error != -EBUSY)
        return bind_fail(L, error, "%s %s%s", what, known, more_of(L, self, error));
    return self->queue.spsc ? bind_fail(L, error, "%s %s: %d is its %s", what, known,
                                        (int)holder, side)
                            : bind_fail(L, error, "%s %s: its guard is held by %d", what,
                                        known, (int)holder);
}

/* The same for who wanted a message: where there was none, event loops are to be told. */
int bind_queue_empty(lua_State *L, const bind_queue *self, int error, const char *what,
                     pid_t holder)
{
    if (self->sync.notice && (error == -ETIMEDOUT || error == -EAGAIN))
        sync_notice_ask(self->sync.notice, 0);
    return bind_queue_refused(L, self, error, what, "consumer", holder);
}

/* The table of options at that place of the stack, or what stands for none. */
void bind_queue_options(lua_State *L, int arg, ds_queue_options *options)
{
    static const char *const known[] = {"capacity", "overflow", "mode", NULL};
    static const char *const overflows[] = {"block", "reject", NULL};
    static const char *const modes[] = {"mpmc", "spsc", NULL};
    lua_Integer capacity = CAPACITY;
    int overflow = 0, mode = 0;
    if (bind_fields(L, arg, "options", true, known)) {
        bind_field_integer(L, arg, "capacity", DS_QUEUE_LEAST, DS_QUEUE_MOST, &capacity);
        bind_field_option(L, arg, "overflow", overflows, &overflow);
        bind_field_option(L, arg, "mode", modes, &mode);
    }
    *options = (ds_queue_options){(uint32_t)capacity, overflow == 1, mode == 1};
}

/* Pushes a closed handle. */
static bind_queue *push(lua_State *L)
{
    bind_queue *self = lua_newuserdatauv(L, sizeof *self, 1);
    memset(self, 0, sizeof *self);
    luaL_setmetatable(L, BIND_QUEUE);
    return self;
}

/* Opens it, once the queue is there. */
static void watch(bind_queue *self, mem_mapping *mapping)
{
    sync_handle_watch(&self->sync.handle, mapping, &self->queue.at->items, ds_queue_ready,
                      &self->queue);
    self->sync.handle.fences = self->queue.items.fences;
}

/* Pushes a handle of the queue that lies there, which is closed after an error. */
int bind_queue_attach(lua_State *L, mem_mapping *mapping, void *at, size_t room)
{
    bind_queue *self = push(L);
    int error = ds_queue_attach(&self->queue, mapping, at, room,
                                os_clock_deadline(BIND_PLACE_PATIENCE));
    if (!error)
        watch(self, mapping);
    return error;
}

/* Makes or finds it: EEXIST is an answer where either will do. */
static int obtain(lua_State *L, bool create, bool attach, const char *verb)
{
    ds_queue_options options = {DS_QUEUE_LEAST, false, false};
    bind_arity(L, create ? 3 : 2);
    bind_place_given(L);
    if (create)
        bind_queue_options(L, 3, &options);
    bind_queue *self = push(L);
    int64_t deadline = os_clock_deadline(BIND_PLACE_PATIENCE);
    bind_place where = bind_place_of(
        L, create ? ds_queue_size(&options) : sizeof(ds_queue_layout), DS_LINE);
    mem_mapping *mapping = where.region->mapping;
    int error = create
                    ? ds_queue_create(&self->queue, mapping, where.at, &options, deadline)
                    : -EEXIST;
    bool made = !error;
    if (error == -EEXIST && attach)
        error = ds_queue_attach(&self->queue, mapping, where.at, where.room, deadline);
    if (!error) {
        watch(self, mapping);
        ds_object_share(&where.region->object, &self->sync.object);
    }
    bind_region_check(L, where.region);
    if (error)
        return bind_place_refused(L, "queue", verb, error);
    if (create && attach) {
        lua_pushboolean(L, made);
        return 2;
    }
    return 1;
}

/***
Makes a queue in a region, where there must be none. Its options are `capacity`, the bytes
of the longest message as it is encoded (a string takes up to 5 more), from 64 to 1 GiB,
and 65536 if absent: messages that are shorter share the next power of two that is larger
by 8 or more, and each takes 8 bytes besides, rounded up to a multiple of 8; `overflow`,
`"block"` or `"reject"`: whether pushing waits for room; and `mode`, `"mpmc"` or `"spsc"`:
any may push and pop, or one thread may and another one, which costs less.
@function shm.queue.create
@tparam shm.region region where it lies
@int offset where in the region, in bytes from 0, a multiple of 64
@tparam[opt] table options capacity, overflow, mode
@treturn shm.queue the queue
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EEXIST (there is one), ENOTEMPTY (there is something else), ETIMEDOUT
(somebody is making it, and was stopped)
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int queue_create(lua_State *L)
{
    return obtain(L, true, false, "create");
}

/***
Finds the queue that another process or handle made.
@function shm.queue.attach
@tparam shm.region region where it lies
@int offset where in the region, in bytes from 0, a multiple of 64
@treturn shm.queue the queue
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOENT (there is none), EPROTO (another version's), EXDEV (another pid
namespace's), ETIMEDOUT (somebody is making it, and was stopped)
@raise when offset is misaligned or reaches outside, or the region is read-only
*/
static int queue_attach(lua_State *L)
{
    return obtain(L, false, true, "attach");
}

/***
Finds the queue or else makes it, with the arguments of create, which count only then.
@function shm.queue.open
@tparam shm.region region where it lies
@int offset where in the region, in bytes from 0, a multiple of 64
@tparam[opt] table options as for create
@treturn shm.queue the queue
@treturn boolean whether it was made
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ENOTEMPTY (there is something else, or another version's), EXDEV, ETIMEDOUT
*/
static int queue_open(lua_State *L)
{
    return obtain(L, true, true, "open");
}

/***
How many bytes a queue takes.
@function shm.queue.size
@tparam[opt] table options as for create
@treturn int bytes
*/
static int queue_size(lua_State *L)
{
    ds_queue_options options;
    bind_arity(L, 1);
    bind_queue_options(L, 1, &options);
    lua_pushinteger(L, (lua_Integer)ds_queue_size(&options));
    return 1;
}

/***
Lets go of the queue, which stays where it is; and of the role of its producer or
consumer. Closing twice is harmless.
@function shm.queue:close
@treturn boolean true
*/
static int queue_close(lua_State *L)
{
    bind_queue *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, BIND_QUEUE " expected");
    else if (self->sync.handle.mapping) {
        if (self->sync.notice)
            sync_notice_close(self->sync.notice);
        self->sync.notice = NULL;
        ds_queue_close(&self->queue);
        bind_sync_let_go(&self->sync);
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int queue_length(lua_State *L)
{
    const bind_queue *self = bind_queue_self(L);
    uint32_t length = ds_queue_length(&self->queue);
    bind_sync_check(L, &self->sync);
    lua_pushinteger(L, length);
    return 1;
}

static int queue_tostring(lua_State *L)
{
    const bind_queue *self = bind_handle_self(L);
    if (!self)
        bind_handle_bad(L, 1, BIND_QUEUE " expected");
    bind_sync_print(L, &self->sync, BIND_QUEUE, self->queue.at);
    return 1;
}

void bind_queue_add(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__gc", queue_close},
        {"__close", queue_close},
        {"__tostring", queue_tostring},
        {"__len", queue_length},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {{"close", queue_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"create", queue_create},
        {"attach", queue_attach},
        {"open", queue_open},
        {"size", queue_size},
        {NULL, NULL},
    };
    bind_handle_type(L, BIND_QUEUE, metamethods, methods);
    bind_message_register(L);
    bind_many_register(L);
    bind_loan_register(L);
    bind_notice_methods(L, BIND_QUEUE);
    luaL_newlib(L, functions);
    lua_setfield(L, -2, "queue");
}
