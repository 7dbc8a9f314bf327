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
 */
#include "mem/mem.h"
#include "os/os.h"

#include <errno.h>

#define PATIENCE 1000000000LL
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

static bool sleep_for(mem_guard *guard, uint32_t held, int64_t deadline)
{
    if (!(held & OS_ROBUST_WAITERS)) {
        if (!mem_atomic_cas32(&guard->word, &held, held | OS_ROBUST_WAITERS))
            return true;
        held |= OS_ROBUST_WAITERS;
    }
    int64_t slice = os_clock_now() + OS_WAIT_SLICE;
    os_futex_wait(&guard->word, held, slice < deadline ? slice : deadline);
    return os_clock_now() < deadline;
}

static int wait_for(mem_guard *guard, int64_t deadline, bool *recovered, pid_t *holder)
{
    int64_t patience = os_clock_now() + PATIENCE;
    deadline = deadline < patience ? deadline : patience;
    uint32_t bits = 0;
    for (int spins = 0;; spins++) {
        uint32_t held = mem_atomic_load32(&guard->word);
        *recovered = held & OS_ROBUST_DIED || (spins > SPINS && is_lost(held));
        bool free = *recovered || !(held & OS_ROBUST_TID);
        if (free && take(guard, held, bits))
            return 0;
        *holder = (pid_t)(held & OS_ROBUST_TID);
        if (spins < SPINS || free) { /* who slept on a free word would not be woken */
            if (free && os_clock_now() >= deadline)
                return -EBUSY;
            os_wait_pause();
            continue;
        }
        bits = OS_ROBUST_WAITERS; /* others may have gone to sleep meanwhile */
        if (!sleep_for(guard, held, deadline))
            return -EBUSY;
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
int mem_guard_save(const mem_guarded *guarded, const void *at, size_t n)
{
    return mem_journal_save(journal_of(guarded->guard), guarded->room, at, at, n);
}

/* The same where undoing is to write other bytes than those that are there now. */
int mem_guard_save_as(const mem_guarded *guarded, const void *at, const void *as,
                      size_t n)
{
    return mem_journal_save(journal_of(guarded->guard), guarded->room, at, as, n);
}

/* From here on nothing of what was done is undone; what is done next still may be. */
void mem_guard_commit(const mem_guarded *guarded)
{
    mem_journal_clear(journal_of(guarded->guard));
}
