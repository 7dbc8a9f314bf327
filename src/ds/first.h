/*
 * The first message of a queue that one thread pops from: shown where it lies, and passed
 * when something was made of it, so that its bytes are copied once. This is the way of
 * most messages, inline, as what it says is at hand then; first.c has what comes before.
 *
 * What lies there is shared memory still: who looks at it takes each byte as it is when
 * it is read, and believes no length but the one that it is given. Who pushes writes
 * there when the popping end has been published beyond it, which passing does, in one
 * store.
 *
 * Death: who dies before it passed the message has not popped it.
 */
#ifndef LSHM_DS_FIRST_H
#define LSHM_DS_FIRST_H

#include "ds/ring.h"

/* What lies in front, which is a message. */
static inline void ds_first_show(const uint8_t *record, uint64_t head, uint64_t header,
                                 ds_first *first)
{
    *first = (ds_first){.bytes = record + RING_UNIT,
                        .size = ring_length(header),
                        .raw = ring_kind_of(header) == RING_BYTES,
                        .at = head,
                        .beyond = ring_beyond(head, ring_extent(header), 1)};
}

/* Shows one that is there, if it is this thread that pops. */
static inline __attribute__((always_inline)) bool
ds_queue_first_at_once(const ds_queue *queue, ds_first *first)
{
    ds_queue_layout *at = queue->at;
    if (!ring_has(&at->consumer))
        return false;
    uint64_t head = mem_atomic_load64(&at->pop.end);
    uint64_t tail = mem_atomic_load64(&at->pop.seen);
    if (ring_place(tail) == ring_place(head))
        tail = mem_atomic_load64(&at->push.end);
    uint32_t there = ring_place(tail) - ring_place(head);
    if (there == 0 || there > queue->units)
        return false;
    mem_atomic_note64(&at->pop.seen, tail);
    const uint8_t *record = ring_at(queue, head);
    uint64_t header = mem_atomic_load64((const uint64_t *)(const void *)record);
    if (!ring_sane(queue, header, there) || ring_kind_of(header) >= RING_LOANED)
        return false;
    ds_first_show(record, head, header, first);
    return true;
}

/* False when it was popped meanwhile by other code of this thread, or this is the
 * consumer no more. */
static inline bool ds_queue_pass(ds_queue *queue, const ds_first *first)
{
    ds_queue_layout *at = queue->at;
    if (!ring_has(&at->consumer) || mem_atomic_load64(&at->pop.end) != first->at)
        return false;
    ring_publish(queue, &at->pop.end, first->beyond);
    ring_tell(queue, &at->room, 1);
    return true;
}

#endif
