/*
 * The first message of a queue that one thread pops from: shown where it lies, and passed
 * when something was made of it, so that its bytes are copied once.
 *
 * What lies there is shared memory still: who looks at it takes each byte as it is when
 * it is read, and believes no length but the one that it is given. Who pushes writes
 * there when the popping end has been published beyond it, which passing does, in one
 * store.
 *
 * Death: who dies before it passed the message has not popped it.
 */
#include "ds/ring.h"

/* What lies in front, which is a message. */
static inline void show(const ds_queue *queue, uint64_t head, uint64_t header,
                        ds_first *first)
{
    *first = (ds_first){.bytes = ring_at(queue, head) + RING_UNIT,
                        .size = ring_length(header),
                        .raw = ring_kind_of(header) == RING_BYTES,
                        .at = head,
                        .beyond = ring_beyond(head, ring_extent(header), 1)};
}

/* The way of most messages: one is there, and it is this thread that pops. */
static inline __attribute__((always_inline)) bool first_at_once(const ds_queue *queue,
                                                                ds_first *first)
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
    uint64_t header = ring_look(queue, head);
    if (!ring_sane(queue, header, there) || ring_kind_of(header) >= RING_LOANED)
        return false;
    show(queue, head, header, first);
    return true;
}

static __attribute__((noinline)) int
first_when_possible(ds_queue *queue, int64_t deadline, ds_first *first, pid_t *holder)
{
    uint64_t *end = &queue->at->pop.end, header;
    ring_lost lost = {0};
    for (;;) {
        int error = ring_enter_pop(queue, deadline, holder);
        if (error)
            return error;
        uint64_t head = mem_atomic_load64(end), before = head;
        error = ring_front(queue, &head, &lost, &header);
        if (head != before) { /* what is passed over, by itself */
            ring_publish(queue, end, head);
            ring_tell(queue, &queue->at->room, 1);
        }
        if (!error)
            show(queue, head, header, first);
        if (error != -EAGAIN)
            return error;
        error = ring_await_message(queue, deadline, &lost);
        if (error)
            return error;
        if (first_at_once(queue, first))
            return 0;
    }
}

/*
 * Waits for the first message, and shows where it lies, to the one consumer of a queue
 * that has no guards: who makes something of it, and then passes it. Until then nobody
 * writes there who does what is to be done.
 */
int ds_queue_first(ds_queue *queue, int64_t deadline, ds_first *first, pid_t *holder)
{
    if (__builtin_expect(first_at_once(queue, first), 1))
        return 0;
    return first_when_possible(queue, deadline, first, holder);
}

/* False when it was popped meanwhile by other code of this thread, or this is the
 * consumer no more. */
bool ds_queue_pass(ds_queue *queue, const ds_first *first)
{
    if (!ring_has(&queue->at->consumer) ||
        mem_atomic_load64(&queue->at->pop.end) != first->at)
        return false;
    ring_publish(queue, &queue->at->pop.end, first->beyond);
    ring_tell(queue, &queue->at->room, 1);
    return true;
}
