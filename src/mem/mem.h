/*
 * Floor 1: bytes, wherever they came from.
 *
 * Plain C over floor 0. Nothing here knows what the bytes mean.
 */
#ifndef LSHM_MEM_H
#define LSHM_MEM_H

#include "mem/atomic.h"
#include "os/os.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

/*
 * Whether n bytes at offset lie inside size bytes. Offsets come from callers
 * and from other processes: no sum is formed that could overflow.
 */
static inline bool mem_inside(size_t size, uint64_t offset, uint64_t n)
{
    return n <= size && offset <= size - n;
}

/* fault.c: accesses that the kernel answers with a signal */
#define MEM_FAULT_COVERS 32

typedef struct mem_fault {
    struct mem_mapping *previous, *next; /* the mappings whose faults are caught */
    volatile sig_atomic_t signo; /* of the first one since it was last asked, or 0 */
    uint32_t times;              /* how many faults there were */
    bool gone;                   /* some of its pages could not be kept */
    int covers;                  /* how many of these are in use */
    struct {
        uint8_t *base;
        size_t size;
        void *aside;
    } cover[MEM_FAULT_COVERS]; /* pages that lie aside until the access has ended */
} mem_fault;

extern volatile sig_atomic_t mem_fault_hint;

int mem_fault_watch(struct mem_mapping *mapping);
void mem_fault_forget(struct mem_mapping *mapping);
int mem_fault_end(struct mem_mapping *mapping);
void mem_fault_lose(struct mem_mapping *mapping);
bool mem_fault_watches(const uint8_t *base, size_t size);

/*
 * Whether any mapping had a fault: asked after each access, and no more than a flag. The
 * handler that sets it runs in the middle of the access, in its thread.
 */
static inline bool mem_fault_seen(void)
{
    mem_atomic_order_signal();
    return __builtin_expect(mem_fault_hint, 0);
}

/* mapping.c: shared bytes in this process's address space, with their count of users */
#define MEM_MAPPING_LABEL 40

typedef int (*mem_mapping_free)(void *base, size_t size);

typedef struct mem_mapping {
    uint8_t *base;
    size_t size; /* of the address range, which may reach beyond the object's end */
    bool readonly;
    bool grows; /* within the range, by others too: who needs more asks for its size */
    uint32_t users;
    mem_mapping_free free;
    bool window;   /* there is more behind it, which resizing does not cut off */
    bool own;      /* what is written stays this process's */
    bool part;     /* there may be more of the object, and no descriptor leads to it */
    int fd;        /* of the object behind, to go with the mapping; or -1 */
    off_t offset;  /* in that object, of the first page */
    size_t slack;  /* how far into that page the bytes that were asked for begin */
    void *regions; /* the handles that show it, if somebody keeps a list of them */
    struct mem_journal *journal; /* of the transaction that goes on, and its room */
    size_t room;
    uint64_t journalist; /* whose transaction it is */
    mem_fault fault;
    char label[MEM_MAPPING_LABEL]; /* for people: "sysv 32769" */
} mem_mapping;

mem_mapping *mem_mapping_new(void *base, size_t size, bool readonly,
                             mem_mapping_free free, const char *label);
void mem_mapping_retain(mem_mapping *mapping);
int mem_mapping_release(mem_mapping *mapping);
void mem_mapping_yield(mem_mapping *mapping, size_t n);

/* object.c: memory objects and files, mapped */
typedef struct mem_object_options {
    mode_t mode;    /* of one that is created */
    size_t max;     /* how far it may grow without moving, 0 for no further than it is */
    off_t offset;   /* where in the file */
    bool readonly;  /* it is only looked at */
    bool own;       /* what is written stays this process's */
    bool prefault;  /* all pages at once, rather than each at its first touch */
    bool any_owner; /* else it must be owner's */
    uid_t owner;
} mem_object_options;

typedef struct mem_object_found {
    size_t size;
    uid_t owner;
    bool unfit; /* the error is what it is, and not the kernel's */
} mem_object_found;

int mem_object_create(const char *name, size_t size, const mem_object_options *options,
                      mem_mapping **mapping);
int mem_object_attach(const char *name, size_t least, const mem_object_options *options,
                      mem_object_found *found, mem_mapping **mapping);
int mem_object_open(const char *name, size_t size, const mem_object_options *options,
                    mem_object_found *found, mem_mapping **mapping);
int mem_object_anonymous(size_t size, const mem_object_options *options,
                         mem_mapping **mapping);
int mem_object_extend(int fd, off_t size);
int mem_object_map(int fd, size_t *size, const mem_object_options *options,
                   const char *label, mem_mapping **mapping);
size_t mem_object_size(const mem_mapping *mapping);
int mem_object_whole(const mem_mapping *mapping, mem_mapping **other);
int mem_object_resize(mem_mapping *mapping, size_t *size, mem_mapping **other);

/* stamp.c: what an object in shared memory begins with */
typedef struct mem_stamp {
    uint64_t mark; /* what it is, or who is making it */
    uint64_t home;
    uint32_t size; /* of the object, in bytes */
    uint32_t extra;
} mem_stamp;

_Static_assert(sizeof(mem_stamp) == 24, "a layout in shared memory");

int mem_stamp_claim(mem_stamp *stamp, uint16_t kind, uint16_t version, int64_t deadline);
void mem_stamp_finish(mem_stamp *stamp, uint16_t kind, uint16_t version, uint32_t size,
                      uint32_t extra);
int mem_stamp_check(const mem_stamp *stamp, uint16_t kind, uint16_t version,
                    int64_t deadline);
bool mem_stamp_free(const mem_stamp *stamp);
bool mem_stamp_is(const mem_stamp *stamp, uint16_t kind, uint16_t version);
void mem_stamp_erase(mem_stamp *stamp);
void mem_stamp_adopt(mem_stamp *stamp);

/* sum.c: a number by which bytes are known again */
uint64_t mem_sum(const uint8_t *bytes, size_t n);

/* journal.c: what bytes were before they were changed */
typedef struct mem_journal {
    uint64_t used; /* bytes of entries that count */
    uint8_t entries[];
} mem_journal;

typedef struct mem_journal_tail { /* of an entry, behind its bytes */
    int64_t distance;             /* of the place from the journal */
    uint64_t n;
} mem_journal_tail;

int mem_journal_save(mem_journal *journal, size_t room, const void *at, const void *as,
                     size_t n);

/* The same for few bytes whose number the compiler knows, without a call. They go by the
 * stack, as a place that is scribble may overlap the journal. */
#define MEM_JOURNAL_FEW 32

static inline int mem_journal_save_few(mem_journal *journal, size_t room, const void *at,
                                       const void *as, size_t n)
{
    uint64_t used = mem_atomic_load64(&journal->used); /* once: it is anybody's */
    uint8_t bytes[MEM_JOURNAL_FEW];
    size_t padded = (n + 7) / 8 * 8;
    if (used > room || padded + sizeof(mem_journal_tail) > room - used)
        return -ENOSPC;
    mem_journal_tail end = {.distance = (const uint8_t *)at - (uint8_t *)journal, .n = n};
    memcpy(bytes, as, n);
    memcpy(journal->entries + used, bytes, n);
    memcpy(journal->entries + used + padded, &end, sizeof end);
    mem_atomic_publish64(&journal->used, used + padded + sizeof end);
    return 0;
}

bool mem_journal_lies_in(const mem_journal *journal, size_t room, const uint8_t *base,
                         size_t size);
void mem_journal_undo(mem_journal *journal, size_t room, uint8_t *base, size_t size);
void mem_journal_clear(mem_journal *journal);

/* guard.c: a lock that the kernel releases, with a journal */
typedef struct mem_guard {
    uint32_t word;
    uint32_t unused;
    uint64_t used; /* of the journal, whose room lies behind this */
} mem_guard;

_Static_assert(sizeof(mem_guard) == 16, "a layout in shared memory");

/* A guard, and what is known of it without asking the memory that it lies in. */
typedef struct mem_guarded {
    mem_guard *guard;
    size_t room; /* bytes of the journal, 0 for what is never undone */
    const mem_mapping *mapping;
} mem_guarded;

int mem_guard_await(const mem_guarded *guarded, int64_t deadline, pid_t *holder);
int mem_guard_save_many(const mem_guarded *guarded, const void *at, size_t n);
void mem_guard_undo(const mem_guarded *guarded);
void mem_guard_commit(const mem_guarded *guarded);

/* Deadlines of who does not wait: it tries, and has some patience with a holder that
 * runs; or it tries, and will come again with a deadline. */
#define MEM_GUARD_NOW 0
#define MEM_GUARD_FIRST (-1)

/*
 * Returns 0, or 1 when the last holder died inside and what it had begun was undone; or
 * -EBUSY, with the holder, at the deadline or after a second, whichever comes first. See
 * guard.c. The kernel's answer to a signal is not an end.
 */
static inline int mem_guard_enter(const mem_guarded *guarded, int64_t deadline,
                                  pid_t *holder)
{
    mem_guard *guard = guarded->guard;
    uint32_t free = 0;
    int error = os_robust_begin(&guard->word);
    if (error)
        return error;
    if (!mem_atomic_cas32(&guard->word, &free,
                          (uint32_t)os_thread_self() & OS_THREAD_TID))
        return mem_guard_await(guarded, deadline, holder);
    if (__builtin_expect(mem_atomic_load64(&guard->used) != 0, 0))
        mem_guard_undo(guarded);
    return 0;
}

static inline void mem_guard_leave(const mem_guarded *guarded)
{
    mem_guard *guard = guarded->guard;
    mem_atomic_publish64(&guard->used, 0);
    if (mem_atomic_swap32(&guard->word, 0) & OS_ROBUST_WAITERS)
        os_futex_wake(&guard->word, 1);
    os_robust_end();
}

/* What undoing is to write to a place, where that is other than what is there now. */
static inline int mem_guard_save_as(const mem_guarded *guarded, uint64_t *at, uint64_t as)
{
    return mem_journal_save_few((mem_journal *)&guarded->guard->used, guarded->room, at,
                                &as, sizeof as);
}

/* Before n bytes are changed inside. */
static inline int mem_guard_save(const mem_guarded *guarded, const void *at, size_t n)
{
    if (__builtin_constant_p(n) && n <= MEM_JOURNAL_FEW)
        return mem_journal_save_few((mem_journal *)&guarded->guard->used, guarded->room,
                                    at, at, n);
    return mem_guard_save_many(guarded, at, n);
}

/* chaos.c: death before a store that is counted */
int mem_chaos_arm(mem_mapping *mapping, uint64_t *word, uint64_t n);
int mem_chaos_disarm(uint64_t *stores);
void mem_chaos_lift(bool stores);
void mem_chaos_again(void);

/* word.c: a 32-bit word to sleep on */
int mem_word_wait(const mem_mapping *mapping, const uint32_t *word, uint32_t expected,
                  int64_t deadline);

#pragma GCC visibility pop

#endif
