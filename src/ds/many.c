/*
 * Messages of a queue by the handful: pushed and popped in one turn at its end, which is
 * published once for all of them. So who dies in between has pushed, or popped, none.
 *
 * On their way they lie one after the other as records, as in the ring. A handful ends
 * when enough were moved that others have waited for long.
 */
#include "ds/ring.h"

#include <string.h>

#define PASS (1u << 15) /* units that are pushed, at most, while others are kept out */

/* What a message takes among those that are pushed, or were popped, together. */
size_t ds_queue_record_size(size_t length)
{
    return (size_t)ring_extent_for((uint32_t)length) * RING_UNIT;
}

/* Writes one of those that are to be pushed together, which is no longer than the
 * capacity. What it is filled up with is copied as well, so it is made 0: nothing else of
 * this process's memory is for others to see. */
size_t ds_queue_record(uint8_t *record, const ds_bytes *bytes)
{
    uint32_t length = (uint32_t)(bytes->head_size + bytes->body_size);
    uint32_t extent = ring_extent_for(length);
    memset(record + (size_t)(extent - 1) * RING_UNIT, 0, RING_UNIT);
    ring_write(record, ring_header(length, extent, RING_VALUE), bytes);
    return (size_t)extent * RING_UNIT;
}

static uint32_t extent_of(const uint8_t *record)
{
    uint64_t header;
    memcpy(&header, record, sizeof header);
    return ring_extent(header);
}

/* Inside: as many as fit, though not without an end. */
static int push_some(ds_queue *queue, const uint8_t **records, size_t n, size_t *pushed)
{
    uint64_t *end = &queue->at->push.end, tail = mem_atomic_load64(end), begin = tail;
    int error = 0;
    for (size_t i = 0; i < n && ring_place(tail) - ring_place(begin) < PASS; i++) {
        uint32_t extent = extent_of(*records);
        error = ring_reserve(queue, tail, extent);
        if (error)
            break;
        memcpy(ring_at(queue, tail), *records, (size_t)extent * RING_UNIT);
        tail = ring_beyond(tail, extent, 1);
        *records += (size_t)extent * RING_UNIT;
        ++*pushed;
    }
    if (tail == begin)
        return error;
    ring_publish(queue, end, tail);
    return 0;
}

/* *pushed says how many were, also after an error: they are the first. */
int ds_queue_push_many(ds_queue *queue, const uint8_t *records, size_t n,
                       int64_t deadline, size_t *pushed, pid_t *holder)
{
    *pushed = 0;
    while (*pushed < n) {
        size_t before = *pushed;
        int error = ring_enter_push(queue, deadline, holder);
        if (error)
            return error;
        error = push_some(queue, &records, n - before, pushed);
        ring_leave(queue, &queue->pushing);
        if (*pushed > before)
            ring_tell(queue, &queue->at->items, (int)(*pushed - before));
        if (error == -EAGAIN)
            error = ds_queue_await_room(queue, extent_of(records), deadline);
        if (error)
            return error;
    }
    return 0;
}

/* Inside: copies out the first ones, as many as there is room for. */
static int pop_some(ds_queue *queue, ds_buffer *out, size_t most, uint64_t *head,
                    const ring_lost *lost, size_t *popped)
{
    size_t size = 0;
    *popped = 0;
    while (*popped < most) {
        uint64_t header;
        int error = ring_front(queue, head, lost, &header);
        if (error)
            return *popped ? 0 : error;
        uint32_t length = ring_length(header);
        size_t n = RING_UNIT + (size_t)length;
        if (n > out->room - size) {
            out->size = n;
            return *popped ? 0 : -ENOBUFS;
        }
        memcpy(out->bytes + size, ring_at(queue, *head), n);
        memcpy(out->bytes + size, &header, sizeof header); /* as it was checked */
        *head = ring_beyond(*head, ring_extent(header), 1);
        size += ds_queue_record_size(length);
        size = size < out->room ? size : out->room;
        ++*popped;
    }
    return 0;
}

/* Takes up to so many: waits for the first. What comes out is read by ds_queue_message.
 */
int ds_queue_pop_many(ds_queue *queue, ds_buffer *out, size_t most, int64_t deadline,
                      size_t *popped, pid_t *holder)
{
    uint64_t *end = &queue->at->pop.end;
    ring_lost lost = {0};
    for (;;) {
        int error = ring_enter_pop(queue, deadline, holder);
        if (error)
            return error;
        uint64_t head = mem_atomic_load64(end), before = head;
        error = pop_some(queue, out, most, &head, &lost, popped);
        if (head != before)
            ring_publish(queue, end, head);
        ring_leave(queue, &queue->popping);
        if (head != before)
            ring_tell(queue, &queue->at->room, *popped > 1 ? (int)*popped : 1);
        if (error != -EAGAIN)
            return error;
        error = ring_await_message(queue, deadline, &lost);
        if (error)
            return error;
    }
}

/* The message at the front of those that were popped. Returns where the next one is. */
const uint8_t *ds_queue_message(const uint8_t *bytes, ds_message *message)
{
    uint64_t header;
    memcpy(&header, bytes, sizeof header);
    *message = (ds_message){bytes + RING_UNIT, ring_length(header),
                            ring_kind_of(header) == RING_BYTES};
    return bytes + ds_queue_record_size(message->size);
}
