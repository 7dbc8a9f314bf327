/*
 * Messages that are written, and read, where they lie in a queue's ring.
 *
 * Layout: two tables of slots, each with who has it and where the end stood when it was
 * taken, which names a record for good: the same place has another number the next time.
 *
 * A loan is a record that is pushed before it is written, and says so in its first word;
 * whoever pops waits there until that word changes, by one compare-and-swap: to the
 * message, or to what is passed over. If its owner dies, whoever pops passes over it. Its
 * slot says whose it is. A slot is free where its record is no such one any more: nobody
 * has to clear it, which the dead would not.
 *
 * A view is a message that was popped but is not written over: its slot is written before
 * the popping end is published, so that who pushes, and reads that end and then the
 * slots, finds the one or the other. The slots of the dead are cleared by whoever waits
 * for room.
 */
#include "ds/ring.h"

#include <limits.h>

/* Whether the record at a slot is pushed and not popped, but no message. */
static bool is_unwritten(const ds_queue *queue, const ds_queue_slot *slot, uint64_t head,
                         uint64_t tail)
{
    uint64_t at = mem_atomic_load64(&slot->at);
    if (mem_atomic_load64(&slot->who) == 0 ||
        ring_number(at) - ring_number(head) >= ring_number(tail) - ring_number(head))
        return false;
    if (ring_place(at) - ring_place(head) >= ring_place(tail) - ring_place(head))
        return false;
    return ring_kind_of(ring_look(queue, at)) >= RING_LOANED;
}

/* How many records that were pushed are no messages. */
uint32_t ds_queue_unwritten(const ds_queue *queue, uint64_t head, uint64_t tail)
{
    uint32_t n = 0;
    for (int i = 0; i < DS_QUEUE_SLOTS; i++)
        n += is_unwritten(queue, &queue->at->loans[i], head, tail);
    return n;
}

/* Whether a loan is in front whose owner can not commit it. */
bool ds_queue_lost(const ds_queue *queue, uint64_t head)
{
    if (ring_place(mem_atomic_load64(&queue->at->push.end)) == ring_place(head) ||
        ring_kind_of(ring_look(queue, head)) != RING_LOANED)
        return false; /* where there is no record, there may be anything */
    for (int i = 0; i < DS_QUEUE_SLOTS; i++) {
        const ds_queue_slot *slot = &queue->at->loans[i];
        uint64_t who = mem_atomic_load64(&slot->who);
        if (who && mem_atomic_load64(&slot->at) == head)
            return !os_thread_alive(who);
    }
    return true;
}

/* How far who pushes may go: to the popping end, or the view that is furthest behind. */
uint64_t ds_queue_limit(const ds_queue *queue, uint64_t tail)
{
    uint64_t limit = mem_atomic_load64(&queue->at->pop.end); /* first: see above */
    for (int i = 0; i < DS_QUEUE_SLOTS; i++) {
        const ds_queue_slot *slot = &queue->at->views[i];
        if (mem_atomic_load64(&slot->who) == 0)
            continue;
        uint64_t at = mem_atomic_load64(&slot->at);
        uint32_t behind = ring_place(tail) - ring_place(at);
        if (behind <= queue->units && behind > ring_place(tail) - ring_place(limit))
            limit = at;
    }
    return limit;
}

/* Clears the views of the dead; whether there were any. */
static bool bury(const ds_queue *queue)
{
    bool any = false;
    for (int i = 0; i < DS_QUEUE_SLOTS; i++) {
        ds_queue_slot *slot = &queue->at->views[i];
        uint64_t who = mem_atomic_load64(&slot->who);
        if (who && !os_thread_alive(who))
            any |= mem_atomic_cas64(&slot->who, &who, 0);
    }
    return any;
}

/* Whether pushing so much is worth while: it fits, or is an error. */
static bool has_room(const sync_handle *handle)
{
    const ds_queue *queue = handle->context;
    if (mem_atomic_load32(&queue->at->shut))
        return true;
    uint64_t tail = mem_atomic_load64(&queue->at->push.end);
    uint32_t used = ring_place(tail) - ring_place(ds_queue_limit(queue, tail));
    return used > queue->units || queue->units - used >= queue->wanted || bury(queue);
}

/* After there was none, and outside of any guard. */
int ds_queue_await_room(ds_queue *queue, uint32_t extent, int64_t deadline)
{
    queue->wanted = extent;
    queue->room.context = queue;
    queue->room.ready = has_room;
    if (queue->reject)
        return bury(queue) ? 0 : -ENOSPC;
    if (ring_is_late(deadline))
        return bury(queue) ? 0 : -ETIMEDOUT;
    return sync_eventcount_wait(&queue->room, deadline);
}

/* Inside of the pushing end: a slot that is free, or NULL. One that says this very place,
 * as who died there left it, comes first: there must not be two. */
static ds_queue_slot *loan_slot(const ds_queue *queue, uint64_t tail)
{
    uint64_t head = mem_atomic_load64(&queue->at->pop.end);
    ds_queue_slot *found = NULL;
    for (int i = 0; i < DS_QUEUE_SLOTS; i++) {
        ds_queue_slot *slot = &queue->at->loans[i];
        if (mem_atomic_load64(&slot->at) == tail && mem_atomic_load64(&slot->who))
            return slot;
        if (!found && !is_unwritten(queue, slot, head, tail))
            found = slot;
    }
    return found;
}

static int lend(ds_queue *queue, uint32_t size, ds_loan *loan)
{
    uint64_t *end = &queue->at->push.end, tail = mem_atomic_load64(end);
    uint32_t extent = ring_extent_for(size);
    int error = ring_reserve(queue, tail, extent);
    if (error)
        return error;
    ds_queue_slot *slot = loan_slot(queue, tail);
    if (!slot)
        return -EUSERS;
    mem_atomic_store64(&slot->who, 0); /* or at would be another's for a moment */
    mem_atomic_store64(&slot->at, tail);
    mem_atomic_store64(&slot->who, os_thread_self());
    uint8_t *record = ring_at(queue, tail);
    mem_atomic_store64((uint64_t *)(void *)record,
                       ring_header(size, extent, RING_LOANED));
    ring_publish(queue, end, ring_beyond(tail, extent, 1));
    *loan = (ds_loan){.at = queue->at,
                      .bytes = record + RING_UNIT,
                      .size = size,
                      .extent = extent,
                      .slot = slot,
                      .who = os_thread_self()};
    return 0;
}

/* Room for a message of so many bytes, in its place among the others. -EUSERS when there
 * are too many already. */
int ds_queue_loan(ds_queue *queue, uint32_t size, int64_t deadline, ds_loan *loan,
                  pid_t *holder)
{
    if (size > queue->capacity)
        return -EMSGSIZE;
    for (;;) {
        int error = ring_enter_push(queue, deadline, holder);
        if (error)
            return error;
        error = lend(queue, size, loan);
        ring_leave(queue, &queue->pushing);
        if (error == -EAGAIN)
            error = ds_queue_await_room(queue, ring_extent_for(size), deadline);
        else
            return error;
        if (error)
            return error;
    }
}

/* What the record is from here on. It is this thread's; only scribble makes it another.
 */
static int settle(const ds_loan *loan, uint32_t size, ring_kind kind)
{
    uint64_t *header = (uint64_t *)(void *)(loan->bytes - RING_UNIT);
    uint64_t loaned = ring_header(loan->size, loan->extent, RING_LOANED);
    if (loan->who != os_thread_self())
        return -EPERM;
    if (!mem_atomic_cas64(header, &loaned, ring_header(size, loan->extent, kind)))
        return -EBADMSG;
    sync_eventcount_tell(&loan->at->items, 1);
    return 0;
}

/* The first of its bytes are a message. */
int ds_loan_commit(const ds_loan *loan, uint32_t size)
{
    uint64_t me = loan->who;
    int error = settle(loan, size, RING_BYTES);
    if (!error)
        mem_atomic_cas64(&loan->slot->who, &me, 0);
    return error;
}

/* There is no message. The slot counts until the record was passed over. */
void ds_loan_drop(const ds_loan *loan)
{
    settle(loan, loan->size, RING_DROPPED);
}

/* Inside of the popping end. *head stands where it is to be published. */
static int take(ds_queue *queue, uint64_t *head, const ring_lost *lost, ds_loan *view)
{
    uint64_t header;
    int error = ring_front(queue, head, lost, &header);
    if (error)
        return error;
    for (int i = 0; i < DS_QUEUE_SLOTS; i++) {
        ds_queue_slot *slot = &queue->at->views[i];
        if (mem_atomic_load64(&slot->who))
            continue;
        mem_atomic_store64(&slot->at, *head);
        mem_atomic_store64(&slot->who, os_thread_self());
        *view = (ds_loan){.at = queue->at,
                          .bytes = ring_at(queue, *head) + RING_UNIT,
                          .size = ring_length(header),
                          .slot = slot,
                          .who = os_thread_self(),
                          .raw = ring_kind_of(header) == RING_BYTES};
        *head = ring_beyond(*head, ring_extent(header), 1);
        return 0;
    }
    return -EUSERS;
}

/* Takes the first message, which stays where it is until it is released. */
int ds_queue_view(ds_queue *queue, int64_t deadline, ds_loan *view, pid_t *holder)
{
    uint64_t *end = &queue->at->pop.end;
    ring_lost lost = {0};
    for (;;) {
        int error = ring_enter_pop(queue, deadline, holder);
        if (error)
            return error;
        uint64_t head = mem_atomic_load64(end), before = head;
        error = take(queue, &head, &lost, view);
        if (head != before)
            ring_publish(queue, end, head);
        ring_leave(queue, &queue->popping);
        if (head != before && error)
            ring_tell(queue, &queue->at->room, 1);
        if (error == -EUSERS && bury(queue))
            continue;
        if (error != -EAGAIN)
            return error;
        error = ring_await_message(queue, deadline, &lost);
        if (error)
            return error;
    }
}

void ds_view_release(const ds_loan *view)
{
    uint64_t me = view->who;
    if (me == os_thread_self() && mem_atomic_cas64(&view->slot->who, &me, 0))
        sync_eventcount_tell(&view->at->room, INT_MAX);
}
