/*
 * Floor 3: furniture, the structures that people come for.
 *
 * Each lies in shared memory behind a stamp, begins there on a cache line of its own, and
 * has a struct of this process's by which it is used. Functions return 0 or -errno;
 * -EBUSY when a guard stays taken, with its holder; -EBADMSG when what lies there makes
 * no sense, as only scribble does; -EFAULT when the memory is gone.
 *
 * Nothing in shared memory is trusted: an offset or a length is copied out once, checked
 * against the mapping, and then used.
 */
#ifndef LSHM_DS_H
#define LSHM_DS_H

#include "ds/few.h"
#include "mem/mem.h"
#include "os/os.h"
#include "sync/sync.h"

#include <errno.h>

#pragma GCC visibility push(hidden)

#define DS_VERSION 1
#define DS_LINE 64 /* bytes of a cache line, to which all furniture is aligned */

/* Deadlines of who does not wait, nor looks at the clock; after the second's -ETIMEDOUT,
 * -EAGAIN or -EBUSY the caller comes again, with a deadline. */
#define DS_NOW MEM_GUARD_NOW
#define DS_FIRST MEM_GUARD_FIRST

typedef enum ds_kind {
    DS_ARENA = 16,
    DS_QUEUE,
    DS_TOPIC,
    DS_MAP,
    DS_BYTES,
} ds_kind;

/* Bytes that go in: those of the head, and behind them those of the body; neither is
 * NULL, however few. The head may lie in the room that is here for it, and then this is
 * not to be copied. */
typedef struct ds_bytes {
    const void *head, *body;
    size_t head_size, body_size;
    uint8_t small[16];
} ds_bytes;

static inline size_t ds_bytes_size(const ds_bytes *bytes)
{
    return bytes->head_size + bytes->body_size;
}

static inline void ds_bytes_put(uint8_t *to, const ds_bytes *bytes)
{
    if (to != bytes->head) /* else it is what stays where it is */
        ds_few_copy(to, bytes->head, bytes->head_size);
    ds_few_copy(to + bytes->head_size, bytes->body, bytes->body_size);
}

/* Up to eight of them as a word. */
static inline uint64_t ds_bytes_word(const ds_bytes *bytes)
{
    uint64_t head = ds_few_pack(bytes->head, bytes->head_size);
    uint64_t body = ds_few_pack(bytes->body, bytes->body_size);
    return bytes->body_size ? head | htole64(le64toh(body) << 8 * bytes->head_size)
                            : head;
}

/*
 * Bytes that come out, into the caller's private memory. Where its room does not do,
 * nothing was taken: the answer is -ENOBUFS, size says how much is needed, and the caller
 * calls again with more. No memory is asked for inside a guard.
 */
typedef struct ds_buffer {
    uint8_t *bytes;
    size_t room, size;
} ds_buffer;

/* The rest of this floor: what each needs of the others comes before it. */
#include "ds/arena.h"
#include "ds/hashmap.h"
#include "ds/queue.h"
#include "ds/topic.h"

#pragma GCC visibility pop

#endif
