/*
 * A subscriber: one that gets each message of a topic once, from where it began.
 *
 * Layout: in shared memory a line with its thread's identity and how far it has read; the
 * same and what it has missed is this process's, so that scribble there can only make
 * others wait or go on too early. It is its thread's: who was forked has none.
 *
 * It reads without a lock, as topic.c says: copies first, then looks whether that was
 * still there. One that was overtaken goes on with the oldest message, and its number
 * tells how many are lost. Where publishers are faster again and again it takes their
 * guard, so that the next message is its own in any case.
 *
 * Death: its line stays, until somebody needs room and finds it dead.
 */
#include "ds/ds.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define TRIES 8 /* without the guard */
#define LOOKS 64

/* Inside: the line is its, from the position on. */
static void settle(ds_subscriber *subscriber, ds_topic_slot *slot, uint64_t position)
{
    const ds_topic *topic = &subscriber->topic;
    ds_topic_head *head = topic->head;
    uint64_t tail = mem_atomic_load64(&head->tail);
    subscriber->slot = slot;
    subscriber->who = os_thread_self();
    subscriber->cursor = position;
    subscriber->number = ds_topic_number(topic, position);
    if (tail - position > tail - mem_atomic_load64(&head->limit))
        mem_atomic_publish64(&head->limit, position);
    mem_atomic_note64(&slot->cursor, position);
    mem_atomic_publish64(&slot->who, subscriber->who);
}

static int take_slot(ds_subscriber *subscriber, bool oldest, pid_t *holder)
{
    const ds_topic *topic = &subscriber->topic;
    ds_topic_head *head = topic->head;
    uint32_t i = 0;
    int error = ds_topic_enter(topic, OS_CLOCK_FOREVER, holder);
    if (error)
        return error;
    while (i < topic->slots && mem_atomic_load64(&head->slot[i].who) != 0)
        i++;
    if (i < topic->slots)
        settle(subscriber, &head->slot[i],
               mem_atomic_load64(oldest ? &head->oldest : &head->tail));
    ds_topic_leave(topic);
    return i < topic->slots ? 0 : -EUSERS;
}

/*
 * Begins with the oldest message that is there, or the next one that comes. -EUSERS when
 * there are as many subscribers as there can be.
 */
int ds_subscriber_open(ds_subscriber *subscriber, const ds_topic *topic, bool oldest,
                       pid_t *holder)
{
    *subscriber = (ds_subscriber){.topic = *topic};
    int error = take_slot(subscriber, oldest, holder);
    if (error != -EUSERS)
        return error;
    for (uint32_t i = 0; i < topic->slots; i++) {
        uint64_t who = mem_atomic_load64(&topic->head->slot[i].who);
        if (who == 0 || os_thread_alive(who))
            continue;
        error = ds_topic_bury(topic, i, who, OS_CLOCK_FOREVER, holder);
        if (error)
            return error;
    }
    return take_slot(subscriber, oldest, holder);
}

/* Lets its line go, unless that is another thread's: a parent's, before the fork. */
void ds_subscriber_close(ds_subscriber *subscriber)
{
    uint64_t who = subscriber->who;
    if (who != os_thread_self() || !mem_atomic_cas64(&subscriber->slot->who, &who, 0))
        return;
    sync_eventcount_tell(&subscriber->topic.head->room, INT_MAX);
}

/*
 * Shows how far it has read, after it has copied that. Only publishers that wait for room
 * want to be told, for which the change is sequentially consistent.
 */
static void show(const ds_subscriber *subscriber)
{
    if (subscriber->topic.drop) {
        mem_atomic_publish64(&subscriber->slot->cursor, subscriber->cursor);
        return;
    }
    mem_atomic_swap64(&subscriber->slot->cursor, subscriber->cursor);
    sync_eventcount_tell(&subscriber->topic.head->room, INT_MAX);
}

static bool is_overtaken(const ds_subscriber *subscriber, uint64_t oldest)
{
    return (int64_t)(oldest - subscriber->cursor) > 0;
}

/* -ESTALE when it was overtaken meanwhile, -ENOBUFS, or -EBADMSG. */
static int copy_out(ds_subscriber *subscriber, uint64_t tail, ds_buffer *out)
{
    const ds_topic *topic = &subscriber->topic;
    const uint8_t *at = ds_topic_at(topic, subscriber->cursor);
    uint64_t ahead = tail - subscriber->cursor;
    ds_topic_record record;
    memcpy(&record, at, sizeof record);
    uint64_t stride = ds_topic_stride(record.size);
    bool sound = record.size <= topic->most && stride <= ahead && ahead <= topic->ring;
    bool fits = sound && record.size <= out->room;
    if (fits)
        memcpy(out->bytes, at + sizeof record, record.size);
    if (is_overtaken(subscriber, mem_atomic_heed64(&topic->head->oldest)) ||
        ahead > topic->ring)
        return -ESTALE;
    if (!sound)
        return -EBADMSG;
    out->size = record.size;
    if (!fits)
        return -ENOBUFS;
    subscriber->lost += record.number - subscriber->number;
    subscriber->number = record.number + 1;
    subscriber->cursor += stride;
    return 0;
}

/* With the guard, so that nothing is overwritten meanwhile. */
static LSHM_RARE int copy_inside(ds_subscriber *subscriber, int64_t deadline,
                                 ds_buffer *out, pid_t *holder)
{
    const ds_topic *topic = &subscriber->topic;
    int result = ds_topic_enter(topic, deadline, holder);
    if (result)
        return result;
    uint64_t tail = mem_atomic_load64(&topic->head->tail);
    uint64_t oldest = mem_atomic_load64(&topic->head->oldest);
    if (tail - subscriber->cursor > tail - oldest)
        subscriber->cursor = oldest;
    result = tail == subscriber->cursor ? -EAGAIN : copy_out(subscriber, tail, out);
    ds_topic_leave(topic);
    return result == -ESTALE ? -EBADMSG : result;
}

/* What makes no sense is lost, up to the newest message. */
static LSHM_RARE void give_up(ds_subscriber *subscriber)
{
    subscriber->cursor = mem_atomic_load64(&subscriber->topic.head->tail);
    show(subscriber);
}

/*
 * The next message, or -EAGAIN when there is none; -EIDRM when its line is not its own
 * any more, as only scribble does. The deadline is for the guard.
 */
int ds_subscriber_try(ds_subscriber *subscriber, int64_t deadline, ds_buffer *out,
                      pid_t *holder)
{
    const ds_topic_head *head = subscriber->topic.head;
    int result = -ESTALE;
    if (mem_atomic_load64(&subscriber->slot->who) != subscriber->who)
        return -EIDRM;
    for (int i = 0; i < TRIES && result == -ESTALE; i++) {
        uint64_t tail = mem_atomic_load64(&head->tail);
        if (tail == subscriber->cursor) {
            if (mem_atomic_load64(&subscriber->slot->cursor) != tail)
                show(subscriber); /* or it would seem that there was a message */
            return -EAGAIN;
        }
        result = copy_out(subscriber, tail, out);
        if (result == -ESTALE)
            subscriber->cursor = mem_atomic_load64(&head->oldest);
    }
    if (result == -ESTALE)
        result = copy_inside(subscriber, deadline, out, holder);
    if (result == 0 || result == -EAGAIN)
        show(subscriber);
    else if (result == -EBADMSG)
        give_up(subscriber);
    return result;
}

/* The same, and waits for it until the deadline. */
int ds_subscriber_next(ds_subscriber *subscriber, const sync_handle *news,
                       int64_t deadline, ds_buffer *out, pid_t *holder)
{
    for (bool late = false;;) {
        int result = ds_subscriber_try(subscriber, deadline, out, holder);
        if (result != -EAGAIN || late)
            return result == -EAGAIN ? -ETIMEDOUT : result;
        result = sync_eventcount_wait(news, deadline);
        if (result)
            return result;
        late = deadline != OS_CLOCK_FOREVER && os_clock_now() >= deadline;
    }
}

/* Of the eventcount news, whose context is a subscriber's line. */
bool ds_subscriber_ready(const sync_handle *news)
{
    const ds_topic_slot *slot = news->context;
    const ds_topic_head *head =
        (const void *)((const uint8_t *)news->at - offsetof(ds_topic_head, news));
    return mem_atomic_load64(&head->tail) != mem_atomic_load64(&slot->cursor);
}

/* How many messages wait for it, and how many it has missed, as it was just now. */
void ds_subscriber_survey(const ds_subscriber *subscriber, uint64_t *waiting,
                          uint64_t *lost)
{
    const ds_topic *topic = &subscriber->topic;
    uint64_t number = subscriber->number;
    for (int i = 0; i < LOOKS; i++) {
        uint64_t oldest = mem_atomic_load64(&topic->head->oldest);
        uint64_t tail = mem_atomic_load64(&topic->head->tail);
        uint64_t first =
            is_overtaken(subscriber, oldest) ? ds_topic_number(topic, oldest) : number;
        *waiting = ds_topic_number(topic, tail) - first;
        *lost = subscriber->lost + (first - number);
        if (mem_atomic_heed64(&topic->head->oldest) == oldest)
            break;
    }
    if (*waiting > topic->ring / sizeof(ds_topic_record))
        *waiting = 0;
}
