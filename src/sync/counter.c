/*
 * A counter that can be waited for.
 *
 * Layout: the value, a word that is slept on and changes after the value did, and the cpu
 * of who changed it last. A change is one step; the second word is touched only where
 * somebody sleeps, and who dies in between leaves that to the sleepers' slices.
 */
#include "sync/sync.h"

#include <errno.h>
#include <limits.h>

static void tell(sync_counter *counter)
{
    if (mem_atomic_load32(&counter->waiters.sleeping)) {
        mem_atomic_note32(&counter->cpu, os_wait_cpu());
        mem_atomic_add32(&counter->turn, 1);
        sync_wake(&counter->waiters, &counter->turn, INT_MAX);
    }
}

/* Returns what it was before. */
uint64_t sync_counter_add(const sync_handle *handle, uint64_t n)
{
    uint64_t before = mem_atomic_add64(&handle->counter->value, n);
    tell(handle->counter);
    return before;
}

void sync_counter_set(const sync_handle *handle, uint64_t value)
{
    mem_atomic_store64(&handle->counter->value, value);
    tell(handle->counter);
}

static int attempt(sync_wait *wait, bool thorough)
{
    (void)thorough;
    int64_t value = (int64_t)mem_atomic_load64(&wait->handle->counter->value);
    return value >= (int64_t)wait->value ? 0 : -EAGAIN;
}

static unsigned waker(const sync_wait *wait)
{
    return mem_atomic_load32(&wait->handle->counter->cpu);
}

/* Until it is at least so much. */
int sync_counter_wait(const sync_handle *handle, int64_t least, int64_t deadline)
{
    sync_wait wait = {
        .handle = handle,
        .word = &handle->counter->turn,
        .attempt = attempt,
        .waker = waker,
        .deadline = deadline,
        .value = (uint64_t)least,
    };
    return sync_wait_for(&wait);
}
