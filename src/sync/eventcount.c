/*
 * An eventcount: how those sleep who wait for something that other words say.
 *
 * Layout: a word that is slept on, and the cpu of who made the last change. Whether what
 * is waited for may be had, the object that it belongs to says: handle->ready. Who
 * changes that object tells afterwards; the word is touched only where somebody sleeps.
 *
 * No wake-up is lost: a sleeper shows itself in the mask, reads the word, and asks ready
 * once more before it sleeps on what it read; who tells has changed the object before it
 * looks at the mask. One of the two sees the other. Who wakes all empties the mask before
 * it changes the word, and a sleeper looks whether it is still shown after it has read
 * that: if it is, the word is going to change. Who dies between its change and telling,
 * or between the mask and the word, leaves that to the sleepers' slices.
 */
#include "sync/sync.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* The caller's memory is nobody else's yet. */
void sync_eventcount_make(sync_eventcount *eventcount)
{
    memset(eventcount, 0, sizeof *eventcount);
    mem_stamp_finish(&eventcount->stamp, SYNC_EVENTCOUNT, SYNC_VERSION,
                     sizeof *eventcount, 0);
}

int sync_eventcount_attempt(sync_wait *wait, bool thorough)
{
    (void)thorough;
    return wait->handle->ready(wait->handle) ? 0 : -EAGAIN;
}

static unsigned waker(const sync_wait *wait)
{
    return mem_atomic_load32(&wait->handle->eventcount->cpu);
}

/* Until it was ready; by the time the caller looks, another may have been faster. */
int sync_eventcount_wait(const sync_handle *handle, int64_t deadline)
{
    sync_wait wait = {
        .handle = handle,
        .word = &handle->eventcount->turn,
        .attempt = sync_eventcount_attempt,
        .waker = waker,
        .deadline = deadline,
    };
    return sync_wait_for(&wait);
}

/*
 * Who wakes all takes the mask first, so that until one of them sleeps again, which shows
 * it again, nobody calls the kernel for those who only have not run yet.
 */
void sync_eventcount_rouse(sync_eventcount *eventcount, int n)
{
    mem_atomic_note32(&eventcount->cpu, os_wait_cpu());
    if (n == INT_MAX)
        mem_atomic_store32(&eventcount->waiters.sleeping, 0);
    mem_atomic_add32(&eventcount->turn, 1);
    sync_waiters_rouse(&eventcount->waiters, &eventcount->turn, n);
}
