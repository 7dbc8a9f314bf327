/*
 * A queue's handle, for those of its rooms that lie in files of their own, message.c and
 * loan.c, and for whoever has queues by name.
 */
#ifndef LSHM_BIND_QUEUE_H
#define LSHM_BIND_QUEUE_H

#include <errno.h>
#include <math.h>

#define BIND_QUEUE "shm.queue"

typedef struct bind_queue {
    bind_sync sync; /* the eventcount of who waits for messages */
    ds_queue queue;
    uint8_t *spare; /* memory for long messages, in the user value */
    size_t spare_size;
} bind_queue;

#define BIND_QUEUE_SHORT 4096 /* bytes of messages that the stack has room for */

void bind_queue_options(lua_State *L, int arg, ds_queue_options *options);
int bind_queue_attach(lua_State *L, mem_mapping *mapping, void *at, size_t room);
bind_queue *bind_queue_self(lua_State *L);
int bind_queue_refused(lua_State *L, const bind_queue *self, int error, const char *what,
                       const char *side, pid_t holder);
int bind_queue_empty(lua_State *L, const bind_queue *self, int error, const char *what,
                     pid_t holder);
int bind_queue_message(lua_State *L, const ds_message *message);
int bind_queue_pop_many(lua_State *L, bind_queue *self, int handle, ds_buffer *out,
                        size_t most, int64_t deadline, size_t *popped, pid_t *holder);
ds_buffer bind_queue_buffer(lua_State *L, bind_queue *self, int handle, size_t least);
void bind_queue_keep(lua_State *L, bind_queue *self, int handle, int buffer,
                     const ds_buffer *out);
int bind_queue_pop_first(lua_State *L, bind_queue *self, int handle, lua_Number seconds);
void bind_many_register(lua_State *L);
void bind_message_register(lua_State *L);
void bind_loan_register(lua_State *L);
void bind_queue_add(lua_State *L);

/* The argument's seconds, which become a deadline where it has to be waited. */
static inline lua_Number bind_queue_seconds(lua_State *L, int arg)
{
    return lua_isnoneornil(L, arg) ? HUGE_VAL : bind_seconds(L, arg, "timeout");
}

/* The first attempt's deadline: the clock is looked at only for who has to wait, and not
 * for who waits for ever. */
static inline int64_t bind_queue_try(lua_Number seconds)
{
    if (seconds == HUGE_VAL)
        return OS_CLOCK_FOREVER;
    return seconds == 0 ? DS_NOW : DS_FIRST;
}

/* Whether to go on after the first attempt, and until when. */
static inline bool bind_queue_may_wait(int error, lua_Number seconds, int64_t *deadline)
{
    if (*deadline != DS_FIRST || (error != -ETIMEDOUT && error != -EBUSY))
        return false;
    *deadline = os_clock_deadline(seconds);
    return true;
}

#endif
