/*
 * Messages into a shm.queue and out of it.
 *
 * Short messages are popped to the C stack; longer ones to memory that the
 * handle keeps as its user value, and that is the call's alone while a value is made of
 * it: a finalizer may pop from the same queue.
 */
#include "bind/bind.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define MANY 65536     /* of those that are popped together */
#define KEPT (1 << 20) /* more is given back after use */

/* After the first attempt, which came to this error. */
static __attribute__((noinline)) int push_again(lua_State *L, bind_queue *self,
                                                const ds_bytes *bytes, lua_Number seconds,
                                                int error, pid_t holder)
{
    int64_t deadline = bind_queue_try(seconds);
    while (bind_queue_may_wait(error, seconds, &deadline))
        error = ds_queue_push(&self->queue, bytes, deadline, &holder);
    bind_sync_check(L, &self->sync);
    if (error)
        return bind_queue_refused(L, self, error, "queue.push", "producer", holder);
    lua_pushboolean(L, 1);
    return 1;
}

static int push_value(lua_State *L, bind_queue *self, int arg, lua_Number seconds)
{
    ds_bytes bytes;
    pid_t holder = 0;
    int error = bind_value_encode(L, arg, "value", self->queue.capacity, &bytes);
    if (!error)
        error = ds_queue_push(&self->queue, &bytes, bind_queue_try(seconds), &holder);
    if (__builtin_expect(error != 0 || mem_fault_seen(), 0))
        return push_again(L, self, &bytes, seconds, error, holder);
    lua_pushboolean(L, 1);
    return 1;
}

/***
Pushes a message: nil, a boolean, number, string or a table of these. Waits while there is
no room, unless the queue was made to reject.
@function shm.queue:push
@param value the message
@number[opt] timeout in seconds, absent for ever
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal; ENOSPC (full, and made to reject); EMSGSIZE
(encoded it is longer than the capacity); EPIPE (it was shut down); EBUSY (another is its
producer; or it was stopped in the middle, and did not go on for as long as the time-out
is, or a second)
@raise when the value can not be shared
@see futex(2)
*/
static int queue_push(lua_State *L)
{
    int n = lua_gettop(L);
    bind_queue *self = bind_handle_exactly(L, n);
    if (!self || !self->sync.handle.mapping || n < 2 || n > 3) {
        lua_settop(L, n);
        self = bind_queue_self(L);
        bind_arity(L, 3);
    }
    return push_value(L, self, 2, n == 2 ? HUGE_VAL : bind_queue_seconds(L, 3));
}

/* Pushes the value of a message, or not. */
int bind_queue_message(lua_State *L, const ds_message *message)
{
    if (!message->raw)
        return bind_value_decode(L, message->bytes, message->size);
    lua_pushlstring(L, (const char *)message->bytes, message->size);
    return 0;
}

/* Memory for messages, on top of the stack and this call's: that which the handle keeps,
 * or more of it. What runs meanwhile may close the handle. */
ds_buffer bind_queue_buffer(lua_State *L, bind_queue *self, int handle, size_t least)
{
    ds_buffer out = {self->spare, self->spare_size, 0};
    if (out.room >= least) {
        self->spare_size = 0;
        lua_getiuservalue(L, handle, 1);
        return out;
    }
    out.room = least;
    out.bytes = lua_newuserdatauv(L, least, 0);
    if (!self->sync.handle.mapping)
        luaL_error(L, "a finalizer closed the queue");
    return out;
}

void bind_queue_keep(lua_State *L, bind_queue *self, int handle, int buffer,
                     const ds_buffer *out)
{
    if (out->room > KEPT || out->room < self->spare_size)
        return;
    lua_pushvalue(L, buffer);
    lua_setiuservalue(L, handle, 1);
    self->spare = out->bytes;
    self->spare_size = out->room;
}

/* Pops many, with their memory on top of the stack; or an error. */
int bind_queue_pop_many(lua_State *L, bind_queue *self, int handle, ds_buffer *out,
                        size_t most, int64_t deadline, size_t *popped, pid_t *holder)
{
    int error, top = lua_gettop(L);
    do {
        lua_settop(L, top);
        *out = bind_queue_buffer(L, self, handle, out->size > MANY ? out->size : MANY);
        error = ds_queue_pop_many(&self->queue, out, most, deadline, popped, holder);
    } while (error == -ENOBUFS);
    return error;
}

/* Pops one for which the stack has no room. */
LSHM_RARE static int pop_long(lua_State *L, bind_queue *self, int handle,
                              int64_t deadline, pid_t *holder)
{
    int error, top = lua_gettop(L);
    ds_buffer out = {NULL, 0, MANY};
    ds_message message;
    do {
        lua_settop(L, top);
        out = bind_queue_buffer(L, self, handle, out.size > MANY ? out.size : MANY);
        error = ds_queue_pop(&self->queue, &out, deadline, &message, holder);
    } while (error == -ENOBUFS);
    bind_sync_check(L, &self->sync);
    if (error)
        return error;
    error = bind_queue_message(L, &message);
    bind_queue_keep(L, self, handle, top + 1, &out);
    return error;
}

static int pop_guarded(lua_State *L, bind_queue *self, int handle, lua_Number seconds)
{
    int64_t deadline = bind_queue_try(seconds);
    uint8_t bytes[BIND_QUEUE_SHORT];
    ds_buffer out = {bytes, sizeof bytes, 0};
    ds_message message;
    pid_t holder = 0;
    int error;
    do
        error = ds_queue_pop(&self->queue, &out, deadline, &message, &holder);
    while (bind_queue_may_wait(error, seconds, &deadline));
    bind_sync_check(L, &self->sync);
    if (__builtin_expect(error == -ENOBUFS, 0)) {
        if (deadline == DS_FIRST) /* by then it may be another's */
            deadline = os_clock_deadline(seconds);
        error = pop_long(L, self, handle, deadline, &holder);
    } else if (!error)
        error = bind_queue_message(L, &message);
    return error ? bind_queue_empty(L, self, error, "queue.pop", holder) : 1;
}

static inline int pop_value(lua_State *L, bind_queue *self, int handle,
                            lua_Number seconds)
{
    return self->queue.spsc ? bind_queue_pop_first(L, self, handle, seconds)
                            : pop_guarded(L, self, handle, seconds);
}

/***
Takes the oldest message: waits until there is one. A message may be nil; then there is
nothing behind it.
@function shm.queue:pop
@number[opt] timeout in seconds, absent for ever
@return the message
@treturn[2] nil
@treturn[2] string message
@treturn[2] int ETIMEDOUT, EINTR after a signal; EPIPE (it is empty and was shut down);
EBADMSG (what lies there is no message); EBUSY (another is its consumer; or it was stopped
in the middle, and did not go on for as long as the time-out is, or a second)
@see futex(2)
*/
static int queue_pop(lua_State *L)
{
    int n = lua_gettop(L);
    bind_queue *self = bind_handle_exactly(L, n);
    if (!self || !self->sync.handle.mapping || n > 2) {
        lua_settop(L, n);
        self = bind_queue_self(L);
        bind_arity(L, 2);
    }
    return pop_value(L, self, 1, n == 1 ? HUGE_VAL : bind_queue_seconds(L, 2));
}

/***
The oldest message, which stays.
@function shm.queue:peek
@return the message
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EAGAIN (there is none), EPIPE (nor will there be), EBADMSG, EBUSY (who pops
was stopped in the middle)
*/
static int queue_peek(lua_State *L)
{
    bind_queue *self = bind_queue_self(L);
    bind_arity(L, 1);
    pid_t holder = 0;
    ds_buffer out = {NULL, 0, BIND_QUEUE_SHORT};
    ds_message message;
    int error;
    do {
        lua_settop(L, 1);
        out = bind_queue_buffer(L, self, 1, out.size);
        error = ds_queue_peek(&self->queue, &out, &message, &holder);
    } while (error == -ENOBUFS);
    bind_sync_check(L, &self->sync);
    if (!error) {
        error = bind_queue_message(L, &message);
        bind_queue_keep(L, self, 1, 2, &out);
    }
    return error ? bind_queue_empty(L, self, error, "queue.peek", holder) : 1;
}

/***
Ends it for all: pushing is refused from here on, and popping when nothing is left. Who
waits is woken.
@function shm.queue:shutdown
@treturn boolean true
@treturn[2] nil
@treturn[2] string message
@treturn[2] int EBUSY (who pushes was stopped in the middle, for a second)
*/
static int queue_shutdown(lua_State *L)
{
    bind_queue *self = bind_queue_self(L);
    bind_arity(L, 1);
    pid_t holder = 0;
    int error = ds_queue_shutdown(&self->queue, &holder);
    bind_sync_check(L, &self->sync);
    if (error)
        return bind_queue_refused(L, self, error, "queue.shutdown", "producer", holder);
    lua_pushboolean(L, 1);
    return 1;
}

/***
How many bytes of the queue its messages take, each with the 8 that it takes besides.
@function shm.queue:used
@treturn int bytes
*/
static int queue_used(lua_State *L)
{
    const bind_queue *self = bind_queue_self(L);
    bind_arity(L, 1);
    size_t used = ds_queue_used(&self->queue);
    bind_sync_check(L, &self->sync);
    lua_pushinteger(L, (lua_Integer)used);
    return 1;
}

/* The queue that a bound function is of, open. */
static bind_queue *bound(lua_State *L)
{
    bind_queue *self = lua_touserdata(L, lua_upvalueindex(1));
    if (!self->sync.handle.mapping)
        luaL_error(L, "the queue is closed");
    return self;
}

static int bound_push(lua_State *L)
{
    bind_queue *self = bound(L);
    int n = lua_gettop(L);
    if (n == 1)
        return push_value(L, self, 1, HUGE_VAL);
    bind_arity(L, 2);
    return push_value(L, self, 1, bind_queue_seconds(L, 2));
}

static int bound_pop(lua_State *L)
{
    bind_queue *self = bound(L);
    if (lua_gettop(L) == 0)
        return pop_value(L, self, lua_upvalueindex(1), HUGE_VAL);
    bind_arity(L, 1);
    return pop_value(L, self, lua_upvalueindex(1), bind_queue_seconds(L, 1));
}

/***
A function that does what push does, and costs less to call.
@function shm.queue:pusher
@treturn function push(value, timeout)
*/
static int queue_pusher(lua_State *L)
{
    bind_queue_self(L);
    bind_arity(L, 1);
    lua_pushcclosure(L, bound_push, 1);
    return 1;
}

/***
A function that does what pop does, and costs less to call.
@function shm.queue:popper
@treturn function pop(timeout)
*/
static int queue_popper(lua_State *L)
{
    bind_queue_self(L);
    bind_arity(L, 1);
    lua_pushcclosure(L, bound_pop, 1);
    return 1;
}

void bind_message_register(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"push", queue_push},         {"pop", queue_pop},
        {"peek", queue_peek},         {"used", queue_used},
        {"shutdown", queue_shutdown}, {"pusher", queue_pusher},
        {"popper", queue_popper},     {NULL, NULL},
    };
    bind_handle_methods(L, BIND_QUEUE, methods);
}
