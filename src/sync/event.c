/*
 * An event: set or not. With manual reset all who wait go on while it is set; with
 * automatic reset one does, and takes it back.
 *
 * Layout: whether it is set, which is slept on, and the cpu of who set it last. Setting
 * and taking back are one change each; sleepers that a dead setter did not wake look
 * after their slice.
 */
#include "sync/sync.h"

#include <errno.h>
#include <limits.h>

int sync_event_attempt(sync_wait *wait, bool thorough)
{
    sync_event *event = wait->handle->event;
    uint32_t set = mem_atomic_load32(&event->set);
    (void)thorough;
    if (set == 0)
        return -EAGAIN;
    if (wait->handle->extra & SYNC_MANUAL || mem_atomic_cas32(&event->set, &set, 0))
        return 0;
    return -EAGAIN;
}

static unsigned waker(const sync_wait *wait)
{
    return mem_atomic_load32(&wait->handle->event->cpu);
}

int sync_event_wait(const sync_handle *handle, int64_t deadline)
{
    sync_wait wait = {
        .handle = handle,
        .word = &handle->event->set,
        .attempt = sync_event_attempt,
        .waker = waker,
        .deadline = deadline,
    };
    return sync_wait_for(&wait);
}

void sync_event_set(const sync_handle *handle)
{
    sync_event *event = handle->event;
    mem_atomic_note32(&event->cpu, os_wait_cpu());
    mem_atomic_store32(&event->set, 1);
    sync_wake(&event->waiters, &event->set, handle->extra & SYNC_MANUAL ? INT_MAX : 1);
}

void sync_event_reset(const sync_handle *handle)
{
    mem_atomic_store32(&handle->event->set, 0);
}
