/*
 * Popping where one thread alone does: what is in front is made a value where it lies,
 * and passed then. So a long string is copied once, from shared memory to Lua's.
 *
 * A finalizer may run when memory is had for the value, and pop the same message: then it
 * has it, and this call takes the next one. It may close the handle, which is an error.
 */
#include "ds/first.h"
#include "bind/bind.h"

#include <endian.h>
#include <string.h>

#define LONGEST_INTERNED 40 /* bytes of a string; see region.c */
#define WORD 8              /* bytes that are copied without a call */

/* How many bytes come before those of a string that is all of the message, and is so long
 * that nothing but its bytes is looked at; 0 if there is none, or if it is not written in
 * the shortest way, as all here are. */
static inline size_t head_of_string(const ds_first *first)
{
    const uint8_t *bytes = first->bytes;
    size_t size = first->size;
    uint16_t two;
    uint32_t four;
    if (size <= LONGEST_INTERNED + 5)
        return 0;
    if (size <= UINT8_MAX + 2)
        return (bytes[0] == 0xd9 || bytes[0] == 0xc4) && bytes[1] == size - 2 ? 2 : 0;
    if (size <= UINT16_MAX + 3) {
        memcpy(&two, bytes + 1, sizeof two);
        return (bytes[0] == 0xda || bytes[0] == 0xc5) && be16toh(two) == size - 3 ? 3 : 0;
    }
    memcpy(&four, bytes + 1, sizeof four);
    return (bytes[0] == 0xdb || bytes[0] == 0xc6) && be32toh(four) == size - 5 ? 5 : 0;
}

/* Who writes over the bytes meanwhile, as nobody should, makes it another string, and
 * nothing worse. False where a finalizer took the message, or the mark of a fault. */
static inline __attribute__((always_inline)) bool
pop_string(lua_State *L, bind_queue *self, const ds_first *first, size_t head)
{
    const mem_mapping *mapping = self->sync.handle.mapping;
    uint32_t times = mapping->fault.times;
    lua_pushlstring(L, (const char *)first->bytes + head, first->size - head);
    if (self->sync.handle.mapping != mapping)
        luaL_error(L, "a finalizer closed the queue");
    bind_sync_check(L, &self->sync);
    if (mapping->fault.times == times && ds_queue_pass(&self->queue, first))
        return true;
    lua_pop(L, 1);
    return false;
}

/* Anything else is copied before it is looked at: to bytes that there is room for. */
static bool copy_out(lua_State *L, bind_queue *self, const ds_first *first,
                     uint8_t *bytes)
{
    if (first->size - 1 < WORD)
        memcpy(bytes, first->bytes, WORD); /* a record is of whole words */
    else
        memcpy(bytes, first->bytes, first->size);
    bind_sync_check(L, &self->sync);
    return ds_queue_pass(&self->queue, first);
}

/* One for which the stack has no room; 1 when it was popped, or an error. */
LSHM_RARE static int pop_long(lua_State *L, bind_queue *self, int handle,
                              const ds_first *first)
{
    int top = lua_gettop(L);
    ds_buffer out = bind_queue_buffer(L, self, handle, first->size);
    if (!copy_out(L, self, first, out.bytes)) {
        lua_settop(L, top);
        return 0;
    }
    ds_message message = {out.bytes, first->size, first->raw};
    int error = bind_queue_message(L, &message);
    bind_queue_keep(L, self, handle, top + 1, &out);
    return error ? error : 1;
}

static int pop_short(lua_State *L, bind_queue *self, const ds_first *first)
{
    uint8_t bytes[BIND_QUEUE_SHORT];
    if (!copy_out(L, self, first, bytes))
        return 0;
    ds_message message = {bytes, first->size, first->raw};
    int error = bind_queue_message(L, &message);
    return error ? error : 1;
}

/* Makes it a value and passes it: 1, or 0 where it was popped meanwhile, or an error. */
static inline __attribute__((always_inline)) int
pop_shown(lua_State *L, bind_queue *self, int handle, const ds_first *first)
{
    bool interned = first->size <= LONGEST_INTERNED;
    size_t head = first->raw || interned ? 0 : head_of_string(first);
    if (head || (first->raw && !interned))
        return pop_string(L, self, first, head);
    return first->size <= BIND_QUEUE_SHORT ? pop_short(L, self, first)
                                           : pop_long(L, self, handle, first);
}

/* After the first attempt, which came to 0 where there was nothing, or to an error. */
static __attribute__((noinline)) int pop_again(lua_State *L, bind_queue *self, int handle,
                                               lua_Number seconds, int popped)
{
    int64_t deadline = bind_queue_try(seconds);
    pid_t holder = 0;
    while (popped == 0) {
        ds_first first;
        int error = ds_queue_first(&self->queue, deadline, &first, &holder);
        if (bind_queue_may_wait(error, seconds, &deadline))
            continue;
        bind_sync_check(L, &self->sync);
        popped = error ? error : pop_shown(L, self, handle, &first);
    }
    return popped < 0 ? bind_queue_empty(L, self, popped, "queue.pop", holder) : 1;
}

/* As queue:pop, of a queue of one producer and one consumer. */
int bind_queue_pop_first(lua_State *L, bind_queue *self, int handle, lua_Number seconds)
{
    ds_first first;
    int popped = 0;
    if (ds_queue_first_at_once(&self->queue, &first)) {
        bind_sync_check(L, &self->sync);
        popped = pop_shown(L, self, handle, &first);
    }
    return popped == 1 ? 1 : pop_again(L, self, handle, seconds, popped);
}
