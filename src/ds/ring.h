/*
 * The ring of a queue, and its two ends: what queue.c, many.c, loan.c and
 * first.h share.
 *
 * An end is one word: where it stands, in units of eight bytes and modulo 2^32, and above
 * that how many messages passed it, modulo 2^32, too. So a message and the count of it
 * are there, or gone, by the same store.
 *
 * A record is a word that says what it is, and the bytes. One that begins within the ring
 * may reach beyond its end, into room that is left there for the longest; the next one
 * begins as far into the ring. So bytes lie in one piece, none is ever skipped, and any
 * message fits as soon as so much is free.
 */
#ifndef LSHM_DS_RING_H
#define LSHM_DS_RING_H

#include "ds/ds.h"

#include <errno.h>
#include <string.h>

#define RING_UNIT 8
#define RING_SELDOM 32 /* messages */
#define RING_SOON 4    /* pauses, in which a message comes if others come in a row */
#define RING_NEAR 64   /* or at all, where who waits looks at nothing else */
#define RING_QUICK 16  /* messages in a row that did */
#define RING_FEW 2     /* messages that gathered: no use to look away */
#define RING_ENOUGH 32 /* or no need to do so for longer */
#define RING_LULL 128  /* pauses, at most */

typedef enum ring_kind {
    RING_VALUE = 1,
    RING_BYTES,   /* as somebody wrote them to a loan */
    RING_LOANED,  /* they are being written */
    RING_DROPPED, /* they never were: to be passed over */
} ring_kind;

/* In a record's first word: the length in bytes, and above it 29 bits of the room that it
 * takes, in units, this word included; then the kind. */
#define RING_EXTENT 0x1fffffffu

static inline uint64_t ring_header(uint32_t length, uint32_t extent, ring_kind kind)
{
    return (uint64_t)kind << 61 | (uint64_t)extent << 32 | length;
}

static inline uint32_t ring_length(uint64_t header)
{
    return (uint32_t)header;
}

static inline uint32_t ring_extent(uint64_t header)
{
    return (uint32_t)(header >> 32) & RING_EXTENT;
}

static inline ring_kind ring_kind_of(uint64_t header)
{
    return (ring_kind)(header >> 61);
}

static inline uint32_t ring_extent_for(uint32_t length)
{
    return 1 + (length + RING_UNIT - 1) / RING_UNIT;
}

static inline uint32_t ring_place(uint64_t end)
{
    return (uint32_t)end;
}

static inline uint32_t ring_number(uint64_t end)
{
    return (uint32_t)(end >> 32);
}

static inline uint64_t ring_beyond(uint64_t end, uint32_t extent, uint32_t messages)
{
    return (uint64_t)(ring_number(end) + messages) << 32 |
           (uint32_t)(ring_place(end) + extent);
}

/* Whatever the end says, this is inside of the ring. */
static inline uint8_t *ring_at(const ds_queue *queue, uint64_t end)
{
    return queue->ring + (size_t)(ring_place(end) & (queue->units - 1)) * RING_UNIT;
}

static inline uint64_t ring_look(const ds_queue *queue, uint64_t end)
{
    return mem_atomic_load64((const uint64_t *)(const void *)ring_at(queue, end));
}

static inline void ring_write(uint8_t *record, uint64_t header, const ds_bytes *bytes)
{
    memcpy(record, &header, sizeof header);
    record += RING_UNIT;
    if (bytes->head_size == 2) /* of most strings: no call */
        memcpy(record, bytes->head, 2);
    else if (bytes->head_size == 1) /* of small numbers and short strings */
        memcpy(record, bytes->head, 1);
    else
        memcpy(record, bytes->head, bytes->head_size);
    if (bytes->body_size > 0)
        memcpy(record + bytes->head_size, bytes->body, bytes->body_size);
}

/* Whether a record can be what its first word says, of so many units that there are. */
static inline bool ring_sane(const ds_queue *queue, uint64_t header, uint32_t there)
{
    uint32_t length = ring_length(header), extent = ring_extent(header);
    return length <= queue->capacity && extent <= there &&
           extent >= ring_extent_for(length) && ring_kind_of(header) >= RING_VALUE &&
           ring_kind_of(header) <= RING_DROPPED;
}

/* The right to be at one end: its guard, or the role where there is one of each. */
static inline int ring_enter(ds_queue *queue, const mem_guarded *guarded, uint64_t *role,
                             int64_t deadline, pid_t *holder)
{
    if (!queue->spsc) {
        int result = mem_guard_enter(guarded, deadline, holder);
        return result < 0 ? result : 0; /* who died inside had changed nothing */
    }
    if (__builtin_expect(mem_atomic_load64(role) == os_thread_self(), 1))
        return 0;
    return ds_queue_claim(queue, role, holder);
}

/* Whether this thread has that role, without a call to find out who it is. */
static inline bool ring_has(const uint64_t *role)
{
    uint64_t held = mem_atomic_load64(role);
    return held != 0 && held == os_thread_identity;
}

/* What was done at this end counts from here on. It is sequentially consistent before
 * the other side's sleepers are looked for: by leaving the guard, or by the fence that
 * these pay for, or else by this store. */
static inline void ring_publish(const ds_queue *queue, uint64_t *end, uint64_t value)
{
    if (__builtin_expect(queue->fenced, 0))
        mem_atomic_store64(end, value);
    else
        mem_atomic_publish64(end, value);
}

static inline void ring_leave(const ds_queue *queue, const mem_guarded *guarded)
{
    if (!queue->spsc)
        mem_guard_leave(guarded);
}

static inline int ring_enter_push(ds_queue *queue, int64_t deadline, pid_t *holder)
{
    return ring_enter(queue, &queue->pushing, &queue->at->producer, deadline, holder);
}

static inline int ring_enter_pop(ds_queue *queue, int64_t deadline, pid_t *holder)
{
    return ring_enter(queue, &queue->popping, &queue->at->consumer, deadline, holder);
}

/* Who sleeps there is woken; who spins learns now and then where the waker runs, which
 * takes longer to find out than to tell. */
static inline void ring_tell(ds_queue *queue, sync_eventcount *eventcount, int n)
{
    if (__builtin_expect(queue->told++ % RING_SELDOM == 0, 0))
        ds_queue_tell_cpu(eventcount);
    sync_eventcount_tell(eventcount, n);
}

/* Inside of the pushing end, whether so many units are free there. */
static inline int ring_reserve(ds_queue *queue, uint64_t tail, uint32_t extent)
{
    uint64_t *seen = &queue->at->push.seen;
    if (__builtin_expect(mem_atomic_load32(&queue->at->shut) != 0, 0))
        return -EPIPE;
    uint32_t used = ring_place(tail) - ring_place(mem_atomic_load64(seen));
    if (__builtin_expect(used <= queue->units && queue->units - used >= extent, 1))
        return 0;
    uint64_t limit = ds_queue_limit(queue, tail);
    used = ring_place(tail) - ring_place(limit);
    if (used > queue->units)
        return -EBADMSG;
    mem_atomic_note64(seen, limit);
    return queue->units - used >= extent ? 0 : -EAGAIN;
}

/* What who pops has learnt outside, since its last attempt. */
typedef struct ring_lost {
    bool any; /* in front is a loan that nobody will ever commit: its owner died */
    uint64_t at;
    bool gathered; /* messages came while it looked for them; if that did not do, the
                      first is a loan */
} ring_lost;

/*
 * Inside of the popping end: the message that is next, or -EAGAIN, or -EPIPE when there
 * is none and never will be. Dropped records are passed over: *head stands behind them.
 */
static inline int ring_front(ds_queue *queue, uint64_t *head, const ring_lost *lost,
                             uint64_t *header)
{
    uint64_t tail = mem_atomic_load64(&queue->at->pop.seen);
    uint32_t there = ring_place(tail) - ring_place(*head);
    if (__builtin_expect(there != 0 && there <= queue->units, 1)) {
        *header = ring_look(queue, *head);
        if (__builtin_expect(ring_sane(queue, *header, there) &&
                                 ring_kind_of(*header) < RING_LOANED,
                             1))
            return 0;
    }
    return ds_queue_front(queue, head, lost->any ? &lost->at : NULL, header);
}

/*
 * Outside: before waiting for a message. Who pops faster than others push would take the
 * line with the pushing end away from them for each message, which costs both more than
 * all the rest. So where messages come one right after the other, who pops looks away
 * until some have gathered; where only one did, it does not do so the next time. At
 * first it looks at nothing else but that end: what else there is to look at before
 * sleeping takes as long as a message on its way.
 */
static inline bool ring_gather(ds_queue *queue)
{
    uint64_t head = mem_atomic_load64(&queue->at->pop.end);
    for (uint32_t i = 0; i < queue->lull; i++)
        os_wait_pause();
    for (int i = 0; i < RING_NEAR; i++) {
        if (i == RING_SOON && mem_atomic_see32(&queue->at->items.cpu) == os_wait_cpu())
            break; /* nobody pushes while this one is running */
        uint64_t tail = mem_atomic_load64(&queue->at->push.end);
        uint32_t n = ring_number(tail) - ring_number(head);
        if (n > 0) {
            if (i >= RING_SOON)
                queue->quick = queue->lull = 0;
            else if (queue->lull == 0)
                queue->lull = ++queue->quick > RING_QUICK ? 1 : 0;
            else if (n < RING_FEW)
                queue->quick = queue->lull = 0;
            else if (n < RING_ENOUGH && queue->lull < RING_LULL)
                queue->lull *= 2;
            return true;
        }
        os_wait_pause();
    }
    queue->quick = queue->lull = 0;
    return false;
}

/* Whether it is not to be waited any more: others may be faster again and again. */
static inline bool ring_is_late(int64_t deadline)
{
    return deadline <= DS_NOW ||
           (deadline != OS_CLOCK_FOREVER && os_clock_now() >= deadline);
}

/* Outside: until there is a message, or what is in front was lost. */
static inline int ring_await_message(ds_queue *queue, int64_t deadline, ring_lost *lost)
{
    uint64_t head = mem_atomic_load64(&queue->at->pop.end);
    int error = 0;
    queue->items.context = queue;
    if (ring_is_late(deadline))
        error = ds_queue_lost(queue, head) ? 0 : -ETIMEDOUT;
    else if (!lost->gathered && ring_gather(queue)) {
        lost->gathered = true;
        return 0;
    } else
        error = sync_eventcount_wait(&queue->items, deadline);
    lost->at = mem_atomic_load64(&queue->at->pop.end);
    lost->any = !error && ds_queue_lost(queue, lost->at);
    return error;
}

#endif
