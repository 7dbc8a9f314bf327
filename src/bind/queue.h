/*
 * Queues, as Lua sees them. Part of bind.h.
 */
#ifndef LSHM_BIND_QUEUE_H
#define LSHM_BIND_QUEUE_H

#include "bind/bind.h"

#pragma GCC visibility push(hidden)

/* queue.c: messages; message.c and loan.c */
#define BIND_QUEUE "shm.queue"

typedef struct bind_queue {
    bind_sync sync; /* the eventcount of who waits for messages */
    ds_queue queue;
    uint8_t *spare; /* memory for long messages, in the user value */
    size_t spare_size;
} bind_queue;

void bind_queue_options(lua_State *L, int arg, ds_queue_options *options);
int bind_queue_attach(lua_State *L, mem_mapping *mapping, void *at, size_t room);
bind_queue *bind_queue_self(lua_State *L);
int bind_queue_refused(lua_State *L, const bind_queue *self, int error, const char *what,
                       const char *side, pid_t holder);
int bind_queue_empty(lua_State *L, const bind_queue *self, int error, const char *what,
                     pid_t holder);
void bind_message_register(lua_State *L);
void bind_loan_register(lua_State *L);
void bind_queue_add(lua_State *L);

#pragma GCC visibility pop

#endif
