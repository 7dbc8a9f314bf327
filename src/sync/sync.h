/*
 * Floor 2: whose turn it is.
 *
 * Objects inside shared memory by which threads of any process take turns. All begin
 * alike: a stamp, 32 bytes of their own, and those who sleep. What lies in shared memory
 * is one of these structs; a sync_handle is this process's, and what a caller has.
 *
 * Waits end with 0 or, where the one before died holding the object, 1; or with
 * -ETIMEDOUT, -EINTR, -EDEADLK, -EFAULT when the memory is gone, -EBUSY when a guard
 * stays taken. Words are changed with sequential consistency, and sleepers are looked for
 * after the change that they wait for: who sleeps has said so before it looked last.
 */
#ifndef LSHM_SYNC_H
#define LSHM_SYNC_H

#include "mem/mem.h"
#include "os/os.h"

#pragma GCC visibility push(hidden)

#define SYNC_VERSION 1
#define SYNC_SLOTS 31          /* who can sleep at one object with their names on it */
#define SYNC_READERS 31        /* who can read at once */
#define SYNC_PARTIES 64        /* of a barrier */
#define SYNC_PATH 64           /* threads in a circle */
#define SYNC_BURYING 0x400000u /* in a slot: a sweeper's, whose sleeper died */
#define SYNC_ANY 0x800000u     /* in a slot: one that may go on by another object, too */
#define SYNC_MORE (1u << SYNC_SLOTS) /* in the mask: others sleep, too */

typedef enum sync_kind {
    SYNC_MUTEX = 1,
    SYNC_RWLOCK,
    SYNC_SEMAPHORE,
    SYNC_EVENT,
    SYNC_CONDITION,
    SYNC_BARRIER,
    SYNC_COUNTER,
    SYNC_EVENTCOUNT,
} sync_kind;

/* What the stamp's extra says, by kind. */
#define SYNC_RECURSIVE                                                                   \
    0x80000000u /* of a mutex; the rest is its journal's room, as a rwlock's */
#define SYNC_ROOM 0x7fffffffu
#define SYNC_MANUAL 1u /* of an event; a barrier's are its parties */

/* Layouts in shared memory. */
typedef struct sync_waiters {
    uint32_t sleeping; /* a bit for each slot in use */
    uint32_t more;     /* how many sleep that found no slot */
    uint64_t slot[SYNC_SLOTS];
} sync_waiters;

typedef struct sync_holder {
    uint64_t who; /* identity, with the cpu where it took the lock */
    int64_t next; /* how far from this object the one lies that the holder waits for */
} sync_holder;

typedef struct sync_object {
    mem_stamp stamp;
    uint8_t own[32];
    sync_waiters waiters;
    uint64_t unused;
} sync_object;

typedef struct sync_mutex {
    mem_stamp stamp;
    sync_holder owner;
    uint64_t since; /* CLOCK_MONOTONIC, in nanoseconds */
    uint32_t depth;
    uint32_t unused;
    sync_waiters waiters;
    mem_journal journal;
} sync_mutex;

typedef struct sync_rwlock {
    mem_stamp stamp;
    sync_holder writer; /* inside, or waiting for the last readers to leave */
    uint32_t turn;      /* what is slept on */
    uint32_t inside;    /* the writer is */
    uint64_t since;
    sync_waiters waiters;
    uint64_t unused;
    sync_holder reader[SYNC_READERS];
    mem_journal journal;
} sync_rwlock;

typedef struct sync_semaphore {
    mem_stamp stamp;
    uint32_t count, cpu;
    uint64_t unused[3];
    sync_waiters waiters;
} sync_semaphore;

typedef struct sync_event {
    mem_stamp stamp;
    uint32_t set, cpu;
    uint64_t unused[3];
    sync_waiters waiters;
} sync_event;

typedef struct sync_counter {
    mem_stamp stamp;
    uint64_t value;
    uint32_t turn, cpu;
    uint64_t unused[2];
    sync_waiters waiters;
} sync_counter;

typedef struct sync_eventcount {
    mem_stamp stamp;
    uint32_t turn, cpu;
    uint64_t unused[3];
    sync_waiters waiters;
} sync_eventcount;

typedef struct sync_condition {
    mem_stamp stamp;
    uint32_t arrivals, unused[7];
    sync_waiters waiters;
    uint64_t spare;
    uint32_t state[SYNC_SLOTS];
    uint32_t ticket[SYNC_SLOTS]; /* which of them came first */
} sync_condition;

typedef struct sync_arrival {
    uint64_t who;
    uint32_t generation; /* it counts in this one */
    uint32_t unused;
} sync_arrival;

typedef struct sync_barrier {
    mem_stamp stamp;
    uint32_t generation, cpu;
    uint64_t unused[3];
    sync_waiters waiters;
    uint64_t spare;
    mem_guard guard;
    uint64_t room[14];
    sync_arrival arrival[];
} sync_barrier;

_Static_assert(sizeof(sync_waiters) == 256 && sizeof(sync_object) == 320, "a layout");
_Static_assert(offsetof(sync_mutex, waiters) == 56 && sizeof(sync_mutex) == 320 &&
                   offsetof(sync_rwlock, waiters) == 56 && sizeof(sync_rwlock) == 824 &&
                   offsetof(sync_semaphore, waiters) == 56 &&
                   offsetof(sync_event, waiters) == 56 &&
                   offsetof(sync_counter, waiters) == 56 &&
                   offsetof(sync_eventcount, waiters) == 56 &&
                   offsetof(sync_condition, waiters) == 56 &&
                   offsetof(sync_barrier, waiters) == 56 && sizeof(sync_barrier) == 448,
               "layouts in shared memory");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the low half of an owner, slept on, comes first");

/* handle.c: this process's side */
typedef struct sync_handle {
    union {
        void *at;
        sync_object *object;
        sync_mutex *mutex;
        sync_rwlock *rwlock;
        sync_semaphore *semaphore;
        sync_event *event;
        sync_counter *counter;
        sync_eventcount *eventcount;
        sync_condition *condition;
        sync_barrier *barrier;
    };
    mem_mapping *mapping; /* a share of it; NULL when closed */
    sync_kind kind;
    uint32_t extra; /* as it was checked */
    /* An eventcount's: whether what it stands for may be had. Any thread may ask. */
    bool (*ready)(const struct sync_handle *handle);
    const void *context;
    bool fences; /* who waits pays for the fence of who tells: see os/fence.c */
    struct sync_handle *previous, *next;
} sync_handle;

struct sync_outcome;
size_t sync_size(sync_kind kind, uint32_t extra);
void sync_make(void *at, sync_kind kind, uint32_t extra, uint64_t value);
int sync_handle_create(sync_handle *handle, mem_mapping *mapping, void *at,
                       sync_kind kind, uint32_t extra, uint64_t value, int64_t deadline);
int sync_handle_attach(sync_handle *handle, mem_mapping *mapping, void *at, size_t room,
                       sync_kind kind, int64_t deadline);
void sync_handle_watch(sync_handle *handle, mem_mapping *mapping,
                       sync_eventcount *eventcount,
                       bool (*ready)(const sync_handle *handle), const void *context);
bool sync_handle_held(const sync_handle *handle);
bool sync_mapping_held(const mem_mapping *mapping);
void sync_handle_close(sync_handle *handle);
void sync_handle_remove(sync_handle *handle);
bool sync_handle_each(bool (*visit)(sync_handle *handle, void *context), void *context);
mem_journal *sync_handle_journal(const sync_handle *handle, size_t *room);
int sync_handle_undo(const sync_handle *handle, struct sync_outcome *outcome);

/* Who an identity is, whatever cpu stands beside it. */
static inline uint64_t sync_who(uint64_t word)
{
    return word & ~(uint64_t)OS_THREAD_CPU;
}

static inline unsigned sync_cpu(uint64_t word)
{
    return (unsigned)(word & OS_THREAD_CPU) >> 22;
}

static inline uint64_t sync_me(void)
{
    return os_thread_self() | (uint64_t)os_wait_cpu() << 22;
}

/* deadlock.c: who waits for whom */
typedef struct sync_path {
    int n;
    struct {
        const sync_holder *holder;
        const sync_waiters *waits; /* where it sleeps */
        uint64_t who;
    } step[SYNC_PATH];
} sync_path;

typedef struct sync_outcome {
    uint64_t dead;  /* who held it, after 1 */
    pid_t holder;   /* of the guard, after -EBUSY */
    sync_path path; /* after -EDEADLK */
    /* After another error: it was for what a dead holder is to be undone in. */
    bool unreachable;
} sync_outcome;

bool sync_deadlock(const sync_handle *handle, sync_path *path);
sync_holder *sync_holder_of(const sync_handle *handle, uint64_t who);

/* waiters.c: sleeping, and waking those who sleep */
typedef struct sync_wait {
    const sync_handle *handle;
    const uint32_t *word; /* it changes when trying is worth while */
    /* 0 or 1 when done, -EAGAIN when not yet. Thorough also looks whether a holder lives.
     */
    int (*attempt)(struct sync_wait *wait, bool thorough);
    unsigned (*waker)(const struct sync_wait *wait); /* the cpu it last ran on */
    int64_t deadline;
    sync_outcome *outcome;
    uint64_t value; /* what the attempt needs */
    bool claimed;
} sync_wait;

int sync_wait_for(sync_wait *wait);
int sync_waiters_claim(sync_waiters *waiters, uint64_t name);
void sync_waiters_show(sync_waiters *waiters, int slot);
int sync_waiters_enter(const sync_handle *handle, uint64_t name);
void sync_waiters_again(const sync_handle *handle, int slot);
void sync_waiters_leave(sync_waiters *waiters, int slot, uint64_t name);
bool sync_waiters_has(const sync_waiters *waiters, uint64_t who);
int sync_waiters_list(sync_waiters *waiters, uint64_t who[SYNC_SLOTS], uint32_t *more);
void sync_waiters_rouse(sync_waiters *waiters, const uint32_t *word, int n);

/* Whether wakers see that somebody sleeps in the slot. It is asked after the word that is
 * to be slept on was read: where not, that word may say no more that all were woken. */
static inline bool sync_waiters_shown(const sync_handle *handle, int slot)
{
    return mem_atomic_load32(&handle->object->waiters.sleeping) & 1u << slot;
}

/*
 * Whether a waiter may sleep on what it saw in the word before its attempt failed. A word
 * that says it could be had may say so again by now, and its wake-up be gone already.
 */
static inline bool sync_may_sleep(sync_kind kind, uint32_t seen)
{
    if (kind == SYNC_MUTEX)
        return seen != 0;
    if (kind == SYNC_SEMAPHORE)
        return seen == 0 || seen > INT32_MAX; /* scribble, of which nothing is taken */
    return kind != SYNC_EVENT || seen == 0;
}

/* No system call unless somebody sleeps. */
static inline void sync_wake(sync_waiters *waiters, const uint32_t *word, int n)
{
    if (__builtin_expect(mem_atomic_load32(&waiters->sleeping) != 0, 0))
        sync_waiters_rouse(waiters, word, n);
}

/* several.c: waiting for any of several */
int sync_several(const sync_handle *const handles[], size_t n, int64_t deadline,
                 size_t *which, sync_outcome *outcome);
int sync_attempt(const sync_handle *handle, bool thorough, sync_outcome *outcome);
const uint32_t *sync_word(const sync_handle *handle);

/* notice.c: a descriptor for event loops */
typedef struct sync_notice sync_notice;

int sync_notice_open(const sync_handle *handle, uint64_t seen, sync_notice **opened);
int sync_notice_fd(const sync_notice *notice);
void sync_notice_ask(sync_notice *notice, uint64_t seen);
void sync_notice_close(sync_notice *notice);

/* The objects, a file each. */
int sync_mutex_wait(const sync_handle *handle, int64_t deadline, sync_outcome *outcome);
int sync_mutex_leave(const sync_handle *handle);
bool sync_mutex_again(const sync_handle *handle);
int sync_mutex_attempt(sync_wait *wait, bool thorough);

int sync_rwlock_write(const sync_handle *handle, int64_t deadline, sync_outcome *outcome);
int sync_rwlock_read(const sync_handle *handle, int64_t deadline, sync_outcome *outcome);
int sync_rwlock_leave(const sync_handle *handle);
bool sync_rwlock_is_read(sync_rwlock *rwlock, bool thorough);

int sync_semaphore_wait(const sync_handle *handle, int64_t deadline);
int sync_semaphore_post(const sync_handle *handle, uint32_t n);
int sync_semaphore_attempt(sync_wait *wait, bool thorough);

int sync_event_wait(const sync_handle *handle, int64_t deadline);
void sync_event_set(const sync_handle *handle);
void sync_event_reset(const sync_handle *handle);
int sync_event_attempt(sync_wait *wait, bool thorough);

uint64_t sync_counter_add(const sync_handle *handle, uint64_t n);
void sync_counter_set(const sync_handle *handle, uint64_t value);
int sync_counter_wait(const sync_handle *handle, int64_t least, int64_t deadline);

void sync_eventcount_make(sync_eventcount *eventcount);
int sync_eventcount_attempt(sync_wait *wait, bool thorough);
int sync_eventcount_wait(const sync_handle *handle, int64_t deadline);
LSHM_RARE void sync_eventcount_rouse(sync_eventcount *eventcount, int n);

int sync_condition_wait(const sync_handle *handle, const sync_handle *mutex,
                        int64_t deadline, sync_outcome *outcome, int *relocked);
bool sync_condition_signal(const sync_handle *handle);
int sync_condition_broadcast(const sync_handle *handle);

int sync_barrier_wait(const sync_handle *handle, int64_t deadline, bool *last,
                      sync_outcome *outcome);
int sync_barrier_arrived(const sync_handle *handle);

/*
 * Tells who waits for it that it may be had: after the change that made it so, and an
 * instruction that is sequentially consistent behind that change; or without one, where
 * this process has joined and those who wait have handles that fence.
 */
static inline void sync_eventcount_tell(sync_eventcount *eventcount, int n)
{
    if (__builtin_expect(mem_atomic_load32(&eventcount->waiters.sleeping) != 0, 0))
        sync_eventcount_rouse(eventcount, n);
}

/*
 * Takes a mutex that is free, or says no. The change pairs with the one by which the last
 * owner left. Since when it is held is for people, and written after it is.
 */
static inline bool sync_mutex_take(sync_mutex *mutex)
{
    uint64_t nobody = 0;
    struct timespec now;
    if (!mem_atomic_cas64(&mutex->owner.who, &nobody, sync_me()))
        return false;
    mutex->depth = 1;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    mem_atomic_note64(&mutex->since, (uint64_t)(now.tv_sec * 1000000000LL + now.tv_nsec));
    return true;
}

/* Leaves one that this thread has taken once, or says no. */
static inline bool sync_mutex_give(sync_mutex *mutex)
{
    if (sync_who(mem_atomic_load64(&mutex->owner.who)) != os_thread_self() ||
        mutex->depth != 1)
        return false;
    mem_atomic_store64(&mutex->owner.who, 0);
    sync_wake(&mutex->waiters, (const uint32_t *)&mutex->owner.who, 1);
    return true;
}

#pragma GCC visibility pop

#endif
