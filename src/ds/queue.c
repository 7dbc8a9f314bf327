/*
 * A queue: messages, first in, first out, from any process to any.
 *
 * Layout: two ends on cache lines of their own, each with its guard; an eventcount for
 * those who wait for messages and one for those who wait for room; who wrote or reads
 * messages in place (loan.c); and a ring of records, which ring.h describes.
 *
 * Any thread may push and any may pop; in a queue of one producer and one consumer there
 * are no guards, and the two roles are whose they were first, until these let go or die.
 * A handle is used by one thread at a time.
 *
 * Ordering: a message's bytes are written, then the pushing end is published beyond them,
 * with release; who pops reads that end, and so finds the bytes. Bytes are read, then the
 * popping end is published, which who pushes reads before it writes over them. Leaving a
 * guard is sequentially consistent and comes before sleepers are looked for, as
 * sync_eventcount_tell asks. Each side reads the other's end only when what it saw last
 * does not do, which is what makes two cpus fast.
 *
 * Death: what a message consists of is written where nobody looks, and the end's one
 * store makes it there, and counted. Before it nothing was pushed or popped, after it all
 * of it was; so guards have nothing to undo.
 */
#include "ds/ring.h"

#include <limits.h>
#include <string.h>

#define PASS (1u << 15) /* units that are pushed, at most, while others are kept out */

static uint32_t units_for(uint32_t capacity)
{
    uint32_t units = DS_QUEUE_LEAST / RING_UNIT;
    while (units < ring_extent_for(capacity))
        units *= 2;
    return units;
}

/* The ring, and behind its end room for the record that begins last. */
size_t ds_queue_size(const ds_queue_options *options)
{
    size_t units =
        (size_t)units_for(options->capacity) + ring_extent_for(options->capacity);
    return sizeof(ds_queue_layout) +
           (units * RING_UNIT + DS_LINE - 1) / DS_LINE * DS_LINE;
}

static uint32_t flags_of(const ds_queue_options *options)
{
    return (options->reject ? DS_QUEUE_REJECT : 0) | (options->spsc ? DS_QUEUE_SPSC : 0);
}

/* The caller's memory is nobody else's yet. Nothing of the ring is looked at before it is
 * written. */
void ds_queue_make(void *at, const ds_queue_options *options)
{
    ds_queue_layout *queue = at;
    memset((uint8_t *)at + sizeof queue->stamp, 0, sizeof *queue - sizeof queue->stamp);
    queue->capacity = options->capacity;
    queue->units = units_for(options->capacity);
    sync_eventcount_make(&queue->items);
    sync_eventcount_make(&queue->room);
    mem_stamp_finish(&queue->stamp, DS_QUEUE, DS_VERSION,
                     (uint32_t)ds_queue_size(options), flags_of(options));
}

/* Whether messages are there, or none ever will be. */
bool ds_queue_ready(const sync_handle *handle)
{
    const ds_queue *queue = handle->context;
    bool shut = mem_atomic_load32(&queue->at->shut) != 0;
    uint64_t head = mem_atomic_load64(&queue->at->pop.end);
    uint64_t tail = mem_atomic_load64(&queue->at->push.end);
    if (ring_place(head) == ring_place(tail))
        return shut;
    return ring_kind_of(ring_look(queue, head)) != RING_LOANED ||
           ds_queue_lost(queue, head);
}

static void fill(ds_queue *queue, mem_mapping *mapping, void *at,
                 const ds_queue_options *options)
{
    ds_queue_layout *layout = at;
    *queue = (ds_queue){
        .at = layout,
        .ring = (uint8_t *)at + sizeof *layout,
        .capacity = options->capacity,
        .units = units_for(options->capacity),
        .reject = options->reject,
        .spsc = options->spsc,
        .pushing = {&layout->push.guard, 0, mapping},
        .popping = {&layout->pop.guard, 0, mapping},
        .items = {.eventcount = &layout->items, .kind = SYNC_EVENTCOUNT},
        .room = {.eventcount = &layout->room, .kind = SYNC_EVENTCOUNT},
    };
    queue->items.mapping = queue->room.mapping = mapping;
    queue->items.ready = ds_queue_ready;
}

int ds_queue_create(ds_queue *queue, mem_mapping *mapping, void *at,
                    const ds_queue_options *options, int64_t deadline)
{
    int error =
        mem_stamp_claim(&((ds_queue_layout *)at)->stamp, DS_QUEUE, DS_VERSION, deadline);
    if (error)
        return error;
    ds_queue_make(at, options);
    fill(queue, mapping, at, options);
    return 0;
}

/* Finds it in the room that there is for it, which is a header's at least. */
int ds_queue_attach(ds_queue *queue, mem_mapping *mapping, void *at, size_t room,
                    int64_t deadline)
{
    const ds_queue_layout *layout = at;
    int error = mem_stamp_check(&layout->stamp, DS_QUEUE, DS_VERSION, deadline);
    if (error)
        return error;
    uint32_t flags = mem_atomic_load32(&layout->stamp.extra);
    ds_queue_options options = {
        .capacity = mem_atomic_load32(&layout->capacity),
        .reject = flags & DS_QUEUE_REJECT,
        .spsc = flags & DS_QUEUE_SPSC,
    };
    if (options.capacity < DS_QUEUE_LEAST || options.capacity > DS_QUEUE_MOST ||
        mem_atomic_load32(&layout->units) != units_for(options.capacity) ||
        mem_atomic_load32(&layout->stamp.size) != ds_queue_size(&options) ||
        ds_queue_size(&options) > room)
        return -ENOENT;
    fill(queue, mapping, at, &options);
    return 0;
}

/* Takes a role that nobody living has. Two threads of a process are two. */
int ds_queue_claim(uint64_t *role, pid_t *holder)
{
    uint64_t me = os_thread_self(), held = mem_atomic_load64(role);
    while (held != me) {
        if (held && os_thread_alive(held)) {
            *holder = os_thread_process(held);
            return -EBUSY;
        }
        if (mem_atomic_cas64(role, &held, me))
            return 0;
    }
    return 0;
}

/* Lets go of the roles; a child's handle has none of its parent's. */
void ds_queue_close(ds_queue *queue)
{
    uint64_t me = os_thread_self();
    if (queue->at && queue->spsc) {
        mem_atomic_cas64(&queue->at->producer, &me, 0);
        me = os_thread_self();
        mem_atomic_cas64(&queue->at->consumer, &me, 0);
    }
    queue->at = NULL;
}

static void write_record(uint8_t *record, uint64_t header, const ds_bytes *bytes)
{
    memcpy(record, &header, sizeof header);
    record += RING_UNIT;
    if (bytes->head_size == 2) /* of most strings: no call */
        memcpy(record, bytes->head, 2);
    else
        memcpy(record, bytes->head, bytes->head_size);
    memcpy(record + bytes->head_size, bytes->body, bytes->body_size);
}

/*
 * -EMSGSIZE when it never fits, -ENOSPC when it does not now and that is not waited for,
 * -EPIPE after a shutdown.
 */
int ds_queue_push(ds_queue *queue, const ds_bytes *bytes, int64_t deadline, pid_t *holder)
{
    uint64_t *end = &queue->at->push.end;
    size_t size = bytes->head_size + bytes->body_size;
    if (bytes->body_size > queue->capacity || size > queue->capacity)
        return -EMSGSIZE;
    uint32_t extent = ring_extent_for((uint32_t)size);
    for (;;) {
        int error = ring_enter_push(queue, holder);
        if (error)
            return error;
        uint64_t tail = mem_atomic_load64(end);
        error = ring_reserve(queue, tail, extent);
        if (!error) {
            write_record(ring_at(queue, tail),
                         ring_header((uint32_t)size, extent, RING_VALUE), bytes);
            ring_publish(queue, end, ring_beyond(tail, extent, 1));
        }
        ring_leave(queue, &queue->pushing);
        if (!error)
            ring_tell(queue, &queue->at->items, 1);
        if (error != -EAGAIN)
            return error;
        error = ds_queue_await_room(queue, extent, deadline);
        if (error)
            return error;
    }
}

/* What a message takes among those that are pushed, or were popped, together. */
size_t ds_queue_record_size(size_t length)
{
    return (size_t)ring_extent_for((uint32_t)length) * RING_UNIT;
}

/* Writes one of those that are to be pushed together, which is no longer than the
 * capacity. */
size_t ds_queue_record(uint8_t *record, const ds_bytes *bytes)
{
    uint32_t length = (uint32_t)(bytes->head_size + bytes->body_size);
    uint32_t extent = ring_extent_for(length);
    write_record(record, ring_header(length, extent, RING_VALUE), bytes);
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
        int error = ring_enter_push(queue, holder);
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

/*
 * Takes up to so many: waits for the first. -EPIPE when there is none and a shutdown was.
 * What comes out is read by ds_queue_message.
 */
int ds_queue_pop(ds_queue *queue, ds_buffer *out, size_t most, int64_t deadline,
                 size_t *popped, pid_t *holder)
{
    uint64_t *end = &queue->at->pop.end;
    ring_lost lost = {false, 0};
    for (;;) {
        int error = ring_enter_pop(queue, holder);
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

/* The first one stays; what is to be passed over goes. -EAGAIN when there is none. */
int ds_queue_peek(ds_queue *queue, ds_buffer *out, pid_t *holder)
{
    uint64_t *end = &queue->at->pop.end, head = mem_atomic_load64(end), header;
    ring_lost lost = {ds_queue_lost(queue, head), head};
    size_t popped;
    int error = ring_enter_pop(queue, holder);
    if (error)
        return error;
    head = mem_atomic_load64(end);
    uint64_t before = head;
    error = ring_front(queue, &head, &lost, &header);
    bool passed = head != before;
    if (passed)
        ring_publish(queue, end, head);
    error = error ? error : pop_some(queue, out, 1, &head, &lost, &popped);
    ring_leave(queue, &queue->popping);
    if (passed)
        ring_tell(queue, &queue->at->room, 1);
    return error;
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

/* How many messages there are. */
uint32_t ds_queue_length(const ds_queue *queue)
{
    uint64_t head = mem_atomic_load64(&queue->at->pop.end);
    uint64_t tail = mem_atomic_load64(&queue->at->push.end);
    return ring_number(tail) - ring_number(head) - ds_queue_unwritten(queue, head, tail);
}

/* Bytes of the ring that they take. */
size_t ds_queue_used(const ds_queue *queue)
{
    uint64_t head = mem_atomic_load64(&queue->at->pop.end);
    uint64_t tail = mem_atomic_load64(&queue->at->push.end);
    return (size_t)(ring_place(tail) - ring_place(head)) * RING_UNIT;
}

/* The end of it, for all: nothing is pushed any more, and what is there can be popped.
 * Where there are no guards, a push that has just begun may still succeed. */
int ds_queue_shutdown(ds_queue *queue, pid_t *holder)
{
    int error = 0;
    if (!queue->spsc)
        error = ring_enter_push(queue, holder);
    if (error)
        return error;
    mem_atomic_store32(&queue->at->shut, 1);
    ring_leave(queue, &queue->pushing);
    ring_tell(queue, &queue->at->items, INT_MAX);
    ring_tell(queue, &queue->at->room, INT_MAX);
    return 0;
}
