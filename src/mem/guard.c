/*
 * A guard: a lock that the kernel releases when its holder dies, with an undo journal.
 *
 * Layout: the word, which holds the thread id of who is inside, a bit for those who wait
 * and one that the kernel sets when the holder dies; and the journal.
 *
 * Invariant: what the guard protects is whole whenever nobody is inside. Inside, bytes
 * are saved before they are changed; leaving empties the journal and then frees the word.
 * Who finds the kernel's bit takes the word over, puts the saved bytes back and is inside
 * what is whole again. The word's change by which one enters pairs with that by which the
 * last one left, or with the kernel's.
 *
 * Death: before the word is taken, nothing is changed; from then on the kernel marks it,
 * as it was told of the word before. After it is freed, the kernel wakes a waiter in
 * place of the dead. A thread is in one guard at a time, for a few hundred instructions:
 * no system call that blocks, no Lua, no allocation. So who waits for a second waits for
 * one that was stopped, or for a word that is nobody's, and gets an error.
 *
 * Waiting ends at the caller's deadline or after that second, whichever is earlier, and
 * in both cases with the holder's name. Whose deadline has passed, as that of who only
 * tries, does not wait for a holder that is stopped. One that runs, or could, needs no
 * more than the processor to leave: it is waited for up to FOR_RUNNING, which a machine
 * with too much to do makes use of. One that sleeps is none, and the word scribble,
 * unless it has just left and come again: it is for FOR_ASLEEP.
 */
#include "mem/mem.h"
#include "os/os.h"

#include <errno.h>

#define PATIENCE 1000000000LL /* nanoseconds */
#define FOR_ASLEEP 5000000LL
#define FOR_RUNNING 100000000LL
#define SPINS 200

_Static_assert(sizeof(mem_guard) ==
                   offsetof(mem_guard, used) + offsetof(mem_journal, entries),
               "the guard's journal, and behind it its entries");

static mem_journal *journal_of(mem_guard *guard)
{
    return (mem_journal *)&guard->used;
}

/* A holder that the kernel did not mark, as the memory was not mapped when it died. */
static bool is_lost(uint32_t held)
{
    uint32_t tid = held & OS_ROBUST_TID;
    return held & OS_ROBUST_DIED ||
           (tid && (tid > OS_THREAD_TID || !os_thread_alive(tid)));
}

/* Takes the word, which holds what was found there; bits are those it is left with. */
static bool take(mem_guard *guard, uint32_t found, uint32_t bits)
{
    uint32_t tid = (uint32_t)os_thread_self() & OS_THREAD_TID;
    return mem_atomic_cas32(&guard->word, &found,
                            tid | bits | (found & OS_ROBUST_WAITERS));
}

/* Until the word changes, or a moment before it is looked at again. */
static void sleep_for(mem_guard *guard, uint32_t held, int64_t until)
{
    if (!(held & OS_ROBUST_WAITERS)) {
        if (!mem_atomic_cas32(&guard->word, &held, held | OS_ROBUST_WAITERS))
            return;
        held |= OS_ROBUST_WAITERS;
    }
    os_futex_wait(&guard->word, held, until);
}

/* How long a holder is waited for beyond the deadline of who waits. */
static int64_t grace_of(uint32_t held)
{
    switch (os_process_state((pid_t)(held & OS_ROBUST_TID))) {
    case 'T':
    case 't':
        return 0;
    case 'S':
        return FOR_ASLEEP;
    default:
        return FOR_RUNNING;
    }
}

static int64_t earlier(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

static int wait_for(mem_guard *guard, int64_t deadline, bool *recovered, pid_t *holder)
{
    int64_t now = os_clock_now(), patience = now + PATIENCE;
    int64_t end = deadline < now ? now : earlier(deadline, patience);
    int looks = deadline == MEM_GUARD_NOW ? SPINS : SPINS + 1; /* else it sleeps first */
    uint32_t bits = 0;
    for (int spins = 0;; spins++) {
        uint32_t held = mem_atomic_load32(&guard->word), tid = held & OS_ROBUST_TID;
        *recovered = held & OS_ROBUST_DIED || (spins >= looks && is_lost(held));
        bool free = *recovered || !tid;
        if (free && take(guard, held, bits))
            return 0;
        *holder = tid ? (pid_t)tid : *holder;
        if (spins < SPINS) {
            os_wait_pause();
            continue;
        }
        if (deadline == MEM_GUARD_FIRST)
            return -EBUSY;
        now = os_clock_now();
        int64_t until = earlier(now + OS_WAIT_SLICE, end);
        if (now >= end)
            until = earlier(end + (free ? FOR_RUNNING : grace_of(held)), patience);
        if (now >= until && (mem_atomic_load32(&guard->word) & OS_ROBUST_TID) == tid)
            return -EBUSY;
        if (free) { /* who slept on a free word would not be woken */
            os_wait_pause();
            continue;
        }
        bits = OS_ROBUST_WAITERS; /* others may have gone to sleep meanwhile */
        sleep_for(guard, held, until);
    }
}

/* Goes on with what mem_guard_enter began, where the word is not free. */
int mem_guard_await(const mem_guarded *guarded, int64_t deadline, pid_t *holder)
{
    bool recovered = false;
    int error = wait_for(guarded->guard, deadline, &recovered, holder);
    if (error) {
        os_robust_end();
        return error;
    }
    if (mem_atomic_load64(&guarded->guard->used) != 0)
        mem_guard_undo(guarded);
    return recovered;
}

/* Puts back what was saved: for a holder that finds that it can not go on. */
void mem_guard_undo(const mem_guarded *guarded)
{
    mem_journal_undo(journal_of(guarded->guard), guarded->room, guarded->mapping->base,
                     guarded->mapping->size);
}

/* Before n bytes are changed inside. */
int mem_guard_save_many(const mem_guarded *guarded, const void *at, size_t n)
{
    return mem_journal_save(journal_of(guarded->guard), guarded->room, at, at, n);
}

/* From here on nothing of what was done is undone; what is done next still may be. */
void mem_guard_commit(const mem_guarded *guarded)
{
    mem_journal_clear(journal_of(guarded->guard));
}
