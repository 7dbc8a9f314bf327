/*
 * Waiting for the first message of a queue that one thread pops from; see first.h.
 */
#include "ds/first.h"

/*
 * Waits for the first message, and shows where it lies, to the one consumer of a queue
 * that has no guards: who makes something of it, and then passes it. Until then nobody
 * writes there who does what is to be done.
 */
int ds_queue_first(ds_queue *queue, int64_t deadline, ds_first *first, pid_t *holder)
{
    uint64_t *end = &queue->at->pop.end, header;
    ring_lost lost = {0};
    for (;;) {
        if (ds_queue_first_at_once(queue, first))
            return 0;
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
            ds_first_show(ring_at(queue, head), head, header, first);
        if (error != -EAGAIN)
            return error;
        error = ring_await_message(queue, deadline, &lost);
        if (error)
            return error;
    }
}
