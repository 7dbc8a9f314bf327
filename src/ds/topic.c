/*
 * A topic: messages that each subscriber gets once, all in the order of publication.
 *
 * Layout: a head with the publishers' line, those who sleep, a line for each subscriber,
 * and the ring. Positions count bytes since the topic was made, and only grow; a message
 * is a record at its position's place in the ring, in one piece: behind the ring's end
 * there is room for what begins before it. So nothing is skipped, and whatever does not
 * overlap by position does not by place.
 *
 * Invariant: from oldest to tail there is a record after the other, and at tail the
 * number of the message that is to come. That is the only count there is, and belongs to
 * the one word by which a message is there or not.
 *
 * Who publishes is inside the guard: makes room, writes behind the tail, and publishes
 * the tail. Who reads takes no lock: it reads the tail, which pairs with that, and
 * copies; then it looks whether oldest has passed it, which publishers say before they
 * overwrite (warn and heed). When the oldest may go is the only difference between topics
 * that block and topics that drop: blocked publishers wait for the slowest subscriber's
 * cursor, whose load pairs with the reader's change after it has copied. The limit is the
 * lowest cursor as it was when somebody looked, so that mostly nobody has to.
 *
 * Death: before the tail's store nothing was published, and all that is changed is what
 * had gone already; after it all is. Sleepers that were not told look by themselves after
 * their slice. A dead subscriber's line is emptied by who needs room, or a line.
 */
#include "ds/ds.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define TRIES 64
#define ALIGN (sizeof(ds_topic_record) - 1)

/* Twice the capacity, so that this much is there even of messages as short as heads. */
static uint64_t ring_of(uint64_t capacity)
{
    uint64_t ring = 2 * DS_TOPIC_LEAST;
    while (ring < 2 * capacity)
        ring *= 2;
    return ring;
}

static size_t size_of(uint64_t ring, uint64_t most, uint64_t slots)
{
    size_t size = sizeof(ds_topic_head) + slots * sizeof(ds_topic_slot) + ring +
                  ds_topic_stride(most);
    return (size + DS_LINE - 1) / DS_LINE * DS_LINE;
}

size_t ds_topic_size(const ds_topic_options *options)
{
    return size_of(ring_of(options->capacity), options->capacity, options->subscribers);
}

/* All but what the stamp says. */
static void write_whole(ds_topic_head *head, const ds_topic_options *options)
{
    size_t lines = options->subscribers * sizeof(ds_topic_slot);
    memset(&head->ring, 0, sizeof *head - offsetof(ds_topic_head, ring) + lines);
    head->ring = ring_of(options->capacity);
    head->most = options->capacity;
    head->slots = options->subscribers;
    sync_eventcount_make(&head->news);
    sync_eventcount_make(&head->room);
    memset((uint8_t *)head->slot + lines, 0, sizeof(ds_topic_record));
}

static void finish(ds_topic_head *head, const ds_topic_options *options)
{
    mem_stamp_finish(&head->stamp, DS_TOPIC, DS_VERSION, sizeof *head,
                     options->drop ? DS_TOPIC_DROP : 0);
}

/* In memory that is nobody else's yet. */
void ds_topic_make(void *at, const ds_topic_options *options)
{
    write_whole(at, options);
    finish(at, options);
}

static void fill(ds_topic *topic, mem_mapping *mapping, void *at, uint64_t ring,
                 uint64_t most, uint64_t slots, bool drop)
{
    ds_topic_head *head = at;
    *topic = (ds_topic){
        .head = head,
        .bytes = (uint8_t *)(head->slot + slots),
        .mapping = mapping,
        .ring = ring,
        .most = most,
        .slots = (uint32_t)slots,
        .drop = drop,
    };
}

/* In memory of ds_topic_size bytes, where others may make one, too. */
int ds_topic_create(ds_topic *topic, mem_mapping *mapping, void *at,
                    const ds_topic_options *options, int64_t deadline)
{
    ds_topic_head *head = at;
    int error = mem_stamp_claim(&head->stamp, DS_TOPIC, DS_VERSION, deadline);
    if (error)
        return error;
    write_whole(head, options);
    finish(head, options);
    fill(topic, mapping, at, ring_of(options->capacity), options->capacity,
         options->subscribers, options->drop);
    return 0;
}

/* Finds it in the room that there is for it. */
int ds_topic_attach(ds_topic *topic, mem_mapping *mapping, void *at, size_t room,
                    int64_t deadline)
{
    const ds_topic_head *head = at;
    int error = mem_stamp_check(&head->stamp, DS_TOPIC, DS_VERSION, deadline);
    if (error)
        return error;
    uint32_t extra = mem_atomic_load32(&head->stamp.extra);
    uint64_t ring = mem_atomic_load64(&head->ring);
    uint64_t most = mem_atomic_load64(&head->most);
    uint64_t slots = mem_atomic_load64(&head->slots);
    if (mem_atomic_load32(&head->stamp.size) != sizeof *head || most < DS_TOPIC_LEAST ||
        most > DS_TOPIC_MOST || ring != ring_of(most) || slots < 1 ||
        slots > DS_TOPIC_SUBSCRIBERS || size_of(ring, most, slots) > room)
        return -ENOENT;
    fill(topic, mapping, at, ring, most, slots, extra & DS_TOPIC_DROP);
    return 0;
}

/*
 * Inside, where the positions make no sense, as only scribble does: all that is there is
 * given up.
 */
static LSHM_RARE void mend(ds_topic_head *head)
{
    uint64_t tail = (mem_atomic_load64(&head->tail) + ALIGN) & ~ALIGN;
    mem_atomic_store64(&head->oldest, tail);
    mem_atomic_store64(&head->limit, tail);
    mem_atomic_store64(&head->tail, tail);
}

int ds_topic_enter(const ds_topic *topic, int64_t deadline, pid_t *holder)
{
    ds_topic_head *head = topic->head;
    mem_guarded guarded = {.guard = &head->guard, .mapping = topic->mapping};
    int error = mem_guard_enter(&guarded, deadline, holder);
    if (error < 0)
        return error;
    uint64_t tail = mem_atomic_load64(&head->tail);
    uint64_t oldest = mem_atomic_load64(&head->oldest);
    if (__builtin_expect(tail - oldest > topic->ring || (tail | oldest) & ALIGN, 0))
        mend(head);
    return 0;
}

void ds_topic_leave(const ds_topic *topic)
{
    mem_guarded guarded = {.guard = &topic->head->guard, .mapping = topic->mapping};
    mem_guard_leave(&guarded);
}

/* Empties the line of one that is dead. */
int ds_topic_bury(const ds_topic *topic, uint32_t slot, uint64_t who, int64_t deadline,
                  pid_t *holder)
{
    int error = ds_topic_enter(topic, deadline, holder);
    if (error)
        return error;
    if (mem_atomic_load64(&topic->head->slot[slot].who) == who)
        mem_atomic_store64(&topic->head->slot[slot].who, 0);
    ds_topic_leave(topic);
    return 0;
}

/* Inside: how many bytes the slowest subscriber has not read yet. */
static uint64_t slowest(const ds_topic *topic, uint64_t tail, uint64_t there)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < topic->slots; i++) {
        const ds_topic_slot *slot = &topic->head->slot[i];
        if (mem_atomic_load64(&slot->who) == 0)
            continue;
        uint64_t behind = tail - mem_atomic_load64(&slot->cursor);
        if (behind > most && behind <= there) /* more would be scribble */
            most = behind;
    }
    return most;
}

/* Inside: whether nobody has to read any of what so many bytes would take the place of.
 */
static bool may_go(const ds_topic *topic, uint64_t tail, uint64_t oldest, uint64_t need)
{
    ds_topic_head *head = topic->head;
    uint64_t behind = tail - mem_atomic_load64(&head->limit);
    if (behind <= tail - oldest && behind + need <= topic->ring)
        return true;
    behind = slowest(topic, tail, tail - oldest);
    mem_atomic_publish64(&head->limit, tail - behind);
    return behind + need <= topic->ring;
}

/* Inside: the oldest message that stays when so many bytes go. */
static uint64_t after(const ds_topic *topic, uint64_t oldest, uint64_t tail, uint64_t go)
{
    uint64_t end = oldest + go;
    while (oldest != tail && (int64_t)(end - oldest) > 0) {
        ds_topic_record record;
        memcpy(&record, ds_topic_at(topic, oldest), sizeof record);
        uint64_t stride = ds_topic_stride(record.size);
        if (record.size > topic->most || stride > tail - oldest)
            return tail;
        oldest += stride;
    }
    return oldest;
}

/* Inside: -EAGAIN when there is no room. */
static int append(const ds_topic *topic, const ds_bytes *bytes)
{
    ds_topic_head *head = topic->head;
    uint64_t tail = mem_atomic_load64(&head->tail);
    uint64_t oldest = mem_atomic_load64(&head->oldest);
    ds_topic_record record = {.size = (uint32_t)(bytes->head_size + bytes->body_size)};
    uint64_t stride = ds_topic_stride(record.size), need = stride + sizeof record;
    if (tail - oldest + need > topic->ring) {
        if (!topic->drop && !may_go(topic, tail, oldest, need))
            return -EAGAIN;
        oldest = after(topic, oldest, tail, tail - oldest + need - topic->ring);
        mem_atomic_warn64(&head->oldest, oldest);
    }
    uint8_t *at = ds_topic_at(topic, tail);
    uint64_t next = ds_topic_number(topic, tail) + 1; /* its own stands there already */
    memcpy(at + offsetof(ds_topic_record, size), &record.size, sizeof record.size);
    at += sizeof record;
    memcpy(at, bytes->head, bytes->head_size);
    if (bytes->body_size)
        memcpy(at + bytes->head_size, bytes->body, bytes->body_size);
    memcpy(ds_topic_at(topic, tail + stride), &next, sizeof next);
    mem_atomic_publish64(&head->tail, tail + stride);
    return 0;
}

/* -EMSGSIZE when it is too long, -EAGAIN when publishing it has to wait. The deadline is
 * for the guard. */
int ds_topic_try(const ds_topic *topic, const ds_bytes *bytes, int64_t deadline,
                 pid_t *holder)
{
    if (bytes->head_size > topic->most ||
        bytes->body_size > topic->most - bytes->head_size)
        return -EMSGSIZE;
    int error = ds_topic_enter(topic, deadline, holder);
    if (error)
        return error;
    error = append(topic, bytes);
    ds_topic_leave(topic);
    if (!error)
        sync_eventcount_tell(&topic->head->news, INT_MAX);
    return error;
}

typedef struct waiting {
    const ds_topic *topic;
    pid_t *holder;
} waiting;

/* Whether nobody is in the way of so many bytes; thorough buries the dead that are. */
static int attempt(sync_wait *wait, bool thorough)
{
    const waiting *given = wait->handle->context;
    const ds_topic *topic = given->topic;
    uint64_t tail = mem_atomic_load64(&topic->head->tail);
    int result = 0;
    for (uint32_t i = 0; i < topic->slots; i++) {
        const ds_topic_slot *slot = &topic->head->slot[i];
        uint64_t who = mem_atomic_load64(&slot->who);
        uint64_t behind = tail - mem_atomic_load64(&slot->cursor);
        if (who == 0 || behind > topic->ring || behind + wait->value <= topic->ring)
            continue;
        if (!thorough)
            return -EAGAIN;
        if (who == os_thread_self())
            return -EDEADLK;
        int error = os_thread_alive(who)
                        ? -EAGAIN
                        : ds_topic_bury(topic, i, who, wait->deadline, given->holder);
        result = error ? error : result;
    }
    return result;
}

static unsigned waker(const sync_wait *wait)
{
    return mem_atomic_load32(&wait->handle->eventcount->cpu);
}

/*
 * The same, and waits: until the deadline for the slowest subscriber, -EDEADLK when that
 * is this very thread, and up to a second of that for the guard.
 */
int ds_topic_publish(const ds_topic *topic, const ds_bytes *bytes, int64_t deadline,
                     pid_t *holder)
{
    waiting given = {topic, holder};
    sync_handle room = {
        .eventcount = &topic->head->room,
        .mapping = topic->mapping,
        .kind = SYNC_EVENTCOUNT,
        .context = &given,
    };
    sync_wait wait = {
        .handle = &room,
        .word = &topic->head->room.turn,
        .attempt = attempt,
        .waker = waker,
        .deadline = deadline,
        .value = ds_topic_stride(bytes->head_size + bytes->body_size) +
                 sizeof(ds_topic_record),
    };
    for (bool late = false;;) {
        int error = ds_topic_try(topic, bytes, deadline, holder);
        if (error != -EAGAIN || late)
            return error == -EAGAIN ? -ETIMEDOUT : error;
        error = sync_wait_for(&wait);
        if (error)
            return error;
        late = deadline != OS_CLOCK_FOREVER && os_clock_now() >= deadline;
    }
}

/* How many messages are there, as it was just now. */
uint64_t ds_topic_count(const ds_topic *topic)
{
    const ds_topic_head *head = topic->head;
    uint64_t count = 0;
    for (int i = 0; i < TRIES; i++) {
        uint64_t oldest = mem_atomic_load64(&head->oldest);
        count = ds_topic_number(topic, mem_atomic_load64(&head->tail)) -
                ds_topic_number(topic, oldest);
        if (mem_atomic_heed64(&head->oldest) == oldest)
            break;
    }
    return count <= topic->ring / sizeof(ds_topic_record) ? count : 0;
}

/* How many subscribers live, and who the first of them are. */
uint32_t ds_topic_subscribers(const ds_topic *topic, uint64_t who[], uint32_t most)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < topic->slots; i++) {
        uint64_t one = mem_atomic_load64(&topic->head->slot[i].who);
        if (one == 0 || !os_thread_alive(one))
            continue;
        if (n < most)
            who[n] = one;
        n++;
    }
    return n;
}

/*
 * How many bytes the slowest subscriber has not read yet, as it was just now. Those who
 * are more than the spare behind and dead are let go, and do not count.
 */
int ds_topic_behind(const ds_topic *topic, uint64_t spare, uint64_t *behind,
                    pid_t *holder)
{
    uint64_t tail = mem_atomic_load64(&topic->head->tail);
    *behind = 0;
    for (uint32_t i = 0; i < topic->slots; i++) {
        const ds_topic_slot *slot = &topic->head->slot[i];
        uint64_t who = mem_atomic_load64(&slot->who);
        uint64_t more = who ? tail - mem_atomic_load64(&slot->cursor) : 0;
        if (more <= *behind || more > topic->ring) /* one that came later, or scribble */
            continue;
        bool gone = more > spare && !os_thread_alive(who);
        int error = gone ? ds_topic_bury(topic, i, who, OS_CLOCK_FOREVER, holder) : 0;
        if (error)
            return error;
        *behind = gone ? *behind : more;
    }
    return 0;
}
