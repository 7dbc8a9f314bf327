/*
 * Messages by the list, into a shm.queue and out of it: one pass through its guard for as
 * many as there is room for, or are there.
 */
#include "bind/bind.h"

#include <errno.h>
#include <string.h>

#define LEAST 4096    /* bytes for the messages of a list, at first */
#define AHEAD 4194304 /* and as many as are taken on the word of the first ones */

/* A list's items as records, in memory at that index of the stack. Where it has to grow
 * for an item, a finalizer may run: then that is encoded again. */
static int encode_list(lua_State *L, const bind_queue *self, int list, lua_Integer n)
{
    size_t room = LEAST, size = 0;
    uint8_t *records = lua_newuserdatauv(L, room, 0);
    int at = lua_gettop(L);
    for (lua_Integer i = 1; i <= n;) {
        ds_bytes bytes;
        lua_rawgeti(L, list, i);
        lua_replace(L, 2);
        int error = bind_value_encode(L, 2, "list item", self->queue.capacity, &bytes);
        if (error)
            return error;
        size_t more = ds_queue_record_size(ds_bytes_size(&bytes));
        if (more <= room - size) {
            size += ds_queue_record(records + size, &bytes);
            i++;
            continue;
        }
        size_t all = more * (size_t)(n - i + 1); /* if they are all as this one */
        room = (room + more) * 2;
        if (all <= AHEAD && size + all > room)
            room = size + all;
        uint8_t *larger = lua_newuserdatauv(L, room, 0);
        memcpy(larger, records, size);
        lua_replace(L, at);
        records = larger;
    }
    return 0;
}

/***
Pushes a list of messages: all that fit at once, or 256 KiB of them, are there at once.
@function shm.queue:push_many
@tparam table list the messages, 1 to #list
@number[opt] timeout in seconds, absent for ever
@treturn int how many were pushed before the time was up, or another error ended it: the
first ones
@treturn[2] nil
@treturn[2] string message
@treturn[2] int as push; then none was pushed
@raise when a value can not be shared
*/
static int queue_push_many(lua_State *L)
{
    bind_queue *self = bind_queue_self(L);
    bind_arity(L, 3);
    if (lua_type(L, 2) != LUA_TTABLE)
        bind_misuse(L, 2, "list", "table expected, got %s", luaL_typename(L, 2));
    int64_t deadline = bind_deadline(L, 3);
    lua_Integer n = (lua_Integer)lua_rawlen(L, 2);
    lua_settop(L, 3);
    lua_pushvalue(L, 2);
    size_t pushed = 0;
    pid_t holder = 0;
    int error = encode_list(L, self, 4, n);
    if (!self->sync.handle.mapping)
        bind_handle_bad(L, 1, "a finalizer closed it");
    if (!error)
        error = ds_queue_push_many(&self->queue, lua_touserdata(L, 5), (size_t)n,
                                   deadline, &pushed, &holder);
    bind_sync_check(L, &self->sync);
    if (error && pushed == 0)
        return bind_queue_refused(L, self, error, "queue.push_many", "producer", holder);
    lua_pushinteger(L, (lua_Integer)pushed);
    return 1;
}

/* Appends to the list those that are messages. All have been taken, and no other call
 * gives what is not given here; so what is none keeps nothing else back. */
static int append(lua_State *L, int list, const uint8_t *bytes, size_t n, lua_Integer *i)
{
    int result = 0;
    for (; n > 0; n--) {
        ds_message message;
        bytes = ds_queue_message(bytes, &message);
        int error = bind_queue_message(L, &message);
        if (!error)
            lua_rawseti(L, list, ++*i);
        result = error ? error : result;
    }
    return result;
}

/***
Takes messages: waits for the first, and takes what is there then. What lies among them
and is no message is left out.
@function shm.queue:pop_many
@int most how many at most
@number[opt] timeout in seconds, absent for ever
@treturn table the messages
@treturn int how many they are, as some may be nil
@treturn[2] nil
@treturn[2] string message
@treturn[2] int as pop; EBADMSG when none of those that were there is a message
*/
static int queue_pop_many(lua_State *L)
{
    bind_queue *self = bind_queue_self(L);
    bind_arity(L, 3);
    lua_Integer most = bind_range(L, 2, "most", 1, LUA_MAXINTEGER), i = 0;
    int64_t deadline = bind_deadline(L, 3);
    lua_settop(L, 3);
    lua_newtable(L);
    int error = self->sync.handle.mapping ? 0 : -EPIPE;
    bool first = true;
    pid_t holder = 0;
    while (!error && i < most) {
        ds_buffer out = {NULL, 0, 0};
        size_t popped;
        error = bind_queue_pop_many(L, self, 1, &out, (size_t)(most - i),
                                    i ? DS_NOW : deadline, &popped, &holder);
        if (!error && first && (lua_Integer)popped < most) {
            lua_Integer there = ds_queue_length(&self->queue) + (lua_Integer)popped;
            most = there < most ? there : most; /* or who pushes keeps us for ever */
        }
        first = false;
        bind_sync_check(L, &self->sync);
        if (!error) {
            error = append(L, 4, out.bytes, popped, &i);
            bind_queue_keep(L, self, 1, 5, &out);
            if (!self->sync.handle.mapping)
                break;
        }
        lua_settop(L, 4);
    }
    if (i == 0)
        return bind_queue_empty(L, self, error, "queue.pop_many", holder);
    lua_settop(L, 4);
    lua_pushinteger(L, i);
    return 2;
}

void bind_many_register(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"push_many", queue_push_many},
        {"pop_many", queue_pop_many},
        {NULL, NULL},
    };
    bind_handle_methods(L, BIND_QUEUE, methods);
}
