/*
 * A semaphore: a count that who waits takes one of, and who posts adds to.
 *
 * Layout: the count, which is slept on, and the cpu of who posted last. Nobody owns what
 * was taken: it is gone with who took it and died, as with the kernel's.
 *
 * Death: taking is one change, and so is posting; sleepers that a dead poster did not
 * wake look after their slice.
 */
#include "sync/sync.h"

#include <errno.h>

#define MOST INT32_MAX

int sync_semaphore_attempt(sync_wait *wait, bool thorough)
{
    sync_semaphore *semaphore = wait->handle->semaphore;
    uint32_t count = mem_atomic_load32(&semaphore->count);
    (void)thorough;
    while (count > 0 && count <= MOST) {
        if (mem_atomic_cas32(&semaphore->count, &count, count - 1))
            return 0;
    }
    return -EAGAIN;
}

static unsigned waker(const sync_wait *wait)
{
    return mem_atomic_load32(&wait->handle->semaphore->cpu);
}

int sync_semaphore_wait(const sync_handle *handle, int64_t deadline)
{
    sync_wait wait = {
        .handle = handle,
        .word = &handle->semaphore->count,
        .attempt = sync_semaphore_attempt,
        .waker = waker,
        .deadline = deadline,
    };
    return sync_wait_for(&wait);
}

/* -EOVERFLOW when the count would become more than 2^31 - 1. */
int sync_semaphore_post(const sync_handle *handle, uint32_t n)
{
    sync_semaphore *semaphore = handle->semaphore;
    uint32_t count = mem_atomic_load32(&semaphore->count);
    do {
        if (n > MOST || count > MOST - n)
            return -EOVERFLOW;
        mem_atomic_note32(&semaphore->cpu, os_wait_cpu());
    } while (!mem_atomic_cas32(&semaphore->count, &count, count + n));
    sync_wake(&semaphore->waiters, &semaphore->count, (int)n);
    return 0;
}
