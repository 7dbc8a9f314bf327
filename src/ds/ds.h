/*
 * Floor 3: furniture, the structures that people come for.
 *
 * Each lies in shared memory behind a stamp, begins there on a cache line of its own, and
 * has a struct of this process's by which it is used. Functions return 0 or -errno;
 * -EBUSY when a guard stays taken, with its holder; -EBADMSG when what lies there makes
 * no sense, as only scribble does; -EFAULT when the memory is gone.
 *
 * Nothing in shared memory is trusted: an offset or a length is copied out once, checked
 * against the mapping, and then used.
 */
#ifndef LSHM_DS_H
#define LSHM_DS_H

#include "mem/mem.h"
#include "os/os.h"
#include "sync/sync.h"

#include <errno.h>

#pragma GCC visibility push(hidden)

#define DS_VERSION 1
#define DS_NOW 0   /* a deadline: not to wait at all, and not to look at the clock */
#define DS_LINE 64 /* bytes of a cache line, to which all furniture is aligned */

typedef enum ds_kind {
    DS_ARENA = 16,
    DS_QUEUE,
    DS_TOPIC,
    DS_MAP,
    DS_BYTES,
} ds_kind;

/* Bytes that go in: those of the head, and behind them those of the body. */
typedef struct ds_bytes {
    const void *head, *body;
    size_t head_size, body_size;
} ds_bytes;

/*
 * Bytes that come out, into the caller's private memory. Where its room does not do,
 * nothing was taken: the answer is -ENOBUFS, size says how much is needed, and the caller
 * calls again with more. No memory is asked for inside a guard.
 */
typedef struct ds_buffer {
    uint8_t *bytes;
    size_t room, size;
} ds_buffer;

/* topic.c: messages for all who listen. Layouts in shared memory. */
#define DS_TOPIC_LEAST 64 /* bytes of the capacity */
#define DS_TOPIC_MOST (1ull << 30)
#define DS_TOPIC_SUBSCRIBERS 4096
#define DS_TOPIC_DROP 1u /* in the stamp's extra */

typedef struct ds_topic_record {
    uint64_t number; /* of the message, or of the next one where none is yet */
    uint32_t size, unused;
} ds_topic_record;

typedef struct ds_topic_slot {
    uint64_t who;    /* the thread whose it is, or 0 */
    uint64_t cursor; /* up to where it has read */
    uint64_t unused[6];
} ds_topic_slot;

typedef struct ds_topic_head {
    mem_stamp stamp;
    uint64_t ring, most, slots; /* bytes, those of the longest message; subscribers */
    uint64_t unused[2];
    mem_guard guard; /* of those who publish, to the end of the line */
    uint64_t tail;   /* behind the newest message */
    uint64_t oldest; /* where the oldest message is that is there */
    uint64_t limit;  /* no subscriber is behind this */
    uint64_t spare[3];
    sync_eventcount news; /* for subscribers, that there is a message */
    uint64_t more;
    sync_eventcount room; /* for publishers, that somebody has read or gone */
    uint64_t rest;
    ds_topic_slot slot[];
} ds_topic_head;

_Static_assert(sizeof(ds_topic_record) == 16 && sizeof(ds_topic_slot) == DS_LINE &&
                   offsetof(ds_topic_head, guard) == DS_LINE &&
                   offsetof(ds_topic_head, tail) == 80 &&
                   offsetof(ds_topic_head, news) == 2 * DS_LINE &&
                   offsetof(ds_topic_head, room) == 7 * DS_LINE &&
                   offsetof(ds_topic_head, slot) == 12 * DS_LINE,
               "layouts in shared memory");

typedef struct ds_topic_options {
    uint64_t capacity;
    uint32_t subscribers;
    bool drop;
} ds_topic_options;

typedef struct ds_topic {
    ds_topic_head *head;
    uint8_t *bytes; /* the ring's */
    mem_mapping *mapping;
    uint64_t ring, most; /* as they were checked */
    uint32_t slots;
    bool drop;
} ds_topic;

size_t ds_topic_size(const ds_topic_options *options);
void ds_topic_make(void *at, const ds_topic_options *options);
int ds_topic_create(ds_topic *topic, mem_mapping *mapping, void *at,
                    const ds_topic_options *options, int64_t deadline);
int ds_topic_attach(ds_topic *topic, mem_mapping *mapping, void *at, size_t room,
                    int64_t deadline);
int ds_topic_try(const ds_topic *topic, const ds_bytes *bytes, pid_t *holder);
int ds_topic_publish(const ds_topic *topic, const ds_bytes *bytes, int64_t deadline,
                     pid_t *holder);
uint64_t ds_topic_count(const ds_topic *topic);
uint32_t ds_topic_subscribers(const ds_topic *topic, uint64_t who[], uint32_t most);

/* subscriber.c: who listens */
typedef struct ds_subscriber {
    ds_topic topic;
    ds_topic_slot *slot;
    uint64_t who; /* whose it is, and in its slot */
    uint64_t cursor, number;
    uint64_t lost; /* up to the last message that it got */
} ds_subscriber;

int ds_subscriber_open(ds_subscriber *subscriber, const ds_topic *topic, bool oldest,
                       pid_t *holder);
void ds_subscriber_close(ds_subscriber *subscriber);
int ds_subscriber_try(ds_subscriber *subscriber, ds_buffer *out, pid_t *holder);
int ds_subscriber_next(ds_subscriber *subscriber, const sync_handle *news,
                       int64_t deadline, ds_buffer *out, pid_t *holder);
bool ds_subscriber_ready(const sync_handle *news);
void ds_subscriber_survey(const ds_subscriber *subscriber, uint64_t *waiting,
                          uint64_t *lost);

/* What both sides have in common. */
static inline uint8_t *ds_topic_at(const ds_topic *topic, uint64_t position)
{
    return topic->bytes + (position & (topic->ring - 1));
}

static inline uint64_t ds_topic_number(const ds_topic *topic, uint64_t position)
{
    ds_topic_record record;
    __builtin_memcpy(&record.number, ds_topic_at(topic, position), sizeof record.number);
    return record.number;
}

/* How far it is from a message of that size to the next one. */
static inline uint64_t ds_topic_stride(uint64_t size)
{
    return (size + 2 * sizeof(ds_topic_record) - 1) & ~(sizeof(ds_topic_record) - 1);
}

int ds_topic_enter(const ds_topic *topic, pid_t *holder);
void ds_topic_leave(const ds_topic *topic);
int ds_topic_bury(const ds_topic *topic, uint32_t slot, uint64_t who, pid_t *holder);
/* queue.c: messages, first in, first out */
#define DS_QUEUE_LEAST 64u
#define DS_QUEUE_MOST (1u << 30)
#define DS_QUEUE_SLOTS 16 /* loans, and views, that there can be at once */
#define DS_QUEUE_REJECT 1u
#define DS_QUEUE_SPSC 2u

typedef struct ds_queue_options {
    uint32_t capacity; /* bytes of the longest message */
    bool reject;       /* pushing does not wait for room */
    bool spsc;         /* one pushes and one pops: without guards */
} ds_queue_options;

/* Layouts in shared memory. An end is a place and a number of messages: see ring.h. */
typedef struct ds_queue_side {
    mem_guard guard;
    uint64_t end;
    uint64_t seen; /* what was last seen of the other's */
    uint64_t unused[4];
} ds_queue_side;

typedef struct ds_queue_slot {
    uint64_t who; /* identity, or 0 */
    uint64_t at;  /* where the end stood */
} ds_queue_slot;

typedef struct ds_queue_layout {
    mem_stamp stamp; /* extra is the flags */
    uint32_t capacity;
    uint32_t units; /* of eight bytes, in the ring */
    uint32_t shut;
    uint32_t unused;
    uint64_t producer, consumer; /* who has the role, where there is one of each */
    uint64_t spare;
    ds_queue_side push;
    sync_eventcount items;
    uint64_t filler;
    ds_queue_side pop;
    sync_eventcount room;
    uint64_t more_filler;
    ds_queue_slot loans[DS_QUEUE_SLOTS];
    ds_queue_slot views[DS_QUEUE_SLOTS];
} ds_queue_layout; /* and behind it the ring */

_Static_assert(sizeof(ds_queue_side) == DS_LINE &&
                   offsetof(ds_queue_layout, push) == DS_LINE &&
                   offsetof(ds_queue_layout, pop) % DS_LINE == 0 &&
                   sizeof(ds_queue_layout) == 21 * DS_LINE,
               "a layout in shared memory");

/* A queue as this process has it. */
typedef struct ds_queue {
    ds_queue_layout *at;
    uint8_t *ring;
    uint32_t capacity, units;
    bool reject, spsc;
    mem_guarded pushing, popping;
    sync_handle items, room; /* to wait by */
    uint32_t wanted;         /* units, by who waits for room */
    uint32_t told;           /* how often others were */
} ds_queue;

/* A message among those that were taken. */
typedef struct ds_message {
    const uint8_t *bytes;
    uint32_t size;
    bool raw; /* rather than a value: it was written to a loan */
} ds_message;

size_t ds_queue_size(const ds_queue_options *options);
void ds_queue_make(void *at, const ds_queue_options *options);
int ds_queue_create(ds_queue *queue, mem_mapping *mapping, void *at,
                    const ds_queue_options *options, int64_t deadline);
int ds_queue_attach(ds_queue *queue, mem_mapping *mapping, void *at, size_t room,
void ds_queue_close(ds_queue *queue);
int ds_queue_push(ds_queue *queue, const ds_bytes *bytes, int64_t deadline,
                  pid_t *holder);
size_t ds_queue_record_size(size_t length);
size_t ds_queue_record(uint8_t *record, const ds_bytes *bytes);
int ds_queue_push_many(ds_queue *queue, const uint8_t *records, size_t n,
                       int64_t deadline, size_t *pushed, pid_t *holder);
int ds_queue_pop(ds_queue *queue, ds_buffer *out, size_t most, int64_t deadline,
                 size_t *popped, pid_t *holder);
int ds_queue_peek(ds_queue *queue, ds_buffer *out, pid_t *holder);
const uint8_t *ds_queue_message(const uint8_t *bytes, ds_message *message);
uint32_t ds_queue_length(const ds_queue *queue);
size_t ds_queue_used(const ds_queue *queue);
int ds_queue_shutdown(ds_queue *queue, pid_t *holder);
LSHM_RARE int ds_queue_claim(uint64_t *role, pid_t *holder);
bool ds_queue_ready(const sync_handle *handle);

/* loan.c: messages that are written, and read, where they lie */
typedef struct ds_loan {
    ds_queue_layout *at;
    uint8_t *bytes;
    uint32_t size, extent;
    ds_queue_slot *slot;
    uint64_t who; /* whose it is: a child made by fork has no share in it */
    bool raw;     /* of a view */
} ds_loan;

int ds_queue_loan(ds_queue *queue, uint32_t size, int64_t deadline, ds_loan *loan,
                  pid_t *holder);
int ds_loan_commit(const ds_loan *loan, uint32_t size);
void ds_loan_drop(const ds_loan *loan);
int ds_queue_view(ds_queue *queue, int64_t deadline, ds_loan *view, pid_t *holder);
void ds_view_release(const ds_loan *view);
LSHM_RARE uint64_t ds_queue_limit(const ds_queue *queue, uint64_t tail);
LSHM_RARE int ds_queue_await_room(ds_queue *queue, uint32_t extent, int64_t deadline);
LSHM_RARE bool ds_queue_lost(const ds_queue *queue, uint64_t head);
LSHM_RARE uint32_t ds_queue_unwritten(const ds_queue *queue, uint64_t head,
                                      uint64_t tail);

#pragma GCC visibility pop

#include "ds/arena.h"
#include "ds/hashmap.h"

#endif
