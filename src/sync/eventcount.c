/*
 * An eventcount: how those sleep who wait for something that other words say.
 *
 * Layout: a word that is slept on, and the cpu of who made the last change. Whether what
 * is waited for may be had, the object that it belongs to says: handle->ready. Who
 * changes that object tells afterwards; the word is touched only where somebody sleeps.
 *
 * No wake-up is lost: a sleeper shows itself in the mask, reads the word, and asks ready
 * once more before it sleeps on what it read; who tells has changed the object before it
 * looks at the mask. One of the two sees the other. Who dies between its change and
 * telling leaves that to the sleepers' slices.
 */
#include "sync/sync.h"

#include <errno.h>
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

void sync_eventcount_rouse(sync_eventcount *eventcount, int n)
{
    mem_atomic_note32(&eventcount->cpu, os_wait_cpu());
    mem_atomic_add32(&eventcount->turn, 1);
    sync_waiters_rouse(&eventcount->waiters, &eventcount->turn, n);
}
