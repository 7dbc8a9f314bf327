/*
 * Queues, and loans of their messages. Part of ds.h, which includes it.
 */
#ifndef LSHM_DS_QUEUE_H
#define LSHM_DS_QUEUE_H

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
    bool fenced; /* by this process's publishing, as the sleepers can not do it */
    mem_guarded pushing, popping;
    sync_handle items, room; /* to wait by */
    uint32_t wanted;         /* units, by who waits for room */
    uint32_t told;           /* how often others were */
    uint32_t quick, lull;    /* by who pops: see ring.h */
} ds_queue;

/* A message among those that were taken. */
typedef struct ds_message {
    const uint8_t *bytes;
    uint32_t size;
    bool raw; /* rather than a value: it was written to a loan */
} ds_message;

/* The first message where it lies, for the one consumer that there is. */
typedef struct ds_first {
    const uint8_t *bytes; /* which are shared memory still */
    uint32_t size;
    bool raw;
    uint64_t at, beyond; /* where the popping end stands, and is to stand */
} ds_first;

size_t ds_queue_size(const ds_queue_options *options);
void ds_queue_make(void *at, const ds_queue_options *options);
int ds_queue_create(ds_queue *queue, mem_mapping *mapping, void *at,
                    const ds_queue_options *options, int64_t deadline);
int ds_queue_attach(ds_queue *queue, mem_mapping *mapping, void *at, size_t room,
                    int64_t deadline);
void ds_queue_close(ds_queue *queue);
int ds_queue_push(ds_queue *queue, const ds_bytes *bytes, int64_t deadline,
                  pid_t *holder);
size_t ds_queue_record_size(size_t length);
size_t ds_queue_record(uint8_t *record, const ds_bytes *bytes);
int ds_queue_push_many(ds_queue *queue, const uint8_t *records, size_t n,
                       int64_t deadline, size_t *pushed, pid_t *holder);
int ds_queue_pop(ds_queue *queue, ds_buffer *out, int64_t deadline, ds_message *message,
                 pid_t *holder);
int ds_queue_first(ds_queue *queue, int64_t deadline, ds_first *first, pid_t *holder);
int ds_queue_pop_many(ds_queue *queue, ds_buffer *out, size_t most, int64_t deadline,
                      size_t *popped, pid_t *holder);
int ds_queue_peek(ds_queue *queue, ds_buffer *out, ds_message *message, pid_t *holder);
const uint8_t *ds_queue_message(const uint8_t *bytes, ds_message *message);
uint32_t ds_queue_length(const ds_queue *queue);
size_t ds_queue_used(const ds_queue *queue);
int ds_queue_shutdown(ds_queue *queue, pid_t *holder);
LSHM_RARE int ds_queue_claim(ds_queue *queue, uint64_t *role, pid_t *holder);
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
LSHM_RARE void ds_queue_tell_cpu(sync_eventcount *eventcount);
int ds_queue_front(ds_queue *queue, uint64_t *head, const uint64_t *lost,
                   uint64_t *header);
LSHM_RARE uint32_t ds_queue_unwritten(const ds_queue *queue, uint64_t head,
                                      uint64_t tail);

#endif
