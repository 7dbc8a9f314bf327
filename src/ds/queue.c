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
 * sync_eventcount_tell asks; where there are no guards, who is about to sleep pays for
 * the fence (os/fence.c). Each side reads the other's end only when what it saw last does
 * not do, which is what makes two cpus fast.
 *
 * Death: what a message consists of is written where nobody looks, and the end's one
 * store makes it there, and counted. Before it nothing was pushed or popped, after it all
 * of it was; so guards have nothing to undo.
 */
#include "ds/ring.h"

#include <limits.h>
#include <string.h>

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
        .fenced = options->spsc && os_fence_join() != 0,
        .items = {.eventcount = &layout->items, .kind = SYNC_EVENTCOUNT},
        .room = {.eventcount = &layout->room, .kind = SYNC_EVENTCOUNT},
    };
    queue->items.fences = queue->room.fences = options->spsc;
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

/* Takes a role that nobody living has. Two threads of a process are two. A child comes
 * here, too, as it is nobody that ever had one, and joins on its own. */
int ds_queue_claim(ds_queue *queue, uint64_t *role, pid_t *holder)
{
    queue->fenced = os_fence_join() != 0;
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

void ds_queue_tell_cpu(sync_eventcount *eventcount)
{
    uint32_t cpu = os_wait_cpu();
    if (mem_atomic_load32(&eventcount->cpu) != cpu)
        mem_atomic_note32(&eventcount->cpu, cpu);
}

/*
 * The way of most messages where there are no guards: the role is this thread's, and
 * there is room by what was last seen. False, and nothing done, where that is not so.
 */
static inline bool push_at_once(ds_queue *queue, const ds_bytes *bytes, uint32_t size)
{
    ds_queue_layout *at = queue->at;
    uint64_t tail = mem_atomic_load64(&at->push.end);
    uint32_t used = ring_place(tail) - ring_place(mem_atomic_load64(&at->push.seen));
    uint32_t extent = ring_extent_for(size);
    if (!queue->spsc || !ring_has(&at->producer) || mem_atomic_load32(&at->shut) != 0 ||
        used > queue->units || queue->units - used < extent)
        return false;
    uint64_t beyond = ring_beyond(tail, extent, 1);
    ring_write(ring_at(queue, tail), ring_header(size, extent, RING_VALUE), bytes);
    at = queue->at; /* rather than keeping it while bytes are copied */
    ring_publish(queue, &at->push.end, beyond);
    ring_tell(queue, &at->items, 1);
    return true;
}

static __attribute__((noinline)) int push_when_possible(ds_queue *queue,
                                                        const ds_bytes *bytes,
                                                        int64_t deadline, pid_t *holder)
{
    uint64_t *end = &queue->at->push.end;
    uint32_t size = (uint32_t)(bytes->head_size + bytes->body_size);
    uint32_t extent = ring_extent_for(size);
    for (;;) {
        int error = ring_enter_push(queue, deadline, holder);
        if (error)
            return error;
        uint64_t tail = mem_atomic_load64(end);
        error = ring_reserve(queue, tail, extent);
        if (!error) {
            ring_write(ring_at(queue, tail), ring_header(size, extent, RING_VALUE),
                       bytes);
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

/*
 * -EMSGSIZE when it never fits, -ENOSPC when it does not now and that is not waited for,
 * -EPIPE after a shutdown.
 */
int ds_queue_push(ds_queue *queue, const ds_bytes *bytes, int64_t deadline, pid_t *holder)
{
    size_t size = ds_bytes_size(bytes);
    if (size > queue->capacity)
        return -EMSGSIZE;
    if (__builtin_expect(push_at_once(queue, bytes, (uint32_t)size), 1))
        return 0;
    return push_when_possible(queue, bytes, deadline, holder);
}

/*
 * Inside of the popping end, where what was seen of the other does not do, or something
 * is in front that is no message; see ring_front.
 */
int ds_queue_front(ds_queue *queue, uint64_t *head, const uint64_t *lost,
                   uint64_t *header)
{
    uint64_t *seen = &queue->at->pop.seen;
    uint64_t tail = mem_atomic_load64(seen);
    for (int i = 0; i <= DS_QUEUE_SLOTS; i++) {
        uint32_t there = ring_place(tail) - ring_place(*head);
        if (__builtin_expect(there == 0 || there > queue->units, 0)) {
            bool shut = mem_atomic_load32(&queue->at->shut) != 0; /* before the end */
            tail = mem_atomic_load64(&queue->at->push.end);
            there = ring_place(tail) - ring_place(*head);
            if (there == 0)
                return shut ? -EPIPE : -EAGAIN;
            if (there > queue->units)
                return -EBADMSG;
            mem_atomic_note64(seen, tail);
        }
        *header = ring_look(queue, *head);
        if (__builtin_expect(!ring_sane(queue, *header, there), 0))
            return -EBADMSG;
        if (__builtin_expect(ring_kind_of(*header) < RING_LOANED, 1))
            return 0;
        if (ring_kind_of(*header) == RING_LOANED && !(lost && *lost == *head))
            return -EAGAIN;
        *head = ring_beyond(*head, ring_extent(*header), 1);
    }
    return -EAGAIN;
}

/* Inside: copies out the first one, without what says that it is one. */
static inline int pop_first(ds_queue *queue, ds_buffer *out, uint64_t *head,
                            const ring_lost *lost, ds_message *message)
{
    uint64_t header;
    int error = ring_front(queue, head, lost, &header);
    if (error)
        return error;
    uint32_t length = ring_length(header);
    out->size = length;
    if (length > out->room)
        return -ENOBUFS;
    memcpy(out->bytes, ring_at(queue, *head) + RING_UNIT, length);
    *message = (ds_message){out->bytes, length, ring_kind_of(header) == RING_BYTES};
    *head = ring_beyond(*head, ring_extent(header), 1);
    return 0;
}

/* Takes the first message: waits for it. -EPIPE when there is none and a shutdown was. */
int ds_queue_pop(ds_queue *queue, ds_buffer *out, int64_t deadline, ds_message *message,
                 pid_t *holder)
{
    uint64_t *end = &queue->at->pop.end;
    ring_lost lost = {0};
    for (;;) {
        int error = ring_enter_pop(queue, deadline, holder);
        if (error)
            return error;
        uint64_t head = mem_atomic_load64(end), before = head;
        error = pop_first(queue, out, &head, &lost, message);
        if (head != before)
            ring_publish(queue, end, head);
        ring_leave(queue, &queue->popping);
        if (head != before)
            ring_tell(queue, &queue->at->room, 1);
        if (error != -EAGAIN)
            return error;
        error = ring_await_message(queue, deadline, &lost);
        if (error)
            return error;
    }
}

/* The first one stays; what is to be passed over goes. -EAGAIN when there is none. */
int ds_queue_peek(ds_queue *queue, ds_buffer *out, ds_message *message, pid_t *holder)
{
    uint64_t *end = &queue->at->pop.end, head = mem_atomic_load64(end), header;
    ring_lost lost = {ds_queue_lost(queue, head), head, false};
    int error = ring_enter_pop(queue, DS_NOW, holder);
    if (error)
        return error;
    head = mem_atomic_load64(end);
    uint64_t before = head;
    error = ring_front(queue, &head, &lost, &header);
    bool passed = head != before;
    if (passed)
        ring_publish(queue, end, head);
    error = error ? error : pop_first(queue, out, &head, &lost, message);
    ring_leave(queue, &queue->popping);
    if (passed)
        ring_tell(queue, &queue->at->room, 1);
    return error;
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
        error = ring_enter_push(queue, OS_CLOCK_FOREVER, holder);
    if (error)
        return error;
    mem_atomic_store32(&queue->at->shut, 1);
    ring_leave(queue, &queue->pushing);
    ring_tell(queue, &queue->at->items, INT_MAX);
    ring_tell(queue, &queue->at->room, INT_MAX);
    return 0;
}
