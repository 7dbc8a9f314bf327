/*
 * A mutex that its holder may hold across anything, and that outlives it.
 *
 * Layout: the owner's identity in one word, so that taking and leaving are one change
 * each and no moment is without an owner on record; how often it was taken, which only
 * the owner touches; since when; and a journal, for a transaction.
 *
 * Invariant: the word is 0 or names who is inside. Who finds there a thread that does not
 * live, changes the word from that to itself: one of them succeeds, undoes what the dead
 * had begun, and is told so. If it dies meanwhile, the next one does it again; if it can
 * not, it names the dead there again.
 *
 * Death: before the word is taken nothing was changed; after it was left the mutex is
 * free, and sleepers that were not woken look after their slice. A holder that is stopped
 * lives.
 */
#include "sync/sync.h"

#include <errno.h>

static int inherit(sync_wait *wait, uint64_t dead)
{
    sync_mutex *mutex = wait->handle->mutex;
    if (!mem_atomic_cas64(&mutex->owner.who, &dead, sync_me()))
        return -EAGAIN;
    wait->outcome->dead = dead;
    mutex->depth = 1;
    mem_atomic_note64(&mutex->since, (uint64_t)os_clock_now());
    int error = sync_handle_undo(wait->handle, wait->outcome);
    if (error) /* who can put it back is to find it */
        mem_atomic_store64(&mutex->owner.who, dead);
    return error ? error : 1;
}

int sync_mutex_attempt(sync_wait *wait, bool thorough)
{
    sync_mutex *mutex = wait->handle->mutex;
    uint64_t held = mem_atomic_load64(&mutex->owner.who);
    if (held == 0)
        return sync_mutex_take(mutex) ? 0 : -EAGAIN;
    if (!thorough)
        return -EAGAIN;
    if (!os_thread_alive(sync_who(held)))
        return inherit(wait, held);
    return sync_deadlock(wait->handle, &wait->outcome->path) ? -EDEADLK : -EAGAIN;
}

static unsigned waker(const sync_wait *wait)
{
    return sync_cpu(mem_atomic_load64(&wait->handle->mutex->owner.who));
}

/* Whether this thread holds it, and could take it once more. The depth is the holder's
   alone: who does not hold the mutex does not even read it. */
bool sync_mutex_again(const sync_handle *handle)
{
    sync_mutex *mutex = handle->mutex;
    if (!(handle->extra & SYNC_RECURSIVE) ||
        sync_who(mem_atomic_load64(&mutex->owner.who)) != os_thread_self() ||
        mutex->depth == UINT32_MAX)
        return false;
    mutex->depth++;
    return true;
}

/* After sync_mutex_take said no. */
int sync_mutex_wait(const sync_handle *handle, int64_t deadline, sync_outcome *outcome)
{
    sync_mutex *mutex = handle->mutex;
    uint64_t me = os_thread_self();
    if (sync_mutex_again(handle))
        return 0;
    if (sync_who(mem_atomic_load64(&mutex->owner.who)) == me) {
        outcome->path.n = 1;
        outcome->path.step[0].who = me;
        return -EDEADLK;
    }
    sync_wait wait = {
        .handle = handle,
        .word = (const uint32_t *)&mutex->owner.who,
        .attempt = sync_mutex_attempt,
        .waker = waker,
        .deadline = deadline,
        .outcome = outcome,
    };
    return sync_wait_for(&wait);
}

/* After sync_mutex_give said no: -EPERM when it is not this thread's. */
int sync_mutex_leave(const sync_handle *handle)
{
    sync_mutex *mutex = handle->mutex;
    if (sync_who(mem_atomic_load64(&mutex->owner.who)) != os_thread_self())
        return -EPERM;
    if (mutex->depth > 1) {
        mutex->depth--;
        return 0;
    }
    mutex->depth = 1; /* whatever was scribbled there */
    return sync_mutex_give(mutex) ? 0 : -EPERM;
}
