/*
 * Topics, and those who listen. Part of ds.h, which includes it.
 */
#ifndef LSHM_DS_TOPIC_H
#define LSHM_DS_TOPIC_H

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
int ds_topic_try(const ds_topic *topic, const ds_bytes *bytes, int64_t deadline,
                 pid_t *holder);
int ds_topic_publish(const ds_topic *topic, const ds_bytes *bytes, int64_t deadline,
                     pid_t *holder);
uint64_t ds_topic_count(const ds_topic *topic);
int ds_topic_behind(const ds_topic *topic, uint64_t spare, uint64_t *behind,
                    pid_t *holder);
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
int ds_subscriber_try(ds_subscriber *subscriber, int64_t deadline, ds_buffer *out,
                      pid_t *holder);
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

int ds_topic_enter(const ds_topic *topic, int64_t deadline, pid_t *holder);
void ds_topic_leave(const ds_topic *topic);
int ds_topic_bury(const ds_topic *topic, uint32_t slot, uint64_t who, int64_t deadline,
                  pid_t *holder);

#endif
